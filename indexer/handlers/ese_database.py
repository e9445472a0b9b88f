"""Databases of Windows' storage engine: network and program use (SRUM), browser caches, search index, others.

Source: the ESE database file format as documented by libesedb.
Limits: long values that are stored apart from their row are read as strings; deleted rows and the
    database's transaction logs are not read; secondary indexes are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._ese import Column, Database
from indexer.handlers._hive_words import readable
from indexer.handlers._runs import find_runs
from indexer.handlers._windows import guid, moment, narrow, sid
from indexer.model import Fact, Field, Problem, Text, Timestamp

_MARK: Final = b"\xef\xcd\xab\x89"
_STATES: Final = {
    1: "just created",
    2: "not closed cleanly",
    3: "closed cleanly",
    4: "being upgraded",
    5: "being moved",
}
_KINDS: Final = (
    ("srudbidmaptable", "SRUM: use of programs and network"),
    ("containers", "WebCache: history and cookies of Windows"),
    ("systemindex_propertystore", "Windows Search"),
    ("systemindex_0a", "Windows Search"),
    ("datatable", "Active Directory"),
    ("tbfiles", "Windows Update"),
    ("message", "mail store"),
)
_TABLES: Final = 2_000
_SYSTEM: Final = ("MSysObjects", "MSysObjectsShadow", "MSysUnicodeFixupVer1", "MSysUnicodeFixupVer2", "MSysLocales")
_SHOWN: Final = 48
_RECENT: Final = range(0x01B0_0000_0000_0000, 0x0210_0000_0000_0000)
"""FILETIMEs from 1990 to 2075: numbers of 64 bits among these are shown as times too."""


class EseDatabase(Handler):
    name = "ese"
    media_types = ("application/x-ms-ese",)
    signatures = (Signature(_MARK, 4),)
    suffixes = (".edb", ".dat")
    fields: ClassVar[dict[str, str]] = {
        "ese.kind": "what the database is for, by its tables",
        "ese.table": "name of a table",
        "ese.rows": "number of rows that were read",
        "ese.page_size": "bytes of a page",
        "ese.version": "version and revision of the format",
        "ese.state": "whether the database was closed cleanly",
        "ese.computer": "machine that the database was made on",
    }
    reads = "tables, and every row with its columns by name"
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 668)
        if len(head) < 668:
            raise EvidenceError("truncated", "the header is not whole")
        database = Database(stream)
        yield Field("ese.version", f"{database.version:#x}.{database.revision}")
        yield Field("ese.state", _STATES.get(database.state, str(database.state)))
        yield from _made(head)
        if not database.page_size:
            raise EvidenceError("corrupt", f"pages of {struct.unpack_from('<I', head, 236)[0]} bytes cannot be")
        yield Field("ese.page_size", database.page_size)
        database.read_catalog()
        names = [table.name for table in database.tables.values() if table.name]
        lower = {name.lower() for name in names}
        if kind := next((kind for name, kind in _KINDS if name in lower), ""):
            yield Field("ese.kind", kind)
        for name in names[:_TABLES]:
            yield Field("ese.table", name)
        yield from _rows(database)
        if database.bad_pages:
            message = f"{database.bad_pages} pages hold entries that lead outside"
            yield Problem("corrupt", message, resolution="read what could be had")
        if stream.size % database.page_size:
            yield Problem("truncated", "the last page is not whole", resolution="read up to there")


def _made(head: bytes) -> Iterator[Fact]:
    """When and where the database was made: a local clock of an unknown zone."""
    second, minute, hour, day, month, year = head[28:34]
    try:
        at = datetime(1900 + year, month, day, hour, minute, second, tzinfo=UTC)
        yield Timestamp("B", at, "ese.signature", 1.0, zone_known=False)
    except ValueError:
        pass  # not recorded
    if name := narrow(head[36:52]).strip():
        yield Field("ese.computer", name)


def _rows(database: Database) -> Iterator[Fact]:
    counts: dict[int, int] = {}
    total = 0
    for entry in database.entries():
        table = database.tables.get(entry.owner)
        if entry.is_long or table is None:
            if words := _strings(entry.data):
                yield Text(words, f"long values of object {entry.owner}")
            continue
        if table.name in _SYSTEM:
            continue
        number = counts[entry.owner] = counts.get(entry.owner, 0) + 1
        total += 1
        told = [f"{column.name}={_tell(column, value)}" for column, value in database.row(table, entry.data)]
        yield Text(" | ".join(told), f"{table.name or entry.owner} row {number}")
    yield Field("ese.rows", total)


def _tell(column: Column, value: bytes) -> str:
    """One value as text, by the type of its column."""
    kind = column.kind
    if kind in (10, 12):
        if column.page == 1200:
            return value[: len(value) & ~1].decode("utf-16-le", "replace").rstrip("\0")
        return narrow(value)
    if kind == 1:
        return "yes" if value[0] else "no"
    if kind in (2, 14, 17):
        return str(int.from_bytes(value, "little"))
    if kind in (3, 4, 5, 15):
        number = int.from_bytes(value, "little", signed=True)
        return f"{number} ({moment(number)})" if number in _RECENT else str(number)
    if kind == 16:
        return guid(value)
    if kind in (6, 7):
        return f"{struct.unpack('<f' if kind == 6 else '<d', value)[0]:g}"
    if kind == 8:
        return moment(int.from_bytes(value, "little")) or f"{struct.unpack('<d', value)[0]:g}"
    if told := sid(value) or readable(value):
        return told
    return value[:_SHOWN].hex(" ") + (f" ... ({len(value)} bytes)" if len(value) > _SHOWN else "")


def _strings(data: bytes) -> str:
    return "\n".join(data[run.start : run.end].decode(run.codec, "replace") for run in find_runs(data))
