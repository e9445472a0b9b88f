"""Access databases: every table row by row, queries, what forms, reports and modules are called, attachments.

Source: the description of the MDB format that the mdbtools project publishes (HACKING.md); the catalogue
MSysObjects, the parts of queries in MSysQueries, attachments as ACE keeps them in tables of its own.
Limits: system tables are not shown but for queries; forms, reports, macros and modules by name alone;
databases encrypted with a password by Access 2007 and later; indexes; replication; what freed pages hold.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC
from functools import partial
from typing import BinaryIO, ClassVar, cast

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import label
from indexer.handlers._html import Page, read_page
from indexer.handlers._jet import LONGEST, Jet, Table, Value
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp

_VERSIONS = {0: "Jet 3", 1: "Jet 4", 2: "ACE 12", 3: "ACE 14", 4: "ACE 15", 5: "ACE 16", 6: "ACE 17"}
_CATALOGUE = 2
_KINDS = {
    5: "access.query",
    -32768: "access.form",
    -32764: "access.report",
    -32766: "access.macro",
    -32761: "access.module",
}
_LINKED = (4, 6)
_SYSTEM = 0x80000002
_PIECE = 64 * 1024
_SHOWN = 64
"""Bytes of a binary value that are shown; a longer one is a member."""


class AccessDatabase(Handler):
    name = "access"
    media_types = ("application/x-msaccess", "application/vnd.ms-access", "application/msaccess", "application/mdb")
    signatures = (Signature(b"Standard Jet DB\0", 4), Signature(b"Standard ACE DB\0", 4))
    suffixes = (".mdb", ".accdb", ".mde", ".accde", ".mdt", ".accdt", ".mda", ".accda")
    fields: ClassVar[Mapping[str, str]] = {
        "access.version": "version of the database engine's format",
        "access.password": "password that the program asks for; it protects nothing",
        "access.table": "name of a table",
        "access.rows": "rows of the tables together",
        "access.query": "name of a stored query",
        "access.form": "name of a form",
        "access.report": "name of a report",
        "access.macro": "name of a macro",
        "access.module": "name of a module",
        "access.linked_table": "name of a table that lies in another database",
        "access.column": "table and column that a value came from",
        "refers_to": "path or connection of another database that this one uses",
    }
    reads = "tables row by row, deleted rows, queries; names of forms, reports, modules; objects and attachments"
    needs = ("Cryptodome",)
    rank = 30
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        database = Jet(stream)
        yield Field("access.version", _VERSIONS.get(database.version, str(database.version)))
        if password := database.password:
            yield Field("access.password", password)
        if made := database.made:
            yield Timestamp("B", made.replace(tzinfo=UTC), "access.header", zone_known=False)
        tables: dict[str, int] = {}
        queries: dict[int, str] = {}
        system: dict[str, int] = {}
        for entry in database.rows(database.table(_CATALOGUE)):
            name, kind, identity = str(entry.get("Name") or ""), entry.get("Type"), entry.get("Id")
            if not isinstance(kind, int) or not isinstance(identity, int):
                continue
            flags = entry.get("Flags")
            if kind == 1:
                hidden = (isinstance(flags, int) and flags & _SYSTEM) or name.startswith("MSys")
                (system if hidden else tables).setdefault(name, identity & 0xFFFFFF)
            elif kind in _LINKED:
                yield Field("access.linked_table", name)
                for target in (entry.get("Database"), entry.get("Connect")):
                    yield from (Field("refers_to", str(target)),) if target else ()
            elif kind in _KINDS and not name.startswith("~"):
                yield Field(_KINDS[kind], name)
                if kind == 5:
                    queries[identity] = name
        total = 0
        for name, page in sorted(tables.items()):
            yield Field("access.table", name)
            table = yield from _table(database, name, page)
            if table:
                total += table.rows
                yield from _show(database, name, table)
        yield Field("access.rows", total)
        if "MSysQueries" in system:
            table = yield from _table(database, "MSysQueries", system["MSysQueries"])
            yield from _queries(database, table, queries) if table else ()
        for name, page in sorted(system.items()):
            if name.startswith("f_"):
                table = yield from _table(database, name, page)
                yield from _attachments(database, table) if table else ()


def _table(database: Jet, name: str, page: int) -> Generator[Fact, None, Table | None]:
    try:
        return database.table(page)
    except EvidenceError as error:
        yield Problem(error.cause, f"table {label(name)}: {error.message}", resolution="the rest was read")
    return None


def _show(database: Jet, name: str, table: Table) -> Iterator[Fact]:
    """Rows as lines of cells, the names of the columns first; long binary values as members."""
    columns = [column.name for column in table.columns]
    for deleted in (False, True):
        lines, held, first = ([] if deleted else ["\t".join(columns)]), 0, 1
        number = 0
        for number, row in enumerate(database.rows(table, deleted=deleted), 1):
            children = []
            cells = []
            for column in columns:
                value = row.get(column)
                cells.append(_cell(value))
                if isinstance(value, bytes) and len(value) > _SHOWN and not deleted:
                    children.append(_child(f"{name}/row {number}/{column}", _unwrapped(value), f"{name}.{column}"))
            lines.append("\t".join(cells))
            held += len(lines[-1])
            yield from children
            if held > _PIECE:
                yield Text("\n".join(lines), _place(name, first, number, deleted))
                lines, held, first = [], 0, number + 1
        if lines and (number or not deleted):
            yield Text("\n".join(lines), _place(name, first, number, deleted))


def _place(name: str, first: int, last: int, deleted: bool) -> str:
    rows = f" rows {first}-{last}" if last else ""
    return f"table {label(name)}{' deleted' if deleted else ''}{rows}"


def _cell(value: Value) -> str:
    """A value on one line; of memos with mark-up the words that are seen."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.hex() if len(value) <= _SHOWN else f"[{len(value)} bytes]"
    if isinstance(value, str):
        if value.startswith("<div>") and value.rstrip().endswith("</div>"):
            value = "\n".join(read_page([value], Page()))
        return " ".join(value.split("\r\n")).replace("\t", " ").replace("\n", " ")
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _queries(database: Jet, table: Table, names: dict[int, str]) -> Iterator[Text]:
    """The words of each query: its tables, columns and conditions, in the order they are kept."""
    words: dict[int, list[str]] = {}
    for row in database.rows(table):
        identity = row.get("ObjectId")
        if isinstance(identity, int) and identity in names:
            parts = [str(row[key]) for key in ("Expression", "Name1", "Name2") if row.get(key)]
            words.setdefault(identity, []).append(" ".join(parts))
    for identity, lines in words.items():
        yield Text("\n".join(filter(None, lines)), f"query {label(names[identity])}")


