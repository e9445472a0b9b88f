"""Entries of Firefox's cache (cache2/entries, cache2/doomed): the page or file, its address, times and headers.

The body comes first and all that is said of it last, so the end of the file is asked before its beginning: the
last four bytes must name a place at which such an end begins. Where the browser kept something of its own beside
the body (a compiled script), that is a member too. A content coding is undone.

Source: Firefox's netwerk/cache2 (CacheFileMetadata, versions 1 to 4; CacheFileUtils, keys and alternative data).
Limits: what `security-info` says of the connection is not taken apart; encrypted entries are not read; two
    content codings on top of one another are not undone; the sums of the body's pieces are not compared.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, Final, NamedTuple, cast
from urllib.parse import unquote

from indexer.handler import Handler, Stream
from indexer.handlers._moments import read_words
from indexer.handlers._spans import join
from indexer.handlers._web_cache import FIELDS, Answer, give_body, give_member, name_of
from indexer.limits import KIB
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_unix

_PIECE: Final = 256 * KIB
"""Bytes of the body for which there is one sum of two bytes."""
_MOST_END: Final = 512 * KIB
_NEVER: Final = 0xFFFFFFFF
_MARK: Final = re.compile(r"(?!:)[^,]*(?:,,[^,]*)*,(?!,)")
_PARTITION: Final = re.compile(r"O\^.*partitionKey=\(([a-z]+),([^,()]+)")
_TOLD_ELSEWHERE: Final = frozenset(
    ("response-head", "original-response-headers", "security-info", "peer-ip-address", "peer-port")
)


class _Entry(NamedTuple):
    """What the end of the file says."""

    version: int
    fetches: int
    fetched: int
    modified: int
    expires: int
    key: bytes
    elements: bytes


class FirefoxCache(Handler):
    name = "firefox-cache"
    media_types = ("application/x-firefox-cache",)
    holds = b"\0"
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "cache.fetches": "how many times the entry was asked for",
        "cache.note": "anything else that the browser noted, such as request-method",
        "cache.stream": "kind of what is kept beside the body",
    }
    reads = "address, times, server and headers of what was loaded; the page or file itself, unpacked"
    needs = ("brotli", "backports.zstd")
    rank = 2
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _read_end(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        entry = _read_end(stream)
        if entry is None:
            return
        key = read_words(entry.key)
        url, site = _address(key)
        if url:
            yield Field("cache.url", url)
        if key != f":{url}":
            yield Field("cache.key", key)
        if site:
            yield Field("cache.site", site)
        yield Field("cache.fetches", entry.fetches)
        for kind, seconds in (("A", entry.fetched), ("stored", entry.modified), ("expires", entry.expires)):
            if 0 < seconds < _NEVER and (stamp := from_unix(kind, seconds, f"firefox_cache.{_ORIGINS[kind]}")):
                yield stamp
        noted = _elements(entry.elements)
        answer = Answer.of(noted.get("response-head", b"").split(b"\r\n"))
        yield from answer.fields()
        if "peer-ip-address" in noted:
            parts = (noted[name] for name in ("peer-ip-address", "peer-port") if name in noted)
            yield Field("cache.server", read_words(b":".join(parts)))
        for name, value in noted.items():
            if name not in _TOLD_ELSEWHERE:
                yield Field("cache.note", f"{name}: {read_words(value)}")
        if "response-head" not in noted:
            yield Problem("corrupt", "the head of the answer is missing", resolution="the body is given as it lies")
        yield from _give(stream, url, key, answer, noted)


_ORIGINS: Final = {"A": "last_fetched", "stored": "last_modified", "expires": "expiration"}


def _give(stream: Stream, url: str, key: str, answer: Answer, noted: Mapping[str, bytes]) -> Iterator[Fact]:
    """The body, and what the browser keeps behind it."""
    end = int.from_bytes(stream.at(stream.size - 4, 4), "big")
    start, kind = _alternative(noted.get("alt-data", b""), end)
    if start:
        fields = (Field("cache.url", url),) if url else ()
        yield give_body(url or key, answer, _part(stream, 0, start), fields)
    if start < end:
        name = f"{name_of(url or key)} [{kind}]"
        yield give_member(name, name, _part(stream, start, end), fields=(Field("cache.stream", kind),))


def _alternative(noted: bytes, end: int) -> tuple[int, str]:
    """Where the alternative data begin and of what kind they are; the end where there are none."""
    _, _, rest = noted.partition(b";")
    offset, _, kind = rest.partition(b",")
    if offset.isdigit() and len(offset) < 12 and int(offset) <= end:
        return int(offset), read_words(kind)[:100] or "alternative data"
    return end, ""


def _read_end(stream: Stream) -> _Entry | None:
    """What stands behind the body; None where this is not the end of an entry."""
    offset = int.from_bytes(stream.at(stream.size - 4, 4), "big")
    size = stream.size - 4 - offset
    head = 4 - (-offset // _PIECE) * 2
    if not head + 30 <= size <= _MOST_END + head:
        return None
    fixed = stream.at(offset + head, 32)
    version, fetches, fetched, modified, _, expires, length = struct.unpack_from(">7I", fixed)
    start = head + (28 if version == 1 else 32)
    if not 1 <= version <= 4 or not 0 < length <= size - start - 1:
        return None
    rest = stream.at(offset + start, size - start)
    key = rest[:length]
    if rest[length] or b"\0" in key or b":" not in key:
        return None
    return _Entry(version, fetches, fetched, modified, expires, key, rest[length + 1 :])


def _elements(data: bytes) -> dict[str, bytes]:
    """Names and values, each of which ends with a zero."""
    parts = data.split(b"\0")
    return {read_words(name): value for name, value in zip(parts[::2], parts[1::2], strict=False) if name}


def _address(key: str) -> tuple[str, str]:
    """The address in a key and the site of its page: marks that end with a comma stand before the colon."""
    at, site = 0, ""
    while mark := _MARK.match(key, at):
        at = mark.end()
        if partition := _PARTITION.match(unquote(mark[0])):
            site = f"{partition[1]}://{partition[2]}"
    return (key[at + 1 :] if key.startswith(":", at) else "", site)


def _part(stream: Stream, start: int, end: int) -> Stream:
    return join(stream, [(cast(BinaryIO, stream), start, end - start)])
