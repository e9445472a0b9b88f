"""JSON and JSON lines: every key and value as text with its path, escapes undone, at any depth.

Source: RFC 8259; JSON lines by convention (one value after another). The text is taken token by token,
    so that neither size nor depth nor damage matters: what follows a damaged place is still read.
Limits: a quote that does not close within 1 Mi characters is no string; a path names at most six steps; numbers stay as
    written; comments and other dialects (JSON5) end in plain lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from indexer.handler import Handler, Stream
from indexer.handlers._lines import FIELDS, PASSAGE, encoding_facts, read_text, text_head
from indexer.model import Fact, Field, Problem, Text

_TOKEN = re.compile(
    r"""[\s,:]*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"   # a string
    |([{}\[\]])
    |(-?[0-9][0-9.eE+-]*+|true|false|null|NaN|-?Infinity)
    |([^\s,:"{}\[\]]++|")                          # no JSON
    )""",
    re.DOTALL | re.VERBOSE,
)
_BETWEEN = " \t\r\n,:"
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_STRING = 1 << 20
"""Characters after which a quote that does not close is no string."""
_DEEPEST = 100_000
"""Levels whose keys and positions are remembered; those below are only counted."""
_STEPS = 6
_KEYS = 200
_OPENS = re.compile(r"""\s*(?:\{\s*(?:"(?:[^"\\\n]|\\.){0,1000}"\s*:|\})|\[\s*(?:[\[{"\]]|-?[0-9]|true|false|null))""")


class Json(Handler):
    name = "json"
    version = 2
    media_types = ("application/json", "application/x-ndjson", "application/jsonl")
    suffixes = (".json", ".jsonl", ".ndjson", ".geojson")
    holds = b"{["
    fields = {
        **FIELDS,
        "json.key": "a key of the outermost object",
        "json.values": "values one after another: 1 for JSON, more for JSON lines",
    }
    reads = "keys and values with their paths, one value or many"
    rank = 75

    def claims(self, stream: Stream) -> str | None:
        head = text_head(stream)
        if not head or not _OPENS.match(head):
            return None
        walk = _Walk()
        for _ in walk.passages([head], cut=stream.size > len(stream.head)):
            pass
        if walk.odd:
            return None
        return "application/x-ndjson" if walk.values > 1 else "application/json"

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader, pieces = read_text(stream)
        walk = _Walk()
        yield from walk.passages(pieces)
        for key in walk.keys:
            yield Field("json.key", key)
        yield Field("json.values", walk.values)
        if walk.odd:
            yield Problem("corrupt", f"not JSON at {walk.first_odd}: {walk.odd} places", resolution="read as text")
        elif walk.open_levels:
            yield Problem("truncated", f"{walk.open_levels} objects or arrays are not closed")
        yield from encoding_facts(reader)


class _Walk:
    """Goes through tokens with a stack of its own and remembers where it is.

    The stack holds one entry for each open level: an array's position, an object's key, or None in
    an object that waits for a key.
    """

    def __init__(self) -> None:
        self.values = 0
        self.keys: dict[str, None] = {}
        self.odd = 0
        self.first_odd = ""
        self._stack: list[str | int | None] = []
        self._deeper = 0

    @property
    def open_levels(self) -> int:
        return len(self._stack) + self._deeper

    def passages(self, pieces: Iterable[str], *, cut: bool = False) -> Iterator[Text]:
        """Lines of values, in passages that name the place of their first value.

        Args:
            cut: the pieces end somewhere; what hangs over is left out.
        """
        held: list[str] = []
        size = 0
        begin = ""
        for match in _tokens(pieces, cut=cut):
            if not held:
                begin = self._place()
            if line := self._take(match):
                held.append(line)
                size += len(line)
                if size >= PASSAGE:
                    yield Text("\n".join(held), begin)
                    held, size = [], 0
        if held:
            yield Text("\n".join(held), begin)

    def _place(self) -> str:
        steps = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step[:60]}"
            for step in self._stack[:_STEPS]
            if step is not None
        )
        more = "..." if len(self._stack) > _STEPS else ""
        number = self.values + (not self._stack)
        return f"value {number} ${steps}{more}" if number > 1 else f"${steps}{more}"

    def _take(self, match: re.Match[str]) -> str:
        """The line that a token completes, or an empty string."""
        string, mark, scalar, odd = match.groups()
        if mark in ("}", "]"):
            self._close()
            return ""
        top = self._stack[-1] if self._stack else 0
        if string is not None and top is None and not self._deeper:
            key = _unescape(string)
            self._stack[-1] = key
            if len(self._stack) == 1 and len(self.keys) < _KEYS:
                self.keys.setdefault(key[:200])
            return ""
        if odd is not None:
            self.odd += 1
            self.first_odd = self.first_odd or self._place()
            return odd
        if not self._stack:
            self.values += 1
        label = f"{top}: ".replace("\n", "\n\t") if isinstance(top, str) else ""
        if mark:
            if len(self._stack) < _DEEPEST:
                self._stack.append(None if mark == "{" else 0)
            else:
                self._deeper += 1
            return label.rstrip()
        self._advance()
        # A tab before every further line, so that no value can look like the next key.
        return label + (scalar if string is None else _unescape(string).replace("\n", "\n\t"))

    def _close(self) -> None:
        if self._deeper:
            self._deeper -= 1
        elif self._stack:
            self._stack.pop()
            self._advance()
        else:
            self.odd += 1
            self.first_odd = self.first_odd or self._place()

    def _advance(self) -> None:
        if self._stack and not self._deeper:
            top = self._stack[-1]
            self._stack[-1] = top + 1 if isinstance(top, int) else None


def _tokens(pieces: Iterable[str], *, cut: bool) -> Iterator[re.Match[str]]:
    """Tokens of a text that comes in pieces; the last one of a piece may go on in the next."""
    rest = ""
    for piece in pieces:
        rest += piece
        position = 0
        while match := _TOKEN.match(rest, position):
            open_end = match.end() == len(rest) or match[4] == '"'
            if open_end and len(rest) - position < _STRING:
                break
            position = match.end()
            yield match
        rest = rest[position:].lstrip(_BETWEEN)
    position = len(rest) if cut else 0
    while match := _TOKEN.match(rest, position):
        if match[4] == '"' and (closed := _TOKEN.match(rest + '"', position)):
            # The file ends inside a string: what there is of it counts.
            yield closed
            return
        position = match.end()
        yield match


def _unescape(string: str) -> str:
    if "\\" not in string:
        return string
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _SIMPLE.get(match[2], match[2]), string)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
