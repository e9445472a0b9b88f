"""Installers made with NSIS: the files they install; where the archive stands behind a program, too.

7-Zip lists the files. Those under LZMA, or not packed, are unpacked here; all others by 7-Zip, and so is
the uninstaller, which it puts together.

Source: NSIS 3.x, Source/exehead/fileform.h (the first header); 7-Zip 26 for what follows it.
Limits: the script is not taken apart; texts of its dialogs are not told. Under deflate and bzip2, of members
without a listed size the first 400 are unpacked; packed as one, the first 200, each from the start again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FILE
from indexer.handlers._nsis import PLAIN_LZMA, Content
from indexer.handlers._p7z import Record, list_members, stream_members
from indexer.handlers._p7z_entries import FIELDS, list_entries
from indexer.handlers._p7z_members import Members
from indexer.model import Fact, Field

MARK = b"\xef\xbe\xad\xdeNullsoftInst"
LABELS = {"SubType": "nsis.version", "Method": "archive.method"}
MOST_RUNS = 400
"""Times that 7-Zip is started on one installer: once for each member whose size it does not know."""
FLAGS = ((1, "uninstaller"), (2, "silent"), (4, "no checksum"), (8, "forced checksum"))


class NsisInstaller(Handler):
    name = "nsis"
    version = 2
    media_types = ("application/x-nsis-installer",)
    signatures = (Signature(MARK, 4),)
    suffixes = ()
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "nsis.kind": "uninstaller, silent, and how its checksum is used",
        "nsis.version": "generation of the format",
    }
    reads = "files that the installer holds, with their times"
    needs = ("p7z",)
    rank = 56
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        flags = int.from_bytes(stream.at(0, 4), "little")
        for bit, word in FLAGS:
            if flags & bit:
                yield Field("nsis.kind", word)
        with stream.path() as path:
            yield from _read(stream, path)


def _read(stream: Stream, path: str) -> Iterator[Fact]:
    offsets: list[str] = []
    archive, entries, trouble = list_entries(_tell(path, offsets), "nsis", zone_known=True)
    for key, name in LABELS.items():
        if value := archive.get(key, "").strip():
            yield Field(name, value)
    if trouble:
        yield trouble.problem("", "members listed as far as 7-Zip got")
    uses = Counter(entry.path for entry in entries)
    runs = count()
    content = _content(stream, archive)
    # What has no time may be the uninstaller, of which the installer holds but a part.
    for entry, offset in zip(entries, offsets, strict=False):
        if content and entry.kind == FILE and entry.times and offset.isdecimal():
            entry.here = partial(content.file, int(offset))
    for entry in entries:
        if entry.here:
            continue
        # The size of a packed file stands inside the packed data, so 7-Zip does not list it.
        if entry.kind == FILE and not entry.size and uses[entry.path] > 1:
            entry.refused = EvidenceError("unsupported", "7-Zip cannot be asked for this member alone")
        elif entry.kind == FILE and not entry.size:
            entry.here = partial(_alone, path, entry.path, runs)
    yield from Members(path, "Nsis", entries).facts()


def _tell(path: str, offsets: list[str]) -> Iterator[Record]:
    """What 7-Zip lists; `offsets` is told those of the members."""
    for number, record in enumerate(list_members(path, kind="Nsis")):
        if number:
            offsets.append(record.get("Offset", ""))
        yield record


def _content(stream: Stream, archive: Record) -> Content | None:
    """The files' bytes, where they are packed in a way that is undone here."""
    method, solid = archive.get("Method", "").strip(), archive.get("Solid") == "+"
    if PLAIN_LZMA.fullmatch(method) or (method == "Copy" and not solid):
        return Content(stream, solid=solid)
    return None


def _alone(path: str, name: str, runs: Iterator[int]) -> Iterator[bytes]:
    if next(runs) >= MOST_RUNS:
        raise EvidenceError("unsupported", f"7-Zip was started {MOST_RUNS} times on this installer, and not again")
    yield from stream_members(path, kind="Nsis", names=(name,))
