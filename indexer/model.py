"""The values that travel from the crawler to the case, the index and the exports.

Everything here is a frozen struct of plain values: bytes, str, int, float, bool, aware UTC datetimes,
tuples of these. Structs are made several times as fast as dataclasses are, and go between processes as
they stand; those that a case keeps are written with the names of their parts, so that a case outlives a
change here. Nothing here opens, reads or writes anything, and nothing of ours is imported, so that
every other part can speak in these words.

    Source ─┐
            ├─ Provenance ── Hop, Hop, ...        where a thing was found
    Child ──┘                                      a member that a handler offers to the crawler
    Text, Field, Timestamp, Problem                what a handler says of the bytes it reads
    Item                                           all of it together, as kept in the case
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO, Literal, get_args

from msgspec import Struct, structs

Cause = Literal[
    "encrypted",
    "corrupt",
    "truncated",
    "unsupported",
    "limit",
    "unsafe-name",
    "timeout",
    "memory",
    "crash",
    "missing-library",
    "lossy-text",
    "changed",
    "unreadable",
]
"""Why an item was not fully read. A closed list: analysts filter by it."""

CAUSES: tuple[str, ...] = get_args(Cause)
HARMLESS: frozenset[str] = frozenset({"unsafe-name"})
"""Causes that are worth telling but kept nothing from being read."""

LANGUAGES = "text.language"
"""The field in which an item holds its further languages, and the scripts of its Chinese."""
Status = Literal["read", "partly-read", "not-read"]
Scalar = str | int | float | bool
replace = structs.replace
"""A value with some of its parts changed."""


class Source(Struct, frozen=True):
    """One evidence source as received: a folder, a file, or the files that a manifest lists.

    `series` ties the daily snapshots of one server together; `declared_zone` is the analyst's word
    for the zone of times that carry none (an IANA name); `only` narrows a folder to these paths.
    """

    name: str
    path: str
    custodian: str = ""
    acquired_at: datetime | None = None
    series: str = ""
    declared_zone: str = ""
    only: tuple[str, ...] = ()


class Hop(Struct, frozen=True):
    """One step from a container to one of its members.

    `raw` is the name as the container holds it, byte for byte; `name` is how we decode it for
    people; `ordinal` counts members of one container that share the same raw name, from 1.
    """

    raw: bytes
    name: str
    ordinal: int = 1

    def __str__(self) -> str:
        return self.name if self.ordinal == 1 else f"{self.name}#{self.ordinal}"

    def __hash__(self) -> int:
        # A string of bytes remembers its hash, and provenances are looked up often; a million members of one
        # name are told apart by their ordinals.
        return hash(self.raw) + self.ordinal


def _digests_of(source: str, hops: tuple[Hop, ...]) -> tuple[bytes, ...]:
    """The source's digest and one more for every hop: each is of the one before it and of the hop."""
    if not hops:
        return (hashlib.sha256(b"archivore\0" + source.encode("utf-8", "surrogatepass")).digest(),)
    last = hops[-1]
    above = _digests_above(source, hops[:-1])
    return (*above, hashlib.sha256(above[-1] + last.ordinal.to_bytes(8, "big") + last.raw).digest())


_digests_above = lru_cache(maxsize=8192)(_digests_of)
"""Those of containers are remembered: each has many members, and to look a place up costs as much as one digest."""


class Provenance(Struct, frozen=True, array_like=True):
    """Where an item was found: a source, and one hop for the file and for each container inside it.

    Only the crawler makes these. The id depends on the source's name, the raw names and the
    ordinals, not on how names were decoded: same source and hops, same id, on every machine.
    """

    source: str
    hops: tuple[Hop, ...]

    @property
    def id(self) -> str:
        """32 lowercase hex digits: a chained SHA-256 over source and hops, cut to 128 bits."""
        return _digests_of(self.source, self.hops)[-1][:16].hex()

    def ids(self) -> tuple[bytes, ...]:
        """The ids, as 16 bytes each, of the containers around it from the root inwards, and its own."""
        return tuple(digest[:16] for digest in _digests_of(self.source, self.hops)[1:])

    def above(self) -> Iterator[str]:
        """The ids of the containers around it, the innermost first."""
        return (each.hex() for each in reversed(self.ids()[:-1]))

    @property
    def parent(self) -> Provenance | None:
        """The container's provenance, or None for what lies directly in the source."""
        return Provenance(self.source, self.hops[:-1]) if len(self.hops) > 1 else None

    @property
    def root(self) -> Provenance:
        """The provenance of the file in the source that everything here came out of."""
        return Provenance(self.source, self.hops[:1])

    def child(self, hop: Hop) -> Provenance:
        """The provenance of a member of this item."""
        return Provenance(self.source, (*self.hops, hop))

    def __str__(self) -> str:
        return f"{self.source}:" + "!/".join(str(hop) for hop in self.hops)


