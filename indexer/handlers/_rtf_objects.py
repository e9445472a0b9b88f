"""Pictures and objects that stand in rich text as hexadecimal digits or as bytes.

Source: Rich Text Format specification 1.9.1, "Pictures" and "Objects"; [MS-OLEDS] 2.2 (objects of OLE 1).
"""

from __future__ import annotations

import re
from functools import partial
from io import BytesIO
from typing import BinaryIO

from indexer.handlers._ole_package import parse_native, told
from indexer.model import Child, Fact, Field
from indexer.names import decode_names

Spans = list[tuple[int, int, bool]]
"""Where the digits stand, and whether they are bytes as they are."""
_NOT_HEX = re.compile(rb"[^0-9A-Fa-f]+")


def read_picture(data: bytes, spans: Spans, name: str) -> Child:
    """A picture as a member, unpacked when it is opened."""
    return Child(name, name.encode(), lambda: BytesIO(_bytes(data, spans)))


def read_object(data: bytes, spans: Spans, name: str) -> Fact:
    """An object of OLE 1: a packaged file, the object itself, or a link to a file."""
    held = _bytes(data, spans)
    form = int.from_bytes(held[4:8], "little")
    at, words = 8, list[bytes]()
    for _ in range(3):
        size = int.from_bytes(held[at : at + 4], "little")
        words.append(held[at + 4 : at + 4 + size].rstrip(b"\0"))
        at += 4 + size
    names = decode_names(words).names
    if form == 1 and names[1]:
        return Field("rtf.linked_file", names[1])
    size = int.from_bytes(held[at : at + 4], "little")
    body = held[at + 4 : at + 4 + size] if form == 2 else held
    fields = [Field("rtf.object_class", names[0])] if form == 2 and names[0] else []
    shown, raw = f"{name}.ole", b""
    if words[0].lower() == b"package":
        package = parse_native(bytes(4) + body)
        if package.name:
            raw, end = package.name, package.start - 4 + package.size
            shown, facts = told(package, package.names(body[end:]))
            fields += facts
            body = body[package.start - 4 : end]
    return Child(shown, raw or shown.encode(), partial(_open, body), fields=tuple(fields))


def _bytes(data: bytes, spans: Spans) -> bytes:
    out = bytearray()
    for start, end, binary in spans:
        part = data[start:end]
        if not binary:
            part = _NOT_HEX.sub(b"", part)
            part = bytes.fromhex(part[: len(part) & ~1].decode("ascii"))
        out += part
    return bytes(out)


def _open(body: bytes) -> BinaryIO:
    return BytesIO(body)
