"""What messages of Outlook say in their numbered properties, wherever these are kept.

Source: [MS-OXPROPS] 2 (properties by number); [MS-OXOMSG] (messages); [MS-OXOCAL] (appointments);
[MS-OXOCNTC] (contacts); [MS-OXOTASK] (tasks); [MS-OXOMSG] 2.2.1.3 (conversation index).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import Final, Protocol

from indexer.decoding import decode
from indexer.detection import detect
from indexer.handlers._agenda import CALENDAR, CONTACT
from indexer.handlers._html import Page, read_page
from indexer.handlers._mail import FIELDS as MAIL_FIELDS
from indexer.handlers._mail import describe, split_headers
from indexer.handlers._ole import codec_of
from indexer.handlers._rtf_packed import unpack
from indexer.model import Child, Fact, Field, Text, Timestamp
from indexer.timestamps import from_filetime

FIELDS: Final[Mapping[str, str]] = {
    **MAIL_FIELDS,
    **CONTACT,
    **CALENDAR,
    "msg.class": "kind of item: note, appointment, contact, task, ...",
    "msg.recipient": "a recipient: how addressed, name and address",
    "msg.attached_path": "path of an attachment that is linked, not embedded",
    "msg.last_verb": "what was done with the message last: reply, reply to all, forward",
    "msg.created_by": "who made the item",
    "msg.last_modified_by": "who changed the item last",
    "msg.sender_kind": "kind of the sender's address: SMTP, EX (Exchange), ...",
    "msg.submission_id": "identifier that the server gave when it took the message",
    "msg.conversation_index": "place of the message in its thread, in hexadecimal figures",
    "msg.page_in_rich_text": "the body is a page (HTML) that is kept inside rich text",
    "msg.received_by": "for whom it was delivered",
}
SUBJECT, BODY, HTML, RTF, HEADERS, CLASS = 0x37, 0x1000, 0x1013, 0x1009, 0x7D, 0x1A
DATA, LONG_NAME, NAME, MIME, CONTENT_ID, PATH, SHOWN = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712, 0x370D, 0x3001
_CODE_PAGES, _INTERNET = (0x3FFD, 0x3FDE), 0x3FDE
_TEXTS = {
    0x1035: "mail.message_id",
    0x1042: "mail.in_reply_to",
    0x1039: "mail.references",
    SUBJECT: "mail.subject",
    0x0E04: "mail.to",
    0x0E03: "mail.cc",
    0x0E02: "mail.bcc",
}
_MORE = {
    0x0C1E: "msg.sender_kind",
    0x70: "mail.conversation_topic",
    0x40: "msg.received_by",
    0x3FF8: "msg.created_by",
    0x3FFA: "msg.last_modified_by",
}
_TIMES = {
    0x39: ("sent", "msg.submitted"),
    0x0E06: ("received", "msg.delivered"),
    0x3007: ("B", "msg.created"),
    0x3008: ("M", "msg.modified"),
    0x60: ("start", "msg.start"),
    0x61: ("end", "msg.end"),
    0x3A42: ("birthday", "msg.birthday"),
    0x0F: ("deferred", "msg.deferred_delivery"),
    0x15: ("expires", "msg.expires"),
}
_SENDERS = ((0x0C1A, 0x5D01, 0x0C1F, "mail.sender"), (0x42, 0x5D02, 0x65, "mail.from"))
_RECIPIENTS = {1: "to", 2: "cc", 3: "bcc"}
_IMPORTANCE, _SENSITIVITY, _FLAGS, _INDEX = 0x17, 0x36, 0x0E07, 0x71
_SUBMISSION = 0x47
_INDEX_BYTES = 1000
_LEVELS = {0: "low", 1: "normal", 2: "high"}
_SECRECY = {1: "personal", 2: "private", 3: "confidential"}
_VERB, _VERB_TIME = 0x1081, 0x1082
_VERBS = {102: "reply", 103: "reply to all", 104: "forward"}
_MARKS = ((1, "read"), (8, "draft"), (32, "sent from here"))
_CONTACT = {
    SHOWN: "contact.name",
    0x3A16: "contact.company",
    0x3A17: "contact.title",
    0x3A08: "contact.phone",
    0x3A09: "contact.phone",
    0x3A1B: "contact.phone",
    0x3A1C: "contact.phone",
    0x3A24: "contact.phone",
    0x3A15: "contact.address",
    0x3A51: "contact.url",
}
_APPOINTMENT, _TASK, _ADDRESS, _ALL = (
    f"0006{part}-0000-0000-c000-000000000046" for part in ("2002", "2003", "2004", "2008")
)
_STRINGS = "00020329-0000-0000-c000-000000000046"
_NAMED_TEXTS = {
    (_APPOINTMENT, 0x8208): "calendar.location",
    (_APPOINTMENT, 0x8232): "calendar.rule",
    (_APPOINTMENT, 0x8234): "calendar.zone",
    (_APPOINTMENT, 0x8238): "calendar.attendee",
    (_ADDRESS, 0x8083): "contact.email",
    (_ADDRESS, 0x8093): "contact.email",
    (_ADDRESS, 0x80A3): "contact.email",
    (_ADDRESS, 0x8062): "contact.messenger",
    (_ADDRESS, 0x801B): "contact.address",
    (_STRINGS, "Keywords"): "mail.keyword",
}
_NAMED_TIMES = {
    (_APPOINTMENT, 0x820D): ("start", "msg.appointment_start"),
    (_APPOINTMENT, 0x820E): ("end", "msg.appointment_end"),
    (_TASK, 0x8104): ("start", "msg.task_start"),
    (_TASK, 0x8105): ("due", "msg.task_due"),
    (_TASK, 0x810F): ("completed", "msg.task_completed"),
    (_ALL, 0x8502): ("reminder", "msg.reminder"),
}
_FORMS = {1: "00020328-0000-0000-c000-000000000046", 2: _STRINGS}

Name = tuple[str, int | str]
"""A named property: the set it belongs to, and its number or its name in that set."""


class Properties(Protocol):
    """The properties of a message, a recipient or an attachment, by number."""

    codec: str

    def number(self, key: int) -> int:
        """A whole number; 0 where there is none."""

    def data(self, key: int) -> bytes:
        """The bytes of a property; empty where it has none."""

    def text(self, key: int) -> str:
        """A text; empty where there is none."""

    def texts(self, key: int) -> Iterator[str]:
        """Every text of a property that may have many."""

    def ticks(self, key: int) -> int:
        """A FILETIME; 0 where there is none."""

    def has(self, key: int) -> bool:
        """Whether the property is there."""

    def named(self) -> Mapping[Name, int]:
        """The numbers of the properties that programs named themselves."""


def find_codec_of(held: Properties, evidence: bytes) -> str:
    """The code page of a message's narrow texts: as it says, unless the bytes contradict it."""
    pages = (held.number(key) for key in _CODE_PAGES)
    # 1200 says that the texts are wide, and nothing of those that are not.
    declared = next((codec_of(page) for page in pages if page not in (0, 1200, 1201)), "")
    return detect(evidence, declared).codec if evidence and not evidence.isascii() else declared or "cp1252"


