"""SQLite: what goldens cannot show."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers import sqlite_db
from indexer.handlers.sqlite_db import Sqlite
from indexer.model import Problem, Text

CUTS_FOLDER = Path(__file__).parents[3] / "fixtures" / "sqlite"
CUTS = (CUTS_FOLDER / "cuts" / "input.db").read_bytes()


def made(*statements: str) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        return bytes(connection.serialize())


def texts(data: bytes) -> dict[str, str]:
    facts = Sqlite().read(Stream(io.BytesIO(data)))
    return {fact.locator: fact.body for fact in facts if isinstance(fact, Text)}


def test_the_evidence_is_read_from_a_nameless_copy(tmp_path: Path) -> None:
    seized = tmp_path / "seized.db"
    seized.write_bytes(CUTS)
    (tmp_path / "scratch").mkdir()
    before = seized.stat()
    with seized.open("rb") as file:
        assert list(Sqlite().read(Stream(file, scratch=str(tmp_path / "scratch"))))
    assert seized.read_bytes() == CUTS
    assert seized.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["scratch", "seized.db"]


def test_names_that_need_quotes_and_tables_that_hide_their_row_ids() -> None:
    found = texts(
        made(
            'CREATE TABLE "odd ""name; DROP" ("a b" TEXT, rowid TEXT, "select" INT)',
            "INSERT INTO \"odd \"\"name; DROP\" VALUES ('x', 'mine', 3)",
            "CREATE TABLE pair (k TEXT PRIMARY KEY, rowid INT) WITHOUT ROWID",
            "INSERT INTO pair VALUES ('key', 9)",
        )
    )
    assert found['table odd "name; DROP rows 1-1'] == "a b\trowid\tselect\nx\tmine\t3"
    assert found["table pair rows 1-1"] == "k\trowid\nkey\t9"


def test_nothing_of_the_evidence_is_run() -> None:
    found = texts(
        made(
            "CREATE TABLE t (a, b AS (load_extension('x')) VIRTUAL, c AS (a || 'kept') STORED)".replace(
                "load_extension('x')", "abs(a)"
            ),
            "INSERT INTO t (a) VALUES ('value')",
            "CREATE VIEW v AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
        )
    )
    assert found["table t rows 1-1"] == "a\tc\nvalue\tvaluekept"
    assert not [locator for locator in found if locator.startswith("table v")]


@pytest.mark.parametrize("name", [b"c\x89ts", b"c\x00ts"])
def test_names_that_cannot_be_asked_for_are_told(name: bytes) -> None:
    data = CUTS.replace(b"cuts", name)
    facts = list(Sqlite().read(Stream(io.BytesIO(data))))
    assert [fact.message for fact in facts if isinstance(fact, Problem)]
    assert "박 감독" in {fact.locator: fact.body for fact in facts if isinstance(fact, Text)}["table people rows 1-1"]


def test_the_authorizer_refuses_what_is_not_reading() -> None:
    with sqlite_db._opened(Stream(io.BytesIO(CUTS))) as connection:
        for statement in (
            "DELETE FROM cuts",
            "ATTACH ':memory:' AS other",
            "SELECT abs(1)",
            "PRAGMA journal_mode=WAL",
            "CREATE TEMP TABLE t (a)",
        ):
            with pytest.raises(sqlite3.DatabaseError):
                connection.execute(statement).fetchall()


def test_a_query_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_db, "STEPS", 100)
    monkeypatch.setattr(sqlite_db, "MOST_STEPS", 0)
    facts = list(Sqlite().read(Stream(io.BytesIO(CUTS))))
    assert {fact.cause for fact in facts if isinstance(fact, Problem)} == {"timeout"}


def test_every_row_comes_out_once() -> None:
    found = texts(CUTS)
    rows = "\n".join(body for locator, body in found.items() if locator.startswith("table cuts")).split("\n")[1:]
    assert [row.split("\t")[0] for row in rows] == [str(number) for number in range(1, 131)]


def test_rows_on_both_sides_of_torn_pages_are_read() -> None:
    leaves = [at for at in range(512, len(CUTS), 512) if CUTS[at] == 13 and "컷".encode() in CUTS[at : at + 512]]
    torn = bytearray(CUTS)
    for at in leaves[2:-2:3]:
        torn[at : at + 512] = bytes(512)
    whole, partly = texts(CUTS), texts(bytes(torn))

    def rows(found: dict[str, str]) -> list[str]:
        return [line for key, body in found.items() if key.startswith("table cuts") for line in body.split("\n")]

    assert len(set(rows(partly))) == len(rows(partly))
    assert set(rows(partly)) < set(rows(whole))
    lost = len(rows(whole)) - len(rows(partly))
    assert lost <= 20 * len(leaves[2:-2:3])


@given(st.data())
@settings(max_examples=60)
def test_damaged_databases_are_never_a_crash(data: st.DataObject) -> None:
    sample = bytearray(CUTS)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(16, len(sample) - 1))
        sample[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    cut = data.draw(st.integers(100, len(sample)))
    items = crawl_bytes(bytes(sample[:cut]), "c.db")
    assert not [problem for item in items for problem in item.problems if problem.cause == "crash"]


def test_secrets_of_browsers_are_never_text() -> None:
    data = (CUTS_FOLDER / "chromium-logins" / "input.db").read_bytes()
    told = repr(crawl_bytes(data, "Login Data"))
    assert "https://kumo.example/login" in told
    assert "not for print" not in told


@given(st.data())
@settings(max_examples=60)
def test_damaged_logs_are_never_a_crash(data: st.DataObject) -> None:
    sample = bytearray((CUTS_FOLDER / "wal" / "input.tar").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(512, len(sample) - 8192))
        sample[at : at + 4] = data.draw(st.binary(min_size=1, max_size=4))
    items = crawl_bytes(bytes(sample), "c.tar")
    assert not [problem for item in items for problem in item.problems if problem.cause == "crash"]
