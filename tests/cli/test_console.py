"""What a terminal gets: cells that characters take, colours."""

from __future__ import annotations

import io
import sys
import unicodedata

import pytest

from cli.console import BOLD, style, width


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
