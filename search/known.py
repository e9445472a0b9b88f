"""Hash sets of a case put to use: items that a list holds get a field with its name, and the index follows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from indexer.hashsets import FILE, HashSets, Kind
from search.case import Case


def take(case: Case, path: Path, name: str, kind: Kind) -> tuple[int, int]:
    """Takes in a list, and returns how many digests it has and how many items of the case are in any list.

    Raises:
        UsageError: no digest is in the file, or it cannot be read.
        StoreError: the disk is full.
    """
    with closing(HashSets(case.path / FILE, write=True)) as sets:
        count = sets.add(path, name, kind)
        items = _restale(case, sets)
    _settle(case)
    return count, items


def forget(case: Case, name: str) -> None:
    """Forgets a list.

    Raises:
        UsageError: there is none of this name.
    """
    with closing(HashSets(case.path / FILE, write=True)) as sets:
        _restale(case, sets)  # while the list still says which items it held
        sets.remove(name)
    _settle(case)


def _restale(case: Case, sets: HashSets) -> int:
    count = 0
    for identity, digests in case.catalog.digests():
        if sets.names_of(digests, "known") or sets.names_of(digests, "notable"):
            case.catalog.make_stale(identity)
            count += 1
    return count


def _settle(case: Case) -> None:
    case.close_hashsets()
    case.commit()
    case.update_index()
