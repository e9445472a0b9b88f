"""The HTML report: nothing of the evidence is markup, nothing is loaded, and a real browser agrees."""

from __future__ import annotations

import csv
import json
import lzma
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lxml import html
from test_cli import TOUR, archivore

from search.case import Case
from search.exporting import export, report_of
from search.timeline import timeline
from test_naughty import NAMES, case  # noqa: F401 - the fixture

OURS = frozenset(
    "html head meta title style body main header h1 h2 h3 h4 table tr th td thead tbody p div svg text rect section "
    "article span br mark code img footer bdi".split()
)
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.mark.parametrize("query", ["naughtyword", ""])
def test_nothing_of_the_evidence_is_markup(case: Case, tmp_path: Path, query: str) -> None:  # noqa: F811
    written = export(report_of(case, query), "html", tmp_path / "r.html")
    body = (tmp_path / "r.html").read_text("utf-8")
    tree = html.document_fromstring(body)
    for node in tree.iter():
        assert node.tag in OURS, node.tag
        assert not [name for name in node.attrib if name.startswith("on") or name in ("href", "srcset", "action")]
        assert node.tag != "img" or node.get("src", "").startswith("data:image/jpeg;base64,")
    shown = {node.text_content() for node in tree.iter("bdi")}
    for name in NAMES[2:7]:
        assert any(name.rpartition("/")[2] in each for each in shown), name
    assert written.rows == len(tree.xpath("//article"))
    assert "default-src 'none'" in body


def test_tables_of_other_answers_are_reports_too(case: Case, tmp_path: Path) -> None:  # noqa: F811
    written = export(timeline(case), "html", tmp_path / "t.html")
    tree = html.document_fromstring((tmp_path / "t.html").read_text("utf-8"))
    assert len(tree.xpath("(//table)[2]/tbody/tr")) >= written.rows


def test_a_time_whose_zone_is_not_known_is_told_without_one(tmp_path: Path) -> None:
    path, again, query = tmp_path / "case", tmp_path / "again", "path:(S03E05 OR zip)"
    for each in (path, again):
        archivore("new", each)
    archivore("ingest", TOUR / "day1", case=path)
    for kind in ("csv", "jsonl", "xlsx"):
        assert archivore("export", query, "-o", tmp_path / f"out.{kind}", case=path).returncode == 0
    rows = [json.loads(row) for row in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    stamps = [stamp for row in rows for stamp in row["timestamps"]]
    assert {stamp["zone_known"] for stamp in stamps} == {True, False}
    assert all(stamp["at"].endswith("Z") == stamp["zone_known"] for stamp in stamps)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        modified = {row["modified"] for row in csv.DictReader(file)} - {""}
    first = [[stamp["at"] for stamp in row["timestamps"] if stamp["kind"] == "M"][:1] for row in rows]
    assert modified == {at for each in first for at in each}
    archivore("ingest", tmp_path / "out.xlsx", case=again)
    (book,) = [json.loads(row) for row in archivore("search", "ext:xlsx", "--json", case=again).stdout.splitlines()]
    shown = archivore("text", book["id"], case=again).stdout
    for at in modified:  # a spreadsheet shows whole seconds
        assert re.search(re.escape(at[:19].replace("T", " ")) + ("Z" if at.endswith("Z") else "(?!Z)"), shown), at


def test_a_report_has_pictures_charts_and_passages(tmp_path: Path) -> None:
    path = tmp_path / "case"
    archivore("new", path)
    archivore("ingest", TOUR / "day1", case=path)
    answer = archivore("export", "수정 OR ext:png", "-o", tmp_path / "r.html", case=path)
    assert answer.returncode == 0, answer.stderr
    again = archivore("export", "수정 OR ext:png", "-o", tmp_path / "s.html", case=path)
    assert again.returncode == 0
    assert (tmp_path / "r.html").read_bytes() == (tmp_path / "s.html").read_bytes()
    tree = html.document_fromstring((tmp_path / "r.html").read_text("utf-8"))
    assert tree.xpath("//article//img")
    assert tree.xpath("//svg/rect")
    assert {"수정"} <= {node.text_content() for node in tree.iter("mark")}
    plain = archivore("export", "수정", "-o", tmp_path / "p.html", "--no-pictures", case=path)
    assert plain.returncode == 0
    assert "<img" not in (tmp_path / "p.html").read_text("utf-8")


@pytest.mark.skipif(not CHROMIUM, reason="no browser on this machine")
def test_a_browser_runs_nothing_and_asks_for_nothing(case: Case, tmp_path: Path) -> None:  # noqa: F811
    export(report_of(case, "naughtyword"), "html", tmp_path / "r.html")
    (tmp_path / "home").mkdir()
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'home'}",
        f"--log-net-log={tmp_path / 'net.json'}", "--dump-dom", (tmp_path / "r.html").as_uri(),
    ]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "naughtyword" in answer.stdout, answer.stderr
    assert "alert(1)" not in [node.text for node in html.document_fromstring(answer.stdout).iter("script")]
    log = (tmp_path / "net.json").read_text("utf-8", "replace")
    events = json.loads(log if log.rstrip().endswith("}") else log.rstrip().rstrip(",") + "]}")["events"]
    asked = {str(event.get("params", {}).get("url", "")) for event in events} - {""}
    assert not [url for url in asked if url.startswith("http") and ("src" in url or "evil" in url or "alert" in url)]
    assert not [url for url in asked if "/x" in url and not url.startswith(("file:", "data:", "chrome"))]


