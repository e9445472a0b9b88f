"""Web pages: what goldens cannot show."""

from __future__ import annotations

import html
import io
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers import _html, _markup
from indexer.handlers._html import Page, read_page
from indexer.handlers._markup import attributes, plain, tokens
from indexer.handlers.html_page import Html
from indexer.model import Text

PAGE = (Path(__file__).parents[3] / "fixtures" / "html" / "utf8" / "input.html").read_bytes()
RAW = frozenset({"script", "textarea"})


def body(text: str) -> str:
    return "\n".join(read_page([text], Page()))


def test_inline_elements_join_and_block_elements_part() -> None:
    assert body("<b>ani</b>mation<p>next</p>one<br>two<td>cell") == "animation\nnext\none\ntwo\tcell"


def test_scripts_and_styles_are_silent() -> None:
    assert body("<script>if (a < b) '</p>'</script>a<style>b {}</style>c<SCRIPT src=x>d</Script >e") == "ace"


def test_text_that_only_looks_like_a_tag_stays() -> None:
    assert body("1 < 2 and 3 > 2 &lt;em&gt; a <3") == "1 < 2 and 3 > 2 <em> a <3"


def test_attributes_with_and_without_quotes() -> None:
    assert attributes(" A=1 b='2 > 1' c=\"&amp;\" d e = f /") == [
        ("a", "1"),
        ("b", "2 > 1"),
        ("c", "&"),
        ("d", ""),
        ("e", "f"),
    ]


@given(st.text(alphabet="<>/!-='\" abpscript&;[]?x", max_size=200), st.lists(st.integers(0, 200), max_size=4))
@settings(max_examples=150)
def test_pieces_make_the_same_page_as_the_whole(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    whole_page, cut_page = Page(), Page()
    assert list(read_page(pieces, cut_page)) == list(read_page([text], whole_page))
    assert cut_page == whole_page
    for xml in (False, True):
        whole = list(tokens([text], raw=RAW, xml=xml))
        assert "".join(value for kind, _, value in whole if kind != "text") == "".join(
            value for kind, _, value in tokens(pieces, raw=RAW, xml=xml) if kind != "text"
        )


@pytest.mark.parametrize(
    "unit",
    ["<div>", "<a ", "<!--", '<a b="', "<![CDATA[", "</", "<script>", "<!DOCTYPE [", "<?", "<a =", "<", "data:;"],
)
def test_repeated_marks_take_linear_time(unit: str) -> None:
    started = time.process_time()
    list(read_page([unit * (400_000 // len(unit))], Page()))
    assert time.process_time() - started < 5


def test_a_hundred_thousand_elements_deep() -> None:
    items = crawl_bytes(b"<html>" + b"<b><div>" * 100_000 + b"bottom", "deep.html")
    assert [text.body for text in items[0].texts] == ["bottom"]
    assert items[0].status == "read"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xef\xbb\xbf  <!-- x --><HTML>", "text/html"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html>", "application/xhtml+xml"),
        ("<!doctype html>".encode("utf-16"), "text/html"),
        (b"<h1>bare</h1>", "text/html"),
        (b"<?xml version='1.0'?><table/>", None),
        (b"<abbrev>", None),
        (b"text <html>", None),
        (b"", None),
    ],
)
def test_claims(data: bytes, kind: str | None) -> None:
    assert Html().claims(Stream(io.BytesIO(data))) == kind


def test_a_large_page_comes_in_runs_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_html, "RUN", 1000)
    rows = "".join(f"<p title=t{n}>컷 {n} <a href=/{n}>l</a><!-- c{n} --></p>" for n in range(300))
    facts = list(Html().read(Stream(io.BytesIO(f"<title>all</title>{rows}".encode()))))
    found: dict[str, list[str]] = {}
    for fact in facts:
        if isinstance(fact, Text) and fact.body:
            found.setdefault(fact.locator, []).extend(fact.body.split("\n"))
    assert found["text"] == [f"컷 {n} l" for n in range(300)]
    assert found["attributes"] == [f"t{n}" for n in range(300)]
    assert found["comment"] == [f"c{n}" for n in range(300)]
    assert found["links"] == [f"/{n}" for n in range(300)]
    assert found["title"] == ["all"]


@given(st.data())
@settings(max_examples=60)
def test_damaged_pages_are_never_a_crash(data: st.DataObject) -> None:
    sample = bytearray(PAGE)
    for at in data.draw(st.lists(st.integers(0, len(sample) - 1), max_size=6)):
        sample[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(sample)))
    items = crawl_bytes(bytes(sample[:cut]), "p.html")
    assert not [problem for item in items for problem in item.problems if problem.cause == "crash"]
    assert list(Html().read(Stream(io.BytesIO(bytes(sample[:cut])))))


