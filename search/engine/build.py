"""Documents to a segment.

Texts and names wait until there are `_CHUNK` characters, and become tokens in one go (tokens.py):

    words    dict            term -> number, in order of appearance
    word_of, word_at         uint32 per token: number of the word, place in the field's row of places
    pairs, pair_at           uint32 per character of a run: two numbers of characters, 16 bits each; place

`write` sorts term << 32 | place as 64-bit numbers, which puts all lists in order at once; pairs are numbered
by code point by then, so their order is that of their UTF-8. Words and pairs never begin with the same
character and are merged by it. O(n log n) in the tokens, all of it in arrays.

Memory: about 12 bytes per token and 25 per character of one chunk, until `full`; twice that in `write`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import analysis, schema
from search.engine.codes import before, spread
from search.engine.format import Writer, narrow
from search.engine.layout import LISTED, PLACED, FieldWriter
from search.engine.tokens import Tokens, tokenise
from search.schema import Document
from search.units import micros

Array = NDArray[Any]

CHARACTERS = 16_000_000
"""Characters of text after which a segment is full."""
_CHUNK = 1 << 20
_MOST_RUNS = 1 << 16  # different characters of runs
_MOST_NAMES = 1024  # characters of a field's name


class Builder:
    """Gathers documents for one segment."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self.characters = characters
        self.numbers_of: dict[str, int] = {}
        self.dead: list[int] = []
        self.count = 0
        self._ids: list[str] = []
        self._size = 0
        self._placed = {field: _Placed(field) for field in PLACED}
        self._listed = {field: _Listed() for field in LISTED}
        self._numbers: dict[str, tuple[array[float], array[int]]] = {}
        self._values: dict[tuple[str, str], int] = {}

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
        has: set[str] = set()
        wholes = [("id", document.id)]
        for text in document.texts:
            self._placed["text"].add(text, number)
            self._size += len(text)
            has.add("text")
        for name, value in (("name", document.name), ("path", document.path)):
            if value:
                has.add(name)
                wholes.append((name, value))
                self._placed[name].add(value, number)
        if document.size is not None:
            has.add("size")
            self._number("size", document.size, number)
        for raw, given in document.fields:
            name = _key(raw)
            value = given if type(given) is str else str(given).lower() if isinstance(given, bool) else str(given)
            has.add(name)
            wholes.append((name, value))
            if schema.TYPES.get(name) != "keyword":
                self._placed["fields"].add(value, number, name)
                if isinstance(given, int | float) and not isinstance(given, bool):
                    self._number(name, float(given) if abs(given) < 1 << 1000 else math.inf, number)
                elif analysis.reads_as_number(value):
                    self._number(name, float(value), number)
        for kind, at in document.times:
            name = _key(schema.KINDS.get(kind, kind))
            has.update((name, f"{name}\0date", "date"))
            self._number(name, micros(at.astimezone(UTC)), number)
        self._listed["has"].add_all(frozenset(has), number)
        self._listed["whole"].add_each([self._whole(pair) for pair in wholes], number)

    def _whole(self, pair: tuple[str, str]) -> int:
        """The number of a field's whole value as a term."""
        known = self._values.get(pair)
        if known is None:
            known = self._values[pair] = self._listed["whole"].number(f"{pair[0]}\0{whole(pair[1])}")
        return known

    def _number(self, name: str, value: float, number: int) -> None:
        if math.isfinite(value):
            values, documents = self._numbers.setdefault(name, (array("d"), array("I")))
            values.append(value)
            documents.append(number)

    def write(self, path: Path) -> None:
        """Write the segment's file.

        Raises:
            OSError: the disk is full, or the like.
        """
        with Writer(path) as writer:
            about: dict[str, Any] = {"documents": self.count, "universes": {}, "terms": {}}
            about["ids"] = write_ids(writer, self._ids)
            for field, placed in self._placed.items():
                about["universes"][field], about["terms"][field] = placed.write(writer, field, self.count)
            for field, listed in self._listed.items():
                about["universes"][field] = self.count
                about["terms"][field] = listed.write(writer, field, self.count)
            sorted_numbers = [
                (name, np.frombuffer(values, np.float64), np.frombuffer(documents, np.uint32))
                for name, (values, documents) in sorted(self._numbers.items())
            ]
            about["numbers"] = write_numbers(writer, sorted_numbers)
            writer.finish(about)


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    return schema.key(name)[:_MOST_NAMES]


