"""Outlook's own envelope around a message (winmail.dat): properties, bodies, recipients; attachments as members.

Source: [MS-OXTNEF] 2.1 (attributes), 2.1.3.4 (property lists); [MS-OXRTFCP].
Limits: the schedule attributes of Microsoft Mail (attStart, attDelegate and the like) are not read; the body in
rich text is a member.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import ClassVar, NamedTuple

from msgspec import Struct, field

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._mapi import (
    BODY,
    CLASS,
    CONTENT_ID,
    DATA,
    FIELDS,
    LONG_NAME,
    MIME,
    NAME,
    PATH,
    SHOWN,
    SUBJECT,
    Name,
    describe_message,
    describe_recipient,
    find_codec_of,
    read_bodies,
    read_rich,
    times,
)
from indexer.handlers._streams import open_slice
from indexer.limits import MIB
from indexer.model import Cause, Child, Fact, Field, Problem, Timestamp

MAGIC = bytes.fromhex("789f3e22")
_LIST_BYTES = 256 * MIB
_MOST = 100_000
_TEXTS = {0x8004: SUBJECT, 0x800C: BODY, 0x8008: CLASS, 0x8009: 0x1035}
_DATES = {0x8005: ("sent", "tnef.sent"), 0x8006: ("received", "tnef.received"), 0x8020: ("M", "tnef.modified")}
_FILE_DATES = {0x8012: ("B", "tnef.created"), 0x8013: ("M", "tnef.modified")}
_LISTED, _RECIPIENTS, _CODE_PAGE = 0x9003, 0x9004, 0x9007
_BEGINS, _FILE_LISTED, _TITLE, _SENT_NAME, _FILE, _PICTURE = 0x9002, 0x9005, 0x8010, 0x9001, 0x800F, 0x8011
_SIZES = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 2, 20: 8, 64: 8, 72: 16}
_NARROW, _WIDE, _BINARY, _OBJECT, _MANY = 0x1E, 0x1F, 0x102, 0x0D, 0x1000
_VARIABLE = (_NARROW, _WIDE, _BINARY, _OBJECT)
_FORMS = {
    uuid.UUID("00020307-0000-0000-c000-000000000046").bytes_le: ".tnef",
    uuid.UUID("0000000b-0000-0000-c000-000000000046").bytes_le: ".ole",
}
"""What an object is: a message in the same envelope, or a storage."""
_PAGE = 0x3FFD


class _Attribute(NamedTuple):
    """One attribute: 1 of the message or 2 of an attachment, its number, and where its bytes lie."""

    level: int
    number: int
    start: int
    size: int


class _Held(Struct):
    """The properties of a message, a recipient or an attachment."""

    codec: str = ""
    values: dict[int, tuple[int, list[bytes]]] = field(default_factory=dict)
    names: dict[Name, int] = field(default_factory=dict)

    def has(self, key: int) -> bool:
        return key in self.values

    def number(self, key: int) -> int:
        return int.from_bytes(self.data(key)[:4], "little")

    def ticks(self, key: int) -> int:
        return int.from_bytes(self.data(key)[:8], "little")

    def data(self, key: int) -> bytes:
        kind, values = self.values.get(key, (0, []))
        return values[0] if values and kind not in (_NARROW, _WIDE) else b""

    def text(self, key: int) -> str:
        return next(self.texts(key), "")

    def texts(self, key: int) -> Iterator[str]:
        kind, values = self.values.get(key, (0, []))
        for value in values:
            if kind == _WIDE:
                yield value[: len(value) & ~1].decode("utf-16-le", "replace").strip("\0")
            elif kind == _NARROW:
                yield value.decode(self.codec or "cp1252", "replace").strip("\0")

    def named(self) -> Mapping[Name, int]:
        return self.names

    def evidence(self) -> bytes:
        """Every narrow text, to judge the code page by."""
        return b"\n".join(each for kind, values in self.values.values() if kind == _NARROW for each in values)


class _Attachment(Struct):
    """What the attributes say of one attachment."""

    held: _Held = field(default_factory=_Held)
    title: bytes = b""
    sent_name: bytes = b""
    places: list[tuple[int, int]] = field(default_factory=list)
    picture: tuple[int, int] = (0, 0)
    stamps: list[Timestamp] = field(default_factory=list)


class Tnef(Handler):
    name = "tnef"
    version = 2
    media_types = ("application/vnd.ms-tnef", "application/ms-tnef")
    signatures = (Signature(MAGIC),)
    suffixes = (".tnef", ".dat")
    fields: ClassVar[Mapping[str, str]] = {**FIELDS, "tnef.code_page": "code page of the sender's machine"}
    reads = "properties, recipients, bodies; attachments, messages inside and the body in rich text as members"
    rank = 26
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.at(6, 1) in (b"\1", b"\2") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        message = _Held()
        recipients: list[_Held] = []
        attached: list[_Attachment] = []
        problems: list[Problem] = []
        dates: list[Timestamp] = []
        for each in _attributes(stream, problems):
            if each.level == 2:
                if each.number == _BEGINS or not attached:
                    attached.append(_Attachment())
                _take(stream, each, attached[-1], problems)
            elif each.number == _LISTED:
                _read_list(stream, each, message, problems)
            elif each.number == _RECIPIENTS:
                recipients += _read_recipients(stream, each, problems)
            elif each.number == _CODE_PAGE:
                page = stream.at(each.start, min(each.size, 4))
                yield Field("tnef.code_page", int.from_bytes(page, "little"))
                message.values.setdefault(_PAGE, (3, [page]))
            elif each.number in _TEXTS:
                message.values.setdefault(_TEXTS[each.number], (_NARROW, [stream.at(each.start, each.size)]))
            elif each.number in _DATES:
                dates += _date(stream, each, *_DATES[each.number])
        message.codec = find_codec_of(message, message.evidence())
        yield from describe_message(message)
        yield from dates
        for recipient in recipients:
            recipient.codec = message.codec
            yield from describe_recipient(recipient)
        yield from read_bodies(message)
        yield from read_rich(message)
        for number, each_file in enumerate(attached, 1):
            each_file.held.codec = message.codec
            yield from _offer(stream, each_file, number)
        yield from problems


def _attributes(stream: Stream, problems: list[Problem]) -> Iterator[_Attribute]:
    """The attributes in their order; the last may be cut."""
    at, wrong = 6, 0
    while at < stream.size:
        head = stream.at(at, 9)
        if len(head) < 9 or head[0] not in (1, 2):
            cause: Cause = "corrupt" if len(head) == 9 else "truncated"
            problems.append(Problem(cause, f"no whole attribute at {at}", resolution="read up to there"))
            break
        tag, size = struct.unpack_from("<II", head, 1)
        start, end = at + 9, at + 9 + size
        if end + 2 > stream.size:
            message = f"attribute {tag & 0xFFFF:#x} says {size} bytes, {stream.size - start} are there"
            problems.append(Problem("truncated", message, resolution="read as far as it goes"))
            size = max(0, stream.size - start)
        elif size < MIB and sum(stream.at(start, size)) & 0xFFFF != int.from_bytes(stream.at(end, 2), "little"):
            wrong += 1
        yield _Attribute(head[0], tag & 0xFFFF, start, size)
        at = end + 2
    if wrong:
        problems.append(Problem("corrupt", f"{wrong} attributes with a wrong checksum", resolution="read all the same"))


def _take(stream: Stream, each: _Attribute, file: _Attachment, problems: list[Problem]) -> None:
    if each.number == _TITLE:
        file.title = stream.at(each.start, min(each.size, 4096)).rstrip(b"\0")
    elif each.number == _SENT_NAME:
        file.sent_name = stream.at(each.start, min(each.size, 4096)).rstrip(b"\0")
    elif each.number == _FILE:
        file.places.append((each.start, each.size))
    elif each.number == _PICTURE:
        file.picture = (each.start, each.size)
    elif each.number == _FILE_LISTED:
        _read_list(stream, each, file.held, problems)
    elif each.number in _FILE_DATES:
        file.stamps += _date(stream, each, *_FILE_DATES[each.number])


def _date(stream: Stream, each: _Attribute, kind: str, origin: str) -> Iterator[Timestamp]:
    data = stream.at(each.start, min(each.size, 14))
    if len(data) < 12:
        return
    try:
        at = datetime(*struct.unpack_from("<6H", data), tzinfo=UTC)  # type: ignore[misc]
    except ValueError:
        return
    # The specification names no zone; programs write the sender's wall clock as often as UTC.
    yield Timestamp(kind, at, origin, 1.0, zone_known=False)


def _offer(stream: Stream, file: _Attachment, number: int) -> Iterator[Fact]:
    held = file.held
    texts = (held.text(key) for key in (LONG_NAME, NAME, SHOWN))
    narrow = (raw.decode(held.codec or "cp1252", "replace") for raw in (file.sent_name, file.title))
    name = next((each for each in (*texts, *narrow) if each), f"attachment {number}")
    listed = ((MIME, "mail.content_type"), (CONTENT_ID, "mail.content_id"), (PATH, "msg.attached_path"))
    fields = [Field(field, value) for key, field in listed if (value := held.text(key))]
    stamps = (*times(held), *file.stamps)
    raw = file.title or name.encode("utf-8", "surrogatepass")
    kind, values = held.values.get(DATA, (0, []))
    if kind in (_OBJECT, _BINARY) and values:
        data = values[0]
        if kind == _OBJECT:
            suffix = _FORMS.get(data[:16], "")
            name += "" if name.lower().endswith(suffix) else suffix
            data = data[16:]
        yield Child(name, raw, partial(BytesIO, data), stamps, tuple(fields))
    else:
        for start, size in file.places:
            yield Child(name, raw, open_slice(stream, start, size), stamps, tuple(fields))
        if not file.places:
            yield from fields
    if file.picture[1]:
        yield Child(f"{name}.wmf", raw + b".wmf", open_slice(stream, *file.picture))


# -- lists of properties -----------------------------------------------------------------------


def _read_list(stream: Stream, each: _Attribute, held: _Held, problems: list[Problem]) -> None:
    data = _bytes_of(stream, each, problems)
    _properties(data, 0, held, problems)


def _read_recipients(stream: Stream, each: _Attribute, problems: list[Problem]) -> list[_Held]:
    data = _bytes_of(stream, each, problems)
    found: list[_Held] = []
    at = 4
    for _ in range(min(int.from_bytes(data[:4], "little"), _MOST)):
        if at + 4 > len(data):
            break
        found.append(_Held())
        at = _properties(data, at, found[-1], problems)
    return found


def _bytes_of(stream: Stream, each: _Attribute, problems: list[Problem]) -> bytes:
    if each.size > _LIST_BYTES:
        problems.append(Problem("limit", f"a list of properties of {each.size} bytes", resolution="left out"))
        return b""
    return stream.at(each.start, each.size)


def _properties(data: bytes, at: int, held: _Held, problems: list[Problem]) -> int:
    """Reads one list and returns where it ends; behind the data where it does not add up."""
    count, at = min(int.from_bytes(data[at : at + 4], "little"), _MOST), at + 4
    for _ in range(count):
        if at + 4 > len(data):
            problems.append(Problem("truncated", "a list of properties is cut", resolution="read up to there"))
            return len(data)
        kind, key = struct.unpack_from("<HH", data, at)
        at += 4
        if key >= 0x8000:
            key, at = _name(data, at, held)
        base = kind & ~_MANY
        many = 1
        if kind & _MANY or base in _VARIABLE:
            many, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        if base not in _VARIABLE and base not in _SIZES:
            message = f"a property of the unknown type {kind:#x}"
            problems.append(Problem("corrupt", message, resolution="the list is read up to there"))
            return len(data)
        values: list[bytes] = []
        for _ in range(min(many, _MOST)):
            size = _SIZES.get(base, 0)
            if base in _VARIABLE:
                size, at = int.from_bytes(data[at : at + 4], "little"), at + 4
            if at + size > len(data):
                break
            values.append(data[at : at + size])
            at += -(-size // 4) * 4
        held.values.setdefault(key, (base, values))
        if len(values) < many:
            problems.append(
                Problem("truncated", f"property {key:#x} is cut", resolution="the list is read up to there")
            )
            return len(data)
    return at


def _name(data: bytes, at: int, held: _Held) -> tuple[int, int]:
    """The number that a named property gets here, and where its value starts."""
    raw, kind = data[at : at + 16], int.from_bytes(data[at + 16 : at + 20], "little")
    word, at = int.from_bytes(data[at + 20 : at + 24], "little"), at + 24
    name: int | str = word
    if kind:
        name = data[at : at + word][: word & ~1].decode("utf-16-le", "replace").rstrip("\0")
        at += -(-word // 4) * 4
    place = 0x10000 + len(held.names)
    if len(raw) == 16:
        return held.names.setdefault((str(uuid.UUID(bytes_le=raw)), name), place), at
    return place, at
