"""Resource tables of Android (resources.arsc): every string by its name, in every language.

Source: Android platform sources, ResourceTypes.h.
Limits: strings of plain entries; styles, arrays and plurals are told by the pool alone; sparse types are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._android import read_table
from indexer.handlers._rows import passages
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_MOST: Final = 256 * MIB
_PLACES: Final = 500


class AndroidResources(Handler):
    name = "android-resources"
    media_types = ("application/vnd.android.arsc",)
    signatures = (Signature(b"\x02\x00\x0c\x00"),)
    suffixes = (".arsc",)
    fields: ClassVar[dict[str, str]] = {"android.locale": "language that strings are translated to"}
    reads = "strings with their names, by language"
    rank = 45

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[12:14] == b"\x01\x00" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        faults: list[Problem] = []
        places: dict[str, None] = {}
        yield from passages(_lines(stream.at(0, min(stream.size, _MOST)), places, faults), "strings")
        yield from (Field("android.locale", place) for place in places if place)
        yield from faults


def _lines(data: bytes, places: dict[str, None], faults: list[Problem]) -> Iterator[str]:
    try:
        for each in read_table(data):
            if len(places) < _PLACES:
                places.setdefault(each.place)
            label = f"{each.key} ({each.place})" if each.place else each.key
            yield f"{label}: {each.text}"
    except EvidenceError as error:
        faults.append(error.problem("", "read up to there"))
