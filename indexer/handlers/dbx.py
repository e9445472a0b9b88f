"""Folders of Outlook Express (.dbx): every message a member, put together from its pieces.

Source: the format as Arne Schloh's description of it has it (header, tree, indexed records, messages in pieces).
Limits: version 5 and later; deleted messages whose pieces wait to be used again are not looked for; of the list
of folders (Folders.dbx) only names are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_filetime

MAGIC = b"\xcf\xad\x12\xfe"
_MESSAGES, _FOLDERS = b"\xc5\xfd\x74\x6f", b"\xc6\xfd\x74\x6f"
_COUNT, _ROOT = 0xC4, 0xE4
_NODE, _ENTRY, _PIECE, _RECORD = 24, 12, 16, 12
_SENT, _TEXT_AT, _SAVED, _RECEIVED = 2, 4, 6, 0x12
_TIMES = {_SENT: ("sent", "dbx.sent"), _SAVED: ("B", "dbx.saved"), _RECEIVED: ("received", "dbx.received")}
_FOLDER_NAME, _FOLDER_FILE = 2, 3


class Dbx(Handler):
    name = "dbx"
    media_types = ("application/x-outlook-express-dbx",)
    signatures = (Signature(MAGIC),)
    suffixes = (".dbx",)
    fields: ClassVar[Mapping[str, str]] = {
        "dbx.kind": "what the file holds: messages, folders, other lists",
        "dbx.folder": "a folder of the mailbox, and the file that keeps it",
    }
    reads = "every message; names of folders"
    rank = 26
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        kind = {_MESSAGES: "messages", _FOLDERS: "folders"}.get(stream.at(4, 4), "other")
        yield Field("dbx.kind", kind)
        head = stream.at(0, _ROOT + 4)
        if len(head) < _ROOT + 4:
            raise EvidenceError("truncated", "the header is not whole")
        count, root = (struct.unpack_from("<I", head, at)[0] for at in (_COUNT, _ROOT))
        problems: list[Problem] = []
        number = 0
        for number, place in enumerate(_records(stream, root, problems), 1):
            values = _values(stream, place)
            if kind == "folders":
                yield from _folder(values)
            elif kind == "messages":
                yield _message(stream, values, number)
        if number < count:
            message = f"{number} of {count} entries are there"
            problems.append(Problem("corrupt", message, resolution="the others are lost"))
        yield from problems


def _records(stream: Stream, root: int, problems: list[Problem]) -> Iterator[int]:
    """Where the record of each entry lies, in the order of the tree."""
    waiting: list[tuple[int, bool]] = [(root, True)] if root else []
    seen = {root}
    while waiting:
        place, is_node = waiting.pop()
        if not is_node:
            yield place
            continue
        head = stream.at(place, _NODE)
        if len(head) < _NODE or int.from_bytes(head[:4], "little") != place:
            problems.append(Problem("corrupt", f"no node of the tree at {place}", resolution="the others are read"))
            continue
        rows = stream.at(place + _NODE, head[17] * _ENTRY)
        order: list[tuple[int, bool]] = [(int.from_bytes(head[8:12], "little"), True)]
        for value, below, _ in struct.iter_unpack("<III", rows[: len(rows) // _ENTRY * _ENTRY]):
            order += [(value, False), (below, True)]
        fresh = []
        for entry in order:
            if entry[0] and entry[0] not in seen:
                seen.add(entry[0])
                fresh.append(entry)
        waiting += reversed(fresh)


def _values(stream: Stream, place: int) -> dict[int, bytes]:
    """The values of a record by number: those that stand in its list, and those behind it."""
    head = stream.at(place, _RECORD)
    if len(head) < _RECORD or int.from_bytes(head[:4], "little") != place:
        return {}
    size = min(int.from_bytes(head[4:8], "little"), 1 << 20)
    data = stream.at(place + _RECORD, size)
    count = head[10]
    found: dict[int, bytes] = {}
    behind: list[tuple[int, int]] = []
    for at in range(0, min(4 * count, len(data) - 3), 4):
        if data[at] & 0x80:
            found[data[at] & 0x7F] = data[at + 1 : at + 4]
        else:
            behind.append((data[at], 4 * count + int.from_bytes(data[at + 1 : at + 4], "little")))
    for place_in, (key, start) in enumerate(behind):
        end = behind[place_in + 1][1] if place_in + 1 < len(behind) else len(data)
        found[key] = data[start : max(start, end)]
    return found


def _folder(values: Mapping[int, bytes]) -> Iterator[Fact]:
    parts = [decode(values.get(key, b"").split(b"\0", 1)[0]).text for key in (_FOLDER_NAME, _FOLDER_FILE)]
    shown = " in ".join(part for part in parts if part)
    if shown:
        yield Field("dbx.folder", shown)
        yield Text(shown, "folder")


def _message(stream: Stream, values: Mapping[int, bytes], number: int) -> Child:
    stamps: list[Timestamp] = []
    for key, (kind, origin) in _TIMES.items():
        if stamp := from_filetime(kind, int.from_bytes(values.get(key, b"")[:8], "little"), origin):
            stamps.append(stamp)
    start = int.from_bytes(values.get(_TEXT_AT, b"")[:4], "little")
    name = f"{number}.eml"
    return Child(name, name.encode(), partial(_open, stream, start), tuple(stamps))


def _open(stream: Stream, start: int) -> BinaryIO:
    if not start:
        raise EvidenceError("unreadable", "the message was never fetched from its server")
    return open_chunks(_pieces(stream, start))


def _pieces(stream: Stream, place: int) -> Iterator[bytes]:
    seen: set[int] = set()
    while place and place not in seen:
        seen.add(place)
        head = stream.at(place, _PIECE)
        if len(head) < _PIECE:
            raise EvidenceError("truncated", f"a piece of the message at {place} lies behind the end")
        own, _, size, after = struct.unpack("<4I", head)
        if own != place:
            raise EvidenceError("corrupt", f"no piece of a message at {place}")
        data = stream.at(place + _PIECE, size)
        yield data
        if len(data) < size:
            raise EvidenceError("truncated", f"a piece of the message at {place} is cut")
        place = after
    if place:
        raise EvidenceError("corrupt", "the pieces of the message lead in a circle")
