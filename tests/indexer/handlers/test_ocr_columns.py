"""Columns of writing: where they are cut, how they are laid down, and in which order they are told."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from indexer.handlers._ocr_columns import Line, Piece, in_order, laid_down

SIDE = 30


def column(marks: str, *, ground: str = "white", ink: str = "black", crossed: bool = False) -> Image.Image:
    """Squares from top to bottom: o hollow, = of two bars, - of one bar, a space left blank."""
    made = Image.new("RGB", (SIDE + 10, (SIDE + 6) * len(marks) + 10), ground)
    pen = ImageDraw.Draw(made)
    for number, mark in enumerate(marks):
        top = 8 + (SIDE + 6) * number
        if mark == "o":
            pen.rectangle((5, top, 5 + SIDE, top + SIDE), outline=ink, width=3)
        for bar in {"=": (6, 22), "-": (13,)}.get(mark, ()):
            pen.rectangle((5, top + bar, 5 + SIDE, top + bar + 3), fill=ink)
    if crossed:
        pen.line((0, 0, made.width, made.height // 2), fill="grey", width=2)
    return made


def runs(line: Image.Image) -> list[tuple[int, int]]:
    """Where ink begins and ends from left to right, where at least two blank points lie between."""
    grey = line.convert("L")
    ground = grey.getpixel((0, 0))
    dark = [any(grey.getpixel((at, row)) != ground for row in range(line.height)) for at in range(line.width)]
    found: list[tuple[int, int]] = []
    for at in (at for at, is_dark in enumerate(dark) if is_dark):
        if found and at - found[-1][1] <= 2:
            found[-1] = found[-1][0], at
        else:
            found.append((at, at))
    return found


def test_characters_stand_side_by_side_and_whole() -> None:
    for marks in ("ooo", "o=o", "o=-=o", "oooooooo"):
        line = laid_down(column(marks))
        assert line is not None
        assert len(runs(line)) == len(marks), marks
        assert line.width > line.height


def test_a_blank_becomes_a_wider_space() -> None:
    close, apart = laid_down(column("oooo")), laid_down(column("oo oo"))
    assert close is not None
    assert apart is not None

    def gaps(line: Image.Image) -> list[int]:
        held = runs(line)
        return [after[0] - before[1] for before, after in pairwise(held)]

    assert len(gaps(apart)) == 3
    assert gaps(apart)[1] > 1.5 * max(gaps(apart)[0], gaps(apart)[2])
    assert max(gaps(close)) < 1.5 * min(gaps(close))


def test_ink_may_be_lighter_than_its_ground_and_a_line_may_cross() -> None:
    line = laid_down(column("ooo", ground="navy", ink="yellow"))
    assert line is not None
    assert line.getpixel((0, 0)) == (0, 0, 128)
    assert len(runs(line)) == 3
    assert laid_down(column("oooooo", crossed=True)) is not None


def test_what_is_no_column_is_left() -> None:
    assert laid_down(Image.new("RGB", (60, 60), "white")) is None
    assert laid_down(Image.new("RGB", (30, 300), "white")) is None
    assert laid_down(Image.new("RGB", (3, 300), "white")) is None
    thread = Image.new("RGB", (20, 9000), "white")
    ImageDraw.Draw(thread).line((10, 0, 10, 9000), fill="black")
    assert laid_down(thread) is None


@given(st.binary(min_size=1, max_size=400), st.integers(1, 40), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_noise_gives_a_line_or_none(noise: bytes, width: int, height: int) -> None:
    held = (noise * (width * height // len(noise) + 1))[: width * height]
    line = laid_down(Image.frombytes("L", (width, height), held).convert("RGB"))
    assert line is None or line.width > 0


def piece(text: str, left: float, top: float, width: float, height: float) -> Piece:
    return Piece(left, top, left + width, top + height, [Line(text, 0.9)] if text else [])


def told(*pieces: Piece) -> list[str]:
    return [line.text for line in in_order(list(pieces))]


def test_columns_go_from_right_to_left_and_stay_between_the_lines_around_them() -> None:
    above, below = piece("above", 0, 0, 300, 20), piece("below", 0, 300, 300, 20)
    columns = [piece("third", 10, 40, 30, 200), piece("second", 60, 41, 30, 120), piece("first", 110, 40, 30, 220)]
    assert told(above, *columns, below) == ["above", "first", "second", "third", "below"]


def test_columns_far_from_each_other_keep_the_order_they_have() -> None:
    assert told(piece("left", 0, 0, 30, 200), piece("right", 500, 10, 30, 200)) == ["left", "right"]


def test_parts_of_a_column_are_one_line() -> None:
    parts = [piece("입", 10, 0, 28, 30), piece("모양이", 11, 48, 27, 100), piece("대사와", 9, 165, 30, 100)]
    line = in_order(parts)
    assert [each.text for each in line] == ["입 모양이 대사와"]
    assert abs(line[0].confidence - 0.9) < 1e-9


def test_lines_and_single_characters_without_a_column_keep_their_order() -> None:
    table = [
        piece(text, left, top, 20, 20) for text, left, top in (("1", 0, 0), ("2", 90, 0), ("3", 0, 30), ("4", 90, 30))
    ]
    assert told(*table) == ["1", "2", "3", "4"]
    assert told(piece("", 0, 0, 20, 90), *table) == ["1", "2", "3", "4"]
