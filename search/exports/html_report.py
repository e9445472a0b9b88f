"""The HTML report: one self-contained file, to be read, printed and handed on.

It needs no script and no network, and says so to the browser: a content security policy lets nothing run and
nothing load but the pictures inside the file. Every value of the evidence is made visible (control characters,
direction overrides), escaped by the template, and set in `<bdi>`, so that right-to-left text moves nothing
around it. Hits are written as they come: a report of a million hits needs no more memory than one of ten.

The template is `report.html.j2` beside this file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from indexer.model import Highlight, Hit, Item, Scalar, print_time
from search.exports._charts import Bar, bars, days
from search.exports._file import whole_file
from search.facets import facets
from search.report import Column, Report, colophon_rows, exact_of, plain, problems_sheet
from search.sanitise import visible, visible_text

_LONGEST = 4_000
"""Characters of a cell or a passage; what is longer says that it was cut."""
_GAP = re.compile(r"\r\n|[\n\t]")
"""What is a space in a passage, which is one line."""
_ELSEWHERE = frozenset(("case", "command", "query", "export", "made by", "Archivore"))
"""Rows of the cover that stand in its head or at the end."""
_FACETS = ("type", "lang", "source", "status")
_MOST_BARS = 12


class _Count:
    """Counts what goes through it."""

    def __init__(self) -> None:
        self.value = 0

    def through(self, rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:
            self.value += 1
            yield row


def write(path: Path, report: Report) -> int:
    """Writes the report and returns how many hits, or rows of its first sheet, it has."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "marked": marked}
    count = _Count()
    rows = report.items() if report.items else iter(())
    values = {
        "title": f"{report.colophon.case}: {report.colophon.query or report.colophon.command}",
        "colophon": report.colophon,
        "cover": cover_of(report),
        "made_by": ", ".join(f"{name} {made}" for name, made in report.colophon.versions.items()),
        "charts": charts_of(report),
        "families": _families(report, count.through(rows)) if is_hits(report) else (),
        "sheets": [] if is_hits(report) else _sheets(report, count),
        "problems": problems_sheet(report.case).rows(),
        "causes": report.case.catalog.counts("cause"),
        "notes": report.notes,
        "count": count,
    }
    with whole_file(path) as file:
        for part in environment.get_template("report.html.j2").generate(values):
            file.write(part)
    return count.value


def is_hits(report: Report) -> bool:
    """Whether the report is a list of items or hits."""
    return report.items is not None and report.sheets[0].name in ("hits", "items")


def _sheets(report: Report, count: _Count) -> Iterator[tuple[str, Sequence[Column], Iterator[list[Scalar | None]]]]:
    for number, sheet in enumerate(report.sheets):
        rows = sheet.rows()
        cells = ([plain(cell) for cell in row.cells] for row in (count.through(rows) if not number else rows))
        yield sheet.name, sheet.columns, cells


def cover_of(report: Report) -> list[tuple[str, str]]:
    """The rows of the cover, without what stands in the head or at the end."""
    return [row for row in colophon_rows(report.colophon) if row[0] not in _ELSEWHERE]


def charts_of(report: Report) -> list[tuple[str, list[Bar]]]:
    """Bars for what the items are made of, and for when they were modified; none for other answers."""
    if report.items is None:
        return []
    found = facets(report.case, report.colophon.query, [*_FACETS, "modified.day", "modified.month"])
    counts: dict[str, dict[str, int]] = {}
    for row in found.sheets[0].rows():
        counts.setdefault(str(row.cells[0]), {})[str(row.cells[1])] = int(str(row.cells[2]))
    charts = [(name, bars(counts[name], _MOST_BARS)) for name in _FACETS if counts.get(name)]
    by_day = days(counts.get("modified.day", {}), counts.get("modified.month", {}))
    return [*charts, ("modified", by_day)] if by_day else charts


def _families(report: Report, rows: Iterable[Item | Hit]) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Hits in the order of their paths, under the file of the source that they came out of."""
    numbered = enumerate(rows, 1)
    for root, group in groupby(numbered, key=lambda pair: str(_item(pair[1]).provenance.root)):
        yield root, map(partial(card_of, report), group)


def card_of(report: Report, pair: tuple[int, Item | Hit]) -> dict[str, Any]:
    """What the report shows of one item or hit, from its number in the list."""
    number, row = pair
    item = _item(row)
    told = exact_of(report.case, row)
    picture = report.thumbnail(item) if report.thumbnail and item.digests else None
    return {
        "number": number,
        "item": item,
        "hops": [str(hop) for hop in item.provenance.hops[1:]],
        "told": told,
        "times": [(print_time(each.moment), each.kind, each.origin) for each in item.timestamps],
        "highlights": row.highlights if isinstance(row, Hit) else (),
        "duplicates": row.duplicates if isinstance(row, Hit) else (),
        "picture": base64.b64encode(picture).decode("ascii") if picture else "",
    }


def _item(row: Item | Hit) -> Item:
    return row.item if isinstance(row, Hit) else row


def shown(value: object) -> str:
    """A value on the page: visible, and where it is cut, said so."""
    text = visible_text(str(value)) if value is not None else ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} [cut: {len(text) - _LONGEST} more characters]"


def marked(highlight: Highlight) -> list[tuple[bool, str]]:
    """A passage in pieces, each with whether it is a match."""
    pieces, at = [], 0
    for start, end in highlight.spans:
        pieces += [(False, highlight.text[at:start]), (True, highlight.text[start:end])]
        at = end
    pieces.append((False, highlight.text[at:]))
    return [(is_match, visible(_GAP.sub(" ", text))) for is_match, text in pieces if text]
