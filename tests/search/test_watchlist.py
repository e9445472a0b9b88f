"""Watch-lists: every form of list, counts against a plain count, what is new, and what is no list."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.errors import UsageError
from indexer.model import Source
from search.case import Case
from search.watchlist import Entry, read_list, watch

TOUR = Path(__file__).parents[2] / "fixtures/tour"
MAIL = """From: lead@studio.example
To: a@b.example
Date: Tue, 2 Apr 2024 05:41:03 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset=utf-8

무적 수정 부탁
--x
Content-Type: text/plain; charset=utf-8
Content-Disposition: attachment; filename=note.txt

무적 무적
--x--
"""


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    folder = tmp_path / "day1"
    folder.mkdir()
    (folder / "a.txt").write_text("无敌的第三话，無敵 and ＷＵＤＩ. C034 C035 C034")
    (folder / "b.txt").write_text("무적 3화")
    (folder / "copy of b.txt").write_text("무적 3화")
    (folder / "m.eml").write_text(MAIL)
    with Case.create(tmp_path / "case") as made:
        ingest(made, Source("day1", str(folder)))
        yield made


def ingest(case: Case, source: Source) -> None:
    ingest_sources(case, [source], limits=limits_of(case), passwords=(), jobs=1, tell=lambda _: None)


def rows(case: Case, entries: list[Entry], **options: object) -> dict[str, dict[str, object]]:
    report = watch(case, entries, **options)  # type: ignore[arg-type]
    return {str(row.exact["term"]): dict(row.exact) for row in report.sheets[0].rows()}


def test_terms_are_counted_by_hits_items_bytes_families_and_sources(case: Case) -> None:
    found = rows(case, [Entry("무적"), Entry("无敌"), Entry("wudi"), Entry("/C0\\d\\d/"), Entry("absent")])
    assert "absent" not in found
    row = found["무적"]
    assert [row[name] for name in ("items", "unique", "families", "sources")] == [4, 3, 3, "day1"]
    assert row["hits"] == 5
    assert found["无敌"]["hits"] == 2  # simplified and traditional are one term
    assert found["wudi"]["items"] == 1
    assert found["/C0\\d\\d/"]["hits"] == 3
    assert "무적" in str(row["snippet"])


def test_what_fields_say_counts_too(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "day2"
    folder.mkdir()
    (folder / "page.html").write_text('<meta name="author" content="Ri Jong-88"><p>nothing')
    shutil.copy(TOUR / "day1/sheets/S03E05_edit_sheet.xlsx", folder)
    ingest(case, Source("day2", str(folder)))
    sheet = "xlsx.sheet"
    terms = {"paper whale e02": sheet, r"/Whale \w\d+/": sheet, "ri jong": "meta", r"/Jong-\d+/": "meta"}
    found = rows(case, [Entry(term) for term in terms])
    for term, place in terms.items():
        assert (found[term]["items"], found[term]["hits"]) == (1, 1), term  # what a text says too is not counted twice
        assert found[term]["locator"] == place


def test_aliases_count_together_and_groups_are_sums(case: Case) -> None:
    entries = [Entry("무적", "shows", ("无敌", "Wudi")), Entry("3화", "episodes")]
    assert rows(case, entries)["무적"]["items"] == 5
    report = watch(case, entries)
    groups = {row.exact["group"]: row.exact for row in report.sheets[1].rows()}
    assert (groups["shows"]["terms"], groups["shows"]["items"], groups["episodes"]["items"]) == (1, 5, 2)


def test_misses_are_told_where_they_are_asked_for(case: Case) -> None:
    assert rows(case, [Entry("absent")], misses=True)["absent"]["items"] == 0


def test_only_what_is_new_since_a_run_counts(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "day2"
    folder.mkdir()
    (folder / "same bytes.txt").write_text("무적 3화")
    assert rows(case, [Entry("무적")], since=1) == {}
    (folder / "new.txt").write_text("무적 4화")
    ingest(case, Source("day2", str(folder)))
    assert rows(case, [Entry("무적")], since=1)["무적"]["items"] == 1
    with pytest.raises(UsageError, match="no such run"):
        rows(case, [Entry("무적")], since=9)


def test_lists_come_in_three_forms(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[[term]]\nterm = "무적"\ngroup = "shows"\naliases = ["无敌"]\nnote = "title"\n')
    (tmp_path / "a.csv").write_text('\ufeffterm,group,aliases,note\n무적,shows,"无敌",title\n\n')
    (tmp_path / "a.txt").write_text("# remark\n[shows]\n무적\n/无敌\\d+/\n")
    want = ("무적", "shows", ("无敌",), "title")
    for name in ("a.toml", "a.csv"):
        (entry,) = read_list(tmp_path / name)
        assert (entry.term, entry.group, entry.aliases, entry.note) == want
    plain, expression = read_list(tmp_path / "a.txt")
    assert (plain.term, plain.group, plain.line) == ("무적", "shows", 3)
    assert expression.expressions == ["无敌\\d+"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "good\n/(bad/\n", "line 2"),
        ("a.toml", '[[term]]\nterm = "a"\n[[term]]\nterm = "/[/"\n', "line 3"),
        ("a.toml", "[[term]\n", "a.toml"),
        ("a.txt", "good\n***\n", "line 2"),
        ("a.csv", "word,group\nx,y\n", "term"),
    ],
)
def test_a_bad_list_is_told_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_list(tmp_path / name)


def test_nothing_in_a_literal_is_an_operator(case: Case) -> None:
    for word in ('zz" OR "무적', "zz*", "(무적 zz", "무적 OR zz", "name:zz", "zz\\", '"zz"', "무적~2zz", "<1zz"):
        assert not rows(case, [Entry(word)])


def test_ten_thousand_terms_are_asked_in_one_pass(case: Case) -> None:
    chooser = random.Random(7)
    letters = "的一是不了人我在有他这中大来上国수정분기원화abcdefgh"
    entries = [Entry("".join(chooser.choices(letters, k=5))) for _ in range(10_000)]
    found = rows(case, [*entries, Entry("무적")])
    assert found["무적"]["items"] == 4
