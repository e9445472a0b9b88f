"""Pictures of PDF files by their samples: each against what Pillow makes of the same; bounds; damage."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _pdf_pictures
from indexer.handlers._pdf_pictures import read_pictures
from indexer.handlers._pdf_values import Reference, parse
from indexer.handlers.jbig2 import Jbig2
from indexer.handlers.pdf import Pdf
from indexer.handlers.png import Png
from indexer.handlers.tiff import Tiff
from indexer.model import Child, Fact

FIXTURES = Path(__file__).parents[3] / "fixtures"
HANDLERS = (Pdf(), Png(), Tiff(), Jbig2())
WIDTH, HEIGHT = 21, 18
SPACES = {"/DeviceGray": 1, "/DeviceRGB": 3, "/DeviceCMYK": 4}


def picture(data: bytes, entries: str, width: int = WIDTH, height: int = HEIGHT, number: int = 5) -> bytes:
    shape = f"{number} 0 obj\n<</Subtype/Image/Width {width}/Height {height}{entries}/Length {len(data)}>>\nstream\n"
    return shape.encode("latin-1") + data + b"\nendstream\nendobj\n"


def facts(*objects: bytes) -> list[tuple[Fact, bytes]]:
    """Every fact, with the bytes of those that are members."""
    stream = Stream(io.BytesIO(b"%PDF-1.7\n" + b"".join(objects) + b"%%EOF\n"))
    found = read_pictures(stream)
    return [(fact, fact.open().read() if isinstance(fact, Child) and fact.open else b"") for fact in found]


def shown(*objects: bytes) -> Image.Image:
    """The one picture, as Pillow opens it."""
    ((_, data),) = facts(*objects)
    return Image.open(io.BytesIO(data))


def rows_of(channels: int, bits: int, seed: int = 1) -> bytes:
    """Random samples, the bits behind the last of a row unset."""
    row = WIDTH * channels * bits
    whole = np.random.default_rng(seed).integers(0, 2, (HEIGHT, row), dtype=np.uint8)
    return np.packbits(whole, axis=1).tobytes()


def samples(rows: bytes, channels: int, bits: int) -> np.ndarray:
    whole = np.unpackbits(np.frombuffer(rows, np.uint8).reshape(HEIGHT, -1), axis=1)[:, : WIDTH * channels * bits]
    return whole.reshape(HEIGHT, WIDTH * channels, bits) @ (1 << np.arange(bits)[::-1])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("inverted", [False, True])
def test_samples_are_those_of_the_file(space: str, bits: int, inverted: bool) -> None:
    channels, most = SPACES[space], (1 << bits) - 1
    rows = rows_of(channels, bits)
    turned = f"/Decode[{'1 0 ' * channels}]" if inverted else ""
    image = shown(picture(zlib.compress(rows), f"/BitsPerComponent {bits}/ColorSpace{space}/Filter/Fl{turned}"))
    wanted = samples(rows, channels, bits) * (255 // most)
    got = np.asarray(image.convert("L") if channels == 1 else image).reshape(HEIGHT, -1)
    assert image.mode == {1: "1" if bits == 1 else "L", 3: "RGB", 4: "CMYK"}[channels]
    assert np.array_equal(got, 255 - wanted if inverted else wanted)


def test_sixteen_bits_stay() -> None:
    rows = rows_of(1, 16)
    image = shown(picture(rows, "/BitsPerComponent 16/ColorSpace/CalGray"))
    assert np.array_equal(np.asarray(image), samples(rows, 1, 16))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
@pytest.mark.parametrize("inverted", [False, True])
def test_rows_that_pillow_predicts_stay_and_are_undone(mode: str, inverted: bool) -> None:
    drawn = Image.linear_gradient("L").resize((97, 63)).rotate(30)
    original = drawn.quantize(16) if mode == "P" else drawn.convert(mode)
    box = io.BytesIO()
    original.save(box, "PNG")
    data = box.getvalue()
    packed = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    bits, channels = data[24], len(original.getbands())
    most = (1 << bits) - 1
    palette = bytes(original.getpalette() or ()).ljust(768, b"\0")
    space = {"RGB": "/DeviceRGB", "P": f"[/Indexed/DeviceRGB 255<{palette.hex()}>]"}.get(mode, "/DeviceGray")
    turned = f"/Decode[{f'{most} 0' if mode == 'P' else '1 0 ' * channels}]" if inverted else ""
    parms = f"/DecodeParms[<</Predictor 15/Columns 97/Colors {channels}/BitsPerComponent {bits}>>]"
    entries = f"/BitsPerComponent {bits}/ColorSpace{space}/Filter[/FlateDecode]{parms}{turned}"
    image = shown(picture(packed, entries, 97, 63))
    assert image.mode == mode
    held, wanted = np.asarray(image).astype(int), np.asarray(original).astype(int)
    assert np.array_equal(held, most - wanted if inverted else wanted)


@pytest.mark.parametrize(("colours", "bits"), [(1, 8), (3, 8), (4, 8), (1, 16), (3, 16)])
def test_predictors_of_tiff_are_undone(colours: int, bits: int) -> None:
    plain = samples(rows_of(colours, bits), colours, bits).reshape(HEIGHT, WIDTH, colours)
    steps = plain.copy()
    steps[:, 1:] -= plain[:, :-1]
    wrapped = ((steps & ((1 << bits) - 1)).reshape(HEIGHT, -1, 1) >> np.arange(bits)[::-1]) & 1
    packed = np.packbits(wrapped.reshape(HEIGHT, -1).astype(np.uint8), axis=1).tobytes()
    space = {1: "/DeviceGray", 3: "/DeviceRGB", 4: "/DeviceCMYK"}[colours]
    shape = f"/BitsPerComponent {bits}/ColorSpace{space}/Filter/FlateDecode"
    parms = f"/DecodeParms<</Predictor 2/Columns {WIDTH}/Colors {colours}/BitsPerComponent {bits}>>"
    predicted = facts(picture(zlib.compress(packed), shape + parms))
    assert predicted[0][1] == facts(picture(zlib.compress(rows_of(colours, bits)), shape))[0][1]


def test_a_predictor_that_is_not_undone_is_told() -> None:
    parms = "/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 21/BitsPerComponent 1>>"
    ((problem, _),) = facts(picture(b"", "/BitsPerComponent 1/ColorSpace/DeviceGray" + parms))
    assert getattr(problem, "message", "") == "pictures with a filter that cannot be undone: FlateDecode (1)"


@pytest.mark.parametrize("bits", [4, 16])
def test_predicted_rows_of_many_bytes_a_pixel_are_undone(bits: int) -> None:
    """Of CMYK: rows in turns by the bytes before and by those above."""
    rows = np.frombuffer(rows_of(4, bits), np.uint8).reshape(HEIGHT, -1).astype(int)
    depth = bits // 2
    before = np.pad(rows, ((0, 0), (depth, 0)))[:, : rows.shape[1]]
    above = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    steps = np.where(np.arange(HEIGHT)[:, None] % 2, rows - above, rows - before) & 255
    kinds = 1 + np.arange(HEIGHT)[:, None] % 2
    packed = np.hstack([kinds, steps]).astype(np.uint8).tobytes()
    shape = f"/BitsPerComponent {bits}/ColorSpace/DeviceCMYK/Filter/FlateDecode"
    parms = f"/DecodeParms<</Predictor 15/Columns {WIDTH}/Colors 4/BitsPerComponent {bits}>>"
    predicted = facts(picture(zlib.compress(packed), shape + parms))
    assert predicted[0][1] == facts(picture(zlib.compress(rows_of(4, bits)), shape))[0][1]


def lzw(data: bytes, early: int) -> bytes:
    """Codes as an encoder makes them, that knows each entry one code before its reader does."""
    table, width, before, bits = {bytes((value,)): value for value in range(256)}, 9, b"", [f"{256:09b}"]
    made = 258
    for byte in data:
        if (longer := before + bytes((byte,))) in table:
            before = longer
            continue
        bits.append(f"{table[before]:0{width}b}")
        table[longer] = made
        made += 1
        before = bytes((byte,))
        if made + early > 1 << width and width < 12:
            width += 1
        if made == 4095:
            bits.append(f"{256:0{width}b}")
            table, width, made = {bytes((value,)): value for value in range(256)}, 9, 258
    bits.append(f"{table[before]:0{width}b}")
    width += made + 1 + early > 1 << width and width < 12
    whole = "".join([*bits, f"{257:0{width}b}"])
    whole += "0" * (-len(whole) % 8)
    return int(whole, 2).to_bytes(len(whole) // 8, "big")


@pytest.mark.parametrize("early", [0, 1])
@pytest.mark.parametrize("colours", [2, 7, 256])
def test_lzw_is_undone_at_every_width(early: int, colours: int) -> None:
    plain = np.random.default_rng(3).integers(0, colours, 100 * 200, dtype=np.uint8).tobytes()
    parms = f"/DecodeParms<</EarlyChange {early}>>"
    image = shown(
        picture(lzw(plain, early), f"/BitsPerComponent 8/ColorSpace/G/Filter/LZWDecode{parms}", 100, 200),
    )
    assert image.tobytes() == plain


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=128), st.tuples(st.integers(2, 128), st.integers(0, 255)))))
def test_runs_are_undone(runs: list[bytes | tuple[int, int]]) -> None:
    plain = packed = b""
    for run in [*runs, (128, 7), (128, 8)]:
        plain += run if isinstance(run, bytes) else bytes((run[1],)) * run[0]
        packed += bytes((len(run) - 1,)) + run if isinstance(run, bytes) else bytes((257 - run[0], run[1]))
    entries = "/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/RunLengthDecode"
    assert shown(picture(packed + b"\x80", entries, 16, len(plain) // 16)).tobytes() == plain[: len(plain) // 16 * 16]


def test_palettes_are_followed_and_a_short_one_ends_with_its_last_colour() -> None:
    rows, colours = rows_of(1, 2), bytes((1, 2, 3, 250, 251, 252, 9, 8, 7))
    lookup = b"8 0 obj\n<</Length %d/Filter/FlateDecode>>\nstream\n%s\nendstream\nendobj\n"
    lookup %= (len(zlib.compress(colours)), zlib.compress(colours))
    space = b"7 0 obj\n[/Indexed /DeviceRGB 2 8 0 R]\nendobj\n"
    image = shown(picture(rows, "/BitsPerComponent 2/ColorSpace 7 0 R"), space, lookup)
    table = np.array([[1, 2, 3], [250, 251, 252], [9, 8, 7], [9, 8, 7]])
    assert np.array_equal(np.asarray(image.convert("RGB")), table[samples(rows, 1, 2)])


def test_palettes_of_cmyk_become_their_colours() -> None:
    rows = rows_of(1, 1)
    image = shown(picture(rows, "/BitsPerComponent 1/ColorSpace[/I/CMYK 1(\\000\\001\\002\\003\\(\\)\\\\\\377)]"))
    assert np.array_equal(np.asarray(image), np.array([[0, 1, 2, 3], [40, 41, 92, 255]])[samples(rows, 1, 1)])


def test_a_reference_means_the_object_of_its_own_saving() -> None:
    one = picture(rows_of(1, 8), "/BitsPerComponent 8/ColorSpace 7 0 R")
    gray, palette = b"7 0 obj\n/DeviceGray\nendobj\n%%EOF\n", b"7 0 obj\n[/Indexed/DeviceRGB 0(abc)]\nendobj\n%%EOF\n"
    found = [Image.open(io.BytesIO(data)).mode for _, data in facts(one, gray, one, palette)]
    assert found == ["L", "P"]


@pytest.mark.parametrize("inks", [1, 2, 5])
def test_inks_are_kept_as_inks(inks: int) -> None:
    names = "/Separation/Gold" if inks == 1 else f"/DeviceN[{'/Gold ' * inks}]"
    rows = rows_of(inks, 8)
    ((child, data),) = facts(picture(rows, f"/BitsPerComponent 8/ColorSpace[{names}/DeviceCMYK 9 0 R]"))
    (item,) = crawl_bytes(data, "ink.tif", handlers=HANDLERS)
    values = {field.name: field.value for field in item.fields}
    assert isinstance(child, Child)
    assert child.name == "picture 1.tif"
    assert data.endswith(rows)
    assert values["exif.samples_per_pixel"] == inks
    assert values["exif.photometric_interpretation"] == (0 if inks == 1 else 5)
    assert not item.problems


@pytest.mark.parametrize("black_is_1", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("kind", ["group3", "group4", "tiff_ccitt"])
def test_faxes_are_wrapped(kind: str, black_is_1: bool, inverted: bool) -> None:
    drawn = Image.linear_gradient("L").resize((60, 40)).convert("1")
    box = io.BytesIO()
    drawn.save(box, "TIFF", compression=kind)
    held = Image.open(box)
    place, size = held.tag_v2[273][0], held.tag_v2[279][0]  # type: ignore[attr-defined]
    white_is_zero = held.tag_v2[262] == 0  # type: ignore[attr-defined]
    coded = {"group3": "/K 0/EndOfLine true", "group4": "/K -1", "tiff_ccitt": "/EncodedByteAlign true"}[kind]
    parms = f"/DecodeParms<<{coded}/Columns 60/BlackIs1 {str(black_is_1).lower()}>>"
    entries = f"/ImageMask true/Filter/CCF{parms}" + "/Decode[1 0]" * inverted
    image = shown(picture(box.getvalue()[place : place + size], entries, 60, 40))
    wanted = np.asarray(drawn)
    assert image.mode == "1"
    assert np.array_equal(np.asarray(image), ~wanted if black_is_1 ^ inverted ^ (not white_is_zero) else wanted)


def test_a_fax_below_another_filter_is_wrapped() -> None:
    fax = b"\xff\xff\0\x10\x01"
    entries = "/Filter[/FlateDecode/CCITTFaxDecode]/DecodeParms[null<</K -1/Columns 32>>]"
    assert shown(picture(zlib.compress(fax), entries, 32, 16)).getextrema() == (255, 255)


def test_small_pictures_are_counted_and_others_not_left_out_silently() -> None:
    gray = "/BitsPerComponent 8/ColorSpace/DeviceGray"
    found = facts(picture(bytes(90), gray, 15, 18), picture(b"", gray, -4, 18), picture(b"", "/ColorSpace/Pattern"))
    assert [getattr(fact, "message", fact) for fact, _ in found][1:] == [
        "pictures in colours that are not read: Pattern (1)",
        "pictures without a sound size (1)",
    ]
    assert (found[0][0].name, found[0][0].value) == ("pdf.small_pictures", 1)  # type: ignore[union-attr]


def test_what_is_unpacked_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    gray = "/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode"
    bomb = picture(zlib.compress(bytes(50_000_000)), gray, 16, 16)
    assert [len(data) for _, data in facts(bomb, bomb)] == [369, 369]
    monkeypatch.setattr(_pdf_pictures, "ALL_BYTES", 500)
    with pytest.raises(EvidenceError, match="more than 500 bytes"):
        facts(bomb, bomb)
    monkeypatch.setattr(_pdf_pictures, "ALL_BYTES", 5_000)
    monkeypatch.setattr(_pdf_pictures, "PICTURES", 2)
    assert [type(fact).__name__ for fact, _ in facts(bomb, bomb, bomb)] == ["Child", "Child", "Problem"]


def test_rows_before_the_damage_are_kept() -> None:
    plain = np.random.default_rng(5).integers(0, 255, 300 * 2000, dtype=np.uint8).tobytes()
    data = bytearray(zlib.compress(plain, 0))
    data[400_000:400_100] = b"\xff" * 100
    stream = Stream(io.BytesIO(picture(bytes(data), "/BitsPerComponent 8/ColorSpace/G/Filter/Fl", 300, 2000)))
    (child,) = read_pictures(stream)
    assert isinstance(child, Child)
    assert child.open
    opened, held = child.open(), b""
    with pytest.raises(EvidenceError):
        while piece := opened.read(1000):
            held += piece
    assert held.endswith(b"IEND\xaeB`\x82")
    assert len(held) > 250_000


def test_a_file_too_large_for_memory_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (FIXTURES / "pdf" / "samples" / "input.pdf").read_bytes()
    expected = crawl_bytes(data, "input.pdf", handlers=HANDLERS)
    monkeypatch.setattr("indexer.handlers._pdf_raw.IN_MEMORY", 10)
    assert crawl_bytes(data, "input.pdf", handlers=HANDLERS) == expected


def test_samples_drawn_for_an_encrypted_document_are_those_of_the_file() -> None:
    data = (FIXTURES / "pdf" / "empty-password-samples" / "input.pdf").read_bytes()
    (child,) = (fact for fact in Pdf().read(Stream(io.BytesIO(data))) if isinstance(fact, Child))
    assert child.open
    image = Image.open(child.open())
    assert image.tobytes() == b"".join(bytes((x * 7 + y * 11) & 255 for x in range(48)) for y in range(16))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"<</A 1/B[true null -.5]/C#20D(x)>>", {"A": 1, "B": [True, None, -0.5], "C D": b"x"}),
        (b"[1 0 R 2 3]", [Reference(1), 2, 3]),
        (b"(a(b)\\)\\n\\101\\\r\nc\r\nd)", b"a(b))\nAc\nd"),
        (b"<4 1 4>", b"A@"),
        (b"<</A<</B 1>>/C % words >>\n2>>", {"A": {"B": 1}, "C": 2}),
        (b"<</A[1 2", {"A": [1, 2]}),
        (b"<</A/B/C>>", {"A": "B"}),
        (b"(never ends", b"never ends"),
        (b"]", None),
        (b"endobj", None),
        (b"", None),
    ],
)
def test_values_are_read_as_they_are_written(text: bytes, value: object) -> None:
    assert parse(text) == value


def test_values_nest_so_deep_and_no_deeper() -> None:
    assert repr(parse(b"[" * 10_000)).count("[") == 16


@settings(max_examples=100)
@given(
    st.sampled_from(["pdf/samples", "pdf/samples-damaged", "jbig2/sequential", "jbig2/random-access"]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.sampled_from(b"\0\xff<>[]()/ R0123456789")), max_size=40),
    st.integers(0, 4),
)
def test_damage_never_leaves_the_crawl(case: str, changes: list[tuple[int, int]], cut: int) -> None:
    (path,) = (FIXTURES / case).glob("input.*")
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    for item in crawl_bytes(bytes(data[: len(data) * (8 - cut) // 8]), path.name, handlers=HANDLERS):
        assert not [problem for problem in item.problems if problem.cause == "crash"]
