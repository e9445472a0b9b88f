"""Readable runs in bytes that nobody understands; shared by `strings` and by text with binary parts.

Speed comes from C: bytes are translated to classes once, and runs are found by literal searches in
the classes. Only the East Asian code pages need a regular expression, and what it finds must
look like language (`likelihood.py`) before it counts: random bytes make a valid pair in five.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from indexer.handler import Stream
from indexer.likelihood import Table, table
from indexer.model import Text

SHORTEST = 6
"""Characters of a run in ASCII or UTF-8; shorter ones are mostly chance."""
LONGEST = 64 * 1024
"""Bytes of a run after which it is cut."""

_CHUNK = 1 << 20
_PASSAGE = 16 * 1024
"""Characters after which a passage of one encoding is handed out."""
_GAP = 64 * 1024
"""Bytes between two runs that no longer belong together."""

_HOPELESS = -10.8
"""Nats a character at which the first few are not worth a closer look."""


class Run(NamedTuple):
    """A readable stretch of a buffer and the codec that reads it."""

    start: int
    end: int
    codec: str


def _classes() -> bytes:
    held = bytearray(b"." * 256)
    for first, last, name in (
        (0x20, 0x7E, "A"),
        (0x80, 0xBF, "C"),
        (0xC2, 0xDF, "2"),
        (0xE0, 0xEF, "3"),
    ):
        held[first : last + 1] = name.encode() * (last - first + 1)
    held[0x00] = ord("0")
    held[0x09] = held[0x0A] = held[0x0D] = ord("A")
    return bytes(held)


def _high_halves() -> bytes:
    """Which bytes are the high half of a common East Asian character in UTF-16: K for syllables."""
    held = bytearray(b"0" + b"." * 255)
    for first, last, name in ((0x30, 0x30, b"H"), (0x4E, 0x9F, b"H"), (0xFF, 0xFF, b"H"), (0xAC, 0xD7, b"K")):
        held[first : last + 1] = name * (last - first + 1)
    return bytes(held)


_CLASSES = _classes()
_HIGH_HALVES = _high_halves()
_SEEDS = (re.compile(rb"AAAAAA+"), re.compile(rb"3CC3CC(?:3CC)*"), re.compile(rb"2C2C2C2C(?:2C)*"))
_EXTENT = re.compile(rb"(?:A+|(?:3CC)+|(?:2C)+)*")
_WIDE_LE = re.compile(rb"A0A0A0A0A0(?:A0)*")
_WIDE_BE = re.compile(rb"0A0A0A0A0A(?:0A)*")
_HIGH_RUNS = (
    # Literal beginnings make the search fast; a syllable is rarer by chance than a Han character.
    (re.compile(rb"KK(?:0?0?[KH]){3,}"), ("ko",)),
    (re.compile(rb"HHHH(?:0?0?H){2,}"), ("hans", "ja", "hant")),
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
_PAIR = rb"[\x81-\x83\x88-\x97\xa1-\xd7][\x40-\x7e\x80-\xfe][\x20-\x3f]{0,3}"
_PAIRS = re.compile(_PAIR * 4 + rb"(?:" + _PAIR + rb"){0,4096}")
_WORDLIKE = re.compile(rb"[A-Za-z0-9._\-]{6}|[A-Za-z]{4}|[0-9]{4}|[\xc2-\xef][\x80-\xbf]")
_CODE_PAGES = (
    # A stricter form than the codec's own: the rows that text is made of, and no half-width kana.
    ("cp949", "ko", re.compile(rb"(?:[\xa1-\xc8][\xa1-\xfe][\x20-\x3f]{0,3})+")),
    ("gb18030", "hans", re.compile(rb"(?:[\xa1-\xa3\xb0-\xf7][\xa1-\xfe][\x20-\x3f]{0,3})+")),
    ("cp932", "ja", re.compile(rb"(?:[\x81-\x83\x88-\x9f\xe0-\xea][\x40-\x7e\x80-\xfc][\x20-\x3f]{0,3})+")),
    ("cp950", "hant", re.compile(rb"(?:[\xa1-\xa3\xa4-\xf9][\x40-\x7e\xa1-\xfe][\x20-\x3f]{0,3})+")),
)
_JUDGED = 512
"""Bytes at the start of a run by which its code page is told."""
_PLAUSIBLE = -8.2
"""Nats a character, on average, that a run of East Asian text may cost; chance costs 10 to 13."""


def find_runs(data: bytes) -> list[Run]:
    """Readable runs of `data` by their offset, not overlapping."""
    classes = data.translate(_CLASSES)
    taken = _Taken()
    # Low halves can look like high ones: the longest reading of a stretch is the right one.
    wide = (*_wide_ascii(data, classes), *_wide_eastern(data))
    for run in sorted(wide, key=lambda run: (run.start - run.end, run.start)):
        taken.add(run)
    for run in _utf_8(data, classes):
        taken.add(run)
    rest = bytearray(data)
    for run in taken.runs:
        rest[run.start : run.end] = bytes(run.end - run.start)
    for run in _code_pages(bytes(rest)):
        taken.add(run)
    return taken.runs


class _Taken:
    """Runs in order of their start, no two of which overlap; the first to come stays."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def add(self, run: Run) -> None:
        place = bisect_right(self.runs, run)
        if place and self.runs[place - 1].end > run.start:
            return
        if place < len(self.runs) and self.runs[place].start < run.end:
            return
        self.runs.insert(place, run)


