"""Content credentials: who or what made a picture or a film, as its signed manifests say.

Source: C2PA Technical Specification 2.1 (manifests, claims, signatures, standard assertions; annex A: embedding);
ISO/IEC 19566-5:2023 (JUMBF boxes, JPEG segments); RFC 8949 (CBOR); RFC 9360, section 2 (x5chain).
Limits: no signature and no digest is verified; compressed manifests, thumbnails of ingredients and time stamp
tokens are not read.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from indexer.handlers import _picture, _x509
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_iso

FIELDS: Final = {
    "c2pa.manifests": "manifests in the content credentials; facts of the newest come first. Nothing is verified",
    "c2pa.label": "name of a manifest",
    "c2pa.generator": "program that made a claim",
    "c2pa.title": "title that a claim gives",
    "c2pa.format": "media type that a claim gives",
    "c2pa.instance": "identifier of this rendition",
    "c2pa.action": "what was done: c2pa.created, c2pa.edited, c2pa.converted ...",
    "c2pa.agent": "program or device that did it",
    "c2pa.source_type": "kind of source: trainedAlgorithmicMedia (made by a model), digitalCapture ...",
    "c2pa.ingredient": "title of a file that this one was made from",
    "c2pa.author": "author that a claim names",
    "c2pa.signer": "whom the signer's certificate is for",
    "c2pa.issuer": "who issued it",
}
STORE: Final = 16 * MIB
"""Bytes of one store of manifests that are looked at; honest ones with thumbnails stay below 4 MiB."""
VALUES: Final = 50_000
"""CBOR values read from one box."""
BOX: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Mark of the box of ISO base media files."""
_BOXES: Final = 10_000
_DEPTH: Final = 24
_MANIFESTS: Final = 64
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
_CHAIN: Final = 33
"""The COSE header that holds the signer's certificates."""


class _Cbor:
    """Values one after another, within one allowance; whatever is wrong raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._left = VALUES

    def value(self, depth: int = 0) -> object:
        """The next value; tags are dropped, null and the like are None."""
        self._left -= 1
        if depth > _DEPTH or self._left < 0:
            raise ValueError("too many values, or too deep")
        first = self._take(1)[0]
        kind, short = first >> 5, first & 31
        if kind == 7:
            return self._simple(short)
        endless = short == 31
        if endless and kind not in (2, 3, 4, 5):
            raise ValueError("a value without end")
        count = VALUES if endless else self._count(short)
        if kind < 2:
            return count if kind == 0 else -1 - count
        if kind < 4:
            body = self._pieces(depth) if endless else self._take(count)
            return body if kind == 2 else body.decode()
        if kind == 6:
            return self.value(depth + 1)
        values: list[object] = []
        for _ in range(count):
            if endless and self._ends():
                break
            values.append(self.value(depth + 1))
            if kind == 5:
                values.append(self.value(depth + 1))
        if kind == 4:
            return values
        return {key: each for key, each in zip(values[::2], values[1::2], strict=True) if isinstance(key, str | int)}

    def _take(self, count: int) -> bytes:
        body = self._data[self._position : self._position + count]
        if len(body) < count:
            raise ValueError("a value is cut off")
        self._position += count
        return body

    def _count(self, short: int) -> int:
        if short < 24:
            return short
        if short > 27:
            raise ValueError("a length of an unknown form")
        return int.from_bytes(self._take(1 << short - 24), "big")

    def _ends(self) -> bool:
        if self._data[self._position : self._position + 1] != b"\xff":
            return False
        self._position += 1
        return True

    def _pieces(self, depth: int) -> bytes:
        parts: list[bytes] = []
        while not self._ends():
            piece = self.value(depth + 1)
            if isinstance(piece, str):
                piece = piece.encode()
            if not isinstance(piece, bytes):
                raise ValueError("a piece of a string is none")
            parts.append(piece)
        return b"".join(parts)

    def _simple(self, short: int) -> object:
        if form := _FLOATS.get(short):
            (number,) = struct.unpack(form, self._take(struct.calcsize(form)))
            return number
        if short == 24:
            self._take(1)
        return {20: False, 21: True}.get(short)


def joined(segments: list[bytes]) -> list[bytes]:
    """The stores in a JPEG picture's APP11 segments, put together where they were cut."""
    pieces: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    for data in segments:
        if data[:2] == b"JP" and data[12:16] == b"jumb":
            pieces[data[2:4]].setdefault(int.from_bytes(data[4:8], "big"), data[8:])
    stores = []
    for parts in pieces.values():
        first, *rest = (parts[number] for number in sorted(parts))
        # Every segment begins with the head of the box it is a piece of.
        head = 16 if first[:4] == b"\0\0\0\1" else 8
        stores.append(first + b"".join(piece[head:] for piece in rest))
    return stores


def unboxed(data: bytes) -> bytes:
    """The store in the payload of an ISO base media box, its mark included; empty where it holds none."""
    purpose, _, rest = data[20:].partition(b"\0")
    return rest[8:] if purpose in (b"manifest", b"original", b"update") else b""


