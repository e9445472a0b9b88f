"""Text, tables and JSON: what the golden files cannot show."""

from __future__ import annotations

import io
import json
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers.delimited import Delimited
from indexer.handlers.json_text import Json
from indexer.handlers.text import PlainText
from indexer.model import Field, Item, Problem, Text

HANDLERS = (PlainText(), Delimited(), Json())
TABLE = "컷,작업자,상태\n12,미술부,수정\n13,원화부,완료\n14,동화부,대기\n"
NESTED = {"title": "여름", "cuts": [{"n": 1, "note": '수정 \u0000 \\ " 끝'}, {"n": [[], {}]}], "x": None}


def body(item: Item) -> str:
    return "".join(text.body for text in item.texts)


def claimed(data: bytes, name: str = "") -> list[str]:
    return [found for handler in HANDLERS if (found := handler.claims(Stream(io.BytesIO(data), name=name)))]


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"plain words\n", "a.bin", "text/plain"),
        (b"int main(void) { return 0; }\n", "a.c", "text/x-c"),
        (b"#!/usr/bin/env python3\n", "tool", "text/x-python"),
        (b"#!/bin/bash -e\n", "tool", "text/x-shellscript"),
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (b"a\tb\tc\n" * 6, "noname", "text/tab-separated-values"),
        (b'{"a": [1, 2]}', "noname", "application/json"),
        (b'{"a": 1}\n{"a": 2}\n', "noname", "application/x-ndjson"),
        (TABLE.encode("utf-16"), "x.csv", "text/csv"),
    ],
)
def test_text_types_are_told_apart(data: bytes, name: str, media_type: str) -> None:
    assert crawl_bytes(data, name)[0].media_type == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        bytes(400),
        b"words\0and words\0and words\0" * 9,
        b"\x01\x02\x03words",
        b"ID3\x04\0\0\0\0\x0f\x76TIT2",
        random.Random(1).randbytes(5_000),
        bytes(random.Random(2).choices([*range(32, 127), *range(128, 256)], k=4_000)),
        bytes(random.Random(3).choices(range(128, 256), k=4_000)),
        b"\x7fELF" + bytes(random.Random(4).choices(range(256), k=300)),
    ],
    ids=range(9),
)
def test_binary_is_not_text(data: bytes) -> None:
    assert claimed(data, "picture.txt") == []


@pytest.mark.parametrize(
    "data",
    [
        b"// note\n{}\n",
        b"{oops}",
        b"[2024-05-01] started\n",
        b"{ printf }\n",
        b"Dear all, hello\nthanks, bye\nyes, no\n",
        b"def f(a, b):\n    return a, b\n",
    ],
)
def test_what_only_looks_like_a_table_or_json_is_text(data: bytes) -> None:
    assert claimed(data) == ["text/plain"]


@settings(max_examples=40)
@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.csv", "a.json", ""]))
def test_any_bytes_are_read_by_every_handler(data: bytes, name: str) -> None:
    for handler in HANDLERS:
        stream = Stream(io.BytesIO(data), name=name)
        handler.claims(stream)
        assert list(handler.read(stream)) is not None


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans(), st.sampled_from(["csv", "json", "txt"]))
def test_damage_never_crashes(position: int, value: int, cut: bool, kind: str) -> None:
    data = bytearray(TABLE.encode("cp949") * 5 if kind == "csv" else json.dumps(NESTED).encode() * 3)
    data[position % len(data)] ^= value
    whole = bytes(data[: position % len(data)] if cut else data)
    for item in crawl_bytes(whole, f"a.{kind}"):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory")]


def strings_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [each for key, held in value.items() for each in (key, *strings_in(held))]
    if isinstance(value, list):
        return [each for held in value for each in strings_in(held)]
    return [value] if isinstance(value, str) else []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON_VALUES, st.booleans(), st.integers(8, 64))
def test_every_string_of_json_is_in_the_text(value: object, escaped: bool, chunk: int) -> None:
    data = json.dumps([value], ensure_ascii=escaped).encode("utf-8", "replace")
    facts = list(Json().read(Stream(io.BytesIO(data))))
    text = "\n".join(fact.body for fact in facts if isinstance(fact, Text))
    for string in strings_in(json.loads(data)):
        shown = string.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        assert shown.replace("\n", "\n\t") in text
    assert Field("json.values", 1) in facts


def test_json_names_the_place_of_a_passage() -> None:
    data = json.dumps({"cuts": [{"note": "x" * 40_000}, {"note": "second"}]}).encode()
    places = [text.locator for text in crawl_bytes(data, "a")[0].texts]
    assert places == ["$.cuts", "$.cuts[1]"] or places == ["$.cuts", "$.cuts[1].note"]


@pytest.mark.parametrize(
    "data", [b"[" * 60_000, b"[" * 60_000 + b"]" * 60_000, b'{"a":' * 50_000, b'["' + b"\\" * 99_999]
)
def test_depth_does_not_matter(data: bytes) -> None:
    for item in crawl_bytes(data, "deep.json"):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


def test_lines_keep_their_numbers() -> None:
    data = "".join(f"line {number}\n" for number in range(1, 9_001)).encode()
    item = crawl_bytes(data, "a.log")[0]
    for text in item.texts:
        first, last = text.locator.removeprefix("lines ").split("-")
        assert text.body.startswith(f"line {first}\n")
        assert text.body.endswith(f"line {last}\n")
    assert body(item) == data.decode()
    assert Field("text.lines", 9_000) in item.fields


def test_rows_keep_their_numbers() -> None:
    data = "name,number\n" + "".join(f"cel,{number}\n" for number in range(2, 1_000))
    item = crawl_bytes(data.encode(), "a.csv")[0]
    for text in item.texts[1:]:
        assert text.body.startswith("cel\t" + text.locator.removeprefix("rows ").split("-")[0])


def test_a_row_that_never_ends_is_read_as_lines() -> None:
    facts = list(Delimited().read(Stream(io.BytesIO(b"a,b\n" + b'"x\n",' * 30_000))))
    assert [fact.cause for fact in facts if isinstance(fact, Problem)] == ["corrupt"]
    assert "".join(fact.body for fact in facts if isinstance(fact, Text)).count("x") == 30_000


class Endless(io.RawIOBase):
    """A log of a given size that is never in memory."""

    LINE = ("1.2.3.4 - - /scene/12 " + "수정 " * 300 + "\n").encode() * 64

    def __init__(self, size: int) -> None:
        self.size = size
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (self.size if whence == 2 else self.position if whence == 1 else 0)
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int = -1) -> bytes:
        count = min(count if count >= 0 else self.size, self.size - self.position)
        start = self.position % len(self.LINE)
        data = (self.LINE * (count // len(self.LINE) + 2))[start : start + count]
        self.position += len(data)
        return data


@pytest.mark.parametrize("handler", [PlainText(), Delimited()], ids=["text", "csv"])
def test_big_files_are_never_held(handler: PlainText | Delimited) -> None:
    tracemalloc.start()
    for _ in handler.read(Stream(Endless(10 << 20))):  # type: ignore[arg-type]
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 9 << 20
