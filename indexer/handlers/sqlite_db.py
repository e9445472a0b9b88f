"""SQLite databases: the schema, every row of every real table as text, what browsers kept as events.

What a write-ahead log beside the database committed is applied to the copy that is read; the pages as
they were before are looked at for readable text, as are free pages and gaps in pages.

The file is opened read-only and immutable, with an authorizer that allows nothing but reading
columns: views, triggers, virtual tables and generated columns of the evidence are shown as SQL and
never run. Text of a wrong encoding is decoded column by column.

Source: the SQLite database file format, sections 1.3 (header), 2.6 (schema); sqlite.org/security.html.
Limits: the rollback journal is not applied; of deleted rows the readable text is told, not the columns, and
none where a table holds secrets; passwords and card numbers of browsers are not told; values longer than
256 MiB stop their table; a table or column whose name is not UTF-8 cannot be asked for, and only its schema
is shown.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO, ClassVar, cast

from indexer.decoding import decode
from indexer.errors import EvidenceError, StoreError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._browser import FIELDS as BROWSER_FIELDS
from indexer.handlers._browser import SECRETS, tell_browser
from indexer.handlers._sqlite_dead import read_dead, read_pages
from indexer.handlers._sqlite_show import Raw, Row, Table, quote, show_rows, show_value
from indexer.handlers._sqlite_wal import Log, apply_log, read_log
from indexer.model import Cause, Fact, Field, Problem, Text

ROWS = 100
GROUP_CHARS = 256 << 10
LONGEST = 256 << 20
STEPS = 20_000
"""Steps of SQLite's machine between two looks at the clock, which counts steps: the same everywhere."""
MOST_STEPS = 200_000_000
"""Steps until the next row comes, or the query is stopped: seconds of work; one row takes a few dozen."""
PROBES = 500
"""Keys tried behind a damaged page, further and further apart."""
FAILURES = (sqlite3.Error, MemoryError, ValueError)
"""What a damaged file makes the library raise: it asks the allocator for a damaged length before it is held
against the file (MemoryError), and decodes names in its messages and callbacks strictly (ValueError)."""
_ENCODINGS = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_VIRTUAL_COLUMN = 2
_BARE = r"[A-Za-z][A-Za-z ]{2,40}|.+QuarantineEvents.*"
"""Names of databases without a suffix: what browsers and Macs call theirs."""


class Sqlite(Handler):
    name = "sqlite"
    version = 2
    media_types = ("application/vnd.sqlite3", "application/x-sqlite3")
    signatures = (Signature(b"SQLite format 3\0"),)
    suffixes = (".sqlite", ".sqlite3", ".db", ".db3", ".sqlitedb", ".localstorage", ".sdb")
    fields: ClassVar[Mapping[str, str]] = {
        "sqlite.user_version": "number that the program gave its own format",
        "sqlite.application_id": "number that names the program",
        "sqlite.page_size": "bytes of a page",
        "sqlite.page_count": "pages, as the header has it",
        "sqlite.free_pages": "pages that hold nothing any more: deleted rows may stand there",
        "sqlite.encoding": "encoding of text, as the header has it",
        "sqlite.journal": "wal where a write-ahead log may hold newer rows",
        "sqlite.written_by": "version of SQLite that wrote it last",
        "sqlite.table": "name of a table",
        "sqlite.view": "name of a view",
        "sqlite.virtual": "name of a virtual table, which is not run",
        "sqlite.column": "column that a blob was found in",
        "sqlite.log_frames": "frames of the write-ahead log beside it",
        "sqlite.log_pages": "pages that the write-ahead log replaced before the rows were read",
        **BROWSER_FIELDS,
    }
    reads = (
        "schema, every row of every table, the write-ahead log beside it, events of browsers, text of deleted rows, "
        "files kept in blobs"
    )
    rank = 40
    container = True
    volumes = True
    volume_names = (r".+\.(?:sqlite\d?|db\d?|sqlitedb|localstorage|storedata|sdb|dat|abcddb)", _BARE)

    def is_volume(self, stream: Stream) -> bool:
        return stream.head.startswith(b"SQLite format 3\0") and 2 in stream.head[18:20]

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield from _header(stream)
        log, log_file = _find_log(stream)
        with _opened(stream, log, log_file) as connection:
            trouble: list[str] = []
            entries = _schema(connection, trouble)
            if trouble:
                yield Problem("corrupt", f"schema: {trouble[0]}", resolution=f"{len(entries)} entries read")
            statements = [sql for _, _, _, sql in entries if sql]
            yield Text(";\n\n".join(statements), "schema")
            tables = []
            for kind, name, root, sql in entries:
                if kind == "table" and root:
                    tables.append(name)
                    yield Field("sqlite.table", name)
                elif kind == "table":
                    yield Field("sqlite.virtual", name)
                elif kind == "view":
                    yield Field("sqlite.view", name)
                if kind == "table" and not root and not sql:
                    yield Problem("corrupt", f"table {name}: the schema has no page for it")
            yield from _tell_browser(connection, tables)
            for name in tables:
                yield from _read_table(connection, name, stream.size + (log.size * log.page if log else 0))
        if not SECRETS.keys() & {name.lower() for name in tables}:
            yield from _dead(stream, log)
        if log:
            yield Field("sqlite.log_frames", log.frames)
            yield Field("sqlite.log_pages", len(log.committed))


