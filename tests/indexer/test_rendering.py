"""Pictures made small: what is shown, which side is up, and what is not decoded."""

from __future__ import annotations

import base64
import io
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from indexer import heic
from indexer.errors import EvidenceError
from indexer.likeness import likeness
from indexer.rendering import MOST_PIXELS, opened, thumbnail
from picture_parts import box

TOP = Path(__file__).parents[2]
decoder = pytest.mark.skipif(not heic.heic_library(), reason="pillow-heif is not installed")

# A square of 64 points, red and blue above, white below, coded once in HEVC: its configuration, and itself.
CONFIGURATION = base64.b85decode(
    b"0R#vD005pi000009`FGC|M>U-01pFT0096OKmiN^|NjIC00093o;Uyi0{{RXx&lC90096hLID8;2mk;B0G>Di00RI39*_hOAhO*_B{j{!LqUN"
    b"600RIS000930SICM0RRX@0l{*H3<4w"
)
SQUARE = base64.b85decode(b"0000qC;_h%faa)h)BpY^lz;s?=ZER#<V*kcrlgPXsCWOZ6H}rm^e3{9YI=X@<Rr9z{y{JB")
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def full(kind: bytes, version: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def picture(
    *, turns: int = 0, tiles: tuple[int, int] = (1, 1), size: tuple[int, int] | None = None, brand: bytes = b"heic"
) -> bytes:
    """The square as a picture; or as many beside and below each other in a grid, which is said to be of this size."""
    columns, rows = tiles
    grid = tiles != (1, 1)
    shown = size or (64 * columns, 64 * rows)
    properties = [
        full(b"ispe", 0, struct.pack(">II", *shown)),
        box(b"irot", bytes([turns])),
        box(b"hvcC", CONFIGURATION),
    ]
    properties += [full(b"ispe", 0, struct.pack(">II", 64, 64)), full(b"pixi", 0, b"\x03\x08\x08\x08")]
    squares = range(2, 2 + columns * rows) if grid else ()
    uses = [(1, (1, 2, 5) if grid else (1, 2, 0x83, 5)), *((each, (4, 0x83, 5)) for each in squares)]
    used = b"".join(struct.pack(f">HB{len(held)}B", item, len(held), *held) for item, held in uses)
    layout = bytes([0, 0, rows - 1, columns - 1]) + struct.pack(">HH", *(min(side, 0xFFFF) for side in shown))
    items = [(1, b"grid" if grid else b"hvc1"), *((each, b"hvc1") for each in squares)]
    entries = [full(b"infe", 2, struct.pack(">HH", item, 0), kind, b"\0") for item, kind in items]
    start = box(b"ftyp", brand, b"\0\0\0\0", b"mif1", brand)

    def meta(base: int) -> bytes:
        places = [(1, base, len(layout) if grid else len(SQUARE))]
        places += [(each, base + len(layout), len(SQUARE)) for each in squares]
        located = b"".join(struct.pack(">HHHII", item, 0, 1, at, length) for item, at, length in places)
        made_of = struct.pack(f">HH{len(squares)}H", 1, len(squares), *squares)
        return full(
            b"meta",
            0,
            full(b"hdlr", 0, b"\0\0\0\0pict" + b"\0" * 13),
            full(b"pitm", 0, struct.pack(">H", 1)),
            full(b"iinf", 0, struct.pack(">H", len(items)), *entries),
            full(b"iref", 0, box(b"dimg", made_of)) if grid else b"",
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", 0, struct.pack(">I", len(uses)), used)),
            full(b"iloc", 0, struct.pack(">HH", 0x4400, len(places)), located),
        )

    base = len(start) + len(meta(0)) + 8
    return start + meta(base) + box(b"mdat", layout * grid, SQUARE)


def shown(body: bytes, edge: int = 256) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail(io.BytesIO(body), edge)))


def colour(small: Image.Image, across: float, down: float) -> tuple[int, ...]:
    """Of the three the nearest."""
    at = small.getpixel((int(small.width * across), int(small.height * down)))
    assert isinstance(at, tuple)
    return min((RED, BLUE, WHITE), key=lambda each: sum((a - b) ** 2 for a, b in zip(each, at, strict=True)))


def corners(small: Image.Image) -> list[tuple[int, ...]]:
    """From the upper left one with the clock."""
    return [colour(small, *at) for at in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))]


@decoder
@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_picture_in_heic_is_looked_at(brand: bytes) -> None:
    body = picture(brand=brand)
    assert corners(shown(body)) == [RED, BLUE, WHITE, WHITE]
    assert len(likeness(io.BytesIO(body))) > 4