def test_what_was_deleted_is_told_wherever_it_is_shown(tmp_path: Path) -> None:
    seized = tmp_path / "seized"
    seized.mkdir()
    packed = TOUR.parent / "file_systems" / "ext4" / "input.img.xz"
    (seized / "disk.img").write_bytes(lzma.decompress(packed.read_bytes()))
    place = tmp_path / "case"
    archivore("new", place)
    archivore("ingest", seized, case=place)
    archivore("export", "file.deleted:*", "-o", tmp_path / "r.html", case=place)
    facts = html.parse(tmp_path / "r.html").xpath("//article//div[@class='facts'][contains(., ' bytes')]")
    assert facts
    assert all("deleted" in each.text_content() for each in facts)
    for words in (["search", "file.deleted:*", "-n", "1"], ["tree"]):
        told = archivore(*words, case=place).stdout.splitlines()
        assert any(line.endswith("deleted") or "  deleted  " in line for line in told), words
    assert not any("deleted" in line for line in archivore("search", "-file.deleted:*", case=place).stdout.splitlines())


def test_covers_name_the_investigation_and_its_pack_does_too(tmp_path: Path) -> None:
    said = {"number": "2024-17", "examiner": "김수사 \x7f «& Co»", "organisation": "<b>Lab</b> \udcff"}
    options = [word for name, value in said.items() for word in (f"--{name}", value)]
    assert archivore("new", str(tmp_path / "case"), *options).returncode == 0
    shown = {"case number": "2024-17", "examiner": "김수사 \\x7f «& Co»", "organisation": "<b>Lab</b> ?"}
    assert archivore("pack", "-o", str(tmp_path / "pack"), case=tmp_path / "case").returncode == 0
    assert archivore("open-pack", str(tmp_path / "pack"), str(tmp_path / "again")).returncode == 0
    for folder in (tmp_path / "case", tmp_path / "again"):
        output = folder.with_suffix(".html")
        with Case(folder) as kept:
            export(report_of(kept), "html", output)
        cover = html.parse(output).find(".//table[@class='cover']")
        rows = {row[0].text_content(): row[1].text_content() for row in cover}
        assert {name: rows.get(name) for name in shown} == shown
        about = json.loads(output.with_name(output.name + ".about.json").read_text())["about"]
        assert about == {**said, "organisation": "<b>Lab</b> ?"}
        assert json.loads(archivore("status", "--json", case=folder).stdout)["number"] == "2024-17"
