"""Binary XML of Android (AndroidManifest.xml, layouts) as text, and what a manifest declares.

Source: Android platform sources, ResourceTypes.h; Android developer guide, "App manifest".
Limits: numbers of resources stay numbers; the table they stand in is a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._android import read_elements
from indexer.handlers._rows import passages
from indexer.limits import MIB
from indexer.model import Fact, Problem

_MOST: Final = 64 * MIB


class AndroidXml(Handler):
    name = "android-xml"
    media_types = ("application/vnd.android.axml",)
    signatures = (Signature(b"\x03\x00\x08\x00"),)
    fields: ClassVar[dict[str, str]] = {}
    reads = "elements and attributes as text"
    rank = 45

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[8:10] == b"\x01\x00" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        faults: list[Problem] = []
        yield from passages(_lines(stream.at(0, min(stream.size, _MOST)), faults), "elements")
        yield from faults


def _lines(data: bytes, faults: list[Problem]) -> Iterator[str]:
    depth = 0
    try:
        for element in read_elements(data):
            if not element.opens:
                depth -= bool(element.name)
                if element.values:
                    yield "  " * min(max(depth, 0), 40) + element.values[0][1]
                continue
            told = "".join(f' {name}="{value}"' for name, value in element.values)
            yield f"{'  ' * min(max(depth, 0), 40)}<{element.name}{told}>"
            depth += 1
    except EvidenceError as error:
        faults.append(error.problem("", "read up to there"))
