"""Text to terms: the same rules when an item is indexed and when a query is read.

The rules, in order. Another engine that follows them gets the same terms.

1. **Pieces.** A *mark* joins the character before it into one piece: every character with a combining
   class, every other mark (category M) outside scripts written without spaces, Hangul vowels and
   finals, the Burmese vowel II, and whatever decomposes to one of these first. All other characters
   are pieces of their own.
2. **Folding**, piece by piece: NFKC, case folding, NFKC, until nothing changes; a dotted i loses its
   dot; decimal digits of any script become 0 to 9; characters in `_DROPPED` (invisible ones, Arabic
   and Hebrew vowel points, the Arabic stretch mark) vanish; each Han character becomes its simplified
   form (OpenCC, one character at a time, so that 乾 is 干 wherever it stands; then `_VARIANTS`); what is neither a
   letter, a number, a mark nor of rule 3 becomes a space, except CR and LF; a mark that then stands
   first in its piece, or after a space, vanishes.
   So composed and decomposed, wide and narrow, traditional and simplified text give equal terms.
3. **Runs.** Characters of scripts written without spaces (`_RUN`: Han, kana, Hangul, bopomofo, Thai,
   Lao, Khmer, Burmese, private use) form runs across all these scripts. A run of n characters takes n
   positions: the bigram of characters i and i+1 stands at position i, and the last character alone at
   the last. A run that is parted from the next by one line break and nothing else also yields the
   bigram across the break, at the position of its last character: a wrapped line hides nothing.
4. **Words.** All other characters that are not spaces form words; a word takes one position. Words
   longer than `LONGEST` characters are cut into pieces of that length.
5. **Split words** (names, paths, fields; not body text). Letters and digits part: S01E05 is s, 01, e,
   05 at consecutive positions. Each run of letters is split once more where the original text goes
   from small to capital, or from capitals to a capitalised word (HTMLPage: html, page; letters of the
   Latin-1 and the Russian alphabet). A whole that
   was split (the run of letters, the word) stands at the first and at the last position of its parts.
   The word is cut (rule 4) before it is split.

Queries use the same rules, with three differences that follow from them (`Element`): a word is not
split at capitals, only its parts are asked for, not the whole; and the last character of the last run
is left out, as in the text another may follow; where that run is one character, every term that
begins with it answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

LONGEST = 128
"""Characters after which a word is cut. A SHA-512 in hex digits is still one term."""
WHOLE = 1024
"""Characters after which a whole value is cut, when it is kept and when it is asked for."""

_RUN = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecf"  # Thai, Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109f\u1780-\u17d3"  # Burmese, Khmer
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"  # radicals, Han numerals and repeats
    "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001b000-\U0001b16f"  # kana
    "\u3105-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # Han
    "\ue000-\uf8ff\U000f0000-\U0010fffd"  # private use: characters that a machine of the place knew
)
_DROPPED = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8\U000e0000-\U000e0fff"  # invisible
    "\u0640\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Arabic
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew
)
_VARIANTS = dict(
    zip(
        "着瞭覆藉锺馀讬谘钜迳衞敍麺缐甦伕枱粧糭簷痺颚甯鎗薰揹衹",
        "著了复借钟余托咨巨径卫叙面线苏夫台妆粽檐痹腭宁枪熏背只",
        strict=True,
    )
)
"""Spellings that OpenCC changes only in certain words, or only for one region; each becomes the second."""
_IS_RUN = re.compile(f"[{_RUN}]")
_IS_DROPPED = re.compile(f"[{_DROPPED}]")
_HAN = re.compile("[\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
_COMPOSING = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff\u102e]")  # Hangul vowels and finals, a Burmese vowel
_UNITS = re.compile(rf"([{_RUN}]+)|[^ \r\n{_RUN}]+")
_ASCII = str.maketrans({chr(code): chr(code).lower() if chr(code).isalnum() else " " for code in range(128)})
_ASCII[10], _ASCII[13] = "\n", "\r"
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_LETTERS_OR_DIGITS = re.compile(r"\d+|\D+")
_CAPITAL = re.compile(r"(?<=[a-zß-öø-ÿа-я])(?=[A-ZÀ-ÖØ-ÞА-Я])|(?<=[A-ZÀ-ÖØ-ÞА-Я])(?=[A-ZÀ-ÖØ-ÞА-Я][a-zß-öø-ÿа-я])")


class Token(NamedTuple):
    """A term, its position, and the characters [start, end) of the original text it came from.

    `first_end` is where the first character ends: what a query of one character marks of a bigram.
    """

    term: str
    position: int
    start: int
    end: int
    first_end: int


class Element(NamedTuple):
    """A step of a query's phrase; where `open` is true every term that begins with `term` answers."""

    term: str
    open: bool
    is_run: bool


class Folded(NamedTuple):
    """Folded text; character i came from [starts[i], ends[i]) of the original, or from i where None."""

    text: str
    starts: list[int] | None
    ends: list[int] | None


