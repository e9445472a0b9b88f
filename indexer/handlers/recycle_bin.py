"""What the recycle bin remembers of deleted files: `$I` files, and INFO2 lists of older Windows.

Source: the $I and INFO2 formats as documented by libyal (Windows Recycle.Bin file formats).
Limits: the deleted content lies in the file beside it ($R..., Dc...), which is an item of its own.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._windows import moment, narrow, wide
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_filetime

_ROW: Final = 800
_ROWS: Final = 50_000
_PATH: Final = re.compile(r"[A-Za-z]:\\|\\\\")


class RecycleBin(Handler):
    name = "recycle-bin"
    media_types = ("application/x-ms-recycle-bin",)
    signatures = (
        Signature(b"\1\0\0\0\0\0\0\0"),
        Signature(b"\2\0\0\0\0\0\0\0"),
        Signature(b"\4\0\0\0"),
        Signature(b"\5\0\0\0"),
    )
    fields: ClassVar[dict[str, str]] = {
        "recycle.path": "path that the deleted file had",
        "recycle.size": "size of the deleted file, or of all in the deleted folder",
        "recycle.files": "number of deleted files in a list",
        "recycle.emptied": "deleted file that is no longer in the bin: its name was wiped",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "path, size and time of deletion of each deleted file"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head[0] in (1, 2):
            start = 24 if head[0] == 1 else 28
            path = wide(head[start : start + 8])
            fits = stream.size <= 1024 if head[0] == 1 else stream.size <= 28 + 2 * 33000
            return self.media_types[0] if fits and _PATH.match(path) else None
        fits = len(head) >= 20 and struct.unpack_from("<I", head, 12)[0] == _ROW
        return self.media_types[0] if fits else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head[0] in (1, 2):
            yield from _read_one(stream)
        else:
            yield from _read_list(stream)


def _read_one(stream: Stream) -> Iterator[Fact]:
    data = stream.at(0, 70_000)
    version, size, ticks = struct.unpack_from("<QQQ", data)
    path = wide(data[24 if version == 1 else 28 :])
    yield Field("recycle.path", path)
    yield Field("refers_to", path)
    yield Field("recycle.size", size)
    if stamp := from_filetime("deleted", ticks, "recycle.i"):
        yield stamp
    yield Text(f"{path} | {size} bytes | deleted {moment(ticks)}", "deleted file")
    expected = 544 if version == 1 else 28 + 2 * struct.unpack_from("<I", data, 24)[0]
    if len(data) < expected - 1:
        yield Problem("truncated", f"{expected - len(data)} bytes are missing", resolution="read up to there")


def _read_list(stream: Stream) -> Iterator[Fact]:
    count = 0
    for at in range(20, stream.size, _ROW):
        row = stream.at(at, _ROW)
        if len(row) < _ROW:
            yield Problem("truncated", f"the last row has {len(row)} bytes of {_ROW}", resolution="read up to there")
            if len(row) < 280:
                break
        if count == _ROWS:
            yield Problem("limit", f"more than {_ROWS} deleted files", resolution="stopped there")
            break
        number, _, ticks, size = struct.unpack_from("<IIQI", row, 260)
        path = wide(row[280:]) or narrow(row[:260])
        if not path:
            continue
        count += 1
        yield Field("recycle.path", path)
        if row[0] == 0:
            yield Field("recycle.emptied", path)
        if stamp := from_filetime("deleted", ticks, "recycle.info2"):
            yield stamp
        yield Text(f"{path} | {size} bytes | deleted {moment(ticks)}", f"deleted file {number}")
    yield Field("recycle.files", count)
