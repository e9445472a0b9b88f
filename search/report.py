"""What an answer is before it is a file: sheets of rows, and the colophon that says how they were made.

Every way of asking makes a `Report`; every format of `exports/` writes one. A sheet is a table with typed
columns whose rows are made as they are written; `items` gives the items or hits behind them to the formats
that are about items (body files, CASE, review platforms), and is None where the answer is about something else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import asdict

from indexer import VERSION
from indexer.model import Hit, Item, Scalar, print_time
from search.folder import ABOUT, about_of

if TYPE_CHECKING:
    from search.case import Case
    from search.review import Mark

    Marks = tuple[tuple[Mark, ...], tuple[Mark, ...]]
    """The tags and the notes of an item."""

Cell = str | int | float | bool | datetime | None


class Column(Struct, frozen=True):
    """A column: its name in snake case, how its cells are typed, and whether a terminal shows it.

    A `request` is the path of a request as a log has it: a terminal shows it without the escapes.
    """

    name: str
    kind: Literal["text", "number", "time", "request"] = "text"
    shown: bool = True


class Row(Struct, frozen=True):
    """Cells in the order of the columns, and the same as exact JSON, with all that has no column."""

    cells: tuple[Cell, ...]
    exact: Mapping[str, object]


class Sheet(Struct, frozen=True):
    """One table; its rows can be gone through once for each call of `rows`.

    A time without a zone in a cell is a wall clock of which the zone is not known.
    """

    name: str
    columns: tuple[Column, ...]
    rows: Callable[[], Iterable[Row]]


class Colophon(Struct, frozen=True):
    """How an answer was made: enough for somebody else to make it again, and nothing that differs then.

    `about` is what the case's settings say of the investigation; `version` is of the Archivore that answered,
    `versions` are of what read the evidence, the newest where runs differ.
    """

    case: str
    about: dict[str, str]
    command: str
    query: str
    options: dict[str, Scalar]
    version: str
    versions: dict[str, str]
    runs: list[dict[str, object]]
    sources: list[dict[str, object]]
    state: dict[str, int]

    @property
    def id(self) -> str:
        """Names the answer: the same question to the same case in the same state has the same id."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, object]:
        """All of it as one JSON object."""
        return asdict(self)


class Report(Struct, frozen=True):
    """An answer that can be written in any format."""

    case: Case
    colophon: Colophon
    sheets: tuple[Sheet, ...]
    items: Callable[[], Iterator[Item | Hit]] | None = None
    notes: tuple[str, ...] = ()
    thumbnail: Callable[[Item], bytes | None] | None = None
    """Gives a small JPEG of a picture, where it can be had."""
    events: Callable[[], Iterator[tuple[Cell, ...]]] | None = None
    """Events of logs beside the items, by time, their cells as in the sheet of a timeline; for formats of times."""


def _asked(options: dict[str, Scalar]) -> dict[str, Scalar]:
    return {name: value for name, value in options.items() if name != "last_item"}


def colophon_of(case: Case, command: str, query: str = "", **options: Scalar) -> Colophon:
    """The colophon of an answer that this case gives now."""
    runs = case.catalog.runs()
    count, size = case.catalog.totals()
    return Colophon(
        case=case.name,
        about=about_of(case.settings),
        command=command,
        query=query,
        options=options,
        version=VERSION,
        versions=dict(sorted({name: made for run in runs for name, made in run.versions.items()}.items())),
        runs=[{"id": run.id, "limits": dict(run.limits), "options": _asked(run.options)} for run in runs],
        sources=[
            {
                "name": source.name,
                "path": source.path,
                "custodian": source.custodian,
                "series": source.series,
                "acquired": print_time(source.acquired_at) if source.acquired_at else "",
                "sha256": case.catalog.digest_of_source(source.name),
            }
            for source in case.catalog.sources().values()
        ],
        state={"items": count, "bytes": size, **case.catalog.counts("status")},
    )


def colophon_rows(colophon: Colophon) -> Iterator[tuple[str, str]]:
    """The colophon in words, for covers."""
    yield "case", colophon.case
    yield from ((ABOUT[key], value) for key, value in colophon.about.items())
    yield "command", colophon.command
    yield "query", colophon.query or "(every item)"
    yield from ((f"option {name}", str(value)) for name, value in colophon.options.items())
    yield "Archivore", colophon.version
    for run in colophon.runs:
        yield f"run {run['id']}", ", ".join(f"{name}: {value}" for name, value in _pairs(run["options"]))
    for source in colophon.sources:
        told = [f"{name}: {value}" for name, value in source.items() if value and name != "name"]
        yield f"source {source['name']}", ", ".join(told)
    yield from ((f"case holds: {name}", f"{value:,}") for name, value in colophon.state.items())
    yield "export", colophon.id
    yield "made by", ", ".join(f"{name} {made}" for name, made in colophon.versions.items())


