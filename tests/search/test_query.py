from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whoosh.query import And, Every, FuzzyTerm, Not, NumericRange, Or, Phrase, Prefix, Query, Sequence, Term, Wildcard

from cli.console import caret
from indexer.errors import QueryError
from search.query import parse

KNOWN = {"exif.model": "name", "exif.iso": "name", "gps.latitude": "name", "printed": "date"}


def anywhere(make: type[Query], *args: object) -> Query:
    return Or([make(field, *args) for field in ("text", "name", "meta")])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("cat", anywhere(Term, "cat")),
        ("text:cat text:dog", And([Term("text", "cat"), Term("text", "dog")])),
        ("text:a AND text:b OR text:c", Or([And([Term("text", "a"), Term("text", "b")]), Term("text", "c")])),
        ("text:a (text:b OR text:c)", And([Term("text", "a"), Or([Term("text", "b"), Term("text", "c")])])),
        ("text:(a OR b)", Or([Term("text", "a"), Term("text", "b")])),
        ("text:a -text:b", And([Term("text", "a"), Not(Term("text", "b"))])),
        ("NOT text:b", Not(Term("text", "b"))),
        ("NOT -text:b", Term("text", "b")),
        ('text:"hello world"', Phrase("text", ["hello", "world"])),
        ("text:“hello world”", Phrase("text", ["hello", "world"])),
        ("text:kim@mail.example", Phrase("text", ["kim", "mail", "example"])),
        ("text:动画制作", Phrase("text", ["动画", "画制", "制作"])),
        ("text:動畫", Term("text", "动画")),
        ("text:话", Prefix("text", "话")),
        ("text:第3话", Sequence([Term("text", "第"), Term("text", "3"), Prefix("text", "话")])),
        ("text:comp*", Prefix("text", "comp")),
        ("text:c?t*", Wildcard("text", "c?t*")),
        ("text:*cat", Wildcard("text", "*cat")),
        ("text:动画*", Term("text", "动画")),
        ("text:第*话", Sequence([Prefix("text", "第"), Prefix("text", "话")], slop=11)),
        ("text:动画?制作", Sequence([Term("text", "动画"), Term("text", "制作")], slop=3)),
        ("text:foo.b*r", Sequence([Term("text", "foo"), Wildcard("text", "b*r")])),
        (r"text:a\*b", Phrase("text", ["a", "b"])),
        ("text:color~", FuzzyTerm("text", "color", maxdist=1, prefixlength=1)),
        ("text:color~2", FuzzyTerm("text", "color", maxdist=2, prefixlength=1)),
        ("name:S01E05", Phrase("name", ["s", "01", "e", "05"])),
        ("name:*.psd", Wildcard("=name", "*.psd")),
        ("name:cut*", Or([Prefix("name", "cut"), Wildcard("=name", "cut*")])),
        ("path:*/cuts/*.psd", Or([Wildcard("=path", "*/cuts/*.psd"), Wildcard("=path", "*:cuts/*.psd")])),
        (r"name:[x]\?*", Wildcard("=name", r"[x]\?*")),
        ('name:="A  b.txt"', Term("=name", "a b.txt")),
        ("ext:PSD", Term("ext", "psd")),
        ("mime:image/*", Wildcard("mime", "image/*")),
        ("*", Every()),
        ("text:*", Every("text")),
        ("exif.model:*", Every("exif.model")),
        ("exif.model:canon", Term("exif.model", "canon")),
        ("EXIF.Model:canon", Term("exif.model", "canon")),
        ("exif.iso:400", Or([NumericRange("exif.iso", 400, 400), Term("exif.iso", "400")])),
        ("exif.iso:100..400", NumericRange("exif.iso", 100, 400)),
        ("gps.latitude:>-37.5", NumericRange("gps.latitude", -37.5, None, startexcl=True)),
        ("size:>1mb", NumericRange("size", 1 << 20, None, startexcl=True)),
        ("size:<=1.5kb", NumericRange("size", None, 1536)),
        ("size:10kb..2MB", NumericRange("size", 10 << 10, 2 << 20)),
        ("size:..10", NumericRange("size", None, 10)),
        ("text:https://a.example/x", Phrase("text", ["https", "a", "example", "x"])),
        (r"text:C:\dir", Phrase("text", ["c", "dir"])),
        ("text:don-t", Phrase("text", ["don", "t"])),
        ("text:AND", None),
        ('"AND"', anywhere(Term, "and")),
    ],
)
def test_trees(text: str, tree: Query | None) -> None:
    if tree is None:
        tree = Term("text", "and")
    found = parse(text, KNOWN)  # type: ignore[arg-type]
    assert found == tree
    assert repr(found) == repr(tree), "equality in whoosh forgets the slop"


DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "low", "high", "low_out", "high_out"),
    [
        ("modified:1970", 0, 365 * DAY, False, True),
        ("modified:1972", 730 * DAY, 1096 * DAY, False, True),
        ("modified:1970-02", 31 * DAY, 59 * DAY, False, True),
        ("modified:1970-12", 334 * DAY, 365 * DAY, False, True),
        ("modified:1970-01-02", DAY, 2 * DAY, False, True),
        ("modified:1970-01-01T01", 3_600_000_000, 7_200_000_000, False, True),
        ("modified:1970-01-01T00:01", 60_000_000, 120_000_000, False, True),
        ("modified:1970-01-01T00:00:01", 1_000_000, 2_000_000, False, True),
        ("modified:1970-01-01T00:00:00.5", 500_000, 600_000, False, True),
        ("modified:1970-01-01T09:00+09:00", 0, 60_000_000, False, True),
        ("modified:1970-01..1970-02", 0, 59 * DAY, False, True),
        ("modified:>1970-01", 31 * DAY, None, False, False),
        ("modified:>=1970-02", 31 * DAY, None, False, False),
        ("modified:<1970-02", None, 31 * DAY, False, True),
        ("modified:<=1970-01", None, 31 * DAY, False, True),
        ("printed:1970-01-02..", DAY, None, False, False),
    ],
)
def test_dates_cover_their_whole_unit(text: str, low: int, high: int, low_out: bool, high_out: bool) -> None:
    found = parse(text, KNOWN)  # type: ignore[arg-type]
    assert (found.start, found.end, found.startexcl, found.endexcl) == (low, high, low_out, high_out)


def test_words_near_each_other_in_any_order() -> None:
    a, b = Term("text", "a"), Term("text", "b")
    assert repr(parse('text:"a b"~5')) == repr(Or([Sequence([a, b], slop=6), Sequence([b, a], slop=6)]))
    # The run's second character takes a position of its own.
    found = parse('text:"动画 b"~5')
    assert [part.slop for part in found.subqueries] == [7, 6]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 0, "empty"),
        ("  ", 2, "empty"),
        ("(a b", 0, "never closed"),
        ("a b)", 3, "no opening"),
        ("()", 1, "missing"),
        ("a AND", 5, "missing"),
        ("a OR", 4, "missing"),
        ("AND a", 0, "before it"),
        ("a OR OR b", 5, "before it"),
        ('x "abc', 2, "never closed"),
        ("动画 nmae:x", 3, "did you mean name?"),
        ("exif.modell:x", 0, "did you mean exif.model?"),
        ("wholly.unknown.thing:x", 0, "in quotes"),
        ("a size:", 7, "needs a value"),
        ("size:many", 5, "a number is needed"),
        ("size:5..2", 5, "ends before"),
        ("modified:2025..2024", 9, "ends before"),
        ("size:..", 5, "at least one end"),
        ("modified:2024-13", 9, "a date is needed"),
        ("modified:soon", 9, "a date is needed"),
        ("name:>3", 5, "cannot be compared"),
        ("problem:encrypt", 8, "encrypted, corrupt"),
        ("a type:(picture OR pictures)", 19, "one of folder, text"),
        ("type:zip", 5, "handler:zip or ext:zip"),
        ("-status:unread", 8, "read, partly-read, not-read"),
        ("a !!!", 2, "no letter"),
        ("***", 0, "wildcards alone"),
        ("a b~9", 2, "at most 2"),
        ("动画~", 0, "plain word"),
        ('"a b c d e"~3', 0, "four words"),
        ('"a b"~900', 0, "at most 100"),
        ("(" * 3000 + "a", 100, "deeper"),
        ("text:(" * 200 + "a", 605, "deeper"),
    ],
)
def test_errors_point_at_the_column(text: str, column: int, words: str) -> None:
    with pytest.raises(QueryError, match=words.replace("?", r"\?")) as caught:
        parse(text, KNOWN)  # type: ignore[arg-type]
    assert caught.value.column == column
    assert caught.value.query == text
    shown, pointer = caret(caught.value.query, caught.value.column).split("\n")
    assert pointer.endswith("^")
    assert len(shown) <= 78


def test_the_caret_counts_wide_characters_twice() -> None:
    assert caret("动画 nmae:x", 3) == "  动画 nmae:x\n       ^"


def test_limits() -> None:
    with pytest.raises(QueryError, match="longer than"):
        parse("a" * 70_000)
    with pytest.raises(QueryError, match="more than 20000 terms"):
        parse("a " * 15_000)
    assert len(parse("text:(" + "a OR " * 9_000 + "a)").subqueries) == 9_001


def test_dynamic_names_are_taken_where_the_case_is_not_known() -> None:
    assert parse("pdf.author:kim") == Term("pdf.author", "kim")
    with pytest.raises(QueryError):
        parse("author:kim")


PIECES = st.sampled_from(
    [*'()"*?~:\\-.,<>=', " ", "AND ", "OR ", "NOT ", "..", "name:", "size:", "date:", "exif.model:", "动画", "话",
     "a", "b1", "é", "2024", "~1", "“", "”", "\0", "\1", "\ud800", "가"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=30))
@settings(max_examples=500)
def test_any_text_is_a_tree_or_a_query_error(text: str) -> None:
    try:
        assert isinstance(parse(text, KNOWN), Query)  # type: ignore[arg-type]
    except QueryError as error:
        assert 0 <= error.column <= len(text)
        caret(error.query, error.column)
