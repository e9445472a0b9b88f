"""Loose objects of git: commits and tags with people and times, trees as lists, what a blob holds.

Source: git's Documentation: gitrepository-layout (objects), git-hash-object.
Limits: signatures in commits are not checked; a commit or tree over 64 MiB is told up to there.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _git
from indexer.handlers._git import WHOLE, entries_of, tell_message
from indexer.handlers._rows import passages
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem
from indexer.names import decode_names

_HEAD: Final = re.compile(rb"(commit|tree|blob|tag) (\d{1,15})\0")
_PIECE: Final = 64 * 1024


class GitObject(Handler):
    name = "git-object"
    media_types = ("application/x-git-object",)
    signatures = (Signature(b"\x78\x01"), Signature(b"\x78\x5e"), Signature(b"\x78\x9c"), Signature(b"\x78\xda"))
    fields: ClassVar[dict[str, str]] = dict(_git.FIELDS)
    reads = "commits and tags: people, times with zones, messages; trees; the content of blobs"
    rank = 44
    container = True

    def claims(self, stream: Stream) -> str | None:
        try:
            start = zlib.decompressobj().decompress(stream.head[:2048], 32)
        except zlib.error:
            return None
        return self.media_types[0] if _HEAD.match(start) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        chunks = _inflate(stream)
        first = next(chunks, b"")
        match = _HEAD.match(first)
        if not match:
            raise EvidenceError("corrupt", "the object's head does not unpack")
        kind, size = match[1].decode(), int(match[2])
        yield Field("git.kind", kind)
        yield Field("git.size", size)
        ident, made, fault = _digest(stream)
        if kind == "blob":
            body = _rest(chunks, first[match.end() :])
            yield Child("[content]", b"[content]", lambda: open_chunks(body))
        else:
            held = _gather(_rest(chunks, first[match.end() :]), min(size, WHOLE))
            if kind == "tree":
                found = list(entries_of(held))
                names = decode_names([each.name for each in found]).names
                rows = (f"{each.mode}\t{each.ident}\t{name}" for each, name in zip(found, names, strict=True))
                yield from passages(rows, "entries")
            else:
                yield from tell_message(kind, ident if not fault else "[damaged]", held)
        if fault:
            yield fault
        elif made - match.end() != size:
            yield Problem("corrupt", f"{made - match.end()} bytes where {size} were declared", resolution="kept")
        else:
            yield Field("git.id", ident)


def _inflate(stream: Stream) -> Iterator[bytes]:
    """The content with its head, in pieces.

    Raises:
        EvidenceError: after the last piece that could be had.
    """
    inflater = zlib.decompressobj()
    at = 0
    while not inflater.eof:
        packed = inflater.unconsumed_tail or stream.at(at, _PIECE)
        if not packed:
            raise EvidenceError("truncated", "the object breaks off")
        at += 0 if inflater.unconsumed_tail else len(packed)
        try:
            piece = inflater.decompress(packed, _PIECE)
        except zlib.error as error:
            raise EvidenceError("corrupt", f"deflate: {error}") from error
        if piece:
            yield piece


def _digest(stream: Stream) -> tuple[str, int, Problem | None]:
    """The object's name, its unpacked bytes, and what was wrong."""
    digest = hashlib.sha1(usedforsecurity=False)
    made = 0
    try:
        for piece in _inflate(stream):
            digest.update(piece)
            made += len(piece)
            if made > stream.limits.item_bytes:
                return "", made, Problem("limit", f"item_bytes: more than {stream.limits.item_bytes} bytes")
    except EvidenceError as error:
        return "", made, error.problem("", "kept what unpacks")
    return digest.hexdigest(), made, None


def _rest(chunks: Iterator[bytes], first: bytes) -> Iterator[bytes]:
    yield first
    yield from chunks


def _gather(chunks: Iterator[bytes], most: int) -> bytes:
    held = bytearray()
    try:
        for chunk in chunks:
            held += chunk
            if len(held) >= most:
                break
    except EvidenceError:
        pass  # told already, by the pass that made the digest
    return bytes(held[:most])
