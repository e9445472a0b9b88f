"""Pairs of two languages, in each of the ways in which translators leave them; and queries widened by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.runs import ingest_sources, limits_of
from indexer.errors import UsageError
from indexer.languages import language_of
from indexer.model import Source
from search.case import Case
from search.pairs import _NEEDED, expand, pairs, read_glossary
from search.query import parse

FILES = {
    "a.txt": "修改意见 / 수정의견\n3. 原画（원화）\n修改：眼睛高光 / 수정: 눈의 빛점\n",
    "b.txt": "一、今天必须完成的工作\n오늘 반드시 끝내야 할 일\n\nunrelated line\n",
    "c.csv": "cut,note,번역\nC001,重画背景,배경 다시\nC002,修改意见,수정의견\n",
    "2024-04-02_工作笔记.txt": "导演说口型不对\n明天再送一次\n",
    "2024-04-02_작업노트.txt": "연출가는 입모양이 다르다고 말함\n래일 다시 보낼 것\n",
    "long.txt": "这" * 80 + " / " + "이" * 80,
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "day1").mkdir()
    for name, body in FILES.items():
        (folder / "day1" / name).write_text(body)
    with Case.create(folder / "case") as made:
        source = Source("day1", str(folder / "day1"))
        ingest_sources(made, [source], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


def rows(case: Case, **options: object) -> dict[tuple[str, str], dict[str, object]]:
    found = pairs(case, **options).sheets[0].rows()  # type: ignore[arg-type]
    return {(str(row.exact["first"]), str(row.exact["second"])): dict(row.exact) for row in found}


def test_pairs_are_found_in_every_way(case: Case) -> None:
    found = rows(case)
    assert found[("修改意见", "수정의견")]["count"] == 2
    assert found[("修改意见", "수정의견")]["items"] == 2
    assert found[("修改意见", "수정의견")]["way"] == "cells"
    assert found[("原画", "원화")]["way"] == "cells"
    assert ("修改", "수정") in found
    assert ("眼睛高光", "눈의 빛점") in found
    assert found[("今天必须完成的工作", "오늘 반드시 끝내야 할 일")]["way"] == "lines"
    assert ("重画背景", "배경 다시") in found
    files = found[("导演说口型不对", "연출가는 입모양이 다르다고 말함")]
    assert files["way"] == "files"
    assert "工作笔记" in str(files["locator"])
    assert not any(len(one) > 60 for one, _ in found)


def test_the_languages_may_be_turned_and_the_rare_left_out(case: Case) -> None:
    assert ("수정의견", "修改意见") in rows(case, first="ko", second="zh")
    assert set(rows(case, least=2)) == {("修改意见", "수정의견")}
    with pytest.raises(UsageError):
        pairs(case, "zh", "zh")


def test_every_item_counts_also_where_its_bytes_are_known(tmp_path: Path) -> None:
    files = {
        "b/2 원본.txt": "검토\n다시\n", "b/2/deep.txt": "修改 / 수정\n", "b/2_原.txt": "检查\n重来\n",
        "copy/a.txt": "修改 / 수정\n", "z/2_原.txt": "检查\n重来\n", "z/3 원본.txt": "검토\n다시\n",
    }  # fmt: skip
    for name, body in files.items():
        path = tmp_path / "day1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    with Case.create(tmp_path / "case") as made:
        source = Source("day1", str(tmp_path / "day1"))
        ingest_sources(made, [source], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        found = rows(made)
    assert [found["修改", "수정"][name] for name in ("count", "items", "path")] == [2, 2, "day1:b/2/deep.txt"]
    # The other files lie before and behind those of a folder inside theirs; 2 and 3 are no pair.
    assert [found["检查", "검토"][name] for name in ("count", "way", "path")] == [1, "files", "day1:b/2_原.txt"]
    assert found["重来", "다시"]["locator"] == "line 2, with day1:b/2 원본.txt"
    assert next(iter(found)) == ("修改", "수정")


@settings(max_examples=200)
@given(st.text(st.sampled_from("的㐀豈かｶン각ᄀㄱяӿعabÀɏ the of 12"), min_size=1, max_size=30))
def test_no_language_is_told_without_its_characters(text: str) -> None:
    told = language_of(text)
    assert not told or _NEEDED[told].search(text)


def test_every_character_that_tells_a_language_is_known() -> None:
    for char in map(chr, range(0xD800)):
        told = language_of(char * 12)
        assert not told or _NEEDED[told].search(char), hex(ord(char))


def test_a_glossary_widens_a_query_and_says_so(case: Case, tmp_path: Path) -> None:
    (tmp_path / "g.tsv").write_text("first\tsecond\n修改意见\t수정의견\n高光\t빛점\n高光\t하이라이트\n")
    glossary = read_glossary(tmp_path / "g.tsv")
    query, notes = expand('高光 AND "修改意见" -name:高光 OR x', glossary)
    assert query == '(高光 OR "빛점" OR "하이라이트") AND ("修改意见" OR "수정의견") -name:高光 OR x'
    assert len(notes) == 2
    parse(query)
    assert expand("수정의견", glossary)[0] == '(수정의견 OR "修改意见")'
    assert expand('"高光"~3 AND', glossary)[0] == '"高光"~3 AND'
    assert set(case.index.ids(parse(expand("修改意见", glossary)[0]))) >= set(case.index.ids(parse("수정의견")))


@pytest.mark.parametrize("text", ["one\n", "a\tb\n\tc\n", "\x00\n"])
def test_what_is_no_glossary_is_told_by_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "g").write_text(text)
    with pytest.raises(UsageError, match="line"):
        read_glossary(tmp_path / "g")
