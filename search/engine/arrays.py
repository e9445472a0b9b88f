"""The kernel's work in whole arrays, for where there was no compiler: texts of one field to lists of places.

Texts wait until there are `_CHUNK` characters, and become tokens in one go (tokens.py):

    words    dict            term -> number, in order of appearance
    word_of, word_at         uint32 per token: number of the word, place in the row of places as they came
    pairs, pair_at           uint32 per character of a run: two numbers of characters, 16 bits each; place

`sort` sorts term << 32 | place as 64-bit numbers, which puts all lists in order at once; pairs are numbered
by code point by then, so their order is that of their UTF-8. Words and pairs never begin with the same
character and are merged by it. O(n log n) in the tokens.

Memory: about 12 bytes per token and 25 per character of one chunk; twice that in `sort`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before, spread
from search.engine.tokens import Tokens, tokenise

Array = NDArray[Any]

_CHUNK = 1 << 20
_MOST_RUNS = 1 << 16  # different characters of runs


class Inverter:
    """See invert.py: the same, in arrays."""

    def __init__(self, *, split: bool) -> None:
        self._split = split
        self._waiting: list[str] = []
        self._names: list[str | None] = []
        self._characters = 0
        self._owners = array("I")
        self._words: dict[str, int] = {}
        self._lengths = array("I")
        self._scripts = array("I")
        self._places = 0
        self._word_of: list[Array] = []
        self._word_at: list[Array] = []
        self._pairs: list[Array] = []
        self._pair_at: list[Array] = []
        self._runs = np.zeros(0x110000, np.uint16)  # characters of runs, numbered from 1 as they come
        self._run_codes = [0]

    def add(self, text: str, document: int, name: str | None = None) -> None:
        """Take a text of a document; `name` begins each of its terms."""
        self._waiting.append(text)
        self._names.append(name)
        self._owners.append(document)
        self._characters += len(text) + 1
        if self._characters >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        parts = [(numbers, held) for numbers, held in tokenise(self._waiting, split=self._split)]
        lengths, scripts = np.zeros((2, len(self._waiting)), np.int64)
        for numbers, held in parts:
            lengths[numbers], scripts[numbers] = held.lengths, held.scripts
        bases = before(lengths) + self._places
        for numbers, held in parts:
            moved = np.repeat(bases[numbers] - before(held.lengths), held.lengths).astype(np.uint32)
            owners = np.repeat(numbers, held.lengths) if self._names[0] is not None else None
            self._keep(held, moved, owners)
        self._places += int(lengths.sum())
        self._lengths.extend(lengths.tolist())
        self._scripts.extend(scripts.tolist())
        self._waiting, self._names, self._characters = [], [], 0

    def _keep(self, held: Tokens, moved: Array, owners: Array | None) -> None:
        """Keep the tokens; `moved` is how far each place lies from where it belongs."""
        words, which, at = held.words, held.word_of, held.word_at
        first, second, pair_at = held.first, held.second, held.pair_at
        if owners is not None:
            words, which, at = self._under_names(held, owners)
            first = first[:0]
            second, pair_at = first, first
        number = self._words.setdefault
        numbers = np.array([number(word, len(self._words)) for word in words], np.uint32)
        self._word_of.append(numbers[which] if len(words) else which.astype(np.uint32))
        self._word_at.append(at + moved[at] if len(at) else at.astype(np.uint32))
        fresh = np.unique(first[self._runs[first] == 0])
        room = max(0, _MOST_RUNS - len(self._run_codes))
        self._runs[fresh[:room]] = np.arange(len(self._run_codes), len(self._run_codes) + len(fresh[:room]))
        self._run_codes += fresh[:room].tolist()
        ids, following = self._runs[first], self._runs[second]
        strange = (ids == 0) | ((second != 0) & (following == 0))
        if strange.any():  # more than 65,535 different characters: these are kept as words
            pairs = zip(first[strange].tolist(), second[strange].tolist(), strict=True)
            odd = [number(chr(a) + (chr(b) if b else ""), len(self._words)) for a, b in pairs]
            self._word_of.append(np.array(odd, np.uint32))
            self._word_at.append(pair_at[strange] + moved[pair_at[strange]])
            ids, following, pair_at = ids[~strange], following[~strange], pair_at[~strange]
        self._pairs.append(ids.astype(np.uint32) << np.uint32(16) | following)
        self._pair_at.append(pair_at + moved[pair_at] if len(pair_at) else pair_at)

    def _under_names(self, held: Tokens, owners: Array) -> tuple[list[str], Array, Array]:
        """Words and pairs alike as words that begin with the name of their field."""
        numbers: dict[str | None, int] = {}
        names = np.array([numbers.setdefault(name, len(numbers)) for name in self._names], np.uint64)
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

    def passages(self) -> Array:
        """See invert.py."""
        self._flush()
        return np.stack([np.frombuffer(each, np.uint32) for each in (self._owners, self._lengths, self._scripts)], 1)

    def sort(self, order: Array) -> tuple[Array, Array, Array, Array, Array]:
        """See invert.py."""
        owners, lengths, _ = self.passages().T
        sizes = lengths.astype(np.int64)
        fresh = np.empty(len(order), np.int64)
        fresh[order] = before(sizes[order])
        moved = np.repeat(fresh - before(sizes), sizes).astype(np.uint32)
        blob, sizes, rank = sort_terms(list(self._words))
        at = _joined(self._word_at)
        keys = term_keys(rank[_joined(self._word_of)], at + moved[at])
        self._word_of, self._word_at = [], []
        counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(sizes))
        values = keys.astype(np.uint32)
        del keys
        if sum(map(len, self._pairs)):
            blob, sizes, counts, values = self._with_pairs(blob, sizes, counts, values, moved)
        owner = np.repeat(owners[order], lengths[order])  # of one document stand next to each other
        return blob, sizes, counts, count_documents(owner, counts, values), values

    def _with_pairs(
        self, blob: Array, sizes: Array, counts: Array, values: Array, moved: Array
    ) -> tuple[Array, Array, Array, Array]:
        codes = np.array(self._run_codes, np.uint32)
        order = np.argsort(codes)
        rank = np.zeros(len(codes), np.uint32)
        rank[order] = np.arange(len(codes), dtype=np.uint32)
        codes = codes[order]
        pairs, at = _joined(self._pairs), _joined(self._pair_at)
        keys = term_keys(
            rank[pairs >> np.uint32(16)] << np.uint32(16) | rank[pairs & np.uint32(0xFFFF)], at + moved[at]
        )
        self._pairs, self._pair_at = [], []
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
        word_first = first_codes(blob, before(sizes))
        where = np.arange(len(sizes)) + np.searchsorted(both[:, 0], word_first)
        order = np.full(len(sizes) + len(pair_sizes), -1)
        order[where] = np.arange(len(sizes))
        order[order < 0] = np.arange(len(sizes), len(order))
        if np.isin(word_first, both[:, 0]).any():  # there were too many characters for all to be pairs
            terms = blob.tobytes().split(b"\n")[:-1] + pair_blob.tobytes().split(b"\n")[:-1]
            order = np.array(sorted(range(len(order)), key=terms.__getitem__), np.int64)
        return _merge_lists(order, (blob, pair_blob), (sizes, pair_sizes), (counts, pair_counts), (values, pair_values))


def _merge_lists(
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


def first_codes(blob: Array, starts: Array) -> Array:
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


def term_keys(terms: Array, values: Array) -> Array:
    """Terms and values as numbers that order by both, in order."""
    keys = terms.astype(np.uint64) << np.uint64(32) | values
    keys.sort()
    return keys


def sort_terms(terms: list[str]) -> tuple[Array, Array, Array]:
    """The terms' bytes in order, their sizes, and the place of each term in that order."""
    order = sorted(range(len(terms)), key=terms.__getitem__)
    blob = np.frombuffer("".join([f"{terms[at]}\n" for at in order]).encode(), np.uint8)
    rank = np.zeros(len(terms), np.uint64)
    rank[order] = np.arange(len(terms), dtype=np.uint64)
    return blob, np.diff(np.flatnonzero(blob == ord("\n")), prepend=-1), rank
