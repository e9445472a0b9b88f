"""Tables of dBase, FoxPro and Clipper: rows with their memos, deleted rows marked, columns, date of last change.

Source: dBASE .DBF file structure (levels 3, 4, 5, 7); Microsoft, "Visual FoxPro Table File Structure" and
"Memo File Structure (.fpt)".
Limits: a memo file beside the table is found by the table's name; encrypted tables (dBase IV) are told as they
stand. Pictures and OLE objects in memos are told by their size. Column types of level 7 beyond its own five are text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO, ClassVar, Final, NamedTuple

from indexer.decoding import decode_as
from indexer.detection import detect
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._rows import one_line, passages
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

_KINDS: Final = {
    0x02: "FoxBase",
    0x03: "dBase III",
    0x04: "dBase 7",
    0x30: "Visual FoxPro",
    0x31: "Visual FoxPro, counting",
    0x32: "Visual FoxPro, varying",
    0x43: "dBase IV SQL",
    0x83: "dBase III with memos",
    0x8B: "dBase IV with memos",
    0x8C: "dBase 7 with memos",
    0xCB: "dBase IV SQL with memos",
    0xF5: "FoxPro 2 with memos",
    0xFB: "FoxBase",
}
_CODECS: Final = {
    0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x08: "cp865", 0x0D: "cp437", 0x13: "cp932", 0x26: "cp866",
    0x4D: "gb18030", 0x4E: "cp949", 0x4F: "cp950", 0x50: "cp874", 0x57: "cp1252", 0x64: "cp852", 0x65: "cp866",
    0x78: "cp950", 0x79: "cp949", 0x7A: "gb18030", 0x7B: "cp932", 0x7C: "cp874", 0x7D: "cp1255", 0x7E: "cp1256",
    0xC8: "cp1250", 0xC9: "cp1251", 0xCA: "cp1254", 0xCB: "cp1253",
}  # fmt: skip
"""What the mark of the language driver says."""
_SEVEN: Final = (0x04, 0x8C)
_TYPES: Final = frozenset(b"CNDLMFBGPIYTWVQ@+O0")
_SUFFIXES: Final = (".dbt", ".fpt", ".smt", ".DBT", ".FPT")
_MEMO: Final = 4 * MIB
_SAMPLE: Final = 64 * 1024
_AT_ONCE: Final = 1 * MIB
_DAY_ZERO: Final = 1721426
"""Julian number of 1 January of the year 1."""


class _Column(NamedTuple):
    name: bytes
    kind: str
    size: int
    digits: int


class DbfTable(Handler):
    name = "dbf"
    media_types = ("application/x-dbf",)
    signatures = tuple(Signature(bytes([kind])) for kind in _KINDS)
    suffixes = (".dbf", ".dbc", ".scx", ".vcx", ".pjx", ".frx")
    fields: ClassVar[dict[str, str]] = {
        "dbf.kind": "program and level of the table",
        "dbf.rows": "number of rows, by the head",
        "dbf.deleted": "rows that are marked as deleted; they are told, too",
        "dbf.column": "name and type of a column",
        "dbf.codec": "the encoding that the text was read by",
        "dbf.language_driver": "mark of the code page in the head, where it is set",
        "dbf.memo": "name of the memo file that was read beside it",
    }
    reads = "rows with memos, deleted ones too; columns, code page, date of the last change"
    rank = 58
    uses_name = True
    volumes = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if len(head) < 65 or head[0] not in _KINDS or not 1 <= head[2] <= 12 or not 1 <= head[3] <= 31:
            return None
        start, width = struct.unpack_from("<HH", head, 8)
        columns = _columns(head)
        first = 68 if head[0] in _SEVEN else 32
        sound = columns and sum(column.size for column in columns) + 1 == width and first < start
        return self.media_types[0] if sound else None

    def is_volume(self, stream: Stream) -> bool:
        return any(column.kind in "MGPB" for column in _columns(stream.at(0, 65536)))

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 65536)
        if len(head) < 32 or head[0] not in _KINDS or head[10:12] == b"\0\0":
            raise EvidenceError("corrupt", "the head is of no known kind, or its rows have no width")
        rows, start, width = struct.unpack_from("<IHH", head, 4)
        columns = _columns(head)
        yield Field("dbf.kind", _KINDS[head[0]])
        yield Field("dbf.rows", rows)
        changed = head[1] + (1900 if head[1] >= 80 else 2000)
        try:
            at = datetime(changed, head[2], head[3], tzinfo=UTC)
            yield Timestamp("M", at, "dbf.header", 86400.0, zone_known=False)
        except ValueError:
            pass  # 30 February: nothing was recorded
        if head[29]:
            yield Field("dbf.language_driver", f"0x{head[29]:02x}")
        memo = _Memo(stream, head[0]) if any(column.kind in "MGPB" for column in columns) else None
        codec = _CODECS.get(head[29]) or _guess(stream, columns, start, width)
        names = [decode_as(column.name, codec)[0] for column in columns]
        for name, column in zip(names, columns, strict=True):
            yield Field("dbf.column", f"{name} {column.kind}({column.size})")
        yield Field("dbf.codec", codec)
        if memo and memo.name:
            yield Field("dbf.memo", memo.name)
        table = _Table(stream, columns, start, width, min(rows, (stream.size - start) // width), codec, memo)
        yield from passages(table.lines(), "rows", heading="\t".join(names))
        if table.deleted:
            yield Field("dbf.deleted", table.deleted)
        if memo and not memo.name and table.wanted:
            yield Problem("truncated", f"{table.wanted} memos stand in a file that is not here", resolution="left out")
        if table.lossy:
            yield Problem("lossy-text", f"{table.lossy} bytes are not {codec}", resolution="shown as U+FFFD")
        if start + rows * width > stream.size:
            yield Problem("truncated", f"{table.rows} of {rows} rows are here", resolution="read up to there")


def _columns(head: bytes) -> list[_Column]:
    """The columns; none where a descriptor is not one."""
    seven = head[0] in _SEVEN
    at, step = (68, 48) if seven else (32, 32)
    found: list[_Column] = []
    while at + step <= len(head) and head[at] not in (0x0D, 0) and len(found) < 2048:
        if seven:
            name, kind, size, digits = head[at : at + 32], head[at + 32], head[at + 33], head[at + 34]
        else:
            name, kind, size, digits = head[at : at + 11], head[at + 11], head[at + 16], head[at + 17]
        if kind not in _TYPES or not size:
            return []
        if kind == 0x43 and digits and not seven:  # Clipper: long texts have their size in both bytes
            size += digits << 8
        found.append(_Column(name.partition(b"\0")[0].strip(), chr(kind), size, digits))
        at += step
    return found if head[at : at + 1] == b"\r" else []


def _guess(stream: Stream, columns: list[_Column], start: int, width: int) -> str:
    """The encoding that the texts of the first rows speak for."""
    data = stream.at(start, _SAMPLE // width * width or width)
    offset, held = 1, bytearray()
    for column in columns:
        if column.kind == "C":
            for at in range(offset, len(data), width):
                held += data[at : at + column.size].rstrip() + b"\n"
        offset += column.size
    codec = detect(bytes(held) + b"\n".join(column.name for column in columns)).codec
    return "cp1252" if codec.startswith(("utf-16", "utf-32")) else codec


class _Table:
    def __init__(
        self,
        stream: Stream,
        columns: list[_Column],
        start: int,
        width: int,
        rows: int,
        codec: str,
        memo: _Memo | None,
    ) -> None:
        self._stream = stream
        self._columns = columns
        self._start = start
        self._width = width
        self.rows = max(0, rows)
        self._codec = codec
        self._memo = memo
        self.deleted = self.lossy = self.wanted = 0

    def lines(self) -> Iterator[str]:
        """Every row as one line."""
        step = max(1, _AT_ONCE // self._width)
        for first in range(0, self.rows, step):
            count = min(step, self.rows - first)
            data = self._stream.at(self._start + first * self._width, count * self._width)
            for at in range(0, len(data) - self._width + 1, self._width):
                yield self._line(data[at : at + self._width])

    def _line(self, row: bytes) -> str:
        cells, at = [], 1
        for column in self._columns:
            cells.append(one_line(self._cell(column, row[at : at + column.size])))
            at += column.size
        line = "\t".join(cells).rstrip()
        if row[:1] != b"*":
            return line
        self.deleted += 1
        return f"[deleted] {line}"

    def _cell(self, column: _Column, raw: bytes) -> str:
        kind = column.kind
        if kind in "MGP" or (kind == "B" and column.size == 10):
            return self._from_memo(kind, raw)
        if kind in _BINARY and len(raw) == _BINARY[kind][0]:
            return _BINARY[kind][1](raw)
        if kind in "DNFL":
            return raw.strip(b" \0").decode("ascii", "replace")
        text, lossy = decode_as(raw.rstrip(b" \0"), self._codec)
        self.lossy += lossy
        return text

    def _from_memo(self, kind: str, raw: bytes) -> str:
        number = int.from_bytes(raw, "little") if len(raw) == 4 else int(raw) if raw.strip().isdigit() else 0
        if not number or self._memo is None:
            return ""
        self.wanted += 1
        data = self._memo.read(number)
        if kind != "M":
            return f"[{len(data)} bytes]"
        text, lossy = decode_as(data, self._codec)
        self.lossy += lossy
        return text


def _moment(raw: bytes) -> str:
    day, milliseconds = struct.unpack("<ii", raw)
    try:
        at = datetime.combine(date.fromordinal(day - _DAY_ZERO + 1), datetime.min.time())
        return (at + timedelta(milliseconds=milliseconds)).isoformat(" ", "seconds") if day else ""
    except (ValueError, OverflowError):
        return raw.hex()


_BINARY: Final[dict[str, tuple[int, Callable[[bytes], str]]]] = {
    "I": (4, lambda raw: str(int.from_bytes(raw, "little", signed=True))),
    "+": (4, lambda raw: str(int.from_bytes(raw, "big") & 0x7FFFFFFF)),
    "Y": (8, lambda raw: f"{int.from_bytes(raw, 'little', signed=True) / 10000:.4f}"),
    "B": (8, lambda raw: f"{struct.unpack('<d', raw)[0]:g}"),
    "T": (8, _moment),
}


class _Memo:
    """The memo file beside a table; `name` is empty where there is none."""

    def __init__(self, stream: Stream, kind: int) -> None:
        self._file: BinaryIO | None = None
        self.name = ""
        stem = stream.name[: len(stream.name) - len(stream.suffix)]
        for suffix in _SUFFIXES:
            if (file := stream.sibling(stem + suffix)) is not None:
                self._file, self.name = file, stem + suffix
                break
        if self._file is None:
            return
        head = self._at(0, 512)
        self._fox = kind in (0x30, 0x31, 0x32, 0xF5) or self.name.lower().endswith(".fpt")
        big, little = head[6:8].ljust(2, b"\0"), head[20:22].ljust(2, b"\0")
        self._block = (int.from_bytes(big, "big") if self._fox else int.from_bytes(little, "little")) or 512
        self._old = kind == 0x83 and not self._fox

    def _at(self, offset: int, size: int) -> bytes:
        if self._file is None:
            return b""
        self._file.seek(offset)
        return self._file.read(size)

    def read(self, number: int) -> bytes:
        """The memo that begins in this block."""
        if self._file is None:
            return b""
        if self._old:
            return self._at(number * 512, 65536).partition(b"\x1a")[0]
        at = number * self._block
        head = self._at(at, 8)
        if len(head) < 8:
            return b""
        if self._fox:
            return self._at(at + 8, min(int.from_bytes(head[4:], "big"), _MEMO))
        if head[:4] == b"\xff\xff\x08\0":
            return self._at(at + 8, min(max(0, int.from_bytes(head[4:], "little") - 8), _MEMO))
        return self._at(at, 65536).partition(b"\x1a")[0]
