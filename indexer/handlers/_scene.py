"""What the readers of scenes and models share: words told once and in groups, paths found in them.

Source: none; what counts as a word and as a path is our own rule (`_refs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.handlers import _refs
from indexer.model import Fact, Text

GROUP: Final = 256 << 10
"""Characters of one run of text."""


class Words:
    """Texts of one file, each told once; the paths in them are fields too."""

    def __init__(self, locator: str = "words") -> None:
        self.paths = _refs.Once()
        self._locator = locator
        self._held: dict[str, None] = {}
        self._size = 0

    def say(self, text: str, *, is_file: bool = False, keep: bool = False) -> Iterator[Fact]:
        """One piece of text.

        Args:
            is_file: the format says that it is the path or the name of a file.
            keep: the format says that it is a text, so that it counts without any word.
        """
        text = text.strip().strip("\0")
        if not text:
            return
        if _refs.is_path(text) or (is_file and _refs.is_file_name(text)):
            yield from self.paths.fields((text,))
        elif ":" in text or "/" in text or "\\" in text:
            yield from self.paths.fields(_refs.paths_in(text))
        if text not in self._held and (keep or is_file or _refs.has_words(text)):
            self._held[text] = None
            self._size += len(text) + 1
            if self._size > GROUP:
                yield from self.rest()

    def rest(self) -> Iterator[Fact]:
        """The texts that wait."""
        if self._held:
            yield Text("\n".join(self._held), self._locator)
        self._held, self._size = {}, 0