def whole(value: str) -> str:
    """`analysis.whole`, quicker where the value is ASCII."""
    if value.isascii():
        return " ".join(value.lower().replace("\0", " ").split())[: analysis.WHOLE]
    return analysis.whole(value)


def write_ids(writer: Writer, ids: list[str]) -> str:
    """Write the column of ids; in which form, is returned."""
    digits = frozenset("0123456789abcdef")
    if all(len(name) == 32 and digits.issuperset(name) for name in ids):
        writer.add("ids", np.frombuffer(bytes.fromhex("".join(ids)), np.uint8))
        return "hex"
    raw = [name.encode("utf-8", "surrogatepass") for name in ids]
    writer.add("ids", np.frombuffer(b"".join(raw), np.uint8))
    writer.add("id_sizes", np.array([len(name) for name in raw], np.uint16))
    return "text"


def write_numbers(writer: Writer, columns: Iterable[tuple[str, Array, Array]]) -> list[tuple[str, int]]:
    """Write numbers with their documents, ascending within each name; names with counts are returned."""
    told: list[tuple[str, int]] = []
    writer.add("numbers", np.zeros(0, np.float64))
    writer.add("number_docs", np.zeros(0, np.uint32))
    for name, values, documents in columns:
        order = np.lexsort((documents, values))
        writer.add("numbers", values[order] + 0.0)
        writer.add("number_docs", documents[order])
        told.append((name, len(values)))
    return told


class _Listed:
    """Terms and the documents that have them."""

    def __init__(self) -> None:
        self.terms: dict[str, int] = {}
        self.which = array("I")
        self.documents = array("I")
        self._together: dict[frozenset[str], list[int]] = {}

    def number(self, term: str) -> int:
        return self.terms.setdefault(term, len(self.terms))

    def add_each(self, numbers: list[int], document: int) -> None:
        self.which.extend(numbers)
        self.documents.extend([document] * len(numbers))

    def add_all(self, terms: frozenset[str], document: int) -> None:
        if terms not in self._together:
            self._together[terms] = [self.number(term) for term in sorted(terms)]
        self.add_each(self._together[terms], document)

    def write(self, writer: Writer, field: str, documents: int) -> int:
        blob, sizes, rank = _sort_terms(list(self.terms))
        keys = _keys(rank[np.frombuffer(self.which, np.uint32)], np.frombuffer(self.documents, np.uint32))
        keys = keys[np.diff(keys, prepend=keys[:1] + np.uint64(1)) != 0]
        counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(sizes))
        out = FieldWriter(writer, field, documents)
        out.add_all(blob, sizes, counts, None, keys & np.uint64(0xFFFFFFFF))
        return len(sizes)


