"""XML: what goldens cannot show."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers import xml_text
from indexer.handlers.xml_text import Xml
from indexer.model import Field, Problem, Text

SHEET = (Path(__file__).parents[3] / "fixtures" / "xml" / "utf8" / "input.xml").read_bytes()


def read(data: bytes) -> tuple[str, list[Problem], dict[str, object]]:
    facts = list(Xml().read(Stream(io.BytesIO(data))))
    text = "\n".join(fact.body for fact in facts if isinstance(fact, Text) and fact.locator == "text")
    fields = {fact.name: fact.value for fact in facts if isinstance(fact, Field)}
    return text, [fact for fact in facts if isinstance(fact, Problem)], fields


def test_depth_costs_nothing() -> None:
    started = time.process_time()
    text, problems, _ = read(b"<?xml version='1.0'?>" + b"<a>" * 200_000 + b"bottom" + b"</a>" * 200_000)
    assert (text, problems) == ("bottom", [])
    assert time.process_time() - started < 10


def test_one_tag_joins_words_and_two_part_them() -> None:
    assert read(b"<r><p>ani<b>mation</b>s</p><p>next</p><q/>last</r>")[0] == "animations\nnext\nlast"


def test_entities_add_no_more_than_the_limit() -> None:
    value = "w" * 1000
    data = f"<!DOCTYPE r [<!ENTITY e '{value}'>]><r>{'&e;' * 5000}</r>".encode()
    text, _, _ = read(data)
    assert text.startswith(value * 2)
    assert len(text) < xml_text.EXPANDED + 3 * 5000


def test_text_behind_an_error_still_comes() -> None:
    text, problems, fields = read(b"<r><a>one</b> &nope; <c>two</c>\x01<d>three</d></r>")
    assert [word for word in ("one", "two", "three") if word in text] == ["one", "two", "three"]
    assert [problem.cause for problem in problems] == ["corrupt"]
    assert fields["xml.root"] == "r"


def test_a_large_file_comes_in_groups_and_whole() -> None:
    rows = [f"<cut n='{number}'>장면 {number}</cut>" for number in range(60_000)]
    data = f"<s>{''.join(rows)}</s>".encode()
    assert len(data) > 1 << 20
    facts = [fact for fact in Xml().read(Stream(io.BytesIO(data))) if isinstance(fact, Text)]
    bodies = [fact.body for fact in facts if fact.locator == "text"]
    assert len(bodies) > 1
    assert "\n".join(bodies).split("\n") == [f"장면 {number}" for number in range(60_000)]
    values = "\n".join(fact.body for fact in facts if fact.locator == "attributes").split("\n")
    assert values == [f"n={number}" for number in range(60_000)]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<?xml version='1.0'?><a/>", "application/xml"),
        (b"<svg width='1'></svg>\n", None),
        (b"<x:a xmlns:x='urn:y'>", "application/xml"),
        ("<?xml version='1.0'?><a/>".encode("utf-16"), "application/xml"),
        (b"<?xml version='1.0'?><html/>", None),
        (b"<stdio.h> is a header", None),
        (b"<a><b></b>", None),
        (b"", None),
        (b"<", None),
    ],
)
def test_claims(data: bytes, kind: str | None) -> None:
    assert Xml().claims(Stream(io.BytesIO(data))) == kind


@pytest.mark.parametrize("unit", [b"<!-- -->", b"<!DOCTYPE a [", b"<?x ", b" ", b"<!DOCTYPE a [ ]", b"<a "])
def test_claims_takes_no_time(unit: bytes) -> None:
    started = time.process_time()
    Xml().claims(Stream(io.BytesIO(unit * (40_000 // len(unit)))))
    assert time.process_time() - started < 0.5


@given(st.data())
@settings(max_examples=80)
def test_damaged_files_are_never_a_crash(data: st.DataObject) -> None:
    sample = bytearray(SHEET)
    for at in data.draw(st.lists(st.integers(0, len(sample) - 1), max_size=6)):
        sample[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(sample)))
    items = crawl_bytes(bytes(sample[:cut]), "s.xml")
    assert not [problem for item in items for problem in item.problems if problem.cause == "crash"]
    assert list(Xml().read(Stream(io.BytesIO(bytes(sample[:cut])))))
