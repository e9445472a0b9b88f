"""The terms of a field as bytes, in steps of `STEP`: the first as it is, the others as what is new in them.

A step begins with a letter, its first term and a line feed. What follows for each other term, by the letter:

    W   words     a byte of two halves: how many bytes it shares with the term before (15: a byte tells), and how many
                  follow (0: a line feed ends them); these
    P   pairs     terms of one or two characters. The second goes on from that of the term before by d:
                  d below 192: one byte; below 0x3F00: 192 + (d >> 8), d & 255;
                  else 0, then both characters in three bytes each, the lowest first
    H   digits    a name, NUL, and an even number of hex digits, as many in each term: half as many bytes
    I   ids       the same, where each term is the id of the first document in its list: nothing
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before, spread

Array = NDArray[Any]

STEP = 64
"""Terms from one that is whole to the next."""
_MOST_SHARED = 200
_LONGEST_NAME = 32  # of a field whose values can be digits
_NEAR, _FAR = 192, 0x3F00
_LF = ord("\n")
_ID = b"id\0"
_DIGIT = np.full(256, 255, np.uint8)
_DIGIT[list(b"0123456789abcdef")] = np.arange(16, dtype=np.uint8)


def shorten(blob: Array, sizes: Array, ids: Array | None) -> tuple[Array, Array]:
    """The terms in steps, and the bytes of each step.

    Args:
        blob: the bytes of the terms, a line feed after each.
        sizes: how many bytes each has, with the line feed.
        ids: for each term the sixteen bytes of the id of its first document, where these are kept so.
    """
    count = len(sizes)
    if not count:
        return np.zeros(0, np.uint8), np.zeros(0, np.int64)
    starts = before(sizes)
    heads = np.arange(0, count, STEP)
    kinds = _kinds(blob, starts, sizes, heads, ids)
    kind = np.repeat(kinds, np.diff(heads, append=count))
    is_head = np.zeros(count, bool)
    is_head[heads] = True
    sized = np.zeros(count, np.int64)
    sized[heads] = 1 + sizes[heads]

    words = np.flatnonzero((kind == ord("W")) & ~is_head)
    shared, new = _shared(blob, starts, sizes, words)
    marked = 1 + (shared >= 15)
    ended = new > 15
    sized[words] = marked + new + ended

    pairs = np.flatnonzero(kind == ord("P"))
    first, second = _characters(blob, starts[pairs], sizes[pairs])
    step = np.where(np.diff(first, prepend=-1) == 0, np.diff(second, prepend=0), _FAR)
    rest = ~is_head[pairs]
    pairs, first, second, step = pairs[rest], first[rest], second[rest], step[rest]
    near, far = (step < _NEAR), (step >= _FAR)
    sized[pairs] = np.where(near, 1, np.where(far, 7, 2))

    digits = np.flatnonzero((kind == ord("H")) & ~is_head)
    names = _name_sizes(blob, starts, heads)[digits // STEP]
    halves = (sizes[digits] - 1 - names) // 2
    sized[digits] = halves

    at = before(sized)
    out = np.empty(int(sized.sum()), np.uint8)
    out[at[heads]] = kinds
    out[spread(at[heads] + 1, sizes[heads])] = blob[spread(starts[heads], sizes[heads])]

    begin = at[words]
    out[begin] = np.minimum(shared, 15) << 4 | np.where(ended, 0, new)
    out[begin[shared >= 15] + 1] = shared[shared >= 15]
    out[spread(begin + marked, new + ended)] = blob[spread(starts[words] + shared, new + ended)]

    begin = at[pairs]
    out[begin] = np.where(near, step, np.where(far, 0, _NEAR + (step >> 8)))
    middle = ~near & ~far
    out[begin[middle] + 1] = step[middle] & 255
    for place in range(3):
        out[begin[far] + 1 + place] = first[far] >> 8 * place & 255
        out[begin[far] + 4 + place] = second[far] >> 8 * place & 255

    found = _DIGIT[blob[spread(starts[digits] + names, 2 * halves)]]
    out[spread(at[digits], halves)] = found[::2] << np.uint8(4) | found[1::2]
    return out, np.add.reduceat(sized, heads)


def _kinds(blob: Array, starts: Array, sizes: Array, heads: Array, ids: Array | None) -> Array:
    """The letter of each step."""
    characters = np.add.reduceat((blob & 0xC0) != 0x80, starts, dtype=np.int64) - 1
    kinds = np.where(np.maximum.reduceat(characters, heads) <= 2, ord("P"), ord("W")).astype(np.uint8)
    even = np.maximum.reduceat(sizes, heads) == np.minimum.reduceat(sizes, heads)
    names = _name_sizes(blob, starts, heads)
    each = sizes[heads] - 1 - names
    even &= (names > 1) & (each > 2) & (each % 2 == 0)
    for step in np.flatnonzero(even).tolist():
        terms = np.arange(heads[step], min(heads[step] + STEP, len(sizes)))
        begin, size = int(starts[terms[0]]), int(sizes[heads[step]])
        raw = blob[begin : begin + size * len(terms)].reshape(-1, size)
        name = int(names[step])
        values = _DIGIT[raw[:, name:-1]]
        if (values < 16).all() and (raw[:, :name] == raw[0, :name]).all():
            kinds[step] = ord("H")
            if ids is not None and raw[0, :name].tobytes() == _ID and values.shape[1] == 32:
                packed = values[:, ::2] << np.uint8(4) | values[:, 1::2]
                kinds[step] = ord("I" if (packed == ids[terms]).all() else "H")
    return kinds


def _name_sizes(blob: Array, starts: Array, heads: Array) -> Array:
    """The bytes of the name and its NUL, where the first term of a step begins with one; else 0."""
    near = blob[np.minimum(starts[heads][:, None] + np.arange(_LONGEST_NAME + 1), len(blob) - 1)]
    marks = (near == 0) | (near == _LF)
    first = marks.argmax(axis=1)
    return np.where(marks.any(axis=1) & (near[np.arange(len(heads)), first] == 0), first + 1, 0)


def _shared(blob: Array, starts: Array, sizes: Array, words: Array) -> tuple[Array, Array]:
    """How many bytes each of the words shares with the term before it, and how many follow."""
    shared = np.zeros(len(words), np.int64)
    alike = np.arange(len(words))
    for at in range(_MOST_SHARED):
        now = words[alike]
        alike = alike[blob[starts[now] + at] == blob[starts[now - 1] + at]]  # line feeds never are: terms differ
        if not len(alike):
            break
        shared[alike] += 1
    return shared, sizes[words] - 1 - shared


def _characters(blob: Array, starts: Array, sizes: Array) -> tuple[Array, Array]:
    """The first character of each term, and the second or 0."""
    first, width = _decoded(blob, starts)
    second, _ = _decoded(blob, starts + width)
    return first, np.where(width + 1 < sizes, second, 0)


def _decoded(blob: Array, starts: Array) -> tuple[Array, Array]:
    """The code point of the UTF-8 at each start, and its bytes."""
    near = np.minimum(starts[:, None] + np.arange(4), max(0, len(blob) - 1))
    one, two, three, four = blob[near].astype(np.int64).T
    two, three, four = two & 63, three & 63, four & 63
    code = np.select(
        (one < 0x80, one < 0xE0, one < 0xF0),
        (one, (one & 31) << 6 | two, (one & 15) << 12 | two << 6 | three),
        (one & 7) << 18 | two << 12 | three << 6 | four,
    )
    return code, 1 + (one >= 0xC0) + (one >= 0xE0) + (one >= 0xF0)


def restore(raw: bytes, count: int, ids: Callable[[int, int], list[bytes]]) -> list[bytes]:
    """The terms whose bytes these are.

    Args:
        raw: whole steps.
        count: how many terms they hold.
        ids: gives the ids, in hex digits, of the first documents of terms [start, end) of these.

    Raises:
        IndexError, ValueError: bytes are missing.
    """
    terms: list[bytes] = []
    at = 0
    while len(terms) < count:
        end = raw.index(b"\n", at)
        kind, term = raw[at], raw[at + 1 : end]
        at = end + 1
        first = len(terms)
        left = min(STEP, count - first) - 1
        terms.append(term)
        if kind == ord("W"):
            at = _restore_words(raw, at, term, left, terms)
        elif kind == ord("P"):
            at = _restore_pairs(raw, at, term, left, terms)
        else:
            name = term[: term.index(0) + 1]
            half = (len(term) - len(name)) // 2
            if kind == ord("I"):
                terms += [name + each for each in ids(first + 1, first + 1 + left)]
            else:
                terms += [name + raw[at + half * n : at + half * n + half].hex().encode() for n in range(left)]
                at += half * left
    return terms


def _restore_words(raw: bytes, at: int, term: bytes, left: int, terms: list[bytes]) -> int:
    for _ in range(left):
        shared, size = raw[at] >> 4, raw[at] & 15
        at += 1
        if shared == 15:
            shared = raw[at]
            at += 1
        end = at + size if size else raw.index(b"\n", at)
        term = term[:shared] + raw[at:end]
        at = end if size else end + 1
        terms.append(term)
    return at


def _restore_pairs(raw: bytes, at: int, term: bytes, left: int, terms: list[bytes]) -> int:
    text = term.decode()
    head = text[0].encode()
    second = ord(text[1]) if len(text) > 1 else 0
    for _ in range(left):
        step = raw[at]
        at += 1
        if step >= _NEAR:
            second += (step - _NEAR << 8) + raw[at]
            at += 1
        elif step:
            second += step
        else:
            head = chr(int.from_bytes(raw[at : at + 3], "little")).encode()
            second = int.from_bytes(raw[at + 3 : at + 6], "little")
            at += 6
        terms.append(head + chr(second).encode() if second else head)
    return at
