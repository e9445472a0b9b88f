"""Tags, notes, saved queries and the audit log, through the real command."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from test_cli import TOUR, archivore, lines


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("review") / "case"
    assert archivore("new", path).returncode == 0
    assert archivore("ingest", TOUR / "day1", case=path).returncode == 0
    return path


def ids(case: Path, query: str) -> set[object]:
    return {hit["id"] for hit in lines(archivore("search", query, "--json", "--no-fold", "-n", "500", case=case))}


def test_tags_are_terms_and_survive(case: Path) -> None:
    found = ids(case, "수정")
    assert found
    assert archivore("tag", "notable", "--query", "수정", case=case).returncode == 0
    assert ids(case, "tag:notable") == found
    one = sorted(map(str, found))[0]
    listed = subprocess.run(
        [sys.executable, "-c", "from cli.main import run; run()", "tag", "看过", "-", "--case", str(case)],
        input=f"{one}\n{one}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    assert ids(case, "tag:看过") == {one}
    everything = ids(case, "*")
    assert ids(case, "* -tag:*") == everything - found
    assert archivore("reindex", case=case).returncode == 0
    assert ids(case, "tag:notable") == found
    assert archivore("retry", one, case=case).returncode == 0
    assert one in ids(case, "tag:notable")
    assert archivore("tag", "看过", one, "--remove", case=case).returncode == 0
    assert archivore("search", "tag:看过", case=case).returncode == 1
    assert lines(archivore("tag", "--json", case=case)) == [{"notable": len(found)}]


def test_a_tag_that_no_query_could_ask_for_is_refused(case: Path) -> None:
    answer = archivore("tag", "two words", "--query", "*", case=case)
    assert answer.returncode == 2
    assert "letters" in answer.stderr


def test_notes_are_shown_and_exported(case: Path, tmp_path: Path) -> None:
    one = str(lines(archivore("search", "수정", "--json", "-n", "1", case=case))[0]["id"])
    assert archivore("note", one, "원화 확인 \x1b[31m", case=case).returncode == 0
    card = archivore("show", one, case=case).stdout
    assert "원화 확인" in card
    assert "\x1b" not in card
    archivore("export", f"id:{one}", "-o", tmp_path / "one.jsonl", case=case)
    (row,) = [json.loads(line) for line in (tmp_path / "one.jsonl").read_text().splitlines()]
    assert row["notes"][0]["text"] == "원화 확인 \x1b[31m"
    assert row["notes"][0]["who"]


def test_saved_queries_run_again(case: Path) -> None:
    assert archivore("save", "retakes", "수정 OR 修改", case=case).returncode == 0
    assert lines(archivore("saved", "--json", case=case))[0]["query"] == "수정 OR 修改"
    asked = archivore("search", "수정 OR 修改", "--json", case=case).stdout
    assert archivore("run", "retakes", "--json", case=case).stdout == asked
    assert archivore("save", "bad", '"open', case=case).returncode == 2
    assert archivore("save", "retakes", "--remove", case=case).returncode == 0
    assert archivore("run", "retakes", case=case).returncode == 2


def test_every_answer_and_change_is_in_the_audit_log(case: Path, tmp_path: Path) -> None:
    copy = tmp_path / "case"
    shutil.copytree(case, copy)
    archivore("search", "수정", case=copy)
    archivore("export", "수정", "-o", tmp_path / "hits.csv", case=copy)
    records = lines(archivore("audit", "show", "--json", case=copy))
    assert [record["event"] for record in records][-2:] == ["answer", "export"]
    about = json.loads((tmp_path / "hits.csv.about.json").read_text())
    assert records[-1]["sha256"] == about["sha256"]
    assert records[-1]["export"] == about["export"]
    assert archivore("audit", "verify", case=copy).returncode == 0
    log = copy / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"event":"answer"', b'"event":"nothing"', 1))
    bad = archivore("audit", "verify", case=copy)
    assert bad.returncode == 3
    assert "was changed" in bad.stdout


def test_an_export_is_proved_to_be_the_one_that_was_written(case: Path, tmp_path: Path) -> None:
    table = tmp_path / "hits.csv"
    archivore("export", "수정", "-o", table, case=case)
    good = archivore("verify-export", table, case=case)
    assert good.returncode == 0, good.stderr
    assert "record" in good.stdout
    table.write_bytes(table.read_bytes() + b"\n")
    assert archivore("verify-export", table, case=case).returncode == 3


def test_verify_finds_changed_evidence(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    shutil.copytree(TOUR / "day1", evidence)
    path = tmp_path / "case"
    archivore("new", path)
    archivore("ingest", evidence, case=path)
    whole = archivore("verify", "--json", case=path)
    assert whole.returncode == 0, whole.stdout
    victim = next(each for each in sorted(evidence.rglob("*")) if each.is_file() and each.stat().st_size > 100)
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    answer = archivore("verify", "--json", case=path)
    assert answer.returncode == 3
    told = [row for row in map(json.loads, answer.stdout.splitlines()) if row.get("difference")]
    assert any(str(row["path"]).endswith(victim.name) for row in told)


def test_verify_without_the_passwords_says_so_and_calls_nothing_changed(tmp_path: Path) -> None:
    evidence, passwords = tmp_path / "evidence", TOUR / "passwords.txt"
    shutil.copytree(TOUR / "day1" / "delivery" / "locked", evidence)
    # A member that is only reached through one that a password opens is not gone without it.
    with zipfile.ZipFile(evidence / "around.zip", "w") as archive:
        archive.write(evidence / "final_S03E05.7z", "inner.7z")
    path = tmp_path / "case"
    archivore("new", path)
    archivore("ingest", evidence, "--passwords", passwords, case=path)
    assert archivore("verify", "--passwords", passwords, case=path).returncode == 0
    answer = archivore("verify", "--json", case=path)
    assert answer.returncode == 3
    *told, sums = map(json.loads, answer.stdout.splitlines())
    assert {row["difference"] for row in told} == {"closed"}
    assert told
    assert (sums["different"], sums["closed"]) == (0, len(told))
    assert "--passwords" in answer.stderr


@pytest.mark.parametrize("name", ["files", "files.zip"])
def test_an_export_brings_the_bytes_of_its_items(case: Path, tmp_path: Path, name: str) -> None:
    passwords = TOUR / "passwords.txt"
    out = tmp_path / name
    answer = archivore(
        "export", "수정", "-o", tmp_path / "hits.jsonl", "--with-files", out, "--passwords", passwords, case=case
    )
    assert answer.returncode == 0, answer.stderr
    rows = [json.loads(line) for line in (tmp_path / "hits.jsonl").read_text().splitlines()]
    if out.suffix == ".zip":
        shutil.unpack_archive(out, tmp_path / "unpacked")
        out = tmp_path / "unpacked"
    held = {path.name.partition(".")[0]: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
    assert len(rows) > 5
    for row in rows:
        assert held[row["id"]] == row["sha256"]
    assert (out / "not-copied.jsonl").read_bytes() == b""
    listed = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert {name.partition(".")[0]: digest for name, digest in listed.items()}.items() <= held.items()
    again = archivore("export", "수정", "-o", tmp_path / "b.jsonl", "--with-files", tmp_path / name, case=case)
    assert again.returncode == 2


def test_bytes_that_changed_are_told_and_kept_apart(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "a.txt").write_text("분기 하나")
    (evidence / "b.txt").write_text("분기 둘")
    archivore("new", tmp_path / "case")
    archivore("ingest", evidence, case=tmp_path / "case")
    (evidence / "a.txt").write_text("분기 셋")
    (evidence / "b.txt").unlink()
    answer = archivore("export", "-o", tmp_path / "x.csv", "--with-files", tmp_path / "x", case=tmp_path / "case")
    assert "2 items could not" in answer.stderr
    told = [json.loads(line) for line in (tmp_path / "x" / "not-copied.jsonl").read_text().splitlines()]
    assert ["other bytes" in told[0]["problem"], "unreadable" in told[1]["problem"]] == [True, True]
    (sums,) = (tmp_path / "x" / "SHA256SUMS").read_text().splitlines()
    digest, name = sums.split("  ")
    assert digest == hashlib.sha256("분기 하나".encode()).hexdigest()  # what was recorded: the copy fails its check
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == sorted(["SHA256SUMS", "not-copied.jsonl", name])


def test_names_are_fields_and_facets_and_change_without_the_evidence(case: Path, tmp_path: Path) -> None:
    assert ids(case, "name.episode:5 AND name.cut:34")
    assert lines(archivore("facets", "name.episode:5", "--by", "name.cut", "--json", case=case))
    copy = tmp_path / "case"
    shutil.copytree(case, copy)
    (copy / "names.toml").write_text("[[pattern]]\nfield='name.reel'\nkind='number'\nregex='c(\\d+)'\n")
    assert archivore("rename-fields", case=copy).returncode == 0
    assert ids(copy, "name.reel:34")
    assert archivore("search", "name.episode:5", case=copy).returncode == 2
    (copy / "names.toml").write_text("[[pattern]]\nfield='name.reel'\nregex='('\n")
    bad = archivore("rename-fields", case=copy)
    assert (bad.returncode, "RE2" in bad.stderr) == (2, True)


def test_a_workbook_has_the_families_of_the_hits(case: Path, tmp_path: Path) -> None:
    assert archivore("export", "path:mbox", "-o", tmp_path / "m.xlsx", case=case).returncode == 0
    with zipfile.ZipFile(tmp_path / "m.xlsx") as book:
        assert re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode()) == [
            "about", "hits", "families", "problems",
        ]  # fmt: skip
        rows = book.read("xl/worksheets/sheet3.xml").decode()
    assert "mail/lead2.mbox!/2" in rows
