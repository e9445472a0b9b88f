"""Events of change journals: what a record adds to those before it, in a case as in lines."""

from __future__ import annotations

from pathlib import Path

from cli.runs import ingest_sources, limits_of
from indexer.model import Source
from search.case import Case
from search.events.ask import events
from search.events.changes import open_usn
from search.events.choose import Choice
from search.events.event import Event

FIXTURES = Path(__file__).parents[2] / "fixtures" / "usn-journal"


def line(second: int, why: str, name: str, place: str) -> str:
    return f"2024-03-05T09:30:{second:02}Z | {why} | {name} | file {place}"


def read(*lines: str) -> list[tuple[str, str, str]]:
    take = open_usn(None)
    found = [take(number, each) for number, each in enumerate(lines, 1)]
    return [(each.action, each.path, each.detail.partition(";")[0]) for each in found if isinstance(each, Event)]


def test_a_reason_is_told_once_until_the_file_is_closed() -> None:
    assert read(
        line(0, "created", "a", "1-1 in 5-5"),
        line(0, "extended, created", "a", "1-1 in 5-5"),
        line(1, "extended, created, closed", "a", "1-1 in 5-5"),
        line(2, "extended", "a", "1-1 in 5-5"),
        line(3, "extended", "other", "2-1 in 5-5"),
        line(4, "deleted, closed", "a", "1-1 in 5-5"),
    ) == [
        ("create", "a", "created"),
        ("write", "a", "extended"),
        ("write", "a", "extended"),
        ("write", "other", "extended"),
        ("delete", "a", "deleted"),
    ]


def test_every_renaming_has_both_its_names() -> None:
    lines = []
    for second, (old, new) in enumerate((("a", "b"), ("b", "c"))):
        lines.append(line(second, "overwritten, renamed from", old, f"1-1 in {5 + second}-1"))
        lines.append(line(second, "overwritten, renamed to", new, f"1-1 in {6 + second}-1"))
    assert [(what, name) for what, name, _ in read(*lines)] == [("rename", name) for name in "abbc"]


def test_what_is_no_record() -> None:
    take = open_usn(None)
    assert take(1, "2024-03-05T09:30:00Z | created") is False
    assert take(1, "a | b | c | d") is False


def test_a_case_is_asked_for_changes(tmp_path: Path) -> None:
    with Case.create(tmp_path / "case") as case:
        source = Source("pc", str(FIXTURES / "plain"))
        ingest_sources(case, [source], limits=limits_of(case), passwords=(), jobs=1, tell=lambda _: None)
        sheet = events(case, Choice()).sheets[0]
        places = [[each.name for each in sheet.columns].index(name) for name in ("action", "path")]
        found = [tuple(row.cells[place] for place in places) for row in sheet.rows()]
    assert found == [
        ("create", "3화"),
        ("create", "C034_원화.psd"),
        ("write", "C034_원화.psd"),
        ("rename", "C034_原画.psd"),
        ("rename", "C034_원화_수정.psd"),
        ("write", "메모.txt"),
        ("delete", "삭제할 목록.xlsx"),
    ]
