"""Compound files and the documents in them: claims, bounds, damage; what the golden fixtures cannot show."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers import _cfb
from indexer.handlers._blips import find_pictures
from indexer.handlers._cfb_write import rebuild
from indexer.handlers._hwp import records
from indexer.handlers._ole import kind_of
from indexer.handlers._rtf_packed import unpack
from indexer.handlers._vba import decompress
from indexer.handlers.doc import Doc
from indexer.handlers.epub import Epub
from indexer.handlers.hwp import Hwp
from indexer.handlers.hwpx import Hwpx
from indexer.handlers.msg import Msg
from indexer.handlers.ole import Ole
from indexer.handlers.ooxml_locked import OoxmlLocked
from indexer.handlers.ppt import Ppt
from indexer.handlers.rtf import Rtf
from indexer.handlers.strings import Strings
from indexer.handlers.xls import Xls
from indexer.model import Text
from ole_parts import Tree, compound

FIXTURES = Path(__file__).parents[3] / "fixtures"
FOLDERS = ("hwp", "hwpx", "ole", "doc", "xls", "ppt", "rtf", "epub", "msg", "ooxml-locked")
SAMPLES = {
    f"{folder}-{path.parent.name}": path.read_bytes()
    for folder in FOLDERS
    for path in sorted((FIXTURES / folder).glob("*/input.*"))
}
WHOLE = {name: data for name, data in SAMPLES.items() if name.endswith(("whole", "opened", "distribution", "drawing"))}
HANDLERS = (Hwp(), OoxmlLocked(), Doc(), Xls(), Ppt(), Rtf(), Msg(), Hwpx(), Epub(), Ole(), Strings())
PASSWORDS = ("돌고래",)


def stream_of(data: bytes) -> Stream:
    return Stream(io.BytesIO(data))


def check(data: bytes) -> None:
    for item in crawl_bytes(data, handlers=HANDLERS, passwords=PASSWORDS):
        assert not [problem for problem in item.problems if problem.cause == "crash"], item


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hwp-whole", "hwp"),
        ("doc-whole", "doc"),
        ("doc-word-95", "doc"),
        ("xls-whole", "xls"),
        ("xls-book-5", "xls"),
        ("ppt-whole", "ppt"),
        ("msg-whole", "msg"),
        ("ooxml-locked-agile", "ooxml-locked"),
        ("ole-drawing", "ole"),
        ("ole-header-only", ""),
        ("rtf-whole", ""),
    ],
)
def test_the_streams_decide_what_a_compound_file_is(name: str, kind: str) -> None:
    stream = stream_of(SAMPLES[name])
    assert kind_of(stream) == kind
    claims = [handler.name for handler in HANDLERS if handler.name not in ("ole", "rtf") and handler.claims(stream)]
    assert claims == ([kind] if kind not in ("", "ole") else [])


def test_a_file_that_only_calls_itself_hangul_is_not_claimed() -> None:
    data = compound({"FileHeader": b"something else".ljust(256, b"\0"), "BodyText": {"Section0": b"x"}})
    assert Hwp().claims(stream_of(data)) is None
    assert Ole().claims(stream_of(data))


def test_the_directory_is_read_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(_cfb.Compound, "_read_directory", lambda self: made.append(self))  # noqa: PLW0108 - a method
    stream = stream_of(SAMPLES["doc-whole"])
    for handler in HANDLERS:
        handler.claims(stream)
    assert len(made) == 1


def test_a_large_stream_comes_in_pieces_and_is_whole() -> None:
    body = os.urandom(3 << 20)
    held = _cfb.Compound(stream_of(compound({"Large": body, "Small": b"tiny"})))
    pieces = list(held.pieces(held.entries["large"]))
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= 1 << 20
    assert held.read(held.get("Small")) == b"tiny"
    assert held.read(held.entries["large"], 1000) == body[:1000]
    assert held.problems[0].cause == "limit"


def test_a_rebuilt_storage_holds_what_the_storage_held() -> None:
    tree: Tree = {"Deep": {"Large": bytes(range(256)) * 40, "Small": b"tiny", "Empty": b"", "Lower": {"One": b"1"}}}
    held = _cfb.Compound(stream_of(compound(tree)))
    made = b"".join(rebuild(held, held.entries["deep"]))
    again = _cfb.Compound(stream_of(made))
    assert not again.problems
    assert {key: again.read(entry) for key, entry in again.entries.items()} == {
        "large": bytes(range(256)) * 40,
        "small": b"tiny",
        "empty": b"",
        "lower": b"",
        "lower/one": b"1",
    }
    assert made == b"".join(rebuild(held, held.entries["deep"]))


def test_a_table_of_more_sectors_than_the_header_names() -> None:
    body = bytes(8 << 20)
    # Seven megabytes are the most that a header's own list covers: the rebuilt file needs a second list beyond it.
    source = compound({"Wrap": {"Large": (b"kept" + body)[: 6 << 20]}})
    first = _cfb.Compound(stream_of(source + body))
    storage = first.entries["wrap"]
    storage.children *= 2
    storage.children[1] = _cfb.Entry(("Wrap", "Other"), _cfb.STREAM, storage.children[0].start, 6 << 20)
    again = _cfb.Compound(stream_of(b"".join(rebuild(first, storage))))
    assert again.read(again.get("Other")) == (b"kept" + body)[: 6 << 20]


def test_macro_source_with_copies_is_unpacked() -> None:
    # "abc" and a copy of nine characters from three back: 12 characters, the copy overlapping itself.
    chunk = b"\x08abc" + struct.pack("<H", 2 << 12 | 6)
    assert decompress(b"\1" + struct.pack("<H", len(chunk) - 1 | 0xB000) + chunk) == b"abc" * 4
    assert decompress(b"\2nothing") == b""


def test_packed_rich_text_reaches_into_its_beginning() -> None:
    packed = b"\x01" + struct.pack(">H", 0 << 4 | 4) + b"x"
    data = struct.pack("<II", len(packed) + 12, 7) + b"LZFu" + bytes(4) + packed
    assert unpack(data) == b"{\\rtf1x"
    assert unpack(data[:17]) == b""


def test_records_are_found_however_they_are_cut() -> None:
    data = struct.pack("<I", 66 | 3 << 20) + b"abc" + struct.pack("<II", 67 | 0xFFF << 20, 5) + b"abcde"
    for size in range(1, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert list(records(pieces)) == [(66, 0, b"abc"), (67, 0, b"abcde")]


def test_a_picture_that_claims_more_than_there_is_does_not_hide_the_next() -> None:
    head = struct.pack("<HHI", 0x6E00, 0xF01E, 1 << 30)
    good = struct.pack("<HHI", 0x6E00, 0xF01E, 17 + 5) + bytes(17) + b"right"
    found = list(find_pictures(head + b"rest" + good, "Data"))
    assert [child.name for child in found] == ["Data/picture1.png"]
    assert found[0].open
    assert found[0].open().read() == b"right"


def test_what_a_rich_text_skips_does_not_come_out() -> None:
    data = rb"{\rtf1{\fonttbl{\f0 Secretfont;}}{\*\mystery hidden group}{\*\pn x{\pntxtb skipped}}seen\par}"
    texts = [fact.body for fact in Rtf().read(stream_of(data)) if isinstance(fact, Text)]
    assert texts == ["seen"]


@pytest.mark.parametrize("name", sorted(WHOLE))
@settings(max_examples=12)
@given(st.data())
def test_damage_never_crashes(name: str, data: st.DataObject) -> None:
    sample = bytearray(WHOLE[name])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(sample) - 1), st.integers(0, 255)), max_size=20)
    ):
        sample[place] = value
    check(bytes(sample[: data.draw(st.integers(0, len(sample)))] if data.draw(st.booleans()) else sample))


@pytest.mark.parametrize("kind", ["BodyText", "WordDocument", "Workbook", "PowerPoint Document"])
@settings(max_examples=30)
@given(st.binary(max_size=3000))
def test_streams_of_noise_never_crash(kind: str, data: bytes) -> None:
    head = b"HWP Document File".ljust(40, b"\0")
    tree: Tree = (
        {"FileHeader": head, "BodyText": {"Section0": data}} if kind == "BodyText" else {kind: data, "1Table": data}
    )
    check(compound({**tree, "Current User": data, "\x05SummaryInformation": data, "Data": data}))


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from([b"{", b"}", b"\\*", b"\\pict", b"\\bin9 ", b"\\u-5", b"\\'a", b"\\upr", b"\\ud", b"x"]),
        max_size=40,
    )
)
def test_rich_text_of_any_groups_never_crashes(parts: list[bytes]) -> None:
    check(b"{\\rtf1" + b" ".join(parts))