def fingerprint() -> str:
    """What an index must have been built with to be asked by this analysis."""
    import opencc

    return f"2; Unicode {unicodedata.unidata_version}; OpenCC {opencc.__version__}"


@cache
def _simplify() -> Callable[[str], str]:
    from opencc import OpenCC

    convert: Callable[[str], str] = OpenCC("t2s").convert
    return convert


@lru_cache(maxsize=1 << 16)
def _simplified(char: str) -> str:
    seen = [char]
    while (char := _simplify()(char)) not in seen and len(char) == 1:
        seen.append(char)
    return _VARIANTS.get(seen[-1], seen[-1])


@lru_cache(maxsize=1 << 16)
def _fold_piece(piece: str) -> str:
    """A piece (rule 1) after rule 2."""
    text = unicodedata.normalize("NFKC", piece)
    while (again := unicodedata.normalize("NFKC", text.casefold())) != text:
        text = again
    out: list[str] = []
    for char in text.replace("i\u0307", "i"):
        if _IS_DROPPED.match(char):
            continue
        if _IS_RUN.match(char):
            out.append(_simplified(char) if _HAN.match(char) else char)
            continue
        kind = unicodedata.category(char)
        if kind == "Nd":
            out.append(str(unicodedata.decimal(char)))
        elif kind[0] in "LN" or (kind[0] == "M" and out and out[-1] not in " \r\n"):
            out.append(char)
        elif kind[0] != "M":
            out.append(char if char in "\r\n" else " ")
    return "".join(out)


def _is_mark(char: str) -> bool:
    first = unicodedata.normalize("NFKD", char)[0]
    if unicodedata.combining(first) or _COMPOSING.match(first):
        return True
    return unicodedata.category(first)[0] == "M" and not _IS_RUN.match(first) and not _IS_DROPPED.match(first)


_known: set[str] = set()
_table: dict[int, str] = {}  # characters that fold to exactly one
_marks: set[str] = set()
_uneven: set[str] = set()  # characters that fold to none or to several


def _learn(chars: set[str]) -> None:
    for char in chars:
        if _is_mark(char):
            _marks.add(char)
            continue
        folded = _fold_piece(char)
        if len(folded) == 1:
            _table[ord(char)] = folded
        else:
            _uneven.add(char)
    _known.update(chars)


@lru_cache(maxsize=64)
def _odd_pieces(marks: str, uneven: str) -> re.Pattern[str]:
    parts = [f"(?s:.?[{re.escape(marks)}]+)"] if marks else []
    parts += [f"[{re.escape(uneven)}]"] if uneven else []
    return re.compile("|".join(parts))


def fold(text: str) -> Folded:
    """The text after rules 1 and 2, and where each character came from. Never raises."""
    if text.isascii():
        return Folded(text.translate(_ASCII), None, None)
    chars = set(text)
    if not chars <= _known:
        _learn(chars - _known)
    marks, uneven = chars & _marks, chars & _uneven
    if not marks and not uneven:
        return Folded(text.translate(_table), None, None)
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in _odd_pieces("".join(sorted(marks)), "".join(sorted(uneven))).finditer(text):
        start, end = match.span()
        if start > done:
            out.append(text[done:start].translate(_table))
            starts.extend(range(done, start))
            ends.extend(range(done + 1, start + 1))
        piece = _fold_piece(match[0])
        out.append(piece)
        starts.extend([start] * len(piece))
        ends.extend([end] * len(piece))
        done = end
    if done < len(text):
        out.append(text[done:].translate(_table))
        starts.extend(range(done, len(text)))
        ends.extend(range(done + 1, len(text) + 1))
    return Folded("".join(out), starts, ends)


def fold_alone(char: str) -> str | None:
    """What a character becomes that stands alone; None for a mark, which never does."""
    return None if _is_mark(char) else _fold_piece(char)


def plain(value: str) -> str:
    """A value folded like text, but with its punctuation and spaces."""
    text = unicodedata.normalize("NFKC", value)
    while (again := unicodedata.normalize("NFKC", text.casefold())) != text:
        text = again
    text = "".join(_simplified(char) if _HAN.match(char) else char for char in text.replace("i\u0307", "i"))
    return _IS_DROPPED.sub("", text).replace("\0", " ").encode("utf-8", "replace").decode()


def whole(value: str) -> str:
    """A value as the one term it is kept as: folded, every white space one space, cut at `WHOLE`."""
    return " ".join(plain(value).split())[:WHOLE]


def glob(pattern: str) -> re.Pattern[str]:
    r"""What a wildcard pattern matches: `*` any characters, `?` one, `\` makes the next one plain."""
    parts: list[str] = []
    for match in re.finditer(r"(?s)\\(.)|\*+|\?|[^*?\\]+|\\", pattern):
        piece = match[0]
        if match[1]:
            parts.append(re.escape(match[1]))
        else:
            parts.append(".*" if piece[0] == "*" else "." if piece == "?" else re.escape(piece))
    return re.compile("(?s:" + "".join(parts) + r")\Z")


