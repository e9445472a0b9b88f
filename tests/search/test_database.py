"""One SQLite file of a case: rows that wait are there whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import StoreError
from search.database import Database, reading_uri

SCHEMA = "CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, value TEXT); CREATE TABLE IF NOT EXISTS marks (key)"
KEEP = "INSERT OR REPLACE INTO rows VALUES (?, ?)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    held = Database(tmp_path / "rows.sqlite", SCHEMA, write=True)
    yield held
    held.close()


def test_rows_that_wait_are_seen_by_every_question(database: Database) -> None:
    database.write_soon(KEEP, (1, "a"))
    assert database.row("SELECT value FROM rows") == ("a",)
    database.write_soon(KEEP, (1, "b"))
    assert list(database.rows("SELECT value FROM rows")) == [("b",)]
    database.write_soon(KEEP, (2, "c"))
    database.write("DELETE FROM rows WHERE key = 2")
    assert list(database.rows("SELECT key FROM rows")) == [(1,)]


def test_the_last_of_equal_rows_stays(database: Database) -> None:
    for value in ("a", "b", "c"):
        database.write_soon(KEEP, (1, value))
    assert database.row("SELECT value FROM rows") == ("c",)


def test_what_is_apart_lets_them_wait(database: Database) -> None:
    database.write_soon(KEEP, (1, "a"))
    database.write("INSERT INTO marks VALUES (1)", apart=True)
    assert database.row("SELECT count(*) FROM rows", apart=True) == (0,)
    assert database.row("SELECT count(*) FROM rows") == (1,)


def test_a_commit_holds_them_and_a_close_without_one_does_not(database: Database, tmp_path: Path) -> None:
    database.write_soon(KEEP, (1, "a"))
    database.commit()
    database.write_soon(KEEP, (2, "b"))
    database.close()
    again = Database(tmp_path / "rows.sqlite", SCHEMA, write=False)
    assert list(again.rows("SELECT key FROM rows")) == [(1,)]
    again.close()


def test_a_row_that_does_not_fit_is_told_with_the_file(database: Database) -> None:
    database.write_soon("INSERT INTO rows VALUES (?, ?)", (1, "a"))
    database.write_soon("INSERT INTO rows VALUES (?, ?)", (1, "b"))
    with pytest.raises(StoreError, match=r"rows\.sqlite"):
        database.commit()


def test_rows_that_are_not_read_to_their_end_may_outlive_the_database(tmp_path: Path) -> None:
    database = Database(tmp_path / "d", "CREATE TABLE IF NOT EXISTS t (a)", write=True)
    database.write_all("INSERT INTO t VALUES (?)", [(1,), (2,)])
    rows = database.rows("SELECT a FROM t")
    assert next(rows) == (1,)
    database.commit()
    database.close()
    rows.close()  # type: ignore[attr-defined] # it is a generator


def test_resting_loses_nothing(database: Database) -> None:
    database.write_all(KEEP, ((number, "x" * 2000) for number in range(2000)))
    database.write_soon(KEEP, (5000, "soon"))
    database.rest()
    assert database.row("SELECT count(*), max(value) FROM rows WHERE key < 5000") == (2000, "x" * 2000)
    assert database.row("SELECT value FROM rows WHERE key = 5000") == ("soon",)
    database.commit()
    assert database.row("SELECT count(*) FROM rows") == (2001,)


def test_a_disc_that_cannot_be_written_is_read_without_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sqlite"
    with closing(Database(path, "CREATE TABLE t (x)", write=True)) as writer:
        writer.write("INSERT INTO t VALUES (1)")
        writer.commit()
        monkeypatch.setattr("search.database.os.access", lambda *_: False)
        assert "immutable" not in reading_uri(path)  # a writer is at work: what it logged counts
    assert "immutable" in reading_uri(path)
    with closing(Database(path, "", write=False)) as reader:
        assert reader.row("SELECT x FROM t") == (1,)
    monkeypatch.undo()
    assert "immutable" not in reading_uri(path)


def test_a_database_that_cannot_be_made_whole_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Database(tmp_path / "a.sqlite", "CREATE TABLE t (x); CREATE TABLE t (x)", write=True)
    assert list(tmp_path.iterdir()) == []
