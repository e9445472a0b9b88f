"""A case carried to another machine: whole, in part, with bytes; and packs that mean harm."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from test_cli import TOUR, archivore, lines


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "case"
    archivore("new", path, "--name", "studio")
    archivore("ingest", TOUR / "day1", case=path)
    archivore("tag", "notable", "--query", "수정", case=path)
    return path


def exported(case: Path, target: Path, query: str = "") -> list[dict[str, object]]:
    words = ["export", "--with-text", "-o", target, *([query] if query else [])]
    assert archivore(*words, case=case).returncode == 0
    return [json.loads(line) for line in target.read_text().splitlines()]


def test_a_whole_case_gives_the_same_answers_elsewhere(case: Path, tmp_path: Path) -> None:
    answer = archivore("pack", "-o", tmp_path / "studio.zip", case=case)
    assert answer.returncode == 0, answer.stderr
    other = tmp_path / "elsewhere"
    opened = archivore("open-pack", tmp_path / "studio.zip", other)
    assert opened.returncode == 0, opened.stderr
    assert exported(other, tmp_path / "b.jsonl") == exported(case, tmp_path / "a.jsonl")
    assert exported(other, tmp_path / "b2.jsonl", "수정") == exported(case, tmp_path / "a2.jsonl", "수정")
    assert archivore("audit", "verify", case=other).returncode == 0
    gone = archivore("verify", case=other)
    assert gone.returncode == 2  # the evidence stayed behind
    placed = tmp_path / "placed"
    archivore("open-pack", tmp_path / "studio.zip", placed, "--evidence", f"day1={TOUR / 'day1'}")
    assert archivore("verify", case=placed).returncode == 0


def test_a_part_holds_its_hits_their_containers_and_nothing_else(case: Path, tmp_path: Path) -> None:
    hits = lines(archivore("search", "tag:notable", "--json", "--no-fold", "-n", "500", case=case))
    answer = archivore("pack", "tag:notable", "--with-files", "-o", tmp_path / "part.zip", case=case)
    assert answer.returncode == 0, answer.stderr
    other = tmp_path / "elsewhere"
    assert archivore("open-pack", tmp_path / "part.zip", other).returncode == 0
    rows = {row["id"]: row for row in exported(other, tmp_path / "all.jsonl")}
    assert {hit["id"] for hit in hits} <= rows.keys()
    parents = {row["parent"] for row in rows.values() if row["parent"]}
    assert parents <= rows.keys()
    assert all(row["id"] in parents or row["tags"] for row in rows.values())
    assert {hit["id"] for hit in lines(archivore("search", "수정", "--json", "-n", "500", case=other))}
    files = {path.name[:32] for path in (other / "files").iterdir()}
    assert {hit["id"] for hit in hits} <= files


def repack(path: Path, target: Path, change: dict[str, bytes], *, lie: bool = True) -> None:
    """The same pack with other members, and where `lie` a manifest that says they are right."""
    import hashlib

    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        bodies = {name: old.read(name) for name in old.namelist()} | change
        head = json.loads(bodies["pack.json"])
        if lie:
            names = [name for name in bodies if name != "pack.json"]
            head["sha256"] = {name: hashlib.sha256(bodies[name]).hexdigest() for name in names}
        bodies["pack.json"] = json.dumps(head).encode()
        for name, body in bodies.items():
            new.writestr(name, body)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "files/../../evil", "index/x", "files/evil.sh"])
def test_a_foreign_name_is_refused(case: Path, tmp_path: Path, name: str) -> None:
    archivore("pack", "-o", tmp_path / "good.zip", case=case)
    repack(tmp_path / "good.zip", tmp_path / "bad.zip", {name: b"x"})
    answer = archivore("open-pack", tmp_path / "bad.zip", tmp_path / "case")
    assert answer.returncode == 3
    assert "no place" in answer.stderr
    assert not list(tmp_path.rglob("evil*"))


def test_a_changed_byte_is_found(case: Path, tmp_path: Path) -> None:
    archivore("pack", "-o", tmp_path / "good.zip", case=case)
    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        body = bytearray(archive.read("texts.sqlite"))
    body[-1] ^= 1
    repack(tmp_path / "good.zip", tmp_path / "bad.zip", {"texts.sqlite": bytes(body)}, lie=False)
    answer = archivore("open-pack", tmp_path / "bad.zip", tmp_path / "case")
    assert answer.returncode == 3
    assert "SHA-256 differs" in answer.stderr


@pytest.mark.parametrize("harm", ["DROP TABLE problems; CREATE VIEW problems AS SELECT 1", "DROP TABLE tags", ""])
def test_foreign_tables_are_refused(case: Path, tmp_path: Path, harm: str) -> None:
    archivore("pack", "-o", tmp_path / "good.zip", case=case)
    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        archive.extract("catalog.sqlite", tmp_path)
    if harm:
        with sqlite3.connect(tmp_path / "catalog.sqlite") as database:
            database.executescript(harm)
        database.close()
        body = (tmp_path / "catalog.sqlite").read_bytes()
    else:
        body = b"SQLite format 3\0" + b"\xff" * 5000
    repack(tmp_path / "good.zip", tmp_path / "bad.zip", {"catalog.sqlite": body})
    answer = archivore("open-pack", tmp_path / "bad.zip", tmp_path / "case")
    assert answer.returncode == 3
    assert "Traceback" not in answer.stderr


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not a zip")
    shutil.make_archive(str(tmp_path / "other"), "zip", TOUR / "day1" / "notes")
    for name in ("x", "other.zip"):
        answer = archivore("open-pack", tmp_path / name, tmp_path / "case")
        assert answer.returncode == 2
        assert "not a case" in answer.stderr


def test_sources_that_are_there_are_verified_alone(tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    for name in ("kept", "moved"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cut.txt").write_text(f"{name}: cut 12")
        assert archivore("ingest", tmp_path / name, case=case).returncode == 0
    (tmp_path / "moved").rename(tmp_path / "elsewhere")
    refused = archivore("verify", case=case)
    assert refused.returncode == 2
    assert "moved: " in refused.stderr
    assert "--source NAME" in refused.stderr
    alone = archivore("verify", "--source", "kept", case=case)
    assert alone.returncode == 0, alone.stderr
    assert "1 items are what they were, 0 are not" in alone.stdout
    unknown = archivore("verify", "--source", "day9", case=case)
    assert unknown.returncode == 2
    assert "there are kept, moved" in unknown.stderr