def reads_as_number(value: str) -> bool:
    """Whether a text is a plain decimal number and nothing else."""
    return bool(_PLAIN_NUMBER.fullmatch(value))


def units(folded: str) -> Iterator[tuple[str, bool]]:
    """The runs and words of folded text in order, each with whether it is a run."""
    for match in _UNITS.finditer(folded):
        yield match[0], match[1] is not None


def is_run(char: str) -> bool:
    """Whether a folded character belongs to a script written without spaces (rule 3)."""
    return bool(_IS_RUN.match(char))


def count_positions(text: str, into: dict[str, list[int]], position: int = 0, *, split: bool = False) -> int:
    """The first position after `text`; its terms are added to `into` with their positions.

    Args:
        position: where the text begins.
        split: whether words are split (rule 5).
    """
    last = -1
    for term, last, _, _ in _terms(text, fold(text), split=split):
        if term in into:
            into[term].append(position + last)
        else:
            into[term] = [position + last]
    return position + last + 1


def tokens(text: str, *, split: bool = False, only: Callable[[str], bool] | None = None) -> list[Token]:
    """Every term of the text, or those that `only` takes, with positions and offsets into the text."""
    folded = fold(text)
    found = _terms(text, folded, split=split)
    if only is not None:
        found = (entry for entry in found if only(entry[0]))
    if folded.starts is None or folded.ends is None:
        return [Token(term, place, start, end, start + 1) for term, place, start, end in found]
    starts, ends = folded.starts, folded.ends
    return [Token(term, place, starts[start], ends[end - 1], ends[start]) for term, place, start, end in found]


def _terms(text: str, folded: Folded, *, split: bool) -> Iterator[tuple[str, int, int, int]]:
    """Term, position, and [start, end) in the folded text, in order of position."""
    source = folded.text
    position = 0
    run_end = -1
    for match in _UNITS.finditer(source):
        start, end = match.span()
        if match[1] is not None:
            if run_end >= 0 and source[run_end:start] in ("\n", "\r\n"):
                yield source[run_end - 1] + source[start], position - 1, run_end - 1, start + 1
            for at in range(start, end - 1):
                yield source[at : at + 2], position, at, at + 2
                position += 1
            yield source[end - 1], position, end - 1, end
            position += 1
            run_end = end
            continue
        for begin in range(start, end, LONGEST):
            stop = min(end, begin + LONGEST)
            if split:
                for term, place, left, right in _split(text, folded, begin, stop):
                    yield term, position + place, left, right
                    last = place
                position += last + 1
            else:
                yield source[begin:stop], position, begin, stop
                position += 1


def _split(text: str, folded: Folded, start: int, end: int) -> Iterator[tuple[str, int, int, int]]:
    """A word's parts and wholes (rule 5), by position from 0; the last has the highest position."""
    word = folded.text[start:end]
    spans = [(start + match.start(), start + match.end()) for match in _LETTERS_OR_DIGITS.finditer(word)]
    found: list[tuple[str, int, int, int]] = []
    place = 0
    for left, right in spans:
        first = place
        cuts = [left, *_capitals(text, folded, left, right), right]
        for a, b in pairwise(cuts):
            found.append((folded.text[a:b], place, a, b))
            place += 1
        if place - first > 1:
            found += [(folded.text[left:right], at, left, right) for at in (first, place - 1)]
    if len(spans) > 1:
        found += [(word, at, start, end) for at in (0, place - 1)]
    found.sort(key=lambda entry: entry[1])
    yield from found


def _capitals(text: str, folded: Folded, start: int, end: int) -> list[int]:
    """Where a run of letters is split at capitals, as offsets into the folded text."""
    if folded.starts is None:
        return [start + match.start() for match in _CAPITAL.finditer(text[start:end])]
    starts = folded.starts
    cuts = {starts[start] + match.start() for match in _CAPITAL.finditer(text[starts[start] : starts[end - 1] + 1])}
    return [at for at in range(start + 1, end) if starts[at] in cuts and starts[at - 1] != starts[at]]


def elements(text: str, *, split: bool = False) -> list[Element]:
    """The steps of the phrase that finds this text wherever it stands, at consecutive positions."""
    source = fold(text).text
    steps: list[Element] = []
    for match in _UNITS.finditer(source):
        unit = match[0]
        if match[1] is not None:
            steps += [Element(unit[at : at + 2], False, True) for at in range(len(unit) - 1)]
            steps.append(Element(unit[-1], False, True))
            continue
        for begin in range(0, len(unit), LONGEST):
            word = unit[begin : begin + LONGEST]
            parts = _LETTERS_OR_DIGITS.findall(word) if split else [word]
            steps += [Element(part, False, False) for part in parts]
    if steps and steps[-1].is_run:
        last = steps.pop()
        if not (steps and steps[-1].is_run and len(steps[-1].term) == 2):
            steps.append(Element(last.term, True, True))
    return steps
