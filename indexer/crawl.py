"""The walk: an item is spooled, hashed, identified and read; its members are walked at the `yield`.

    visit(place, open)
      spool + hash ──> identify ──> known already? ──> Handler.read
                                                        │ Text      -> outlet.text, in chunks
                                                        │ Field, Timestamp, Problem -> the item
                                                        │ Child     -> visit(child) before the handler goes on
      outlet.item(Kept) after the last fact, so that members come out before their container

`Crawler.fence` holds the one broad `except` of the product: trouble in the evidence becomes a
Problem on its item, and the walk goes on. Trouble in the store (StoreError) is not caught there.
The crawler knows no store: it speaks to an `Outlet`, which is a frame writer in a worker and a list
in the tests.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from indexer.errors import EvidenceError, StoreError
from indexer.handler import Handler, Stream
from indexer.identify import EMPTY, UNKNOWN, Identifier, Identity
from indexer.languages import language_of
from indexer.limits import Limits
from indexer.model import (
    Child,
    Digests,
    Fact,
    Field,
    Hop,
    Item,
    Problem,
    Provenance,
    Text,
    Timestamp,
    status_of,
)
from indexer.names import last_part, unsafe_reason
from indexer.passwords import Password, Passwords
from indexer.spool import Spool

FALLBACK = "strings"
"""The handler for what no other handler reads, or what another could not read."""
TEXT_BATCH = 256 * 1024
"""Characters of text handed to the outlet at a time."""
TEXT_PIECE = 4 * 1024 * 1024
"""A longer run of text is cut, at white space, into pieces with the same locator."""
LANGUAGE_SAMPLE = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in the evidence that is to be visited, and what its container already said of it."""

    provenance: Provenance
    timestamps: tuple[Timestamp, ...] = ()
    fields: tuple[Field, ...] = ()
    problems: tuple[Problem, ...] = ()
    ancestors: tuple[str, ...] = ()
    """SHA-256 of every container around it, outermost first."""


@dataclass(frozen=True, slots=True)
class Known:
    """Content that the case has read before; what a copy of it costs."""

    bytes: int
    members: int
    height: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An item as it leaves the crawler, its texts sent ahead in chunks.

    `reading` names what was read and how (digest, handler, version, limits); items with the same
    reading share their texts. `copied` asks the store to take the facts and the members from the
    item that was read before.
    """

    item: Item
    reading: str
    copied: bool = False
    chunks: int = 0
    chars: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a subtree that was walked before has cost, counted again towards the root's limits."""

    bytes: int
    members: int


@dataclass(frozen=True, slots=True)
class Avoided:
    """An item that killed a worker: read as strings at the first time, not opened at the second."""

    problem: Problem
    deaths: int


@dataclass(slots=True)
class Task:
    """What to walk, and what is known of it from an earlier attempt.

    `alone` keeps every member in this worker and enforces the root's limits, so that what is cut
    off never depends on how work was shared.
    """

    done: Mapping[str, Spent] = field(default_factory=dict)
    avoid: Mapping[str, Avoided] = field(default_factory=dict)
    alone: bool = True


class Outlet(Protocol):
    """Where the crawler's findings go."""

    def enter(self, provenance: Provenance, deadline: float) -> None:
        """This item is the innermost one now; it must show life before `deadline` (monotonic)."""

    def leave(self) -> None:
        """Back in the container."""

    def tick(self, deadline: float) -> None:
        """Still alive; the new deadline of the innermost item."""

    def known(self, reading: str) -> Known | None:
        """Whether this content needs no reading."""

    def text(self, reading: str, number: int, texts: Sequence[Text]) -> None:
        """Chunk `number` of a reading's texts."""

    def item(self, kept: Kept) -> None:
        """One finished item."""

    def spill(self, place: Place, held: BinaryIO, size: int) -> bool:
        """Offers a member to an idle worker; True where it was taken, and is no longer ours."""


