"""Clusters: what is nearly the same, joined, and kept so that queries and facets know it.

    clusters.sqlite   in the case folder: clusters (key of what `search.alike` signed, cluster), and what the
                      case held when they were made

A cluster is named by its kind and the first digits of the smallest SHA-256 in it, so that the same evidence has the
same names. Clusters are made when they are asked for; items that came later are in none until they are made anew,
unless their bytes were there before. The file can be deleted at any time; a new index knows no clusters then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from indexer.model import Field, Item, Scalar
from search.alike import ITEM_COLUMNS, LEAST, Alike
from search.answers import matching
from search.case import CLUSTERS, Case
from search.database import Database, is_made
from search.report import Cell, Column, Report, colophon_of, sheet_of

FIELD = "cluster"
KINDS = ("text", "picture")
"""What is joined; of videos only moments are alike."""
_DIGITS = 16
_SCHEMA = """
CREATE TABLE IF NOT EXISTS clusters (
    kind TEXT NOT NULL, key BLOB NOT NULL, cluster TEXT NOT NULL, PRIMARY KEY (key, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fresh (key BLOB PRIMARY KEY, cluster TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made (kind TEXT PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""
_CHANGED = """
SELECT key FROM (SELECT key, cluster FROM fresh EXCEPT SELECT key, cluster FROM clusters WHERE kind = ?)
UNION SELECT key FROM (SELECT key, cluster FROM clusters WHERE kind = ? EXCEPT SELECT key, cluster FROM fresh)
"""
_COLUMNS = (Column("cluster"), Column("kind"), Column("members", "number"), *ITEM_COLUMNS)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Items of more than one content that are like one another.

    Attributes:
        keys: of their signatures, ascending.
        ids: of the items, sorted by path.
        path: of the first.
    """

    kind: str
    name: str
    keys: tuple[str, ...]
    ids: tuple[str, ...]
    path: str


class Clusters:
    """The clusters that are kept of a case; close it after use."""

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self._database = Database(folder / CLUSTERS, _SCHEMA, write=write)

    def close(self) -> None:
        """Closes the file; what was not committed is gone."""
        self._database.close()

    def fields_of(self, keys: Sequence[str]) -> dict[str, list[Field]]:
        """The clusters of a few hundred keys, of readings or of bytes, as fields, by key."""
        found: dict[str, list[Field]] = {}
        marks = ", ".join("?" * len(keys))
        statement = f"SELECT key, cluster FROM clusters WHERE key IN ({marks}) ORDER BY key, kind"  # noqa: S608
        for key, cluster in self._database.rows(statement, [bytes.fromhex(key) for key in keys]):
            found.setdefault(key.hex(), []).append(Field(FIELD, cluster))
        return found

    def made(self) -> dict[str, tuple[int, int]]:
        """Of each kind, how many items and bytes the case held when its clusters were made."""
        return {kind: (items, size) for kind, items, size in self._database.rows("SELECT * FROM made ORDER BY kind")}

    def renew(self, kind: str, clusters: Iterable[Cluster]) -> Iterator[str]:
        """Puts clusters in the place of all of a kind, and gives the keys of which another thing is now said."""
        self._database.write("DELETE FROM fresh")
        rows = ((bytes.fromhex(key), each.name) for each in clusters for key in each.keys)
        self._database.write_all("INSERT INTO fresh VALUES (?, ?)", rows)
        for (key,) in self._database.rows(_CHANGED, (kind, kind)):
            yield key.hex()
        self._database.write("DELETE FROM clusters WHERE kind = ?", (kind,))
        self._database.write("INSERT INTO clusters SELECT ?, key, cluster FROM fresh", (kind,))
        self._database.write("DELETE FROM fresh")

    def end(self, kind: str, state: tuple[int, int]) -> None:
        """Makes what was renewed durable, with the items and bytes that the case holds."""
        self._database.write("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", (kind, *state))
        self._database.commit()


def clusters_in(alike: Alike, kinds: Sequence[str] = KINDS, least: float | None = None) -> list[Cluster]:
    """Items that are like one another, joined; exact copies alone make none.

    Args:
        kinds: `text`, `picture` or both.
        least: from 0 to 1, in the place of `LEAST`.
    """
    from search.engine.signatures import clusters as join

    found: list[Cluster] = []
    for kind in kinds:
        held, kept = alike.load(kind)
        for rows in join(kept, LEAST[kind] if least is None else least):
            keys = tuple(held[at] for at in rows)
            ids = (identity for key in keys for identity in alike.ids_of(kind, key))
            members = sorted(
                (str(item.provenance), item.id, _content(item))
                for item in map(alike.case.catalog.item, ids)
                if item is not None
            )
            contents = sorted({content for _, _, content in members})
            if len(contents) > 1:
                name = f"{kind}-{contents[0][:_DIGITS]}"
                found.append(Cluster(kind, name, keys, tuple(each for _, each, _ in members), members[0][0]))
    return found


def _content(item: Item) -> str:
    return item.digests.sha256 if item.digests else item.id


def report_of_clusters(
    alike: Alike, found: Iterable[Cluster], query: str = "", kinds: Sequence[str] = KINDS, least: float | None = None
) -> Report:
    """The items of each cluster, the largest clusters first.

    Args:
        found: by `clusters_in`, with the same `kinds` and `least`.
        query: only its hits are members; all items where empty.

    Raises:
        QueryError: the query cannot be understood.
    """
    case = alike.case
    groups = list(found if not query else _among({item.id for item in matching(case, query)}, case, found))
    groups.sort(key=lambda each: (-len(each.ids), each.kind, each.path, each.name))

    def rows() -> Iterator[tuple[Cell, ...]]:
        for each in groups:
            for item in filter(None, map(case.catalog.item, each.ids)):
                sizes = alike.sizes_of(each.kind, item.digests.sha256) if item.digests else (None, None)
                head = (each.name, each.kind, len(each.ids), item.id)
                yield (*head, str(item.provenance), item.size, item.media_type, *sizes)

    def items() -> Iterator[Item]:
        return filter(None, map(case.catalog.item, dict.fromkeys(each for group in groups for each in group.ids)))

    options: dict[str, Scalar] = {"clusters": True, "kinds": ",".join(kinds), **({"least": least} if least else {})}
    colophon = colophon_of(case, "similar", query, **options)
    return Report(case, colophon, (sheet_of("clusters", _COLUMNS, rows),), items, alike.notes(kinds))


def _among(chosen: set[str], case: Case, found: Iterable[Cluster]) -> Iterator[Cluster]:
    for each in found:
        members = [item for item in map(case.catalog.item, each.ids) if item is not None and item.id in chosen]
        if len({_content(item) for item in members}) > 1:
            ids = tuple(item.id for item in members)
            yield Cluster(each.kind, each.name, each.keys, ids, str(members[0].provenance))


def keep_clusters(case: Case, found: Iterable[Cluster], kinds: Sequence[str] = KINDS) -> int:
    """Keeps clusters in the place of those there were, brings the index up to them, and returns how many items changed.

    Args:
        case: open for writing.
        found: by `clusters_in`, for these kinds.
    """
    found = list(found)
    state = case.catalog.totals()
    with closing(Clusters(case.path, write=True)) as kept:
        for kind in kinds:
            for key in kept.renew(kind, (each for each in found if each.kind == kind)):
                if kind == "text":
                    case.catalog.make_stale_sharing(key)
                else:
                    for identity in case.catalog.same_bytes(key):
                        case.catalog.make_stale(identity)
            # Stale first: what is indexed once too often does no harm.
            case.catalog.commit()
            kept.end(kind, state)
    return case.update_index()


def notes_of_clusters(case: Case) -> tuple[str, ...]:
    """What to know before clusters of this case are counted: that there are none, or that items came later."""
    again = "`archivore similar --clusters` makes them"
    if not is_made(case.path / CLUSTERS):
        return (f"No clusters were made in this case; {again}.",)
    state = case.catalog.totals()
    with closing(Clusters(case.path)) as kept:
        older = {kind: items for kind, (items, size) in kept.made().items() if (items, size) != state}
    return tuple(
        f"Clusters of {kind}s were made when the case held {items:,} items; it holds {state[0]:,}; {again} anew."
        for kind, items in older.items()
    )
