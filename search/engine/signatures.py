"""Likeness in numbers: of texts by the terms they share, of pictures by what `indexer.likeness` made of them.

Text       `TEXT` bytes: 128 smallest hashes of the pairs of neighbouring terms, 16 bits of each. As many of them
           are equal in two texts as the texts share of all their pairs (MinHash).
Picture    vectors of signed bytes; the likeness is the cosine of the whole of one and the whole, or the whole
           without its edges, of the other, whichever is greater.

One against all is a pass over everything. All against all goes by orders: rows are sorted by four hashes of a text,
or by the signs of a picture's vector in one of many mixed orders, and each is compared with those that follow it:
texts where the hashes are equal, pictures where few signs differ (LSH). One order is held at a time; pairs are looked
at part by part and joined at once, so that beside the rows themselves a few numbers for each are all there is.

Source: Broder, On the resemblance and containment of documents (1997); Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3; Charikar, Similarity estimation techniques from rounding algorithms (2002).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.likeness import CROPS, SIZE
from search import analysis

Array = NDArray[Any]

HASHES = 128
TEXT = HASHES * 2
PICTURE = SIZE * len(CROPS)
LEAST_PAIRS = 8
"""A text of fewer pairs of terms is too short to be like another."""
_MOST_PAIRS = 20_000
_MOST_CHARS = 4_000_000
_ROWS = 4
_TABLES = 64
_NEAR = 8
"""Neighbours in an order that each is compared with; a family larger than that is joined link by link."""
_FAR = 0.35
"""Whole pictures less alike than this are not alike without their edges either."""
_SIGNS = 64
_MOST_UNLIKE = 20
"""Signs that differ in pictures that may be alike: at a cosine of 0.75 about 15 do, of others half."""
_BLOCK = 1 << 13
_SEED = 20_240_117
_UNITS = re.compile(r"[^\W\d_\u1100-\uffff]+|\d+|[^\W\u0000-\u10ff]")
"""Words and numbers; each character of scripts that are written in runs."""


def _numbers() -> tuple[Array, Array]:
    chooser = np.random.Generator(np.random.PCG64(_SEED))
    factors = chooser.integers(1, 1 << 63, HASHES, dtype=np.uint64) | np.uint64(1)
    return factors, chooser.integers(0, 1 << 63, HASHES, dtype=np.uint64)


_FACTORS, _ADDED = _numbers()


def sign_text(bodies: Iterable[str]) -> bytes:
    """What a text's terms leave of it; nothing where it is too short."""
    units: list[str] = []
    left = _MOST_CHARS
    for body in bodies:
        units += _UNITS.findall(analysis.fold(body[:left]).text)
        left -= len(body)
        if left <= 0:
            break
    if len(units) <= LEAST_PAIRS:
        return b""
    known: dict[str, int] = {}
    each = np.fromiter((known.setdefault(unit, len(known)) for unit in units), np.int64, len(units))
    hashes = np.fromiter((zlib.crc32(unit.encode("utf-8", "replace")) for unit in known), np.uint64, len(known))
    run = np.fromiter((ord(unit[0]) >= 0x1100 for unit in known), bool, len(known))
    terms, in_run = hashes[each], run[each]
    # In a run the terms are pairs of characters, so that two neighbours are three characters.
    pairs = _mixed(terms[:-1], terms[1:])
    triple = in_run[:-2] & in_run[1:-1]
    pairs[:-1][triple] = _mixed(pairs[:-1][triple], terms[2:][triple])
    pairs = np.unique(pairs)
    if len(pairs) < LEAST_PAIRS:
        return b""
    pairs = pairs[:_MOST_PAIRS]  # those of the smallest hashes: the same choice in every text
    least = np.empty(HASHES, np.uint64)
    for at in range(0, HASHES, 16):
        some = slice(at, at + 16)
        least[some] = (pairs[None, :] * _FACTORS[some, None] + _ADDED[some, None]).min(axis=1)
    return ((least * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48)).astype("<u2").tobytes()


