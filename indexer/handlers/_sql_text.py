"""SQL as text cut into statements: each with the line it begins in, of bounded length.

Source: MySQL 8.4 Reference Manual, 11 (language structure); PostgreSQL 17, 4.1 (lexical structure).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

LONGEST: Final = 16 << 20
"""Characters of one statement after which it is given in parts."""
_SPECIAL: Final = re.compile(r"""['"`#]|--(?=\s|\Z)|/\*|\$(?:[A-Za-z_]\w{0,62})?\$""")
_CLOSED: Final = {
    quote: re.compile(rf"(?:[^{quote}\\]++|\\.)*+{quote}", re.DOTALL) for quote in ("'", '"')
}  # fmt: skip
_DELIMITER: Final = re.compile(r"\s*DELIMITER\s+(\S{1,10})\s*\Z", re.IGNORECASE)


class Statement(NamedTuple):
    """A statement with its end mark, or a run of comment lines; `whole` is false where it was cut or breaks off."""

    text: str
    line: int
    comment: bool = False
    whole: bool = True


class Splitter:
    """Cuts lines into statements.

    Args:
        lines: with their ends; one without an end goes on in the next.
        backslashes: whether a backslash in a string is an escape.
    """

    def __init__(self, lines: Iterable[str], *, backslashes: bool) -> None:
        self._lines = iter(lines)
        self._backslashes = backslashes
        self._end = ";"
        self.line = 0

    def raw(self) -> Iterator[str]:
        """The next lines as they stand, each whole or as long as a statement may be."""
        held: list[str] = []
        size = 0
        for part in self._lines:
            held.append(part)
            size += len(part)
            if part.endswith("\n") or size > LONGEST:
                self.line += part.endswith("\n")
                yield "".join(held) if len(held) > 1 else part
                held, size = [], 0
        if held:
            self.line += 1
            yield "".join(held)

    def statements(self) -> Iterator[Statement]:
        """Every statement; between two, `raw` may be asked for the lines that follow."""
        held: list[str] = []
        size, state, begin = 0, "", 0
        for line in self.raw():
            if not held:
                if not line.strip():
                    continue
                if line.startswith(("--", "#")):
                    yield Statement(line, self.line, comment=True)
                    continue
                if match := _DELIMITER.match(line):
                    self._end = match[1]
                    continue
                if line.startswith("\\"):  # a command to psql
                    yield Statement(line, self.line)
                    continue
                begin = self.line
            held.append(line)
            size += len(line)
            state = self._scan(line, state)
            if not state and held[0].startswith("/*") and line.rstrip().endswith("*/"):
                yield Statement("".join(held), begin, comment=True)
                held, size = [], 0
                continue
            ended = not state and line.rstrip().endswith(self._end)
            if ended or size > LONGEST:
                yield Statement("".join(held), begin, whole=ended)
                held, size, state = [], 0, ""
        if held:
            yield Statement("".join(held), begin, whole=False)

    def _scan(self, line: str, state: str) -> str:
        """What is open at the end of the line: a quote, a comment, or nothing."""
        at = 0
        while True:
            if state:
                if self._backslashes and state in _CLOSED:
                    match = _CLOSED[state].match(line, at)
                    at = match.end() if match else -1
                else:
                    found = line.find(state, at)
                    at = found + len(state) if found >= 0 else -1
                if at < 0:
                    return state
                state = ""
            match = _SPECIAL.search(line, at)
            if not match:
                return ""
            at, mark = match.end(), match[0]
            if mark == "--" or (mark == "#" and self._backslashes):
                return ""
            if mark == "/*":
                state = "*/"
            elif mark != "#" and not (mark[0] == "$" and self._backslashes):
                state = mark
