"""Shell links (.lnk): target, arguments, the machine, volume or share of the target, its times.

Source: [MS-SHLLINK] 2.1 to 2.5.
Limits: of property stores and of rare shell items only readable text is taken; icons are not looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _lnk
from indexer.handlers._streams import slack
from indexer.limits import MIB
from indexer.model import Fact, Problem, Text

_SLACK = 16
"""Fewer bytes than this behind a link are padding."""


class Shortcut(Handler):
    name = "lnk"
    media_types = ("application/x-ms-shortcut",)
    signatures = (Signature(_lnk.MAGIC),)
    suffixes = (".lnk",)
    fields: ClassVar[dict[str, str]] = {
        **_lnk.FIELDS,
        "file.kind": "slack: bytes that stand behind the link",
        "file.offset": "where those bytes stand in the item",
    }
    reads = "target, arguments, folder, machine, network address, volume, share, times of the target"
    rank = 40
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        link = _lnk.parse_link(stream.at(0, MIB))
        yield from link.fields()
        yield from dict.fromkeys(link.stamps)
        if told := link.tell():
            yield Text(told, "link")
        if link.fault:
            raise EvidenceError("truncated", link.fault)
        if stream.size - link.end >= _SLACK:
            size = stream.size - link.end
            yield Problem("corrupt", f"{size} bytes behind the link", resolution="kept as a member")
            yield slack(stream, link.end, size, "[after the link]")
