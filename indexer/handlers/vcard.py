"""Address cards, one or thousands in a file: names, addresses, notes; pictures, sounds and keys as members.

Source: RFC 6350 (vCard 4), RFC 2426 (vCard 3), vCard 2.1 (versit, 1996).
Limits: what a card only points to is not fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import ClassVar

from indexer.handler import Handler, Stream
from indexer.handlers._agenda import CONTACT
from indexer.handlers._content_lines import Line, begins_with, codec_of, lines_of, parts_of, plain
from indexer.model import Child, Fact, Field, Problem, Text
from indexer.timestamps import from_iso

_FIELDS = {
    "fn": "contact.name",
    "email": "contact.email",
    "tel": "contact.phone",
    "org": "contact.company",
    "title": "contact.title",
    "role": "contact.title",
    "adr": "contact.address",
    "url": "contact.url",
    "impp": "contact.messenger",
}
_FILES = ("photo", "logo", "sound", "key")
_MANY = frozenset({"n", "adr", "org", "categories", "nickname", "gender"})
_SILENT = frozenset({"begin", "end", "version", "prodid", "rev", "uid", "mailer", "x-ablabel"})
_LINES = 10_000
"""Lines of a card that are held at once; a longer one comes in pieces."""
_DATA = re.compile(rb"data:([\w.+/-]{0,100})[^,]{0,100};base64,", re.IGNORECASE)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z|[+-]\d\d:?\d\d)?)?\Z")


class Vcard(Handler):
    name = "vcard"
    media_types = ("text/vcard", "text/x-vcard")
    suffixes = (".vcf", ".vcard")
    holds = b":"
    fields: ClassVar[Mapping[str, str]] = {
        **CONTACT,
        "vcard.cards": "how many cards the file holds",
        "vcard.version": "version of the first card",
        "vcard.product": "program that wrote the cards",
    }
    reads = "every card with its lines; pictures, sounds and keys as members"
    rank = 55
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if begins_with(stream, b"VCARD") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        codec = codec_of(stream)
        card: list[Line] = []
        depth = number = 0
        for line in lines_of(stream):
            begins, ends = line.name == "begin", line.name == "end"
            if begins and not depth:
                number += 1
            depth = max(0, depth + begins - ends)
            card.append(line)
            if not depth or len(card) == _LINES:
                yield from _read_card(card, number, codec)
                card = []
        if card:
            yield from _read_card(card, number, codec)
            yield Problem("truncated", f"card {number} has no end", resolution="read as far as it goes")
        yield Field("vcard.cards", number)


def _read_card(card: list[Line], number: int, codec: str) -> Iterator[Fact]:
    shown: list[str] = []
    files: list[Child] = []
    names = {line.name for line in card}
    for line in card:
        if line.name in _FILES and (child := _file(line, number, len(files) + 1)):
            files.append(child)
            continue
        if line.is_binary:
            files.append(_member(line.data(), f"card {number} {line.name}", "bin", ()))
            continue
        text = line.text(codec)
        value = ", ".join(filter(None, parts_of(text))) if line.name in _MANY else plain(text).strip()
        if line.name == "version" and number == 1:
            yield Field("vcard.version", value)
        elif line.name == "prodid" and number == 1:
            yield Field("vcard.product", value)
        elif line.name == "rev":
            if stamp := from_iso("M", compact(value), f"vcard.{number}.rev"):
                yield stamp
        elif line.name in ("bday", "anniversary"):
            kind = "birthday" if line.name == "bday" else line.name
            if stamp := from_iso(kind, compact(value), f"vcard.{number}.{line.name}"):
                yield stamp
        if line.name in _SILENT or not value:
            continue
        kinds = [kind for kind in line.parameters.get("type", ()) if kind.lower() not in ("pref", "internet")]
        label = f"{line.name} ({', '.join(kinds).lower()})" if kinds else line.name
        shown.append(f"{label}: {value}")
        if field := _FIELDS.get(line.name, "contact.name" if line.name == "n" and "fn" not in names else ""):
            yield Field(field, value)
    yield Text("\n".join(shown), f"card {number}")
    yield from files


def _file(line: Line, number: int, place: int) -> Child | None:
    """A picture, sound or key that the card itself holds; none where it only points to one."""
    kinds = [kind.lower() for kind in line.parameters.get("type", ())]
    found = _DATA.match(line.raw)
    if found:
        kinds = [found[1].decode("latin-1").lower()]
        line = line._replace(raw=line.raw[found.end() :])
    elif not line.is_binary:
        return None
    suffix = next((kind.rpartition("/")[2].removeprefix("x-") for kind in kinds if kind), "bin")
    return _member(line.data(), f"card {number} {line.name} {place}", suffix, ())


def _member(data: bytes, name: str, suffix: str, fields: tuple[Field, ...]) -> Child:
    name = f"{name}.{suffix if suffix.isalnum() and suffix.isascii() else 'bin'}"
    return Child(name, name.encode(), partial(BytesIO, data), fields=fields)


def compact(text: str) -> str:
    """A date as ISO 8601 writes it with its marks."""
    match = _COMPACT.match(text.strip())
    if not match:
        return text
    year, month, day, hour, minute, second, zone = match.groups()
    date = f"{year}-{month}-{day}"
    return f"{date}T{hour}:{minute}:{second}{zone or ''}" if hour else date