class Timestamp(Struct, frozen=True):
    """One recorded time.

    `kind` is `M`, `A`, `C` or `B` (modified, accessed, changed, born) or a named event such as
    `sent`; `origin` names the structure that holds it (`zip.dos`, `exif.DateTimeOriginal`);
    `resolution` is in seconds. Where `zone_known` is false, `at` is the wall clock read as UTC.
    """

    kind: str
    at: datetime
    origin: str
    resolution: float = 1.0
    zone_known: bool = True

    @property
    def moment(self) -> datetime:
        """The time as it is shown: in UTC, or a bare wall clock where the zone is not known."""
        return self.at if self.zone_known else self.at.replace(tzinfo=None)


class Text(Struct, frozen=True, array_like=True):
    """A run of text and where it stands inside the item: `page 3`, `Sheet1!B7`, `layer "notes"`.

    A passage labelled `strings ...` was carved out of bytes that no handler understood.
    """

    body: str
    locator: str = ""


class Field(Struct, frozen=True):
    """One named piece of metadata; a name may come more than once. Names are declared by handlers."""

    name: str
    value: Scalar


class Problem(Struct, frozen=True):
    """Something that kept an item from being fully read; `resolution` says what was done about it."""

    cause: Cause
    message: str
    handler: str = ""
    resolution: str = ""


class Child(Struct, frozen=True):
    """A member that a handler offers to the crawler, at a `yield`.

    `open` gives a binary stream that is read once, from start to end, before the handler goes on;
    None where there is nothing to open (a folder, a link, a special file). It may raise
    EvidenceError, at once or in the middle: what was read until then is kept.
    """

    name: str
    raw_name: bytes
    open: Callable[[], BinaryIO] | None
    timestamps: tuple[Timestamp, ...] = ()
    fields: tuple[Field, ...] = ()
    problems: tuple[Problem, ...] = ()


Fact = Text | Field | Timestamp | Problem | Child
"""What `Handler.read` yields."""


class Digests(Struct, frozen=True, array_like=True):
    """Lowercase hex digests of an item's bytes, all from one pass."""

    md5: str
    sha1: str
    sha256: str


class Item(Struct, frozen=True, array_like=True):
    """One unit found: a file, a member, a message, an attachment.

    `size` and `digests` are None where there are no bytes (a folder, a link) or none could be had.
    `texts` is empty where only the metadata was asked for.
    """

    provenance: Provenance
    name: str
    size: int | None
    media_type: str
    digests: Digests | None
    handler: str
    language: str = ""
    texts: tuple[Text, ...] = ()
    fields: tuple[Field, ...] = ()
    timestamps: tuple[Timestamp, ...] = ()
    problems: tuple[Problem, ...] = ()
    status: Status = "read"

    @property
    def id(self) -> str:
        """The provenance's id."""
        return self.provenance.id

    @property
    def is_deleted(self) -> bool:
        """Whether the file system had given it up."""
        return any(entry.name == "file.deleted" for entry in self.fields)

    def to_json(self, *, with_text: bool = False) -> dict[str, object]:
        """The item as the public JSON object, keys in their documented order."""
        parent = self.provenance.parent
        fields: dict[str, object] = {}
        for entry in self.fields:
            held = fields.setdefault(entry.name, entry.value)
            if isinstance(held, list):
                held.append(entry.value)
            elif held is not entry.value:
                fields[entry.name] = [held, entry.value]
        row: dict[str, object] = {
            "id": self.id,
            "parent": parent.id if parent else None,
            "source": self.provenance.source,
            "hops": [str(hop) for hop in self.provenance.hops],
            "path": str(self.provenance),
            "name": self.name,
            "size": self.size,
            "media_type": self.media_type,
            "handler": self.handler,
            "md5": self.digests.md5 if self.digests else None,
            "sha1": self.digests.sha1 if self.digests else None,
            "sha256": self.digests.sha256 if self.digests else None,
            "language": self.language,
            "status": self.status,
            "fields": fields,
            "timestamps": [
                {
                    "kind": stamp.kind,
                    "at": print_time(stamp.moment),
                    "origin": stamp.origin,
                    "resolution": stamp.resolution,
                    "zone_known": stamp.zone_known,
                }
                for stamp in self.timestamps
            ],
            "problems": [
                {
                    "cause": problem.cause,
                    "message": problem.message,
                    "handler": problem.handler,
                    "resolution": problem.resolution,
                }
                for problem in self.problems
            ],
        }
        if with_text:
            row["texts"] = [{"locator": text.locator, "body": text.body} for text in self.texts]
        return row


