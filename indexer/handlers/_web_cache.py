"""What the caches of browsers have in common: an address, the head of an answer, its body as a member.

Source: RFC 9110 (status 15, fields 5 and 8), RFC 3986, section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from indexer.handler import Stream
from indexer.handlers._archive import Names
from indexer.handlers._content_codings import open_decoded
from indexer.handlers._moments import read_words
from indexer.model import Child, Field, Problem, Timestamp
from indexer.timestamps import from_rfc5322

FIELDS: Final[Mapping[str, str]] = {
    "cache.url": "address that was asked for",
    "cache.key": "what the browser calls the entry, where that is more than the address",
    "cache.site": "site of the page that it was asked for by",
    "cache.server": "network address that answered",
    "cache.http_status": "status of the answer",
    "cache.http_header": "a header of the answer",
}
_STATUS: Final = re.compile(rb"HTTP/?[\d.]* +(\d{3})")


class Answer(NamedTuple):
    """The head of an answer, read from its lines."""

    status: int | None = None
    headers: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Answer:
        """The status where the first line has one, and what has the form of a header."""
        first, *rest = lines
        status = _STATUS.match(first)
        headers = [line.strip() for line in rest if b":" in line]
        return cls(int(status[1]) if status else None, tuple(headers))

    def get(self, name: bytes) -> str:
        """The first header of a name, in lower case, or nothing."""
        for line in self.headers:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name:
                return value.strip().decode("ascii", "replace")
        return ""

    def fields(self) -> Iterator[Field]:
        """The status and every header."""
        if self.status is not None:
            yield Field("cache.http_status", self.status)
        for line in self.headers:
            yield Field("cache.http_header", read_words(line))


def name_of(url: str) -> str:
    """The address as a member's name: nothing behind the path, and its escapes undone."""
    path = re.split("[?#]", url, maxsplit=1)[0]
    if "%" not in path:
        return path
    raw = unquote_to_bytes(path.encode("utf-8", "surrogatepass"))
    return Names((raw,)).decode(raw)


def give_body(address: str, answer: Answer, body: Stream, fields: Iterable[Field] = ()) -> Child:
    """The body as a member, with its coding undone; says so where less of it lies there than was sent."""
    length = answer.get(b"content-length")
    missing = int(length) - body.size if answer.status == 200 and length.isdigit() and len(length) < 20 else 0
    problems = (Problem("truncated", f"{missing} of {length} bytes of the body are missing"),) if missing > 0 else ()
    stamp = from_rfc5322("M", answer.get(b"last-modified"), "http.last_modified")
    return give_member(
        name_of(address),
        address,
        body,
        coding=answer.get(b"content-encoding").lower(),
        fields=tuple(fields),
        timestamps=(stamp,) if stamp else (),
        problems=problems,
    )


def give_member(
    name: str,
    raw: str,
    data: Stream,
    *,
    coding: str = "",
    fields: tuple[Field, ...] = (),
    timestamps: tuple[Timestamp, ...] = (),
    problems: tuple[Problem, ...] = (),
) -> Child:
    """A stream of an entry as a member."""
    opening = open_decoded(data, coding)
    return Child(name, raw.encode("utf-8", "surrogatepass"), opening, timestamps, fields, problems)
