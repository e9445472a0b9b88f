"""Where the indexer and the case meet: a run with its record, its log and its index.

The two packages know each other only by the protocol `Ledger`; every command that reads evidence
joins them here, in the same order: record, read, commit, index, record.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace

from indexer import VERSION
from indexer.digests import Hasher
from indexer.errors import EvidenceError, UsageError
from indexer.events import Event
from indexer.hashsets import FILE
from indexer.identify import magic_version
from indexer.ingest import Again, Ingest
from indexer.limits import Limits
from indexer.model import Hop, Item, Reading, Run, Scalar, Source, Spent
from indexer.names import decode_as
from indexer.passwords import Password
from indexer.places import Place
from indexer.sources import check_source, place_of_root
from indexer.workers import Fetcher
from search.case import Case
from search.exports._file import whole_path
from search.guesses import Guesses, recall_passwords

if TYPE_CHECKING:
    from search.verify import Difference

_MOST_ROUNDS = 4
"""Times that protected items are read again with what others gave."""


def limits_of(case: Case, overrides: tuple[str, ...] = ()) -> Limits:
    """The limits of a run: the defaults, then `case.toml`, then `name=value` options.

    Raises:
        UsageError: a name that is no limit, or a value that is no number.
    """
    known = {name: type(value) for name, value in asdict(Limits()).items()}
    held = case.settings.get("limits")
    wanted = {str(name): str(value) for name, value in held.items()} if isinstance(held, dict) else {}
    wanted |= dict(override.replace(" ", "").partition("=")[::2] for override in overrides)
    values: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in known:
            raise UsageError(f"{name}: no such limit; there are {', '.join(known)}")
        try:
            values[name] = known[name](value)
        except ValueError as error:
            raise UsageError(f"{name}={value}: a limit takes a number") from error
        if not values[name] > 0:
            raise UsageError(f"{name}={value}: a limit is more than nothing")
    return replace(Limits(), **values)


def ingest_sources(
    case: Case,
    sources: list[Source],
    *,
    limits: Limits,
    passwords: tuple[Password, ...],
    jobs: int,
    tell: Callable[[Event], None],
    indexed: Callable[[int], None] = lambda count: None,
    ocr: bool = False,
    skip_known: bool = False,
) -> dict[str, int]:
    """Walks sources into the case, indexes what is new, and returns the counts of the run.

    Raises:
        UsageError: a source is missing, or its label is taken.
        Interrupted: stopped by a signal; the same call goes on from there.
        StoreError: the store failed; what was committed is safe.
    """
    for source in sources:
        check_source(source)
        case.keep_source(source)
    options: dict[str, Scalar] = {"jobs": jobs, "passwords": len(passwords), "skip_known": skip_known, "ocr": ocr}
    skip = case.path / FILE if skip_known else None
    with _recorded(case, "ingest", limits, options, [source.name for source in sources], indexed) as (counts, ready):
        run = Ingest(
            case,
            case.scratch,
            limits=limits,
            passwords=passwords,
            jobs=jobs,
            tell=tell,
            skip=skip,
            ocr=ocr,
            ready=ready,
        )
        counts |= run.run(sources)
    return counts


def finish_stopped(
    case: Case,
    *,
    limits: Limits,
    passwords: tuple[Password, ...],
    jobs: int,
    tell: Callable[[Event], None],
    indexed: Callable[[int], None] = lambda count: None,
    ocr: bool = False,
) -> None:
    """Reads to their end the files that a run was in when it was stopped, and no new ones.

    Raises:
        UsageError: the source of such a file is not where it was.
    """
    sources = [case.catalog.sources()[name] for name in case.catalog.journal.open_roots()]
    if not sources:
        return
    for source in sources:
        check_source(source)
    stopped = case.catalog.runs()[-1].options
    ocr = ocr or bool(stopped.get("ocr"))
    skip_known = bool(stopped.get("skip_known"))
    options: dict[str, Scalar] = {"jobs": jobs, "passwords": len(passwords), "skip_known": skip_known, "ocr": ocr}
    with _recorded(case, "finish", limits, options, [source.name for source in sources], indexed) as (counts, ready):
        run = Ingest(
            case,
            case.scratch,
            limits=limits,
            passwords=passwords,
            jobs=jobs,
            tell=tell,
            skip=case.path / FILE if skip_known else None,
            ocr=ocr,
            ready=ready,
        )
        counts |= run.finish(sources)


def read_again(
    case: Case,
    items: list[Item],
    *,
    limits: Limits,
    passwords: tuple[Password, ...],
    jobs: int,
    tell: Callable[[Event], None],
    indexed: Callable[[int], None] = lambda count: None,
    ocr: bool = False,
    guess: Callable[[Item], tuple[Password, ...]] = lambda item: (),
) -> dict[str, int]:
    """Reads items anew from the evidence, with every other item that holds the same bytes.

    A member that could not be opened is its container's matter: the container is walked again, and
    its members that were read are passed over; those of them that are to be read anew come after it.

    Args:
        guess: further passwords for an item and for what is inside it.
    """
    sources = case.catalog.sources()
    whole, keys_of_containers = [], set()
    for item in items:
        container = _container(case, item)
        if container and container[1]:
            keys_of_containers.add(container[1].key)
            item = container[0]
        whole.append(item)
    wanted = case.catalog.outermost(whole)
    readings: dict[str, Reading | None] = {}
    for item in wanted:
        held = case.catalog.with_reading(item.id)
        readings[item.id] = held[1] if held else None
    passed = {item.id for item in wanted if (each := readings[item.id]) and each.key in keys_of_containers}
    later = [item for item in whole if item.id not in readings and passed.intersection(item.provenance.above())]
    offered = _shared_guesses(wanted, whole, readings, guess)
    ocr = ocr or _had_ocr(case, wanted)
    options: dict[str, Scalar] = {"jobs": jobs, "passwords": len(passwords), "ocr": ocr, "items": len(wanted)}
    if guessed := sum(map(len, offered.values())):
        options["guessed"] = guessed
    names = sorted({item.provenance.source for item in wanted})
    with _recorded(case, "retry", limits, options, names, indexed) as (counts, ready):
        places: list[Again] = []
        for item in wanted:
            place = _place(sources, item)
            done: dict[str, Spent] = {}
            if item.id in passed:
                done = case.catalog.reopen_container(item)
            else:
                case.catalog.forget_below([item.id])
            places.append((sources[item.provenance.source], place, done, offered[item.id]))
        run = Ingest(case, case.scratch, limits=limits, passwords=passwords, jobs=jobs, tell=tell, ocr=ocr, ready=ready)
        counts |= run.read_again(places)
    if left := [again for item in later if (again := case.catalog.item(item.id))]:
        more = read_again(
            case, left, limits=limits, passwords=passwords, jobs=jobs, tell=tell, indexed=indexed, ocr=ocr, guess=guess
        )
        counts = {name: counts[name] + more[name] for name in counts}
    return counts


def guess_passwords(
    case: Case,
    items: Callable[[], list[Item]],
    *,
    limits: Limits,
    passwords: tuple[Password, ...],
    jobs: int,
    tell: Callable[[Event], None],
    indexed: Callable[[int], None] = lambda count: None,
    ocr: bool = False,
) -> tuple[int, int, int]:
    """Reads protected items anew with what lies near them: how many there were, are open now, were read in all.

    What an archive gives may hold the password of another, so it is asked again as long as anything
    opens, a few times at the most.

    Args:
        items: the items that are protected now.
    """
    locked = items()
    before = {item.id for item in locked}
    tried: dict[str, int] = {}
    count = 0
    for _ in range(_MOST_ROUNDS):
        guesses = Guesses(case, limits.password_tries)
        offers = {item.id: guesses.of((_container(case, item) or (item,))[0]) for item in locked}
        new = [item for item in locked if offers[item.id] and tried.get(item.id) != hash(offers[item.id])]
        if not new:
            break
        tried |= {item.id: hash(offers[item.id]) for item in new}
        count += read_again(
            case,
            new,
            limits=limits,
            passwords=passwords,
            jobs=jobs,
            tell=tell,
            indexed=indexed,
            ocr=ocr,
            guess=guesses.of,
        )["items"]
        was, locked = {item.id for item in locked}, items()
        before |= {item.id for item in locked}
        if was == {item.id for item in locked}:
            break
    return len(before), len(before - {item.id for item in locked}), count


def _container(case: Case, item: Item) -> tuple[Item, Reading | None] | None:
    """What holds a member that could not be opened; None for an item that was read itself."""
    held = case.catalog.with_reading(item.id)
    parent = item.provenance.parent
    return case.catalog.with_reading(parent.id) if held and held[1] is None and parent else None


def not_looked_at(case: Case) -> list[Item]:
    """The files of sources that hold anything on which no drawn words were looked for."""
    from indexer.handlers.ocr import Ocr

    held = case.catalog.read_by(Ocr.follows, with_text=False)
    shown = ((item, reading) for item, reading in held if not item.media_type.startswith("audio/"))
    unseen = (item for item, reading in shown if all(each.name != "ocr.engine" for each in reading.fields))
    roots = {item.provenance.root.id for item in unseen}
    return [item for identity in sorted(roots) if (item := case.catalog.item(identity))]


def _had_ocr(case: Case, items: list[Item]) -> bool:
    """Whether drawn words were looked for on any of these, or inside: what is read anew must not lose them."""
    waiting = list(items) if any(run.options.get("ocr") for run in case.catalog.runs()) else []
    while waiting:
        item = waiting.pop()
        if any(field.name == "ocr.engine" for field in item.fields):
            return True
        waiting += case.catalog.children(item.id)
    return False


def _shared_guesses(
    wanted: list[Item],
    whole: list[Item],
    readings: dict[str, Reading | None],
    guess: Callable[[Item], tuple[Password, ...]],
) -> dict[str, tuple[Password, ...]]:
    """Guesses for each item and for what is to be read inside it.

    The same bytes get the same, wherever they lie, since they are read once.
    """
    shared: dict[str, dict[str, Password]] = {}
    keys = {identity: reading.key if reading else identity for identity, reading in readings.items()}
    for item in (*wanted, *whole):
        key = next((keys[each] for each in (item.id, *item.provenance.above()) if each in keys), "")
        for each in guess(item):
            shared.setdefault(key, {}).setdefault(each.text, each)
    return {identity: tuple(shared.get(key, {}).values()) for identity, key in keys.items()}


def check_evidence(
    case: Case,
    only: list[str] | None = None,
    *,
    passwords: tuple[Password, ...],
    jobs: int,
    tell: Callable[[Event], None],
) -> tuple[int, list[Difference]]:
    """How many items the evidence still gives as the catalog has them, and what differs.

    Args:
        only: names of sources; all of them without.

    Raises:
        UsageError: the case has no such source, or one is not where it was.
    """
    from search.verify import Checker

    held = case.catalog.sources()
    if unknown := [name for name in only or [] if name not in held]:
        raise UsageError(f"{unknown[0]}: no such source; there are {', '.join(held)}")
    sources = [held[name] for name in only or held]
    for source in sources:
        try:
            check_source(source)
        except UsageError as error:
            reason = str(error).partition(";")[0]
            raise UsageError(f"{source.name}: {reason}; the others alone: --source NAME") from error
    runs = case.catalog.runs()
    limits = Limits(**runs[-1].limits) if runs else limits_of(case)  # type: ignore[arg-type]
    checker = Checker(case)
    with tempfile.TemporaryDirectory(prefix="archivore-") as scratch:
        known = (*passwords, *recall_passwords(case))
        Ingest(checker, Path(scratch), limits=limits, passwords=known, jobs=jobs, tell=tell).run(sources)
    found = [*checker.differences, *checker.gone(source.name for source in sources)]
    return checker.same, sorted(found, key=lambda each: (each.path, each.id))


def _place(sources: dict[str, Source], item: Item) -> Place:
    if len(item.provenance.hops) == 1:
        return place_of_root(sources[item.provenance.source], item.provenance)
    return Place(item.provenance)


@contextmanager
def _recorded(
    case: Case,
    command: str,
    limits: Limits,
    options: dict[str, Scalar],
    sources: list[str],
    indexed: Callable[[int], None],
) -> Iterator[tuple[dict[str, int], Callable[[dict[str, str]], None]]]:
    """A run that is in the catalog from its start: its counts, to be filled, and who takes the readers' versions."""
    counts: dict[str, int] = {}
    runs = case.catalog.runs()
    versions = {"archivore": VERSION}
    run = Run(
        id=runs[-1].id + 1 if runs else 1,
        started=datetime.now(UTC),
        ended=None,
        versions=versions,
        options={"command": command, **options},
        limits=asdict(limits),
        counts=counts,
    )

    def add_versions(handlers: dict[str, str]) -> None:
        made = {"libmagic": magic_version(), **handlers}
        if not made.items() <= versions.items():
            versions.update(made)
            case.catalog.keep_run(run)

    case.catalog.keep_run(run)
    case.catalog.commit()  # what the index needs is loaded while the workers work
    case.record("started", run=run.id, command=command, sources=sources, **options)
    complete = False
    try:
        yield counts, add_versions
        case.update_index(indexed)
        complete = True
    finally:
        case.record("ended", run=run.id, complete=complete, counts=counts)
    options = {**run.options, "last_item": case.catalog.last_item()}
    case.catalog.keep_run(replace(run, ended=datetime.now(UTC), options=options, counts=dict(counts)))
    case.commit()


