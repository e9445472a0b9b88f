"""What both of Chromium's disk caches keep for an entry: a key and up to three numbered streams.

Of a page, stream 0 is the head of the answer with times of its own, stream 1 the body as it was sent.
Caches of other things (compiled scripts, shaders) have the same files; their streams are told as they are.

Source: Chromium's net/http/http_cache.cc (keys), http_response_info.cc and http_response_headers.cc
(versions 1 to 3), base/pickle.h.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._moments import CHROME, moment, read_words
from indexer.handlers._web_cache import FIELDS as WEB_FIELDS
from indexer.handlers._web_cache import Answer, give_body, give_member, name_of
from indexer.limits import MIB
from indexer.model import Child, Field, Problem, Timestamp

FIELDS: Final = {
    **WEB_FIELDS,
    "cache.stream": "number of the stream, where it is not the body of an answer",
    "file.offset": "where a part begins in the whole body",
    "cache.incomplete": "true where the browser itself notes that it did not get all of the body",
}
_MOST_HEAD: Final = MIB
_BEFORE: Final = re.compile(r"\d{1,20}/(?:\d{1,20}/)?")
_PART: Final = re.compile(r"Range_(.*):[0-9a-f]{1,16}:([0-9a-f]{1,8})", re.DOTALL)
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}:")
_MARKS: Final = re.compile(r"(?:s_|cn_)*")
_CERTIFICATES, _SECURITY_BITS, _CERTIFICATE_STATUS, _VARY = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_TRUNCATED, _TLS_STATUS, _TIMESTAMPS, _MORE_FLAGS = 1 << 12, 1 << 16, 1 << 20, 1 << 31
_ORIGINAL_TIME: Final = 1 << 2


class Told(Struct):
    """What an entry tells of itself, and its members."""

    fields: list[Field]
    timestamps: list[Timestamp] = []
    members: list[Child] = []
    problems: list[Problem] = []


def read_entry(key: bytes, streams: Sequence[Stream | None]) -> Told:
    """All that is in an entry.

    Args:
        streams: by their number; None or empty where there is none.
    """
    words = read_words(key)
    part = _PART.fullmatch(words)
    url, site, is_page = _address(part[1] if part else words)
    told = Told([Field("cache.url", url)] if url else [])
    if words != url:
        told.fields.append(Field("cache.key", words))
    if site:
        told.fields.append(Field("cache.site", site))
    left = {number: data for number, data in enumerate(streams) if data is not None and data.size}
    response = read_response(left[0].at(0, _MOST_HEAD)) if 0 in left else None
    if response:
        del left[0]
        told.fields += response.fields
        told.timestamps += response.timestamps
    if 1 in left and (response or (is_page and not part and 0 not in left)):
        answer = response.answer if response else Answer()
        told.members.append(give_body(url or words, answer, left.pop(1), told.fields[:1]))
    if part and 1 in left:
        told.members.append(give_part(url or words, int(part[2], 16) * MIB, left.pop(1)))
    for number, data in left.items():
        name = f"{name_of(url or words)} [stream {number}]"
        told.members.append(give_member(name, name, data, fields=(Field("cache.stream", number),)))
    return told


def give_part(address: str, offset: int, data: Stream) -> Child:
    """Some bytes of a body that was loaded in parts, as a member named with their place in it."""
    name = f"{name_of(address)} [from {offset}]"
    return give_member(name, name, data, fields=(Field("file.offset", offset),))


def _address(key: str) -> tuple[str, str, bool]:
    """The address in a key, the site of its page, and whether it is that of an answer."""
    rest, site = key, ""
    is_script = rest.startswith("_key")
    if is_script:
        rest, _, site = rest.removeprefix("_key").partition(" \n")
    else:
        before = _BEFORE.match(rest)
        rest = rest[before.end() :] if before else rest
        if rest.startswith("_dk_"):
            sites, _, rest = rest.removeprefix("_dk_").rpartition(" ")
            site = _MARKS.sub("", sites.partition(" ")[0], count=1)
    return (rest, site, not is_script) if _SCHEME.match(rest) else ("", "", False)


class Response(Struct):
    """The head of an answer with what the browser noted of it."""

    answer: Answer
    timestamps: list[Timestamp]
    fields: list[Field]


def read_response(data: bytes) -> Response | None:
    """The head that a stream 0 holds; None where it holds something else."""
    try:
        return _read_response(_Pickle(data))
    except struct.error:
        return None


def _read_response(pickle: _Pickle) -> Response | None:
    flags = pickle.take("I")
    more = pickle.take("I") if flags & _MORE_FLAGS else 0
    if not 1 <= flags & 0xFF <= 3:
        return None
    times = [("requested", "request_time"), ("received", "response_time")]
    if more & _ORIGINAL_TIME:
        times.append(("received", "original_response_time"))
    stamps: dict[tuple[str, object], Timestamp] = {}
    for kind, name in times:
        if at := moment(pickle.take("q"), 1e-6, CHROME):
            stamps.setdefault((kind, at), Timestamp(kind, at, f"chromium_cache.{name}", 1e-6))
    head = pickle.bytes()
    if not head.startswith(b"HTTP"):
        return None
    answer = Answer.of(head.split(b"\0"))
    fields = list(answer.fields())
    if flags & _TRUNCATED:
        fields.append(Field("cache.incomplete", True))
    if server := _server(pickle, flags):
        fields.append(Field("cache.server", server))
    return Response(answer, list(stamps.values()), fields)


def _server(pickle: _Pickle, flags: int) -> str:
    """The network address behind the certificates; nothing where it cannot be reached."""
    try:
        if flags & _CERTIFICATES:
            for _ in range(min(pickle.take("I"), 64)):
                pickle.bytes()
        for flag in (_CERTIFICATE_STATUS, _SECURITY_BITS, _TLS_STATUS):
            if flags & flag:
                pickle.take("I")
        if flags & _TIMESTAMPS:
            return ""
        if flags & _VARY:
            pickle.take("16s")
        host = pickle.bytes().decode("ascii", "replace")
        return f"{host}:{pickle.take('H')}" if host else ""
    except struct.error:
        return ""


class _Pickle:
    """Values one after another, each at a multiple of four bytes, behind their size.

    Raises:
        struct.error: where a value is not there.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4

    def take(self, form: str) -> int:
        """The next value of a form of `struct`."""
        value: int = struct.unpack_from("<" + form, self._data, self._at)[0]
        self._at += -(-struct.calcsize("<" + form) // 4) * 4
        return value

    def bytes(self) -> bytes:
        """The next run of bytes, as far as it is there."""
        size = self.take("I")
        start = self._at
        self._at += -(-size // 4) * 4
        return self._data[start : start + size]