@decoder
def test_it_is_turned_as_its_item_says() -> None:
    # irot turns against the clock.
    assert corners(shown(picture(turns=1))) == [BLUE, WHITE, WHITE, RED]
    assert corners(shown(picture(turns=2))) == [WHITE, WHITE, RED, BLUE]
    small = shown(picture(turns=1, tiles=(2, 1)))
    assert small.size == (64, 128)


@decoder
def test_tiles_of_a_grid_are_put_together() -> None:
    small = shown(picture(tiles=(3, 2)))
    assert small.size == (192, 128)
    assert [colour(small, (2 * at + 1) / 12, 0.1) for at in range(6)] == [RED, BLUE] * 3
    assert [colour(small, 0.1, (2 * at + 1) / 8) for at in range(4)] == [RED, WHITE] * 2


@decoder
def test_a_grid_that_says_it_is_huge_is_not_decoded() -> None:
    with pytest.raises(EvidenceError, match="pixels are not decoded") as raised:
        thumbnail(io.BytesIO(picture(tiles=(3, 2), size=(30_000, 30_000))), 64)
    assert raised.value.cause == "limit"
    assert 30_000 * 30_000 > MOST_PIXELS


@decoder
def test_a_size_that_is_not_that_of_the_coded_picture_is_told() -> None:
    with pytest.raises(EvidenceError, match="cannot be looked at"):
        thumbnail(io.BytesIO(picture(size=(9_000, 9_000))), 64)


@decoder
def test_too_many_bytes_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heic, "MOST_BYTES", 100)
    with pytest.raises(EvidenceError, match="not decoded") as raised:
        thumbnail(io.BytesIO(picture()), 64)
    assert raised.value.cause == "limit"


@decoder
def test_damage_is_told_and_nothing_else_is_raised() -> None:
    chooser = random.Random(3)
    bodies = [picture(), picture(tiles=(2, 2), turns=3)]
    told = 0
    for number in range(400):
        body = bytearray(bodies[number % 2])
        for _ in range(chooser.randrange(1, 6)):
            body[chooser.randrange(len(body))] = chooser.choice((0, 1, 127, 255, chooser.randrange(256)))
        try:
            thumbnail(io.BytesIO(bytes(body[: chooser.choice((None, chooser.randrange(len(body))))])), 32)
        except EvidenceError:
            told += 1
    assert told > 100


def test_without_a_decoder_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in heic.LIBRARIES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EvidenceError, match=r"pip install 'archivore\[heic\]'") as raised:
        thumbnail(io.BytesIO(picture()), 64)
    assert raised.value.cause == "missing-library"


@decoder
def test_nothing_else_learns_to_open_heic() -> None:
    code = """
import io, sys
from PIL import Image
from indexer import rendering
assert not {"pillow_heif", "pi_heif"} & set(sys.modules)
body = sys.stdin.buffer.read()
rendering.thumbnail(io.BytesIO(body), 64)
try:
    Image.open(io.BytesIO(body))
except Image.UnidentifiedImageError:
    print("unknown")
"""
    run = subprocess.run([sys.executable, "-c", code], input=picture(), capture_output=True, cwd=TOP, check=False)
    assert run.stdout == b"unknown\n", run.stderr


