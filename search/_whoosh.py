"""Whoosh 2.7.4 as a store of postings: how a document is laid out in it, and how a segment is read.

The fields of the tree are folded into few: keywords, whole values, dynamic fields and numbers are
terms `name NUL value`, so that a thousand field names cost nothing. Numbers and dates are sortable
text of 16 hex digits. What is needed to rank and to sort stands in columns.
"""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from whoosh import columns, fields, formats
from whoosh.index import IndexError as BrokenIndexError
from whoosh.query import NumericRange
from whoosh.reading import TermNotFound

from indexer.errors import StoreError
from search import analysis, schema
from search.schema import Document
from search.units import micros

GAP = 256
"""Positions between two passages, or two values of a field: more than any phrase may reach over."""

_DAMAGE = (
    BrokenIndexError, TermNotFound, UnpicklingError, zlib.error, struct.error, EOFError, OSError,
    AssertionError, AttributeError, IndexError, KeyError, MemoryError, OverflowError, TypeError, ValueError,
)  # fmt: skip
"""What whoosh was seen to raise on damaged files; all of it means the same."""


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """What goes wrong inside is damage to the index in `folder`, and is told as such."""
    try:
        yield
    except _DAMAGE as error:
        raise StoreError(f"{folder} cannot be read ({error}); build the index again from the case") from error


class _Places(formats.Positions):  # type: ignore[misc] # whoosh has no types
    """Positions as plain 32-bit numbers instead of a pickle."""

    def encode(self, places: Iterable[int]) -> bytes:
        return array("I", places).tobytes()

    def decode_positions(self, value: bytes) -> list[int]:
        return array("I", value).tolist()


class _Terms(fields.FieldType):  # type: ignore[misc] # the same
    """A field whose values are analysed already: a mapping of terms to positions."""

    analyzer = None
    scorable = stored = unique = False
    vector = column_type = None

    def __init__(self, form: formats.Format) -> None:
        self.format = form

    def index(self, value: dict[str, list[int]], **_: object) -> Iterator[tuple[bytes, int, float, bytes]]:
        held = isinstance(self.format, _Places)
        for term, places in value.items():
            yield term.encode(), len(places) or 1, 1.0, self.format.encode(places) if held else b""


_TEXTS = ("text", "name", "path", "fields")
_KEYS = ("whole", "numbers", "has")
COLUMNS: dict[str, columns.Column] = {
    "id": columns.VarBytesColumn(),
    "sort_name": columns.VarBytesColumn(),
    "sort_path": columns.VarBytesColumn(),
    "sort_size": columns.NumericColumn("q", default=-1),
    "sort_date": columns.NumericColumn("q", default=-(1 << 63)),
    "length": columns.NumericColumn("I", default=0),
}
SCHEMA = fields.Schema(
    **{name: _Terms(_Places()) for name in _TEXTS},
    **{name: _Terms(formats.Existence()) for name in _KEYS},
    **{f"c_{name}": fields.COLUMN(column) for name, column in COLUMNS.items()},
)


class Segment:
    """One segment of whoosh's, as `_evaluate` wants it."""

    def __init__(self, folder: Path, reader: Any) -> None:
        self.folder = folder
        self.reader = reader
        self._kept: dict[tuple[str, str], dict[int, Sequence[int]]] = {}
        self._lengths: Any = None

    def live(self) -> Collection[int]:
        with reading(self.folder):
            return list(self.reader.all_doc_ids())

    def holding(self, field: str) -> Collection[int]:
        return self._read("has", field)

    def postings(self, field: str, term: str) -> dict[int, Sequence[int]]:
        name, before = _physical(field)
        return self._read(name, before + term)

    def terms(self, field: str, prefix: str) -> Iterable[str]:
        name, before = _physical(field)
        return (term[len(before) :] for term in self.lexicon(name, before + prefix))

    def between(self, query: NumericRange) -> Collection[int]:
        low = _sortable(-math.inf if query.start is None else query.start)
        high = _sortable(math.inf if query.end is None else query.end)
        found: set[int] = set()
        for term in self._from("numbers", f"{query.fieldname}\0", low):
            if term > high or (term == high and query.endexcl):
                break
            if not (term == low and query.startexcl):
                found.update(self._read("numbers", f"{query.fieldname}\0{term}"))
        return found

    def length(self, document: int) -> int:
        with reading(self.folder):
            if self._lengths is None:
                self._lengths = self.column("length")
            return int(self._lengths[document])

    def column(self, name: str) -> Any:
        return self.reader.column_reader(f"c_{name}", translate=False)

    def lexicon(self, name: str, prefix: str) -> Iterator[str]:
        return self._from(name, prefix, "", keep=True)

    def _from(self, name: str, prefix: str, start: str, *, keep: bool = False) -> Iterator[str]:
        """The terms with the prefix from `prefix + start` on, with or without it."""
        head = prefix.encode()
        with reading(self.folder):
            for field, term in self.reader.terms_from(name, (prefix + start).encode()):
                if field != name or not term.startswith(head):
                    return
                yield (term if keep else term[len(head) :]).decode()

    def find(self, name: str) -> list[int]:
        """The live documents with this id: one, or none."""
        return list(self._fetch("whole", f"id\0{analysis.whole(name)}"))

    def forget(self) -> None:
        """Let go of the postings that were kept for one search."""
        self._kept.clear()

    def _read(self, name: str, term: str) -> dict[int, Sequence[int]]:
        key = name, term
        if key not in self._kept:
            self._kept[key] = self._fetch(name, term)
        return self._kept[key]

    def _fetch(self, name: str, term: str) -> dict[int, Sequence[int]]:
        with reading(self.folder):
            if (name, term.encode()) not in self.reader:
                return {}
            matcher = self.reader.postings(name, term.encode())
            if name not in _TEXTS:
                return dict.fromkeys(matcher.all_ids(), ())
            found: dict[int, Sequence[int]] = {}
            while matcher.is_active():
                found[matcher.id()] = matcher.value_as("positions")
                matcher.next()
            return found


