"""The only file that prints. Evidence goes through the one sanitiser on its way out.

Tables and cards are plain text, aligned by the width that characters have on a terminal (Chinese,
Japanese and Korean ones take two cells), with colour only where stdout is a terminal: what a script
reads is what an analyst sees.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence

from indexer.model import Highlight
from search.sanitise import visible, visible_text

BOLD, DIM, MARK, RED, YELLOW = "1", "2", "1;33", "31", "33"


def say(text: str = "") -> None:
    """Prints a line of our own words."""
    _out(text)


def note(text: str) -> None:
    """Prints a line of our own words to stderr: what is not part of the answer."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")


def say_evidence(text: str) -> None:
    """Prints text of the evidence, several lines of it, made visible."""
    _out(visible_text(text))


def say_json(value: object) -> None:
    """Prints one JSON value on one line, ASCII only, exact."""
    _out(json.dumps(value, ensure_ascii=True, allow_nan=False))


def say_error(message: str) -> None:
    """Prints one line to stderr that says what is wrong and how to mend it."""
    sys.stderr.write(f"{_style('error', RED, sys.stderr)}: {visible(message)}\n")


def say_caret(message: str, query: str, column: int) -> None:
    """Prints the part of a query with a caret under the column at which it stopped making sense."""
    say_error(message)
    sys.stderr.write(caret(query, column) + "\n")


def caret(query: str, column: int) -> str:
    """The part of a query around a column, and under it a caret that points there."""
    start = max(0, column - 60)
    indent = width(visible(query[start:column]))
    return f"  {visible(query[start : start + 76])}\n  {' ' * indent}^"


def say_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: frozenset[int] = frozenset()) -> None:
    """Prints rows under a head; cells are made visible; the last column may be as long as it is.

    Args:
        right: numbers of the columns that are aligned to the right.
    """
    shown = [[visible(str(value)) for value in row] for row in rows]
    widths = [width(name) for name in head]
    for row in shown:
        widths = [max(have, width(value)) for have, value in zip(widths, row, strict=True)]
    _out(style(_align(head, widths, right), BOLD))
    for row in shown:
        _out(_align(row, widths, right))


def say_card(rows: Iterable[tuple[str, object]]) -> None:
    """Prints names and values below each other; values are made visible."""
    pairs = [(name, visible(str(value))) for name, value in rows]
    left = max((width(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        _out(f"{style(name + ' ' * (left - width(name)), DIM)}  {value}")


def marked(highlight: Highlight) -> str:
    """A passage on one line, with its matches marked: in colour, or by `«»` where there is none."""
    parts, at = [], 0
    for start, end in highlight.spans:
        parts += [visible(_one_line(highlight.text[at:start])), mark(visible(_one_line(highlight.text[start:end])))]
        at = end
    parts.append(visible(_one_line(highlight.text[at:])))
    return "".join(parts)


def mark(text: str) -> str:
    """A match, made to stand out."""
    return style(text, MARK) if _coloured(sys.stdout) else f"«{text}»"


def style(text: str, code: str) -> str:
    """Our own words in a colour, where stdout is a terminal."""
    return _style(text, code, sys.stdout)


def size_of(number: int | None) -> str:
    """A size for people: `1.4 MB` in binary steps."""
    if number is None:
        return "-"
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def width(text: str) -> int:
    """Cells that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if _joins(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _joins(char: str) -> bool:
    """Whether it stands on the character before it: a mark, or the vowel or the end of a Hangul syllable."""
    return unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb"


def cut(text: str, cells: int) -> str:
    """`text` in at most this many cells, with a visible sign where it was cut."""
    if width(text) <= cells:
        return text
    kept, used = "", 1
    for char in text:
        used += width(char)
        if used > cells:
            break
        kept += char
    return kept + "…"


def columns() -> int:
    """Cells in a line of the terminal; plenty where there is none."""
    return shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 400


def _one_line(text: str) -> str:
    return text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")


def _align(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    cells = []
    for number, (value, room) in enumerate(zip(row, widths, strict=True)):
        pad = " " * (room - width(value))
        cells.append(pad + value if number in right else value + pad)
    return "  ".join(cells).rstrip()


def _coloured(stream: object) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and bool(getattr(stream, "isatty", lambda: False)())


def _style(text: str, code: str, stream: object) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _coloured(stream) else text


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")


def use_utf8() -> None:
    """Makes both streams take every character, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
