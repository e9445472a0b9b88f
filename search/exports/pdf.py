"""The report as PDF, for printing and signing: the same cover, charts, hits and problems as the HTML report.

Typst sets it. The template, `report.typ` beside this file, never changes; everything of the case comes to it
as one JSON file of strings, so that nothing of the evidence can be read as markup. Typst holds what it sets in
memory: a long report is set in parts, each by a process of its own, and their pages are joined as they come
(`_joining.py`). A part begins on a new page, under its section's name and the number that it goes on from. Where
there are several, pages have no total beneath them: the cover has it; and there are no tags for readers that speak.

Source: Typst reference, json and text.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from indexer.errors import StoreError, UsageError
from indexer.model import Hit
from search.exports._file import whole_path
from search.exports._joining import Joined, count_pages
from search.exports.html_report import card_of, charts_of, cover_of, is_hits, marked, shown
from search.report import Cell, Report, plain, problems_sheet

MOST_ROWS = 3_000
"""Hits, or rows of tables, of one part."""
MOST_CHARS = 1_200_000
"""Characters of one part, after which the next begins."""
_PICTURE = 600
_CELL = 50
"""Characters that take as much memory as a small picture and as a cell's frame."""
_LONG = 3_000
"""Characters of a hit that may run over the end of a page; others stay whole."""
_WORD = re.compile(r"\S{19,}")
"""What may be wider than its column: typst breaks no word, and lays what is too long over its neighbour."""
_CLOCK = re.compile(r"(?<=\dT)(?=\d\d:)")
_PIECE = re.compile(r"[!-~\xc0-\u024f\u0370-\u052f]{16}(?=[!-~\xc0-\u024f\u0370-\u052f])")
_BREAK = "\u200b"

Row = tuple[Any, bytes]
"""What the template gets, and a picture."""


@dataclass(slots=True)
class _Section:
    """What stands under one heading; its rows are made as they are set."""

    head: dict[str, Any]
    rows: Iterable[Row]
    count: int = 0


@dataclass(slots=True)
class _Part:
    """As much of the report as is set at once."""

    sections: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    rows: int = 0
    chars: int = 0


def write(path: Path, report: Report) -> int:
    """Writes the report and returns how many hits, or rows of its first sheet, there are.

    Raises:
        UsageError: typst is not installed.
        StoreError: typst could not set it.
    """
    try:
        import typst  # noqa: F401 - the process that sets a part needs it
    except ImportError as error:
        raise UsageError("pdf needs typst: pip install 'archivore[pdf]'; or write html, and print it") from error
    sections = _sections(report)
    parts = _parts(sections)
    front, first, second = _front(report), next(parts), next(parts, None)
    with whole_path(path) as written:
        if second is None:
            written.write_bytes(_set(report, first, front, whole=True))
            return sections[0].count
        with written.open("wb") as file:
            joined = Joined(file)
            # Set twice: for the number of its own pages, and when that of all is known.
            pages = count_pages(_set(report, first, {**front, "cover": [*front["cover"], ["pages", "0"]]}))
            for part in chain((second,), parts):
                pages += joined.add(_set(report, part, start=pages + 1))
            front["cover"].append(["pages", f"{pages:,}"])
            joined.add(_set(report, first, front), first=True)
            joined.end()
    return sections[0].count


def _set(
    report: Report, part: _Part, front: dict[str, Any] | None = None, *, start: int = 1, whole: bool = False
) -> bytes:
    """A part as a PDF."""
    colophon = report.colophon
    data = {
        "case": shown(colophon.case),
        "export": colophon.id,
        "version": colophon.version,
        "start": start,
        "whole": whole,
        "front": front,
        "sections": part.sections,
    }
    with tempfile.TemporaryDirectory(prefix="archivore-") as name:
        folder = Path(name)
        for picture, body in part.pictures.items():
            (folder / picture).write_bytes(body)
        (folder / "data.json").write_text(json.dumps(data), "ascii")
        shutil.copy(Path(__file__).with_name("report.typ"), folder)
        # -I: nothing is imported from the folder one stands in
        command = [sys.executable, "-I", "-m", "search.exports._typesetting", name, "tags" if whole else "plain"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)  # noqa: S603
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit {done.returncode}"]
            raise StoreError(f"typst could not set the report: {lines[-1]}; write html, and print it")
        return (folder / "report.pdf").read_bytes()


