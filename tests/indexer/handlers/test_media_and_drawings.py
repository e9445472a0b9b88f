"""Drawings, sounds and streams: bounds, damage of every kind, what goldens cannot show."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Handler, Stream
from indexer.handlers import _ps_tokens, mpeg_transport
from indexer.handlers.icns import Icns
from indexer.handlers.indesign import InDesign
from indexer.handlers.jpeg2000 import Jpeg2000
from indexer.handlers.jpeg_xl import JpegXl
from indexer.handlers.midi import Midi
from indexer.handlers.mpeg_program import MpegProgram
from indexer.handlers.mpeg_transport import MpegTransport
from indexer.handlers.netpbm import Netpbm
from indexer.handlers.postscript import PostScript
from indexer.handlers.procreate import Procreate
from indexer.handlers.raster import Raster
from indexer.handlers.raw_audio import RawAudio
from indexer.handlers.sai import Sai
from indexer.handlers.strings import Strings
from indexer.handlers.subtitles import Subtitles
from indexer.handlers.svg import Svg
from indexer.handlers.tracker import Tracker
from indexer.handlers.tvpaint import TvPaint
from indexer.model import Field, Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
READERS: tuple[Handler, ...] = (
    Icns(), InDesign(), Jpeg2000(), JpegXl(), Midi(), MpegProgram(), MpegTransport(), Netpbm(), PostScript(),
    Procreate(), Raster(), RawAudio(), Sai(), Subtitles(), Svg(), Tracker(), TvPaint(),
)  # fmt: skip
SAMPLES = sorted(path for reader in READERS for path in FIXTURES.glob(f"{reader.name}/*/input.*"))


def crawl(data: bytes, name: str = "input.bin") -> list[Item]:
    return crawl_bytes(data, name, handlers=(*READERS, Strings()))


def fields(item: Item) -> dict[str, object]:
    return {field.name: field.value for field in item.fields}


@settings(max_examples=150)
@given(st.sampled_from(SAMPLES), st.data())
def test_damage_of_any_kind_never_crashes(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=6)):
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(raw)))
    for item in crawl(bytes(raw[:cut] if data.draw(st.booleans()) else raw), path.name):
        assert not [problem for problem in item.problems if problem.cause == "crash"], item.problems


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_claims_answer_on_any_bytes(reader: Handler) -> None:
    for path in SAMPLES:
        raw = path.read_bytes()
        for cut in (0, 1, 2, 3, 5, 9, 17, 33, 65, len(raw)):
            reader.claims(Stream(io.BytesIO(raw[:cut]), name=path.name))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_reading_what_another_library_took_for_the_type_ends_in_a_problem(reader: Handler) -> None:
    for raw in (b"", b"\0", b"A" * 7, b"\xff" * 40, bytes(range(256)) * 3):
        item = crawl_bytes(raw + b"!", handlers=(_Anything(reader),))[0]
        assert not [problem for problem in item.problems if problem.cause == "crash"], (raw, item.problems)


class _Anything(Handler):
    """Gives every file to one reader, whatever it claims."""

    name = "anything"
    media_types = ("application/x-anything",)

    def __init__(self, reader: Handler) -> None:
        self._reader = reader

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0]

    def read(self, stream: Stream) -> object:  # type: ignore[override]
        return self._reader.read(stream)


@pytest.mark.parametrize(
    "raw",
    [
        b"%!PS\n" + b"(" * 400_000,
        b"%!PS\n" + b"<x:xmpmeta" * 40_000,
        b"%!PS\n" + b"<ab" * 200_000,
        b"P6 " + b"#" * 400_000,
        b"P7\n" + b"\n" * 400_000,
        b"<svg xmlns='a'>" + b"<g data-name='x'>" * 20_000,
        b"WEBVTT\n\n" + b"<v " * 200_000,
        b"[Script Info]\n" + b"{\\" * 200_000,
        b"<SAMI>" + b"<SYNC start=1>" * 20_000,
        b"0:0:0,0 --> 0:0:0,0\n" + b"1:" * 200_000,
    ],
    ids=lambda raw: raw[:12].decode(),
)
def test_time_grows_with_the_size_only(raw: bytes) -> None:
    begun = time.monotonic()
    crawl(raw)
    assert time.monotonic() - begun < 3


def test_shapes_are_what_pillow_says() -> None:
    from PIL import Image, features

    kinds = [("PPM", "RGB"), ("PPM", "L"), ("PPM", "1"), ("PCX", "RGB"), ("PCX", "L"), ("SGI", "RGB"), ("SGI", "RGBA")]
    kinds += [("JPEG2000", "RGB"), ("JPEG2000", "L")] if features.check("jpg_2000") else []
    for kind, mode in kinds:
        held = io.BytesIO()
        Image.new("RGB", (37, 23), (200, 90, 20)).convert(mode).save(held, kind)
        found = fields(crawl(held.getvalue())[0])
        assert (found["picture.width"], found["picture.height"]) == (37, 23), (kind, mode)
        if (kind, mode) != ("PCX", "L"):
            assert found["picture.mode"] == mode


def test_strings_of_postscript_lose_their_escapes() -> None:
    program = rb"(a\(b\)\n\101\\ (inner) \q) <4142 4> % said"
    assert list(_ps_tokens.tokens(program)) == [
        ("string", rb"a(b)" + b"\nA" + rb"\ (inner) q"), ("string", b"AB@"), ("comment", b" said"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"News", "News"),
        (b"\x15" + "별의 방송".encode(), "별의 방송"),
        (b"\x13" + "新闻".encode("gb2312"), "新闻"),
        (b"\x10\0\x05" + "новости".encode("iso8859_5"), "новости"),
        (b"\x11" + "映画".encode("utf-16-be"), "映画"),
        (b"", ""),
        (b"\x10\0\x0c\xff", "ÿ"),
    ],
)
def test_text_of_broadcasts_follows_its_table(raw: bytes, text: str) -> None:
    assert mpeg_transport.decode_text(raw) == text


def test_layers_of_a_drawing_stay_in_bounds() -> None:
    raw = b"<svg xmlns='a'>" + b"<g data-name='x'>" * 30_000 + b"</svg>"
    facts = list(Svg().read(Stream(io.BytesIO(raw))))
    assert max(len(str(fact.value)) for fact in facts if isinstance(fact, Field)) <= 1000
