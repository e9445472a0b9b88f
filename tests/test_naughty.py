"""Evidence that means harm, through every way out: terminal, exports, logs. One case, every sink.

Names, texts and fields hold escape sequences, direction overrides, markup, formulas, lone surrogates, NULs and
far too many characters. Data formats must give back exactly what went in; shown text must be harmless, and
nothing may be cut without saying so.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.model import Source
from search.case import Case
from search.exporting import FORMATS, export, report_of
from search.sanitise import cell, visible, visible_text
from search.timeline import timeline

LONG_NAME = "긴이름" * 21_667
LONG_TEXT = "長い文章 " * 8_000
NAMES = (
    "\x1b]0;owned\x07\x1b[2J.txt",
    "분기\u202egpj.exe.txt",
    "<img src=x onerror=alert(1)>&amp;\"'.txt",
    "=cmd|'calc'!A1.txt",
    "+SUM(1,2).txt",
    "-2+3.txt",
    "@import.txt",
    "[bold]rich[/bold] %s {0}.txt",
    "a|b|c\tþ\x14®.txt",
    "line\nbreak\r\n.txt",
    "nul\x00inside.txt",
    "\udcff\udcfe lone.txt",
    "</script><script>alert(1)</script>.txt",
    "../../../etc/passwd",
    LONG_NAME,
    "x" * 65_000,
)
WORD = "naughtyword"
_RAW = ("\x1b", "\x07", "\u202e", "\x9b")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("naughty")
    evidence = folder / "evidence"
    evidence.mkdir()
    with zipfile.ZipFile(evidence / "all.zip", "w") as archive:
        for number, name in enumerate(NAMES):
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            info.filename = info.filename[:21_000]  # a zip name has at most 65,535 bytes
            info.flag_bits |= 0x800
            archive.writestr(
                info, f"{WORD} {number} {name[:400]} {LONG_TEXT if number == 0 else ''}".encode("utf-8", "replace")
            )
    (evidence / os.fsdecode(b"\xff\xfe\x1b[31m.txt")).write_bytes(f"{WORD} \x1b[31m".encode())
    path = folder / "case"
    with Case.create(path, "\x1b[31m<b>=case") as made:
        ingest_sources(
            made, [Source("s", str(evidence))], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None
        )
        first = next(item for item in made.items() if item.name.startswith("="))
        made.review.note(first.id, NAMES[2])
        made.review.tag([first.id], "notable")
        made.commit()
        made.update_index()
    with Case(path) as opened:
        yield opened


def everything(path: Path) -> str:
    """What a terminal would get of a file, or of every file of a folder, but for packed ones."""
    files = [path] if path.is_file() else [each for each in sorted(path.rglob("*")) if each.is_file()]
    bodies = [each.read_bytes() for each in files]
    return "\n".join(body.decode("utf-8", "replace") for body in bodies if not body.startswith((b"PK", b"%PDF")))


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_no_sink_passes_on_what_a_terminal_obeys(case: Case, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    written = export(report_of(case, WORD, with_text=True), kind, path)
    assert written.rows >= len(NAMES)
    shown = everything(path)
    for raw in _RAW:
        assert raw not in shown, (kind, raw)
    assert everything(tmp_path / "out.about.json").isascii()


def read_back(path: Path, kind: str) -> list[dict[str, object]]:
    if kind == "jsonl":
        return [json.loads(line) for line in path.read_text("ascii").splitlines()]
    csv.field_size_limit(1 << 30)
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    return [json.loads(row["exact"]) for row in rows]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_data_formats_give_back_exactly_what_went_in(case: Case, tmp_path: Path, kind: str) -> None:
    export(report_of(case, with_text=True), kind, tmp_path / "out")
    held = {item.id: item for item in case.items(with_text=True)}
    rows = read_back(tmp_path / "out", kind)
    assert len(rows) == len(held)
    for row in rows:
        item = held[str(row["id"])]
        assert (row["name"], row["path"]) == (item.name, str(item.provenance))
        assert [text["body"] for text in row["texts"]] == [text.body for text in item.texts]  # type: ignore[index]
    noted = next(row for row in rows if row["notes"])
    assert noted["notes"][0]["text"] == NAMES[2]  # type: ignore[index]


def test_cells_of_a_table_are_text_and_never_formulas(case: Case, tmp_path: Path) -> None:
    export(report_of(case, with_text=True), "csv", tmp_path / "out")
    csv.field_size_limit(1 << 30)
    for row in csv.DictReader(io.StringIO((tmp_path / "out").read_text("utf-8-sig"), newline="")):
        for name, value in row.items():
            assert name == "exact" or not value.lstrip(" ").startswith(("=", "+", "-", "@")), (name, value[:40])
        exact = json.loads(row["exact"])
        assert row["name"] in (cell(exact["name"]), cell(exact["name"])[:32_000] + row["name"][32_000:])
        assert len(row["text"]) < 32_767
        if len(exact["texts"]) and len(exact["texts"][0]["body"]) > 32_767:
            assert "more characters]" in row["text"]


def test_a_workbook_gives_back_text_without_formulas_or_links(case: Case, tmp_path: Path) -> None:
    export(report_of(case, with_text=True), "xlsx", tmp_path / "out.xlsx")
    names: set[str] = set()
    with zipfile.ZipFile(tmp_path / "out.xlsx") as book:
        from lxml import etree

        sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
        for sheet in sheets:
            body = book.read(sheet)
            assert b"<f>" not in body
            assert b"hyperlink" not in body.lower()
            for node in etree.fromstring(body).iter("{*}is"):
                names.add("".join(node.itertext()))
        assert not any("external" in name.lower() for name in book.namelist())
    for item in case.items():
        if len(item.name) < 30_000:
            assert visible_text(item.name) in {name.replace("_x005F_", "_") for name in names}


def test_the_terminal_gets_no_escape_and_no_override(case: Case) -> None:
    item = next(item for item in case.items() if "owned" in item.name)
    commands = (
        ["search", WORD], ["grep", WORD], ["tree"], ["status"], ["problems"], ["show", item.id], ["text", item.id],
        ["facets", "--by", "name,source"], ["timeline"], ["audit", "show"], ["tag"],
        ["search", "\x1b[31m"], ["show", "\x1b]52;c;x\x07"],
    )  # fmt: skip
    for words in commands:
        answer = subprocess.run(
            [sys.executable, "-c", "from cli.main import run; run()", *words],
            capture_output=True, check=False, timeout=100, env={**os.environ, "ARCHIVORE_CASE": str(case.path)},
        )  # fmt: skip
        shown = (answer.stdout + answer.stderr).decode("utf-8", "strict")
        assert "Traceback" not in shown, words
        for raw in _RAW:
            assert raw not in shown, (words, raw)


def test_logs_are_ascii(case: Case) -> None:
    case.record("answer", query="".join(NAMES[:12]))
    assert case.audit.path.read_bytes().isascii()
    assert case.audit.check()[0] == []
    assert b"\x1b" not in case.audit.path.read_bytes()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
def test_other_answers_take_the_same_ways(case: Case, tmp_path: Path, kind: str) -> None:
    assert export(timeline(case), kind, tmp_path / "out").rows
    assert not any(raw in everything(tmp_path / "out") for raw in _RAW) or kind == "xlsx"


def test_visible_is_one_line() -> None:
    assert all("\n" not in visible(name) for name in NAMES)
