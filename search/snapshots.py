"""What changed between two snapshots of a server, and the batches of a series: by place and by digest.

Two sources are compared place by place (their paths without the source's name), containers' members too: an
archive that was packed anew with the same members is one row, not hundreds. The two lists are read side by
side in the order of paths, so that a million items need no memory.

    new       the place was not there before, nor the bytes anywhere
    changed   the same place, other bytes
    repacked  a container with other bytes whose members are all the same
    moved     the same bytes at another place, which is gone
    copied    the same bytes at another place, which is still there
    gone      the place is there no more, nor the bytes
    re-sent   new against the snapshot before, but an earlier one of the series had these bytes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from indexer.errors import UsageError
from indexer.model import Source
from search.case import Case
from search.kinds import coarse_type
from search.lookup import Place
from search.report import Cell, Column, Report, colophon_of, sheet_of

CHANGES = ("new", "changed", "repacked", "moved", "copied", "re-sent", "gone")
_ROWS = (
    Column("change"), Column("type"), Column("path"), Column("was"), Column("size_before", "number"),
    Column("size", "number"), Column("id_before", shown=False), Column("id"), Column("sha256_before", shown=False),
    Column("sha256", shown=False),
)  # fmt: skip
_SUMMARY = (Column("of"), *(Column(change.replace("-", "_"), "number") for change in CHANGES))
_SERIES = (
    Column("source"), Column("acquired", "time"), Column("files", "number"), Column("bytes", "number"),
    *(Column(change.replace("-", "_"), "number") for change in CHANGES),
)  # fmt: skip
_DIGESTS = (
    Column("sha256"), Column("name"), Column("size", "number"), Column("first_seen"), Column("last_seen"),
    Column("snapshots", "number"), Column("places", "number"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One place that is not as it was; `before` is where the bytes were, or what was there."""

    kind: str
    before: Place | None
    after: Place | None
    path: str


def diff(case: Case, before: str, after: str) -> Report:
    """The changes from one source to another, by path, and how many there are by folder and by type.

    Raises:
        UsageError: the case has no such source.
    """
    sources = case.catalog.sources()
    for name in (before, after):
        if name not in sources:
            raise UsageError(f"{name}: no such source; there are {', '.join(sources)}")
    earlier = [each.name for each in _in_time(case, sources[before].series)] if sources[before].series else []
    earlier = earlier[: earlier.index(before)] if before in earlier else []
    found = partial(changes, case, before, after, tuple(earlier))
    sheets = (
        sheet_of("changes", _ROWS, lambda: (_row(change) for change in found())),
        sheet_of("by folder", _SUMMARY, lambda: _count(found(), lambda change: change.path.rpartition("/")[0] or ".")),
        sheet_of("by type", _SUMMARY, lambda: _count(found(), _type)),
    )
    return Report(case, colophon_of(case, "diff", before=before, after=after), sheets)


def series(case: Case, name: str) -> Report:
    """The snapshots of a series in the order in which they were acquired, and each digest's first and last.

    What has bytes counts: files = those of the snapshot before + new + copied + re-sent - gone.

    Raises:
        UsageError: no source belongs to such a series.
    """
    batches = _in_time(case, name)
    if not batches:
        known = sorted({source.series for source in case.catalog.sources().values() if source.series})
        raise UsageError(f"{name}: no source belongs to this series; there are {', '.join(known) or 'none'}")
    names = [source.name for source in batches]
    sheets = (
        sheet_of("batches", _SERIES, partial(_batches, case, batches)),
        sheet_of("digests", _DIGESTS, lambda: case.catalog.seen_in(names)),
    )
    return Report(case, colophon_of(case, "series", series=name), sheets)