@pytest.mark.parametrize(("kind", "save"), [("JPEG", {"quality": 95, "subsampling": 0}), ("AVIF", {}), ("PNG", {})])
def test_a_picture_is_shown_upright(kind: str, save: dict[str, int]) -> None:
    if kind == "AVIF" and kind not in Image.registered_extensions().values():
        pytest.skip("this Pillow has no AVIF")
    drawn = Image.new("RGB", (128, 64), "white")
    drawn.paste(RED, (0, 0, 64, 32))
    drawn.paste(BLUE, (64, 0, 128, 32))
    plain, held = io.BytesIO(), io.BytesIO()
    drawn.save(plain, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned with the clock
    drawn.transpose(Image.Transpose.ROTATE_90).save(held, kind, exif=exif, **save)
    small = shown(held.getvalue())
    assert small.size == (128, 64)
    assert corners(small) == [RED, BLUE, WHITE, WHITE]
    assert likeness(held)[:4] == likeness(plain)[:4]
    one, other = (struct.unpack("72b", likeness(each)[4:76]) for each in (held, plain))
    assert sum(a * b for a, b in zip(one, other, strict=True)) > 0.95 * sum(a * a for a in one)


def test_avif_is_not_taken_for_heic() -> None:
    body = (TOP / "fixtures/heif/avif/input.avif").read_bytes()
    assert not heic.is_heic(body)
    assert not heic.is_heic(box(b"ftyp", b"mif1", b"\0\0\0\0", b"mif1", b"avif"))
    assert heic.is_heic(picture())
    assert not heic.is_heic(b"")
    assert not heic.is_heic(box(b"ftyp", b"isom", b"\0\0\0\0", b"heic"))


def test_a_picture_opened_stays_as_it_is() -> None:
    held = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(held, "PNG")
    with opened(held, "RGB", 20) as picture_opened:
        assert picture_opened.size == (40, 30)


def test_a_picture_too_large_for_the_worker_is_told() -> None:
    held = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(held, "PNG")
    with pytest.raises(EvidenceError) as raised, opened(held, "RGB", 20):
        raise MemoryError
    assert raised.value.cause == "memory"


def packed(row: bytes) -> bytes:
    """PackBits: bytes that are the same as a run, others as they are."""
    out, at = b"", 0
    while at < len(row):
        end = at + 1
        while end < len(row) and end - at < 128 and row[end] == row[at]:
            end += 1
        out += bytes([(257 - (end - at)) & 0xFF, row[at]]) if end - at > 1 else bytes([0, row[at]])
        at = end
    return out


def document(drawn: Image.Image, *, big: bool = True, bits: int = 8, rows: bool = True, extra: int = 0) -> bytes:
    """A Photoshop document of a picture alone, with channels beside its colours."""
    bands = [*drawn.split(), *[Image.new("L", drawn.size, 77)] * extra]
    deep = bits // 8
    planes = [bytes(value for point in band.tobytes() for value in (point, 9)[:deep]) for band in bands]
    width = drawn.width * deep
    lines = [plane[at : at + width] for plane in planes for at in range(0, len(plane), width)]
    lines = [packed(line) for line in lines] if rows else lines
    counts = struct.pack(f">{len(lines)}{'I' if big else 'H'}", *map(len, lines)) if rows else b""
    mode = {"L": 1, "RGB": 3, "CMYK": 4}[drawn.mode]
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1 + big, len(bands), drawn.height, drawn.width, bits, mode)
    sections = struct.pack(">I2sI4s", 2, b"cm", 4, b"8BIM") + (struct.pack(">Q" if big else ">I", 6) + b"layers")
    return head + sections + struct.pack(">H", rows) + counts + b"".join(lines)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize(("big", "bits"), [(True, 8), (True, 16), (False, 16)])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_large_and_deep_photoshop_documents_are_looked_at(mode: str, big: bool, bits: int, rows: bool) -> None:
    drawn = Image.new("RGB", (70, 50), "white")
    drawn.paste(RED, (0, 0, 35, 25))
    drawn.paste(BLUE, (35, 0, 70, 25))
    stored = drawn.convert(mode)
    if mode == "CMYK":  # Photoshop keeps it the other way round
        stored = Image.merge("CMYK", [band.point(lambda value: 255 - value) for band in stored.split()])
    small = shown(document(stored, big=big, bits=bits, rows=rows, extra=1))
    assert small.size == (70, 50)
    if mode == "L":
        assert [small.getpixel(at) for at in ((9, 9), (60, 40))] == [(76, 76, 76), (255, 255, 255)]
    else:
        assert corners(small) == [RED, BLUE, WHITE, WHITE]


def test_a_document_that_lies_about_its_pixels_is_told() -> None:
    body = document(Image.new("RGB", (70, 50), "navy"))
    lies = {
        "limit": body[:14] + struct.pack(">II", 250_000, 250_000) + body[22:],
        "truncated": body[: len(body) // 2],
        "corrupt": body[:12] + b"\xff\xff" + body[14:],
        "unsupported": body[:24] + b"\0\2" + body[26:],
    }
    for cause, lie in lies.items():
        with pytest.raises(EvidenceError) as raised:
            thumbnail(io.BytesIO(lie), 64)
        assert raised.value.cause == cause
    huge = body[:14] + struct.pack(">II", 10_000, 20_000) + body[22:]
    with pytest.raises(EvidenceError, match="ends before its pixels"):
        thumbnail(io.BytesIO(huge), 64)


def test_damaged_documents_raise_nothing_else() -> None:
    chooser = random.Random(5)
    drawn = Image.new("RGB", (40, 30), "navy")
    bodies = [document(drawn), document(drawn, bits=16), document(drawn, rows=False)]
    for number in range(600):
        body = bytearray(bodies[number % 3])
        for _ in range(chooser.randrange(1, 5)):
            body[chooser.randrange(5, chooser.choice((80, len(body))))] = chooser.randrange(256)
        try:
            assert thumbnail(io.BytesIO(bytes(body)), 32).startswith(b"\xff\xd8")
        except EvidenceError:
            pass


def test_very_large_documents_are_made_smaller_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer import composites

    monkeypatch.setattr(composites, "_MANY", 1000)
    body = document(Image.new("RGB", (600, 400), "white"))
    with opened(io.BytesIO(body), "RGB", 100) as picture_opened:
        assert picture_opened.size == (100, 67)
