"""Readable strings of bytes that no other handler understands.

Source: none; runs of printable characters in UTF-8.
Limits: only UTF-8 so far.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexer.handler import Handler, Stream
from indexer.model import Fact, Text


class Strings(Handler):
    name = "strings"
    media_types = ()
    reads = "readable strings"

    def read(self, stream: Stream) -> Iterator[Fact]:
        for match in re.finditer(rb"[\x20-\x7e]{6,}", stream.at(0, 1 << 20)):
            yield Text(match[0].decode("ascii"), "strings utf-8")