class Crawler:
    """Walks one root at a time and sends what it finds to an outlet.

    Args:
        handlers: in the order in which candidates are asked; one must be named `strings`.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        outlet: Outlet,
        limits: Limits | None = None,
        passwords: tuple[Password, ...] = (),
        scratch: str | None = None,
    ) -> None:
        self.identifier = Identifier(handlers)
        self.outlet = outlet
        self.limits = limits or Limits()
        self._passwords = passwords
        self._fallback = next((handler for handler in handlers if handler.name == FALLBACK), None)
        self._spool = Spool(self.limits, scratch)
        self._task = Task()
        self._spent_bytes = 0
        self._spent_members = 0
        self._exhausted = ""

    def walk(self, place: Place, file: BinaryIO, task: Task | None = None, *, spooled: bool = False) -> None:
        """Visits a root, or a member that another worker spooled, and everything below it.

        Args:
            file: seekable; a file of the source that is hashed and read where it lies.
            spooled: the bytes were a member's; their cost is already counted.
        """
        self._task = task or Task()
        self._spent_bytes = self._spent_members = 0
        self._exhausted = ""
        self._visit(place, file)

    def record(self, place: Place, media_type: str) -> None:
        """Keeps an item that has no bytes: a folder, a link, a special file, a file not opened."""
        self._finish(place, None, None, Identity(media_type, None), _Facts(), reading="")

    # -- one item ------------------------------------------------------------------------------

    def _visit(self, place: Place, file: BinaryIO) -> None:
        self.outlet.enter(place.provenance, self._deadline(0))
        avoided = self._task.avoid.get(place.provenance.id)
        digests, problems = self._spool.hash(file, self.fence, lambda: self.outlet.tick(self._deadline(0)))
        self._read(place, file, digests, problems, avoided)
        self.outlet.leave()

    def _visit_child(self, place: Place, child: Child) -> None:
        identity = place.provenance.id
        if spent := self._task.done.get(identity):
            self._charge(spent.bytes, spent.members)
            return
        self._charge(0, 1)
        if child.open is None:
            self.record(place, _kind_of(child))
            return
        if len(place.ancestors) > self.limits.depth:
            problem = Problem("limit", f"depth: {self.limits.depth} containers deep", resolution="not opened")
            self._finish(place, None, None, Identity(UNKNOWN, None), _Facts([problem]), reading="")
            return
        self.outlet.enter(place.provenance, self._deadline(0))
        avoided = self._task.avoid.get(identity)
        if avoided and avoided.deaths > 1:
            self._finish(place, None, None, Identity(UNKNOWN, None), _Facts([avoided.problem]), reading="")
        else:
            source = self._fenced_open(child.open)
            if isinstance(source, Problem):
                self._finish(place, None, None, Identity(UNKNOWN, None), _Facts([source]), reading="")
            else:
                with closing(source):
                    held, digests, problems = self._spool.take(
                        source, self.fence, lambda: self.outlet.tick(self._deadline(0))
                    )
                with closing(held):
                    size = held.seek(0, 2)
                    held.seek(0)
                    self._charge(size, 0)
                    spilled = (
                        not self._task.alone and not avoided and not problems and self.outlet.spill(place, held, size)
                    )
                    if not spilled:
                        self._read(place, held, digests, problems, avoided)
        self.outlet.leave()

    def _read(
        self, place: Place, file: BinaryIO, digests: Digests, problems: list[Problem], avoided: Avoided | None
    ) -> None:
        facts = _Facts(problems)
        name = last_part(place.provenance.hops[-1].name)
        stream = Stream(
            file,
            name=name,
            limits=self.limits,
            passwords=Passwords(self._passwords, self.limits.password_tries, self.limits.password_seconds),
            scratch=self._spool.folder,
        )
        identity = self._identify(stream, facts)
        if self.identifier.contradicts(name, identity):
            facts.fields.append(Field("file.suffix_mismatch", stream.suffix))
        handler = identity.handler or self._fallback
        if avoided:
            facts.problems.append(avoided.problem)
            handler = self._fallback if avoided.deaths == 1 else None
        if digests.sha256 in place.ancestors:
            facts.problems.append(Problem("limit", "contains itself: same digest as a container around it"))
            handler = self._fallback
        if identity.media_type == EMPTY or handler is None:
            self._finish(place, stream.size, digests, identity, facts, reading="")
            return
        reading = self._reading(digests, handler, name, avoided)
        if not avoided and not facts.problems and (known := self.outlet.known(reading)):
            below = len(place.ancestors) + known.height
            if below <= self.limits.depth and not (self._task.alone and self._over(known)):
                self._charge(known.bytes, known.members)
                self._finish(
                    place, stream.size, digests, identity, facts, reading=reading, handler=handler, copied=True
                )
                return
        self._run(handler, stream, place, digests, facts, reading)
        if handler is not self._fallback and self._fallback and not facts.has_content and facts.failed:
            stream.seek(0)
            self._run(self._fallback, stream, place, digests, facts, reading)
            if facts.has_content:
                facts.problems = [
                    Problem(each.cause, each.message, each.handler, each.resolution or "strings indexed instead")
                    for each in facts.problems
                ]
        elif handler is self._fallback and not avoided and not facts.failed:
            message = f"{identity.media_type}: no handler reads this type"
            facts.problems.append(Problem("unsupported", message, resolution="strings indexed" * facts.has_content))
        self._finish(place, stream.size, digests, identity, facts, reading=reading, handler=handler)

    def _identify(self, stream: Stream, facts: _Facts) -> Identity:
        identity: Identity | Problem = self.fence(self.identifier.identify, stream)
        if isinstance(identity, Problem):
            facts.problems.append(identity)
            return Identity(UNKNOWN, None)
        return identity

    def _reading(self, digests: Digests, handler: Handler, name: str, avoided: Avoided | None) -> str:
        parts = [digests.sha256, handler.name, str(handler.version), self.limits.key]
        if handler.uses_name:
            parts.append(name)
        if avoided:
            parts.append(avoided.problem.cause)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    # -- one handler ---------------------------------------------------------------------------

    def _run(
        self, handler: Handler, stream: Stream, place: Place, digests: Digests, facts: _Facts, reading: str
    ) -> None:
        allowance = self.limits.allowance(stream.size)
        own = 0.0
        seen: Counter[bytes] = Counter()
        produced = 0
        before = self._spent_bytes
        ancestors = (*place.ancestors, digests.sha256)
        generator = handler.read(stream)
        with closing(_Closer(generator, self.fence)):
            while True:
                started = time.monotonic()
                self.outlet.tick(started + allowance - own)
                fact = self.fence(next, generator, None, handler=handler.name)
                own += time.monotonic() - started
                if fact is None:
                    break
                if isinstance(fact, Problem):
                    facts.add_problem(fact, self.limits, handler.name)
                elif isinstance(fact, Text):
                    facts.add_text(fact, self.limits, lambda texts: self._send(reading, facts, texts))
                elif isinstance(fact, Child):
                    produced += 1
                    facts.has_content = True
                    stop = self._member_limit(produced)
                    if stop:
                        facts.add_problem(stop, self.limits, handler.name)
                        break
                    seen[fact.raw_name] += 1
                    hop = Hop(fact.raw_name, fact.name, seen[fact.raw_name])
                    self._visit_child(_place_of(fact, place.provenance.child(hop), ancestors), fact)
                else:
                    facts.add(fact, self.limits)
                if own > allowance:
                    problem = Problem("timeout", f"seconds: more than {allowance:.0f} s", resolution="stopped there")
                    facts.add_problem(problem, self.limits, handler.name)
                    break
                if facts.full:
                    break
        if produced:
            below = self._spent_bytes - before
            facts.fields.append(Field("container.members", produced))
            if stream.size and below > 100 * stream.size and self._task.alone:
                facts.fields.append(Field("container.ratio", below // stream.size))
        facts.flush(lambda texts: self._send(reading, facts, texts))

    def _member_limit(self, produced: int) -> Problem | None:
        if produced > self.limits.members:
            return Problem("limit", f"members: more than {self.limits.members}", resolution="stopped there")
        if self._exhausted:
            return Problem("limit", self._exhausted, resolution="stopped there")
        return None

    def _send(self, reading: str, facts: _Facts, texts: list[Text]) -> None:
        self.outlet.text(reading, facts.chunks, texts)
        facts.chunks += 1

    def _finish(
        self,
        place: Place,
        size: int | None,
        digests: Digests | None,
        identity: Identity,
        facts: _Facts,
        *,
        reading: str,
        handler: Handler | None = None,
        copied: bool = False,
    ) -> None:
        name = place.provenance.hops[-1].name
        problems = [*place.problems, *facts.problems]
        if reason := unsafe_reason(name):
            problems.append(Problem("unsafe-name", f"the name {reason}", resolution="kept as data"))
        kept_problems = tuple(dict.fromkeys(problems))
        item = Item(
            provenance=place.provenance,
            name=last_part(name),
            size=size,
            media_type=identity.media_type,
            digests=digests,
            handler=handler.name if handler else "",
            language=language_of(facts.sample),
            fields=(*place.fields, *facts.fields),
            timestamps=(*place.timestamps, *facts.timestamps),
            problems=kept_problems,
            status=status_of(kept_problems, has_content=facts.has_content),
        )
        self.outlet.item(Kept(item, reading, copied, facts.chunks, facts.chars))

    # -- limits and the fence ------------------------------------------------------------------

    def _deadline(self, size: int) -> float:
        return time.monotonic() + self.limits.allowance(size)

    def _charge(self, spent_bytes: int, members: int) -> None:
        self._spent_bytes += spent_bytes
        self._spent_members += members
        if not self._task.alone:
            return
        if self._spent_bytes > self.limits.root_bytes:
            self._exhausted = f"root_bytes: more than {self.limits.root_bytes} bytes unpacked from one file"
        elif self._spent_members > self.limits.root_members:
            self._exhausted = f"root_members: more than {self.limits.root_members} items from one file"

    def _over(self, known: Known) -> bool:
        return (
            self._spent_bytes + known.bytes > self.limits.root_bytes
            or self._spent_members + known.members > self.limits.root_members
        )

    def _fenced_open(self, opening: Callable[[], BinaryIO]) -> BinaryIO | Problem:
        opened: BinaryIO | Problem = self.fence(opening)
        return opened

    def fence(self, step: Callable[..., Any], *arguments: Any, handler: str = "") -> Any:
        """What `step` returns, or a Problem that says what it raised. The one broad `except`."""
        try:
            return step(*arguments)
        except EvidenceError as error:
            return error.problem(handler)
        except StoreError:
            raise
        except MemoryError:
            return Problem("memory", f"memory: more than {self.limits.memory} bytes were needed", handler)
        except RecursionError:
            return Problem("limit", "nested deeper than the parser can follow", handler)
        except Exception as error:
            return Problem("crash", f"{type(error).__name__}: {error}"[:500], handler)


class _Closer:
    """Closes a generator through the fence: its `finally` and `with` run evidence code too."""

    def __init__(self, generator: Iterator[Fact], fence: Callable[..., Any]) -> None:
        self._generator = generator
        self._fence = fence

    def close(self) -> None:
        close = getattr(self._generator, "close", None)
        if close:
            self._fence(close)


class _Facts:
    """What one item has gathered so far, within the limits."""

    def __init__(self, problems: Sequence[Problem] = ()) -> None:
        self.problems = list(problems)
        self.fields: list[Field] = []
        self.timestamps: list[Timestamp] = []
        self.sample = ""
        self.chars = 0
        self.chunks = 0
        self.has_content = False
        self.full = False
        self._waiting: list[Text] = []
        self._waiting_chars = 0

    @property
    def failed(self) -> bool:
        return any(problem.cause not in ("unsafe-name", "lossy-text") for problem in self.problems)

    def add(self, fact: Field | Timestamp, limits: Limits) -> None:
        if isinstance(fact, Field):
            value = _clean(fact.value) if isinstance(fact.value, str) else fact.value
            self.fields.append(Field(fact.name, value))
        else:
            self.timestamps.append(fact)
        self._count(limits)

    def add_problem(self, problem: Problem, limits: Limits, handler: str) -> None:
        self.problems.append(
            Problem(problem.cause, _clean(problem.message), problem.handler or handler, problem.resolution)
        )
        self._count(limits)

    def _count(self, limits: Limits) -> None:
        if len(self.fields) + len(self.timestamps) + len(self.problems) >= limits.facts and not self.full:
            self.full = True
            self.problems.append(Problem("limit", f"facts: more than {limits.facts}", resolution="stopped there"))

    def add_text(self, text: Text, limits: Limits, send: Callable[[list[Text]], None]) -> None:
        body = _clean(text.body)
        room = limits.text_chars - self.chars
        if len(body) > room:
            body, self.full = body[:room], True
            message = f"text_chars: more than {limits.text_chars} characters"
            self.problems.append(Problem("limit", message, resolution="stopped there"))
        if not body.strip():
            return
        self.has_content = True
        self.chars += len(body)
        if len(self.sample) < LANGUAGE_SAMPLE:
            self.sample += body[: LANGUAGE_SAMPLE - len(self.sample)] + "\n"
        for piece in _pieces(body):
            self._waiting.append(Text(piece, _clean(text.locator)))
            self._waiting_chars += len(piece)
            if self._waiting_chars >= TEXT_BATCH:
                self.flush(send)

    def flush(self, send: Callable[[list[Text]], None]) -> None:
        if self._waiting:
            send(self._waiting)
            self._waiting, self._waiting_chars = [], 0


def _clean(text: str) -> str:
    """Text that every store and encoder takes: lone surrogates become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _pieces(body: str) -> Iterator[str]:
    start = 0
    while len(body) - start > TEXT_PIECE:
        cut = max(body.rfind(" ", start, start + TEXT_PIECE), body.rfind("\n", start, start + TEXT_PIECE))
        end = cut + 1 if cut > start else start + TEXT_PIECE
        yield body[start:end]
        start = end
    yield body[start:]


def _place_of(child: Child, provenance: Provenance, ancestors: tuple[str, ...]) -> Place:
    return Place(provenance, child.timestamps, child.fields, child.problems, ancestors)


def _kind_of(child: Child) -> str:
    """The media type of a member without bytes, from the `file.kind` its container gave."""
    kind = next((str(each.value) for each in child.fields if each.name == "file.kind"), "")
    return f"inode/{kind}" if kind else UNKNOWN
