"""Delimited tables (CSV, TSV): cells by row ranges, the names of the columns, the delimiter.

Source: RFC 4180; text/tab-separated-values of IANA. The delimiter is the one of comma, semicolon,
    tab and bar that splits the most rows of the first 16 KiB into the same number of cells.
Limits: a quoted cell over 128 Ki characters or a row over 10 000 lines ends the table: the rest is
    read as plain lines; types of cells are not guessed, formulas are text.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator

from indexer.handler import Handler, Stream
from indexer.handlers._lines import FIELDS, PASSAGE, encoding_facts, lines_of, passages, read_text, text_head
from indexer.model import Fact, Field, Problem, Text

_DELIMITERS = ",;\t|"
_TYPES = {",": "text/csv", ";": "text/csv", "|": "text/csv", "\t": "text/tab-separated-values"}
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_ROWS = 200
"""Rows of one passage at most."""
_ROW_LINES = 10_000
"""Lines of one row, by line ends inside quotes; a row that never ends would fill the memory."""
_COLUMNS = 1_000
"""Columns whose names are kept."""


class Delimited(Handler):
    name = "csv"
    media_types = ("text/csv", "text/tab-separated-values", "application/csv")
    suffixes = (".csv", ".tsv", ".tab")
    holds = b",;\t|"
    fields = {
        **FIELDS,
        "csv.delimiter": "what stands between cells: comma, semicolon, tab, bar",
        "csv.column": "the name of a column, from the first row",
        "csv.rows": "number of rows, the first included",
    }
    reads = "cells by row ranges, names of columns"
    rank = 80

    def claims(self, stream: Stream) -> str | None:
        head = text_head(stream)
        delimiter = _sniff(head, named=stream.suffix in self.suffixes) if head else ""
        return _TYPES[delimiter] if delimiter else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        delimiter = _sniff(text_head(stream), named=True) or ","
        yield Field("csv.delimiter", _NAMES[delimiter])
        reader, pieces = read_text(stream)
        lines = _Lines(lines_of(pieces))
        count = 0
        held: list[str] = []
        size = first = 0
        try:
            for row in csv.reader(lines, delimiter=delimiter):
                count += 1
                lines.read.clear()
                if count == 1:
                    yield from _columns(row)
                line = "\t".join(row).strip()
                if line:
                    first = first or count
                    held.append(line)
                    size += len(line)
                if len(held) >= _ROWS or size >= PASSAGE:
                    yield Text("\n".join(held), _locator(first, count))
                    held, size, first = [], 0, 0
        except csv.Error as error:
            if held:
                yield Text("\n".join(held), _locator(first, count))
                held = []
            yield Problem("corrupt", f"row {count + 1}: {error}", resolution="read as lines from there on")
            for text, _ in passages(lines.rest(), lines.before + 1):
                yield text
        if held:
            yield Text("\n".join(held), _locator(first, count))
        yield Field("csv.rows", count)
        yield from encoding_facts(reader)


class _Lines:
    """Lines for the reader, which swallows many before it finds that a quote never closes."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.read: list[str] = []
        self._lines = lines
        self._count = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.read.append(line)
            self._count += 1
            if len(self.read) > _ROW_LINES:
                raise csv.Error(f"a row of more than {_ROW_LINES} lines")
            yield line

    @property
    def before(self) -> int:
        """Lines that came out as rows."""
        return self._count - len(self.read)

    def rest(self) -> Iterator[str]:
        """What was read without becoming a row, and all that follows."""
        yield from self.read
        yield from self._lines


def _sniff(head: str, *, named: bool) -> str:
    """The delimiter, or an empty string where the text does not look like a table.

    Args:
        named: the suffix says that it is one, so that fewer rows will do.
    """
    lines = head.split("\n")[:200]
    if len(head) >= 16_000 or len(lines) == 200:
        lines.pop()
    best = ("", 0)
    for delimiter in filter(head.__contains__, _DELIMITERS):
        widths = _widths(lines, delimiter)
        if not widths:
            continue
        width, rows = Counter(widths).most_common(1)[0]
        enough = (1, 0.6) if named else (4, 1.0) if width > 2 else (8, 1.0)
        if width >= 2 and rows >= enough[0] and rows >= enough[1] * len(widths) and _is_table(lines, width, named):
            best = max(best, (delimiter, rows * width), key=lambda each: each[1])
    return best[0]


def _widths(lines: Iterable[str], delimiter: str) -> list[int]:
    try:
        return [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []


def _is_table(lines: list[str], width: int, named: bool) -> bool:
    """Whether rows are short cells and not sentences or code that hold the same number of commas."""
    if named:
        return True
    filled = [line for line in lines if line.strip()]
    longest = sum(map(len, filled)) / len(filled) / width
    code = sum(line.rstrip().endswith((";", "{", "}", ",", ")", ".")) for line in filled)
    return longest < 60 and code * 4 < len(filled) and not filled[0].lstrip().startswith(("{", "[", "<", "#!"))


def _columns(row: list[str]) -> Iterator[Field]:
    """The names of the columns, where the first row looks like names: filled, distinct, no numbers."""
    names = [cell.strip() for cell in row]
    plain = all(name and len(name) <= 100 and not name.replace(".", "").replace("-", "").isdigit() for name in names)
    if len(names) > 1 and plain and len(set(names)) == len(names):
        for name in names[:_COLUMNS]:
            yield Field("csv.column", name)


def _locator(first: int, last: int) -> str:
    return f"row {first}" if first == last else f"rows {first}-{last}"
