"""OpenDocument: what the golden fixtures cannot show: claims, bounds, damage."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers._opendoc import PREFIXES, Walker
from indexer.handlers._parts import XmlReader
from indexer.handlers.docx import Docx
from indexer.handlers.odf import Odf
from indexer.handlers.strings import Strings
from indexer.model import Fact, Text

FIXTURES = Path(__file__).parents[3] / "fixtures" / "odf"
SAMPLES = {path.parent.name: path.read_bytes() for path in sorted(FIXTURES.glob("*/input.*"))}
HANDLERS = (Docx(), Odf(), Strings())
SPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


def walk(body: str) -> list[Fact]:
    data = f"<office:body {SPACES}>{body}</office:body>".encode()
    return list(Walker().read(XmlReader(PREFIXES).events([data])))


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("text", "application/vnd.oasis.opendocument.text"),
        ("sheet", "application/vnd.oasis.opendocument.spreadsheet"),
        ("slides", "application/vnd.oasis.opendocument.presentation-template"),
        ("flat", "application/vnd.oasis.opendocument.text"),
        ("old-writer", "application/vnd.sun.xml.writer"),
    ],
)
def test_the_media_type_is_the_packages_own(name: str, media_type: str) -> None:
    assert Odf().claims(Stream(io.BytesIO(SAMPLES[name]))) == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4",
        b"<?xml version='1.0'?><a/>",
        SAMPLES["text"][:-300],
        b"<?xml office:mimetype=",
        b"PK\3\4" + bytes(99),
    ],
)
def test_other_bytes_are_not_claimed(data: bytes) -> None:
    assert Odf().claims(Stream(io.BytesIO(data))) is None


def test_counts_that_lie_cost_nothing() -> None:
    cell = '<table:table-cell table:number-columns-repeated="999999999"><text:p>x</text:p></table:table-cell>'
    facts = walk(
        '<office:spreadsheet><table:table table:name="S">'
        f'<table:table-row table:number-rows-repeated="999999999">{cell * 3}</table:table-row>'
        "</table:table></office:spreadsheet>"
    )
    texts = [fact for fact in facts if isinstance(fact, Text)]
    assert len(texts) == 3
    assert max(len(text.body) for text in texts) < 200
    assert (
        sum(
            len(fact.body) for fact in walk('<text:p>a<text:s text:c="999999999"/>b</text:p>') if isinstance(fact, Text)
        )
        < 300
    )


def test_words_split_over_spans_are_joined_and_asides_are_apart() -> None:
    facts = walk(
        "<office:text><text:p>lan<text:span>ter</text:span>n<text:note text:note-class='endnote'><text:note-body>"
        "<text:p>aside</text:p></text:note-body></text:note>s</text:p></office:text>"
    )
    assert facts == [Text("aside", "endnote 1"), Text("lanterns", "body")]


@pytest.mark.parametrize("name", ["text", "sheet", "slides", "flat", "encrypted"])
@settings(max_examples=30)
@given(data=st.data())
def test_damage_never_leaves_the_crawl(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=8)
    ):
        damaged[place] = value
    del damaged[data.draw(st.integers(len(damaged) // 2, len(damaged))) :]
    for item in crawl_bytes(bytes(damaged), handlers=HANDLERS):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


@settings(max_examples=60)
@given(data=st.data())
def test_tags_in_any_order_never_leave_the_walker(data: st.DataObject) -> None:
    text = SAMPLES["flat"].decode()
    pieces = text[text.index("<office:body>") : text.index("</office:body>")].split("<")[1:]
    mixed = data.draw(st.lists(st.sampled_from(pieces), max_size=60))
    walk("<" + "<".join(mixed) if mixed else "")
