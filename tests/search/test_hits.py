from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import QueryError
from indexer.model import Field, Hop, Item, Provenance, Text, Timestamp
from search import hits
from search.query import parse


def marked(query: str, *texts: str, **rest: object) -> list[str]:
    """The highlights as text, with brackets around the spans."""
    shown = []
    passages = [Text(body, f"page {number}") for number, body in enumerate(texts, 1)]
    for one in hits.highlight(parse(query), passages, **rest):  # type: ignore[arg-type]
        out = one.text
        for start, end in reversed(one.spans):
            out = f"{out[:start]}[{out[start:end]}]{out[end:]}"
        shown.append(f"{one.locator}: {out}")
    return shown


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("cat", "The CAT sat", "The [CAT] sat"),
        ('"cat sat"', "the cat, sat; cat", "the [cat, sat]; cat"),
        ("comp*", "a computer", "a [computer]"),
        ("c?t", "a cot", "a [cot]"),
        ("color~", "no colour", "no [colour]"),
        ("动画制作", "在动画制作中", "在[动画制作]中"),
        ("動畫", "动画片", "[动画]片"),
        ("画", "动画片", "动[画]片"),
        ("画", "动画", "动[画]"),
        ("人", "人人有權", "[人][人]有權"),
        ("第3话", "见第３話的稿", "见[第３話]的稿"),
        ("第*话", "第十二话", "[第十二话]"),
        ("动画制作", "动画\n制作", "[动画\n制作]"),
        ("画", "动画\n制作", "动[画]\n制作"),
        ("分기", "분기 分기 보고", "분기 [分기] 보고"),
        ("분기", unicodedata.normalize("NFD", "이 분기에"), unicodedata.normalize("NFD", "이 [분기]에")),
        ("café", "un cafe\u0301!", "un [cafe\u0301]!"),
        ("gundam", "ＧＵＮＤＡＭ", "[ＧＵＮＤＡＭ]"),
        ("ガンダム", "のｶﾞﾝﾀﾞﾑは", "の[ｶﾞﾝﾀﾞﾑ]は"),
        ("株式会社", "㍿東映", "[㍿]東映"),
        ('"kim bank"~3', "bank of Kim", "[bank of Kim]"),
        ("a AND NOT b", "a b", "[a] b"),
        ("size:>3 OR a", "a b", "[a] b"),
        ("cat OR name:dog", "cat dog", "[cat] dog"),
        ("kim@mail.example", "to kim@mail.example,", "to [kim@mail.example],"),
    ],
)
def test_marks_are_exact(query: str, text: str, expected: str) -> None:
    assert marked(query, text) == [f"page 1: {expected}"]


def test_names_paths_and_fields_are_marked_too() -> None:
    fields = (Field("exif.model", "Canon EOS"), Field("exif.iso", 400))
    assert marked("S01E05", name="x_S01E05_final.mov") == ["name: x_[S01E05]_final.mov"]
    assert marked("name:case", name="CamelCase.txt") == ["name: Camel[Case].txt"]
    assert marked("name:*.mov", name="x.mov") == ["name: [x.mov]"]
    assert marked("path:daily", path="day1:a!/daily/x") == ["path: day1:a!/[daily]/x"]
    assert marked("exif.model:canon", fields=fields) == ["exif.model: [Canon] EOS"]
    assert marked("size:3", "three", name="3") == []


def test_what_fields_say_is_shown_where_the_text_does_not_show_it() -> None:
    fields = (
        Field("pdf.author", "박미나"),
        Field("refers_to", "D:\\作業\\박미나\\cut.psd"),
        Field("text.codec", "cp949"),
        Field("exif.iso", 400),
    )
    assert marked("박미나", "no name", fields=fields) == ["pdf.author: [박미나]"]
    assert marked("박미나", "by 박미나", fields=fields) == ["page 1: by [박미나]"]
    assert marked("박미나 cut", "by 박미나", fields=fields) == [
        "page 1: by [박미나]",
        "refers_to: D:\\作業\\[박미나]\\[cut].psd",
    ]
    assert marked("작업 OR 作业", fields=fields) == ["refers_to: D:\\[作業]\\박미나\\cut.psd"]
    assert marked("cp949 OR 400", "", fields=fields) == []
    assert marked("text:박미나", "", fields=fields) == []
    (cut,) = marked("meta:lantern", fields=(Field("rpm.description", "word " * 500 + "lantern"),))
    assert cut.startswith("rpm.description: word ") and cut.endswith("[lantern]") and len(cut) < 250


