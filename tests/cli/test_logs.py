"""The commands about logs on the tour: real processes, tables, JSON, files, exit codes, the audit log."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from test_cli import TOUR, archivore, lines

LOGS = [TOUR / day / "logs" / "access.log" for day in ("day1", "day2")]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("tour") / "case"
    assert archivore("new", path).returncode == 0
    assert archivore("ingest", TOUR / "day1", TOUR / "day2", case=path).returncode == 0
    yield path


@pytest.fixture(scope="module")
def wanted() -> list[tuple[str, str, str]]:
    """Address, user and path of every event of the two days, each once."""
    counts: Counter[str] = Counter()
    for log in LOGS:
        counts |= Counter(log.read_text("utf-8").splitlines())
    found = [re.match(r'(\S+) - (\S+) \[[^\]]*\] "\S+ (\S+)', line).groups() for line in counts.elements()]  # type: ignore[union-attr]
    return [(address, user, path) for address, user, path in found]


def test_events_are_those_of_the_lines(case: Path, wanted: list[tuple[str, str, str]]) -> None:
    found = lines(archivore("events", "--json", case=case))
    assert Counter((row["address"], row["user"] or "-", row["path"]) for row in found) == Counter(wanted)
    assert [row["time"] for row in found] == sorted(str(row["time"]) for row in found)
    kim = lines(archivore("events", "--user", "kimd", "--country", "KP", "--json", case=case))
    assert len(kim) == sum(user == "kimd" and address.startswith("175.45.17") for address, user, _ in wanted)
    shown = archivore("events", "-n", "3", case=case)
    assert len(shown.stdout.splitlines()) == 4
    assert "first 3 rows" in shown.stderr


def test_logins_addresses_and_sessions(case: Path, wanted: list[tuple[str, str, str]]) -> None:
    found = lines(archivore("logins", "--user", "pak", "--json", case=case))
    assert sum(int(str(row["count"])) for row in found) == sum(user == "pak" for _, user, _ in wanted)
    assert archivore("logins", case=case).stderr == ""
    assert {row["country"] for row in found if str(row["address"]).startswith("175.45.17")} == {"KP"}
    found = lines(archivore("addresses", "--json", case=case))
    assert {row["address"]: row["events"] for row in found} == Counter(address for address, _, _ in wanted)
    one = lines(archivore("sessions", "--gap", "999d", "--json", case=case))
    assert sum(int(str(row["events"])) for row in one) == len(wanted)
    assert len(one) == len(found)
    assert archivore("sessions", "--gap", "soon", case=case).returncode == 2


def test_touched_names_the_item(case: Path, wanted: list[tuple[str, str, str]]) -> None:
    found = lines(archivore("touched", "S03E05_edit_sheet.xlsx", "--json", case=case))
    assert len(found) == sum(path == "/sheets/S03E05_edit_sheet.xlsx" for _, _, path in wanted)
    assert {row["item"] for row in found} == {"day1:sheets/S03E05_edit_sheet.xlsx"}
    assert archivore("touched", "no such file", case=case).returncode == 1


def test_events_stand_among_the_times_of_items(case: Path, wanted: list[tuple[str, str, str]], tmp_path: Path) -> None:
    found = lines(archivore("timeline", "--events", "--json", case=case))
    alone = lines(archivore("timeline", "--json", case=case))
    told = [row for row in found if row["origin"] == "event.access"]
    others = [row for row in found if row["origin"] != "event.access"]
    assert [{name: row[name] for name in alone[0]} for row in others] == alone
    assert all(row["target"] is None for row in others)
    assert Counter((row["address"], row["user"] or "-", row["target"]) for row in told) == Counter(wanted)
    assert {row["zone"] for row in told} == {"UTC"}
    assert {row["name"] for row in told} == {"access.log"}
    moments = [str(row["time"]).rstrip("Z") for row in found]
    assert moments == sorted(moments)
    assert 0 < next(at for at, row in enumerate(found) if row in told) < len(found) - len(told)
    shown = archivore("timeline", "--events", "-n", "3", case=case)
    assert len(shown.stdout.splitlines()) == 4
    some = lines(archivore("timeline", "path:*.log", "--events", "--json", case=case))
    assert [row for row in some if row["origin"] == "event.access"] == told
    assert len(told) < len(some) < len(found)

    days = json.loads(archivore("timeline", "--events", "--by", "day", "--json", case=case).stdout)
    assert days == dict(sorted(Counter(moment[:10] for moment in moments).items()))

    for name in ("times.csv", "times.body", "times.timesketch"):
        kind = name.rpartition(".")[2]
        written = archivore("timeline", "--events", "-o", tmp_path / name, "-f", kind, case=case)
        assert written.returncode == 0, written.stderr
    table = (tmp_path / "times.csv").read_text("utf-8-sig").splitlines()
    assert len(table) == len(found) + 1
    body = [line.split("|") for line in (tmp_path / "times.body").read_text("utf-8").splitlines()]
    assert {len(fields) for fields in body} == {11}
    in_body = Counter(int(fields[8]) for fields in body if "(event.access: " in fields[1])
    stamps = Counter(int(datetime.fromisoformat(str(row["time"])).timestamp()) for row in told)
    assert in_body == stamps
    with (tmp_path / "times.timesketch").open(encoding="utf-8", newline="") as file:
        sketch = list(csv.DictReader(file))
    assert len(sketch) == len(found)
    assert [int(row["timestamp"]) for row in sketch] == sorted(int(row["timestamp"]) for row in sketch)
    assert Counter(row["message"] for row in sketch)[f"access.log: {' '.join(_said(told[0]))}"] >= 1


def _said(row: dict[str, object]) -> list[str]:
    return [str(row[name]) for name in ("address", "user", "action", "target", "status") if row[name]]


def test_answers_leave_as_files_and_are_audited(case: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "a.xlsx", "a.html", "a.jsonl"):
        answer = archivore("addresses", "-o", tmp_path / name, case=case)
        assert answer.returncode == 0, answer.stderr
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        assert next(csv.reader(file))[0] == "address"
    about = json.loads((tmp_path / "a.csv.about.json").read_text("utf-8"))
    assert about["command"] == "addresses"
    bad = archivore("addresses", "-o", tmp_path / "a.body", "-f", "body", case=case)
    assert bad.returncode == 2
    audit = archivore("audit", "show", "--json", case=case).stdout
    assert '"sha256": "' + about["sha256"] in audit


def test_logs_are_listed_and_books_kept(case: Path, tmp_path: Path) -> None:
    held = lines(archivore("events", "--logs", "--json", case=case))
    assert [(row["path"], row["format"], row["not_understood"]) for row in held] == [
        ("day1:logs/access.log", "access", 0),
        ("day2:logs/access.log", "access", 0),
    ]
    (tmp_path / "book.csv").write_text("cidr,country,city,network,kind\n218.25.17.0/24,CN,Shenyang,Line,hosting\n")
    assert "1 ranges" in archivore("addressbook", tmp_path / "book.csv", case=case).stdout
    assert lines(archivore("addressbook", "--json", case=case))[0]["name"] == "book"
    found = lines(archivore("addresses", "--network", "hosting", "--json", case=case))
    assert {row["city"] for row in found} == {"Shenyang"}
    assert archivore("addressbook", "--remove", "book", case=case).returncode == 0
    assert archivore("addresses", "--network", "hosting", case=case).returncode == 1
    assert archivore("addressbook", "--remove", "book", case=case).returncode == 2


def test_without_the_library_it_says_how_to_get_it(case: Path) -> None:
    code = "import sys; sys.modules['duckdb'] = None; from cli.main import run; run()"
    for words in (["events"], ["timeline", "--events"], ["timeline", "--events", "--by", "day"]):
        command = [sys.executable, "-c", code, *words, "--case", str(case)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert answer.returncode == 2
        assert "archivore[logs]" in answer.stderr


def test_a_terminal_shows_paths_in_clear_and_files_keep_them(tmp_path: Path) -> None:
    line = '1.2.3.4 - ri [02/Apr/2024:00:07:41 +0000] "GET /cuts/{} HTTP/1.1" 200 9 "-" "-"\n'
    raw = "%EC%88%98%EC%A0%95.psd?x=%1B[31m"
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "www").write_text(line.format(raw))
    assert archivore("new", tmp_path / "case").returncode == 0
    assert archivore("ingest", tmp_path / "logs", case=tmp_path / "case").returncode == 0
    shown = archivore("events", case=tmp_path / "case").stdout
    assert "/cuts/수정.psd?x=\\x1b[31m" in shown
    assert [row["path"] for row in lines(archivore("events", "--json", case=tmp_path / "case"))] == [f"/cuts/{raw}"]
