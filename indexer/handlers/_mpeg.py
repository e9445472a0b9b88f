"""What MPEG streams of both kinds share: sequence headers, clocks, names of codings.

Source: ISO/IEC 13818-1:2022, 2.4.3 and table 2-34; ISO/IEC 13818-2, 6.2.2.1; ETSI EN 300 468, annex A.
Limits: of pictures only MPEG-1 and MPEG-2 say their size here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.handlers import _media
from indexer.model import Field

CLOCK: Final = 90_000
WRAP: Final = 1 << 33
SEQUENCE: Final = b"\0\0\1\xb3"
_RATES: Final = (0.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0)


def sequence(data: bytes) -> Iterator[Field]:
    """Size and rate of pictures in the bytes behind a sequence's start code."""
    if len(data) < 4:
        return
    yield from _media.told("width", data[0] << 4 | data[1] >> 4)
    yield from _media.told("height", (data[1] & 15) << 8 | data[2])
    rate = data[3] & 15
    yield from _media.told("frame_rate", _RATES[rate] if rate < len(_RATES) else 0.0)


def elapsed(first: int, last: int) -> Iterator[Field]:
    """The length between two clocks of 90 kHz, which may have begun anew in between."""
    yield from _media.length(((last - first) % WRAP) / CLOCK)
