"""Paths to other files, as project files name them: of Windows, of servers, of macOS and Linux, of web addresses.

Source: none; what counts as a path is our own rule.
Limits: relative paths are taken where a field of the format says that it holds one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Field

FIELDS: Final = {"refers_to": "path or name of another file that this one uses"}
MOST: Final = 20_000
"""Different paths, or names, kept of one file."""
_ROOTS: Final = r"(?:Users|Volumes|home|mnt|media|Applications|Library|Network|srv|opt|net|private|Projects?|data)"
_PATH: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Za-z]:[\\/](?!/)|\\\\[\w.$-]{1,80}\\|(?<!:)//[\w.$-]{2,80}/|file:/{1,5}|/" + _ROOTS + r"/)"
    r"[^\x00-\x1f\"'<>|*?\ufffd]{1,400}+"
)
_WORDS: Final = re.compile(r"[^\W\d_]{2}|[\u2e80-\ud7ff\uf900-\ufaff]")
_NAME: Final = re.compile(r"[^\x00-\x1f\"<>|*?]{1,400}\.[A-Za-z0-9]{2,8}")


def is_path(text: str) -> bool:
    """Whether a whole text is a path that names a machine's folder."""
    match = _PATH.match(text)
    return bool(match and match.end() == len(text))


def is_file_name(text: str) -> bool:
    """Whether a text of a field that holds paths can be one: it has a suffix, or a folder."""
    return bool(_NAME.fullmatch(text)) or is_path(text)


def has_words(text: str) -> bool:
    """Whether a text holds two letters in a row, or one that is a word by itself."""
    return bool(_WORDS.search(text))


def paths_in(text: str) -> Iterator[str]:
    """The paths that stand inside a longer text."""
    for match in _PATH.finditer(text):
        yield match[0].rstrip(" .,;)")


class Once:
    """Gives each value as a field the first time it comes, up to a number of different ones."""

    def __init__(self, name: str = "refers_to", most: int = MOST) -> None:
        self._name = name
        self._left = most
        self._seen: set[str] = set()

    def fields(self, values: Iterable[str]) -> Iterator[Field]:
        """The values that did not come before."""
        for value in values:
            value = value.strip()[:FIELD_CHARS]
            if value and value not in self._seen and self._left > 0:
                self._left -= 1
                self._seen.add(value)
                yield Field(self._name, value)
