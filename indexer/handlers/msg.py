"""Outlook messages: headers, recipients, bodies; attachments and messages inside as members.

Appointments, contacts, tasks and notes are messages of another class and are read the same way.

Source: [MS-OXMSG] 2.1 to 2.4 (storages, property streams); [MS-OXPROPS] (properties by number); [MS-OXRTFCP].
Limits: of the properties that programs named themselves, those of appointments, contacts and tasks that a person
would see are read; signed and encrypted messages keep their envelope as an attachment; the body in rich text
is a member.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import BinaryIO, ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, STORAGE, STREAM, Compound, Entry, compound
from indexer.handlers._cfb_write import rebuild
from indexer.handlers._mapi import (
    CONTENT_ID,
    DATA,
    FIELDS,
    LONG_NAME,
    MIME,
    NAME,
    PATH,
    SHOWN,
    Name,
    describe_message,
    describe_recipient,
    find_codec_of,
    read_bodies,
    read_names,
    read_rich,
    times,
)
from indexer.handlers._ole import kind_of
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, replace

_PROPERTIES, _NAMES = "__properties_version1.0", "__nameid_version1.0"
_BODY_BYTES = 64 * MIB
_EVIDENCE = 64 * 1024
"""Bytes of narrow texts by which their code page is judged."""
_WIDE, _NARROW, _MANY = 0x1F, 0x1E, 0x1000


class Msg(Handler):
    name = "msg"
    version = 3
    media_types = ("application/vnd.ms-outlook",)
    signatures = (Signature(MAGIC),)
    suffixes = (".msg", ".oft")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "ole.rebuilt": "the bytes were put together from a storage inside the message",
    }
    reads = "headers, sender, recipients, bodies; attachments, messages inside and the body in rich text as members"
    rank = 26
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == self.name else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        message = _Properties(held, held.root)
        yield from describe_message(message)
        for storage in held.root.children:
            if storage.kind == STORAGE and storage.name.startswith("__recip"):
                yield from describe_recipient(_Properties(held, storage, message.codec))
        yield from read_bodies(message)
        yield from read_rich(message)
        for storage in held.root.children:
            if storage.kind == STORAGE and storage.name.startswith("__attach"):
                yield from _attached(held, storage, message.codec)
        yield from held.problems


class _Properties:
    """The properties that a storage holds."""

    def __init__(self, held: Compound, storage: Entry, codec: str = "") -> None:
        self._held = held
        self._storage = storage
        self.streams: dict[int, tuple[int, Entry]] = {}
        self.values: dict[int, bytes] = {}
        self._many: dict[int, list[tuple[int, Entry]]] = {}
        for child in storage.children:
            kind, _, number = child.name.lower().partition("_substg1.0_")
            if kind == "_" and len(number) in (8, 17) and set(number[:8]) <= set("0123456789abcdef"):
                key, form = int(number[:4], 16), int(number[4:8], 16)
                if len(number) == 8:
                    self.streams[key] = (form, child)
                else:
                    self._many.setdefault(key, []).append((form & ~_MANY, child))
            elif child.name.lower() == _PROPERTIES:
                self._read(held.read(child, 4 * MIB))
        self.codec = codec or find_codec_of(self, self._evidence())

    def _read(self, data: bytes) -> None:
        # 32 bytes stand before those of a message by itself, 24 of one inside another, 8 of a recipient.
        start = 32 if len(data) % 16 == 0 else 8
        for at in range(start, len(data) - 15, 16):
            (tag,) = struct.unpack_from("<I", data, at)
            self.values.setdefault(tag >> 16, data[at + 8 : at + 16])

    def _evidence(self) -> bytes:
        """What the code page is judged by: every narrow text of the message itself."""
        found = bytearray()
        for kind, entry in self.streams.values():
            if kind == _NARROW and entry.kind == STREAM and len(found) < _EVIDENCE:
                found += self._held.read(entry, _BODY_BYTES)[:_EVIDENCE] + b"\n"
        return bytes(found)

    def has(self, key: int) -> bool:
        return key in self.values or key in self.streams

    def number(self, key: int) -> int:
        return int.from_bytes(self.values.get(key, b"")[:4], "little")

    def ticks(self, key: int) -> int:
        return int.from_bytes(self.values.get(key, b""), "little")

    def data(self, key: int) -> bytes:
        kind, entry = self.streams.get(key, (0, None))
        return self._held.read(entry, _BODY_BYTES) if entry and entry.kind == STREAM and kind & _MANY == 0 else b""

    def text(self, key: int) -> str:
        return self._decoded(*self.streams[key]) if key in self.streams else ""

    def texts(self, key: int) -> Iterator[str]:
        if key in self.streams and not self.streams[key][0] & _MANY:
            yield self.text(key)
        yield from (self._decoded(kind, entry) for kind, entry in self._many.get(key, ()))

    def _decoded(self, kind: int, entry: Entry) -> str:
        """A text, in the message's code page where it is not wide."""
        if kind not in (_WIDE, _NARROW) or entry.kind != STREAM:
            return ""
        data = self._held.read(entry, _BODY_BYTES)
        if kind == _WIDE:
            return data[: len(data) & ~1].decode("utf-16-le", "replace").strip("\0")
        return data.decode(self.codec, "replace").strip("\0")

    def named(self) -> Mapping[Name, int]:
        return self._names

    @cached_property
    def _names(self) -> dict[Name, int]:
        storage = next((child for child in self._storage.children if child.name.lower() == _NAMES), None)
        if storage is None:
            return {}
        streams = {child.name[-8:]: child for child in storage.children if child.kind == STREAM}
        parts = [
            self._held.read(streams[name], 4 * MIB) if name in streams else b""
            for name in ("00020102", "00030102", "00040102")
        ]
        return read_names(*parts)


def _attached(held: Compound, storage: Entry, codec: str) -> Iterator[Fact]:
    attachment = _Properties(held, storage, codec)
    names = (attachment.text(key) for key in (LONG_NAME, NAME, SHOWN))
    name = next((each for each in names if each), storage.name)
    fields = []
    for key, field in ((MIME, "mail.content_type"), (CONTENT_ID, "mail.content_id"), (PATH, "msg.attached_path")):
        if value := attachment.text(key):
            fields.append(Field(field, value))
    stamps = tuple(times(attachment))
    _, entry = attachment.streams.get(DATA, (0, None))
    if entry is None:
        yield from fields
        return
    if entry.kind == STORAGE:
        is_message = any(child.name.lower() == _PROPERTIES for child in entry.children)
        name += "" if name.lower().endswith((".msg", ".ole")) else ".msg" if is_message else ".ole"
        fields.append(Field("ole.rebuilt", True))
    yield Child(name, name.encode("utf-16-le", "surrogatepass"), partial(_open, held, entry), stamps, tuple(fields))


def _open(held: Compound, entry: Entry) -> BinaryIO:
    if entry.kind != STORAGE:
        return open_chunks(held.pieces(entry))
    # A message inside another shares the outer one's list of named properties; by itself it needs its own.
    names = next((child for child in held.root.children if child.name.lower() == _NAMES), None)
    inside = [child.name.lower() for child in entry.children]
    if names and _PROPERTIES in inside and _NAMES not in inside:
        entry = replace(entry, children=[*entry.children, names])
    return open_chunks(rebuild(held, entry))
