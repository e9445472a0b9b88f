"""The walk: an item is spooled, hashed, identified and read; its members are walked at the `yield`.

    visit(place, open)
      spool + hash ──> identify ──> known already? ──> Handler.read
                                                        │ Text      -> outlet.text, in chunks
                                                        │ Field, Timestamp, Problem -> the item
                                                        │ Child     -> visit(child) before the handler goes on
      outlet.item(Found) after the last fact, so that members come out before their container

`Crawler.fence` holds the one broad `except` of the product: trouble in the evidence becomes a
Problem on its item, and the walk goes on. Trouble in the store (StoreError) is not caught there.
The crawler knows no store: it speaks to an `Outlet`, which is a frame writer in a worker and a list
in the tests.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, BinaryIO

from indexer.errors import EvidenceError, StoreError
from indexer.facts import VERSION, Facts, clean, fields_at, kind_of, place_of, problems_at, without_bytes
from indexer.handler import FALLBACK, OCR, Handler, Stream
from indexer.hashsets import HashSets
from indexer.identify import EMPTY, UNKNOWN, Identifier, Identity
from indexer.limits import Limits
from indexer.model import (
    Child,
    Digests,
    Field,
    Found,
    Hop,
    Known,
    Problem,
    Reading,
    Text,
    replace,
)
from indexer.names import last_part
from indexer.passwords import Password, Passwords
from indexer.places import Avoided, Outlet, Place, Task, key_at
from indexer.shelf import Shelf, VolumeNames, Waiting
from indexer.spool import Spool
from indexer.volumes import Joined, Siblings, no_siblings

_TICK = 0.05
"""Seconds between two signs of life while a handler yields facts."""
_AS_BYTES = (Field("file.kind", "unallocated"), Field("file.kind", "file-table"))  # whatever they begin with
_INTERNAL = Field("file.kind", "internal")
RATIO = 100
"""Members this many times larger than their container are worth a label, `container.ratio`."""


class Crawler:
    """Walks one root at a time and sends what it finds to an outlet.

    Args:
        handlers: in the order in which candidates are asked; one must be named `strings`.
        skip: content that these lists know is hashed and identified, and not read further.
        ocr: whether words drawn on pictures are read too.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        outlet: Outlet,
        limits: Limits | None = None,
        passwords: tuple[Password, ...] = (),
        scratch: str | None = None,
        skip: HashSets | None = None,
        *,
        ocr: bool = False,
    ) -> None:
        self.identifier = Identifier(handlers)
        self._skip = skip
        self.outlet = outlet
        self.limits = limits or Limits()
        self._made_by = f"{VERSION} {self.limits.key}"
        self._passwords = passwords
        self._offered: tuple[Password, ...] = ()
        by_name = {handler.name: handler for handler in handlers}
        self._fallback = by_name.get(FALLBACK)
        self._ocr = by_name.get(OCR) if ocr else None
        self._spool = Spool(self.limits, scratch)
        self.volumes = VolumeNames(handlers, self._spool, self.fence)
        self._task = Task()
        self._spent_bytes = 0
        self._spent_members = 0
        self._exhausted = ""
        self._recheck: Callable[[], Problem | None] = lambda: None

    def walk(
        self,
        place: Place,
        file: BinaryIO,
        task: Task | None = None,
        recheck: Callable[[], Problem | None] = lambda: None,
        siblings: Siblings = no_siblings,
    ) -> None:
        """Visits a root, or a member that another worker spooled, and everything below it.

        Args:
            file: seekable; it is hashed and read where it lies.
            recheck: asked after the last read whether the file changed under us.
            siblings: opens files beside this one.
        """
        self._task = task or Task()
        self._spent_bytes = self._spent_members = 0
        self._exhausted = ""
        self._recheck = recheck
        self.outlet.enter(place.provenance, self._deadline(0))
        avoided = self._task.avoided_at(place)
        digests, problems = self.hash(file)
        self._read(place, file, digests, problems, avoided, siblings)
        self.outlet.leave()

    def offer(self, passwords: tuple[Password, ...]) -> None:
        """From here on, these are tried too, behind those of the run."""
        self._offered = passwords

    def hash(self, file: BinaryIO) -> tuple[Digests, list[Problem]]:
        """The digests of a file that can be read where it lies, and what went wrong."""
        return self._spool.hash(file, self.fence, self._tick)

    def take(self, source: BinaryIO) -> tuple[BinaryIO, Digests, list[Problem]]:
        """A member's bytes in a seekable file, their digests, and what went wrong."""
        return self._spool.take(source, self.fence, self._tick)

    def shelf(self) -> Shelf:
        """A place for the volumes among the members of one container."""
        return Shelf(self._spool)

    def stream(self, file: BinaryIO, place: Place, siblings: Siblings = no_siblings) -> Stream:
        """The bytes as a handler gets them."""
        return Stream(
            file,
            name=last_part(place.provenance.hops[-1].name),
            limits=self.limits,
            passwords=Passwords(
                (*self._passwords, *self._offered), self.limits.password_tries, self.limits.password_seconds
            ),
            scratch=self._spool.folder,
            siblings=siblings,
        )

    # -- one item ------------------------------------------------------------------------------

    def _visit_child(self, place: Place, child: Child, waiting: Waiting) -> int:
        """Visits a member, or lets it wait for its siblings, and returns the bytes it unpacked to."""
        if spent := self._task.spent_at(place):
            self._charge(spent.bytes, spent.members)
            if child.open and self.volumes.match(child.name):
                self._shelve(child, waiting.shelf)
            return spent.size
        self._charge(0, 1)
        if child.open is None:
            waiting.locked |= any(problem.cause == "encrypted" for problem in place.problems)
            self.outlet.item(without_bytes(place, kind_of(child) or UNKNOWN))
            return 0
        if len(place.ancestors) > self.limits.depth:
            problem = Problem("limit", f"depth: {self.limits.depth} containers deep", resolution="not opened")
            self.outlet.item(without_bytes(place, UNKNOWN, problem))
            return 0
        size = 0
        self.outlet.enter(place.provenance, self._deadline(0))
        avoided = self._task.avoided_at(place)
        source = avoided.problem if avoided and avoided.deaths > 1 else self._fenced_open(child.open)
        if isinstance(source, Problem):
            waiting.locked |= source.cause == "encrypted"
            self.outlet.item(without_bytes(place, UNKNOWN, source))
        else:
            held, digests, problems = self.take(source)
            with closing(held):
                size = held.seek(0, 2)
                held.seek(0)
                self._charge(size, 0)
                kept = self._keep_volume(place, held, waiting.shelf)
                if kept:
                    waiting.members.append((place, kept, digests, problems, avoided))
                elif not self._spill(place, held, size, whole=not avoided and not problems):
                    self._read(place, held, digests, problems, avoided, no_siblings)
        self.outlet.leave()
        return size

    def _spill(self, place: Place, held: BinaryIO, size: int, *, whole: bool) -> bool:
        joined = isinstance(held, Joined)  # nothing is gained by writing it all anew
        return whole and not joined and not self._task.alone and self.outlet.spill(place, held, size)

    def _keep_volume(self, place: Place, held: BinaryIO, shelf: Shelf) -> BinaryIO | None:
        name = place.provenance.hops[-1].name
        return shelf.keep(name, held) if self.volumes.hold(name, held) else None

    def _shelve(self, child: Child, shelf: Shelf) -> None:
        """Takes the bytes of a member that was read before, for siblings that were not."""
        source = self._fenced_open(child.open) if child.open else None
        if source is None or isinstance(source, Problem):
            return
        held, _, _ = self.take(source)
        with closing(held):
            if self.volumes.hold(child.name, held):
                shelf.keep(clean(child.name), held)

    def _visit_volumes(self, waiting: Waiting) -> None:
        """Visits the members that waited for their siblings, in the order of the container."""
        for place, held, digests, problems, avoided in waiting.members:
            self.outlet.enter(place.provenance, self._deadline(0))
            siblings = waiting.shelf.beside(place.provenance.hops[-1].name)
            self._read(place, held, digests, problems, avoided, siblings)
            self.outlet.leave()

    def _read(
        self,
        place: Place,
        file: BinaryIO,
        digests: Digests,
        problems: list[Problem],
        avoided: Avoided | None,
        siblings: Siblings,
    ) -> None:
        stream = self.stream(file, place, siblings)
        identity = self._identify(stream, place, problems)
        stream.media_type = identity.media_type
        handler = identity.handler or self._fallback
        if avoided:
            problems.append(avoided.problem)
            if avoided.deaths:
                handler = self._fallback if avoided.deaths == 1 else None
        if digests.sha256 in place.ancestors:
            problems.append(Problem("limit", "contains itself: same digest as a container around it"))
            handler = self._fallback
        if self._skip and (lists := self._skip.names_of(digests, "known")):
            handler = None
            place = replace(place, fields=(*place.fields, Field("file.skipped", ", ".join(lists))))
        reading = None
        known = False
        if handler is not None and identity.media_type != EMPTY:
            key = self._key(digests, handler, stream.name, identity)
            if handler.volumes and siblings is not no_siblings:
                if self.fence(handler.is_volume, stream) is True:
                    key = key_at(key, place)
                else:
                    stream.sibling = no_siblings
                stream.seek(0)
            held = None if avoided or problems else self.outlet.known(key)
            if held and self._affords(held, place):
                self._charge(held.bytes, held.members)
                known = True
                reading = Reading(key, handler.name, handler.version)
            else:
                reading = self._make_reading(key, handler, stream, place, digests, avoided, identity)
        self._finish(place, stream, digests, identity, problems, reading, known)

    def _make_reading(
        self,
        key: str,
        handler: Handler,
        stream: Stream,
        place: Place,
        digests: Digests,
        avoided: Avoided | None,
        identity: Identity,
    ) -> Reading:
        # What was read around a death or inside itself is not what reading these bytes gives.
        if avoided or digests.sha256 in place.ancestors:
            key = key_at(key, place)
        facts = Facts()
        self._run(handler, stream, place, digests, facts, key)
        if handler is not self._fallback and self._fallback and facts.failed and not facts.has_content:
            stream.seek(0)
            self._run(self._fallback, stream, place, digests, facts, key)
            if facts.has_content:
                facts.problems = [
                    replace(each, resolution=each.resolution or "strings indexed instead") for each in facts.problems
                ]
        elif identity.handler is None and not avoided and not facts.failed:
            message = f"{identity.media_type}: no handler reads this type"
            facts.problems.append(Problem("unsupported", message, resolution="strings indexed" * facts.has_content))
        if self._ocr and handler.name in self._ocr.follows and not avoided:
            self.outlet.drawn()
            stream.seek(0)
            facts.has_content |= not facts.failed
            self._run(self._ocr, stream, place, digests, facts, key)
        return facts.reading(key, handler)

    def _identify(self, stream: Stream, place: Place, problems: list[Problem]) -> Identity:
        if kind := next((each for each in _AS_BYTES if each in place.fields), None):
            return Identity(f"inode/{kind.value}", self._fallback)
        identity: Identity | Problem = self.fence(self.identifier.identify, stream)
        if isinstance(identity, Problem):
            problems.append(identity)
            return Identity(UNKNOWN, None)
        if identity.handler is None and _INTERNAL in place.fields:
            return Identity("inode/internal", self._fallback)
        return identity

    def _key(self, digests: Digests, handler: Handler, name: str, identity: Identity) -> str:
        parts = [digests.sha256, handler.name, str(handler.version), self._made_by]
        parts += [name] * handler.uses_name + [identity.media_type] * (handler is self._fallback)
        if self._ocr and handler.name in self._ocr.follows:
            parts += [OCR, str(self._ocr.version)]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _affords(self, known: Known, place: Place) -> bool:
        """Whether a copy would stay within the limits that reading it anew would meet."""
        if len(place.ancestors) + known.height > self.limits.depth:
            return False
        return not self._task.alone or (
            self._spent_bytes + known.bytes <= self.limits.root_bytes
            and self._spent_members + known.members <= self.limits.root_members
        )

    # -- one handler ---------------------------------------------------------------------------

    def _run(self, handler: Handler, stream: Stream, place: Place, digests: Digests, facts: Facts, key: str) -> None:
        allowance = self.limits.allowance(stream.size) * handler.patience
        own = 0.0
        seen: dict[bytes, int] = {}
        produced = 0
        ancestors = (*place.ancestors, digests.sha256)
        generator = handler.read(stream)
        waiting = Waiting(self.shelf())
        ticked = 0.0
        try:
            while True:
                started = time.monotonic()
                if started - ticked > _TICK:
                    self.outlet.tick(started + allowance - own)
                    ticked = started
                fact = self.fence(next, generator, None, handler=handler.name)
                own += time.monotonic() - started
                if fact is None:
                    break
                if isinstance(fact, Problem):
                    facts.add_problem(fact, self.limits, handler.name)
                elif isinstance(fact, Text):
                    facts.add_text(fact, self.limits, lambda texts: self._send(key, facts, texts))
                elif isinstance(fact, Child):
                    facts.has_content = True
                    stop = self._member_limit(facts.members + 1)
                    if stop:
                        facts.add_problem(stop, self.limits, handler.name)
                        break
                    facts.members += 1
                    seen[fact.raw_name] = ordinal = seen.get(fact.raw_name, 0) + 1
                    hop = Hop(fact.raw_name, clean(fact.name), ordinal)
                    produced += self._visit_child(place_of(fact, place.provenance.child(hop), ancestors), fact, waiting)
                    ticked = 0.0  # the deadline on the board is the member's
                else:
                    facts.add(fact, self.limits)
                if own > allowance:
                    problem = Problem("timeout", f"seconds: more than {allowance:.0f} s", resolution="stopped there")
                    facts.add_problem(problem, self.limits, handler.name)
                    break
                if facts.full:
                    break
            self._visit_volumes(waiting)
        finally:
            with closing(waiting.shelf):
                if close := getattr(generator, "close", None):
                    self.fence(close)  # its `finally` and `with` run evidence code too
        locked = waiting.locked or any(problem.cause == "encrypted" for problem in facts.problems)
        if locked and handler.name not in (FALLBACK, OCR):
            facts.fields += stream.passwords.fields()
        if facts.members and handler is not self._ocr:
            facts.fields.append(Field("container.members", facts.members))
            if stream.size and produced > RATIO * stream.size:
                facts.fields.append(Field("container.ratio", produced // stream.size))
        facts.flush(lambda texts: self._send(key, facts, texts))

    def _member_limit(self, produced: int) -> Problem | None:
        if produced > self.limits.members:
            return Problem("limit", f"members: more than {self.limits.members}", resolution="stopped there")
        if self._exhausted:
            return Problem("limit", self._exhausted, resolution="stopped there")
        return None

    def _send(self, key: str, facts: Facts, texts: list[Text]) -> None:
        self.outlet.text(key, facts.chunks, texts)
        facts.chunks += 1

    def _finish(
        self,
        place: Place,
        stream: Stream,
        digests: Digests,
        identity: Identity,
        problems: list[Problem],
        reading: Reading | None,
        known: bool,
    ) -> None:
        fields = fields_at(place, identity.media_type)
        if self.identifier.contradicts(stream.name, identity):
            fields.append(Field("file.suffix_mismatch", stream.suffix))
        if not place.ancestors and (changed := self._recheck()):
            problems.append(changed)
        self.outlet.item(
            Found(
                provenance=place.provenance,
                name=stream.name,
                size=stream.size,
                media_type=identity.media_type,
                digests=digests,
                fields=tuple(fields),
                timestamps=tuple(place.timestamps),
                problems=problems_at(place, problems),
                reading=reading,
                known=known,
            )
        )

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

    def _tick(self) -> None:
        self.outlet.tick(self._deadline(0))

    def _fenced_open(self, opening: Callable[[], BinaryIO]) -> BinaryIO | Problem:
        opened: BinaryIO | Problem = self.fence(opening)
        return opened

    def fence(self, step: Callable[..., Any], *arguments: Any, handler: str = "") -> Any:
        """What `step` returns, or a Problem that says what it raised. The one broad `except`."""
        try:
            return step(*arguments)
        except EvidenceError as error:
            return replace(error.problem(handler), message=clean(error.message))
        except StoreError:
            raise
        except MemoryError:
            return Problem("memory", f"memory: more than {self.limits.memory} bytes were needed", handler)
        except RecursionError:
            return Problem("limit", "nested deeper than the parser can follow", handler)
        except Exception as error:  # noqa: BLE001 - the fence: whatever evidence does to a parser ends here
            return Problem("crash", clean(f"{type(error).__name__}: {error}"[:500]), handler)
