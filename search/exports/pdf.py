"""The report as PDF, for printing and signing: the same cover, charts, hits and problems as the HTML report.

Typst sets it. The template, `report.typ` beside this file, never changes; everything of the case comes to it
as one JSON file of strings, so that nothing of the evidence can be read as markup. A PDF is made in memory:
hits beyond the first 5,000 are counted and said to be left to the other formats.

Source: Typst reference, json and text.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from indexer.errors import UsageError
from indexer.model import Hit
from search.exports._file import whole_path
from search.exports.html_report import card_of, charts_of, cover_of, is_hits, marked, shown
from search.report import Report, plain, problems_sheet

MOST = 5_000
"""Hits, rows of a table, and problems."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the same answer gives the same bytes


def write(path: Path, report: Report) -> int:
    """Writes the report and returns how many hits, or rows of its first sheet, there are.

    Raises:
        UsageError: typst is not installed.
    """
    try:
        import typst
    except ImportError as error:
        raise UsageError("pdf needs typst: pip install 'archivore[pdf]'; or write html, and print it") from error
    with tempfile.TemporaryDirectory(prefix="archivore-") as name:
        folder = Path(name)
        data, count = _data(report, folder)
        (folder / "data.json").write_text(json.dumps(data), "ascii")
        shutil.copy(Path(__file__).with_name("report.typ"), folder)
        with whole_path(path) as part:
            part.write_bytes(typst.compile(str(folder / "report.typ"), root=str(folder), timestamp=_EPOCH))
    return count


def _data(report: Report, folder: Path) -> tuple[dict[str, Any], int]:
    """What the template sets, and how many rows there are in all; small pictures go into the folder."""
    count = 0
    hits: list[dict[str, Any]] = []
    if is_hits(report) and report.items:
        for count, row in enumerate(report.items(), 1):
            if count <= MOST:
                hits.append(_hit(report, count, row, folder))
    sheets = []
    for number, sheet in enumerate([] if is_hits(report) else report.sheets):
        rows = sheet.rows()
        columns = [at for at, column in enumerate(sheet.columns) if column.shown]
        cells = [[shown(plain(row.cells[at])) for at in columns] for row in islice(rows, MOST)]
        if not number:
            count = len(cells) + sum(1 for _ in rows)
        names = [sheet.columns[at].name.replace("_", " ") for at in columns]
        sheets.append({"name": sheet.name, "columns": names, "rows": cells})
    problems = islice(problems_sheet(report.case).rows(), MOST)
    colophon = report.colophon
    data = {
        "case": shown(colophon.case),
        "examiner": shown(report.case.settings.get("examiner", "")),
        "query": shown(colophon.query),
        "export": colophon.id,
        "version": colophon.version,
        "cover": [[shown(name), shown(value)] for name, value in cover_of(report)],
        "charts": [
            {"name": name, "bars": [[shown(bar.label), bar.count, bar.share] for bar in bars]}
            for name, bars in charts_of(report)
        ],
        "hits": hits,
        "left": max(0, count - MOST),
        "sheets": sheets,
        "causes": [[cause, number] for cause, number in report.case.catalog.counts("cause").items()],
        "problems": [[str(row.cells[0])[:8], *(shown(row.cells[at]) for at in (1, 3, 4))] for row in problems],
    }
    return data, count


def _hit(report: Report, number: int, row: Any, folder: Path) -> dict[str, Any]:
    card = card_of(report, (number, row))
    item = card["item"]
    picture = ""
    if card["picture"]:
        picture = f"{number}.jpg"
        (folder / picture).write_bytes(base64.b64decode(card["picture"]))
    size = f"{item.size:,} bytes, " if item.size is not None else ""
    return {
        "number": number,
        "name": shown(item.name),
        "path": shown(item.provenance),
        "facts": shown(f"{size}{item.media_type}, {item.status}"),
        "id": item.id,
        "sha256": item.digests.sha256 if item.digests else "",
        "times": [shown(f"{kind} {at} ({origin})") for at, kind, origin in card["times"][:6]],
        "tags": [shown(mark["text"]) for mark in card["told"]["tags"]],
        "notes": [shown(f"{mark['text']} ({mark['who']}, {mark['at']})") for mark in card["told"]["notes"]],
        "passages": [
            {"where": shown(each.locator), "pieces": [[is_match, text] for is_match, text in marked(each)]}
            for each in (row.highlights if isinstance(row, Hit) else ())
        ],
        "problems": [shown(f"{problem.cause}: {problem.message}") for problem in item.problems],
        "picture": picture,
    }
