"""Readable strings of bytes that no other handler understands, or that another could not read.

Source: none; runs of characters in UTF-8 (6 or more), UTF-16 of both orders (5 or more), and in
    UHC, GB 18030, Shift-JIS and Big5 where a run of 4 or more double bytes reads like language.
Limits: single-byte code pages other than ASCII, EUC-JP, and East Asian words of less than 4
    characters are not looked for; a run is cut after 64 KiB.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.handler import Handler, Stream
from indexer.handlers._runs import LONGEST, Run, find_runs
from indexer.model import Fact, Text

_CHUNK = 1 << 20
_PASSAGE = 16 * 1024
"""Characters after which a passage of one encoding is handed out."""
_GAP = 64 * 1024
"""Bytes between two runs that no longer belong together."""


class Strings(Handler):
    name = "strings"
    version = 2
    media_types = ()
    reads = "readable strings in UTF-8, UTF-16, UHC, GB 18030, Shift-JIS and Big5, with offsets"

    def read(self, stream: Stream) -> Iterator[Fact]:
        waiting: dict[str, _Passage] = {}
        chars = 0
        for offset, run, raw in _runs_of(stream):
            passage = waiting.get(run.codec)
            if passage and (passage.chars > _PASSAGE or offset - passage.end > _GAP):
                yield passage.text()
                passage = None
            if passage is None:
                passage = waiting[run.codec] = _Passage(run.codec, offset)
            chars += passage.add(raw, offset)
            if chars > stream.limits.text_chars:
                break
        for passage in sorted(waiting.values(), key=lambda each: each.start):
            yield passage.text()


class _Passage:
    """Neighbouring runs of one encoding, a line each."""

    def __init__(self, codec: str, start: int) -> None:
        self.codec = codec
        self.start = start
        self.end = start
        self.chars = 0
        self._lines: list[str] = []

    def add(self, raw: bytes, offset: int) -> int:
        line = raw.decode(self.codec, "replace").strip()
        self._lines.append(line)
        self.end = offset + len(raw)
        self.chars += len(line) + 1
        return len(line) + 1

    def text(self) -> Text:
        return Text("\n".join(self._lines), f"strings {self.codec} @{self.start:#x}")


def _runs_of(stream: Stream) -> Iterator[tuple[int, Run, bytes]]:
    """Every run with its offset in the item; buffers overlap by the longest run."""
    stream.seek(0)
    buffer = b""
    base = 0
    done = 0
    while True:
        new = stream.read(_CHUNK)
        buffer += new
        last = len(new) < _CHUNK
        limit = len(buffer) if last else len(buffer) - LONGEST
        for run in find_runs(buffer):
            if run.start >= limit:
                break
            if base + run.start >= done:
                yield base + run.start, run, buffer[run.start : run.end]
                done = base + run.end
        if last:
            return
        keep = max(limit, min(done - base, len(buffer)))
        buffer = buffer[keep:]
        base += keep
