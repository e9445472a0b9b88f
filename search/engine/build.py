"""Documents to a segment.

Texts, names and values go to an inverter for each field (invert.py), which makes sorted terms and lists of them in
`write`. Documents are numbered anew then, those with texts of one script next to each other: most terms stand in one
script only, and numbers that lie close together take few bits.

Memory: 12 bytes per token, and per term 48 and its bytes; without the kernel see arrays.py.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.model import Scalar
from search import analysis, schema
from search.engine.arrays import sort_terms, term_keys
from search.engine.format import Writer, narrow
from search.engine.invert import Inverter, inverter
from search.engine.layout import LISTED, PLACED, FieldWriter
from search.schema import Document
from search.units import micros

Array = NDArray[Any]

CHARACTERS = 48_000_000
"""Characters of text after which a segment is full; those of other scripts than ours count twice.

What is gathered takes about 2 bytes for a character of English, and 10 for one of Chinese.
"""
_SHORT = 256  # characters of a value that is remembered
_MOST_NAMES = 1024  # characters of a field's name
_UNLIKE = frozenset({"md5", "sha1", "sha256"})
"""Fields whose values hardly come twice: they are not remembered."""


class _Value(NamedTuple):
    """What a value of a field comes to."""

    name: str
    term: int
    """The number of the whole value."""
    text: str | None
    """None where the whole value is all there is to it."""
    number: float | None
    speaks: bool
    """Whether its words are found without the name of the field."""


class Builder:
    """Gathers documents for one segment."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self.characters = characters
        self.numbers_of: dict[str, int] = {}
        self.dead: list[int] = []
        self.count = 0
        self._ids: list[str] = []
        self._size = 0
        self._placed = {field: inverter(split=field != "text") for field in PLACED}
        self._listed = {field: _Listed() for field in LISTED}
        self._numbers: dict[str, tuple[array[float], array[int]]] = {}
        self._values: dict[tuple[str, Scalar], _Value] = {}
        self._groups: dict[tuple[str, ...], list[int]] = {}

    @property
    def full(self) -> bool:
        """Whether the segment holds as much as it should."""
        return self._size >= self.characters

    def add(self, document: Document) -> None:
        """Take a document; one of the same id, taken before, is dead from now on."""
        number = self.count
        if document.id in self.numbers_of:
            self.dead.append(self.numbers_of[document.id])
        self.numbers_of[document.id] = number
        self._ids.append(document.id)
        self.count += 1
        self._size += 256
        has: list[str] = []
        whole_number = self._listed["whole"].number
        wholes = [whole_number(f"id\0{whole(document.id)}")]
        add_value = self._placed["fields"].add
        said: set[str] = set()
        for text in document.texts:
            self._placed["text"].add(text, number)
            self._size += len(text) << (not text.isascii())
            has.append("text")
        for name, value in (("name", document.name), ("path", document.path)):
            if value:
                has.append(name)
                wholes.append(whole_number(f"{name}\0{whole(value)}"))
                self._placed[name].add(value, number)
        if document.size is not None:
            has.append("size")
            self._number("size", document.size, number)
        for pair in document.fields:
            known = self._values.get(pair) if type(pair[1]) is str else None
            name, term, given, figure, speaks = known or self._value(*pair)
            has.append(name)
            wholes.append(term)
            if given is not None:
                add_value(given, number, name)
                if speaks and given not in said:
                    said.add(given)
                    add_value(given, number, schema.META)
            if figure is not None:
                self._number(name, figure, number)
        if said:
            has.append(schema.META)
        for kind, at in document.times:
            name = _key(schema.KINDS.get(kind, kind))
            has += (name, f"{name}\0date", "date")
            self._number(name, micros(at.astimezone(UTC)), number)
        self._listed["has"].add(self._together(tuple(has)), number)
        self._listed["whole"].add(wholes, number)

    def _value(self, raw: str, given: Scalar) -> _Value:
        name = _key(raw)
        text = given if type(given) is str else str(given).lower() if isinstance(given, bool) else str(given)
        term = self._listed["whole"].number(f"{name}\0{whole(text)}")
        self._size += len(text)
        if schema.TYPES.get(name) == "keyword":
            known = _Value(name, term, None, None, False)
        elif isinstance(given, int | float) and not isinstance(given, bool):
            known = _Value(name, term, text, float(given) if abs(given) < 1 << 1000 else math.inf, False)
        else:
            figure = float(text) if analysis.reads_as_number(text) else None
            known = _Value(name, term, text, figure, type(given) is str and schema.speaks(name))
        if type(given) is str and len(text) < _SHORT and name not in _UNLIKE:
            self._values[raw, given] = known
        return known

    def _together(self, names: tuple[str, ...]) -> list[int]:
        """The numbers of what documents have that have these names."""
        known = self._groups.get(names)
        if known is None:
            known = self._groups[names] = [self._listed["has"].number(name) for name in sorted(set(names))]
        return known

    def _number(self, name: str, value: float, number: int) -> None:
        if math.isfinite(value):
            held = self._numbers.get(name)
            if held is None:
                held = self._numbers[name] = array("d"), array("I")
            held[0].append(value)
            held[1].append(number)

    def write(self, path: Path) -> None:
        """Write the segment's file; `dead` are the new numbers from now on.

        Raises:
            OSError: the disk is full, or the like.
        """
        order, moved = self._order()
        self.dead = moved[self.dead].tolist()
        with Writer(path) as writer:
            about: dict[str, Any] = {"documents": self.count, "universes": {}, "terms": {}}
            ids, about["ids"] = write_ids(writer, [self._ids[at] for at in order.tolist()])
            for field, placed in self._placed.items():
                out = _write_placed(placed, writer, field, moved)
                about["universes"][field], about["terms"][field] = out.universe, out.terms
            for field, listed in self._listed.items():
                about["universes"][field] = self.count
                about["terms"][field] = listed.write(writer, field, moved, ids)
            columns = (
                (name, np.frombuffer(values, np.float64), moved[np.frombuffer(documents, np.uint32)])
                for name, (values, documents) in sorted(self._numbers.items())
            )
            about["numbers"] = write_numbers(writer, columns, self.count)
            writer.finish(about)

    def _order(self) -> tuple[Array, Array]:
        """The documents by the script of the longest text, and the new number of each."""
        owners, places, script = self._placed["text"].passages().T
        scripts = np.zeros(self.count, np.uint32)
        by_length = np.argsort(places, kind="stable")
        scripts[owners[by_length]] = script[by_length] + 1  # the last one stays
        order = np.argsort(scripts, kind="stable")
        moved = np.empty(self.count, np.int64)
        moved[order] = np.arange(self.count)
        return order, moved


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    return schema.key(name)[:_MOST_NAMES]


