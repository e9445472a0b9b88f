"""A segment, read: terms to lists of documents and places, columns of values.

What is taken from the file (layout.py) when it is asked for:

    terms, lists     lexicon.py
    document of      table int64[U >> shift], then a few comparisons for each place
    columns          int32[documents] or float64[documents], made when first sorted or counted by: O(N)

Lists that were decoded lately are kept (`_KEPT` numbers), as are columns.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search import analysis
from search.engine.codes import spread
from search.engine.format import DamageError, File
from search.engine.layout import FIELDS, PLACED
from search.engine.lexicon import Lexicon

Array = NDArray[Any]

_HEX = frozenset("0123456789abcdef")
_KEPT = 8_000_000
_COLUMNS = 48
_FEW = 4096  # values of a field that are kept as text
_MOST_BEGINNING = 1 << 20  # numbers that are decoded for a prefix in one go
_FOUND = 20_000  # terms whose numbers are remembered
_NUMBERS = ("numbers", "number_counts", "number_docs")
MISSING = -1
"""The code of a document that has no value in a column."""


class Numbers(NamedTuple):
    """The values of one name, ascending, and the document of each."""

    values: Array
    documents: Array


class Segment:
    """One segment's file, open for reading."""

    def __init__(self, path: Path) -> None:
        self.file = File(path)
        self.name = path.name
        try:
            self.count = int(self.file.about["documents"])
            self.lexicons = {field: Lexicon(self.file, field) for field in FIELDS}
            self._numbers: dict[str, tuple[int, ...]] = {}
            places = (0, 0, 0)  # in the distinct numbers, the bytes of their counts, the documents
            for name, *sizes in self.file.about["numbers"]:
                count, distinct, width = map(int, sizes)
                ends = places[0] + distinct, places[1] + distinct * width, places[2] + count
                self._numbers[name] = (*places, *ends, width)
                places = ends
        except (KeyError, TypeError, ValueError) as error:
            raise DamageError(f"the head of {path.name} is damaged ({error})") from error
        self._kept: OrderedDict[tuple[str, str], tuple[Array, Array]] = OrderedDict()
        self._kept_size = 0
        self._found: dict[tuple[str, str], int] = {}
        self._columns: OrderedDict[tuple[str, str], Any] = OrderedDict()

    # -- ids

    @cached_property
    def _id_ends(self) -> Array:
        return np.cumsum(self.file.arrays["id_sizes"].all(), dtype=np.int64)

    def ids(self, documents: Array) -> list[str]:
        """The ids of documents."""
        held = self.file.arrays["ids"]
        if self.file.about["ids"] == "hex":
            if len(documents) < 64:
                return [held.take(16 * at, 16 * at + 16).tobytes().hex() for at in documents.tolist()]
            raw = held.all().reshape(-1, 16)[documents].tobytes().hex()
            return [raw[at : at + 32] for at in range(0, len(raw), 32)]
        ends = self._id_ends[documents]
        starts = ends - self.file.arrays["id_sizes"].all()[documents]
        each = zip(starts.tolist(), ends.tolist(), strict=True)
        return [held.take(a, b).tobytes().decode("utf-8", "surrogatepass") for a, b in each]

    @cached_property
    def _id_keys(self) -> tuple[Array, Array]:
        """The first eight bytes of each id, ascending, and whose they are."""
        keys = self.id_words(np.arange(self.count))[:, 0]
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def raw_ids(self) -> bytes:
        """The ids of all documents, 16 bytes each; only where ids are hex digits."""
        raw: bytes = self.file.arrays["ids"].all().tobytes()
        return raw

    def id_words(self, documents: Array) -> Array:
        """The ids of documents as two numbers each, which order as the ids do; only where ids are hex digits."""
        raw = self.file.arrays["ids"].all().reshape(-1, 16)[documents]
        return raw.view(">u8").astype(np.uint64)

    @property
    def has_hex_ids(self) -> bool:
        """Whether every id is 32 hex digits."""
        return bool(self.file.about["ids"] == "hex")

    def documents_of(self, ids: Sequence[str]) -> Array:
        """The documents of ids, deleted ones too."""
        if not self.has_hex_ids:
            lexicon = self.lexicons["whole"]
            terms = sorted({f"id\0{analysis.whole(name)}".encode() for name in ids})
            return lexicon.values_of(numbers[numbers >= 0]) if len(numbers := lexicon.find_all(terms)) else _NONE
        wanted = [name for name in ids if len(name) == 32 and _HEX.issuperset(name)]
        if not wanted or not self.count:
            return _NONE
        words = np.frombuffer(bytes.fromhex("".join(wanted)), ">u8").astype(np.uint64).reshape(-1, 2)
        keys, order = self._id_keys
        low, high = np.searchsorted(keys, words[:, 0]), np.searchsorted(keys, words[:, 0], "right")
        documents = order[spread(low, high - low)]
        same = self.id_words(documents)[:, 1] == np.repeat(words[:, 1], high - low)
        return np.unique(documents[same])

    @cached_property
    def id_ranks(self) -> Array:
        """For each document the place of its id among those of the segment."""
        if self.has_hex_ids:
            words = self.id_words(np.arange(self.count))
            order = np.lexsort((words[:, 1], words[:, 0]))
        else:
            names = self.ids(np.arange(self.count))
            order = np.array(sorted(range(self.count), key=names.__getitem__), np.int64)
        ranks = np.empty(self.count, np.int64)
        ranks[order] = np.arange(self.count)
        return ranks

    # -- places

    @cached_property
    def _layouts(self) -> dict[str, Places]:
        return {}

    def places(self, field: str) -> Places:
        """How the field's row of places is parted."""
        if field not in self._layouts:
            self._layouts[field] = Places(self, field)
        return self._layouts[field]

    # -- postings

    def postings(self, field: str, term: str) -> tuple[Array, Array]:
        """The documents with the term, ascending, deleted ones too, and how often each has it (PLACED fields)."""
        key = field, term
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        lexicon = self.lexicons[field]
        number = self.find(field, term)
        if number < 0:
            return _NONE, _NONE
        values = lexicon.values(number, number + 1)
        found = self.places(field).counted(values) if field in PLACED else (values, _NONE)
        return self._keep(key, found)

    def beginning(self, field: str, prefix: str) -> Array | None:
        """The documents with a term that begins with the prefix, deleted ones too; None where that is too much."""
        key = f"{field} beginning", prefix
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        lexicon = self.lexicons[field]
        start, end = lexicon.prefixed(prefix.encode())
        if int(lexicon.counts(start, end).sum()) > _MOST_BEGINNING:
            return None
        values = lexicon.values(start, end)
        documents = self.places(field).documents(values) if field in PLACED else values
        return self._keep(key, (distinct(documents, self.count), _NONE))[0]

    def find(self, field: str, term: str) -> int:
        """The number of a term; -1 where there is none."""
        key = field, term
        number = self._found.get(key)
        if number is None:
            if len(self._found) > _FOUND:
                self._found.clear()
            number = self._found[key] = self.lexicons[field].find(term.encode())
        return number

    def held(self, field: str, terms: Sequence[str], start: str = "") -> set[str]:
        """Those of many terms, ascending by their bytes, that the field has; a single character may begin one.

        Args:
            start: what the field's terms begin with.
        """
        lexicon = self.lexicons[field]
        single = {term for term in terms if len(term) == 1}
        longer = [term for term in terms if len(term) > 1]
        numbers = lexicon.find_all([(start + term).encode() for term in longer])
        found = {term for term, number in zip(longer, numbers.tolist(), strict=True) if number >= 0}
        return found | {term for term in single if range(*lexicon.prefixed((start + term).encode()))}

    def holding(self, field: str, term: str) -> int:
        """How many documents have the term, deleted ones too."""
        number = self.find(field, term)
        return int(self.lexicons[field].documents(number, number + 1)[0]) if number >= 0 else 0

    def places_of(self, field: str, term: str) -> Array:
        """Where the term stands, deleted documents included."""
        key = f"{field} places", term
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        lexicon = self.lexicons[field]
        number = self.find(field, term)
        return self._keep(key, (lexicon.values(number, number + 1), _NONE))[0] if number >= 0 else _NONE

    def _keep(self, key: tuple[str, str], found: tuple[Array, Array]) -> tuple[Array, Array]:
        self._kept[key] = found
        self._kept_size += len(found[0])
        while self._kept_size > _KEPT and len(self._kept) > 1:
            _, (values, _) = self._kept.popitem(last=False)
            self._kept_size -= len(values)
        return found

    # -- numbers and columns

    def number_names(self) -> list[str]:
        """The names of numbers and dates."""
        return list(self._numbers)

    def numbers(self, name: str) -> Numbers:
        """The values of one name."""

        found: Numbers = self._column("numbers", name, lambda: self.read_numbers(name))
        return found

    def read_numbers(self, name: str) -> Numbers:
        """The same, and nothing is remembered."""
        if name not in self._numbers:
            return Numbers(np.zeros(0), _NONE)
        *places, width = self._numbers[name]
        get = self.file.arrays.__getitem__
        values, counts, documents = (
            get(column).take(*ends)
            for column, ends in zip(_NUMBERS, zip(places[:3], places[3:], strict=True), strict=True)
        )
        return Numbers(np.repeat(values, counts.view(f"<u{width}")), documents)

    def date_names(self) -> list[str]:
        """The names of dates."""
        lexicon = self.lexicons["has"]
        return [name for name in self._numbers if lexicon.find(f"{name}\0date".encode()) >= 0]

    def _column(self, kind: str, name: str, made: Any) -> Any:
        key = kind, name
        if key not in self._columns:
            self._columns[key] = made()
            while len(self._columns) > _COLUMNS:
                self._columns.popitem(last=False)
        self._columns.move_to_end(key)
        return self._columns[key]

    def values(self, name: str) -> tuple[int, Array, Array]:
        """Whole values of a field: the first one's number, and for each pair of a document and a value, both."""

        def made() -> tuple[int, Array, Array]:
            lexicon = self.lexicons["whole"]
            start, end = lexicon.prefixed(f"{name}\0".encode())
            codes = np.repeat(np.arange(end - start, dtype=np.int32), lexicon.counts(start, end))
            return start, lexicon.values(start, end).astype(np.int32), codes

        found: tuple[int, Array, Array] = self._column("values", name, made)
        return found

    def ranks(self, name: str) -> Array:
        """For each document the rank of its first value of a field; `MISSING` where it has none."""

        def made() -> Array:
            _, documents, codes = self.values(name)
            out = np.full(self.count, MISSING, np.int32)
            out[documents[::-1]] = codes[::-1]
            return out

        found: Array = self._column("ranks", name, made)
        return found

    def counted(self, name: str, documents: Array) -> list[tuple[str, int]]:
        """How many of these documents have each value of a field."""
        _, holders, codes = self.values(name)
        if len(documents) == self.count:
            counts = np.bincount(codes)
        elif self._column("single", name, lambda: not len(holders) or int(np.bincount(holders).max()) == 1):
            counts = np.bincount(self.ranks(name)[documents] + 1)[1:]
        else:
            mask = np.zeros(self.count, bool)
            mask[documents] = True
            counts = np.bincount(codes[mask[holders]])
        which = np.flatnonzero(counts)
        names = self._column("names", name, lambda: self._few_names(name))
        found = [names[code] if names else self.value(name, code) for code in which.tolist()]
        return list(zip(found, counts[which].tolist(), strict=True))

    def _few_names(self, name: str) -> list[str]:
        """The values of a field in order; none where they are many."""
        start, end = self.lexicons["whole"].prefixed(f"{name}\0".encode())
        terms = self.lexicons["whole"].terms(start, end) if end - start < _FEW else []
        return [term.decode().partition("\0")[2] for term in terms]

    def value(self, name: str, code: int) -> str:
        """The value with this rank."""
        start = self.values(name)[0]
        return self.lexicons["whole"].terms(start + code, start + code + 1)[0].decode().partition("\0")[2]

    def least(self, name: str) -> Array:
        """For each document the smallest number of a name; infinite where it has none. `date`: see `sort_date`."""

        def made() -> Array:
            if name == "date":
                return self._dates()
            out = np.full(self.count, math.inf)
            values, documents = self.numbers(name)
            out[documents[::-1]] = values[::-1]
            return out

        found: Array = self._column("least", name, made)
        return found

    def _dates(self) -> Array:
        """When the content was last changed, or the first time there is."""
        out = np.full(self.count, math.inf)
        for name in self.date_names():
            np.minimum(out, self.least(name), out=out)
        modified = self.least("modified")
        return np.where(np.isfinite(modified), modified, out)

    def matching(self, field: str, prefix: str) -> Iterator[bytes]:
        """The field's terms that begin with the prefix."""
        lexicon = self.lexicons[field]
        start, end = lexicon.prefixed(prefix.encode())
        for at in range(start, end, 4096):
            yield from lexicon.terms(at, min(end, at + 4096))


