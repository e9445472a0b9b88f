"""Hash sets: every form of list, in queries, at ingest, forgotten again."""

from __future__ import annotations

import hashlib
import sqlite3
import zipfile
from pathlib import Path

import pytest
from test_cli import archivore, lines

from cli.runs import finish_stopped
from indexer.errors import StoreError, UsageError
from indexer.hashsets import HashSets, digests_in
from indexer.limits import Limits
from indexer.model import Digests
from search.case import Case

DULL, WANTED = b"a dull library file", "분기 원화".encode()


def digests(data: bytes) -> Digests:
    return Digests(*(hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256")))


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "dull.txt").write_bytes(DULL)
    (folder / "wanted.txt").write_bytes(WANTED)
    with zipfile.ZipFile(folder / "lib.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("inside.txt"), "inside a known archive")
    return folder


def nsrl(path: Path, *contents: bytes) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE FILE (sha256 VARCHAR, sha1 VARCHAR, md5 VARCHAR, file_name VARCHAR)")
        database.execute("CREATE TABLE PKG (package_id INTEGER, name VARCHAR)")
        rows = [(digests(each).sha256.upper(), digests(each).sha1, digests(each).md5, "x") for each in contents]
        database.executemany("INSERT INTO FILE VALUES (?, ?, ?, ?)", rows)
    database.close()
    return path


def ids(case: Path, query: str) -> set[str]:
    answer = archivore("search", query, "--json", "-n", "99", case=case)
    return {str(hit["name"]) for hit in lines(answer)} if answer.returncode == 0 else set()


def test_lists_mark_what_is_known_and_what_is_notable(evidence: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", evidence, case=case)
    taken = archivore("hashset", "add", nsrl(tmp_path / "rds.db", DULL, b"other"), "--name", "nsrl", case=case)
    assert taken.returncode == 0, taken.stderr
    assert "2 known digests; 1 items" in taken.stdout
    (tmp_path / "bad.txt").write_text(f"{digests(WANTED).md5} *wanted.txt\n")
    archivore("hashset", "add", tmp_path / "bad.txt", "--notable", case=case)
    assert ids(case, "known:nsrl") == {"dull.txt"}
    assert ids(case, "notable:*") == ids(case, "notable:bad") == {"wanted.txt"}
    assert "dull.txt" not in ids(case, "ext:txt -known:*")
    card = lines(archivore("show", "evidence:wanted.txt", "--json", case=case))[0]
    assert (card["known"], card["notable"]) == ([], ["bad"])
    assert [row["name"] for row in lines(archivore("hashset", "list", "--json", case=case))] == ["bad", "nsrl"]
    assert archivore("hashset", "remove", "nsrl", case=case).returncode == 0
    assert ids(case, "known:*") == set()


def test_what_is_known_is_named_and_not_read(evidence: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    known = nsrl(tmp_path / "rds.db", DULL, (evidence / "lib.zip").read_bytes())
    archivore("hashset", "add", known, "--name", "nsrl", case=case)
    assert archivore("ingest", evidence, "--skip-known", case=case).returncode == 0
    assert ids(case, "file.skipped:nsrl") == {"dull.txt", "lib.zip"}
    assert ids(case, "dull AND text:library") == set()
    assert ids(case, "name:inside") == set()
    assert ids(case, "원화") == {"wanted.txt"}
    whole = archivore("verify", case=case)
    assert (whole.returncode, whole.stdout) == (
        0,
        "3 items are what they were, 0 are not; index and texts are whole.\n",
    )
    assert archivore("retry", "evidence:lib.zip", case=case).returncode == 0
    assert "4 items are what they were" in archivore("verify", case=case).stdout
    assert ids(case, "name:inside") == {"inside.txt"}


def test_a_run_that_was_stopped_is_finished_as_it_was_begun(evidence: Path, tmp_path: Path) -> None:
    path = tmp_path / "case"
    archivore("new", path)
    archivore("hashset", "add", nsrl(tmp_path / "rds.db", (evidence / "lib.zip").read_bytes()), case=path)
    archivore("ingest", evidence, "--skip-known", case=path)
    with Case(path, write=True) as case:
        root = case.find("evidence:lib.zip").id
        case.forget(root)
        case.open_root(root, "evidence")
        case.commit()
        finish_stopped(case, limits=Limits(), passwords=(), jobs=1, tell=lambda event: None)
        assert not case.catalog.journal.open_roots()
    assert ids(path, "file.skipped:*") == {"lib.zip"}
    assert ids(path, "name:inside") == set()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nsrl.csv", '"SHA-1","MD5","CRC32","FileName"\n"{sha1}","{md5}","0","x"\n'),
        ("sums.txt", "# made by sha256sum\n{sha256}  name\n\n"),
        ("md5.txt", "{md5}\nnot a digest\n"),
        ("own.csv", "\ufeffname,sha256\nx,{sha256}\n"),
    ],
)
def test_lists_come_in_many_forms(tmp_path: Path, name: str, text: str) -> None:
    of = digests(DULL)
    (tmp_path / name).write_text(text.format(md5=of.md5, sha1=of.sha1.upper(), sha256=of.sha256))
    (found,) = digests_in(tmp_path / name)
    assert found.hex() in (of.md5, of.sha1, of.sha256)


def test_damaged_lists_are_named_by_those_who_ask_for_them_alone(tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    (case / "hashsets.sqlite").write_bytes(b"no lists " * 100)
    assert archivore("status", case=case).returncode == 0
    for words in (("hashset", "list"), ("hashset", "remove", "nsrl")):
        refused = archivore(*words, case=case)
        assert refused.returncode == 3
        assert refused.stderr.count("\n") == 1
        assert "hashsets.sqlite: it is damaged" in refused.stderr


def test_lists_that_another_command_keeps_busy_are_told_so(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(digests(DULL).sha256)
    sets = HashSets(tmp_path / "hashsets.sqlite", write=True)
    sets.add(tmp_path / "good", "list", "known")
    with sqlite3.connect(tmp_path / "hashsets.sqlite", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        sets._connection.execute("PRAGMA busy_timeout = 1")  # type: ignore[union-attr]
        for ask in (sets.sets, lambda: sets.remove("list"), lambda: sets.names_of(digests(DULL), "known")):
            with pytest.raises(StoreError, match=r"hashsets\.sqlite: another process keeps it busy"):
                ask()
    other.close()
    assert [each.name for each in sets.sets()] == ["list"]
    sets.close()


def test_a_list_without_digests_changes_nothing(tmp_path: Path) -> None:
    sets = HashSets(tmp_path / "hashsets.sqlite", write=True)
    (tmp_path / "good").write_text(digests(DULL).sha256)
    assert sets.add(tmp_path / "good", "list", "known") == 1
    for content in (b"", b"words only\n", b"SQLite format 3\0" + b"\xff" * 200):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(UsageError):
            sets.add(tmp_path / "bad", "list", "known")
        assert sets.names_of(digests(DULL), "known") == ("list",)
    with pytest.raises(UsageError):
        sets.add(tmp_path / "missing", "other", "known")
    sets.close()