def whole(value: str) -> str:
    """`analysis.whole`, quicker where the value is ASCII."""
    if value.isascii():
        if value.isalnum():
            return value.lower()[: analysis.WHOLE]
        return " ".join(value.lower().replace("\0", " ").split())[: analysis.WHOLE]
    return analysis.whole(value)


def write_ids(writer: Writer, ids: list[str]) -> tuple[Array | None, str]:
    """Write the column of ids; it and in which form it is are returned."""
    digits = frozenset("0123456789abcdef")
    if all(len(name) == 32 and digits.issuperset(name) for name in ids):
        return write_hex_ids(writer, np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(-1, 16))
    names = [name.encode("utf-8", "surrogatepass") for name in ids]
    writer.add("ids", np.frombuffer(b"".join(names), np.uint8))
    writer.add("id_sizes", np.array([len(name) for name in names], np.uint16))
    return None, "text"


def write_hex_ids(writer: Writer, ids: Array) -> tuple[Array, str]:
    """The same of ids that are rows of sixteen bytes."""
    writer.add("ids", ids.ravel())
    return ids, "hex"


def write_numbers(
    writer: Writer, columns: Iterable[tuple[str, Array, Array]], documents: int
) -> list[tuple[str, int, int, int]]:
    """Write numbers with their documents; names, counts of documents and of numbers, bytes of a count are returned."""
    told: list[tuple[str, int, int, int]] = []
    kind = narrow(np.array([documents])).dtype
    writer.add("numbers", np.zeros(0, np.float64))
    writer.add("number_counts", np.zeros(0, np.uint8))
    writer.add("number_docs", np.zeros(0, kind))
    for name, values, owners in columns:
        order = np.lexsort((owners, values))
        distinct, counts = np.unique(values[order] + 0.0, return_counts=True)
        narrowed = narrow(counts)
        writer.add("numbers", distinct)
        writer.add("number_counts", narrowed.view(np.uint8))
        writer.add("number_docs", owners[order].astype(kind))
        told.append((name, len(values), len(distinct), narrowed.itemsize))
    return told


class _Listed:
    """Terms and the documents that have them."""

    def __init__(self) -> None:
        self.terms: dict[str, int] = {}
        self.which = array("I")
        self.documents = array("I")

    def number(self, term: str) -> int:
        return self.terms.setdefault(term, len(self.terms))

    def add(self, numbers: list[int], document: int) -> None:
        self.which.extend(numbers)
        self.documents.extend([document] * len(numbers))

    def write(self, writer: Writer, field: str, moved: Array, ids: Array | None) -> int:
        blob, sizes, rank = sort_terms(list(self.terms))
        keys = term_keys(rank[np.frombuffer(self.which, np.uint32)], moved[self.documents].astype(np.uint32))
        keys = keys[np.diff(keys, prepend=keys[:1] + np.uint64(1)) != 0]
        counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(sizes))
        out = FieldWriter(writer, field, len(moved), ids)
        out.add_all(blob, sizes, counts, None, keys.astype(np.uint32))
        return len(sizes)


def _write_placed(placed: Inverter, writer: Writer, field: str, moved: Array) -> FieldWriter:
    """Write a field's passages and terms, documents numbered as `moved` says."""
    owners, lengths, _ = placed.passages().T
    owners = moved[owners]
    order = np.argsort(owners, kind="stable")
    writer.add(f"{field}.lengths", narrow(lengths[order]))
    writer.add(f"{field}.held", narrow(np.bincount(owners, minlength=len(moved))))
    out = FieldWriter(writer, field, max(int(lengths.sum(dtype=np.int64)), 1))
    out.add_all(*placed.sort(order))
    return out
