"""The only file that prints. Evidence goes through the one sanitiser on its way out.

Tables and cards are plain text, aligned by the width that characters have on a terminal (Chinese,
Japanese and Korean ones take two cells), with colour only where stdout is a terminal: what a script
reads is what an analyst sees.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from indexer.errors import StoreError, reason_of
from indexer.model import Highlight
from search.sanitise import visible, visible_text

BOLD, DIM, MARK, RED, YELLOW = "1", "2", "1;33", "31", "33"


class UnreadError(Exception):
    """Whoever read our output (head, less) has seen enough."""


def say(text: str = "") -> None:
    """Prints a line of our own words."""
    _out(text)


def note(text: str) -> None:
    """Prints a line of our own words to stderr, with what they name made visible: what is not part of the answer."""
    flush(sys.stdout)
    _put(sys.stderr, visible_text(text))


def counted(number: int, noun: str) -> str:
    """`1 item`, `2,000 items`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def first_of(limit: int, one: str, many: str) -> str:
    """What a list that stops says of itself: `The first 50 rows`."""
    return f"The first {one}" if limit == 1 else f"The first {limit:,} {many}"


def say_evidence(text: str) -> None:
    """Prints text of the evidence, several lines of it, made visible."""
    _out(visible_text(text))


def say_json(value: object) -> None:
    """Prints one JSON value on one line, ASCII only, exact."""
    _out(json.dumps(value, ensure_ascii=True, allow_nan=False))


def say_error(message: str) -> None:
    """Prints one line to stderr that says what is wrong and how to mend it."""
    _put(sys.stderr, f"{_style('error', RED, sys.stderr)}: {visible(message)}")


def say_caret(message: str, query: str, column: int) -> None:
    """Prints the part of a query with a caret under the column at which it stopped making sense."""
    say_error(message)
    _put(sys.stderr, caret(query, column))


def caret(query: str, column: int) -> str:
    """The part of a query around a column, and under it a caret that points there."""
    start = max(0, column - 60)
    indent = width(visible(query[start:column]))
    return f"  {visible(query[start : start + 76])}\n  {' ' * indent}^"


def say_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: frozenset[int] = frozenset()) -> None:
    """Prints rows under a head; cells are made visible, and made to fit where a terminal shows them.

    Args:
        right: numbers of the columns that are aligned to the right.
    """
    shown = [[visible(str(value)) for value in row] for row in rows]
    rigid = [number in right for number in range(len(head))]
    for lines, code in laid_out(head, shown, rigid, columns() if sys.stdout.isatty() else None):
        for line in lines:
            _out(style(line, code) if code else line)


def laid_out(
    head: Sequence[str], rows: Sequence[Sequence[str]], rigid: Sequence[bool], room: int | None
) -> Iterator[tuple[list[str], str]]:
    """The lines of each row and how they are styled, the head first.

    What is too wide is left out where it is empty, then shortened where it is text; ids, digests, times and numbers
    are whole. Where even that does not fit, a row goes on below itself, broken between columns as wide as they are.

    Args:
        rigid: which columns are aligned to the right, and never shortened.
        room: cells of a line; None where nothing is shortened, since a file or a script gets it.
    """
    widths = [max(map(width, cells)) for cells in zip(head, *rows, strict=True)]
    kept = list(range(len(head)))
    if room is not None and _span(widths) > room:
        kept = [at for at in kept if not rows or any(row[at] for row in rows)]
    least = {at: widths[at] if rigid[at] else _least(head[at], [row[at] for row in rows]) for at in kept}
    lines = [kept]
    if room is not None and _span([least[at] for at in kept]) > room:
        lines = _broken(kept, widths, room)
    for line in lines:
        indent = _INDENT * (line is not lines[0])
        while room is not None and indent + _span([widths[at] for at in line]) > room:
            widest = max(line, key=lambda at: (widths[at] > least[at], widths[at]))
            if widths[widest] <= least[widest]:
                break
            widths[widest] = max(least[widest], min(widths[widest] - 1, room))
    for row, code in ((head, BOLD), *((row, "") for row in rows)):
        told = []
        for line in lines:
            cells = [row[at] if room is None else shorten(row[at], widths[at]) for at in line]
            text = _align(cells, [widths[at] for at in line], [rigid[at] for at in line])
            told.append(" " * (_INDENT * (line is not lines[0])) + text)
        yield told, code


_WHOLE = re.compile(r"(?:[a-z]+-)?[0-9a-f]{8,}|\d{4}-\d\d-\d\d(?:T[\d:.]+Z?)?|[0-9a-f.:]{3,39}|-?[\d,.]+")
"""What is never cut: an id, a digest, a time, an address, a number."""
_FEW = 12
"""Cells that are left of a text at least."""
_INDENT = 4
"""Cells before what goes on below a row."""
_PADDED = 100
"""Cells of a column that are filled up with blanks at most: one long path makes no file of blanks."""


def _least(name: str, cells: Sequence[str]) -> int:
    """Cells that a column cannot do without."""
    whole = (width(each) for each in cells if _WHOLE.fullmatch(each))
    return max(width(name), *whole, min(_FEW, max(map(width, cells), default=0)))


def _span(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _broken(kept: Sequence[int], widths: Sequence[int], room: int) -> list[list[int]]:
    """The columns of each line of a row."""
    lines: list[list[int]] = [[]]
    for at in kept:
        indent = _INDENT * (len(lines) > 1)
        if lines[-1] and indent + _span([widths[each] for each in (*lines[-1], at)]) > room:
            lines.append([])
        lines[-1].append(at)
    return lines


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


def shorten(text: str, cells: int) -> str:
    """`text` in at most this many cells: words lose their end, a path or a name its middle."""
    is_prose = ": " in text or (" " in text and "/" not in text)
    if width(text) <= cells or cells < _FEW or is_prose:
        return cut(text, cells)
    start = cut(text, cells // 3)
    end, room = len(text), cells - width(start)
    while (room := room - width(text[end - 1])) >= 0:
        end -= 1
    while _joins(text[end]):
        end += 1
    return start + text[end:]


def columns() -> int:
    """Cells in a line of the terminal; as many as one wants where there is none."""
    return shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else sys.maxsize


def _one_line(text: str) -> str:
    return text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")


def _align(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for value, room, is_right in zip(row, widths, right, strict=True):
        pad = " " * (min(room, _PADDED) - width(value))
        cells.append(pad + value if is_right else value + pad)
    return "  ".join(cells).rstrip()


def _coloured(stream: object) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and bool(getattr(stream, "isatty", lambda: False)())


def _style(text: str, code: str, stream: object) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _coloured(stream) else text


def _out(line: str) -> None:
    _put(sys.stdout, line)


def _put(stream: TextIO, line: str) -> None:
    with _told():
        stream.write(line + "\n")


def flush(stream: TextIO) -> None:
    """Hands over what was printed so far.

    Raises:
        UnreadError: nobody reads it any more.
        StoreError: it goes to a file whose disk is full.
    """
    with _told():
        stream.flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _let_go()
        if isinstance(error, BrokenPipeError):
            raise UnreadError from error
        raise StoreError(f"the output cannot be written: {reason_of(error)}") from error


def _let_go() -> None:
    """Drops what could not be printed, so that leaving does not try again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())


def open_streams() -> None:
    """Makes both streams take every character, whatever the locale says, and be there where they were closed.

    A descriptor that is free would be given to the next file that is opened, which may be the case's own.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has None for a stream that was closed when it started.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
