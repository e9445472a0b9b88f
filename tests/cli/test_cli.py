"""The command line as an analyst uses it: real processes, real evidence, exit codes, and nothing obeyed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from typer.main import get_command

from cli.main import PLACES, app_for
from indexer import VERSION, heic

TOUR = Path(__file__).parents[2] / "fixtures" / "tour"
EVIL = "evil[/]\x1b]52;c;aGk=\x07\u202egpj.exe"


def archivore(*words: object, case: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1"}
    environment.pop("ARCHIVORE_CASE", None)
    if case:
        environment["ARCHIVORE_CASE"] = str(case)
    command = [sys.executable, "-c", "from cli.main import run; run()", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=110, check=False)


def lines(answer: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert answer.returncode == 0, answer.stderr
    return [json.loads(row) for row in answer.stdout.splitlines()]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("tour") / "case"
    assert archivore("new", path, "--name", "tour").returncode == 0
    answer = archivore("ingest", TOUR / "day1", TOUR / "day2", "--passwords", TOUR / "passwords.txt", case=path)
    assert answer.returncode == 0, answer.stderr
    yield path


def test_search_in_three_languages(tour: Path) -> None:
    for query in ("deadline", "修改", "수정"):
        hits = lines(archivore("search", query, "--json", case=tour))
        assert hits
        marked = [hit for hit in hits if hit["highlights"]]
        assert marked
        for hit in marked:
            for passage in hit["highlights"]:  # type: ignore[attr-defined]
                for start, end in passage["spans"]:
                    assert query in passage["text"][start:end].casefold()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("source:day9 AND 수정", "No item has source:day9; there are day2, day1.\n"),
        ("lang:chinese", "No item has lang:chinese; there are ko, zh, "),
        ("name.cut:C999", "; there are 34, 35, 30, 36, 1, 2, 3, 4 and 4 more.\n"),
        ("tag:x", "No item has tag:x, nor any other value of that field.\n"),
        ("lang:ko AND ext:7z", ""),
        ("zzzzz", ""),
    ],
)
def test_where_nothing_is_found_the_values_are_told_that_there_are(tour: Path, query: str, told: str) -> None:
    answer = archivore("search", query, case=tour)
    assert answer.returncode == 1
    assert answer.stderr.endswith("Nothing found.\n")
    assert told in answer.stderr
    assert bool(told) == ("No item has" in answer.stderr)


def test_the_same_bytes_are_one_hit_that_counts_the_others(tour: Path) -> None:
    folded = lines(archivore("search", "수정", "--json", "-n", "200", case=tour))
    every = lines(archivore("search", "수정", "--json", "-n", "200", "--no-fold", case=tour))
    assert len(folded) < len(every)
    with_twins = next(hit for hit in folded if hit["duplicates"])
    ids = {hit["id"] for hit in every}
    assert set(with_twins["duplicates"]) <= ids  # type: ignore[call-overload]


def test_a_query_may_begin_with_a_minus(tour: Path) -> None:
    def ids(*words: str) -> set[object]:
        return {row["id"] for row in lines(archivore("search", "--json", "--no-fold", "-n500", *words, case=tour))}

    assert ids("-deadline", "--sort", "-size") == ids("NOT deadline") > set()
    assert ids("-type:archive deadline") == ids("deadline -type:archive") > set()
    assert ids("--", "-수정") == ids("-수정") > set()
    assert archivore("grep", r"-\d{4}!", "-n", "1", case=tour).stdout.count("-0305!") == 1
    ours, every = (lines(archivore("facets", *words, "--json", case=tour)) for words in (["-type:text"], []))
    assert "text" in {row["value"] for row in every} - {row["value"] for row in ours}


def test_a_tree_that_stops_says_so(tour: Path) -> None:
    assert "deeper with --depth" in archivore("tree", "--depth", "2", case=tour).stderr
    assert archivore("tree", "--depth", "99", case=tour).stderr == ""
    roots = {line.split(":")[0] for line in archivore("tree", "day2", case=tour).stdout.splitlines() if line[0] != " "}
    assert roots == {"day2"}
    whole = archivore("tree", "day1", case=tour).stdout.replace("\n", "\n  ")
    folder, below = archivore("tree", "day1:delivery", case=tour).stdout.split("\n", 1)
    assert below.replace("  delivery/", "  day1:delivery/").rstrip() in whole
    assert folder.startswith("day1:delivery ")
    assert "제작자명단.txt" in below


def test_fields_are_listed_by_a_word_of_theirs() -> None:
    rows = lines(archivore("fields", "--json", "LAYER"))
    assert all("layer" in f"{row['name']} {row['meaning']}".lower() for row in rows)
    kinds = {row["name"]: row["type"] for row in lines(archivore("fields", "--json"))}
    assert {"psd.layer", "container.ratio", "name.cut", "lang"} <= kinds.keys()
    assert "jpeg, " in str(kinds["exif.model"])
    assert archivore("fields", "no such thing").returncode == 1


def test_status_balances(tour: Path) -> None:
    (row,) = lines(archivore("status", "--json", case=tour))
    assert row["items"] == sum(row["status"].values())  # type: ignore[attr-defined]
    assert row["unfinished"] == 0
    assert row["indexed"] is True


def test_the_password_that_worked_is_told_by_its_line_only(tour: Path) -> None:
    hits = lines(archivore("search", "encryption.password:*", "--json", case=tour))
    words = [word for word in (TOUR / "passwords.txt").read_text("utf-8").split("\n") if word]
    assert hits
    for hit in hits:
        assert str(hit["fields"]["encryption.password"]).startswith("line ")  # type: ignore[index]
    for path in tour.rglob("*"):
        if path.is_file() and path.name == "audit.jsonl":
            assert not any(word in path.read_text("utf-8") for word in words)


def test_show_tree_text_and_extract_agree(tour: Path, tmp_path: Path) -> None:
    hit = lines(archivore("search", "ext:txt AND 修改 AND path:zip", "--json", "-n", "1", case=tour))[0]
    card = lines(archivore("show", hit["id"], "--json", case=tour))[0]
    assert card["sha256"] == hit["sha256"]
    shown = archivore("show", str(hit["id"])[:12], case=tour).stdout
    assert str(hit["sha256"]) in shown
    bodies = [row["body"] for row in lines(archivore("text", hit["id"], "--json", case=tour))]
    assert any("修改" in str(body) for body in bodies)
    (tmp_path / "bytes.part").write_text("of somebody else")
    answer = archivore("extract", hit["id"], "--output", tmp_path / "bytes", case=tour)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "bytes.part").read_text() == "of somebody else"
    assert {path.name for path in tmp_path.iterdir()} == {"bytes", "bytes.part"}
    assert (tmp_path / "bytes").stat().st_size == hit["size"]
    again = archivore("extract", hit["id"], "--output", tmp_path / "bytes", case=tour)
    assert again.returncode == 2
    tree = archivore("tree", hit["parent"], case=tour).stdout
    assert str(hit["id"])[:8] in tree


def test_grep_finds_what_stands_in_the_log(tour: Path) -> None:
    matches = lines(archivore("grep", r"175\.45\.17[6-9]\.\d+", "--json", "-n", "5", case=tour))
    for match in matches:
        start, end = match["spans"][0]  # type: ignore[index]
        assert str(match["text"])[start:end].startswith("175.45.17")
    assert archivore("grep", "no such words anywhere", case=tour).returncode == 1
    bad = archivore("grep", "(unclosed", case=tour)
    assert bad.returncode == 2
    assert "RE2" in bad.stderr


def test_every_command_is_told_in_one_line_under_what_it_is_for() -> None:
    shown = archivore("--help").stdout.partition("Take evidence in:")[2].splitlines()[1:]
    told = [line for line in shown if line.startswith("  ")]
    assert [line.split()[0] for line in told] == [place.partition(".")[2].replace("_", "-") for place in PLACES]
    assert not [line for line in told if line.endswith("...") or len(line.split(maxsplit=1)) < 2]
    assert len({line.index(line.split(maxsplit=1)[1]) for line in told}) == 1


def test_the_case_may_be_named_before_the_command(tour: Path) -> None:
    asked = ("search", "수정", "--json")
    behind = archivore(*asked, "--case", str(tour))
    for first in (("--case", str(tour)), (f"--case={tour}",)):
        assert archivore(*first, *asked).stdout == behind.stdout
    assert archivore("--case", str(tour)).returncode == archivore().returncode == 2
    assert archivore("--case").returncode == 2


def test_grep_reads_names_and_fields_too_and_tells_nothing_twice(tour: Path) -> None:
    def places(pattern: str) -> list[tuple[str, str]]:
        rows = lines(archivore("grep", pattern, "--json", "-n", "0", case=tour))
        return [(str(row["path"]).rpartition("/")[2], str(row["locator"])) for row in rows]

    assert places(r"_C034_v\d_ok") == [("S03E05_C034_v3_ok.png", "name")]
    assert places("Paper W[a-z]+ E02") == [("S03E05_edit_sheet.xlsx", "xlsx.sheet")] * 2
    assert places("TP-4 Pocket") == [("TP4_2041.jpg", "exif")]  # exif.model says the same


def test_exports_are_sorted_whole_and_the_same_twice(tour: Path, tmp_path: Path) -> None:
    for kind in ("csv", "jsonl"):
        for name in ("one", "two"):
            answer = archivore("export", "수정 OR 修改", "--format", kind, "--output", tmp_path / name, case=tour)
            assert answer.returncode == 0, answer.stderr
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    rows = [json.loads(row) for row in (tmp_path / "one").read_text("utf-8").splitlines()]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    every = archivore("export", "--format", "jsonl", "--output", tmp_path / "all", "--with-text", case=tour)
    assert every.returncode == 0
    (status,) = lines(archivore("status", "--json", case=tour))
    assert len((tmp_path / "all").read_text("utf-8").splitlines()) == status["items"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["search", "nothing-at-all-like-this"], 1, "Nothing found"),
        (["search", '"unclosed'], 2, "^"),
        (["search", "nosuchfield:x"], 2, "nosuchfield"),
        (["search", "pdf.nosuchfield:x"], 2, "no item of this case has a field pdf.nosuchfield"),
        (["search", "x", "--sort", "colour"], 2, "colour"),
        (["search", "x", "-n"], 2, "-n"),
        (["ingest", "--jobs", "99999", "/nowhere"], 2, "256"),
        (["search", "x", "--nosuch"], 2, "--nosuch"),
        (["facets", "-nosuchfield:x"], 2, "nosuchfield"),
        (["show", "ffffffff"], 2, "no such item"),
        (["ingest", "/nowhere/at/all"], 2, "/nowhere/at/all"),
        (["ingest", "--limit", "deepness=3", "."], 2, "deepness"),
        (["problems", "--cause", "sadness"], 2, "sadness"),
        (["export", "--format", "stone", "--output", "x"], 2, "stone"),
        (["retry"], 2, "nothing to retry"),
        (["new", "."], 2, "empty"),
        (("export", "*", "--output", "hits.docx"), 2, "no format is called docx; --format takes one of body"),
        (("timeline", "--output", "times.docx"), 2, "no format is called docx"),
        (("export", "--output", "-"), 2, "an export is a file"),
    ],
)
def test_mistakes_end_in_one_line_that_says_how_to_mend_them(
    tour: Path, words: Sequence[str], code: int, said: str
) -> None:
    answer = archivore(*words, case=tour)
    assert answer.returncode == code, answer.stderr
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_without_a_case_it_says_how_to_get_one(tmp_path: Path) -> None:
    answer = archivore("status", cwd=tmp_path)
    assert answer.returncode == 2
    assert "archivore new" in answer.stderr


def test_the_case_is_found_upwards_and_a_foreign_module_is_never_imported(tour: Path) -> None:
    below = tour / "index"
    trap = below / "json.py"
    trap.write_text("raise SystemExit('imported from the working folder')")
    try:
        # The installed command puts no working folder on the path; -P does the same for -c.
        command = [sys.executable, "-P", "-c", "from cli.main import run; run()", "status", "--json"]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=below, check=False, timeout=60)
    finally:
        trap.unlink()
    assert answer.returncode == 0, answer.stderr


def test_evidence_is_shown_harmlessly_and_visibly_by_every_command(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / EVIL.replace("/", "_")).write_text(f"needle {EVIL} needle\n")
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(EVIL, f"needle {EVIL}")
    (evidence / "=cmd|'calc'!A0.zip").write_bytes(body.getvalue())
    case = tmp_path / "case"
    outputs = [
        archivore("new", case),
        archivore("ingest", evidence, "--label", "s", case=case),
        archivore("status", case=case),
        archivore("search", "needle", case=case),
        archivore("grep", "needle", case=case),
        archivore("tree", case=case),
        archivore("problems", case=case),
        *(archivore(*words, case=case) for words in (["search", f'"{EVIL}'], ["show", EVIL])),
    ]
    hits = lines(archivore("search", "needle", "--json", case=case))
    for hit in hits:
        outputs += [archivore("show", hit["id"], case=case), archivore("text", hit["id"], case=case)]
    for answer in outputs:
        for stream in (answer.stdout, answer.stderr):
            assert "\x1b" not in stream
            assert "\u202e" not in stream
            assert "\x07" not in stream
    assert any("\\x1b]52" in answer.stdout and "\\u202e" in answer.stdout for answer in outputs)
    assert EVIL in {hit["name"] for hit in hits} | {str(hit["hops"][-1]) for hit in hits}  # type: ignore[index]
    table = tmp_path / "hits.csv"
    archivore("export", "--output", table, case=case)
    assert b"\x1b" not in table.read_bytes()
    with table.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row[:-1]]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert "'=cmd|'calc'!A0.zip" in cells


def test_retry_opens_what_a_new_password_opens_and_nothing_else(tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", TOUR / "day1", case=case)
    closed = lines(archivore("problems", "--cause", "encrypted", "--json", case=case))
    answer = archivore("retry", "--cause", "encrypted", "--passwords", TOUR / "passwords.txt", case=case)
    assert answer.returncode == 0, answer.stderr
    still = lines(archivore("problems", "--cause", "encrypted", "--json", case=case))
    assert 0 < len(still) < len(closed)  # one archive's password is in nobody's list
    fresh = tmp_path / "fresh"
    archivore("new", fresh)
    archivore("ingest", TOUR / "day1", "--passwords", TOUR / "passwords.txt", case=fresh)
    exported = []
    for path in (case, fresh):
        archivore("export", "-f", "jsonl", "-o", tmp_path / "out", "--with-text", case=path)
        rows = [json.loads(row) for row in (tmp_path / "out").read_text("utf-8").splitlines()]
        for row in rows:
            row["timestamps"] = [stamp for stamp in row["timestamps"] if stamp["origin"] != "fs.atime"]
        exported.append(rows)
    assert exported[0] == exported[1]


def test_names_are_decoded_anew_without_the_evidence(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(zipfile.ZipInfo("XXXX.txt"), "hangul inside")
    (evidence / "a.zip").write_bytes(body.getvalue().replace(b"XXXX", "원화".encode("cp949")))
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", evidence, "--label", "s", case=case)
    (evidence / "a.zip").unlink()
    assert archivore("retry", "s:a.zip", "--name-encoding", "big5", case=case).returncode == 0
    answer = archivore("retry", "s:a.zip", "--name-encoding", "cp949", case=case)
    assert answer.returncode == 0, answer.stderr
    (hit,) = lines(archivore("search", "name:원화", "--json", case=case))
    assert hit["path"] == "s:a.zip!/원화.txt"
    assert archivore("retry", "s:a.zip", "--name-encoding", "klingon", case=case).returncode == 2


def test_reindex_answers_the_same(tour: Path) -> None:
    before = lines(archivore("search", "수정 OR deadline", "--json", "-n", "50", case=tour))
    answer = archivore("reindex", case=tour)
    assert answer.returncode == 0, answer.stderr
    assert lines(archivore("search", "수정 OR deadline", "--json", "-n", "50", case=tour)) == before


def test_strict_tells_by_exit_code_that_something_was_not_read(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "good.txt").write_text("plain words\n")
    case = tmp_path / "case"
    archivore("new", case)
    assert archivore("ingest", evidence, "--strict", case=case).returncode == 0
    (evidence / "bad.zip").write_bytes(b"PK\x03\x04" + bytes(40))
    assert archivore("ingest", evidence, "--strict", case=case).returncode == 1


def test_a_manifest_brings_sources_with_their_descriptions(tmp_path: Path) -> None:
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "a.txt").write_text(f"words of {day}\n")
        (tmp_path / day / "b.txt").write_text("left out\n")
    manifest = tmp_path / "bulk.toml"
    manifest.write_text(
        '[[source]]\npath = "day1"\npaths = ["a.txt"]\nlabel = "monday"\ncustodian = "Kim"\n'
        'acquired = "2024-01-03T09:00:00+09:00"\nseries = "server"\n\n[[source]]\npath = "day2"\n'
    )
    case = tmp_path / "case"
    archivore("new", case)
    assert archivore("ingest", "--manifest", manifest, case=case).returncode == 0
    paths = [hit["path"] for hit in lines(archivore("search", "words OR left", "--json", case=case))]
    assert sorted(map(str, paths)) == ["day2:a.txt", "day2:b.txt", "monday:a.txt"]
    assert len(lines(archivore("search", "custodian:Kim", "--json", case=case))) == 1
    manifest.write_text('[[source]]\nplace = "x"\n')
    bad = archivore("ingest", "--manifest", manifest, case=case)
    assert bad.returncode == 2
    assert "place" in bad.stderr


def test_events_are_json_lines(tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    answer = archivore("ingest", TOUR / "day1", "--events", case=case)
    rows = [json.loads(row) for row in answer.stderr.splitlines() if row.startswith("{")]
    assert rows
    assert {"progress", "indexed"} <= {row["event"] for row in rows}


@pytest.mark.parametrize("command", ["formats", "fields", "doctor"])
def test_what_is_there_is_listed(command: str) -> None:
    answer = archivore(command, "--json")
    assert len(lines(answer)) > 3
    assert archivore(command).returncode == 0


def test_doctor_says_whether_heic_can_be_looked_at() -> None:
    (row,) = (row for row in lines(archivore("doctor", "--json")) if row["check"] in heic.LIBRARIES)
    assert row["state"] == ("present" if heic.heic_library() else "missing")
    assert (heic.INSTALL in str(row["advice"])) == (row["state"] == "missing")


def test_an_export_never_replaces_what_is_no_plain_file(tour: Path, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.csv", tmp_path / "pipe.csv"
    link.symlink_to("/proc/self/fd/1")
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        answer = archivore("export", "*", "--format", "csv", "--output", path, case=tour)
        assert (answer.returncode, "is no plain file" in answer.stderr) == (2, True), answer.stderr
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_the_version_is_told_without_a_command() -> None:
    answer = archivore("--version")
    assert (answer.returncode, answer.stdout) == (0, f"archivore {VERSION}\n")


def test_help_is_quick_to_import() -> None:
    code = (
        "import sys, cli.main; cli.main.app_for([]);"
        "print([m for m in ('whoosh','lxml','PIL','numpy','py7zr','rich') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_demo_makes_only_its_own_case_anew(tmp_path: Path) -> None:
    assert archivore("demo", TOUR, "-o", tmp_path / "own").returncode == 0
    assert archivore("demo", TOUR, "-o", tmp_path / "own").returncode == 0
    archivore("new", tmp_path / "mine" / "case")
    answer = archivore("demo", TOUR, "-o", tmp_path / "mine")
    assert answer.returncode == 2
    assert (tmp_path / "mine" / "case" / "catalog.sqlite").exists()


def test_a_command_is_loaded_alone_and_keeps_its_name() -> None:
    for place in PLACES:
        name = place.partition(".")[2].replace("_", "-")
        assert list(vars(get_command(app_for([name])))["commands"]) == [name]


def test_a_list_says_that_there_is_more_where_there_is(tour: Path, tmp_path: Path) -> None:
    every = archivore("problems", "-n", "1000", case=tour)
    rows = len(every.stdout.splitlines()) - 3  # behind the counts, an empty line and the head
    assert rows > 1
    assert "The first" not in every.stderr
    assert "The first" not in archivore("problems", "-n", rows, case=tour).stderr
    assert f"The first {rows - 1}" in archivore("problems", "-n", rows - 1, case=tour).stderr
    case = tmp_path / "case"
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(53):
            archive.writestr(zipfile.ZipInfo(f"{number:02}.txt"), f"number {number}")
    archivore("new", case)
    archivore("ingest", tmp_path / "many.zip", "--label", "s", case=case)
    shown = archivore("show", "s:many.zip", case=case).stdout
    assert "49.txt" in shown
    assert "50.txt" not in shown
    assert "... and 3 more: archivore tree" in shown
