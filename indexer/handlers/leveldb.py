"""Tables and logs of LevelDB, in which browsers keep what pages store: keys and values, deleted and older ones too.

Source: LevelDB, doc/table_format.md and doc/log_format.md; Chromium, local storage ("_origin", zero, key; values
with a mark of their encoding) and the same engine's other users.
Limits: values of IndexedDB (objects of V8) are told by the words in them; lists of versions (MANIFEST) and filters
are not read; a file tells what was ever in it, not what the whole store last held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Signature, Stream
from indexer.handlers._leveldb import FOOTER, MAGIC, Table, is_log, read_log
from indexer.handlers._leveldb import Entry as Pair
from indexer.handlers._rows import one_line, passages
from indexer.model import Fact, Field, Problem

_WORDS: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ufffd]{3,}")
_WIDE: Final = re.compile(rb"(?:[\x20-\x7e]\x00|[\x00-\xff][\x04-\x0f\x30-\x9f\xac-\xd7]){4,}")
_ORIGIN: Final = re.compile(rb"_(?:https?|chrome-extension|file|devtools)://")
_LONGEST: Final = 1 << 20
_SHOWN: Final = 24


class LevelDb(Handler):
    name = "leveldb"
    media_types = ("application/x-leveldb-table", "application/x-leveldb-log")
    signatures = (Signature(b""),)
    suffixes = (".ldb", ".sst", ".log")
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {
        "leveldb.entries": "entries that were read",
        "leveldb.deleted": "how many of them say that a key was deleted",
        "leveldb.blocks": "blocks of a table",
        "leveldb.origin": "site whose local storage is in it",
    }
    reads = "keys and values in the order of the file, with the number of the change; deletions; sites"
    needs = ("cramjam",)
    rank = 59

    def claims(self, stream: Stream) -> str | None:
        if stream.size > FOOTER and stream.at(stream.size - 8, 8) == MAGIC:
            return self.media_types[0]
        return self.media_types[1] if is_log(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        table = Table(stream) if stream.at(stream.size - 8, 8) == MAGIC else None
        counted = _Counted()
        yield from passages(
            counted.lines(table.entries() if table else read_log(stream)), "entries", heading="change\tkey\tvalue"
        )
        yield Field("leveldb.entries", counted.entries)
        if counted.deleted:
            yield Field("leveldb.deleted", counted.deleted)
        if table:
            yield Field("leveldb.blocks", table.blocks)
            for fault in table.faults:
                yield fault.problem("", "the other blocks are read")
        yield from (Field("leveldb.origin", origin) for origin in counted.origins)
        if counted.fault:
            yield counted.fault


class _Counted:
    def __init__(self) -> None:
        self.entries = self.deleted = 0
        self.origins: dict[str, None] = {}
        self.fault: Problem | None = None

    def lines(self, pairs: Iterator[Pair]) -> Iterator[str]:
        """A line for every entry; `fault` says afterwards what ended them."""
        try:
            for each in pairs:
                self.entries += 1
                self.deleted += each.deleted
                if _ORIGIN.match(each.key) and len(self.origins) < 2000:
                    self.origins.setdefault(each.key[1:].partition(b"\0")[0].decode("utf-8", "replace"))
                value = "[deleted]" if each.deleted else one_line(_show(each.value))
                yield f"{each.order}\t{one_line(_show(each.key))}\t{value}"
        except EvidenceError as error:
            self.fault = error.problem("", "read up to there")


def _show(data: bytes) -> str:
    """Bytes as text, where they are some; else the words in them."""
    origin, mark, key = data.partition(b"\0")
    if mark and _ORIGIN.match(origin):
        return f"{origin.decode('utf-8', 'replace')} {_show(key)}"
    if data[:1] == b"\1" and len(data) > 1:
        text = data[1:].decode("latin-1")
        if _is_text(text):
            return text
    if data[:1] == b"\0" and len(data) % 2 and len(data) > 1:
        text = data[1:].decode("utf-16-le", "replace")
        if _is_text(text):
            return text
    try:
        if _is_text(text := data.decode()):
            return text
    except UnicodeDecodeError:
        pass  # no text as a whole: the words in it are looked for
    if len(data) <= _SHOWN:
        return f"0x{data.hex()}"
    words = [match[0].decode("utf-16-le", "replace") for match in _WIDE.finditer(data[:_LONGEST])]
    words += _WORDS.findall(data[:_LONGEST].decode("utf-8", "replace"))
    return f"[{len(data)} bytes] {' '.join(words)}"


def _is_text(text: str) -> bool:
    """Whether there is no control character in it but tabs and line ends."""
    return all(letter.isprintable() or letter in "\t\n\r" for letter in text[:4096])