def describe_message(held: Properties) -> Iterator[Fact]:
    """The headers that came with a message, and what its properties say beyond them."""
    told: set[str] = set()
    headers = held.text(HEADERS)
    if headers:
        found, _ = split_headers(headers.encode("utf-8", "replace"))
        for fact in describe(found, "utf-8"):
            if isinstance(fact, Field):
                told.add(fact.name)
            yield fact
    if kind := held.text(CLASS):
        yield Field("msg.class", kind)
    for name, smtp, plain, field in _SENDERS:
        shown, address = held.text(name), held.text(smtp) or held.text(plain)
        if field not in told and (shown or address):
            yield Field(field, person(shown, address))
    for key, field in _TEXTS.items():
        if field not in told and (text := held.text(key)):
            yield Field(field, text)
    yield from (Field(field, text) for key, field in _MORE.items() if (text := held.text(key)))
    yield from _state(held)
    yield from times(held)
    if kind.lower().startswith("ipm.contact"):
        yield from (Field(field, text) for key, field in _CONTACT.items() if (text := held.text(key)))
    for name_, key in held.named().items():
        if field := _NAMED_TEXTS.get(name_, ""):
            yield from (Field(field, text) for text in held.texts(key) if text)
        elif name_ in _NAMED_TIMES and (stamp := _stamp(held, key, *_NAMED_TIMES[name_])):
            yield stamp