class _Placed:
    """Texts of one field, and their tokens."""

    def __init__(self, field: str) -> None:
        self.split = field != "text"
        self.named = field == "fields"
        self.waiting: list[str] = []
        self.names: list[str] = []
        self.characters = 0
        self.owners = array("I")
        self.words: dict[str, int] = {}
        self.lengths: list[Array] = []
        self.places = 0
        self.word_of: list[Array] = []
        self.word_at: list[Array] = []
        self.pairs: list[Array] = []
        self.pair_at: list[Array] = []
        self.runs = np.zeros(0x110000, np.uint16)  # characters of runs, numbered from 1 as they come
        self.run_codes = [0]

    def add(self, text: str, document: int, name: str = "") -> None:
        self.waiting.append(text)
        self.names.append(name)
        self.owners.append(document)
        self.characters += len(text) + 1
        if self.characters >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        parts = [(numbers, held) for numbers, held in tokenise(self.waiting, split=self.split)]
        lengths = np.zeros(len(self.waiting), np.int64)
        for numbers, held in parts:
            lengths[numbers] = held.lengths
        bases = before(lengths) + self.places
        for numbers, held in parts:
            moved = np.repeat(bases[numbers] - before(held.lengths), held.lengths).astype(np.uint32)
            owners = np.repeat(numbers, held.lengths) if self.named else None
            self._keep(held, moved, owners)
        self.places += int(lengths.sum())
        self.lengths.append(narrow(lengths))
        self.waiting, self.names, self.characters = [], [], 0

    def _keep(self, held: Tokens, moved: Array, owners: Array | None) -> None:
        """Keep the tokens; `moved` is how far each place lies from where it belongs."""
        words, which, at = held.words, held.word_of, held.word_at
        first, second, pair_at = held.first, held.second, held.pair_at
        if owners is not None:
            words, which, at = self._under_names(held, owners)
            first = first[:0]
            second, pair_at = first, first
        number = self.words.setdefault
        numbers = np.array([number(word, len(self.words)) for word in words], np.uint32)
        self.word_of.append(numbers[which] if len(words) else which.astype(np.uint32))
        self.word_at.append(at + moved[at] if len(at) else at.astype(np.uint32))
        fresh = np.unique(first[self.runs[first] == 0])
        room = max(0, _MOST_RUNS - len(self.run_codes))
        self.runs[fresh[:room]] = np.arange(len(self.run_codes), len(self.run_codes) + len(fresh[:room]))
        self.run_codes += fresh[:room].tolist()
        ids, following = self.runs[first], self.runs[second]
        strange = (ids == 0) | ((second != 0) & (following == 0))
        if strange.any():  # more than 65,535 different characters: these are kept as words
            pairs = zip(first[strange].tolist(), second[strange].tolist(), strict=True)
            odd = [number(chr(a) + (chr(b) if b else ""), len(self.words)) for a, b in pairs]
            self.word_of.append(np.array(odd, np.uint32))
            self.word_at.append(pair_at[strange] + moved[pair_at[strange]])
            ids, following, pair_at = ids[~strange], following[~strange], pair_at[~strange]
        self.pairs.append(ids.astype(np.uint32) << np.uint32(16) | following)
        self.pair_at.append(pair_at + moved[pair_at] if len(pair_at) else pair_at)

    def _under_names(self, held: Tokens, owners: Array) -> tuple[list[str], Array, Array]:
        """Words and pairs alike as words that begin with the name of their field."""
        numbers: dict[str, int] = {}
        names = np.array([numbers.setdefault(name, len(numbers)) for name in self.names], np.uint64)
        titles = list(numbers)
        at = np.concatenate((held.word_at, held.pair_at))
        pairs = held.first.astype(np.uint64) << np.uint64(21) | held.second
        some, which = np.unique(pairs, return_inverse=True)
        words = held.words + [
            chr(pair >> 21) + (chr(pair & 0x1FFFFF) if pair & 0x1FFFFF else "") for pair in some.tolist()
        ]
        within = np.concatenate((held.word_of, which.astype(np.uint32) + np.uint32(len(held.words))))
        keys, which = np.unique(names[owners[at]] << np.uint64(32) | within, return_inverse=True)
        full = [f"{titles[key >> 32]}\0{words[key & 0xFFFFFFFF]}" for key in keys.tolist()]
        return full, which.astype(np.uint32), at

    def write(self, writer: Writer, field: str, documents: int) -> tuple[int, int]:
        self.flush()
        owners = np.frombuffer(self.owners, np.uint32)
        lengths = np.concatenate([np.zeros(0, np.uint8), *self.lengths])
        writer.add(f"{field}.lengths", narrow(lengths))
        writer.add(f"{field}.held", narrow(np.bincount(owners, minlength=documents)))
        owner = np.repeat(owners, lengths)
        blob, sizes, rank = _sort_terms(list(self.words))
        keys = _keys(rank[_joined(self.word_of)], _joined(self.word_at))
        self.word_of, self.word_at = [], []
        counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(sizes))
        values = keys.astype(np.uint32)
        del keys
        if self.pairs:
            blob, sizes, counts, values = self._with_pairs(blob, sizes, counts, values)
        out = FieldWriter(writer, field, max(self.places, 1))
        out.add_all(blob, sizes, counts, count_documents(owner, counts, values), values)
        return max(self.places, 1), len(sizes)

    def _with_pairs(self, blob: Array, sizes: Array, counts: Array, values: Array) -> tuple[Array, Array, Array, Array]:
        codes = np.array(self.run_codes, np.uint32)
        order = np.argsort(codes)
        rank = np.zeros(len(codes), np.uint32)
        rank[order] = np.arange(len(codes), dtype=np.uint32)
        codes = codes[order]
        pairs = _joined(self.pairs)
        keys = _keys(
            rank[pairs >> np.uint32(16)] << np.uint32(16) | rank[pairs & np.uint32(0xFFFF)], _joined(self.pair_at)
        )
        self.pairs, self.pair_at = [], []
        del pairs
        heads = np.flatnonzero(np.diff(keys >> np.uint64(32), prepend=np.uint64(1 << 40)))
        distinct = (keys[heads] >> np.uint64(32)).astype(np.uint32)
        pair_counts = np.diff(heads, append=len(keys))
        pair_values = keys.astype(np.uint32)
        del keys
        ends = np.full(len(distinct), 10, np.uint32)
        both = np.stack((codes[distinct >> np.uint32(16)], codes[distinct & np.uint32(0xFFFF)], ends), axis=1)
        pair_sizes = ((both > 0) * 1 + (both > 0x7F) + (both > 0x7FF) + (both > 0xFFFF)).sum(axis=1)
        flat = both.ravel()
        pair_blob = np.frombuffer(flat[flat != 0].astype("<u4").tobytes().decode("utf-32-le").encode(), np.uint8)
        starts = before(sizes)
        word_first = _first_codes(blob, starts)
        where = np.arange(len(sizes)) + np.searchsorted(both[:, 0], word_first)
        order = np.full(len(sizes) + len(pair_sizes), -1)
        order[where] = np.arange(len(sizes))
        order[order < 0] = np.arange(len(sizes), len(order))
        if np.isin(word_first, both[:, 0]).any():  # there were too many characters for all to be pairs
            terms = blob.tobytes().split(b"\n")[:-1] + pair_blob.tobytes().split(b"\n")[:-1]
            order = np.array(sorted(range(len(order)), key=terms.__getitem__), np.int64)
        return merge_lists(order, (blob, pair_blob), (sizes, pair_sizes), (counts, pair_counts), (values, pair_values))


