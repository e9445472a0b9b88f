"""Sets `report.typ` of a folder as `report.pdf` beside it: `python -m search.exports._typesetting FOLDER tags|plain`.

Each PDF has a process of its own: the compiler keeps what it has set in memory, some 100 MiB for each part.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the same answer gives the same bytes


def typeset(folder: Path, *, tags: bool) -> None:
    """Makes the PDF; with tags for readers that speak, where these are wanted."""
    import typst

    template = str(folder / "report.typ")
    typst.compile(template, str(folder / "report.pdf"), root=str(folder), timestamp=_EPOCH, pdf_tags=tags)


if __name__ == "__main__":
    typeset(Path(sys.argv[1]), tags=sys.argv[2] == "tags")
