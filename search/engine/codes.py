"""Ascending numbers in few bits: interpolative code, for many lists at once.

A list of n numbers v[1] < v[2] < ... < v[n] below U, with v[0] = -1 and v[n + 1] = U, is kept number by number in
the order of strides: s is the largest power of two that is not above n, then half of it, and so on down to 1; within
a stride j = s, 3s, 5s, ... Of v[j], its neighbours v[j - s] and v[min(j + s, n + 1)] are known by then, and between
them lie at least the numbers that come later, so that x = v[j] - v[j - s] - s is below some r:

    w = floor(log2(r)), e = 2^(w + 1) - r        the first e of the r numbers take w bits, the others w + 1

Every stride has two parts: w bits for each number (x, or (x + e) >> 1 where x >= e), then the last bit of each that
has one more. So widths do not depend on what is read, and a stride is decoded in one go. A list of one number has
it in as many bits as U - 1 has. Bits go least significant first; the stream is filled up to a byte at every `step`
lists. Numbers that lie close together take next to nothing: documents that are alike should be neighbours.

Any bits decode to an ascending list below U. The compiled kernel does the same where there is one.

Source: Moffat and Stuiver, Binary interpolative coding for effective index compression (2000).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_VERSION = 1
KERNEL: Any
"""The compiled kernel, or None where there was no compiler."""
try:
    KERNEL = import_module("search.engine._kernel")
    if KERNEL.VERSION != _VERSION:  # built from an older source that has been updated in place since
        KERNEL = None
except ImportError:
    KERNEL = None
_MOST = 1 << 32


def before(sizes: Array) -> Array:
    """The sum of all sizes before each."""
    out = np.zeros(len(sizes), np.int64)
    np.cumsum(sizes[:-1], out=out[1:])
    return out


def spread(starts: Array, sizes: Array) -> Array:
    """All numbers of the ranges [start, start + size), one range after the other."""
    total = int(sizes.sum())
    return np.repeat(starts - before(sizes), sizes) + np.arange(total)


def width_of(universe: int) -> int:
    """The bits of a list of one number."""
    return max(0, universe - 1).bit_length()


def encode(values: Array, counts: Array, universe: int, step: int) -> tuple[Array, Array]:
    """The lists as a stream of bytes, and how many bits each takes."""
    counts = counts.astype(np.int64)
    if KERNEL is not None:
        stream, bits = KERNEL.encode(values.astype(np.uint32, copy=False), counts, universe, step)
        return np.frombuffer(stream, np.uint8), np.frombuffer(bits, np.int64)
    values = values.astype(np.int64)
    first = before(counts)
    single = np.flatnonzero(counts == 1)
    bits = np.where(counts == 1, width_of(universe), 0)
    pieces = [(single, np.zeros(len(single), np.int64), values[first[single]])]  # list, bit in it, number
    for stride in _strides(counts):
        of, at = _numbers(counts, stride)
        if not len(of):
            continue
        low, room = _rooms(values, first[of] - 1, at, counts[of], stride, universe)
        width, even = _halves(room)
        rest = values[first[of] - 1 + at] - low
        if ((rest < 0) | (rest >= room)).any():
            raise ValueError("the lists do not ascend below the universe")
        heads = _heads(of)
        long = (rest >= even).astype(np.int64)
        for held, widths in ((np.where(long, (rest + even) >> 1, rest), width), ((rest + even) & long, long)):
            pieces.append((of, bits[of] + _within(widths, heads), held))
            bits[of[heads]] += np.add.reduceat(widths, heads)
    starts = _starts(bits, step)
    owners, within, held = (np.concatenate(part) for part in zip(*pieces, strict=True))
    end = int(starts[-1] + bits[-1]) if len(bits) else 0
    return _pack(held.astype(np.uint64), starts[owners] + within, -(-end // 8)), bits


def _starts(bits: Array, step: int) -> Array:
    """Where each list begins in the stream."""
    groups = np.arange(len(bits)) // step
    sizes = np.bincount(groups, bits).astype(np.int64)
    padding = before(-(-sizes // 8) * 8 - sizes)
    return before(bits) + padding[groups]


def _strides(counts: Array) -> list[int]:
    top = int(counts.max()) if len(counts) else 0
    return [1 << at for at in reversed(range(top.bit_length()))]


def _numbers(counts: Array, stride: int) -> tuple[Array, Array]:
    """Of all lists of two and more: the list and the place in it, from 1, of each number of a stride."""
    several = np.flatnonzero((counts >= stride) & (counts > 1))
    sizes = (counts[several] + stride) // (2 * stride)
    return np.repeat(several, sizes), spread(np.zeros(len(sizes), np.int64), sizes) * 2 * stride + stride


def _rooms(values: Array, base: Array, at: Array, count: Array, stride: int, universe: int) -> tuple[Array, Array]:
    """The least that each number can be, and how many it can be."""
    left = np.where(at > stride, values[base + np.maximum(at - stride, 1)], -1)
    inside = at + stride <= count
    right = np.where(inside, values[base + np.where(inside, at + stride, at)], universe)
    low = left + stride
    return low, right - np.where(inside, stride, count + 1 - at) - low + 1


def _halves(room: Array) -> tuple[Array, Array]:
    """The bits of the numbers below, and how many numbers take no more."""
    width = np.frexp(room.astype(np.float64))[1].astype(np.int64) - 1
    return width, (np.int64(2) << width) - room


def _pack(values: Array, places: Array, size: int) -> Array:
    """The values as bits at places that do not overlap, as bytes."""
    words = np.zeros(size // 8 + 2, np.uint64)
    order = np.argsort(places, kind="stable")
    values, places = values[order], places[order]
    if len(values):
        word, shift = places >> 6, (places & 63).astype(np.uint64)
        heads = _heads(word)
        which = word[heads]
        # Bits do not overlap, so that sums are unions.
        words[which] = np.add.reduceat(values << shift, heads)
        words[which + 1] += np.add.reduceat(values >> np.uint64(1) >> (np.uint64(63) - shift), heads)
    return words.astype("<u8").view(np.uint8)[:size]


def decode(stream: Array, starts: Array, counts: Array, universe: int) -> Array:
    """The numbers of lists, as 64-bit integers.

    Args:
        stream: bytes.
        starts: where each list begins in it, in bits.
        counts: how many numbers each list holds.
        universe: what they were coded with.

    Raises:
        ValueError: the stream is too short, or a list cannot be that long.
    """
    counts, starts = counts.astype(np.int64, copy=False), starts.astype(np.int64, copy=False)
    if len(counts) and (int(counts.max()) > universe or int(counts.min()) < 0 or universe > _MOST):
        raise ValueError("no list is that long")
    values = np.empty(int(counts.sum()), np.int64)
    if KERNEL is not None:
        KERNEL.decode(stream, np.ascontiguousarray(starts), np.ascontiguousarray(counts), universe, values)
        return values
    padded = np.concatenate((stream, np.zeros(16, np.uint8)))
    words = np.ndarray((len(stream) + 8,), "<u8", buffer=padded.data, strides=(1,))
    first = before(counts)
    ends = starts + np.where(counts == 1, width_of(universe), 0)
    single = counts == 1
    values[first[single]] = _bits(words, starts[single], np.full(int(single.sum()), width_of(universe)))
    for stride in _strides(counts):
        of, at = _numbers(counts, stride)
        if not len(of):
            continue
        low, room = _rooms(values, first[of] - 1, at, counts[of], stride, universe)
        width, even = _halves(room)
        heads = _heads(of)
        rest = _bits(words, ends[of] + _within(width, heads), width)
        ends[of[heads]] += np.add.reduceat(width, heads)
        long = (rest >= even).astype(np.int64)
        last = _bits(words, ends[of] + _within(long, heads), long)
        ends[of[heads]] += np.add.reduceat(long, heads)
        values[first[of] - 1 + at] = low + np.where(long, 2 * rest + last - even, rest)
    ended = not len(ends) or int(ends.max()) <= 8 * len(stream)
    if not ended or (single.any() and int(values[first[single]].max()) >= universe):
        raise ValueError("bits are missing")
    return values


def _heads(of: Array) -> Array:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.concatenate((np.ones(1, bool), of[1:] != of[:-1])))


def _within(widths: Array, heads: Array) -> Array:
    """The sum of the widths before each in its own list; lists begin at `heads`."""
    sums = before(widths)
    sizes = np.diff(heads, append=len(widths))
    return sums - np.repeat(sums[heads], sizes)


def _bits(words: Array, places: Array, widths: Array) -> Array:
    """The bits at places; beyond the end they are 0."""
    byte = np.minimum(places >> 3, len(words) - 1)
    found = words[byte] >> (places & 7).astype(np.uint64)
    rest: Array = (found & ((np.uint64(1) << widths.astype(np.uint64)) - np.uint64(1))).astype(np.int64)
    return rest
