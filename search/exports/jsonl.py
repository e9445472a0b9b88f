"""JSON lines: the public JSON of an item or a hit, one a line, exact."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from indexer.model import Hit, Item
from search.exports._file import whole_file


def write(path: Path, rows: Iterable[Item | Hit], *, with_text: bool) -> int:
    """Writes the rows in the order given and returns how many they were."""
    count = 0
    with whole_file(path) as file:
        for row in rows:
            file.write(json.dumps(row.to_json(with_text=with_text), ensure_ascii=True, allow_nan=False) + "\n")
            count += 1
    return count
