"""Objects of git: commits and tags as text with times, trees as lines; how a delta is applied.

Source: git's Documentation: gitformat-pack, git-hash-object, gitdatamodel; the headers of git-commit-tree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.limits import MIB
from indexer.model import Fact, Field, Text, Timestamp
from indexer.timestamps import from_unix

KINDS: Final = ("commit", "tree", "blob", "tag")
WHOLE: Final = 64 * MIB
"""Bytes of an object that is held whole: a commit, a tree, what a delta builds."""
_PERSON: Final = re.compile(r"(.{0,1000}>) (-?\d{1,18}) ([+-]\d{4})\Z")
_HEADERS: Final = 1000
FIELDS: Final = {
    "git.kind": "kind of the object: commit, tree, blob, tag",
    "git.id": "its name: the digest of kind, size and content",
    "git.author": "name and address of an author",
    "git.committer": "name and address of a committer or tagger",
    "git.zone": "offset from UTC of the clock that an author or committer wrote by",
    "git.parent": "name of the commit before it",
    "git.tree": "name of the tree that a commit holds",
    "git.tag": "name of a tag",
    "git.size": "bytes of the content",
}


class Entry(NamedTuple):
    """One line of a tree."""

    mode: str
    ident: str
    name: bytes


def ident_of(kind: str, data: bytes) -> str:
    """The name of an object whose content is here."""
    head = f"{kind} {len(data)}\0".encode()
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()


def tell_message(kind: str, ident: str, data: bytes) -> Iterator[Fact]:
    """A commit or tag: one text of who, when and why; fields; times."""
    head, _, body = data.partition(b"\n\n")
    headers: list[tuple[str, bytes]] = []
    for line in head.split(b"\n")[:_HEADERS]:
        word, _, rest = line.partition(b" ")
        if word:  # a line that begins with a space goes on from the one before: signatures
            headers.append((word.decode("ascii", "replace"), rest))
    declared = next((raw.decode("ascii", "replace") for key, raw in headers if key == "encoding"), "utf-8")
    lines = []
    for key, raw in headers:
        value = decode(raw, declared).text
        if key in ("author", "committer", "tagger"):
            person, zone, stamp, shown = _person(key, value)
            lines.append(f"{key} {shown}")
            yield Field("git.author" if key == "author" else "git.committer", person)
            if zone:
                yield Field("git.zone", zone)
            if stamp:
                yield stamp
        elif key in ("parent", "tree", "tag"):
            lines.append(f"{key} {value}")
            yield Field(f"git.{key}", value)
        elif key in ("object", "type"):
            lines.append(f"{key} {value}")
    message = decode(body, declared).text
    yield Text("\n".join([*lines, "", message]), f"{kind} {ident}")


def _person(key: str, text: str) -> tuple[str, str, Timestamp | None, str]:
    """Who, in which zone, when, and all of it as people write it."""
    match = _PERSON.match(text)
    if not match:
        return text, "", None, text
    kind = {"author": "authored", "committer": "committed", "tagger": "tagged"}[key]
    stamp = from_unix(kind, int(match[2]), f"git.{key}")
    return match[1], match[3], stamp, f"{match[1]} {wall_clock(int(match[2]), match[3])}"


def wall_clock(seconds: int, zone: str) -> str:
    """Date and time by the clock of a zone like `+0900`, the zone behind it."""
    minutes = int(zone[1:3]) * 60 + int(zone[3:5])
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=seconds, minutes=-minutes if zone[0] == "-" else minutes
        )
    except OverflowError:
        return f"{seconds} {zone}"
    return f"{at:%Y-%m-%d %H:%M:%S} {zone}"


def entries_of(tree: bytes, width: int = 20) -> Iterator[Entry]:
    """The lines of a tree; ends where they break."""
    at = 0
    while at < len(tree):
        space = tree.find(b" ", at, at + 8)
        end = tree.find(b"\0", space)
        if space < 0 or end < 0 or end + width >= len(tree) + 1:
            return
        yield Entry(
            tree[at:space].decode("ascii", "replace"), tree[end + 1 : end + 1 + width].hex(), tree[space + 1 : end]
        )
        at = end + 1 + width


def apply_delta(source: bytes, delta: bytes) -> bytes:
    """What a delta makes of its source.

    Raises:
        EvidenceError: corrupt, or limit where the outcome would be larger than may be held.
    """
    at, expected = _varint(delta, 0)
    at, size = _varint(delta, at)
    if expected != len(source):
        raise EvidenceError("corrupt", f"a delta for {expected} bytes stands on {len(source)}")
    if size > WHOLE:
        raise EvidenceError("limit", f"an object of {size} bytes built from a delta")
    out = bytearray()
    while at < len(delta) and len(out) <= size:
        code = delta[at]
        at += 1
        if code & 0x80:
            values = []
            for bit in range(7):
                held = code >> bit & 1
                values.append(delta[at] if held and at < len(delta) else 0)
                at += held
            offset = int.from_bytes(bytes(values[:4]), "little")
            length = int.from_bytes(bytes(values[4:]), "little") or 0x10000
            out += source[offset : offset + length]
        elif code:
            out += delta[at : at + code]
            at += code
        else:
            raise EvidenceError("corrupt", "a delta with an unknown step")
    if len(out) != size:
        raise EvidenceError("corrupt", f"a delta makes {len(out)} of {size} bytes")
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 63:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    return at, value
