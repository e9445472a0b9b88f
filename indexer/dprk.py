"""KPS 9566, the character set of North Korea, as a codec named `kps9566`.

Source: KPS 9566-97 and later; the pairs are those of the package kps9566.

The package's own codec looks through its whole mapping for each character (143 s for half a
megabyte) and cannot go on after an error; only its mapping is used here, turned round once.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import TYPE_CHECKING

from indexer.errors import EvidenceError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME = "kps9566"
_UNITS = re.compile(rb"[\x00-\x80]+|[\x81-\xfe][\x40-\xfe]|[\x81-\xff]")


@cache
def pairs() -> dict[bytes, str]:
    """Two bytes -> character, for all of KPS 9566."""
    try:
        from kps9566.kps9566_mapping import kps9566_mapping
    except ImportError as error:
        raise EvidenceError("missing-library", "KPS 9566 text needs: pip install kps9566") from error
    return {raw: char for char, raw in reversed(kps9566_mapping.items())}


def is_known() -> bool:
    """Whether the mapping can be loaded."""
    try:
        return bool(pairs())
    except EvidenceError:
        return False


def decode(data: ReadableBuffer, errors: str = "strict", /) -> tuple[str, int]:
    """The text, and how many bytes it stands for, as the codec machinery wants it."""
    raw = bytes(data)
    table = pairs()
    out: list[str] = []
    position = 0
    for match in _UNITS.finditer(raw):
        unit = match[0]
        if unit[0] < 0x81:
            out.append(unit.decode("latin-1"))
        elif char := table.get(unit):
            out.append(char)
        else:
            # The second byte may be plain ASCII, which must not be lost with the first.
            end = match.end() if unit[-1] > 0x7F else match.start() + 1
            error = UnicodeDecodeError(NAME, raw, match.start(), end, "not in KPS 9566")
            out.append(str(codecs.lookup_error(errors)(error)[0]))
            if end < match.end():
                out.append(chr(unit[1]))
        position = match.end()
    return "".join(out), position


def encode(text: str, errors: str = "strict", /) -> tuple[bytes, int]:
    """The bytes of `text`; for tests and fixtures."""
    table = {char: raw for raw, char in pairs().items()}
    out: list[bytes] = []
    for index, char in enumerate(text):
        if ord(char) < 0x80:
            out.append(char.encode())
        elif raw := table.get(char):
            out.append(raw)
        else:
            error = UnicodeEncodeError(NAME, text, index, index + 1, "not in KPS 9566")
            instead = codecs.lookup_error(errors)(error)[0]
            out.append(instead if isinstance(instead, bytes) else instead.encode("ascii"))
    return b"".join(out), len(text)


class _Incremental(codecs.BufferedIncrementalDecoder):
    def _buffer_decode(self, data: ReadableBuffer, errors: str, final: bool) -> tuple[str, int]:
        # No pair begins below 0x81, so a run of leads at the end starts a unit: odd means half a pair.
        raw = bytes(data)
        run = len(raw) - len(raw.rstrip(_LEADS))
        end = len(raw) if final else len(raw) - run % 2
        return decode(raw[:end], errors)[0], end


_LEADS = bytes(range(0x81, 0xFF))


def _search(name: str) -> codecs.CodecInfo | None:
    if name != NAME:
        return None
    return codecs.CodecInfo(encode, decode, incrementaldecoder=_Incremental, name=NAME)


codecs.register(_search)
