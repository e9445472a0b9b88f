"""Outlook messages: headers, recipients, bodies; attachments and messages inside as members.

Source: [MS-OXMSG] 2.1 to 2.4 (storages, property streams); [MS-OXPROPS] (properties by number); [MS-OXRTFCP].
Limits: properties that a program named itself are not read; signed and encrypted messages keep their envelope as
an attachment; the body in rich text is a member.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import BinaryIO, ClassVar

from indexer.decoding import decode
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, STORAGE, STREAM, Compound, Entry, compound
from indexer.handlers._cfb_write import rebuild
from indexer.handlers._html import Page, read_page
from indexer.handlers._mail import FIELDS, describe, split_headers
from indexer.handlers._ole import codec_of, kind_of
from indexer.handlers._rtf_packed import unpack
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Text, Timestamp
from indexer.timestamps import from_filetime

_PROPERTIES = "__properties_version1.0"
_SUBJECT, _BODY, _HTML, _RTF, _HEADERS, _CLASS = 0x37, 0x1000, 0x1013, 0x1009, 0x7D, 0x1A
_NAMED = {
    0x1035: "mail.message_id",
    0x1042: "mail.in_reply_to",
    0x1039: "mail.references",
    0x37: "mail.subject",
    0x0E04: "mail.to",
    0x0E03: "mail.cc",
    0x0E02: "mail.bcc",
}
_TIMES = {
    0x39: ("sent", "msg.submitted"),
    0x0E06: ("received", "msg.delivered"),
    0x3007: ("B", "msg.created"),
    0x3008: ("M", "msg.modified"),
}
_SENDERS = ((0x0C1A, 0x5D01, 0x0C1F, "mail.sender"), (0x42, 0x5D02, 0x65, "mail.from"))
_CODE_PAGES = (0x3FFD, 0x3FDE)
_RECIPIENTS = {1: "to", 2: "cc", 3: "bcc"}
_DATA, _LONG_NAME, _NAME, _MIME, _CONTENT_ID, _PATH, _SHOWN = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712, 0x370D, 0x3001
_BODY_BYTES = 64 * MIB


class Msg(Handler):
    name = "msg"
    media_types = ("application/vnd.ms-outlook",)
    signatures = (Signature(MAGIC),)
    suffixes = (".msg", ".oft")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "msg.class": "kind of item: note, appointment, contact, task, ...",
        "msg.recipient": "a recipient: how addressed, name and address",
        "msg.attached_path": "path of an attachment that is linked, not embedded",
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
        yield from _describe(message)
        for storage in held.root.children:
            if storage.kind == STORAGE and storage.name.startswith("__recip"):
                yield from _recipient(_Properties(held, storage, message.codec))
        yield Text(message.text(_SUBJECT), "subject")
        yield Text(message.text(_BODY).replace("\r\n", "\n"), "body")
        yield from _page(message)
        if rich := unpack(message.data(_RTF)):
            yield Child("body.rtf", b"body.rtf", partial(BytesIO, rich))
        for storage in held.root.children:
            if storage.kind == STORAGE and storage.name.startswith("__attach"):
                yield from _attached(held, storage, message.codec)
        yield from held.problems


class _Properties:
    """The properties of a message, a recipient or an attachment, by number."""

    def __init__(self, held: Compound, storage: Entry, codec: str = "") -> None:
        self._held = held
        self.streams: dict[int, tuple[int, Entry]] = {}
        self.values: dict[int, bytes] = {}
        for child in storage.children:
            kind, _, number = child.name.lower().partition("_substg1.0_")
            if kind == "_" and len(number) == 8 and set(number) <= set("0123456789abcdef"):
                self.streams[int(number[:4], 16)] = (int(number[4:], 16), child)
            elif child.name.lower() == _PROPERTIES:
                self._read(held.read(child, 4 * MIB))
        self.codec = codec or codec_of(next((self.number(each) for each in _CODE_PAGES if self.number(each)), 1252))

    def _read(self, data: bytes) -> None:
        # 32 bytes stand before those of a message by itself, 24 of one inside another, 8 of a recipient.
        start = 32 if len(data) % 16 == 0 else 8
        for at in range(start, len(data) - 15, 16):
            (tag,) = struct.unpack_from("<I", data, at)
            self.values.setdefault(tag >> 16, data[at + 8 : at + 16])

    def number(self, key: int) -> int:
        """A whole number; 0 where there is none."""
        return int.from_bytes(self.values.get(key, b"")[:4], "little")

    def data(self, key: int) -> bytes:
        """The bytes of a property that has a stream of its own."""
        kind, entry = self.streams.get(key, (0, None))
        return self._held.read(entry, _BODY_BYTES) if entry and entry.kind == STREAM and kind & 0x1000 == 0 else b""

    def text(self, key: int) -> str:
        """A text, in the message's code page where it is not wide."""
        data = self.data(key)
        kind = self.streams[key][0] if key in self.streams else 0
        if kind == 0x1F:
            return data[: len(data) & ~1].decode("utf-16-le", "replace").strip("\0")
        return data.decode(self.codec, "replace").strip("\0") if kind == 0x1E else ""

    def times(self) -> Iterator[Timestamp]:
        """The recorded times."""
        for key, (kind, origin) in _TIMES.items():
            stamp = from_filetime(kind, int.from_bytes(self.values.get(key, b""), "little"), origin)
            if stamp:
                yield stamp