def _attachments(database: Jet, table: Table) -> Iterator[Fact]:
    """Files of an attachment column; they are deflated unless they were packed already."""
    if not {"FileData", "FileName"} <= {column.name for column in table.columns}:
        return
    for number, row in enumerate(database.rows(table), 1):
        data, name = row.get("FileData"), str(row.get("FileName") or f"attachment {number}")
        if isinstance(data, bytes) and len(data) > 8:
            try:
                yield _child(name, _unpacked(data), "attachment")
            except zlib.error as error:
                yield Problem("corrupt", f"attachment {label(name)}: {error}", resolution="left out")


def _unpacked(data: bytes) -> bytes:
    held = zlib.decompressobj().decompress(data[8:], LONGEST) if data[0] else data[8:]
    return held[int.from_bytes(held[:4], "little") :]


def _unwrapped(value: bytes) -> bytes:
    """An object without the wrapper that Access puts around it: its head, its class, its length."""
    if value[:2] != b"\x15\x1c":
        return value
    at = int.from_bytes(value[2:4], "little") + 8
    for _ in range(3):
        at += 4 + int.from_bytes(value[at : at + 4], "little")
    size = int.from_bytes(value[at : at + 4], "little")
    held = value[at + 4 : at + 4 + size]
    return held or value


def _child(name: str, data: bytes, column: str) -> Child:
    fields = (Field("access.column", column),)
    return Child(name, name.encode("utf-8", "surrogatepass"), partial(_open, data), fields=fields)


def _open(data: bytes) -> BinaryIO:
    return cast(BinaryIO, io.BytesIO(data))
