"""CSV for spreadsheets: UTF-8 with BOM, every cell quoted, no formula, and the exact row as JSON.

Source: RFC 4180.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from indexer.model import Hit, Item, print_time
from search.exports._file import whole_file
from search.sanitise import cell

COLUMNS = (
    "id", "path", "name", "size", "media_type", "handler", "status", "language", "modified",
    "md5", "sha1", "sha256", "problems", "score", "snippet", "locator", "duplicates",
)  # fmt: skip
LONGEST = 32_000
"""Characters of a cell; spreadsheets cut at 32,767 and say nothing."""


def write(path: Path, rows: Iterable[Item | Hit], *, with_text: bool) -> int:
    """Writes the rows in the order given and returns how many they were."""
    count = 0
    head = (*COLUMNS, "text") if with_text else COLUMNS
    with whole_file(path, encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow((*head, "exact"))
        for row in rows:
            cells = _cells(row, with_text=with_text)
            exact = json.dumps(row.to_json(), ensure_ascii=True, allow_nan=False)
            table.writerow([*(_fit(cell(str(cells[name]))) for name in head), exact])
            count += 1
    return count


def _cells(row: Item | Hit, *, with_text: bool) -> dict[str, object]:
    hit = row if isinstance(row, Hit) else None
    item = hit.item if hit else row
    assert isinstance(item, Item)
    cells: dict[str, object] = dict.fromkeys(COLUMNS, "")
    cells |= {"id": item.id, "path": item.provenance, "name": item.name, "media_type": item.media_type}
    cells |= {"size": "" if item.size is None else item.size, "handler": item.handler, "status": item.status}
    cells["language"] = item.language
    modified = [stamp.at for stamp in item.timestamps if stamp.kind == "M"]
    cells["modified"] = print_time(modified[0]) if modified else ""
    if item.digests:
        cells |= {"md5": item.digests.md5, "sha1": item.digests.sha1, "sha256": item.digests.sha256}
    cells["problems"] = "; ".join(f"{problem.cause}: {problem.message}" for problem in item.problems)
    if hit:
        cells["score"] = hit.score
        cells["duplicates"] = len(hit.duplicates)
        if hit.highlights:
            cells["snippet"] = hit.highlights[0].text
            cells["locator"] = hit.highlights[0].locator
    if with_text:
        cells["text"] = "\n".join(text.body for text in item.texts)
    return cells


def _fit(value: str) -> str:
    return value if len(value) <= LONGEST else value[:LONGEST] + f" [cut: {len(value) - LONGEST} more characters]"
