"""The objects of a pack: where each stands, what kind it is, its content with deltas applied.

Source: git's Documentation: gitformat-pack.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._git import WHOLE, apply_delta, ident_of

KIND_OF: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
OFFSET, REFERENCE = 6, 7
_PIECE: Final = 64 * 1024
_CACHE: Final = 64 << 20
_CHAIN: Final = 5_000
"""Deltas on deltas: git makes 50, and 4095 where it is told to."""


class Packed(NamedTuple):
    """One object as it stands in the pack; `ident` is empty for a delta until it was applied."""

    at: int
    kind: int
    size: int
    start: int
    source: int
    reference: str
    ident: str


class Pack:
    """The objects in the order of the file.

    Attributes:
        objects: by the place where each begins.
        declared: how many objects the head says there are.
        fault: what ended the pack before its end.
        end: the byte behind the last object.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cached = 0
        self._kinds: dict[int, str] = {}
        self.objects: dict[int, Packed] = {}
        self.by_ident: dict[str, int] = {}
        self.declared = int.from_bytes(stream.at(8, 4), "big")
        self.end = self._position = 12
        self.fault: EvidenceError | None = None
        try:
            self._scan()
        except EvidenceError as error:
            self.fault = error

    def _scan(self) -> None:
        for _ in range(self.declared):
            found, self.end = self._entry(self.end)
            self.objects[found.at] = found
            if found.ident:
                self.by_ident.setdefault(found.ident, found.at)

    def _entry(self, at: int) -> tuple[Packed, int]:
        head = self._stream.at(at, 64)
        if not head:
            raise EvidenceError("truncated", f"{self.declared - len(self.objects)} objects are missing at the end")
        kind, size, shift, used = head[0] >> 4 & 7, head[0] & 15, 4, 1
        while head[used - 1] & 0x80 and used < min(len(head), 10):
            size |= (head[used] & 0x7F) << shift
            shift += 7
            used += 1
        source, reference = 0, ""
        if kind == OFFSET:
            distance = -1
            while used < len(head):
                distance = (distance + 1) << 7 | head[used] & 0x7F
                used += 1
                if head[used - 1] < 0x80:
                    break
            source = at - distance
            if source not in self.objects:
                raise EvidenceError("corrupt", f"the delta at {at} stands on nothing")
        elif kind == REFERENCE:
            reference = head[used : used + 20].hex()
            used += 20
        elif kind not in KIND_OF:
            raise EvidenceError("corrupt", f"no object begins at {at}")
        ident = ""
        digest = hashlib.sha1(f"{KIND_OF.get(kind, '')} {size}\0".encode(), usedforsecurity=False)
        made = 0
        inflater = zlib.decompressobj()
        for piece in self._inflate(at + used, inflater):
            made += len(piece)
            if made > size:
                raise EvidenceError("corrupt", f"the object at {at} is larger than it says")
            if kind in KIND_OF:
                digest.update(piece)
        end = self._position - len(inflater.unused_data)
        if made != size:
            raise EvidenceError("corrupt", f"the object at {at} has {made} of {size} bytes")
        if kind in KIND_OF:
            ident = digest.hexdigest()
        return Packed(at, kind, size, at + used, source, reference, ident), end

    def _inflate(self, at: int, inflater: zlib._Decompress) -> Iterator[bytes]:
        while not inflater.eof:
            packed = inflater.unconsumed_tail
            if not packed:
                packed = self._stream.at(at, _PIECE if at % _PIECE == 0 else 4096)
                at += len(packed)
                if not packed:
                    raise EvidenceError("truncated", "the pack breaks off in an object")
            try:
                yield inflater.decompress(packed, _PIECE)
            except zlib.error as error:
                raise EvidenceError("corrupt", f"an object before {at} does not unpack: {error}") from error
        self._position = at

    def kind_of(self, found: Packed) -> str:
        """The kind of an object, through its deltas; empty where one of them stands on nothing here."""
        passed: list[int] = []
        each: Packed | None = found
        while each is not None and each.at not in self._kinds:
            passed.append(each.at)
            if each.kind in KIND_OF:
                self._kinds[each.at] = KIND_OF[each.kind]
                break
            each = self._below(each) if len(passed) <= _CHAIN else None
        kind = self._kinds.get(each.at, "") if each else ""
        if kind:
            self._kinds.update(dict.fromkeys(passed, kind))
        return kind

    def _below(self, found: Packed) -> Packed | None:
        """What a delta stands on, where it is here."""
        at = found.source if found.kind == OFFSET else self.by_ident.get(found.reference, -1)
        return self.objects.get(at)

    def content(self, found: Packed) -> bytes:
        """The whole of an object.

        Raises:
            EvidenceError: where it cannot be had.
        """
        todo: list[Packed] = []
        data: bytes | None = None
        each: Packed | None = found
        while data is None:
            if each is None or len(todo) > _CHAIN:
                raise EvidenceError("corrupt", f"the delta at {found.at} stands on nothing here")
            data = self._cache.get(each.at)
            if data is not None:
                self._cache.move_to_end(each.at)
            elif each.kind in KIND_OF:
                data = self._raw(each)
                self._keep(each.at, data)
            else:
                todo.append(each)
                each = self._below(each)
        for step in reversed(todo):
            data = apply_delta(data, self._raw(step))
            self._keep(step.at, data)
        return data

    def pieces(self, found: Packed) -> Iterator[bytes]:
        """The bytes of an object that is no delta, as the pack holds it."""
        yield from self._inflate(found.start, zlib.decompressobj())

    def _raw(self, found: Packed) -> bytes:
        if found.size > WHOLE:
            raise EvidenceError("limit", f"an object of {found.size} bytes that deltas stand on")
        return b"".join(self._inflate(found.start, zlib.decompressobj()))

    def _keep(self, at: int, data: bytes) -> None:
        self._cache[at] = data
        self._cached += len(data)
        while self._cached > _CACHE and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached -= len(dropped)

    def name(self, found: Packed) -> tuple[str, bytes | None]:
        """The object's name, and its content where that had to be built for it."""
        if found.ident:
            return found.ident, None
        data = self.content(found)
        ident = ident_of(self.kind_of(found), data)
        self.by_ident.setdefault(ident, found.at)
        return ident, data
