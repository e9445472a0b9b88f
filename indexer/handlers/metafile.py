"""Windows metafiles (EMF, EMF+, WMF): their texts, titles, pictures inside comments.

Source: [MS-EMF] 2.3 (records), [MS-EMFPLUS] 2.3.4.14 (DrawString), [MS-WMF] 2.3.3 (text records), 2.3.6.22
(comments); the comments of icons of embedded objects as OLE's OleMetafilePictFromIconAndLabel writes them.
Limits: nothing is drawn; texts without a code page of their own are judged together; bitmaps are not members.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.handlers._picture import read_text, shared_codec
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

RECORDS: Final = 2_000_000
TEXTS: Final = 100_000
_PLACED: Final = b"\xd7\xcd\xc6\x9a"
_KEPT: Final = MIB
_DRAW_STRING: Final = 0x401C
_ANSI: Final = 0x200
_NO_BOUNDS: Final = 0x100
_ICON: Final = "IconOnly"
_COMMENTS: Final = 64
"""Comments kept, which tell of an icon."""


class Metafile(Handler):
    name = "metafile"
    version = 2
    media_types = ("image/emf", "image/wmf", "image/x-emf", "image/x-wmf", "application/x-msmetafile")
    signatures = (
        Signature(b" EMF", 40),
        Signature(_PLACED),
        Signature(b"\1\0\x09\0\0\x03"),
        Signature(b"\2\0\x09\0\0\x03"),
    )
    suffixes = (".emf", ".wmf")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        "metafile.program": "program that drew it",
        "metafile.title": "title",
        "metafile.records": "records in the file",
        "metafile.icon_only": "the picture is the icon of an embedded object with a label",
        "metafile.icon_label": "that label, whole where it is drawn in lines",
        "metafile.icon_source": "program that the icon was taken from",
    }
    reads = "texts, title, dimensions"

    def claims(self, stream: Stream) -> str | None:
        return "image/emf" if stream.head[40:44] == b" EMF" and stream.head[:4] == b"\1\0\0\0" else self._wmf(stream)

    def _wmf(self, stream: Stream) -> str | None:
        return "image/wmf" if stream.head[:4] in (_PLACED, b"\1\0\x09\0", b"\2\0\x09\0") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        texts: list[str | bytes] = []
        walk = _emf if stream.head[40:44] == b" EMF" else _wmf
        yield from walk(stream, texts)
        codec = shared_codec(each for each in texts if isinstance(each, bytes))
        lines = (read_text(each, codec) if isinstance(each, bytes) else each.strip("\0 ") for each in texts)
        if body := "\n".join(filter(None, lines)):
            yield Text(body, "texts")


def _emf(stream: Stream, texts: list[str | bytes]) -> Iterator[Fact]:
    head = stream.at(0, 108)
    if len(head) < 88:
        raise EvidenceError("truncated", "the header is cut off")
    left, top, right, bottom = struct.unpack_from("<4i", head, 8)
    yield from _picture.shape(right - left + 1, bottom - top + 1)
    count, start = struct.unpack_from("<II", head, 60)
    about = stream.at(start, min(2 * count, _KEPT)).decode("utf-16-le", "replace").split("\0")
    for name, value in zip(("metafile.program", "metafile.title"), about, strict=False):
        if value:
            yield Field(name, value[: _picture.FIELD_CHARS])
            texts.append(value)
    position, ended, number = 0, False, 0
    comments: list[str] = []
    while number < RECORDS:
        record = stream.at(position, 8)
        if len(record) < 8:
            break
        number += 1
        kind, size = struct.unpack("<II", record)
        if size < 8:
            yield Problem("corrupt", f"a record of {size} bytes at {position}")
            return
        if kind in (70, 83, 84, 108) and len(texts) < TEXTS:
            data = stream.at(position, min(size, _KEPT))
            texts += _said(kind, data)
            if kind == 70 and len(comments) < _COMMENTS:
                length = int.from_bytes(data[8:12], "little")
                comments.append(data[12 : 12 + length].decode("utf-16-le", "replace").partition("\0")[0])
        position += size
        if kind == 14:
            ended = True
            break
    yield Field("metafile.records", number)
    yield from _icon(comments, ("icon_label", "icon_source"), texts)
    if not ended:
        yield Problem("truncated", "no end of the records")


def _icon(comments: list[str], names: tuple[str, ...], texts: list[str | bytes]) -> Iterator[Field]:
    """What the comments say of the icon of an embedded object; a label that is drawn in lines is a text, too."""
    if _ICON not in comments:
        return
    yield Field("metafile.icon_only", True)
    for name, said in zip(names, comments[comments.index(_ICON) + 1 :], strict=False):
        if said and said != _ICON:
            yield Field(f"metafile.{name}", said[: _picture.FIELD_CHARS])
            if said not in texts:
                texts.append(said)


def _said(kind: int, record: bytes) -> Iterator[str | bytes]:
    """The texts of one record."""
    if kind == 70:
        yield from _plus(record[16:]) if record[12:16] == b"EMF+" else ()
        return
    if len(record) < 52:
        return
    if kind == 108:
        count, options = struct.unpack_from("<II", record, 16)
        start = 36 if options & _NO_BOUNDS else 52
        wide = not options & _ANSI
    else:
        count, start = struct.unpack_from("<II", record, 44)
        wide = kind == 84
    raw = record[start : start + count * (2 if wide else 1)]
    yield raw.decode("utf-16-le", "replace") if wide else raw


def _plus(data: bytes) -> Iterator[str]:
    position = 0
    while position + 12 <= len(data):
        kind, _, size, length = struct.unpack_from("<HHII", data, position)
        if kind == _DRAW_STRING and length >= 28:
            count = int.from_bytes(data[position + 20 : position + 24], "little")
            yield data[position + 40 : position + 40 + 2 * count].decode("utf-16-le", "replace")
        if size < 12:
            return
        position += size


def _wmf(stream: Stream, texts: list[str | bytes]) -> Iterator[Fact]:
    position = 18
    if stream.head[:4] == _PLACED:
        left, top, right, bottom, inch = struct.unpack("<4hH", stream.at(6, 10).ljust(10, b"\0"))
        yield from _picture.shape(abs(right - left), abs(bottom - top))
        if inch:
            yield Field("picture.dpi", inch)
        position = 22 + 18
    ended, number = False, 0
    comments: list[str] = []
    while number < RECORDS:
        record = stream.at(position, 6)
        if len(record) < 6:
            break
        number += 1
        words, function = struct.unpack("<IH", record)
        if function == 0:
            ended = True
            break
        if words < 3:
            yield Problem("corrupt", f"a record of {2 * words} bytes at {position}")
            return
        if function in (0x0521, 0x0A32) and len(texts) < TEXTS:
            data = stream.at(position + 6, min(2 * words - 6, _KEPT))
            if function == 0x0521:
                texts.append(data[2 : 2 + int.from_bytes(data[:2], "little")])
            else:
                start = 16 if data[6:7] and data[6] & 6 else 8
                texts.append(data[start : start + int.from_bytes(data[4:6], "little")])
        elif function == 0x0626 and len(comments) < _COMMENTS:
            data = stream.at(position + 6, min(2 * words - 6, _KEPT))
            if data[:2] == b"\x0f\0":
                raw = data[4 : 4 + int.from_bytes(data[2:4], "little")].partition(b"\0")[0]
                comments.append(read_text(raw, shared_codec([raw])))
        position += 2 * words
    yield Field("metafile.records", number)
    yield from _icon(comments, ("icon_source",), texts)
    if not ended:
        yield Problem("truncated", "no end of the records")