class Reading(Struct, frozen=True, array_like=True):
    """What one handler made of some bytes: shared by every item that holds the same bytes.

    `key` names the bytes, the handler, its version and the limits; `members` counts direct members;
    `chunks` and `chars` measure the texts, which are kept under the same key.
    """

    key: str
    handler: str
    version: int
    language: str = ""
    has_content: bool = False
    members: int = 0
    chunks: int = 0
    chars: int = 0
    fields: tuple[Field, ...] = ()
    timestamps: tuple[Timestamp, ...] = ()
    problems: tuple[Problem, ...] = ()


class Found(Struct, frozen=True, array_like=True):
    """One item at its place, beside its reading: what the place alone tells of it.

    `reading` is None where there is nothing to read. `known` says that the case holds the reading
    already, with its members, so that only its key was sent.
    """

    provenance: Provenance
    name: str
    size: int | None
    media_type: str
    digests: Digests | None = None
    fields: tuple[Field, ...] = ()
    timestamps: tuple[Timestamp, ...] = ()
    problems: tuple[Problem, ...] = ()
    reading: Reading | None = None
    known: bool = False

    def join(self, reading: Reading | None, texts: tuple[Text, ...] = ()) -> Item:
        """The whole item: the place's facts first, then the reading's."""
        problems = tuple(dict.fromkeys(self.problems + (reading.problems if reading else ())))
        return Item(
            provenance=self.provenance,
            name=self.name,
            size=self.size,
            media_type=self.media_type,
            digests=self.digests,
            handler=reading.handler if reading else "",
            language=reading.language if reading else "",
            texts=texts,
            fields=self.fields + (reading.fields if reading else ()),
            timestamps=self.timestamps + (reading.timestamps if reading else ()),
            problems=problems,
            status=status_of(problems, has_content=bool(reading and reading.has_content)),
        )


class Known(Struct, frozen=True, array_like=True):
    """Content that the case has read before; what a copy of it costs."""

    bytes: int
    members: int
    height: int


class Spent(Struct, frozen=True, array_like=True):
    """What a subtree that was walked before has cost, counted again towards the root's limits.

    `size` is the topmost item's own, `bytes` and `members` are the whole subtree's.
    """

    size: int
    bytes: int
    members: int


class Highlight(Struct, frozen=True, array_like=True):
    """A marked passage of a hit: `spans` are [start, end) offsets into `text`, in characters."""

    locator: str
    text: str
    spans: tuple[tuple[int, int], ...]


class Hit(Struct, frozen=True, array_like=True):
    """An item that answers a query, with its score, and the items that hold the same bytes."""

    item: Item
    score: float
    highlights: tuple[Highlight, ...] = ()
    duplicates: tuple[str, ...] = ()

    def to_json(self, *, with_text: bool = False) -> dict[str, object]:
        """The item's public JSON object, with `score`, `highlights` and `duplicates` added."""
        row = self.item.to_json(with_text=with_text)
        row["score"] = self.score
        row["highlights"] = [
            {"locator": one.locator, "text": one.text, "spans": [list(span) for span in one.spans]}
            for one in self.highlights
        ]
        row["duplicates"] = list(self.duplicates)
        return row


class Run(Struct, frozen=True):
    """What made a set of items: when, with which versions, options and limits, and how much."""

    id: int
    started: datetime
    ended: datetime | None
    versions: dict[str, str] = {}
    options: dict[str, Scalar] = {}
    limits: dict[str, Scalar] = {}
    counts: dict[str, int] = {}


def print_time(at: datetime) -> str:
    """ISO 8601 in UTC with `Z`, or bare where the time has no zone; with as many decimals as the value needs.

    >>> print_time(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2024-01-02T03:04:05Z'
    >>> print_time(datetime(2024, 1, 2, 3, 4, 5))
    '2024-01-02T03:04:05'
    """
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at.tzinfo else at.isoformat()


def status_of(problems: tuple[Problem, ...], *, has_content: bool) -> Status:
    """How far an item was read: its problems, and whether text or members came out all the same."""
    if all(problem.cause in HARMLESS for problem in problems):
        return "read"
    return "partly-read" if has_content else "not-read"
