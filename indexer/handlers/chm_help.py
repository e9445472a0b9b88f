"""Compiled HTML help (CHM), the e-book of Windows: pages, pictures and indexes, by 7-Zip.

Source: "Unofficial (Preliminary) HTML Help Specification", Paul Wise and Jed Wing, 2003; 7-Zip 26.
Limits: of the internal tables only #SYSTEM is read; topics and keywords in the others are strings.
What 7-Zip unpacks is held until its run has ended well: twice its own time (large members, 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._p7z_entries import FIELDS
from indexer.handlers._p7z_members import read_archive
from indexer.model import Child, Fact, Field, replace

_INTERNAL = Field("file.kind", "internal")


class ChmHelp(Handler):
    name = "chm"
    version = 2
    media_types = ("application/vnd.ms-htmlhelp", "application/x-chm")
    signatures = (Signature(b"ITSF"),)
    suffixes = (".chm", ".chi", ".chw", ".chq")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "chm.language": "language of the machine that made it, by its Windows number, hexadecimal",
    }
    reads = "pages, pictures and internal tables, as they were compiled"
    needs = ("p7z",)
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:56]
        return self.media_types[0] if len(head) == 56 and head[4] in (2, 3) and not any(head[5:8]) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Field("chm.language", f"{int.from_bytes(stream.head[20:24], 'little'):04x}")
        for fact in read_archive(stream, "Chm", "chm", {"Method": "archive.method"}):
            if isinstance(fact, Child) and fact.open and fact.name.startswith(("#", "$")):
                fact = replace(fact, fields=(*fact.fields, _INTERNAL))
            yield fact
