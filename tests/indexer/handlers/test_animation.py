"""Animation, drawings, scenes and models: damage of every kind, bounds, and what golden files cannot show."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import media_parts
from crawling import crawl_bytes
from indexer.handler import Handler, Stream
from indexer.handlers import _id3, _refs
from indexer.handlers._media import Tags
from indexer.handlers._psd_layers import Layer, _as_tree
from indexer.handlers.mp4 import Mp4
from indexer.handlers.psd import Psd
from indexer.model import Fact, Field, Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS = (
    *("psd", "clip-studio", "krita", "openraster", "gif", "bmp", "icon", "tga", "mp3", "flac", "ogg", "mp4"),
    *("matroska", "riff-media", "aiff", "asf", "project-xml", "timesheet", "after-effects", "blender", "font", "swf"),
    *("maya", "exr", "dpx", "rig", "real-media", "flv", "metafile"),
    *("dwg", "fbx", "usd", "alembic", "nuke", "3ds-max", "cinema4d", "houdini", "hdf5", "matlab", "netcdf", "grib"),
    *("las", "e57", "bpg", "jpeg-xr", "marc", "stl", "cadkey"),
)
SAMPLES = sorted(path for kind in KINDS for path in FIXTURES.glob(f"{kind}/*/input.*") if path.stat().st_size < 20_000)


def fields(item: Item) -> dict[str, object]:
    return {field.name: field.value for field in item.fields}


def no_crash(items: list[Item]) -> None:
    for item in items:
        assert not [problem for problem in item.problems if problem.cause == "crash"], item.problems


@settings(max_examples=160)
@given(st.sampled_from(SAMPLES), st.data())
def test_no_damage_crashes_a_reader(path: Path, data: st.DataObject) -> None:
    held = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(held) - 1))
        held[place] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, held[place] ^ 0x20)))
    cut = data.draw(st.integers(len(held) // 2, len(held)))
    no_crash(crawl_bytes(bytes(held[:cut]), path.name))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_a_file_cut_anywhere_is_told_or_whole(path: Path) -> None:
    held = path.read_bytes()
    for cut in range(1, len(held), max(1, len(held) // 12)):
        no_crash(crawl_bytes(held[:cut], path.name))


class Sparse(io.RawIOBase):
    """A huge file of zeros with a head and a tail of its own; counts what is read."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__()
        self.head, self.size, self.position, self.taken = head, size, 0, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int = -1) -> bytes:
        count = min(count if count >= 0 else self.size, max(0, self.size - self.position))
        data = self.head[self.position : self.position + count].ljust(count, b"\0")
        self.position += count
        self.taken += count
        return data


def facts_of(handler: Handler, file: Sparse) -> list[Fact]:
    return list(handler.read(Stream(file)))  # type: ignore[arg-type]


def test_a_document_of_ten_gibibytes_is_not_read_whole() -> None:
    name = "影".encode("utf-16-be")
    extra = b"\0" * 8 + b"\0\0\0\0" + b"8BIMluni" + struct.pack(">II", 4 + len(name), 1) + name
    record = struct.pack(">4iH", 0, 0, 9, 9, 1) + struct.pack(">hQ", 0, 9 << 30)
    record += b"8BIMnorm\xff\0\0\0" + struct.pack(">I", len(extra)) + extra
    head = b"8BPS\0\2" + b"\0" * 6 + struct.pack(">HIIHH", 3, 30000, 30000, 8, 3) + b"\0" * 8
    head += struct.pack(">QQh", 10 << 30, (10 << 30) - 16, 1) + record
    file = Sparse(head, (10 << 30) + 100)
    facts = facts_of(Psd(), file)
    assert Field("psd.layer", "影") in facts
    assert file.taken < 1 << 20


def test_a_film_of_ten_gibibytes_is_not_read_whole() -> None:
    head = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\1mdat" + struct.pack(">Q", 10 << 30)
    file = Sparse(head, (10 << 30) + 16)
    assert Field("mp4.brand", "isom") in facts_of(Mp4(), file)
    assert file.taken < 8 << 20


@pytest.mark.parametrize(
    ("kind", "mode", "name"),
    [
        ("BMP", "RGB", "a.bmp"),
        ("BMP", "P", "a.bmp"),
        ("GIF", "P", "a.gif"),
        ("TGA", "RGB", "a.tga"),
        ("ICO", "RGBA", "a.ico"),
    ],
)
def test_shape_is_what_pillow_says(kind: str, mode: str, name: str) -> None:
    from PIL import Image

    held = io.BytesIO()
    Image.new(mode, (32, 16)).save(held, kind, **({"sizes": [(32, 16)]} if kind == "ICO" else {}))
    item = crawl_bytes(held.getvalue(), name)[0]
    assert (fields(item)["picture.width"], fields(item)["picture.height"]) == (32, 16)
    assert item.status == "read"


@pytest.mark.parametrize(
    "text", ["ID3 tags are written like this, with a size", "FWS is how a film begins", "BM and more"]
)
def test_a_text_is_not_taken_for_a_film(text: str) -> None:
    assert crawl_bytes(text.encode() * 20, "notes.txt")[0].handler == "text"


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("gbk", "星空特急第三集主题歌"),
        ("euc-kr", "별하늘 급행 주제가"),
        ("cp932", "星空特急のテーマ"),
        ("cp1251", "Ночной поезд"),
    ],
)
def test_tags_called_latin_are_read_in_their_own_code_page(codec: str, text: str) -> None:
    tags = Tags()
    raw = media_parts.id3(media_parts.id3_frame("TIT2", b"\0" + text.encode(codec)))
    assert not list(_id3.read_id3(raw, tags))
    assert Field("media.title", text) in list(tags.facts())


def test_layers_of_a_group_that_never_ends_are_kept() -> None:
    layers = [Layer(name="group", section=1), Layer(name="inside"), Layer(name="</>", section=3), Layer(name="out")]
    assert [leaf.groups for leaf in _as_tree(layers[:2])] == [(), ("group",)]
    assert [leaf.groups for leaf in _as_tree(layers)] == [(), ("group",), ()]


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("Z:\\HOSHI\\EP03\\a.tga", True),
        ("\\\\server\\share\\a.tga", True),
        ("//server/share/a.tga", True),
        ("/Volumes/KUMO/a.tga", True),
        ("file:///Users/mina/a.psd", True),
        ("https://kumo.example/a", False),
        ("a.tga", False),
        ("and/or", False),
    ],
)
def test_what_counts_as_a_path(text: str, is_it: bool) -> None:
    assert _refs.is_path(text) is is_it