def merge_lists(
    order: Array, blobs: Iterable[Array], sizes: Iterable[Array], counts: Iterable[Array], values: Iterable[Array]
) -> tuple[Array, Array, Array, Array]:
    """Several vocabularies with their lists, one after the other, brought into one order."""
    blob, size, count, value = (np.concatenate(list(parts)) for parts in (blobs, sizes, counts, values))
    sizes_now, counts_now = size[order], count[order]
    return (
        blob[spread(before(size)[order], sizes_now)],
        sizes_now,
        counts_now,
        value[spread(before(count)[order], counts_now)],
    )


def count_documents(owner: Array, counts: Array, values: Array) -> Array:
    """In how many documents each term stands; `owner` is the document of each place."""
    if not len(values):
        return np.zeros(len(counts), np.int64)
    of = owner[values]
    fresh = np.ones(len(of), bool)
    np.not_equal(of[1:], of[:-1], out=fresh[1:])
    starts = before(counts)
    fresh[starts] = True
    return np.add.reduceat(fresh, starts, dtype=np.int64)


def _first_codes(blob: Array, starts: Array) -> Array:
    """The code point of the UTF-8 at each start."""
    near = np.minimum(starts[:, None] + np.arange(4), max(0, len(blob) - 1))
    one, two, three, four = blob[near].astype(np.uint32).T
    two, three, four = two & 63, three & 63, four & 63
    return np.select(
        (one < 0x80, one < 0xE0, one < 0xF0),
        (one, (one & 31) << 6 | two, (one & 15) << 12 | two << 6 | three),
        (one & 7) << 18 | two << 12 | three << 6 | four,
    )


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.uint32), *parts])


def _keys(terms: Array, values: Array) -> Array:
    keys = terms.astype(np.uint64) << np.uint64(32) | values
    keys.sort()
    return keys


def _sort_terms(terms: list[str]) -> tuple[Array, Array, Array]:
    """The terms' bytes in order, their sizes, and the place of each term in that order."""
    order = sorted(range(len(terms)), key=terms.__getitem__)
    blob = np.frombuffer("".join([f"{terms[at]}\n" for at in order]).encode(), np.uint8)
    rank = np.zeros(len(terms), np.uint64)
    rank[order] = np.arange(len(terms), dtype=np.uint64)
    return blob, np.diff(np.flatnonzero(blob == ord("\n")), prepend=-1), rank