def _parts(sections: list[_Section]) -> Iterator[_Part]:
    """The sections in parts, each filled before the next begins; one at the least."""
    part = _Part()
    for section in sections:
        rows: list[Any] = []
        part.sections.append({**section.head, "from": 1, "rows": rows})
        for row, picture in section.rows:
            if part.rows >= MOST_ROWS or part.chars >= MOST_CHARS:
                yield part
                part, rows = _Part(), []
                at = section.count + 1
                part.sections.append({**section.head, "from": at, "from-shown": f"{at:,}", "rows": rows})
            rows.append(row)
            if picture:
                part.pictures[row["picture"]] = picture
            section.count += 1
            part.rows += 1
            part.chars += len(json.dumps(row)) + (_PICTURE if picture else 0)
            part.chars += _CELL * len(row) if isinstance(row, list) else 0
    yield part


def _front(report: Report) -> dict[str, Any]:
    """What the first page begins with."""
    return {
        "query": _laid(report.colophon.query),
        "cover": [[_laid(name), _laid(value)] for name, value in cover_of(report)],
        "charts": [
            {"name": name, "bars": [[shown(bar.label), bar.count, bar.share] for bar in bars]}
            for name, bars in charts_of(report)
        ],
    }


def _sections(report: Report) -> list[_Section]:
    sections = []
    if is_hits(report) and report.items:
        name = "Hits" if report.colophon.query else "Items"
        rows = (_hit(report, number, row) for number, row in enumerate(report.items(), 1))
        sections.append(_Section({"kind": "hits", "name": name}, rows))
    else:
        for sheet in report.sheets:
            columns = [at for at, column in enumerate(sheet.columns) if column.shown]
            names = [sheet.columns[at].name.replace("_", " ") for at in columns]
            cells = (row.cells for row in sheet.rows())
            sections.append(_Section({"kind": "table", "name": sheet.name, "columns": names}, _table(cells, columns)))
    causes = [[cause, number] for cause, number in report.case.catalog.counts("cause").items()]
    head = {"kind": "problems", "name": "What was not fully read in this case", "causes": causes}
    cells = ((str(row.cells[0])[:8], *row.cells[1:]) for row in problems_sheet(report.case).rows())
    return [*sections, _Section(head, _table(cells, [0, 1, 3, 4]))]


def _table(rows: Iterable[tuple[Cell, ...]], columns: list[int]) -> Iterator[Row]:
    for cells in rows:
        yield [_laid(plain(cells[at])) for at in columns], b""


def _laid(value: object) -> str:
    """A value on the page, with places at which a long word may go on in the next line."""

    def part(word: re.Match[str]) -> str:
        return _PIECE.sub(lambda piece: piece[0] + _BREAK, _CLOCK.sub(_BREAK, word[0]))

    return _WORD.sub(part, shown(value))


def _hit(report: Report, number: int, row: Any) -> Row:
    card = card_of(report, (number, row))
    item = card["item"]
    size = f"{item.size:,} bytes, " if item.size is not None else ""
    told = {
        "number": number,
        "name": _laid(item.name),
        "path": _laid(item.provenance),
        "facts": shown(f"{size}{item.media_type}, {'deleted, ' * item.is_deleted}{item.status}"),
        "id": item.id,
        "sha256": item.digests.sha256 if item.digests else "",
        "times": [shown(f"{kind} {at} ({origin})") for at, kind, origin in card["times"][:6]],
        "tags": [shown(mark["text"]) for mark in card["told"]["tags"]],
        "notes": [_laid(f"{mark['text']} ({mark['who']}, {mark['at']})") for mark in card["told"]["notes"]],
        "passages": [
            {"where": _laid(each.locator), "pieces": [[is_match, _laid(text)] for is_match, text in marked(each)]}
            for each in (row.highlights if isinstance(row, Hit) else ())
        ],
        "problems": [_laid(f"{problem.cause}: {problem.message}") for problem in item.problems],
        "picture": f"{number}.jpg" if card["picture"] else "",
    }
    return {**told, "long": len(json.dumps(told, ensure_ascii=False)) > _LONG}, base64.b64decode(card["picture"])
