"""How many hits have each value of a field: over all hits of a query, from the index's columns, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from indexer.errors import UsageError
from search.case import Case
from search.report import Cell, Column, Report, colophon_of, sheet_of
from search.schema import TYPES

SHORT = {"day": "modified.day", "month": "modified.month", "year": "modified.year"}
"""What analysts write for the commonest parts of dates."""
_COLUMNS = (Column("field"), Column("value"), Column("items", "number"))


def facets(case: Case, query: str, by: Sequence[str], *, limit: int = 0) -> Report:
    """For each field, its values among the hits and how many items have each, the most frequent first.

    Args:
        by: fields as queries name them, and parts of dates: `day`, `sent.month`.
        limit: values of each field at the most; all where 0.

    Raises:
        QueryError: the query cannot be understood.
        UsageError: a field that this case does not have.
    """
    known = case.index.fields()
    fields = [SHORT.get(name, name) for name in by]
    for name in fields:
        stem = name.rpartition(".")[0]
        if not {name, stem} & (known.keys() | TYPES.keys()):
            raise UsageError(f"{name}: no item has this field; `archivore fields` lists those there can be")
    counts = case.index.facets(case.parse(query or "*"), fields)
    rows = partial(_rows, counts, limit)
    colophon = colophon_of(case, "facets", query, by=",".join(by), limit=limit)
    notes = case.index.notes
    if "cluster" in fields:
        from search.clustering import notes_of_clusters

        notes += notes_of_clusters(case)
    return Report(case, colophon, (sheet_of("facets", _COLUMNS, rows),), notes=notes)


def _rows(counts: dict[str, dict[str, int]], limit: int) -> Iterator[tuple[Cell, ...]]:
    for name, values in counts.items():
        for at, (value, items) in enumerate(values.items()):
            if limit and at >= limit:
                break
            yield name, value, items
