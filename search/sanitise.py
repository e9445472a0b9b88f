"""The one sanitiser: evidence text made harmless and visible before it reaches a terminal or a file.

A control character, a direction override, an invisible character or a lone surrogate is shown as an
escape (`\\x1b`, `\\u202e`), so that nothing is hidden, nothing is obeyed and nothing is lost.
JSON needs none of this: it keeps the exact value, escaped to ASCII.
"""

from __future__ import annotations

import re

_UNSAFE = (
    "\\x00-\\x1f\\x7f-\\x9f"  # C0, DEL, C1: escape sequences, bells, line tricks
    "\\xad\\u061c\\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\\u200b-\\u200f\\u2028-\\u202f\\u2060-\\u206f"  # zero width, separators, direction
    "\\ud800-\\udfff\\ufeff\\ufff9-\\ufffc"  # surrogates, BOM, interlinear marks
    "\\U000e0000-\\U000e007f"  # tags
)
_IN_LINE = re.compile(f"[{_UNSAFE}]")
_IN_TEXT = re.compile(f"(?![\\n\\t])[{_UNSAFE}]")
_FORMULA = tuple("=+-@\t\r＝＋－＠")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """One line of evidence text, safe on any terminal; line ends are escaped too."""
    return _IN_LINE.sub(_escape, text)


def visible_text(text: str) -> str:
    """Evidence text of several lines: line ends and tabs stay as they are."""
    return _IN_TEXT.sub(_escape, text)


def storable(text: str) -> str:
    """Text that SQLite, RE2 and UTF-8 take: lone surrogates, of which names are full, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cell(text: str) -> str:
    """A cell of a table file: visible, and never a formula.

    A leading quote marks a cell that a spreadsheet would have computed.
    """
    shown = visible_text(text).replace("\t", "\\t")
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) or text.startswith(_FORMULA) else shown
