"""What every reader of XML files asks first: what the root element is, and whether the file is well-formed.

Source: XML 1.0 (fifth edition), sections 2.1, 2.8 and 4.3.3.
Limits: none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.model import Problem

_FIRST: Final = re.compile(
    rb"(?:\s++|<!--.{0,4000}?-->|<\?[^>]{0,400}>|<!DOCTYPE[^>\[]{0,400}(?:\[.*?\]\s*)?>)*+", re.DOTALL
)
_ROOT: Final = re.compile(rb"<([A-Za-z_\x80-\xff][\w:.\x80-\xff-]{0,200}+)((?:\s[^>]{0,8000}+)?)")


def root_of(stream: Stream) -> str | None:
    """The local name of the root element in lower case, empty where it is not in sight; None for what is no XML."""
    head = stream.head
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head[:4]:
        head = head[2 * (head[:1] >= b"\xfe") :].replace(b"\0", b"")
    head = head.removeprefix(b"\xef\xbb\xbf")
    if head.lstrip()[:1] != b"<":
        return None
    first = _FIRST.match(head)
    root = _ROOT.match(head, first.end() if first else 0)
    if not root:
        return "" if head.lstrip().startswith(b"<?xml ") else None
    local = root[1].rsplit(b":")[-1].lower().decode("latin-1")
    if head.lstrip().startswith(b"<?xml") or b"xmlns" in root[2]:
        return local
    ending = stream.at(max(0, stream.size - 256), 256).replace(b"\0", b"").rstrip()
    return local if ending.endswith(b"</" + root[1] + b">") else None


class Check:
    """Whether the text is well-formed XML; expat never sees a handler, a DTD or another file."""

    def __init__(self) -> None:
        from xml.parsers import expat

        self.errors = expat.errors
        self.failure = expat.ExpatError
        self.parser = expat.ParserCreate("utf-8")
        # As if a DTD that nobody reads could declare them: unknown entities are then no error.
        self.parser.UseForeignDTD(True)
        self.trouble: tuple[str, int, int] | None = None

    def feed(self, piece: str, last: bool = False) -> None:
        """Looks at the next piece."""
        if self.trouble:
            return
        try:
            self.parser.Parse(piece.encode("utf-8", "replace"), last)
        except self.failure as error:
            self.trouble = (self.errors.messages[error.code], error.lineno, error.offset)

    def problems(self) -> Iterator[Problem]:
        """What kept the text from being well-formed."""
        self.feed("", True)
        if not self.trouble:
            return
        reason, line, column = self.trouble
        if reason.startswith("limit on input amplification"):
            yield Problem("limit", f"line {line}: entities grow without bound", resolution="not expanded")
            return
        cut = reason in (
            self.errors.XML_ERROR_NO_ELEMENTS,
            self.errors.XML_ERROR_UNCLOSED_TOKEN,
            self.errors.XML_ERROR_PARTIAL_CHAR,
            self.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        )
        message = f"not well-formed: line {line}, column {column}: {reason}"
        yield Problem("truncated" if cut else "corrupt", message, resolution="text read all the same")
