"""Text in passages cut at line ends; shared by plain text, CSV and JSON."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from functools import lru_cache

from indexer.decoding import TextReader
from indexer.detection import detect, plausibility
from indexer.handler import Stream
from indexer.model import Fact, Field, Problem, Text

PASSAGE = 32 * 1024
"""Characters after which a passage ends with its line; small enough to point an analyst to the place."""
LONGEST = 128 * 1024
"""Characters of one line after which it is cut."""
FIELDS = {
    "text.codec": "the encoding that the text was read by",
    "text.confidence": "how sure the encoding is, from 0 to 1",
    "text.alternative": "another encoding that fits nearly as well",
    "text.lines": "number of lines",
}
_FINE = bytes(byte for byte in range(256) if (byte >= 0x20 and byte != 0x7F) or byte in b"\t\n\v\f\r\x1b")
_TAIL = 4096
_SHIFT_CODECS = ("iso2022_kr", "hz")
_RARE = 2_000
"""Bytes of text among which one stray control character is forgiven."""
_SURE = 0.9
_SENSE = -4.9
"""Nats a byte that words in a code page may cost; random bytes cost 5 and more by every codec."""


@lru_cache(maxsize=4)
def _judge(head: bytes, cut: bool) -> str:
    found = detect(head)
    wide = found.codec.startswith(("utf-16", "utf-32"))
    if not wide and found.codec not in _SHIFT_CODECS:
        # An end-of-file mark of CP/M closes many old texts; anything more is no text.
        bad = _count_bad(head.rstrip(b"\x1a"))
        if b"\0" in head or bad * _RARE > len(head):
            return ""
    text = codecs.getincrementaldecoder(found.codec)("replace").decode(head, not cut)
    if wide and sum(map(text.count, map(chr, range(9)))) * _RARE > len(text):
        return ""
    if not wide and found.codec not in ("ascii", "utf-8") and not _makes_sense(head, found.codec):
        return ""
    return io.IncrementalNewlineDecoder(None, translate=True).decode(text.removeprefix("\ufeff"), final=True)


def _makes_sense(head: bytes, codec: str) -> bool:
    high = len(head) - len(head.translate(None, bytes(range(0x80, 0x100))))
    # A few odd bytes in much ASCII are damage, not noise.
    return high * 20 < len(head) or plausibility(head, codec) > _SENSE


def text_head(stream: Stream) -> str:
    """The first 16 KiB decoded, line ends as `\\n`; an empty string where they are not text."""
    return _judge(stream.head, stream.size > len(stream.head))


def ends_in_binary(stream: Stream) -> bool:
    """Whether the last 4 KiB of an 8-bit text hold control characters as binary data does."""
    if stream.size <= len(stream.head) or detect(stream.head).codec.startswith(("utf-16", "utf-32")):
        return False
    tail = stream.at(stream.size - _TAIL, _TAIL).rstrip(b"\0\x1a")
    return _count_bad(tail) * 20 > len(tail)


def _count_bad(data: bytes) -> int:
    """Control characters that do not stand in text."""
    return len(data.translate(None, _FINE))


def read_text(stream: Stream) -> tuple[TextReader, Iterator[str]]:
    """A reader for what it found out, and its text in pieces, line ends as `\\n`."""
    stream.seek(0)
    reader = TextReader(stream.file)
    return reader, _translate(reader)


def _translate(pieces: Iterable[str]) -> Iterator[str]:
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for piece in pieces:
        yield newlines.decode(piece)
    if rest := newlines.decode("", final=True):
        yield rest


def lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """Lines with their ends; one longer than `LONGEST` comes in several parts, only the last with an end."""
    rest = ""
    for piece in pieces:
        rest += piece
        start = 0
        while True:
            end = rest.find("\n", start) + 1
            if end == 0 or end - start > LONGEST:
                if len(rest) - start <= LONGEST:
                    break
                end = start + LONGEST
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def passages(lines: Iterable[str], first: int = 1) -> Iterator[tuple[Text, int]]:
    """Passages with locators like `lines 12-480`, each with the number of the last line it touches."""
    held: list[str] = []
    size = 0
    number = begin = first
    for line in lines:
        held.append(line)
        size += len(line)
        ends = line.endswith("\n")
        if size >= PASSAGE:
            yield Text("".join(held), _locator(begin, number)), number
            held, size, begin = [], 0, number + ends
        number += ends
    if held:
        last = number - held[-1].endswith("\n")
        yield Text("".join(held), _locator(begin, last)), last


def _locator(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"


def encoding_facts(reader: TextReader) -> Iterator[Fact]:
    """How the text was read, to be yielded after its end."""
    found = reader.detection
    yield Field("text.codec", found.codec)
    yield Field("text.confidence", found.confidence)
    if found.confidence < _SURE:
        for codec in found.alternatives:
            yield Field("text.alternative", codec)
    if reader.lossy:
        message = f"{reader.lossy} bytes are not {found.codec}"
        yield Problem("lossy-text", message, resolution="shown as U+FFFD")
