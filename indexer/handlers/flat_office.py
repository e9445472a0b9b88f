"""Office documents of 2007 and later as one XML file: the package that they stand for, put together again.

Source: ECMA-376 part 2 (packages); http://schemas.microsoft.com/office/2006/xmlPackage ("Flat OPC").
Limits: only files in UTF-8; names of spaces that are declared outside of a part are not carried into it.
"""

from __future__ import annotations

import base64
import binascii
import mmap
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from html import escape
from typing import BinaryIO, ClassVar, Final, cast

from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers._ooxml import MAIN_TYPES
from indexer.handlers._skim import resolved
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem

PARTS: Final = 20_000
_ROOT: Final = re.compile(rb"<[\w.-]{1,40}:package\s")
_PART: Final = re.compile(rb"<([\w.-]{1,40}:)part(\s[^<>]{1,4000})>")
_END: Final = re.compile(rb"</[\w.-]{1,40}:package\s*>")
_NAME: Final = re.compile(rb"""\sname=["']([^"'<>]{1,1000})|:name=["']([^"'<>]{1,1000})""")
_TYPE: Final = re.compile(rb"""contentType=["']([^"'<>]{1,1000})""")
_MAIN: Final = re.compile(r"application/([\w.-]{1,100})\.main\+xml")
_SUFFIXES: Final = {"docx": ".docx", "xlsx": ".xlsx", "pptx": ".pptx", "vsdx": ".vsdx"}
_TYPES_HEAD: Final = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
_IN_MEMORY: Final = 16 * MIB


class FlatOffice(Handler):
    name = "flat-office"
    media_types = ("application/vnd.ms-office.flat-opc+xml",)
    suffixes = (".xml",)
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = {"office.rebuilt": "the bytes were put together from the parts in the file"}
    reads = "the document as a member, put together from its parts"
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:8192]
        return self.media_types[0] if _ROOT.search(head) and b"/office/2006/xmlPackage" in head else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if not stream.size:
            return
        with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            types = {name: kind for name, kind, _, _ in _parts(data)}
            ended = _END.search(data, max(0, len(data) - 1000))
        if not types:
            raise EvidenceError("corrupt", "no part of a package is there")
        mains = (_MAIN.match(kind.lower()) for kind in types.values())
        kinds = (MAIN_TYPES.get(main[1], "") for main in mains if main)
        name = "document" + _SUFFIXES.get(next((kind for kind in kinds if kind), ""), ".zip")
        yield Child(name, name.encode(), partial(_packed, stream, types), fields=(Field("office.rebuilt", True),))
        if not ended:
            yield Problem("truncated", "the end of the package is missing", resolution="read as far as it goes")


def _parts(data: mmap.mmap) -> Iterator[tuple[str, str, int, int]]:
    """Name and content type of every part, and where its inside begins and ends."""
    at = 0
    for _ in range(PARTS):
        found = _PART.search(data, at)
        if not found:
            return
        end = data.find(b"</" + found[1] + b"part>", found.end())
        at = end if end >= 0 else len(data)
        name, kind = _NAME.search(found[2]), _TYPE.search(found[2])
        if name and not found[2].endswith(b"/"):
            shown = resolved((name[1] or name[2]).decode("utf-8", "replace")).lstrip("/")
            yield shown, resolved(kind[1].decode("utf-8", "replace")) if kind else "", found.end(), at


def _packed(stream: Stream, types: dict[str, str]) -> BinaryIO:
    """The package as a zip archive that is not compressed."""
    held = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the crawler closes it
    written: set[str] = set()
    with (
        stream.path() as path,
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data,
        zipfile.ZipFile(held, "w") as archive,
    ):
        listed = "".join(
            f'<Override PartName="/{escape(name)}" ContentType="{escape(kind)}"/>' for name, kind in types.items()
        )
        archive.writestr(_entry("[Content_Types].xml"), f"{_TYPES_HEAD}{listed}</Types>")
        for name, _, start, end in _parts(data):
            if name not in written:
                written.add(name)
                archive.writestr(_entry(name), _inside(data, start, end))
    held.seek(0)
    return cast(BinaryIO, held)


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _inside(data: mmap.mmap, start: int, end: int) -> bytes:
    """The bytes of one part: XML as it stands, anything else out of Base64."""
    opened = data.find(b">", start, end)
    closed = data.rfind(b"</", start, end)
    if opened < 0 or (closed < opened and end < len(data)):
        return b""
    tag, body = data[start:opened], data[opened + 1 : closed if end < len(data) else end]
    if b"binaryData" not in tag:
        return body
    try:
        return base64.b64decode(body, validate=False)
    except (binascii.Error, ValueError):
        return b""
