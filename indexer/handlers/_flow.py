"""Running text on its way out: paragraphs and cells joined, in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.limits import KIB
from indexer.model import Text

PIECE = 64 * KIB
"""Characters after which a run of text is given out; a phrase is never cut inside a paragraph."""


LABEL = 200
"""Characters of a name that stand in a locator: every text has one, and a name can be as long as the file."""


def label(name: str, *, bracketed: bool = False) -> str:
    """A name cut to what a locator needs; bracketed, with a space before it, where it is not empty."""
    short = name if len(name) <= LABEL else name[:LABEL] + "…"
    return f" ({short})" if bracketed and short else "" if bracketed else short


class Flow:
    """Paragraphs by locator; cells of a row are parted by tabs, rows and paragraphs by line ends."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._count = 0
        self._locator = ""
        self._separator = ""

    def paragraph(self, locator: str, text: str) -> Iterator[Text]:
        """Takes a paragraph; gives out what was held where the locator changes or it is enough."""
        if not text.strip():
            return
        if locator != self._locator or self._count > PIECE:
            yield from self.flush()
            self._locator = locator
        self._held.append(self._separator if self._held else "")
        self._held.append(text)
        self._count += len(text)
        self._separator = "\n"

    def end_cell(self) -> None:
        """A table cell ends here."""
        self._separator = self._separator.removesuffix("\n") + "\t"

    def end_row(self) -> None:
        """A table row ends here."""
        self._separator = "\n"

    def flush(self) -> Iterator[Text]:
        """Gives out what is still held."""
        body = "".join(self._held)
        self._held, self._count = [], 0
        if body:
            yield Text(body, self._locator)