def _describe(message: _Properties) -> Iterator[Fact]:
    """The headers that came with the message, and what its properties say beyond them."""
    told: set[str] = set()
    headers = message.text(_HEADERS)
    if headers:
        found, _ = split_headers(headers.encode("utf-8", "replace"))
        for fact in describe(found, "utf-8"):
            if isinstance(fact, Field):
                told.add(fact.name)
            yield fact
    if kind := message.text(_CLASS):
        yield Field("msg.class", kind)
    for name, smtp, plain, field in _SENDERS:
        shown, address = message.text(name), message.text(smtp) or message.text(plain)
        if field not in told and (shown or address):
            yield Field(field, _person(shown, address))
    for key, field in _NAMED.items():
        if field not in told and (text := message.text(key)):
            yield Field(field, text)
    yield from message.times()


def _person(shown: str, address: str) -> str:
    return f"{shown} <{address}>" if shown and address and shown != address else shown or address


def _recipient(recipient: _Properties) -> Iterator[Field]:
    who = _person(recipient.text(_SHOWN), recipient.text(0x39FE) or recipient.text(0x3003))
    if who:
        yield Field("msg.recipient", f"{_RECIPIENTS.get(recipient.number(0x0C15) & 3, 'other')}: {who}")


def _page(message: _Properties) -> Iterator[Fact]:
    source = message.text(_HTML) or decode(message.data(_HTML)).text
    if source:
        page = Page()
        yield Text("\n".join(read_page([source], page)), "html body")
        yield Text(page.title, "html body title")
        yield from page.take("html body ")


def _attached(held: Compound, storage: Entry, codec: str) -> Iterator[Fact]:
    attachment = _Properties(held, storage, codec)
    names = (attachment.text(key) for key in (_LONG_NAME, _NAME, _SHOWN))
    name = next((each for each in names if each), storage.name)
    fields = []
    for key, field in ((_MIME, "mail.content_type"), (_CONTENT_ID, "mail.content_id"), (_PATH, "msg.attached_path")):
        if value := attachment.text(key):
            fields.append(Field(field, value))
    stamps = tuple(attachment.times())
    _, entry = attachment.streams.get(_DATA, (0, None))
    if entry is None:
        yield from fields
        return
    if entry.kind == STORAGE:
        is_message = any(child.name.lower() == _PROPERTIES for child in entry.children)
        name += "" if name.lower().endswith((".msg", ".ole")) else ".msg" if is_message else ".ole"
        fields.append(Field("ole.rebuilt", True))
    yield Child(name, name.encode("utf-16-le", "surrogatepass"), partial(_open, held, entry), stamps, tuple(fields))


def _open(held: Compound, entry: Entry) -> BinaryIO:
    return open_chunks(rebuild(held, entry) if entry.kind == STORAGE else held.pieces(entry))
