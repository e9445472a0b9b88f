"""Pictures: dimensions against Pillow, places, comments, bounds, and damage of every kind."""

from __future__ import annotations

import io
import struct
import sys
import time
import warnings
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import credential_parts as credentials
import picture_parts as parts
from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers import _c2pa, _exif, _ifd, _iptc, _picture, _xmp
from indexer.handlers._ifd import Ifds
from indexer.handlers.heif import Heif
from indexer.handlers.jpeg import SEGMENTS, Jpeg, walk
from indexer.handlers.png import Png
from indexer.handlers.strings import Strings
from indexer.handlers.tiff import Tiff
from indexer.handlers.webp import Webp
from indexer.model import Child, Field, Item, Problem, Text, Timestamp

HANDLERS = (Jpeg(), Png(), Tiff(), Webp(), Heif(), Strings())
FIXTURES = Path(__file__).parents[3] / "fixtures"
SAMPLES = sorted(
    path for kind in ("jpeg", "png", "tiff", "webp", "heif") for path in FIXTURES.glob(f"{kind}/*/input.*")
)


def crawl(data: bytes, name: str = "input.bin") -> list[Item]:
    return crawl_bytes(data, name, handlers=HANDLERS)


def fields(item: Item) -> dict[str, object]:
    return {field.name: field.value for field in item.fields}


def saved(mode: str, kind: str, **options: object) -> bytes:
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (37, 23), (200, 90, 20)).convert(mode).save(held, kind, **options)
    return held.getvalue()


