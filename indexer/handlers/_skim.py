"""XML parts read in bulk: plain records by regular expressions, everything else by the parser, in order.

A sheet or a text of a million records is the same few elements over and over. Records that look as
programs write them are read from the text itself; what is unusual in any way goes through the parser,
which sees the part without the records that were read. Whatever casts doubt on the whole (another
encoding, a document type, names of another space, XML that the parser had to mend) leaves everything
that follows to the parser.

Source: XML 1.0 (fifth edition), sections 2.2 (characters), 2.4 (markup), 2.11 (line ends), 4.6 (entities).
Limits: an attribute that stands twice in a plain record goes unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator

from indexer.errors import EvidenceError
from indexer.handlers._parts import DATA, Event
from indexer.limits import KIB, MIB
from indexer.model import Fact

ATTRIBUTES = r"(?: [\w:.-]++=(?:\"[^\"<&]*+\"|'[^'<&]*+'))*+"
"""Attributes of a plain tag, as a pattern."""
Stretch = tuple[int, int]
_STEP = 256 * KIB
_MOST = 4 * MIB
"""Bytes without an end of a record, after which the parser has the rest."""
_NOT_PLAIN = bytes({*range(32)} - {9, 10})
_ODD = ((b"!", b"<!"), (b"?", b"<?"), (b"]", b"]]>"), (b"\xef", b"\xef\xbf\xbe"), (b"\xef", b"\xef\xbf\xbf"))
"""What casts doubt, each after the byte of it that is seldom met: to look for one byte is ten times as fast."""
_ODD_REFERENCE = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)")
_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:<\?xml((?:\s[\w.-]++\s*+=\s*+[\"'][\w.-]*+[\"'])*+)\s*+\?>)?\s*+"
    rb"<[\w:.-]++((?:\s++[\w:.-]++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+'))*+)\s*+>"
)
_ENCODING = re.compile(rb"encoding\s*=\s*[\"'](?!(?:utf-8|us-ascii)[\"'])", re.IGNORECASE)
_REFERENCES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


class Skim:
    """The reading of one part: `pieces` stands between its bytes and the parser.

    Args:
        end: what a record ends with, such as `</row>`.
        declared: the attribute that declares the namespace of the records' tags: `xmlns`, or `xmlns:w`.
        spaces: the namespaces that it may declare.
        read: gives where the stretches start and end that it does not read of a text of whole records;
            what it reads goes to `ready`. It is left where the parser has the rest.
    """

    def __init__(
        self, end: str, declared: str, spaces: Container[str], read: Callable[[str], Iterable[Stretch]]
    ) -> None:
        self.plain = True
        self.ready: list[Fact] = []
        self._end = end.encode()
        self._declared = re.compile(rf"\s{declared}\s*=\s*[\"']([^\"']*)".encode())
        self._spaces = spaces
        self._read = read
        self._tags = 0

    def pieces(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What the parser has to read.

        Raises:
            EvidenceError: what `pieces` raises, after everything before it.
        """
        held, first = b"", True
        trouble: EvidenceError | None = None
        waiting = iter(pieces)
        while trouble is None:
            try:
                piece = next(waiting, b"")
            except EvidenceError as error:
                piece, trouble = b"", error
            held += piece
            if self.plain and len(held) < _STEP and piece:
                continue
            cut = held.rfind(self._end) + len(self._end) if self.plain else len(held)
            if cut >= len(self._end):
                chunk, held = held[:cut], held[cut:]
                if first and self.plain:
                    root = _ROOT.match(chunk)
                    start = root.end() if root else 0
                    self.plain = root is not None and self._knows(root)
                    yield chunk[:start]
                    chunk, first = chunk[start:], False
                yield from self._skim(chunk)
            elif len(held) > _MOST:
                self.plain = False
            if not piece:
                break
        if held:
            yield held
        if trouble is not None:
            raise trouble

    def follow(self, batches: Iterable[list[Event]]) -> Iterator[tuple[list[Fact], list[Event]]]:
        """What was read, and what the parser says of the pieces after it."""
        for events in batches:
            self._tags += sum(event[0] != DATA for event in events)
            ready, self.ready = self.ready, []
            yield ready, events
        yield self.ready, []

    def _knows(self, root: re.Match[bytes]) -> bool:
        space = self._declared.search(root[2])
        known = space is not None and space[1].decode("ascii", "replace") in self._spaces
        return known and not _ENCODING.search(root[1] or b"")

    def _skim(self, chunk: bytes) -> Iterator[bytes]:
        text = _plain_text(chunk) if self.plain else ""
        if not text:
            yield from self._give(chunk)
            return
        at = 0
        for start, end in self._read(text):
            # The parser tells lines in what it complains of.
            yield from self._give(("\n" * text.count("\n", at, start) + text[start:end]).encode())
            at = end
            if not self.plain:
                yield text[at:].encode()
                return
        yield b"\n" * text.count("\n", at)

    def _give(self, piece: bytes) -> Iterator[bytes]:
        """Hands a piece to the parser; where it came to other tags than stand there, it has the rest too."""
        self._tags = 0
        yield piece
        if self._tags != piece.count(b"<") + piece.count(b"/>") or self._declared.search(piece):
            self.plain = False


def _plain_text(chunk: bytes) -> str:
    """The text of XML without comments, sections, odd references and characters; empty where it has any."""
    if any(byte in chunk and mark in chunk for byte, mark in _ODD):
        return ""
    if b"&" in chunk and _ODD_REFERENCE.search(chunk):
        return ""
    if len(chunk.translate(None, _NOT_PLAIN)) != len(chunk):
        return ""
    try:
        return chunk.decode()
    except UnicodeDecodeError:
        return ""


def resolved(text: str) -> str:
    """Text with the five entities of XML itself resolved."""
    if "&" in text:
        for reference, char in _REFERENCES:
            text = text.replace(reference, char)
    return text