def _utf_8(data: bytes, classes: bytes) -> Iterator[Run]:
    seeds = sorted(match.span() for seed in _SEEDS for match in seed.finditer(classes))
    end = 0
    for seed, seed_end in seeds:
        while end < seed_end:
            seed = max(seed, end)
            start = max(end, seed - 64)
            start += len(classes[start:seed].rstrip(b"A"))
            extent = _EXTENT.match(classes, seed, min(len(classes), seed + LONGEST))
            end = max(extent.end() if extent else seed, seed + 1)
            if end - seed >= LONGEST - 3:
                end = max(data.rfind(b" ", end - 1024, end), data.rfind(b"\n", end - 1024, end)) + 1 or end
            if end - start >= SHORTEST and _says_something(data[start : min(end, start + 32)]):
                yield Run(start, end, "utf-8")


def _says_something(raw: bytes) -> bool:
    """Whether the first bytes of a run are no mere fill, and, where they are few, hold a word."""
    return len(set(raw)) > (2 if len(raw) < 12 else 3) and (len(raw) > 24 or _WORDLIKE.search(raw) is not None)


def _wide_ascii(data: bytes, classes: bytes) -> list[Run]:
    little = [(match.start(), match.end(), "utf-16-le") for match in _WIDE_LE.finditer(classes)]
    big = [(match.start(), match.end(), "utf-16-be") for match in _WIDE_BE.finditer(classes)]
    # A run of one order is, one byte on, a run of the other. The longer wins; but a zero before a little-endian
    # run and the low half of a Han character behind it make a big-endian one that is a unit longer.
    both = sorted(little + big, key=lambda each: (each[0] - each[1] + 2 * (each[2] == "utf-16-be"), each[0] % 2))
    taken = _Taken()
    for start, end, codec in both:
        if _says_something(data[start : min(end, start + 64)].replace(b"\0", b"")):
            taken.add(Run(start, end, codec))
    return taken.runs


def _wide_eastern(data: bytes) -> Iterator[Run]:
    """Runs of Han, kana and syllables in UTF-16, found by their high halves, two bytes apart."""
    for parity in (0, 1):
        halves = data[parity::2].translate(_HIGH_HALVES)
        for pattern, languages in _HIGH_RUNS:
            for match in pattern.finditer(halves):
                high = match.start() * 2 + parity
                count = min(match.end() - match.start(), LONGEST // 2)
                first = data[max(0, high - 1) : high + 15]
                # Letters in pairs pass for Han; kana in pairs hold many zeros (0x30).
                if first.isascii() and first.count(b"0") < 4:
                    continue
                if run := _best_order(data, high, count, languages):
                    yield run


def _best_order(data: bytes, high: int, count: int, languages: tuple[str, ...]) -> Run | None:
    """The likelier byte order of `count` units whose first high half stands at `high`."""
    best = _PLAUSIBLE
    run = None
    scores = _merged(languages).score
    for start, codec in ((high - 1, "utf-16-le"), (high, "utf-16-be")):
        end = start + 2 * count
        if start < 0 or end > len(data):
            continue
        raw = data[start : min(end, start + 256)]
        first = raw[:16].decode(codec, "replace")
        if scores(first) < _HOPELESS * len(first):
            continue
        nats = _judge(raw.decode(codec, "replace"), languages)
        if nats > best and not _reads_better_as_ascii(raw, nats):
            best, run = nats, Run(start, end, codec)
    return run


def _reads_better_as_ascii(raw: bytes, nats: float) -> bool:
    """Letters in pairs make Han characters by chance."""
    if not raw.isascii():
        return False
    return table("ascii").score(raw.decode("ascii")) / len(raw) > nats / 2


def _code_pages(data: bytes) -> Iterator[Run]:
    for match in _PAIRS.finditer(data):
        best, start = (_PLAUSIBLE, "", _PAIRS), match.start()
        for codec, language, rows in _CODE_PAGES:
            first = rows.match(data, start, start + _JUDGED)
            if first is None or len(first[0]) < 8:
                continue
            nats = _judge(first[0].decode(codec, "ignore"), (language,))
            if nats > best[0]:
                best = nats, codec, rows
        _, codec, rows = best
        if codec and (whole := rows.match(data, start, start + LONGEST)):
            yield Run(start, whole.end(), codec)


def _judge(text: str, languages: tuple[str, ...]) -> float:
    """Nats a character, less for short runs; only what is not ASCII is judged."""
    eastern = [char for char in text if char > "\x7f"]
    distinct = len(set(eastern[:32]))
    # Tables and fill bytes repeat themselves; words do not.
    if distinct < 4 or distinct * 3 < min(32, len(eastern)) or _CONTROLS.search(text):
        return -99.0
    return (_merged(languages).score("".join(eastern)) - 4.0) / len(eastern)


@cache
def _merged(languages: tuple[str, ...]) -> Table:
    """One table with the best that any of the languages says of a character."""
    merged = Table()
    for language in languages:
        for char, nats in table(language).items():
            merged[char] = max(nats, merged.get(char, nats))
    return merged


def carve(stream: Stream) -> Iterator[Text]:
    """Passages of neighbouring runs of one encoding, as far as the item's limit of characters."""
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
        line = raw.decode(self.codec, "replace").strip("\t\r\n")
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
        limit = len(buffer) if last else len(buffer) - LONGEST - 64
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