def _find_log(stream: Stream) -> tuple[Log | None, BinaryIO | None]:
    """The write-ahead log beside the database, if its pages are of the same size."""
    file = stream.sibling(f"{stream.name}-wal") if 2 in stream.head[18:20] else None
    log = read_log(file) if file else None
    return (log, file) if log and log.page == _page_size(stream) else (None, None)


def _page_size(stream: Stream) -> int:
    page = int.from_bytes(stream.head[16:18], "big")
    return 65536 if page == 1 else page


def _dead(stream: Stream, log: Log | None) -> Iterator[Fact]:
    """Text of what is no longer there: pages that the log replaced, free pages, gaps."""
    page = _page_size(stream)
    if page < 512 or page & (page - 1):
        return
    if log:
        before = ((number, stream.at((number - 1) * page, page)) for number in sorted(log.committed))
        yield from read_pages(before, "replaced by the write-ahead log")
    yield from read_dead(stream, page)


def _tell_browser(connection: sqlite3.Connection, tables: Sequence[str]) -> Iterator[Fact]:
    """The events of browsers; what cannot be read of them is told with the tables."""

    def columns(name: str) -> Sequence[str]:
        try:
            return _describe(connection, name).columns
        except FAILURES:
            return ()

    def ask(query: str) -> Iterator[tuple[object, ...]]:
        for rows in _groups(connection, query, []):
            yield from (row.values for row in rows)

    yield from tell_browser(tables, columns, ask, show_value)


def _header(stream: Stream) -> Iterator[Fact]:
    head = stream.head[:100]
    if len(head) < 100:
        raise EvidenceError("truncated", f"{len(head)} bytes where the header alone takes 100")

    def number(at: int) -> int:
        return int.from_bytes(head[at : at + 4], "big")

    page = _page_size(stream)
    pages = number(28)
    yield Field("sqlite.page_size", page)
    yield Field("sqlite.page_count", pages)
    yield Field("sqlite.free_pages", number(36))
    yield Field("sqlite.user_version", int.from_bytes(head[60:64], "big", signed=True))
    yield Field("sqlite.application_id", number(68))
    yield Field("sqlite.encoding", _ENCODINGS.get(number(56), "none"))
    if 2 in head[18:20]:
        yield Field("sqlite.journal", "wal")
    if version := number(96):
        yield Field("sqlite.written_by", f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}")
    if pages and number(24) == number(92) and pages * page > stream.size:
        message = f"{stream.size} bytes where the header tells of {pages * page}"
        yield Problem("truncated", message, resolution="read as far as it goes")


@contextmanager
def _opened(stream: Stream, log: Log | None = None, log_file: BinaryIO | None = None) -> Iterator[sqlite3.Connection]:
    """A connection on a copy in the scratch folder that has lost its name the moment it is open.

    SQLite follows links to their end before it opens, so that the unnamed files of the spool cannot
    be handed to it by descriptor.
    """
    with tempfile.NamedTemporaryFile(dir=stream.scratch, suffix=".sqlite") as copy:
        try:
            stream.seek(0)
            while chunk := stream.read(1 << 20):
                copy.write(chunk)
            if log and log_file:
                apply_log(log, log_file, cast(BinaryIO, copy))
                if log.size:
                    copy.truncate(min(copy.seek(0, 2), log.size * log.page))
            # There is no log beside the copy: it must not ask for one.
            copy.seek(18)
            copy.write(b"\1\1")
            copy.flush()
        except OSError as error:
            raise StoreError(f"{stream.scratch}: the scratch copy cannot be written: {error.strerror}") from error
        connection = sqlite3.connect(f"file:{copy.name}?mode=ro&immutable=1", uri=True, isolation_level=None)
    with closing(connection):
        connection.text_factory = Raw
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(LONGEST, max(stream.size, 1 << 16)))
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        try:
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "writable_schema=ON"):
                # A schema with one broken entry is refused as a whole unless it counts as writable.
                connection.execute(f"PRAGMA {pragma}")
        except FAILURES as error:
            raise EvidenceError("corrupt", f"the database cannot be opened: {_message(error)}") from error
        connection.set_authorizer(_authorize)
        yield connection


