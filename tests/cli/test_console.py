"""What a terminal gets: cells that characters take, colours."""

from __future__ import annotations

import io
import sys
import unicodedata

import pytest

from cli.console import BOLD, first_of, laid_out, note, say_table, shorten, style, width


@pytest.mark.parametrize("text", ["원화_수정", "なぞのガ", "résumé", "Ангара й"])
def test_a_composed_text_is_as_wide_as_the_same_in_pieces(text: str) -> None:
    assert width(unicodedata.normalize("NFD", text)) == width(text)


def test_wide_characters_take_two_cells() -> None:
    assert [width(text) for text in ("ab", "원화", "作画ab", "ｶﾅ", "กี่")] == [2, 4, 6, 2, 1]


@pytest.mark.parametrize(
    ("surroundings", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_have_them(
    monkeypatch: pytest.MonkeyPatch, surroundings: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert style("x", BOLD) == "x"  # no terminal at all
    monkeypatch.setattr(out, "isatty", lambda: True)
    assert (style("x", BOLD) != "x") is coloured


HEAD = ("change", "path", "size", "id", "sha256", "at")
ROW = ("new", "day1:cuts/원화/S03E05_C034_v3_ok.png", "1,234", "5be08806", "ab" * 32, "2024-04-01T16:07:41Z")


def drawn(head: tuple[str, ...], rows: list[tuple[str, ...]], room: int | None) -> list[str]:
    rigid = [each == "size" for each in head]
    return [line for lines, _ in laid_out(head, rows, rigid, room) for line in lines]


def test_a_row_fits_the_terminal_and_only_texts_are_shortened() -> None:
    kept = [0, 1, 2, 3]
    head, row = (tuple(each[at] for at in kept) for each in (HEAD, ROW))
    for room in (45, 50, 56):
        lines = drawn(head, [row], room)
        assert len(lines) == 2
        assert all(width(line) <= room for line in lines)
        assert row[3] in lines[1]
        assert row[2] in lines[1]
        assert "…" in lines[1]
        assert "ok.png" in lines[1]
        assert "day1" in lines[1]
    assert row[1] in drawn(head, [row], 80)[1]


def test_what_fits_on_no_line_goes_on_below_it_whole() -> None:
    for room in (20, 70, 80):
        text = "\n".join(drawn(HEAD, [ROW], room))
        assert all(cell in text for cell in (ROW[2], ROW[3], ROW[4], ROW[5]))
    assert drawn(HEAD, [ROW], 70)[-1].startswith("    ")


def test_a_file_gets_every_cell_whole_and_an_empty_column() -> None:
    long = "day1:" + "x" * 3000 + "/end.txt"
    lines = drawn(("path", "was", "id"), [(long, "", "5be08806"), ("short", "", "5be08807")], None)
    assert long in lines[1]
    assert "…" not in "".join(lines)
    assert "was" in lines[0]
    assert len(lines[2]) < 200
    assert "was" not in drawn(("path", "was", "id"), [(long, "", "5be08806")], 80)[0]


@pytest.mark.parametrize("text", ["day1:작업/원화_수정_최종.psd", "day1:" + "가" * 40, "a/" * 60, "words and " * 20])
@pytest.mark.parametrize("cells", [1, 11, 12, 13, 20, 33])
def test_what_is_shortened_has_room_and_no_loose_marks(text: str, cells: int) -> None:
    for form in ("NFC", "NFD"):
        shown = shorten(unicodedata.normalize(form, text), cells)
        assert width(shown) <= cells
        assert not unicodedata.combining(shown.partition("…")[2][:1] or "x")
    assert shorten("short", 12) == "short"


def test_a_table_is_cut_on_a_terminal_and_never_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "day1:" + "folder/" * 30 + "end.txt"
    say_table(("path", "id"), [(path, "5be08806")])
    assert path in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(out, "isatty", lambda: True)
    say_table(("path", "id"), [(path, "5be08806\x1b")])
    row = out.getvalue().splitlines()[1]
    assert "…" in row
    assert "\x1b" not in row
    assert len(row) <= 60


def test_notes_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    note("Read day1:\x1b]52;c;aGk=\x07\u202e.log: 3 events.")
    assert not {"\x1b", "\x07", "\u202e"} & set(capsys.readouterr().err)


def test_one_row_is_no_rows() -> None:
    assert first_of(1, "match", "matches") == "The first match"
    assert first_of(5000, "match", "matches") == "The first 5,000 matches"