SAVED = [
    *((mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *((mode, "TIFF", {}) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LAB")),
    ("RGB", "TIFF", {"big_tiff": True}),
    *((mode, "JPEG", {}) for mode in ("L", "RGB", "CMYK")),
    ("RGB", "JPEG", {"progressive": True}),
    *((mode, "WEBP", {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (False, True)),
    ("RGB", "AVIF", {}),
    ("RGBA", "AVIF", {}),
]


@pytest.mark.parametrize(("mode", "kind", "options"), SAVED, ids=str)
def test_shape_is_what_pillow_says(mode: str, kind: str, options: dict[str, object]) -> None:
    from PIL import Image, features

    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    data = saved(mode, kind, **options)
    with Image.open(io.BytesIO(data)) as theirs:
        expected = (*theirs.size, theirs.mode, getattr(theirs, "n_frames", 1))
    (item,) = crawl(data)
    ours = fields(item)
    assert tuple(ours[f"picture.{each}"] for each in ("width", "height", "mode", "frames")) == expected
    assert not item.problems


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_frames_are_counted(kind: str) -> None:
    from PIL import Image

    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 80, 160)]
    held = io.BytesIO()
    frames[0].save(held, kind, save_all=True, append_images=frames[1:])
    assert fields(crawl(held.getvalue())[0])["picture.frames"] == 3


def test_a_huge_picture_keeps_its_dimensions_and_no_pixel_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + parts.chunk(b"IHDR", header) + parts.chunk(b"IEND", b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (item,) = crawl(data)
    assert fields(item)["picture.width"] == 2**31 - 1
    assert not item.problems


@pytest.mark.parametrize(
    ("raw", "order", "expected"),
    [
        (b"ASCII\0\0\0retake cut 012\0\0junk", ">", "retake cut 012"),
        (b"UNICODE\0" + "重画眼睛".encode("utf-16-be"), ">", "重画眼睛"),
        (b"UNICODE\0" + "重画眼睛".encode("utf-16-le"), "<", "重画眼睛"),
        (b"UNICODE\0" + b"\xff\xfe" + "重画".encode("utf-16-le"), ">", "重画"),
        (b"UNICODE\0" + "retake".encode("utf-16-le"), ">", "retake"),
        (b"JIS\0\0\0\0\0" + "修正お願いします".encode("iso2022_jp"), ">", "修正お願いします"),
        (b"\0" * 8 + "修正お願いします".encode("cp932"), ">", "修正お願いします"),
        (b"ASCII\0\0\0\0\0\0\0", ">", ""),
    ],
)
def test_comments_follow_their_character_set(raw: bytes, order: str, expected: str) -> None:
    assert _exif.decode_comment(raw, order) == expected


def place(*tags: tuple[int, int, object]) -> dict[str, object]:
    facts = list(_exif.read_exif_block(parts.exif_block(">", ((271, 2, b"Kumo\0"),), (), tags)))
    return {fact.name: fact.value for fact in facts if isinstance(fact, Field) and fact.name.startswith("gps.")}


NORTH = ((1, 2, b"S\0"), (2, 5, ((39, 1), (30, 1), (0, 1))))


def test_degrees_have_signs() -> None:
    assert place(*NORTH) == {"gps.latitude": -39.5}
    assert place((3, 2, b"E\0"), (4, 5, ((125, 1), (7545, 100), (0, 1))))["gps.longitude"] == 126.2575
    assert place((5, 1, 1), (6, 5, (21, 2)))["gps.altitude"] == -10.5


def test_a_place_that_cannot_be_or_has_no_side_is_not_given() -> None:
    assert "gps.latitude" not in place((1, 2, b"N\0"), (2, 5, ((91, 1), (0, 1), (0, 1))))
    assert "gps.latitude" not in place(NORTH[1])
    assert "gps.latitude" not in place(NORTH[0], (2, 5, ((39, 0), (30, 0), (0, 0))))


def test_gps_time_is_in_utc() -> None:
    tags = ((7, 5, ((9, 1), (19, 1), (585, 10))), (0x1D, 2, b"2024:03:05\0"))
    stamps = [
        fact for fact in _exif.read_exif_block(parts.exif_block(">", (), (), tags)) if isinstance(fact, Timestamp)
    ]
    assert [stamp.at for stamp in stamps] == [datetime(2024, 3, 5, 9, 19, 58, 500000, tzinfo=UTC)]


def test_tags_in_one_code_page_are_judged_together() -> None:
    block = parts.exif_block(
        "<", ((0x10E, 2, "星空特急 第三話 原画".encode("cp932")), (0x13B, 2, "田辺".encode("cp932")))
    )
    found = {fact.name: fact.value for fact in _exif.read_exif_block(block) if isinstance(fact, Field)}
    assert found["exif.charset"] == "cp932"
    assert found["exif.artist"] == "田辺"


def test_a_long_windows_comment_is_whole_in_the_text_and_cut_in_the_field() -> None:
    said = "线条不够干净，请重画。" * 500
    facts = list(_exif.read_exif_block(parts.exif_block("<", ((0x9C9C, 1, said.encode("utf-16-le")),))))
    assert [len(str(fact.value)) for fact in facts if isinstance(fact, Field)] == [_picture.FIELD_CHARS]
    assert Text(said, "exif") in facts


def test_what_exifread_fails_on_is_walked_here() -> None:
    # One 64-bit float that lies outside the block: exifread takes the first of no values.
    block = parts.exif_block(">", ((0x0110, 12, 1.5), (0x0131, 2, b"CelScan 4.2\0")))
    block = block.replace(
        struct.pack(">HHII", 0x0110, 12, 1, 8 + 2 + 24 + 4), struct.pack(">HHII", 0x0110, 12, 1, 9999)
    )
    facts = list(_exif.read_exif_block(block))
    assert Field("exif.software", "CelScan 4.2") in facts
    assert [fact.cause for fact in facts if isinstance(fact, Problem)] == ["corrupt"]


def test_exif_longer_than_a_segment_goes_on_in_the_next() -> None:
    block = parts.exif_block(">", ((0x10E, 2, b"cut 012 " * 9000), (271, 2, b"Kumo Optics\0")))
    pieces = [parts.segment(0xE1, b"Exif\0\0" + block[at : at + 60_000]) for at in range(0, len(block), 60_000)]
    (item,) = crawl(parts.jpeg(*pieces))
    assert fields(item)["exif.make"] == "Kumo Optics"
    assert not item.problems


def test_a_maker_note_gives_serial_and_owner() -> None:
    note = parts.directory(">", 0, [(0x0009, 2, b"Mi\0"), (0x000C, 4, 123456)])
    block = parts.exif_block(
        ">", ((271, 2, b"Canon\0"), (272, 2, b"Canon EOS\0")), ((0x927C, 7, note), (0x9000, 7, b"0230"))
    )
    found = {fact.name: fact.value for fact in _exif.read_exif_block(block) if isinstance(fact, Field)}
    assert str(found["exif.serial"]) == "123456"
    assert found["exif.maker_owner_name"] == "Mi"


def test_reads_of_exifread_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exif, "READS", 20_000)
    entry = struct.pack(">HHII", 0x010F, 7, 999, 8)
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + entry * 5000
    facts = list(_exif.read_exif_block(block + b"\0\0\0\0"))
    assert [fact.cause for fact in facts if isinstance(fact, Problem)] == ["limit"]


def test_directories_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ifd, "ENTRIES", 100_000)
    # Every directory counts 65535 entries and lies 4 bytes after the one before; none links back.
    block = bytearray(b"MM\0*\0\0\0\x08" + b"\xff\xff" * (12 * 65536))
    for number in range(4):
        struct.pack_into(">I", block, 8 + 4 * number + 2 + 12 * 65535, 8 + 4 * number + 4)
    ifds = Ifds(lambda start, length: bytes(block[start : start + length]))
    with pytest.raises(_picture.EvidenceError, match="directory entries"):
        list(ifds.chain())


def test_xmp_goes_by_namespace_and_not_by_prefix() -> None:
    facts = list(_xmp.read_xmp(parts.XMP))
    found = {fact.name: fact.value for fact in facts if isinstance(fact, Field)}
    assert found["xmp.dc.title"] == "カット十二 セル修正"
    assert found["xmp.k.cut.note"] == "重画眼睛"
    assert found["xmp.xmpMM.DerivedFrom.documentID"] == "xmp.did:0416-z"
    edits = [fact.at for fact in facts if isinstance(fact, Timestamp) and fact.kind == "edited"]
    assert edits == [datetime(2024, 3, 5, 9, 20, 7, tzinfo=UTC), datetime(2024, 3, 6, 2, 11, tzinfo=UTC)]


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_xmp_comes_in_any_unicode_form(codec: str) -> None:
    packet = parts.XMP.decode().removeprefix("\ufeff").encode(codec)
    assert Field("xmp.dc.title", "カット十二 セル修正") in list(_xmp.read_xmp(packet))


def test_deep_and_wide_xmp_is_bounded() -> None:
    inner = b"<k:a>" * 3000 + b"x" + b"</k:a>" * 3000
    deep = parts.XMP.replace("重画眼睛".encode(), inner)
    assert list(_xmp.read_xmp(deep))
    wide = parts.XMP.replace(b"<rdf:li>hair colour</rdf:li>", b"<rdf:li>w</rdf:li>" * 9000)
    assert [fact.cause for fact in _xmp.read_xmp(wide) if isinstance(fact, Problem)] == ["limit"]


def test_iptc_without_an_envelope_is_judged_as_a_whole() -> None:
    for codec in ("utf-8", "cp932", "euc_jp"):
        facts = list(_iptc.read_iptc(parts.iptc(codec)))
        assert Field("iptc.byline", "田辺葵") in facts, codec


def test_a_day_without_a_clock_has_the_resolution_of_a_day() -> None:
    (stamp,) = (fact for fact in _iptc.read_iptc(b"\x1c\x02\x37\0\x0820240305") if isinstance(fact, Timestamp))
    assert (stamp.kind, stamp.resolution) == ("taken", 86400.0)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_bomb_in_a_chunk_stops_at_the_limit(kind: bytes) -> None:
    packed = zlib.compress(b"A" * (20 << 20), 9)
    head = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"iCCP": b"icc\0\0"}[kind]
    header = parts.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + parts.chunk(kind, head + packed) + parts.chunk(b"IEND", b"")
    (item,) = crawl(data)
    assert [problem.cause for problem in item.problems] == ["limit"]
    assert sum(len(text.body) for text in item.texts) <= _picture.INFLATED


@pytest.mark.parametrize(
    ("kind", "picture"),
    [("JPEG", saved("RGB", "JPEG")), ("PNG", saved("RGB", "PNG")), ("WEBP", saved("RGB", "WEBP"))],
    ids=["jpeg", "png", "webp"],
)
def test_what_is_appended_comes_out_whole(kind: str, picture: bytes) -> None:
    tail = b"PK\x03\x04 hidden behind the picture"
    items = crawl(picture + tail)
    assert [item.name for item in items] == ["input.bin", "[after the picture]"]
    assert items[1].size == len(tail)
    assert len(crawl(picture + b"\0" * 5000)) == 1
    assert len(crawl(picture + b"\r\n")) == 1


def test_the_end_of_a_scan_is_found_across_windows() -> None:
    for pad in ((1 << 20) - 30, (1 << 20) - 22, (1 << 20) - 21, (1 << 20) - 20, 1 << 20):
        picture = parts.jpeg()
        picture = picture.replace(b"\x56\x78\xff\xd9", b"\x56" * pad + b"\xff\xd9")
        (item,) = crawl(picture)
        assert not item.problems, pad


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"RIFF\0\0\0\0WEBPVP8 ", ["image/webp"]),
        (b"RIFF\0\0\0\0WAVE", []),
        (b"RIFX\0\0\0\0WEBP", []),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", []),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", ["image/avif"]),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", ["image/heif"]),
        (b"\0\0\0\x18ftyp", []),
        (b"II*\0", ["image/tiff"]),
        (b"MM\0*\xff\xff\xff\xff", ["image/tiff"]),
        (b"II+\0\x08\0", ["image/tiff"]),
        (b"II*\0\x10\0\0\0CR\x02\0", ["image/x-canon-cr2"]),
        (b"IIRO\x08\0\0\0", ["image/x-olympus-orf"]),
    ],
)
def test_claims_look_at_the_bytes(data: bytes, expected: list[str]) -> None:
    stream = Stream(io.BytesIO(data))
    marked = [each for each in HANDLERS if any(data.startswith(mark.magic, mark.offset) for mark in each.signatures)]
    assert [claim for each in marked if (claim := each.claims(stream))] == expected