def test_a_foreign_byte_far_behind_the_start() -> None:
    data = b"<html>" + b"<p>cut</p>" * 2000 + b"caf\xe9" + b"<p>cut</p>" * 10
    items = crawl_bytes(data, "far.html")
    assert "café" in items[0].texts[-1].body
    assert items[0].status == "read"


FRAGMENTS = st.sampled_from(
    [
        *("<p>", "</p>", "<b>", "</b>", "<td>", "<TR>", "<br/>", "<pre>", "</pre>", "<title>", "</title>", "<script>"),
        *(
            "</script>",
            "<!-- c -->",
            "<!doctype html>",
            "<a href='/x' title=\"t &gt; u\">",
            "<a href='https://x.example/'>",
            "<img alt='a  b' src=q/>",
        ),
        *("<input name=n value=v>", "<meta name=a content=b>", "<html lang=ko>", "<a b='>'>", "<a b='", "<1", "<", ">"),
        *(
            "&amp;",
            "&am",
            "p;",
            "&#10;",
            "&nbsp;",
            "  ",
            "\t",
            "\n",
            "\r\n",
            " \x0b ",
            "\1",
            "words",
            "\uae00",
            "'",
            '"',
        ),
        *(
            "<script/>",
            "<textarea>",
            "</textarea>",
            "<a href=data:;base64,QUJD>",
            "<style x>",
        ),
    ]
)


@given(st.lists(FRAGMENTS, max_size=40), st.integers(1, 60), st.integers(1, 90))
@settings(max_examples=300)
def test_stretches_read_in_bulk_give_what_tokens_give(fragments: list[str], longest: int, cut: int) -> None:
    text = "".join(fragments)
    pieces = [text[at : at + cut * 20] for at in range(0, len(text), cut * 20)]
    quick, careful = Page(), Page()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_markup, "_SHORT", 0)
        patch.setattr(_markup, "_STRETCH", longest)
        bulk = list(read_page(pieces, quick))
        patch.setattr(_html._Stretches, "take", lambda *_: False)
        assert bulk == list(read_page(pieces, careful))
    quick.chars = careful.chars = 0  # only when to give out a large page hangs on it
    assert quick == careful


def test_most_of_a_page_is_read_in_bulk() -> None:
    taken: list[int] = []
    take = _html._Stretches.take

    def counted(self: _html._Stretches, stretch: str) -> bool:
        if done := take(self, stretch):
            taken.append(len(stretch))
        return done

    source = "<title>cuts</title>" + "<p>scene <b>12</b> <a href='/12'>cut</a>&amp;</p>\n" * 2000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_html._Stretches, "take", counted)
        assert body(source).count("scene 12 cut&") == 2000
    assert sum(taken) > len(source) * 0.95


@pytest.mark.parametrize("cut", range(60))
def test_scripts_titles_and_boxes_may_be_cut_anywhere(cut: int) -> None:
    for text in (
        "<title>Kite &amp; Sons</title><textarea>salt &lt; rain</textarea>",
        "<script>a = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=' && b</script>end",
        "<style>b {background: url(data:;base64,AAAA)",
    ):
        whole, pieced = Page(), Page()
        expected = list(read_page([text], whole))
        assert list(read_page([text[:cut], text[cut:]], pieced)) == expected
        assert pieced == whole
        assert whole.title == "Kite & Sons" or len(whole.files) == 1


def test_a_script_without_an_end_is_held_no_further_than_a_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_html, "CARRY", 100)
    page = Page()
    list(read_page(["<script>", *["data:;base64,AAAA, " + "x" * 100] * 100], page))
    assert len(page.files) == 100
    started = time.process_time()
    list(read_page(["<script/>" + "a<b>" * 50_000], page))
    assert time.process_time() - started < 2


_REFERENCES = ["&", "&amp;", "amp", "&lt", "&gt;", "&not", "in;", "#38", "&#x26", ";", "b" * 31, " ", "<"]


@given(st.lists(st.sampled_from(_REFERENCES), max_size=9))
def test_references_are_resolved_as_the_standard_library_does_it(parts: list[str]) -> None:
    text = "".join(parts)
    assert plain(text) == html.unescape(text)
