"""Archives of pg_dump (custom form, and the contents of its folder and tar forms): objects, SQL, rows.

Source: PostgreSQL 17, pg_dump -Fc; the layout as pg_backup_archiver.c and pg_backup_custom.c write it, versions
1.10 to 1.16.
Limits: of the folder and tar forms, toc.dat names objects and their SQL; rows are in files of their own.
Large objects are named with their numbers, not told.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final, NamedTuple

from indexer.decoding import TextReader
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._lines import lines_of
from indexer.handlers._rows import passages
from indexer.handlers._sql_rows import as_row, copied, names_in
from indexer.handlers._streams import open_chunks
from indexer.handlers._zstd import load_zstd
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp

_CUSTOM: Final = 1
_FORMS: Final = {1: "custom", 3: "tar", 5: "directory"}
_STRING: Final = 64 * MIB
_ENTRIES: Final = 1_000_000
_DATA, _BLOBS = 1, 3
_PIECE: Final = 256 * 1024


class PgArchive(Handler):
    name = "pg-dump"
    media_types = ("application/x-pg-dump",)
    signatures = (Signature(b"PGDMP"),)
    suffixes = (".dump", ".backup", ".pgdump", ".dat")
    fields: ClassVar[dict[str, str]] = {
        "sql.program": "program that wrote the dump",
        "sql.client_version": "its version",
        "sql.server_version": "version of the server that was dumped",
        "sql.database": "name of a database",
        "sql.table": "name of a table",
        "sql.rows": "number of rows in the whole dump",
        "pg.form": "form of the archive: custom, tar, directory",
        "pg.version": "version of the archive's layout",
        "pg.entries": "number of objects",
        "pg.owner": "owner of an object",
        "pg.blobs": "number of large objects",
    }
    reads = "objects with their SQL and owners, rows by table; server, database and time of the dump"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        sound = len(head) > 12 and head[:5] == b"PGDMP" and head[5] == 1 and head[8] <= 8 and head[10] in _FORMS
        return self.media_types[0] if sound else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        archive = _Archive(stream)
        yield Field("sql.program", "pg_dump")
        yield from archive.head()
        entries = yield from archive.entries()
        if archive.form == _CUSTOM:
            yield from archive.blocks(entries)


class _Entry(NamedTuple):
    label: str
    kind: str
    columns: tuple[str, ...]


class _Archive:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        head = stream.head
        self._version = head[5], head[6]
        self._int, self._offset, self.form = head[8], head[9], head[10]
        self._at = 11

    def _take(self, length: int) -> bytes:
        data = self._stream.at(self._at, length)
        if len(data) < length:
            raise EvidenceError("truncated", f"the archive breaks off at {self._stream.size}")
        self._at += length
        return data

    def _number(self) -> int:
        raw = self._take(self._int + 1)
        value = int.from_bytes(raw[1:], "little")
        return -value if raw[0] else value

    def _string(self) -> str | None:
        length = self._number()
        if length < 0:
            return None
        if length > min(_STRING, self._stream.size):
            raise EvidenceError("corrupt", f"a string of {length} bytes at {self._at}")
        return self._take(length).decode("utf-8", "replace") if length else ""

    def head(self) -> Iterator[Fact]:
        """What the archive says of itself."""
        yield Field("pg.form", _FORMS[self.form])
        yield Field("pg.version", f"{self._version[0]}.{self._version[1]}")
        if self._version < (1, 10):
            raise EvidenceError("unsupported", "an archive of before version 1.10")
        self._packing = self._take(1)[0] if self._version >= (1, 15) else (1 if self._number() else 0)
        second, minute, hour, day, month, year = (self._number() for _ in range(6))
        self._number()
        for name in ("sql.database", "sql.server_version", "sql.client_version"):
            if value := self._string():
                yield Field(name, value)
        try:
            at = datetime(1900 + year, month + 1, day, hour, minute, second, tzinfo=UTC)
        except (ValueError, OverflowError):
            return
        yield Timestamp("started", at, "pg_dump.header", 1.0, zone_known=False)

    def entries(self) -> Generator[Fact, None, dict[int, _Entry]]:
        """Facts of the table of contents; returns the entries by number."""
        count = self._number()
        if not 0 <= count <= _ENTRIES:
            raise EvidenceError("corrupt", f"{count} objects")
        yield Field("pg.entries", count)
        found: dict[int, _Entry] = {}
        told: set[Field] = set()
        for _ in range(count):
            number = self._number()
            self._number()
            self._string(), self._string()
            tag, kind = self._string() or "", self._string() or ""
            self._number()
            sql, _, copy = self._string() or "", self._string(), self._string() or ""
            space = self._string() or ""
            self._string()
            if self._version >= (1, 14):
                self._string()
            if self._version >= (1, 16):
                self._number()
            owner = self._string() or ""
            self._string()
            while self._string() is not None:
                pass
            if self.form == _CUSTOM:
                self._take(1 + self._offset)
            else:
                self._string()
            label = f"{space}.{tag}" if space else tag
            columns = names_in(copy[copy.find("(") : copy.find(")")]) if "(" in copy else ()
            found[number] = _Entry(label, kind, columns)
            for field in (Field("sql.table", label), Field("pg.owner", owner)):
                if field.value and field not in told and (field.name == "pg.owner" or kind == "TABLE"):
                    told.add(field)
                    yield field
            if words := sql.strip():
                yield Text(words, f"{kind} {label}")
        return found

    def blocks(self, entries: dict[int, _Entry]) -> Iterator[Fact]:
        """The rows of each table, in the order of the file."""
        rows = blobs = 0
        while self._at < self._stream.size:
            mark, number = self._take(1)[0], self._number()
            entry = entries.get(number)
            if mark == _BLOBS:
                while self._number():
                    blobs += 1
                    for _ in self._chunks():
                        pass
                continue
            if mark != _DATA or entry is None:
                raise EvidenceError("corrupt", f"no block of data at {self._at}")
            faults: list[Problem] = []
            lines = self._lines(faults)
            counted = 0

            def cells(lines: Iterator[str] = lines) -> Iterator[str]:
                nonlocal counted
                for line in lines:
                    if line.strip("\r\n") not in ("\\.", ""):
                        counted += 1
                        yield as_row(copied(line))

            yield from passages(cells(), f"table {entry.label}, rows", heading="\t".join(entry.columns))
            rows += counted
            yield from faults
            if faults:
                break
        yield Field("sql.rows", rows)
        if blobs:
            yield Field("pg.blobs", blobs)

    def _lines(self, faults: list[Problem]) -> Iterator[str]:
        def pieces() -> Iterator[bytes]:
            try:
                yield from _unpack(self._packing, self._chunks())
            except EvidenceError as error:
                faults.append(error.problem("", "read up to there"))

        with open_chunks(pieces()) as unpacked:
            yield from lines_of(TextReader(unpacked, "utf-8"))

    def _chunks(self) -> Iterator[bytes]:
        while length := self._number():
            if length < 0:
                raise EvidenceError("corrupt", f"a chunk of {length} bytes at {self._at}")
            while length:
                piece = self._stream.at(self._at, min(length, _PIECE))
                if not piece:
                    raise EvidenceError("truncated", f"the archive breaks off at {self._stream.size}")
                self._at += len(piece)
                length -= len(piece)
                yield piece


def _unpack(packing: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The rows out of their packing, in pieces of bounded size.

    Raises:
        EvidenceError: after the last piece that could be had.
    """
    if not packing:
        yield from chunks
        return
    if packing == 1:
        inflater = zlib.decompressobj()
        try:
            for chunk in chunks:
                while chunk:
                    yield inflater.decompress(chunk, _PIECE)
                    chunk = inflater.unconsumed_tail
            yield inflater.flush()
        except zlib.error as error:
            raise EvidenceError("corrupt", f"deflate: {error}") from error
        return
    decompress, errors = _decompressor(packing)
    try:
        for chunk in chunks:
            yield decompress(chunk)
    except errors as error:
        raise EvidenceError("corrupt", f"rows do not unpack: {error}") from error


def _decompressor(packing: int) -> tuple[Callable[[bytes], bytes], tuple[type[Exception], ...]]:
    try:
        if packing == 2:
            import lz4.frame

            return lz4.frame.LZ4FrameDecompressor().decompress, (RuntimeError, EOFError)
        if packing == 3:
            zstd = load_zstd()
            return zstd.ZstdDecompressor().decompress, (zstd.ZstdError, EOFError)
    except ImportError as error:
        raise EvidenceError("missing-library", "lz4: pip install lz4") from error
    raise EvidenceError("unsupported", f"rows packed by method {packing}")