def _state(held: Properties) -> Iterator[Fact]:
    if held.has(_IMPORTANCE) and held.number(_IMPORTANCE) in _LEVELS:
        yield Field("mail.importance", _LEVELS[held.number(_IMPORTANCE)])
    if secrecy := _SECRECY.get(held.number(_SENSITIVITY)):
        yield Field("mail.sensitivity", secrecy)
    yield from (Field("mail.flags", word) for bit, word in _MARKS if held.number(_FLAGS) & bit)
    if verb := _VERBS.get(held.number(_VERB)):
        yield Field("msg.last_verb", verb)
        if stamp := _stamp(held, _VERB_TIME, "answered", "msg.last_verb_time"):
            yield stamp
    if submission := held.data(_SUBMISSION).rstrip(b"\0"):
        yield Field("msg.submission_id", submission.decode("latin-1"))
    index = held.data(_INDEX)
    if index:
        yield Field("msg.conversation_index", index[:_INDEX_BYTES].hex())
    if len(index) >= 22 and index[0] == 1:
        ticks = int.from_bytes(index[:6], "big") << 16
        if stamp := from_filetime("thread-started", ticks, "msg.conversation_index"):
            yield Timestamp(stamp.kind, stamp.at, stamp.origin, 0.0065536)


def times(held: Properties) -> Iterator[Timestamp]:
    """The recorded times of a message or an attachment."""
    for key, (kind, origin) in _TIMES.items():
        if stamp := _stamp(held, key, kind, origin):
            yield stamp


def _stamp(held: Properties, key: int, kind: str, origin: str) -> Timestamp | None:
    return from_filetime(kind, held.ticks(key), origin)


def person(shown: str, address: str) -> str:
    """A name and an address as one."""
    return f"{shown} <{address}>" if shown and address and shown != address else shown or address


def describe_recipient(held: Properties) -> Iterator[Field]:
    """How somebody is addressed, and who it is."""
    who = person(held.text(SHOWN), held.text(0x39FE) or held.text(0x3003))
    if who:
        yield Field("msg.recipient", f"{_RECIPIENTS.get(held.number(0x0C15) & 3, 'other')}: {who}")


def read_bodies(held: Properties) -> Iterator[Fact]:
    """Subject, plain body and page."""
    yield Text(held.text(SUBJECT), "subject")
    yield Text(held.text(BODY).replace("\r\n", "\n"), "body")
    page_code = held.number(_INTERNET)
    declared = codec_of(page_code) if page_code else ""
    source = held.text(HTML) or decode(held.data(HTML), declared).text
    if source:
        page = Page()
        yield Text("\n".join(read_page([source], page)), "html body")
        yield Text(page.title, "html body title")
        yield from page.take("html body ")


def read_rich(held: Properties) -> Iterator[Fact]:
    """The body in rich text as a member."""
    if rich := unpack(held.data(RTF)):
        if b"\\fromhtml" in rich[:1000]:
            yield Field("msg.page_in_rich_text", True)
        yield Child("body.rtf", b"body.rtf", partial(BytesIO, rich))


def read_names(forms: bytes, entries: bytes, strings: bytes) -> dict[Name, int]:
    """The named properties of a message file: set and name to number."""
    found: dict[Name, int] = {}
    for name, form, place in struct.iter_unpack("<IHH", entries[: len(entries) & ~7]):
        number = form >> 1
        if number in _FORMS:
            key = _FORMS[number]
        else:
            raw = forms[16 * (number - 3) : 16 * (number - 2)]
            if number < 3 or len(raw) < 16:
                continue
            key = str(uuid.UUID(bytes_le=raw))
        if form & 1:
            length = int.from_bytes(strings[name : name + 4], "little")
            text = strings[name + 4 : name + 4 + (length & ~1)].decode("utf-16-le", "replace")
            found.setdefault((key, text), 0x8000 + place)
        else:
            found.setdefault((key, name), 0x8000 + place)
    return found
