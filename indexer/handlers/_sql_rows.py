"""Rows out of SQL: the values of INSERT statements and the lines of COPY, their escapes undone.

Source: MySQL 8.4 Reference Manual, 11.1 (literals); PostgreSQL 17, COPY, "Text Format"; sqlite.org/lang_expr.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

from indexer.handlers._rows import one_line
from indexer.handlers._streams import open_chunks
from indexer.model import Child

NULL: Final = "NULL"
_IDENTIFIER = r"(?:`(?:[^`]|``){1,200}`|\"(?:[^\"]|\"\"){1,200}\"|\[[^\]]{1,200}\]|[\w$]{1,200})"
NAME: Final = rf"({_IDENTIFIER}(?:\.{_IDENTIFIER}){{0,2}})"
INSERT: Final = re.compile(
    rf"\s*(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO\s+{NAME}\s*(\([^()']{{0,60000}}\))?\s*VALUES\s*", re.IGNORECASE
)
_TOKEN: Final = re.compile(
    r"""\s*+(?:
      ([(),;])
    | (?:_binary\s++|_utf8mb4\s++|[NE])?'((?:[^'\\]++|\\.|'')*+)'
    | (?:0x([0-9A-Fa-f]++)|[xX]'([0-9A-Fa-f]*+)')
    | ([^\s(),;']++(?:\s++[^\s(),;']++|(?!))*+)
    )""",
    re.DOTALL | re.VERBOSE,
)
_PLAIN: Final = re.compile(_TOKEN.pattern.replace(r"(?:[^'\\]++|\\.|'')*+", r"(?:[^']++|'')*+"), _TOKEN.flags)
"""The same where a backslash is no escape."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_MEANT: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "", "Z": "", "b": "", "f": "\f", "v": "\v"}
_COPIED: Final = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_PART: Final = re.compile(_IDENTIFIER)
_CHARS: Final = {"char(10)": "\n", "char(13)": "\r"}
_FILES: Final = (
    *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"8BPS", b"%PDF", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh"),
    *(b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"SQLite format 3\0"),
)
"""What marks a value of bytes as a file worth reading on its own."""
_SHOWN: Final = 64


class Bytes(NamedTuple):
    """A value that is written in hex."""

    digits: str


Value = str | Bytes


def bare(name: str) -> str:
    """A name without its quotes, with a dot between its parts."""
    return ".".join(_bare(part) for part in _PART.findall(name))


def _bare(part: str) -> str:
    mark = part[:1]
    if mark in ('"', "`"):
        return part[1:-1].replace(mark * 2, mark)
    return part[1:-1] if mark == "[" else part


def names_in(listed: str) -> tuple[str, ...]:
    """The names in a list of columns."""
    return tuple(_bare(part) for part in _PART.findall(listed))


def rows_of(statement: str, at: int, *, backslashes: bool) -> Iterator[list[Value]]:
    """The rows behind VALUES; ends where the statement does, or where it is no list of rows."""
    pattern = _TOKEN if backslashes else _PLAIN
    stack: list[list[Value]] = []
    while match := pattern.match(statement, at):
        at = match.end()
        mark, text, digits, quoted, word = match.groups()
        if mark == "(":
            if len(stack) > 16:
                return
            stack.append([])
        elif mark == ")":
            if not stack:
                return
            row = stack.pop()
            if not stack:
                yield row
            else:
                _call(stack[-1], row)
        elif mark == ";":
            return
        elif mark is None and stack:
            if text is not None:
                stack[-1].append(_unescape(text, backslashes=backslashes))
            elif digits is not None or quoted is not None:
                stack[-1].append(Bytes(digits or quoted or ""))
            else:
                stack[-1].append(word)


def _call(row: list[Value], arguments: list[Value]) -> None:
    """What a function makes of its arguments, where it is the one that writes line ends; else all of it as told."""
    name = row.pop() if row else ""
    words = [each for each in arguments if isinstance(each, str)]
    if name == "replace" and len(words) == 3 == len(arguments):
        row.append(words[0].replace(words[1], _CHARS.get(words[2], words[2])))
    elif name == "unistr" and len(words) == 1:
        row.append(re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), words[0]).replace("\\\\", "\\"))
    else:
        row.append(f"{name}({', '.join(words)})")


def _unescape(text: str, *, backslashes: bool) -> str:
    text = text.replace("''", "'") if "''" in text else text
    if backslashes and "\\" in text:
        text = _ESCAPE.sub(lambda match: _MEANT.get(match[1], match[1]), text)
    return text


def copied(line: str) -> list[Value]:
    """The values of one line of COPY."""
    return [_copied(cell) for cell in line.rstrip("\n").split("\t")]


def _copied(cell: str) -> Value:
    if cell == "\\N":
        return NULL
    if cell.startswith("\\\\x") and all(digit in "0123456789abcdef" for digit in cell[3:43]):
        return Bytes(cell[3:])
    return _COPIED.sub(_meant, cell) if "\\" in cell else cell


def _meant(match: re.Match[str]) -> str:
    if match[1] or match[2]:
        return chr(int(match[1], 8) & 0xFF) if match[1] else chr(int(match[2], 16))
    return _MEANT.get(match[3], match[3])


def as_row(values: list[Value]) -> str:
    """The values as one line of cells."""
    return "\t".join(one_line(each) if isinstance(each, str) else _show(each) for each in values)


def _show(value: Bytes) -> str:
    digits = value.digits
    return f"0x{digits}" if len(digits) <= 2 * _SHOWN else f"[{len(digits) // 2} bytes: 0x{digits[:16]}...]"


def files_in(values: list[Value], columns: tuple[str, ...], place: str) -> Iterator[Child]:
    """The files that stand in a row as bytes."""
    for number, value in enumerate(values):
        if not isinstance(value, Bytes) or len(value.digits) <= 2 * _SHOWN:
            continue
        try:
            data = bytes.fromhex(value.digits)
        except ValueError:
            continue
        if data.startswith(_FILES):
            column = columns[number] if number < len(columns) else f"column {number + 1}"
            name = f"{place}, {column}"
            yield Child(name, name.encode("utf-8", "surrogatepass"), partial(open_chunks, iter((data,))))
