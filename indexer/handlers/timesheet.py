"""Digital exposure sheets (.xdts, .tdts): cuts, columns of cels, notes, people.

Source: XDTS File Format (Celsys), version 5 and 10; TDTS (Toei) as its programs write it.
Limits: which cel is shown on which frame is kept as text, not worked out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._json_words import parse_json, plain_values, read_document
from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Fact, Field, Text

_MARKS: Final = (b"exchangeDigitalTimeSheet Save Data", b"toeiDigitalTimeSheet Save Data")
_NAMED: Final = {
    "name": "timesheet.name",
    "cut": "timesheet.cut",
    "scene": "timesheet.scene",
    "names": "timesheet.column",
    "title": "timesheet.title",
    "subtitle": "timesheet.title",
    "episode": "timesheet.episode",
    "user": "timesheet.person",
    "staff": "timesheet.person",
}
_NUMBER: Final = re.compile(r"[\s\d.-]*|SYMBOL_\w*")


class Timesheet(Handler):
    name = "timesheet"
    version = 2
    media_types = ("application/x-xdts", "application/x-tdts")
    signatures = tuple(Signature(mark) for mark in _MARKS)
    suffixes = (".xdts", ".tdts")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "timesheet.version": "version of the format",
        "timesheet.name": "name of a sheet",
        "timesheet.cut": "number of the cut",
        "timesheet.scene": "number of the scene",
        "timesheet.episode": "number of the episode",
        "timesheet.title": "title of the work",
        "timesheet.person": "who is named on the sheet",
        "timesheet.column": "name of a column: a layer of cels, a camera, a dialogue",
        "timesheet.frames": "length of the sheet in frames",
    }
    reads = "cuts, scenes, columns, notes, people"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0 if stream.head.startswith(_MARKS[0]) else 1]

    def read(self, stream: Stream) -> Iterator[Fact]:
        text = read_document(stream)
        try:
            tree = parse_json(text.partition("\n")[2])
        except EvidenceError as error:
            if error.cause == "corrupt":
                yield Text(text, "sheet")
            raise
        yield from _facts(tree)


def _facts(tree: object) -> Iterator[Fact]:
    once: dict[str, _refs.Once] = {}
    paths = _refs.Once()
    words: list[str] = []
    for key, value in plain_values(tree):
        if key == "version" and isinstance(value, int):
            yield Field("timesheet.version", value)
        elif key == "duration" and isinstance(value, int):
            yield Field("timesheet.frames", value)
        elif field := _NAMED.get(key):
            yield from once.setdefault(field, _refs.Once(field)).fields((str(value)[:FIELD_CHARS],))
            words += [value] if isinstance(value, str) else []
        elif isinstance(value, str) and value and not _NUMBER.fullmatch(value):
            words.append(value)
            yield from paths.fields((value,) if _refs.is_path(value) else ())
    if words:
        yield Text("\n".join(words), "sheet")
