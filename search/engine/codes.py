"""Ascending numbers in few bits: Elias and Fano's code, for many lists at once.

A list of n numbers below U is kept in two streams of bits, least significant bit first:

    l      = floor(log2(U / n)), 0 where n >= U
    low    n * l bits: the low l bits of each number
    high   n + (U >> l) + 1 bits: bit (number >> l) + i is set for number i; all others are 0

which takes at most 2 + log2(U / n) bits for each number, half a bit from the best possible. Sizes follow
from n and U alone, so a list needs no table beside its count. Lists that follow each other in a stream are
coded and decoded in one go: O(numbers + bits / 8), no loop over lists.

Source: Vigna, Quasi-succinct indices (2013), section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ONE = np.uint64(1)


def widths(counts: Array, universe: int) -> Array:
    """The number of low bits l for lists of these counts."""
    return np.maximum(np.frexp(np.maximum(universe // np.maximum(counts, 1), 1).astype(np.float64))[1] - 1, 0).astype(
        np.int64
    )


def high_sizes(counts: Array, low: Array, universe: int) -> Array:
    """The number of high bits for lists of these counts."""
    return counts + (universe >> low) + 1


def before(sizes: Array) -> Array:
    """The sum of all sizes before each."""
    out = np.zeros(len(sizes), np.int64)
    np.cumsum(sizes[:-1], out=out[1:])
    return out


def spread(starts: Array, sizes: Array) -> Array:
    """All numbers of the ranges [start, start + size), one range after the other."""
    total = int(sizes.sum())
    return np.repeat(starts - before(sizes), sizes) + np.arange(total)


def encode(values: Array, counts: Array, universe: int) -> tuple[Array, Array, Array, Array]:
    """The lists in two streams of bytes, low and high, and where each list begins in each, in bits."""
    counts = counts.astype(np.int64)
    low = widths(counts, universe)
    low_at, high_sized = before(counts * low), high_sizes(counts, low, universe)
    high_at = before(high_sized)
    first = before(counts)
    each = np.repeat(low, counts).astype(np.uint64)
    values = values.astype(np.uint64)
    order = np.arange(len(values))
    ones = (values >> each).astype(np.int64) + np.repeat(high_at - first, counts) + order
    bits = np.zeros(-(-int(high_sized.sum()) // 8) * 8, np.uint8)
    bits[ones] = 1
    high = np.packbits(bits, bitorder="little")
    places = np.repeat(low_at - first * low, counts) + order * each.astype(np.int64)
    return _pack(values & ((_ONE << each) - _ONE), places, int((counts * low).sum())), high, low_at, high_at


def _pack(values: Array, places: Array, total: int) -> Array:
    """The values as bits at ascending places that do not overlap, as bytes."""
    size = total // 64 + 2
    words = np.zeros(size, np.uint64)
    if total:
        word, shift = places >> 6, (places & 63).astype(np.uint64)
        heads = np.flatnonzero(np.concatenate((np.ones(1, bool), word[1:] != word[:-1])))
        which = word[heads]
        # Bits do not overlap, so that sums are unions.
        words[which] = np.add.reduceat(values << shift, heads)
        words[which + 1] += np.add.reduceat(values >> _ONE >> (np.uint64(63) - shift), heads)
    return words.astype("<u8").view(np.uint8)[: -(-total // 8)]


def decode(low_words: Array, high: Array, counts: Array, universe: int, low_at: Array, high_from: Array) -> Array:
    """The numbers of lists that follow each other, as 64-bit integers.

    Args:
        low_words: the eight bytes that begin at each byte of the stream of low bits.
        high: bytes of the stream of high bits, from that which holds the first list's first bit.
        counts: how many numbers each list holds.
        universe: what they were coded with.
        low_at: where each list begins in `low_words`, in bits.
        high_from: where each list begins in `high`, in bits.
    """
    total = int(counts.sum())
    skip = int(high_from[0]) if len(high_from) else 0
    ones = np.flatnonzero(np.unpackbits(high, bitorder="little")[skip:].view(np.bool_))[:total]
    if len(ones) < total:
        raise ValueError("bits are missing")
    order = np.arange(total)
    low = widths(counts, universe)
    if len(counts) == 1:
        width = int(low[0])
        numbers = ones - order
        if not width:
            return numbers
        places = int(low_at[0]) + order * width
        rest = (low_words[places >> 3] >> (places & 7).astype(np.uint64)) & np.uint64((1 << width) - 1)
        return (numbers << width) | rest.view(np.int64)
    first = before(counts)
    numbers = ones - np.repeat(high_from - skip - first, counts) - order
    each = np.repeat(low, counts)
    places = np.repeat(low_at - first * low, counts) + order * each
    rest = (low_words[places >> 3] >> (places & 7).astype(np.uint64)) & ((_ONE << each.astype(np.uint64)) - _ONE)
    return (numbers << each) | rest.view(np.int64)
