"""What is drawn on pictures and scanned pages, read by the real engine."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crawling import ListOutlet
from indexer.crawl import Crawler
from indexer.handlers._ocr_engine import korean_data, missing_parts
from indexer.handlers.ocr import Ocr, _pieces
from indexer.model import Hop, Item, Provenance
from indexer.places import Place
from indexer.registry import all_handlers
from indexer.rendering import opened, thumbnail

TOP = Path(__file__).parents[3]
FIXTURES = TOP / "fixtures" / "ocr"
engine = pytest.mark.skipif(bool(missing_parts()), reason="RapidOCR is not installed")
korean = pytest.mark.skipif(not korean_data(), reason="Tesseract's Korean model is not installed")


def crawl(data: bytes, name: str = "input.png", *, ocr: bool = True) -> tuple[Item, str]:
    """The item, and the key of its reading."""
    outlet = ListOutlet()
    keys: list[str] = []
    outlet.known = keys.append  # type: ignore[method-assign, assignment, return-value]
    crawler = Crawler(all_handlers(), outlet, ocr=ocr)
    crawler.walk(Place(Provenance("test", (Hop(name.encode(), name),))), io.BytesIO(data))
    return outlet.items[-1], keys[-1]


def read(case: str, *, ocr: bool = True) -> Item:
    (path,) = (FIXTURES / case).glob("input.*")
    return crawl(path.read_bytes(), path.name, ocr=ocr)[0]


def words_of(item: Item, locator: str) -> str:
    return "\n".join(text.body for text in item.texts if text.locator == locator)


@engine
def test_chinese_japanese_and_english_are_read_from_one_picture() -> None:
    item = read("note")
    words = words_of(item, "ocr")
    assert "灯笼太暗" in words
    assert "背景の線を細く" in words
    assert "eye highlight, retake" in words
    fields = {field.name: field.value for field in item.fields}
    assert str(fields["ocr.engine"]).startswith("RapidOCR")
    assert int(fields["ocr.confidence"]) > 80
    assert item.status == "read"


@engine
@korean
def test_korean_is_read_beside_the_others() -> None:
    item = read("note")
    assert "대사와 입 모양이 다름" in words_of(item, "ocr")
    assert words_of(read("fax"), "page 2, ocr") == "대사와 입 모양이 다름"


@engine
def test_each_page_of_a_fax_has_its_own_words() -> None:
    assert "灯笼太暗" in words_of(read("fax"), "page 1, ocr")


@engine
def test_columns_are_read_from_right_to_left() -> None:
    words = words_of(read("columns"), "ocr").splitlines()
    assert words[:2] == ["灯笼太暗请加亮", "背景の線を細く"]
    assert words[-1] == "eye highlight, retake"


@engine
@korean
def test_a_column_of_korean_is_laid_down_and_read_in_one_line() -> None:
    assert words_of(read("columns"), "ocr").splitlines()[2] == "입 모양 다름"


@engine
def test_a_line_on_its_side_is_read_as_a_line() -> None:
    with Image.open(FIXTURES / "note" / "input.png") as note:
        side = note.convert("L").crop((20, 260, 470, 320)).transpose(Image.Transpose.ROTATE_270)
    held = io.BytesIO()
    sheet = Image.new("L", (480, 480), "white")
    sheet.paste(side, (200, 10))
    sheet.save(held, "PNG")
    assert "eye highlight, retake" in words_of(crawl(held.getvalue())[0], "ocr")


@engine
def test_of_a_document_only_pages_without_text_are_looked_at() -> None:
    item = read("scan")
    assert "eye highlight, retake" in words_of(item, "page 1, ocr")
    assert not words_of(item, "page 2, ocr")
    assert "night shift" in words_of(item, "page 2")


@engine
@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
def test_titles_of_a_video_are_read_at_their_moments_and_told_once(kind: str) -> None:
    pytest.importorskip("av")
    from test_footage import film

    with Image.open(FIXTURES / "note" / "input.png") as note:
        title = note.convert("RGB")
    body = film([title] * 40, kind, rate=10, every=10, size=title.size)
    item, _ = crawl(body, f"ep05.{kind}")
    found = [text.locator for text in item.texts if "eye highlight, retake" in text.body]
    assert found == ["00:00:00.000, ocr"]


@engine
def test_a_picture_that_does_not_decode_says_so_and_keeps_what_its_handler_read() -> None:
    item, _ = crawl((TOP / "fixtures/heif/avif/input.avif").read_bytes(), "input.avif")
    assert [(problem.cause, problem.handler) for problem in item.problems] == [("corrupt", "ocr")]
    assert item.status == "partly-read"
    assert "picture.width" in {field.name for field in item.fields}


@engine
def test_sound_is_not_looked_at() -> None:
    sound = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\x08\0\0\0" + bytes(8)
    item, _ = crawl(sound, "line.wav")
    assert item.handler == "riff-media"
    assert not item.problems
    assert not [field for field in item.fields if field.name.startswith("ocr.")]


@engine
def test_a_picture_without_words_was_looked_at_and_has_none() -> None:
    item = read("empty")
    assert not item.texts
    assert [field.name for field in item.fields if field.name.startswith("ocr.")] == ["ocr.engine"]


@engine
def test_of_a_torn_picture_what_is_there_is_read() -> None:
    item = read("torn")
    assert "灯笼太暗" in words_of(item, "ocr")
    assert [problem.cause for problem in item.problems] == ["truncated"]


def test_nothing_is_looked_for_unless_asked() -> None:
    item = read("note", ocr=False)
    assert not item.texts
    assert not [field for field in item.fields if field.name.startswith("ocr.")]


def test_a_reading_without_drawn_words_is_not_taken_for_one_with_them() -> None:
    picture = (FIXTURES / "empty" / "input.png").read_bytes()
    assert crawl(picture)[1] != crawl(picture, ocr=False)[1]
    text = "다시 그릴 것".encode()
    assert crawl(text, "note.txt")[1] == crawl(text, "note.txt", ocr=False)[1]


@given(width=st.integers(1, 3000), height=st.integers(1, 3000))
def test_long_pictures_are_read_in_pieces_that_overlap(width: int, height: int) -> None:
    picture = Image.new("L", (width, height))
    pieces = list(_pieces(picture))
    short, long = sorted((width, height))
    if short < 32:
        assert not pieces
        return
    assert all(max(piece.size) <= 4 * short and min(piece.size) >= 1 for piece in pieces)
    covered = sum(max(piece.size) for piece in pieces) - short * (len(pieces) - 1)
    assert covered >= long if len(pieces) > 1 else pieces[0].size == picture.size


def test_what_it_follows_are_handlers() -> None:
    assert set(Ocr.follows) <= {handler.name for handler in all_handlers()}


def test_missing_libraries_are_named_on_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer.handlers import _ocr_engine

    _ocr_engine.load_engine.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    problems = read("note").problems
    assert [problem.cause for problem in problems] == ["missing-library"]
    assert "pip install 'archivore[ocr]'" in problems[0].message


@engine
def test_the_engine_asks_no_network() -> None:
    code = f"""
import socket
def refuse(*arguments, **options): raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
from PIL import Image
from indexer.handlers._ocr_engine import load_engine
with Image.open({str(FIXTURES / "note" / "input.png")!r}) as picture:
    print(len(load_engine().read(picture.convert("RGB"))))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=TOP, capture_output=True, text=True, timeout=100
    )
    assert int(run.stdout) >= 3, run.stderr


def test_pictures_that_are_programs_are_not_run() -> None:
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(Exception, match="no picture of a known kind"), opened(io.BytesIO(page), "RGB", 9):
        pass


def test_a_small_picture_bears_nothing_that_the_large_one_said() -> None:
    held = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(held, "JPEG", comment=b"for the night shift only")
    for edge in (16, 200):
        with Image.open(io.BytesIO(thumbnail(held, edge))) as small:
            assert "comment" not in small.info