def _pairs(options: object) -> list[tuple[str, object]]:
    return [(name, value) for name, value in options.items() if value] if isinstance(options, dict) else []


_PROBLEMS = (Column("id"), Column("path"), Column("status"), Column("cause"), Column("message"), Column("resolution"))


def problems_sheet(case: Case) -> Sheet:
    """What was not fully read in the whole case, and why."""

    def rows() -> Iterator[tuple[Cell, ...]]:
        for item in case.catalog.with_problem():
            for problem in item.problems:
                yield (item.id, str(item.provenance), item.status, problem.cause, problem.message, problem.resolution)

    return sheet_of("problems", _PROBLEMS, rows)


def sheet_of(name: str, columns: tuple[Column, ...], rows: Callable[[], Iterable[tuple[Cell, ...]]]) -> Sheet:
    """A sheet whose exact rows are its cells under the columns' names."""

    def make() -> Iterator[Row]:
        names = [column.name for column in columns]
        for cells in rows():
            yield Row(cells, {name: plain(cell) for name, cell in zip(names, cells, strict=True)})

    return Sheet(name, columns, make)


def plain(cell: Cell) -> Scalar | None:
    """A cell as JSON has it: times in ISO 8601, with `Z` where the zone is known."""
    if isinstance(cell, datetime):
        return print_time(cell)
    return cell


_HITS = (
    Column("id"), Column("path"), Column("name"), Column("size", "number"), Column("media_type"), Column("handler"),
    Column("status"), Column("language"), Column("modified", "time"), Column("md5"), Column("sha1"), Column("sha256"),
    Column("problems"), Column("tags"), Column("notes"), Column("score", "number"), Column("snippet"),
    Column("locator"), Column("duplicates", "number"),
)  # fmt: skip


def exact_of(case: Case, row: Item | Hit, *, with_text: bool = False) -> dict[str, object]:
    """The public JSON of an item or a hit, with what reviewers said and names say of it."""
    return _exact(case, row, _marks_of(case, row), with_text=with_text)


def _marks_of(case: Case, row: Item | Hit) -> Marks:
    identity = row.item.id if isinstance(row, Hit) else row.id
    return case.review.tags_of(identity), case.review.notes_of(identity)


def _exact(case: Case, row: Item | Hit, marks: Marks, *, with_text: bool) -> dict[str, object]:
    item = row.item if isinstance(row, Hit) else row
    tags, notes = marks
    said = {
        "tags": [mark.to_json() for mark in tags],
        "notes": [mark.to_json() for mark in notes],
        "known": list(case.hashsets.names_of(item.digests, "known")),
        "notable": list(case.hashsets.names_of(item.digests, "notable")),
        "named": {field.name: field.value for field in case.naming.fields(item.provenance.hops)},
    }
    return {**row.to_json(with_text=with_text), **said}


def hits_sheet(case: Case, name: str, rows: Callable[[], Iterable[Item | Hit]], *, with_text: bool = False) -> Sheet:
    """The sheet of items, or of hits with their best passage."""
    columns = (*_HITS, Column("text")) if with_text else _HITS

    def make() -> Iterator[Row]:
        for row in rows():
            marks = _marks_of(case, row)
            cells = _cells(row, marks)
            if with_text:
                item = row.item if isinstance(row, Hit) else row
                cells = (*cells, "\n".join(text.body for text in item.texts))
            yield Row(cells, _exact(case, row, marks, with_text=with_text))

    return Sheet(name, columns, make)


def _cells(row: Item | Hit, marks: Marks) -> tuple[Cell, ...]:
    tags, notes = marks
    hit = row if isinstance(row, Hit) else None
    item = row.item if isinstance(row, Hit) else row
    digests = item.digests
    best = hit.highlights[0] if hit and hit.highlights else None
    return (
        item.id,
        str(item.provenance),
        item.name,
        item.size,
        item.media_type,
        item.handler,
        item.status,
        item.language,
        next((stamp.moment for stamp in item.timestamps if stamp.kind == "M"), None),
        digests.md5 if digests else None,
        digests.sha1 if digests else None,
        digests.sha256 if digests else None,
        "; ".join(f"{problem.cause}: {problem.message}" for problem in item.problems),
        ", ".join(mark.text for mark in tags),
        "\n".join(f"{mark.text} ({mark.who}, {mark.at})" for mark in notes),
        hit.score if hit else None,
        best.text if best else None,
        best.locator if best else None,
        len(hit.duplicates) if hit else None,
    )
