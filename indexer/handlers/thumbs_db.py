"""Thumbs.db of Windows folders: every thumbnail as a picture, with the name and time of its file.

Source: the Thumbs.db format as documented by libyal (Windows Explorer thumbnail databases); [MS-CFB].
Limits: thumbnails of Windows ME and 2000 that lack the tables of JPEG are members as they are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, ClassVar, Final, NamedTuple

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, STREAM, Compound, Entry, compound
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._streams import open_chunks
from indexer.handlers._windows import moment, wide
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text
from indexer.timestamps import from_filetime

_NUMBERED: Final = re.compile(r"\d{1,9}")
_HASHED: Final = re.compile(r"\d{1,4}_[0-9a-f]{8,16}")
_PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n")
_HEADER: Final = 64
"""Bytes before a picture: its length, number and size."""
_ROWS: Final = 50_000


class _Row(NamedTuple):
    name: str
    ticks: int


class ThumbsDb(Handler):
    name = "thumbs-db"
    version = 2
    media_types = ("application/vnd.ms-thumbnails",)
    signatures = (Signature(MAGIC),)
    suffixes = (".db",)
    fields: ClassVar[dict[str, str]] = {
        **FIELDS,
        "thumbs.name": "name of a file that has a thumbnail, also where the file is gone",
        "thumbs.count": "number of thumbnails",
        "file.kind": "thumbnail",
    }
    reads = "names and times of the pictured files, each thumbnail as a member"
    rank = 44
    container = True

    def claims(self, stream: Stream) -> str | None:
        if kind_of(stream) != "ole":
            return None
        held = compound(stream)
        catalog = held.get("Catalog")
        ours = (catalog and catalog.kind == STREAM) or any(map(_HASHED.fullmatch, held.entries))
        return self.media_types[0] if ours else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        yield from read_properties(held)
        rows: dict[str, _Row] = {}
        if catalog := held.get("Catalog"):
            yield from _read_catalog(held.read(catalog, 16 * MIB), rows)
        count = 0
        for key, entry in held.entries.items():
            if _is_picture(key, entry):
                count += 1
                yield _thumbnail(held, entry, rows.get(key))
        yield Field("thumbs.count", count)
        yield from members(held, lambda key: key == "catalog" or _is_picture(key, held.entries[key]))
        yield from held.problems


def _is_picture(key: str, entry: Entry) -> bool:
    known = _NUMBERED.fullmatch(key) or _HASHED.fullmatch(key)
    return entry.kind == STREAM and entry.size > 0 and known is not None


def _read_catalog(data: bytes, rows: dict[str, _Row]) -> Iterator[Fact]:
    """Fills `rows` by the key of the stream: the digits of the number, turned round."""
    at = int.from_bytes(data[:2], "little")
    count = int.from_bytes(data[4:8], "little")
    lines: list[str] = []
    while at + 16 <= len(data) and len(lines) < _ROWS:
        size, number, ticks = struct.unpack_from("<IIQ", data, at)
        if size < 18:
            break
        name = wide(data[at + 16 : at + size])
        rows.setdefault(str(number)[::-1], _Row(name, ticks))
        lines.append(f"{name} | modified {moment(ticks)}" if moment(ticks) else name)
        yield Field("thumbs.name", name)
        at += size
    if lines:
        yield Text("\n".join(lines), "catalog")
    if len(lines) < count:
        message = f"{count - len(lines)} of {count} names are missing"
        yield Problem("truncated", message, resolution="thumbnails without name are members")


def _thumbnail(held: Compound, entry: Entry, row: _Row | None) -> Child:
    name = row.name if row and row.name else entry.name
    stamp = from_filetime("target_modified", row.ticks, "thumbs.catalog") if row else None
    start = held.start(entry, _HEADER + 8)
    if row and row.name and not name.lower().endswith((".jpg", ".jpeg")):
        # The thumbnail is a JPEG whatever its file is: the name must not look like a lie about the bytes.
        name += ".jpg"
    found = [at for mark in _PICTURES if 0 <= (at := start.find(mark)) <= _HEADER]
    return Child(
        name,
        entry.name.encode("utf-16-le", "surrogatepass"),
        partial(_open, held, entry, min(found, default=0)),
        (stamp,) if stamp else (),
        (Field("file.kind", "thumbnail"),),
    )


def _open(held: Compound, entry: Entry, skip: int) -> BinaryIO:
    pieces = held.pieces(entry)
    first = b""
    while len(first) < skip:
        first += next(pieces, b"\0" * skip)
    return open_chunks(pieces, first[skip:])