def _authorize(action: int, first: str | None, _second: str | None, _database: str | None, _by: str | None) -> int:
    """Reading columns, and asking for the columns of a table; nothing else."""
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo" else sqlite3.SQLITE_DENY


def _schema(connection: sqlite3.Connection, trouble: list[str]) -> list[tuple[str, str, int, str]]:
    """Type, name, root page and SQL of every entry, as far as they can be read.

    Raises:
        EvidenceError: `corrupt`, where none can be.
    """
    entries = []
    try:
        for kind, name, root, sql in connection.execute("SELECT type, name, rootpage, sql FROM sqlite_schema"):
            entries.append((_text(kind), _text(name), root if isinstance(root, int) else 0, _text(sql)))
    except FAILURES as error:
        if not entries:
            raise EvidenceError("corrupt", f"the schema cannot be read: {_message(error)}") from error
        trouble.append(_message(error))
    return entries


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "a value of impossible length"
    return str(error) if isinstance(error, sqlite3.Error) else "a name that is not UTF-8"


def _text(value: object) -> str:
    return decode(value).text if isinstance(value, bytes) else "" if value is None else str(value)


class _Clock:
    """Counts the machine's steps since the last row."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self) -> bool:
        self.steps += STEPS
        return self.steps > MOST_STEPS


def _read_table(connection: sqlite3.Connection, name: str, size: int) -> Iterator[Fact]:
    try:
        table = _describe(connection, name)
    except FAILURES as error:
        yield Problem("corrupt", f"table {name}: {_message(error)}", resolution="not read")
        return
    done = 0
    trouble: list[str] = []
    last: int | None = None
    for rows in _groups(connection, table.query(), trouble):
        yield from show_rows(table, rows, done)
        done += len(rows)
        last = rows[-1].key
        if done > size:
            trouble.append("more rows than the file has bytes")
            break
    if trouble:
        if table.key:
            for rows in _salvage(connection, table, last):
                yield from show_rows(table, rows, done, "behind damage")
                done += len(rows)
        cause: Cause = "timeout" if trouble[0] == "interrupted" else "corrupt"
        yield Problem(cause, f"table {name}: {trouble[0]}", resolution=f"{done} rows read")


def _describe(connection: sqlite3.Connection, name: str) -> Table:
    """The table's columns without those that SQLite would have to compute.

    Raises:
        sqlite3.Error: where its schema cannot be read.
    """
    rows = connection.execute(f"PRAGMA table_xinfo({quote(name)})").fetchall()
    columns = tuple(_text(row[1]) for row in rows if row[6] != _VIRTUAL_COLUMN)
    if not columns:
        raise sqlite3.DatabaseError("no columns can be read")
    taken = {column.lower() for column in columns}
    key = next((each for each in ("rowid", "_rowid_", "oid") if each not in taken), "")
    if key:
        try:
            connection.execute(Table(name, columns, key).query("LIMIT 0"))
        except FAILURES:
            # A table WITHOUT ROWID has no such column.
            key = ""
    return Table(name, columns, key)


def _salvage(connection: sqlite3.Connection, table: Table, last: int | None) -> Iterator[list[Row]]:
    """Rows behind a damaged page: from the end backwards, then from keys between, as far as they lead."""
    low = 1 << 62
    backwards = table.query(f"ORDER BY {table.key} DESC")
    for rows in _groups(connection, backwards, [], down_to=last):
        yield rows
        low = rows[-1].key or low
    start, step = last or 0, 0
    for _ in range(PROBES):
        step += 1
        start += step
        if start >= low:
            return
        trouble: list[str] = []
        between = table.query(f"WHERE {table.key} >= {start} AND {table.key} < {low}")
        for rows in _groups(connection, between, trouble):
            if (rows[0].key or 0) < start:
                return
            yield rows
            start, step = rows[-1].key or start, 0
        if not trouble:
            return


def _groups(
    connection: sqlite3.Connection, query: str, trouble: list[str], *, down_to: int | None = None
) -> Iterator[list[Row]]:
    """The rows of a query in groups, up to a key that was read before; trouble is told, not raised.

    Keys must run one way: pages that point at one another would give the same rows without end.
    """
    clock = _Clock()
    connection.set_progress_handler(clock, STEPS)
    way = -1 if query.endswith("DESC") else 1
    before: int | None = None
    rows: list[Row] = []
    chars = 0
    try:
        for key, *values in connection.execute(query):
            clock.steps = 0
            if down_to is not None and key <= down_to:
                break
            if key is not None and before is not None and (key - before) * way <= 0:
                trouble.append("row ids out of order")
                break
            before = key
            rows.append(Row(key, tuple(values)))
            chars += sum(len(value) for value in values if isinstance(value, bytes))
            if len(rows) >= ROWS or chars > GROUP_CHARS:
                yield rows
                rows, chars = [], 0
    except FAILURES as error:
        trouble.append(_message(error))
    if rows:
        yield rows