def extract_item(case: Case, item: Item, output: Path, passwords: tuple[Password, ...], limits: Limits) -> str:
    """Writes an item's bytes, found again in the evidence, and returns their SHA-256.

    Raises:
        UsageError: the item has no bytes, the output exists, or the evidence no longer gives them.
    """
    if item.digests is None:
        raise UsageError(f"{item.provenance}: has no bytes to extract")
    source = case.catalog.sources()[item.provenance.source]
    if not source.path:
        raise UsageError(f"{source.name}: the evidence is not on this machine; a packed case tells where: open-pack")
    if os.path.lexists(output):
        raise UsageError(f"{output}: exists already; choose another --output")
    hasher = Hasher()
    known = (*passwords, *recall_passwords(case, item))
    try:
        with whole_path(output) as part, closing(Fetcher(known, limits)) as fetcher, part.open("wb") as file:
            for data in fetcher.fetch(source, item.provenance):
                hasher.update(data)
                file.write(data)
            if hasher.digests().sha256 != item.digests.sha256:
                raise UsageError(
                    f"{item.provenance}: the evidence gives other bytes now (SHA-256 differs); nothing written"
                )
    except EvidenceError as error:
        hint = "; give passwords with --passwords FILE" * (error.cause == "encrypted")
        raise UsageError(f"{item.provenance}: {error.message}{hint}") from error
    return hasher.digests().sha256


def rename_members(case: Case, container: Item, codec: str) -> int:
    """Decodes the names of a container's members anew, from the raw names that are kept.

    Raises:
        UsageError: the codec is not known.
    """
    members = [item.provenance.hops[-1] for item in case.catalog.children(container.id)]
    shown = decode_as([hop.raw for hop in members], codec).names
    changed = {hop: name for hop, name in zip(members, shown, strict=True) if name != hop.name and not _is_utf8(hop)}
    count = case.catalog.rename_members(container.provenance, changed)
    case.commit()
    case.update_index()
    case.record("renamed", container=container.id, codec=codec, items=count)
    return count


def _is_utf8(hop: Hop) -> bool:
    try:
        return bool(hop.raw.decode())
    except UnicodeDecodeError:
        return False