_NONE = np.zeros(0, np.int64)


def distinct(documents: Array, size: int) -> Array:
    """The documents, each once, ascending."""
    if len(documents) * 16 < size:
        return np.unique(documents)
    mask = np.zeros(size, bool)
    mask[documents] = True
    return np.flatnonzero(mask)


class Places:
    """The row of places of one field: which document and which passage a place belongs to."""

    def __init__(self, segment: Segment, field: str) -> None:
        self._lengths = segment.file.arrays[f"{field}.lengths"]
        passages = np.cumsum(self._lengths.all(), dtype=np.int64)
        last = np.cumsum(segment.file.arrays[f"{field}.held"].all(), dtype=np.int64)
        universe = segment.lexicons[field].universe
        held, size = (int(each[-1]) if len(each) else 0 for each in (last, passages))
        if len(last) != segment.count or held != len(passages) or size > universe:
            raise DamageError(f"{segment.name} is damaged in the passages of {field}")
        self.ends = np.where(last > 0, passages[last - 1], 0) if held else np.zeros(len(last), np.int64)
        """Where each document ends."""
        self._shift = max(1, (universe // max(1, segment.count)).bit_length() - 1)
        size = 1 << self._shift
        ended = np.bincount((self.ends + size - 1) >> self._shift, minlength=(universe >> self._shift) + 2)
        self._table = np.cumsum(ended)

    @cached_property
    def passages(self) -> Array:
        """Where each passage ends."""
        return np.cumsum(self._lengths.all(), dtype=np.int64)

    @cached_property
    def lengths(self) -> Array:
        """The number of places of each document."""
        return np.diff(self.ends, prepend=0)

    def documents(self, places: Array) -> Array:
        """The document of each place."""
        found: Array = self._table[places >> self._shift]
        for _ in range(4):
            behind = self.ends[found] <= places
            if not behind.any():
                return found
            found += behind
        late = np.flatnonzero(self.ends[found] <= places)
        found[late] = np.searchsorted(self.ends, places[late], "right")
        return found

    def counted(self, places: Array) -> tuple[Array, Array]:
        """The documents of ascending places, each once, and how many places lie in each."""
        return runs(self.documents(places))

    def bounds(self, documents: Array) -> tuple[Array, Array]:
        """Where documents begin and end."""
        ends = self.ends[documents]
        return np.where(documents > 0, self.ends[documents - 1], 0), ends


def runs(values: Array) -> tuple[Array, Array]:
    """Ascending values, each once, and how often each stands."""
    if not len(values):
        return values, values
    heads = np.flatnonzero(np.concatenate((np.ones(1, bool), values[1:] != values[:-1])))
    sizes = np.empty(len(heads), np.int64)
    np.subtract(heads[1:], heads[:-1], out=sizes[:-1])
    sizes[-1] = len(values) - heads[-1]
    return values[heads], sizes
