"""Readable strings of bytes that no other handler understands, or that another could not read.

Source: none; runs of characters in UTF-8 (6 or more), UTF-16 of both orders (5 or more), and in
    UHC, GB 18030, Shift-JIS and Big5 where a run of 4 or more double bytes reads like language.
Limits: single-byte code pages other than ASCII, EUC-JP, and East Asian words of less than 4
    characters are not looked for; a run is cut after 64 KiB.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.handler import Handler, Stream
from indexer.handlers._runs import carve
from indexer.model import Fact


class Strings(Handler):
    name = "strings"
    version = 3
    media_types = ()
    reads = "readable strings in UTF-8, UTF-16, UHC, GB 18030, Shift-JIS and Big5, with offsets"

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield from carve(stream)