def changes(case: Case, before: str, after: str, earlier: tuple[str, ...] = ()) -> Iterator[Change]:
    """Every place that differs, in the order of paths.

    Args:
        earlier: sources of the same series from before `before`.
    """
    moves = lru_cache(maxsize=4096)(partial(_moves, case, before, after))
    old, new = case.catalog.places(before), case.catalog.places(after)
    left, right = next(old, None), next(new, None)
    while left or right:
        if right is None or (left and left.path < right.path):
            assert left is not None
            if not left.size or left.path not in moves(left.sha256).values():
                yield Change("gone", left, None, left.path)
            left = next(old, None)
        elif left is None or right.path < left.path:
            origin = moves(right.sha256).get(right.path, "") if right.size else ""
            yield _arrived(case, right, origin, before, earlier)
            right = next(new, None)
        else:
            if left.sha256 != right.sha256:
                same = case.catalog.members_of(left.id) == (members := case.catalog.members_of(right.id)) and members
                yield Change("repacked" if same else "changed", left, right, right.path)
            left, right = next(old, None), next(new, None)


def _moves(case: Case, before: str, after: str, sha256: str) -> dict[str, str]:
    """From where each new place of some bytes was moved: from one that is gone, of its name or its folder first.

    Each place that is gone is the origin of one at the most.
    """
    gone = [p.path for p in case.catalog.places_of(sha256, before) if not case.catalog.at_place(after, p.path)]
    new = [p.path for p in case.catalog.places_of(sha256, after) if not case.catalog.at_place(before, p.path)]
    found: dict[str, str] = {}
    for part in (2, 0, None):  # the name, the folder, anything
        waiting: dict[str, list[str]] = {}
        for path in reversed(gone):
            waiting.setdefault(path.rpartition("/")[part] if part is not None else "", []).append(path)
        for path in new:
            if path not in found and (held := waiting.get(path.rpartition("/")[part] if part is not None else "")):
                found[path] = held.pop()
        taken = set(found.values())
        gone = [path for path in gone if path not in taken]
    return found


def _arrived(case: Case, place: Place, origin: str, before: str, earlier: tuple[str, ...]) -> Change:
    """Whether what stands at a new place is new, moved, copied or sent again; empty files are always new."""
    held = case.catalog.places_of(place.sha256, before) if place.size else []
    if held:
        from_there = next((each for each in held if each.path == origin), held[0])
        return Change("moved" if origin else "copied", from_there, place, place.path)
    for name in reversed(earlier if place.size else ()):
        held = case.catalog.places_of(place.sha256, name)
        if held:
            return Change("re-sent", held[0], place, place.path)
    return Change("new", None, place, place.path)


def _in_time(case: Case, name: str) -> list[Source]:
    chosen = [source for source in case.catalog.sources().values() if name and source.series == name]
    return sorted(chosen, key=lambda source: (str(source.acquired_at or ""), source.name))


def _batches(case: Case, batches: list[Source]) -> Iterator[tuple[Cell, ...]]:
    for number, source in enumerate(batches):
        _, size = case.catalog.totals(source.name)
        count = case.catalog.files_in(source.name)
        counts: Counter[str] = Counter()
        if number:
            earlier = tuple(each.name for each in batches[: number - 1])
            counts = Counter(change.kind for change in changes(case, batches[number - 1].name, source.name, earlier))
        else:
            counts["new"] = count
        yield (source.name, source.acquired_at, count, size, *(counts[change] for change in CHANGES))


def _row(change: Change) -> tuple[Cell, ...]:
    before, after = change.before, change.after
    was = before.path if before and before.path != change.path else None
    return (
        change.kind, _type(change), change.path, was,
        before.size if before else None, after.size if after else None,
        before.id if before else None, after.id if after else None,
        before.sha256 if before else None, after.sha256 if after else None,
    )  # fmt: skip


def _type(change: Change) -> str:
    place = change.after or change.before
    return coarse_type(place.media_type) if place else ""


def _count(found: Iterator[Change], of: object) -> Iterator[tuple[Cell, ...]]:
    counts: dict[str, Counter[str]] = {}
    for change in found:
        counts.setdefault(of(change), Counter())[change.kind] += 1  # type: ignore[operator]
    for name, each in sorted(counts.items()):
        yield (name, *(each[change] for change in CHANGES))