def _mixed(one: Array, other: Array) -> Array:
    mixed = (one * np.uint64(0xFF51AFD7ED558CCD)) ^ (other * np.uint64(0xC4CEB9FE1A85EC53) + np.uint64(0x9E37))
    mixed ^= mixed >> np.uint64(29)
    found: Array = mixed * np.uint64(0xBF58476D1CE4E5B9)
    return found


def _gathered(bodies: Iterable[bytes]) -> bytearray:
    """All bodies one behind the other, none of them held twice."""
    whole = bytearray()
    for body in bodies:
        whole += body
    return whole


class Texts:
    """Signatures of texts, row by row."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self.rows = np.frombuffer(_gathered(bodies), "<u2").reshape(-1, HASHES)

    def like(self, body: bytes) -> Array:
        """How alike each is to one, from 0 to 1."""
        one = np.frombuffer(body, "<u2")
        return np.concatenate([np.zeros(0), *((rows == one).mean(axis=1) for rows in _blocks(self.rows))])

    def likest(self, bodies: Sequence[bytes]) -> tuple[Array, Array]:
        """How alike each is to the likest of some, from 0 to 1, and which of them that is."""
        each = np.stack([self.like(body) for body in bodies])
        return each.max(axis=0), each.argmax(axis=0)

    def between(self, first: Array, second: Array) -> Array:
        """How alike the rows of each pair are."""
        return np.concatenate(
            [
                np.zeros(0),
                *((self.rows[a] == self.rows[b]).mean(axis=1) for a, b in _in_parts(first, second)),
            ]
        )

    def orders(self) -> Iterator[Array]:
        """One key for each row, in each order."""
        keys = np.ascontiguousarray(self.rows).view("<u8")
        yield from (keys[:, at] for at in range(HASHES // _ROWS))

    def may_be_alike(self, one: Array, other: Array) -> Array:
        """Which of pairs of keys are worth a look."""
        found: Array = one == other
        return found


class Pictures:
    """Vectors of pictures, row by row."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self.rows = np.frombuffer(_gathered(bodies), np.int8).reshape(-1, len(CROPS), SIZE)
        lengths = (np.linalg.norm(rows[:, 0].astype(np.float32), axis=1) for rows in _blocks(self.rows))
        self._lengths = np.maximum(np.concatenate([np.zeros(0, np.float32), *lengths]), 1.0)

    def like(self, body: bytes) -> Array:
        """How alike each is to one, from -1 to 1."""
        return self.likest([body])[0]

    def likest(self, bodies: Sequence[bytes]) -> tuple[Array, Array]:
        """How alike each is to the likest of some, from -1 to 1, and which of them that is."""
        asked = _unit(np.frombuffer(b"".join(bodies), np.int8).reshape(-1, len(CROPS), SIZE))
        shares, which = np.empty(len(self.rows), np.float32), np.empty(len(self.rows), np.int32)
        for places in _blocks(np.arange(len(self.rows))):
            wholes = self.rows[places, 0].astype(np.float32) @ asked[:, 0].T / self._lengths[places, None]
            near = np.argwhere(wholes >= _FAR)
            for pairs in _blocks(near):
                at, one = pairs.T
                wholes[at, one] = _cut_or_whole(_unit(self.rows[places[at]]), asked[one])
            shares[places], which[places] = wholes.max(axis=1), wholes.argmax(axis=1)
        return shares, which

    def between(self, first: Array, second: Array) -> Array:
        """How alike the rows of each pair are."""
        found = [np.zeros(0)]
        for a, b in _in_parts(first, second):
            lengths = self._lengths[a] * self._lengths[b]
            alike = np.einsum("ns,ns->n", *(self.rows[each, 0].astype(np.float32) for each in (a, b))) / lengths
            near = np.flatnonzero(alike >= _FAR)
            alike[near] = _cut_or_whole(_unit(self.rows[a[near]]), _unit(self.rows[b[near]]))
            found.append(alike)
        return np.concatenate(found)

    def orders(self) -> Iterator[Array]:
        """One key for each row, in each order."""
        chooser = np.random.Generator(np.random.PCG64(_SEED))
        signs = [np.packbits(rows[:, 0, :_SIGNS] > 0, axis=1) for rows in _blocks(self.rows)]
        each = np.concatenate([np.zeros((0, _SIGNS // 8), np.uint8), *signs]).T.copy()
        for _ in range(_TABLES):
            tables = _moved(chooser.permutation(_SIGNS))
            keys = tables[0][each[0]]
            for table, eight in zip(tables[1:], each[1:], strict=True):
                keys |= table[eight]
            yield keys

    def may_be_alike(self, one: Array, other: Array) -> Array:
        """Which of pairs of keys are worth a look."""
        found: Array = np.bitwise_count(one ^ other) <= _MOST_UNLIKE
        return found


def _moved(order: Array) -> Array:
    """For each eight signs, as the number that they are, where an order puts them among all."""
    places = np.argsort(order).reshape(-1, 8, 1)
    is_set = np.unpackbits(np.arange(256, dtype=np.uint8)).reshape(256, 8).T.astype(np.uint64)
    found: Array = np.bitwise_or.reduce(is_set << (_SIGNS - 1 - places).astype(np.uint64), axis=1)
    return found


def clusters(kept: Texts | Pictures, least: float) -> Iterator[list[int]]:
    """Rows that are alike, or joined by others that are, as ascending numbers; those that are alone are left out."""
    joined: Array = np.arange(len(kept.rows), dtype=np.int32)  # leads to the least row of the cluster that each is in
    for keys in kept.orders():
        order: Array = np.argsort(keys, kind="stable").astype(np.int32)
        for first, second in _neighbours(kept, keys[order], order):
            apart = joined[first] != joined[second]
            first, second = first[apart], second[apart]
            alike = kept.between(first, second) >= least
            _join(joined, first[alike], second[alike])
        joined = _roots(joined, joined)
    order = np.argsort(joined, kind="stable").astype(np.int32)
    starts = np.flatnonzero(np.diff(joined[order], prepend=-1))
    ends = np.append(starts[1:], len(order))
    shared = ends - starts > 1
    for start, end in zip(starts[shared], ends[shared], strict=True):
        yield order[start:end].tolist()


def _neighbours(kept: Texts | Pictures, keys: Array, order: Array) -> Iterator[tuple[Array, Array]]:
    """Pairs of rows that stand near each other in an order and may be alike."""
    for step in range(1, _NEAR + 1):
        for places in _blocks(np.arange(step, len(order), dtype=np.int32)):
            near = places[kept.may_be_alike(keys[places], keys[places - step])]
            yield order[near], order[near - step]


def _join(joined: Array, first: Array, second: Array) -> None:
    """Puts the clusters of each pair together."""
    while len(first):
        one, other = _roots(joined, first), _roots(joined, second)
        np.minimum.at(joined, np.maximum(one, other), np.minimum(one, other))
        apart = one != other
        first, second = first[apart], second[apart]


def _roots(joined: Array, rows: Array) -> Array:
    """Where rows are led to in the end."""
    found: Array = joined[rows]
    while (found != (further := joined[found])).any():
        found = further
    return found


def _cut_or_whole(one: Array, other: Array) -> Array:
    """The likeness of pairs of pictures, the whole of one and the likest of the other."""
    found: Array = np.maximum(
        np.einsum("ns,ncs->nc", one[:, 0], other).max(axis=1, initial=-1.0),
        np.einsum("ns,ncs->nc", other[:, 0], one).max(axis=1, initial=-1.0),
    )
    return found


def _unit(rows: Array) -> Array:
    values = rows.astype(np.float32)
    found: Array = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1.0)
    return found


def _in_parts(first: Array, second: Array) -> Iterator[tuple[Array, Array]]:
    yield from zip(_blocks(first), _blocks(second), strict=True)


def _blocks(rows: Array) -> Iterator[Array]:
    """Parts that are small enough to be counted with in whole."""
    return (rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK))
