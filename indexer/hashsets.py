"""Lists of digests: what is known to be of no interest, and what is notable; millions of them, never in memory.

    hashsets.sqlite   sets(number, name, kind, origin, rows)
                      digests(digest, number): MD5, SHA-1 and SHA-256 by their lengths, sorted

A list is NSRL's (RDS 3 as SQLite, or the older CSV), any CSV or SQLite with columns named after digests, or plain
lines that begin with one, as `sha256sum` writes them. It is sorted by SQLite, which spills to disk, so that the
table is written in order.

Source: NIST, National Software Reference Library, RDS 3 data formatting; RDS 2 NSRLFile.txt.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct

from indexer.errors import StoreError, UsageError, reason_of
from indexer.model import Digests

Kind = Literal["known", "notable"]
KINDS: tuple[Kind, ...] = ("known", "notable")
FILE = "hashsets.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sets (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, origin TEXT NOT NULL,
    rows INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS digests (
    digest BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (digest, number)
) WITHOUT ROWID;
"""
_LENGTHS = {32: "md5", 40: "sha1", 64: "sha256"}
_COLUMNS = ("sha256", "sha-256", "sha1", "sha-1", "md5")
_HEX = frozenset("0123456789abcdefABCDEF")


class HashSet(Struct, frozen=True):
    """One list, as it was taken in."""

    name: str
    kind: str
    origin: str
    rows: int


class HashSets:
    """The lists of a case. A missing file is no list.

    Raises:
        StoreError: the file is damaged.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        is_new = not path.exists() or not path.stat().st_size  # a full disk leaves a file without a byte
        if not write and is_new:
            return
        try:
            uri = path.absolute().as_uri() + ("?mode=rwc" if write else "?mode=ro")
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
            if write:
                self._connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            self._connection.execute("SELECT count(*) FROM sets").fetchone()
        except sqlite3.Error as error:
            self.close()
            if is_new:
                path.unlink(missing_ok=True)
            raise StoreError(f"{path}: {reason_of(error)}") from error

    def close(self) -> None:
        """Closes the file."""
        if self._connection:
            self._connection.close()

    def names_of(self, digests: Digests | None, kind: Kind) -> tuple[str, ...]:
        """The lists of this kind that hold any of an item's digests, by name."""
        if self._connection is None or digests is None:
            return ()
        values = [bytes.fromhex(each) for each in (digests.sha256, digests.sha1, digests.md5)]
        statement = (
            "SELECT DISTINCT name FROM digests JOIN sets USING (number) WHERE digest IN (?, ?, ?) AND kind = ? "
            "ORDER BY name"
        )
        with self._storing():
            return tuple(name for (name,) in self._connection.execute(statement, (*values, kind)))

    def sets(self) -> list[HashSet]:
        """Every list, by name."""
        if self._connection is None:
            return []
        with self._storing():
            rows = self._connection.execute("SELECT name, kind, origin, rows FROM sets ORDER BY name")
            return [HashSet(*row) for row in rows]

    def add(self, path: Path, name: str, kind: Kind) -> int:
        """Takes in a list under a name; one of the same name is replaced. Returns how many digests it has.

        Raises:
            UsageError: no digest is in the file, or it cannot be read.
            StoreError: the disk is full.
        """
        assert self._connection is not None
        run = self._connection.execute
        try:
            run("BEGIN")
            self._drop(name)
            run("CREATE TEMP TABLE taken (digest BLOB NOT NULL)")
            self._connection.executemany("INSERT INTO temp.taken VALUES (?)", ((each,) for each in digests_in(path)))
            number = run(
                "INSERT INTO sets (name, kind, origin, rows) VALUES (?, ?, ?, 0)", (name, kind, path.name)
            ).lastrowid
            count = run(
                "INSERT INTO digests SELECT DISTINCT digest, ? FROM temp.taken ORDER BY digest", (number,)
            ).rowcount
            if not count:
                raise UsageError(f"{path}: no line or column of it is a digest (MD5, SHA-1 or SHA-256 in hex)")
            run("UPDATE sets SET rows = ? WHERE number = ?", (count, number))
            run("DROP TABLE temp.taken")
            run("COMMIT")
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            told = f"{path}: {reason_of(error)}; a hash set is NSRL (SQLite or CSV), a CSV, or one digest a line"
            raise UsageError(told) from error
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        finally:
            if self._connection.in_transaction:
                run("ROLLBACK")
        return count

    def remove(self, name: str) -> None:
        """Forgets a list.

        Raises:
            UsageError: there is none of this name.
        """
        assert self._connection is not None
        if name not in {each.name for each in self.sets()}:
            raise UsageError(f"{name}: no such hash set; `archivore hashset list` names them")
        with self._storing():
            self._connection.execute("BEGIN")
            self._drop(name)
            self._connection.execute("COMMIT")

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def _drop(self, name: str) -> None:
        assert self._connection is not None
        self._connection.execute(
            "DELETE FROM digests WHERE number IN (SELECT number FROM sets WHERE name = ?)", (name,)
        )
        self._connection.execute("DELETE FROM sets WHERE name = ?", (name,))


def digests_in(path: Path) -> Iterator[bytes]:
    """Every digest in a list: of several columns the strongest one."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"SQLite format 3\0"):
        yield from _from_sqlite(path)
        return
    first = head.decode("utf-8-sig", "replace").partition("\n")[0].lower()
    names = [each.strip().strip('"') for each in first.split(",")]
    chosen = next((each for each in _COLUMNS if each in names), None)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        if chosen is not None:
            at = names.index(chosen)
            values = (row[at] for row in csv.reader(text) if len(row) > at)
        else:
            values = (line.replace("\\", " ").split(maxsplit=1)[0] for line in text if line.strip())
        for value in values:
            digest = _digest(value)
            if digest:
                yield digest


def _from_sqlite(path: Path) -> Iterator[bytes]:
    connection = sqlite3.connect(path.absolute().as_uri() + "?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            quoted = table.replace('"', '""')
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{quoted}")')]
            lowered = [column.lower() for column in columns]
            chosen = next((each for each in _COLUMNS if each in lowered), None)
            if chosen is None:
                continue
            column = columns[lowered.index(chosen)].replace('"', '""')
            for (value,) in connection.execute(f'SELECT "{column}" FROM "{quoted}"'):  # noqa: S608 - quoted names
                digest = _digest(value) if isinstance(value, str) else None
                if digest:
                    yield digest
    except sqlite3.Error as error:
        raise UsageError(f"{path}: {reason_of(error)}") from error
    finally:
        connection.close()


def _digest(value: str) -> bytes | None:
    value = value.strip()
    return bytes.fromhex(value) if len(value) in _LENGTHS and _HEX.issuperset(value) else None
