"""Texts to terms in whole arrays: the rules of `search.analysis`, with no Python per token.

A batch of texts is one array of code points, a NUL after each text:

    char   uint32[n]   folded character | script << 21 | unit << 24     one look-up in a table of 0x110000 uint32
    script             see SCRIPTS
    unit               GAP, LF, CR, WORD, DIGIT, RUN; or UNEVEN, MARK, where the table cannot fold alone
    place  uint32[n]   running count of what takes a position: beginnings of words (or of their parts),
                       and characters of runs

Texts with a character that folds to none or several have it replaced first; texts with a mark that joins the
character before it are folded one by one (`analysis.fold`) and come back as folded text. Words are ranges of
characters: they are grouped by a hash, every member of a group is compared with its first, and only one word
of each group becomes a string. Bigrams of runs stay numbers. O(characters + tokens log tokens).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search import analysis
from search.engine.codes import before, spread

Array = NDArray[Any]

GAP, LF, CR, WORD, DIGIT, RUN, UNEVEN, MARK = range(1, 9)
_CODE = np.uint32(0x1FFFFF)
SCRIPTS = 8
"""0 Latin, 1 other words, 2 Hangul, 3 Han and its like, 4 other runs, 7 kana."""
KANA = SCRIPTS - 1
_FEW = 16  # replacements that are quicker one by one than all in one go
_LOWER = re.compile("[a-zß-öø-ÿа-я]")
_UPPER = re.compile("[A-ZÀ-ÖØ-ÞА-Я]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Tokens(NamedTuple):
    """What a batch of texts holds; places count from the beginning of the batch.

    words: distinct words. word_of, word_at: uint32, for each token of a word which it is, and its place.
    first, second, pair_at: uint32, for each character of a run itself, the next of the run or 0, its place.
    lengths: int64, the number of places of each text.
    scripts: uint32, of which script most of each text is.
    """

    words: list[str]
    word_of: Array
    word_at: Array
    first: Array
    second: Array
    pair_at: Array
    lengths: Array
    scripts: Array


class Table:
    """What each character becomes; learnt when first met."""

    def __init__(self, *, folded: bool) -> None:
        self.codes = np.zeros(0x110000, np.uint32)
        self.uneven: dict[int, str] = {}
        self.cases = np.zeros(0x110000, np.uint8)
        self._folded = folded

    def of(self, text: str) -> tuple[Array, Array]:
        """The characters of the text, and what the table makes of them."""
        chars = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        found = self.codes[chars]
        if not found.all():
            self.units(set(text))
            found = self.codes[chars]
        return chars, found

    def units(self, chars: set[str]) -> dict[str, int]:
        """The unit of each character."""
        held = {char: int(self.codes[ord(char)]) >> 24 for char in chars}
        for char in [char for char, unit in held.items() if not unit]:
            self._learn(ord(char))
            held[char] = int(self.codes[ord(char)]) >> 24
        return held

    def even(self, text: str, odd: list[str]) -> str:
        """The text with every one of these uneven characters replaced by what it folds to."""
        if len(odd) > _FEW:
            return text.translate({ord(char): self.uneven[ord(char)] for char in odd})
        for char in odd:
            text = text.replace(char, self.uneven[ord(char)])
        return text

    def _learn(self, code: int) -> None:
        char = chr(code)
        self.cases[code] = 1 if _LOWER.match(char) else 2 if _UPPER.match(char) else 0
        folded = char if self._folded else analysis.fold_alone(char)
        if folded is None:
            self.codes[code] = MARK << 24
        elif len(folded) == 1:
            self.codes[code] = ord(folded) | _script(ord(folded)) << 21 | _unit(folded) << 24
        elif any(analysis.fold_alone(part) is None for part in folded):
            self.codes[code] = MARK << 24
        else:
            self.codes[code] = UNEVEN << 24
            self.uneven[code] = folded


def _unit(char: str) -> int:
    if char in " \r\n\0":
        return {"\n": LF, "\r": CR}.get(char, GAP)
    if analysis.is_run(char):
        return RUN
    return DIGIT if "0" <= char <= "9" else WORD


def _script(code: int) -> int:
    if code < 0x250:
        return 0
    if 0x1100 <= code < 0x1200 or 0xA960 <= code < 0xA980 or 0xAC00 <= code < 0xD800:
        return 2
    if 0x3040 <= code < 0x3100 or 0x31F0 <= code < 0x3200 or 0x1B000 <= code < 0x1B170:
        return KANA
    if 0x2E80 <= code < 0xA000 or 0xF900 <= code < 0xFB00 or 0x20000 <= code < 0x40000:
        return 3
    return 4 if analysis.is_run(chr(code)) else 1


@cache
def table_of(*, folded: bool) -> Table:
    """What characters become, those of texts or those of folded texts."""
    return Table(folded=folded)


@cache
def _powers(size: int) -> tuple[Array, Array]:
    """Powers of a secret odd number, and of its inverse, modulo 2^64."""
    base = secrets.randbits(61) * 8 + 3
    out = []
    for factor in (base, pow(base, -1, 1 << 64)):
        powers = np.ones(size, np.uint64)
        done = 1
        while done < size:
            step = np.uint64(pow(factor, done, 1 << 64))
            powers[done : 2 * done] = powers[: min(done, size - done)] * step
            done *= 2
        out.append(powers)
    return out[0], out[1]


def tokenise(texts: Sequence[str], *, split: bool = False) -> Iterable[tuple[list[int], Tokens]]:
    """The tokens of the texts in batches, each with the numbers of its texts; every text is in one of them."""
    joined = "\0".join(texts) + "\0"
    if joined.count("\0") != len(texts):
        texts = [text.replace("\0", " ") for text in texts]
        joined = "\0".join(texts) + "\0"
    table = table_of(folded=False)
    chars, found = table.of(joined)
    odd = found >= UNEVEN << 24
    if not split and odd.any() and not (found >= MARK << 24).any():
        chars, found = table.of(table.even(joined, [chr(code) for code in np.unique(chars[odd]).tolist()]))
        odd = found >= UNEVEN << 24
    if not odd.any():
        yield list(range(len(texts))), _tokens(chars, found, table if split else None)
        return
    ends = np.flatnonzero(chars == 0)
    hard = np.zeros(len(texts), bool)
    hard[np.searchsorted(ends, np.flatnonzero(odd if split else found >= MARK << 24))] = True
    easy = np.flatnonzero(~hard).tolist()
    slow = np.flatnonzero(hard).tolist()
    if easy:
        for within, tokens in tokenise([texts[at] for at in easy], split=split):
            yield [easy[at] for at in within], tokens
    if split:
        yield slow, _by_text([texts[at] for at in slow])
    else:
        folded = "\0".join(analysis.fold(texts[at]).text for at in slow) + "\0"
        yield slow, _tokens(*table_of(folded=True).of(folded), None)


def _by_text(texts: Sequence[str]) -> Tokens:
    """Names that the arrays cannot fold, token by token."""
    numbers: dict[str, int] = {}
    words: list[tuple[int, int]] = []
    pairs: list[tuple[int, int, int]] = []
    lengths: list[int] = []
    base = 0
    for text in texts:
        size = 0
        for term, place, *_ in analysis.tokens(text, split=True):
            size = place + 1
            if analysis.is_run(term[0]):
                pairs.append((ord(term[0]), ord(term[1]) if len(term) > 1 else 0, base + place))
            else:
                words.append((numbers.setdefault(term, len(numbers)), base + place))
        lengths.append(size)
        base += size
    which, places = np.array(words, np.uint32).reshape(-1, 2).T
    first, second, pair_at = np.array(pairs, np.uint32).reshape(-1, 3).T
    scripts = np.zeros(len(texts), np.uint32)
    return Tokens(list(numbers), which, places, first, second, pair_at, np.array(lengths), scripts)


def _tokens(chars: Array, found: Array, cases: Table | None) -> Tokens:
    """The tokens of folded characters; with `cases`, words are split by rule 5."""
    code = found & _CODE
    unit = (found >> np.uint32(24)).astype(np.uint8)
    run = unit == RUN
    word = (unit == WORD) | (unit == DIGIT)
    edges = np.flatnonzero(np.diff(word, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    if len(starts) and (ends - starts).max() > analysis.LONGEST:
        pieces = -(-(ends - starts) // analysis.LONGEST)
        offsets = spread(np.zeros_like(pieces), pieces) * analysis.LONGEST
        starts, ends = np.repeat(starts, pieces) + offsets, np.repeat(ends, pieces)
        ends = np.minimum(ends, starts + analysis.LONGEST)
    words_at = starts
    begins = starts if cases is None else _parts(starts, ends, unit, cases.cases[chars])
    takes = run.copy()
    takes[begins] = True
    places = np.cumsum(takes, dtype=np.uint32)
    lengths = np.diff(places[chars == 0].astype(np.int64), prepend=0)
    places -= np.uint32(1)
    if cases is None:
        at = places[starts]
    else:
        starts, ends, at = _wholes(starts, ends, begins, unit, places)
    words, which = _group(code, starts, ends)
    here = np.flatnonzero(run)
    after = run[here + 1]
    second = np.where(after, code[here + 1], np.uint32(0))
    last = here[~after]
    ahead = np.concatenate((unit, np.zeros(3, np.uint8)))
    unix = (ahead[last + 1] == LF) & (ahead[last + 2] == RUN)
    windows = (ahead[last + 1] == CR) & (ahead[last + 2] == LF) & (ahead[last + 3] == RUN)
    wrapped = np.concatenate((last[unix], last[windows]))
    following = np.concatenate((last[unix] + 2, last[windows] + 3))
    return Tokens(
        words,
        which,
        at,
        np.concatenate((code[here], code[wrapped])),
        np.concatenate((second, code[following])),
        np.concatenate((places[here], places[wrapped])),
        lengths,
        _scripts(found, np.concatenate((words_at, here)), np.flatnonzero(chars == 0)),
    )


def _scripts(found: Array, at: Array, ends: Array) -> Array:
    """The script that most words and characters of runs are of, in each text; kana where an eighth is."""
    script = found[at] >> np.uint32(21) & np.uint32(SCRIPTS - 1)
    of = np.searchsorted(ends, at) * SCRIPTS + script.astype(np.int64)
    counts = np.bincount(of, minlength=len(ends) * SCRIPTS).reshape(-1, SCRIPTS)
    return np.where(counts[:, KANA] > counts.sum(axis=1) // 8, KANA, counts.argmax(axis=1)).astype(np.uint32)


def _parts(starts: Array, ends: Array, unit: Array, case: Array) -> Array:
    """Where the parts of words begin: at the words, between letters and digits, and at capitals."""
    inside = spread(starts, ends - starts)
    follows = np.ones(len(inside), bool)
    follows[before(ends - starts)] = False
    now, back = case[inside], case[np.maximum(inside - 1, 0)]
    changed = unit[inside] != unit[np.maximum(inside - 1, 0)]
    ahead = np.minimum(inside + 1, len(case) - 1)
    in_run = (ahead < np.repeat(ends, ends - starts)) & (unit[ahead] == unit[inside])
    capital = (now == 2) & ((back == 1) | ((back == 2) & (case[ahead] == 1) & in_run))
    return inside[~follows | changed | capital]


def _wholes(starts: Array, ends: Array, begins: Array, unit: Array, places: Array) -> tuple[Array, Array, Array]:
    """Ranges and places of all parts, and of each run of letters and each word that has several."""
    first = np.searchsorted(begins, starts)
    sizes = np.append(first[1:], len(begins)) - first
    part_ends = np.append(begins[1:], 0)
    part_ends[first + sizes - 1] = ends
    # Runs of letters: parts of one word with the same kind of character, side by side.
    heads = np.ones(len(begins), bool)
    heads[1:] = unit[begins[1:]] != unit[begins[:-1]]
    heads[first] = True
    groups = np.flatnonzero(heads)
    group_sizes = np.append(groups[1:], len(begins)) - groups
    group_last = groups + group_sizes - 1
    several = group_sizes > 1
    spans = np.add.reduceat(heads.astype(np.int64), first) if len(first) else np.zeros(0, np.int64)
    mixed = spans > 1
    word_last = first + sizes - 1
    lefts = [begins, begins[groups[several]], begins[groups[several]], starts[mixed], starts[mixed]]
    rights = [part_ends, part_ends[group_last[several]], part_ends[group_last[several]], ends[mixed], ends[mixed]]
    at = [begins, begins[groups[several]], begins[group_last[several]], starts[mixed], begins[word_last[mixed]]]
    return np.concatenate(lefts), np.concatenate(rights), places[np.concatenate(at)]


def _group(code: Array, starts: Array, ends: Array) -> tuple[list[str], Array]:
    """The distinct words among the ranges, and which of them each range is."""
    count = len(starts)
    if not count:
        return [], np.zeros(0, np.uint32)
    power, inverse = _powers(1 << max(16, len(code).bit_length()))
    sums = np.zeros(len(code) + 1, np.uint64)
    np.cumsum(code * power[: len(code)], out=sums[1:])
    hashes = ((sums[ends] - sums[starts]) * inverse[starts] ^ (ends - starts).astype(np.uint64)) * _MULTIPLIER
    keys = (hashes & np.uint64(0xFFFFFFFF00000000)) | np.arange(count, dtype=np.uint64)
    keys.sort()
    order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    fresh = np.ones(count, bool)
    fresh[1:] = np.diff(keys >> np.uint64(32)) != 0
    group = np.empty(count, np.uint32)
    group[order] = np.cumsum(fresh, dtype=np.uint32) - np.uint32(1)
    heads = order[fresh]
    text = code.astype("<u4").tobytes().decode("utf-32-le")
    words = [text[a:b] for a, b in zip(starts[heads].tolist(), ends[heads].tolist(), strict=True)]
    leads = heads[group]
    sizes = ends - starts
    same = bool((sizes == sizes[leads]).all())
    if same:
        inside = spread(starts, sizes)
        same = bool((code[inside] == code[inside + np.repeat(starts[leads] - starts, sizes)]).all())
    if same:
        return words, group
    numbers: dict[str, int] = {}  # two words with one hash: told apart the plain way
    which = [numbers.setdefault(text[a:b], len(numbers)) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return list(numbers), np.array(which, np.uint32)
