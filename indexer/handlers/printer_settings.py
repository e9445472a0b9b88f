"""Printer settings of Windows (DEVMODE), as workbooks and presentations keep them: the printer, and its driver's words.

Source: [MS-RPRN] 2.2.2.1 (_DEVMODE); Windows SDK, DEVMODEW.
Limits: what a driver keeps behind the settings is its own: strings of it only. Older settings with narrow names
are left to strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._runs import carve
from indexer.handlers._windows import wide
from indexer.model import Fact, Field, Text

_VERSION_AT = 64
_FORM_AT = 102
_SIZES = {0xD4, 0xDC}
"""Of the settings alone: Windows NT 4, and Windows 2000 and later."""


class PrinterSettings(Handler):
    name = "printer-settings"
    media_types = ("application/x-ms-devmode",)
    signatures = (Signature(b"\1\4", _VERSION_AT),)
    fields: ClassVar[dict[str, str]] = {
        "printer.name": "name of the printer, cut at 31 characters",
        "printer.paper": "name of the paper",
    }
    reads = "name of the printer, paper, strings of the driver's own data"

    def claims(self, stream: Stream) -> str | None:
        if len(stream.head) < min(_SIZES):
            return None
        size, more = struct.unpack_from("<HH", stream.head, _VERSION_AT + 4)
        name = stream.head[:_VERSION_AT]
        fits = size in _SIZES and 0 <= stream.size - size - more < 16 and wide(name).isprintable()
        return self.media_types[0] if fits else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        printer, paper = wide(stream.at(0, _VERSION_AT)), wide(stream.at(_FORM_AT, 64))
        if printer:
            yield Field("printer.name", printer)
            yield Text(printer, "printer")
        if paper:
            yield Field("printer.paper", paper)
        yield from carve(stream)
