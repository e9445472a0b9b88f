"""What archives of many formats have in common: names that vote together, Unix modes, gaps.

Source: POSIX.1-2017, <sys/stat.h> and <cpio.h> for the file types in a mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._streams import slack
from indexer.model import Cause, Fact, Field, Problem
from indexer.names import Decision, decode_names

FILE, FOLDER, LINK, SYMLINK = "file", "directory", "hardlink", "symlink"
KINDS = {
    0o01: "fifo",
    0o02: "character-device",
    0o04: FOLDER,
    0o06: "block-device",
    0o10: FILE,
    0o12: SYMLINK,
    0o14: "socket",
}
SAMPLE = 10_000
"""Names that vote on the encoding; a walk over all of them must not keep all of them."""
MOST_TARGET = 64 * 1024
MOST_TEXT = 64 * 1024

FIELDS: Mapping[str, str] = {
    "file.kind": "what a member is where it is not a plain file; slack: bytes of no member",
    "file.link_target": "where a link points",
    "file.mode": "permission bits, octal",
    "file.offset": "where slack stands in the archive",
    "names.*": "how the names were decoded",
}


class Gap(Struct, frozen=True):
    """Bytes that belong to no member: behind the end of the archive, or in place of a header."""

    at: int
    size: int
    cause: Cause
    message: str
    name: str


class Names:
    """Names of one archive, decoded by the codec that all of them voted for.

    Args:
        raws: at most 10,000 of them are taken.
        declared: a codec that the archive names.
    """

    def __init__(self, raws: Iterable[bytes], declared: str = "") -> None:
        sample = list(islice((raw for raw in raws if not raw.isascii()), SAMPLE))
        self._decision: Decision | None = decode_names(sample, declared=declared) if sample else None
        self._voted = dict(zip(sample, self._decision.names, strict=True)) if self._decision else {}

    def decode(self, raw: bytes) -> str:
        """The name as text."""
        if raw.isascii():
            return raw.decode("ascii")
        if raw in self._voted:
            return self._voted[raw]
        return decode_names((raw,), declared=self._decision.codec if self._decision else "utf-8").names[0]

    def fields(self) -> tuple[Field, ...]:
        """How they were decoded; empty where every name was plain ASCII."""
        return self._decision.fields() if self._decision else ()


def kind_of_mode(mode: int) -> str:
    """What the type bits of a Unix mode say; a plain file where they say nothing known."""
    return KINDS.get(mode >> 12 & 0o17, FILE)


def mode_fields(mode: int, kind: str) -> Iterator[Field]:
    """The kind where it is not a plain file, and the permission bits."""
    if kind != FILE:
        yield Field("file.kind", kind)
    yield Field("file.mode", f"{mode & 0o7777:04o}")


def tell_gap(stream: Stream, gap: Gap) -> Iterator[Fact]:
    """A gap as a problem of the archive, and its bytes as a member where they are not the whole."""
    kept = 0 < gap.size < stream.size
    yield Problem(gap.cause, gap.message, resolution="kept as a member" if kept else "")
    if kept:
        yield slack(stream, gap.at, gap.size, gap.name)


def skip_zeros(stream: Stream, position: int) -> int:
    """The offset of the first byte from `position` that is not zero, or the end."""
    while data := stream.at(position, 1 << 20):
        rest = data.lstrip(b"\0")
        if rest:
            return position + len(data) - len(rest)
        position += len(data)
    return stream.size
