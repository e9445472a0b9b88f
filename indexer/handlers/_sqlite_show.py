"""Rows of SQLite tables as text, and the files that blobs are; how a table is asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, TypeGuard

from indexer.decoding import decode, decode_as
from indexer.detection import detect
from indexer.handlers._browser import SECRETS
from indexer.model import Child, Fact, Field, Text

BLOB = 64
"""A shorter blob is shown in hex as a whole."""
_FILES = (
    *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"8BPS", b"%PDF", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh"),
    *(b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    *(b"SQLite format 3\0", b"bplist00", b"II*\0", b"MM\0*", b"OggS", b"fLaC", b"ID3", b"{\\rtf", b"<?xml", b"<html"),
)
"""What marks a blob as a file worth reading on its own."""


class Raw(bytes):
    """A text value as stored; blobs come as plain bytes."""


class Row(NamedTuple):
    """A row and its key, where it has one."""

    key: int | None
    values: tuple[object, ...]


class Table(NamedTuple):
    """A table as its queries name it; `key` is empty where it has no row ids."""

    name: str
    columns: tuple[str, ...]
    key: str

    def query(self, rest: str = "") -> str:
        """Every row, or those that `rest` asks for; no index is used, for an index may lie."""
        chosen = ", ".join(quote(column) for column in self.columns)
        return f"SELECT {self.key or 'NULL'}, {chosen} FROM {quote(self.name)} NOT INDEXED {rest}"  # noqa: S608


def quote(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def show_rows(table: Table, rows: Sequence[Row], done: int, note: str = "") -> Iterator[Fact]:
    """Rows as lines of cells, the names of the columns before the first; files among them as members."""
    name, columns = table.name, table.columns
    secret = SECRETS.get(name.lower(), frozenset())
    codecs = [_codec([row.values[place] for row in rows]) for place in range(len(columns))]
    lines = [] if done else ["\t".join(columns)]
    children = []
    for number, row in enumerate(rows, done + 1):
        cells = []
        for column, value, codec in zip(columns, row.values, codecs, strict=True):
            if value and column in secret:
                cells.append(f"[secret of {len(value) if isinstance(value, bytes) else 8} bytes, not told]")
                continue
            cells.append(show_value(value, codec))
            if _is_file(value):
                label = f"{name}/{row.key if row.key is not None else f'row {number}'}/{column}"
                fields = (Field("sqlite.table", name), Field("sqlite.column", column))
                children.append(Child(label, label.encode("utf-8", "replace"), _opener(value), fields=fields))
        lines.append("\t".join(cells))
    locator = f"table {name} rows {done + 1}-{done + len(rows)}"
    yield Text("\n".join(lines), f"{locator} {note}".strip())
    yield from children


def _codec(values: Sequence[object]) -> str:
    """What the texts of one column that are not UTF-8 are written in, judged together."""
    strange = []
    for value in values:
        if isinstance(value, Raw):
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                strange.append(bytes(value))
    return detect(b"\n".join(strange)).codec if strange else ""


def _is_file(value: object) -> TypeGuard[bytes]:
    if not isinstance(value, bytes) or isinstance(value, Raw) or len(value) <= BLOB:
        return False
    return value.startswith(_FILES) or value[4:8] == b"ftyp"


def show_value(value: object, codec: str = "") -> str:
    """One value as text; `codec` is for text that is not UTF-8."""
    if value is None:
        return ""
    if isinstance(value, Raw):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return decode_as(value, codec)[0] if codec else decode(value).text
    if not isinstance(value, bytes):
        return str(value)
    if len(value) <= BLOB:
        return f"x'{value.hex()}'"
    return (not _is_file(value) and _printable(value)) or f"x'{value[:BLOB].hex()}...' ({len(value)} bytes)"


def _printable(value: bytes) -> str:
    """The text that a blob is, where it is nothing else."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "" if any(char < " " and char not in "\t\r\n" for char in text) else text


def _opener(value: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(value)