def _physical(field: str) -> tuple[str, str]:
    """Where a field of the tree is kept, and what its terms begin with there."""
    if field.startswith("="):
        return "whole", f"{field[1:]}\0"
    if field in ("text", "name", "path"):
        return field, ""
    return ("whole" if schema.TYPES.get(field) == "keyword" else "fields"), f"{field}\0"


def _sortable(number: float) -> str:
    """A number as text that sorts as numbers do."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", float(number) + 0.0))
    return f"{bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63):016x}"


def values_of(document: Document) -> dict[str, object]:
    """What whoosh is given of one document."""
    has: dict[str, list[int]] = {}
    whole: dict[str, list[int]] = {f"id\0{analysis.whole(document.id)}": []}
    numbers: dict[str, list[int]] = {}
    tokens: dict[str, dict[str, list[int]]] = {"text": {}, "name": {}, "path": {}, "fields": {}}

    def number(name: str, value: float) -> None:
        if math.isfinite(value):
            numbers[f"{name}\0{_sortable(value)}"] = []

    position = length = 0
    for text in document.texts:
        end = analysis.count_positions(text, tokens["text"], position)
        length += end - position
        position = end + GAP
    if document.texts:
        has["text"] = []
    for name, value in (("name", document.name), ("path", document.path)):
        if value:
            has[name] = []
            whole[f"{name}\0{analysis.whole(value)}"] = []
            analysis.count_positions(value, tokens[name], split=True)
    if document.size is not None:
        has["size"] = []
        number("size", document.size)
    ends: dict[str, int] = {}
    for raw, given in document.fields:
        name = schema.key(raw)
        value = str(given).lower() if isinstance(given, bool) else str(given)
        has[name] = []
        whole[f"{name}\0{analysis.whole(value)}"] = []
        if schema.TYPES.get(name) == "keyword":
            continue
        counted: dict[str, list[int]] = {}
        begin = ends.get(name, 0)
        ends[name] = analysis.count_positions(value, counted, begin, split=True) + GAP
        for term, places in counted.items():
            tokens["fields"].setdefault(f"{name}\0{term}", []).extend(places)
        if isinstance(given, int | float) and not isinstance(given, bool):
            number(name, float(given) if abs(given) < 1 << 1000 else math.inf)
        elif analysis.reads_as_number(value):
            number(name, float(value))
    stamps: dict[str, list[int]] = {}
    for kind, at in document.times:
        name = schema.key(schema.KINDS.get(kind, kind))
        stamps.setdefault(name, []).append(micros(at.astimezone(UTC)))
        has[f"{name}\0date"] = has[name] = has["date"] = []
        number(name, stamps[name][-1])
        number("date", stamps[name][-1])
    values: dict[str, object] = {
        **tokens, "whole": whole, "numbers": numbers, "has": has,
        "c_id": document.id.encode(), "c_length": length,
        "c_sort_name": analysis.whole(document.name).encode(), "c_sort_path": analysis.whole(document.path).encode(),
    }  # fmt: skip
    if document.size is not None:
        values["c_sort_size"] = min(document.size, (1 << 63) - 1)
    times = stamps.get("modified") or [at for found in stamps.values() for at in found]
    if times:
        values["c_sort_date"] = min(times)
    return values