def read_store(data: bytes) -> Iterator[Fact]:
    """The facts of a store of manifests, those of the newest first."""
    manifests: dict[str, list[tuple[str, bytes, bytes]]] = {}
    for path, kind, body in _contents(data[:STORE]):
        if len(path) > 2 and path[0] == "c2pa" and (path[1] in manifests or len(manifests) < _MANIFESTS):
            manifests.setdefault(path[1], []).append((path[-1], kind, body))
    if not manifests:
        return
    yield Field("c2pa.manifests", len(manifests))
    told: set[Fact] = set()
    for label, boxes in reversed(manifests.items()):
        yield Field("c2pa.label", label[: _picture.FIELD_CHARS])
        for name, kind, body in boxes:
            for fact in _read_box(name, kind, body):
                if fact not in told:
                    told.add(fact)
                    yield fact
    if int.from_bytes(data[:4], "big") > len(data):
        yield Problem("truncated", "the content credentials are cut off")


def _contents(data: bytes) -> Iterator[tuple[tuple[str, ...], bytes, bytes]]:
    """The boxes that hold no others, each with the labels of those around it."""
    runs: list[tuple[int, int, tuple[str, ...]]] = [(0, len(data), ())]
    for _ in range(_BOXES):
        if not runs:
            return
        position, end, path = runs.pop()
        size, kind, start = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8], 8
        if size == 1:
            size, start = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        size = size or end - position
        if position + start > end or size < start:
            continue
        stop = min(position + size, end)
        runs.append((stop, end, path))
        if kind == b"jumb" and len(path) < _DEPTH:
            inner = position + start
            # The description stands first: a mark of 16 bytes, a byte of switches, the label.
            label = data[inner + 25 : stop].partition(b"\0")[0][:300] if data[inner + 4 : inner + 8] == b"jumd" else b""
            runs.append((inner, stop, (*path, label.decode("utf-8", "replace"))))
        else:
            yield path, kind, data[position + start : stop]


def _read_box(name: str, kind: bytes, body: bytes) -> Iterator[Fact]:
    name = name.partition("__")[0]
    reader = next(
        (reader for start, reader in _READERS.items() if name == start or name.startswith(start + ".v")), None
    )
    if not reader or kind not in (b"cbor", b"json"):
        return
    try:
        yield from reader(_Cbor(body).value() if kind == b"cbor" else json.loads(body))
    except (ValueError, RecursionError):
        yield Problem("corrupt", f"content credentials: {name} is damaged")


def _claim(value: object) -> Iterator[Fact]:
    claim = _table(value)
    about = claim.get("claim_generator_info")
    named = [_agent(each) for each in (about if isinstance(about, list) else [about])]
    for generator in (_text(claim.get("claim_generator")), *named):
        yield from _picture.said("c2pa.generator", generator, "content credentials, generator")
    yield from _picture.said("c2pa.title", _text(claim.get("dc:title")), "content credentials, title")
    for field, key in (("c2pa.format", "dc:format"), ("c2pa.instance", "instanceID")):
        yield from _said(field, claim.get(key))


def _actions(value: object) -> Iterator[Fact]:
    for action in map(_table, _rows(_table(value).get("actions"))):
        yield from _said("c2pa.action", action.get("action"))
        yield from _said("c2pa.agent", _agent(action.get("softwareAgent")))
        yield from _said("c2pa.source_type", _text(action.get("digitalSourceType")).rpartition("/")[2])
        kind = "B" if action.get("action") == "c2pa.created" else "edited"
        if stamp := from_iso(kind, _text(action.get("when"))[:64], "c2pa.when"):
            yield stamp


def _ingredient(value: object) -> Iterator[Fact]:
    yield from _picture.said("c2pa.ingredient", _text(_table(value).get("dc:title")), "content credentials, ingredient")


def _work(value: object) -> Iterator[Fact]:
    for author in map(_table, _rows(_table(value).get("author"))):
        yield from _picture.said("c2pa.author", _text(author.get("name")), "content credentials, author")


def _signature(value: object) -> Iterator[Fact]:
    parts = _rows(value)
    held: list[object] = []
    if parts and isinstance(parts[0], bytes) and parts[0]:
        held.append(_Cbor(parts[0]).value())
    held += parts[1:2]
    for headers in map(_table, held):
        chain = headers.get(_CHAIN, headers.get("x5chain"))
        certificate = chain[0] if isinstance(chain, list) and chain else chain
        if not isinstance(certificate, bytes):
            continue
        if _x509.kind_of(certificate) != "certificate":
            yield Problem("corrupt", "content credentials: the signer's certificate is damaged")
            continue
        for fact in _x509.tell("certificate", certificate):
            if isinstance(fact, Field) and fact.name in ("certificate.subject", "certificate.issuer"):
                yield Field("c2pa.signer" if fact.name == "certificate.subject" else "c2pa.issuer", fact.value)


_READERS: Final = {
    "c2pa.claim": _claim,
    "c2pa.actions": _actions,
    "c2pa.ingredient": _ingredient,
    "stds.schema-org.CreativeWork": _work,
    "c2pa.signature": _signature,
}


def _table(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}


def _rows(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _said(name: str, value: object) -> Iterator[Field]:
    if text := _text(value)[: _picture.FIELD_CHARS]:
        yield Field(name, text)


def _agent(value: object) -> str:
    """The name of a program, with its version where it is told apart."""
    if isinstance(value, str):
        return value
    about = _table(value)
    return " ".join(filter(None, (_text(about.get("name")), _text(about.get("version")))))