def test_the_best_passages_come_first() -> None:
    assert marked("red blue", "a red thing", "a blue and red thing", "nothing", "red", limit=2) == [
        "page 2: a [blue] and [red] thing",
        "page 1: a [red] thing",
    ]


def test_passages_of_one_long_text_are_shown_apart() -> None:
    text = "needle one. " + "filler words here. " * 30 + "last needle."
    first, second = hits.highlight(parse("needle"), [Text(text)])
    assert "one" in first.text
    assert second.text.endswith("last needle.")
    assert all(len(one.text) <= hits.WIDTH for one in (first, second))
    assert not second.text.startswith(("iller", "ords", "ere"))


def test_a_snippet_of_chinese_is_cut_at_punctuation() -> None:
    text = "这里没有。" * 40 + "分镜在这里，" + "那里没有。" * 40
    (only,) = hits.highlight(parse("分镜"), [Text(text)])
    assert only.text.startswith("这里")
    assert len(only.text) <= hits.WIDTH


def test_an_endless_phrase_is_cut() -> None:
    (only,) = hits.highlight(parse('"' + "x " * 1100 + '"'), [Text("x " * 1101)])
    assert len(only.text) <= 2000
    assert only.spans == ((0, len(only.text)),)


PIECES = st.sampled_from(
    ["动", "画", "話", "각", "ᄀ", "ᅡ", "e", "\u0301", " ", "\n", "a", "b", "1", "-", "ﾞ", "か", "㍿", "\u200b"]
)


@given(st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES, min_size=1, max_size=4).map("".join))
@settings(max_examples=300)
def test_spans_lie_in_the_text_in_order(text: str, asked: str) -> None:
    try:
        tree = parse(asked)
    except QueryError:
        return
    for one in hits.highlight(tree, [Text(text)], name=text):
        assert one.text in text
        assert one.spans
        edges = [edge for span in one.spans for edge in span]
        assert edges == sorted(edges)
        assert 0 <= edges[0]
        assert edges[-1] <= len(one.text)
        assert all(start < end for start, end in one.spans)


def test_make_hit() -> None:
    thing = Item(
        Provenance("s", (Hop(b"a.txt", "a.txt"),)),
        "a.txt",
        1,
        "text/plain",
        None,
        "text",
        texts=(Text("a cat", "line 1"),),
    )
    made = hits.make_hit(thing, 1.5, parse("cat"))
    assert (made.item, made.score) == (thing, 1.5)
    assert [(one.locator, one.text, one.spans) for one in made.highlights] == [("line 1", "a cat", ((2, 5),))]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("printer.name:*", ["printer.name: Copier, floor 3"]),
        ("picture.width:>4000", ["picture.width: 4096"]),
        ("picture.width:>4096", []),
        ("picture.width:4096..", ["picture.width: 4096"]),
        ("doc.page:*", ["doc.page: 1", "doc.page: 2", "doc.page: 3"]),
        ("modified:2024-01", ["modified: 2024-01-31T23:59:59Z (zip.dos)"]),
        ("modified:<2024-01", []),
        ("date:2024-02", ["date: 2024-02-01T00:00:00 (sent, eml.Date)"]),
        ("-modified:2024-01 a", []),
    ],
)
def test_values_and_times_that_answer_are_shown(query: str, shown: list[str]) -> None:
    thing = Item(
        Provenance("s", (Hop(b"a.psd", "a.psd"),)),
        "a.psd",
        1,
        "image/x",
        None,
        "psd",
        fields=(
            Field("printer.name", "Copier, floor 3"),
            Field("picture.width", 4096),
            *(Field("doc.page", number) for number in (1, 2, 3, 4)),
        ),
        timestamps=(
            Timestamp("M", datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC), "zip.dos"),
            Timestamp("sent", datetime(2024, 2, 1, tzinfo=UTC), "eml.Date", zone_known=False),
        ),
    )
    made = hits.make_hit(thing, 1.0, parse(query))
    assert [f"{one.locator}: {one.text}" for one in made.highlights if one.locator != "name"] == shown