def read_all(data: bytes, name: str) -> None:
    for item in crawl(data, name):
        assert not [problem for problem in item.problems if problem.cause == "crash"], item.problems


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(SAMPLES),
    flips=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_never_crash(path: Path, flips: list[tuple[int, int]]) -> None:
    data = bytearray(path.read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    read_all(bytes(data), path.name)


@settings(max_examples=60)
@given(path=st.sampled_from(SAMPLES), cut=st.floats(0, 1))
def test_truncation_never_crashes(path: Path, cut: float) -> None:
    data = path.read_bytes()
    read_all(data[: int(len(data) * cut)], path.name)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xd0", b"\xff\xfe\0\2", b"\xff\x00", b"\0"], ids=bytes.hex)
def test_long_runs_of_markers_take_no_time(filler: bytes) -> None:
    data = b"\xff\xd8\xff" + filler * ((4 << 20) // len(filler))
    started = time.process_time()
    segments, _, problem = walk(Stream(io.BytesIO(data)))
    assert time.process_time() - started < 3
    assert problem
    assert len(segments) <= SEGMENTS


def test_no_more_blocks_are_read_than_a_picture_can_need() -> None:
    block = parts.segment(0xE1, b"Exif\0\0" + parts.exif_block(">", ((271, 2, b"Kumo Optics\0"),)))
    (item,) = crawl(parts.jpeg(*[block] * 300))
    assert len([field for field in item.fields if field.name == "exif.make"]) == _picture.BLOCKS
    assert [problem.cause for problem in item.problems] == ["limit"]


def test_an_attribute_keeps_the_prefix_of_its_namespace() -> None:
    packet = parts.XMP.replace(b'xmp:CreatorTool="', b'k:state="retake" xmp:CreatorTool="')
    assert Field("xmp.k.state", "retake") in list(_xmp.read_xmp(packet))


@pytest.mark.parametrize("sample", ["jpeg/everything/input.jpg", "tiff/two-pages/input.tif"])
def test_without_exifread_all_else_is_read(sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "exifread" or name.startswith("exifread.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "exifread", None)
    root = crawl((FIXTURES / sample).read_bytes())[0]
    assert {problem.cause for problem in root.problems} == {"missing-library"}
    assert fields(root)["picture.width"]
    assert fields(root)["xmp.dc.title"] == "カット十二 セル修正"


def test_members_are_exactly_the_bytes_in_the_file() -> None:
    thumbnail = parts.jpeg(width=8, height=4)
    data = (FIXTURES / "jpeg/everything/input.jpg").read_bytes()
    held = [
        fact.open().read() for fact in Jpeg().read(Stream(io.BytesIO(data))) if isinstance(fact, Child) and fact.open
    ]
    assert held == [thumbnail, thumbnail]


@settings(max_examples=300)
@given(st.integers(0, len(credentials.STORE) - 1), st.integers(1, 255), st.integers(0, len(credentials.STORE)))
def test_damaged_credentials_are_problems_at_most(at: int, change: int, end: int) -> None:
    damaged = bytearray(credentials.STORE)
    damaged[at] ^= change
    for data in (bytes(damaged), bytes(damaged[:end])):
        for fact in _c2pa.read_store(data):
            assert isinstance(fact, Field | Text | Timestamp) or fact.cause in ("corrupt", "truncated")


@pytest.mark.parametrize(
    "value",
    [
        b"\x81" * 100_000,
        b"\x9b" + b"\xff" * 8,
        b"\x7b" + b"\xff" * 8,
        b"\xbf" * 100_000,
        b"\x9f" + b"\0" * 200_000,
        b"",
    ],
    ids=["nested", "long-list", "long-text", "endless", "many", "empty"],
)
def test_hostile_values_in_credentials_cost_little(value: bytes) -> None:
    claim = credentials.held("c2cl", "c2pa.claim", parts.box(b"cbor", value))
    store = credentials.held("c2pa", "c2pa", credentials.held("c2ma", "urn:c2pa:hostile", claim))
    started = time.process_time()
    assert [fact.cause for fact in _c2pa.read_store(store) if isinstance(fact, Problem)] == ["corrupt"]
    assert time.process_time() - started < 1


@pytest.mark.parametrize("most", [100, 700, 60_000])
def test_credentials_are_the_same_however_they_are_cut(most: int) -> None:
    whole = list(_c2pa.read_store(credentials.STORE))
    assert Field("c2pa.source_type", "trainedAlgorithmicMedia") in whole
    (item,) = crawl(parts.jpeg(credentials.segments(most=most)))
    assert {field for field in whole if isinstance(field, Field)} <= set(item.fields)
