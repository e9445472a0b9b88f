"""Cinema 4D scenes: readable strings of all of the file, the paths of files among them.

Source: none is published; files of Cinema 4D begin with QC4DC4D6 or XC4DC4D6.
Limits: strings as they stand, not what they belong to; a compressed part is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._runs import carve
from indexer.model import Fact


class Cinema4d(Handler):
    name = "cinema4d"
    media_types = ("model/x-cinema4d",)
    signatures = (Signature(b"QC4DC4D6"), Signature(b"XC4DC4D6"), Signature(b"MC4DC4D6"))
    suffixes = (".c4d",)
    fields: ClassVar[dict[str, str]] = _refs.FIELDS
    reads = "readable strings with offsets, paths of files among them"

    def read(self, stream: Stream) -> Iterator[Fact]:
        paths = _refs.Once()
        for text in carve(stream):
            yield from paths.fields(path for line in text.body.split("\n") for path in _refs.paths_in(line))
            yield text
