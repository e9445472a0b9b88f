"""Bytes decide what a thing is; a suffix that says otherwise is told; no input makes it raise."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.identify import Identifier
from indexer.registry import all_handlers

IDENTIFIER = Identifier(all_handlers())
FIXTURES = Path(__file__).parents[2] / "fixtures"
SMALL = [path for path in sorted(FIXTURES.glob("*/*/input*")) if path.is_file()]
MARKS = sorted({mark.magic for handler in all_handlers() for mark in handler.signatures})


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"PK\x05\x06" + bytes(18), "application/zip"),
        (b"\x1f\x8b\x08" + bytes(20), "application/gzip"),
        (b"plain words, nothing else\n", "text/plain"),
        (b"", "inode/x-empty"),
        (bytes(100), "application/octet-stream"),
        ("한글 문서입니다. 원화를 수정합니다.".encode("cp949"), "text/plain"),
        ("Ogawa: 原画 수정\n".encode(), "text/plain"),
        (b"BLENDER files of the day\n", "text/plain"),
        (b"PARENT folder: cuts\n", "text/plain"),
        (b"Ogawa\xff\0\1" + bytes(40), "model/x-alembic"),
    ],
)
def test_bytes_decide(data: bytes, media_type: str) -> None:
    for name in ("x", "x.jpg", "x.zip", "x.txt"):
        assert IDENTIFIER.identify(Stream(io.BytesIO(data), name=name)).media_type == media_type


@given(st.sampled_from(MARKS), st.binary(max_size=400), st.sampled_from(["", "a.csv", "b.json", "c.eml", "d.exe"]))
@settings(max_examples=400)
def test_no_bytes_make_it_raise(mark: bytes, rest: bytes, name: str) -> None:
    stream = Stream(io.BytesIO(mark + rest), name=name)
    assert "/" in IDENTIFIER.identify(stream).media_type
    assert stream.tell() == 0


def test_bytes_that_send_libmagic_in_circles_are_of_no_known_type() -> None:
    entries = b"\0\0\0\x15infe\2\0\0\0\0\1\0\0hvc1\0\0\0\0\x15infe\2\0\0\0\0\2\0\0hv"
    entries += b"\x0epitm\0\0\0\0\0\1\0\0\0viinf\0\0\0\0\0\4"
    assert IDENTIFIER.identify(Stream(io.BytesIO(entries[2:] + entries * 40))).media_type == "application/octet-stream"


def asking_all() -> Identifier:
    """One that asks everybody, whatever bytes an item has."""
    handlers = list(map(copy.copy, all_handlers()))
    for handler in handlers:
        vars(handler)["holds"] = b""
    return Identifier(handlers)


def test_who_is_not_asked_would_not_have_claimed() -> None:
    ask_all = asking_all()
    for path in SMALL:
        data = path.read_bytes()
        for part in (data, data[: len(data) // 2], data[:200], data[-300:]):
            stream = Stream(io.BytesIO(part), name=path.name)
            found, wanted = IDENTIFIER.identify(stream), ask_all.identify(stream)
            assert (found.media_type, found.handler and found.handler.name) == (
                wanted.media_type,
                wanted.handler and wanted.handler.name,
            ), path


def test_a_lying_suffix_is_a_field() -> None:
    (item,) = crawl_bytes(b"\xff\xd8\xff\xe0" + bytes(40), "holiday.docx")
    assert ("file.suffix_mismatch", ".docx") in {(field.name, field.value) for field in item.fields}
    (item,) = crawl_bytes(b"words and more words\n", "notes.txt")
    assert "file.suffix_mismatch" not in {field.name for field in item.fields}


def test_without_a_libmagic_the_built_in_rules_answer() -> None:
    code = (
        "import sys; sys.modules['magic'] = None\n"
        "from indexer.identify import libmagic, magic_version\n"
        "print(magic_version()); print(libmagic()(open(sys.executable, 'rb').read(16384)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("pure-magic-rs")
    assert "application/x-" in answer.stdout
