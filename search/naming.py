"""Names as data: what file and folder names say of season, episode, cut, version, date or department.

Patterns are declared in `naming.toml`, whose head says how; a `names.toml` in the case folder stands in its
place. They are matched when an item goes into the index and when it is shown, never at ingest: after a change
of the patterns the index is built anew, and the evidence is not needed.

One pass of an RE2 set over a component tells which patterns are in it; only these are run. Components come
again in thousands of paths, so that what they say is kept.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from indexer.errors import UsageError, reason_of
from indexer.model import Field, Hop
from search.sanitise import storable

DEFAULT = Path(__file__).with_name("naming.toml")
OWN = "names.toml"
"""In the case folder, in the place of the default."""
_FIELD = re.compile(r"name\.[a-z0-9_.-]+")
_KINDS = ("number", "date", "text")
_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100}
_KEPT = 65_536


@dataclass(frozen=True, slots=True)
class Pattern:
    """One declared expression; `value` is the number of a group, or what to keep."""

    field: str
    kind: str
    regex: str
    value: str
    example: str


class Naming:
    """The patterns of a case, ready to be matched.

    Raises:
        UsageError: the file cannot be read, or a pattern is not one; the message names it.
    """

    def __init__(self, path: Path = DEFAULT) -> None:
        import re2

        self.path = path
        self.patterns = _read(path)
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        self._each = []
        self._set = re2.Set.SearchSet(options)
        for pattern in self.patterns:
            try:
                self._each.append(re2.compile(pattern.regex, options))
                self._set.Add(pattern.regex)
            except re2.error as error:
                raise UsageError(f"{path}: {pattern.field}: not a pattern that RE2 takes: {pattern.regex}") from error
        if self.patterns:
            self._set.Compile()
        self._say = lru_cache(maxsize=_KEPT)(self._read_component)

    @classmethod
    def of(cls, case: Path) -> Naming:
        """The patterns of the case in this folder."""
        own = case / OWN
        return cls(own if own.exists() else DEFAULT)

    def fields(self, hops: Iterable[Hop]) -> tuple[Field, ...]:
        """What a path says, component by component from the innermost: the first that names a field decides."""
        found: dict[str, tuple[Field, ...]] = {}
        for hop in reversed(tuple(hops)):
            for component in reversed(hop.name.split("/")):
                for name, fields in self._say(component).items():
                    found.setdefault(name, fields)
        return tuple(field for _, fields in sorted(found.items()) for field in fields)

    def _read_component(self, component: str) -> dict[str, tuple[Field, ...]]:
        if not component or not self.patterns:
            return {}
        text = storable(component)
        found: dict[str, tuple[Field, ...]] = {}
        for number in self._set.Match(text) or ():
            pattern = self.patterns[number]
            match = self._each[number].search(text)
            value = _value(pattern, match) if match else None
            if value is None:
                continue
            held = found.get(pattern.field, ())
            if Field(pattern.field, value) not in held:
                found[pattern.field] = (*held, Field(pattern.field, value))
        return found


def _value(pattern: Pattern, match: Any) -> str | int | None:
    if pattern.kind == "date":
        year, month, day = (int(part) for part in match.groups()[:3])
        return f"{year:04}-{month:02}-{day:02}" if 1 <= month <= 12 and 1 <= day <= 31 else None
    if not pattern.value.isdigit():
        return pattern.value
    text = str(match.group(int(pattern.value)))
    return _number(text) if pattern.kind == "number" else text


def _number(text: str) -> int | None:
    """A number in digits, or in Chinese numerals up to 999.

    >>> _number("005"), _number("二十三"), _number("十")
    (5, 23, 10)
    """
    if text.isdecimal():
        return int(text)
    total = digit = 0
    for char in text:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _UNITS:
            total += (digit or 1) * _UNITS[char]
            digit = 0
        else:
            return None
    return total + digit


def _read(path: Path) -> list[Pattern]:
    try:
        rows = tomllib.loads(path.read_text("utf-8")).get("pattern", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {reason_of(error)}") from error
    patterns = []
    for number, row in enumerate(rows, 1):
        field, kind = str(row.get("field", "")), str(row.get("kind", "text"))
        if not _FIELD.fullmatch(field) or kind not in _KINDS or "regex" not in row:
            raise UsageError(
                f"{path}: pattern {number}: needs field = 'name.something', regex, and a kind of {', '.join(_KINDS)}"
            )
        each = row["regex"] if isinstance(row["regex"], list) else [row["regex"]]
        value, example = str(row.get("value", 1)), str(row.get("example", ""))
        patterns += [Pattern(field, kind, str(regex), value, example) for regex in each]
    return patterns
