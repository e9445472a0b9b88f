"""Likeness in numbers: of texts by the terms they share, of pictures by what `indexer.likeness` made of them.

Text       `TEXT` bytes: 128 smallest hashes of the pairs of neighbouring terms, 16 bits of each. As many of them
           are equal in two texts as the texts share of all their pairs (MinHash).
Picture    vectors of signed bytes; the likeness is the cosine of the whole of one and the whole, or the whole
           without its edges, of the other, whichever is greater.

One against all is a pass over everything. All against all goes by orders: rows are sorted by four hashes of a text,
or by the signs of a picture's vector in one of many mixed orders, and each is compared with those that follow it:
texts where the hashes are equal, pictures where few signs differ (LSH).

Source: Broder, On the resemblance and containment of documents (1997); Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3; Charikar, Similarity estimation techniques from rounding algorithms (2002).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
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


class Texts:
    """Signatures of texts, row by row."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self.rows = np.frombuffer(b"".join(bodies), "<u2").reshape(-1, HASHES)

    def like(self, body: bytes) -> Array:
        """How alike each is to one, from 0 to 1."""
        found: Array = (self.rows == np.frombuffer(body, "<u2")).mean(axis=1)
        return found

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
        self.rows = np.frombuffer(b"".join(bodies), np.int8).reshape(-1, len(CROPS), SIZE)
        self._lengths = np.empty((len(self.rows), 1), np.float32)
        for at in range(0, len(self.rows), 1 << 15):
            some = self.rows[at : at + (1 << 15), 0].astype(np.float32)
            self._lengths[at : at + (1 << 15), 0] = np.maximum(np.linalg.norm(some, axis=1), 1.0)

    def like(self, body: bytes) -> Array:
        """How alike each is to one, from -1 to 1."""
        one = _unit(np.frombuffer(body, np.int8).reshape(len(CROPS), SIZE))
        found = np.empty(len(self.rows), np.float32)
        for at in range(0, len(self.rows), 1 << 15):
            some = slice(at, at + (1 << 15))
            found[some] = self.rows[some, 0].astype(np.float32) @ one[0] / self._lengths[some, 0]
        near = np.flatnonzero(found >= _FAR)
        for at in range(0, len(near), 1 << 15):
            chosen = near[at : at + (1 << 15)]
            crops = _unit(self.rows[chosen])
            found[chosen] = np.maximum((crops[:, 0] @ one.T).max(axis=1), (crops @ one[0]).max(axis=1))
        return found

    def between(self, first: Array, second: Array) -> Array:
        """How alike the rows of each pair are."""
        found = [np.zeros(0)]
        for a, b in _in_parts(first, second):
            lengths = self._lengths[a, 0] * self._lengths[b, 0]
            alike = np.einsum("ns,ns->n", *(self.rows[each, 0].astype(np.float32) for each in (a, b))) / lengths
            near = np.flatnonzero(alike >= _FAR)
            one, other = _unit(self.rows[a[near]]), _unit(self.rows[b[near]])
            alike[near] = np.maximum(
                np.einsum("ns,ncs->nc", one[:, 0], other).max(axis=1, initial=-1.0),
                np.einsum("ns,ncs->nc", other[:, 0], one).max(axis=1, initial=-1.0),
            )
            found.append(alike)
        return np.concatenate(found)

    def orders(self) -> Iterator[Array]:
        """One key for each row, in each order."""
        chooser = np.random.Generator(np.random.PCG64(_SEED))
        signs = self.rows[:, 0, :_SIGNS] > 0
        for _ in range(_TABLES):
            mixed = np.packbits(signs[:, chooser.permutation(_SIGNS)], axis=1)
            yield np.ascontiguousarray(mixed).view(">u8")[:, 0].astype(np.uint64)

    def may_be_alike(self, one: Array, other: Array) -> Array:
        """Which of pairs of keys are worth a look."""
        found: Array = np.bitwise_count(one ^ other) <= _MOST_UNLIKE
        return found


def clusters(kept: Texts | Pictures, least: float) -> list[list[int]]:
    """Rows that are alike, or joined by others that are, as ascending numbers; those that are alone are left out."""
    joined = np.arange(len(kept.rows))  # the least row of the cluster that each is in
    for keys in kept.orders():
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for step in range(1, _NEAR + 1):
            first, second = order[step:], order[:-step]
            near = kept.may_be_alike(ordered[step:], ordered[:-step]) & (joined[first] != joined[second])
            first, second = first[near], second[near]
            alike = kept.between(first, second) >= least
            _join(joined, first[alike], second[alike])
    order = np.argsort(joined, kind="stable")
    starts = np.flatnonzero(np.diff(joined[order], prepend=-1))
    return [rows.tolist() for rows in np.split(order, starts[1:]) if len(rows) > 1]


def _join(joined: Array, first: Array, second: Array) -> None:
    """Puts the clusters of each pair together; `joined` names them by their least rows before and after."""
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        one, other = a, b
        while joined[one] != one:
            one = int(joined[one])
        while joined[other] != other:
            other = int(joined[other])
        joined[max(one, other)] = min(one, other)
    while len(first) and (joined != joined[joined]).any():
        joined[:] = joined[joined]


def _unit(rows: Array) -> Array:
    values = rows.astype(np.float32)
    found: Array = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1.0)
    return found


def _in_parts(first: Array, second: Array) -> Iterator[tuple[Array, Array]]:
    for at in range(0, len(first), 1 << 15):
        yield first[at : at + (1 << 15)], second[at : at + (1 << 15)]
