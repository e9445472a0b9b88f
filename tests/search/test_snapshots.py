"""What changed between snapshots: every kind of change, in folders and inside archives."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.errors import UsageError
from indexer.model import Source
from search.case import Case
from search.snapshots import changes, diff, series

DAYS: dict[str, dict[str, str | dict[str, str]]] = {
    "day1": {
        "cuts/C001.txt": "one", "cuts/C002.txt": "two", "same.txt": "same", "later.txt": "comes again",
        "컷/분기.txt": "분기", "batch.zip": {"a.txt": "in a", "b.txt": "in b"},
        "other.zip": {"c.txt": "in c", "d.txt": "in d"},
    },
    "day2": {
        "cuts/C001.txt": "one, mended", "done/C002.txt": "two", "same.txt": "same", "same copy.txt": "same",
        "컷/분기.txt": "분기", "fresh.txt": "fresh", "batch.zip": {"b.txt": "in b", "a.txt": "in a"},
        "other.zip": {"c.txt": "in c", "d.txt": "in d, mended"},
    },
    "day3": {"same.txt": "same", "back.txt": "comes again", "컷/분기.txt": "분기"},
}  # fmt: skip


def write(folder: Path, files: dict[str, str | dict[str, str]]) -> None:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(body, str):
            path.write_text(body)
            continue
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in body.items():
                archive.writestr(zipfile.ZipInfo(member), text)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("snapshots")
    sources = []
    for number, (name, files) in enumerate(DAYS.items(), 1):
        write(folder / name, files)
        at = datetime(2024, 4, number, tzinfo=UTC)
        sources.append(Source(name, str(folder / name), acquired_at=at, series="server"))
    with Case.create(folder / "case") as made:
        ingest_sources(made, sources, limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


def told(case: Case, before: str, after: str, *earlier: str) -> dict[str, str]:
    return {change.path: change.kind for change in changes(case, before, after, earlier)}


def test_every_kind_of_change_is_told_by_its_name(case: Case) -> None:
    assert told(case, "day1", "day2") == {
        "batch.zip": "repacked",
        "cuts/C001.txt": "changed",
        "done/C002.txt": "moved",
        "fresh.txt": "new",
        "later.txt": "gone",
        "other.zip": "changed",
        "other.zip!/d.txt": "changed",
        "same copy.txt": "copied",
    }


def test_each_place_that_is_gone_is_told_or_is_the_origin_of_one(tmp_path: Path) -> None:
    days: dict[str, dict[str, str | dict[str, str]]] = {
        "day1": {"a/C052.psd": "blank", "b/C053.psd": "blank", "c/C045.psd": "blank", "c/C048.psd": "blank", "nil": ""},
        "day2": {"b/C053.psd": "blank", "c/C048_final.psd": "blank", "x/C045.psd": "blank", "y/other.nil": ""},
    }
    sources = []
    for name, files in days.items():
        write(tmp_path / name, files)
        sources.append(Source(name, str(tmp_path / name)))
    with Case.create(tmp_path / "case") as made:
        ingest_sources(made, sources, limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        found = {
            change.path: (change.kind, change.before.path if change.kind == "moved" and change.before else "")
            for change in changes(made, "day1", "day2")
        }
    assert found == {
        "a/C052.psd": ("gone", ""),
        "c/C048_final.psd": ("moved", "c/C048.psd"),
        "x/C045.psd": ("moved", "c/C045.psd"),
        "nil": ("gone", ""),
        "y/other.nil": ("new", ""),
    }


def test_what_came_again_is_told_and_where_from(case: Case) -> None:
    (change,) = [each for each in changes(case, "day2", "day3", ("day1",)) if each.path == "back.txt"]
    assert change.kind == "re-sent"
    assert change.before
    assert change.before.path == "later.txt"
    report = diff(case, "day2", "day3")
    assert "re-sent" in {row.cells[0] for row in report.sheets[0].rows()}


def test_a_comparison_with_itself_is_empty(case: Case) -> None:
    assert told(case, "day1", "day1") == {}


def test_sums_by_folder_and_type_are_those_of_the_list(case: Case) -> None:
    report = diff(case, "day1", "day2")
    listed = len(list(report.sheets[0].rows()))
    for sheet in report.sheets[1:]:
        assert sum(cell for row in sheet.rows() for cell in row.cells[1:] if isinstance(cell, int)) == listed


def test_a_series_has_its_batches_in_time_and_every_digest(case: Case) -> None:
    report = series(case, "server")
    batches = [row.exact for row in report.sheets[0].rows()]
    assert [batch["source"] for batch in batches] == ["day1", "day2", "day3"]
    assert [batch["re_sent"] for batch in batches] == [0, 0, 1]
    assert batches[1]["copied"] == batches[1]["moved"] == 1
    for before, batch in zip([{"files": 0}, *batches], batches, strict=False):
        came = batch["new"] + batch["copied"] + batch["re_sent"]  # type: ignore[operator]
        assert batch["files"] == before["files"] + came - batch["gone"]  # type: ignore[operator]
    digests = {row.exact["name"]: row.exact for row in report.sheets[1].rows()}
    assert (digests["분기.txt"]["first_seen"], digests["분기.txt"]["last_seen"]) == ("day1", "day3")
    assert (digests["fresh.txt"]["first_seen"], digests["fresh.txt"]["last_seen"]) == ("day2", "day2")
    assert digests["분기.txt"]["snapshots"] == 3


def test_what_is_not_there_is_told(case: Case) -> None:
    with pytest.raises(UsageError, match="day1"):
        diff(case, "day1", "day9")
    with pytest.raises(UsageError, match="server"):
        series(case, "nothing")
