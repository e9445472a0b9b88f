"""Bytes -> codec: which encoding, how sure, and what else it could be.

Order: a byte order mark; ASCII and valid UTF-8 (microseconds); UTF-16 and UTF-32 without a mark;
7-bit escapes (ISO-2022, HZ); then every 8-bit codec decodes a sample and the likeliest text wins
(`likelihood.py`). Where no East Asian set wins, chardet is asked: its models of single-byte
languages are better than ours. A declared codec, by the caller or in the text itself (XML, HTML,
a coding line), is followed unless the bytes contradict it clearly.

Where a declared name has a wider cousin (gb2312 and gb18030, shift_jis and cp932) the declared one
is used while every byte fits it; without a declaration the wider one is.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from math import exp, inf
from typing import NamedTuple

from msgspec import Struct

from indexer import dprk, likelihood
from indexer.charsets import EAST, EASTERN_CODECS, EVERY_LANGUAGE, LIKE, WEST, WIDER, Candidate, find_codec

_PIECE = 1 << 20
"""Bytes decoded at a time to see whether a codec fits."""
_PROBE = 112
"""Bytes by which all codecs are compared; the likeliest go on to the whole sample."""
_SAMPLE = 1024
_HEAD = 64 * 1024
_PLENTY = 4096
"""Bytes of ASCII behind which half a character of UTF-8 is the end of a piece; behind fewer it may be a code page."""
_CHARDET_BYTES = 16 * 1024
_FOREIGN = 4.0
"""Nats for a text in a language that its code page was not made for, as Japanese in GB 18030."""
_SWITCH = 2.5
_SWITCHES = re.compile("[A-Za-z](?=[\u3041-\uffef])|[\u3041-\uffef](?=[A-Za-z])")
"""A Latin letter beside an East Asian character: seen, but much more often half of a wrong pair."""
_MANY = 40
"""Accented letters in a Latin text of which chardet's word is final."""
_UNKNOWN = 6.0
"""Rarity of a code page that only chardet thinks of."""
_BLOT = 4.0
_BLOTS = re.compile(r"[\xa0¡¢£¤¦§©ª®°±¿„“”…†‡•‹›«»](?<=[^\W\d_].)(?=[^\W\d_])")
"""A sign inside a word: a letter of another code page."""
_ALPHABETS = frozenset({"cyrillic", "greek", "hebrew", "arabic", "thai"})
_STRAYS = dict.fromkeys(_ALPHABETS, 6.0) | dict.fromkeys(("ko", "hans", "hant", "ja"), 2.0)
"""Nats, by script, for words in which no two high bytes stand side by side: the way of accents in a Latin text."""
_SENSIBLE, _SENSELESS = -4.9, -6.2
"""Nats a byte: text in a code page costs 2 to 4.5; random bytes cost 5 and more by every codec."""


class Detection(Struct, frozen=True):
    """A codec of Python's registry, a confidence from 0 to 1, and the next best codecs."""

    codec: str
    confidence: float
    alternatives: tuple[str, ...] = ()


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([\w.:-]{2,40})"""
    rb"""|<meta[^>]{0,300}?charset\s{0,9}=\s{0,9}["']?\s{0,9}([\w.:-]{2,40})"""
    rb"""|\A(?:[^\n]{0,200}\n)?[ \t]{0,40}(?:\#|//|;|"|<!--|--|/\*)[^\n]{0,100}?coding[:=][ \t]{0,9}([-\w.]{2,40})"""
    rb"""|\A@charset "([\w-]{2,40})\"""",
    re.IGNORECASE,
)
_HIGH = bytes(range(0x80, 0x100))
_NEIGHBOURS = re.compile(rb"[\x80-\xff]{2}")
_WORD = re.compile(rb"[A-Za-z]{0,4}[\x80-\xff][\x30-\xff]{0,512}")
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e]){1,200}~\}")


def detect(data: bytes, declared: str = "") -> Detection:
    """The encoding of `data`, judged by its head and a sample of its bytes that are not ASCII."""
    if not data[:4].isascii():
        for mark, codec in _MARKS:
            if data.startswith(mark):
                return Detection(codec, 1.0)
    if b"\0" not in data[:_HEAD]:
        if data.isascii():
            return _detect_seven_bit(data, declared)
        if _is_utf8(data) and not _is_short_rival(data):
            return Detection("utf-8", 0.99)
    return _detect_wide(data) or _detect_eight_bit(data, declared)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A cut in the middle of a character is no error of the encoding.
        whole = data[: error.start]
        cut = error.end == len(data) and error.reason == "unexpected end of data"
        return cut and (not whole.isascii() or len(whole) >= _PLENTY or whole[-1:].isspace())
    return True


def _is_short_rival(data: bytes) -> bool:
    """Whether valid UTF-8 is so short and so odd that a code page fits better."""
    words = _WORD.findall(data) if len(data) <= 12 else []
    if not words:
        return False
    best = _rank_eight_bit(b"\n".join(words))[0]
    return best.nats > unicode_nats(b"\n".join(words).decode("utf-8", "replace")) + 4.0


def unicode_nats(text: str) -> float:
    """The log probability of a text that may be of any language."""
    return max(likelihood.table(language).score(text) for language in EVERY_LANGUAGE)


# -- 7 bits ------------------------------------------------------------------------------------


def _detect_seven_bit(data: bytes, declared: str) -> Detection:
    if b"\x0e" in data or (b"\x1b" in data and (b"\x1b$" in data or b"\x1b(" in data)):
        for codec in ("iso2022_jp", "iso2022_kr", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004"):
            text = _try(data, codec)
            if text and not text.isascii():
                return Detection(codec, 0.99)
    if (
        b"~" in data
        and b"~{" in data
        and _HZ.search(data)
        and (text := _try(data, "hz"))
        and likelihood.table("hans").score(_eastern_part(text)) > -9.5 * len(_eastern_part(text))
    ):
        return Detection("hz", 0.95, ("ascii",))
    if declared and find_codec(declared) == "utf-7" and not _try(data, "utf-7").isascii():
        return Detection("utf-7", 0.9, ("ascii",))
    return Detection("ascii", 1.0)


def _eastern_part(text: str) -> str:
    return "".join(char for char in text[:4096] if char > "\xff")


def _try(data: bytes, codec: str) -> str:
    """The text, a cut character at the end forgiven; an empty string where the codec does not fit."""
    try:
        return codecs.getincrementaldecoder(codec)().decode(data)
    except UnicodeDecodeError:
        return ""


# -- UTF-16 and UTF-32 -------------------------------------------------------------------------


_LETTERS = b"\0\t\n\r" + bytes(range(32, 127))
"""Bytes of short records of ASCII too, which UTF-16 makes Han of."""
_SHORT = 64
"""Bytes of a text that was not cut off in the middle of a letter."""


def _detect_wide(data: bytes) -> Detection | None:
    head = data[:512]
    best: tuple[float, str] | None = None
    for codec, unit in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        whole = head[: len(head) - len(head) % unit]
        text = _try(whole, codec)
        if not text:
            continue
        nats = unicode_nats(text)
        # Real text averages 3 to 7 nats; pairs of letters read as Han cost 13 and more, those that are frequent 8.
        is_likely = nats > -9.0 * len(text)
        if is_likely and not head.translate(None, _LETTERS) and (wide := _eastern_part(text)):
            is_likely = unicode_nats(wide) > -7.5 * len(wide) and (not len(data) % unit or len(data) > _SHORT)
        if is_likely and (best is None or nats > best[0]):
            best = nats, codec
    if best is None:
        return None
    nats, codec = best
    if b"\0" not in head and nats < _rank_eight_bit(head)[0].nats:
        return None
    return Detection(codec, 0.97 if len(head) > 16 else 0.8)


# -- 8 bits ------------------------------------------------------------------------------------


class Ranked(NamedTuple):
    """A codec with the log probability of the text it gives."""

    nats: float
    codec: str
    text: str


def sample(data: bytes) -> bytes:
    """Words that hold bytes above 0x7F, one a line, from the head and, where that is poor, from further on.

    No byte below 0x30 is ever the second of a pair, so a cut there is safe in every code page.
    """
    words: list[bytes] = []
    size = 0
    for start in (0, _HEAD, len(data) // 2, len(data) - _HEAD):
        for match in _WORD.finditer(data, max(0, start), max(0, start) + _HEAD):
            words.append(match[0])
            size += len(match[0]) + 1
            if size >= _SAMPLE:
                return b"\n".join(words)
        if start + _HEAD >= len(data):
            break
    return b"\n".join(words)


def rank(data: bytes, candidates: tuple[Candidate, ...], *, cut: bool = False) -> list[Ranked]:
    """Candidates by the likelihood of the text that they make of `data`, best first.

    Args:
        cut: half a character at the end is forgiven.
    """
    found = []
    strays = not _NEIGHBOURS.search(data)
    for candidate in candidates:
        if candidate.codec == dprk.NAME and not dprk.is_known():
            continue
        if cut:
            text = codecs.getincrementaldecoder(candidate.codec)("replace").decode(data)
        else:
            text = data.decode(candidate.codec, "replace")
        own = candidate.languages[0]
        nats = _best_language(text, candidate.languages) - candidate.rarity
        nats -= (
            _SWITCH * len(_SWITCHES.findall(text)) if own in likelihood.EASTERN else _BLOT * len(_BLOTS.findall(text))
        )
        if strays:
            nats -= _STRAYS.get(own, 0.0)
        found.append(Ranked(nats, candidate.codec, text))
    return sorted(found, key=lambda each: -each.nats)


def _best_language(text: str, languages: tuple[str, ...]) -> float:
    """Nats by the language that fits best; one that is not the codec's own costs extra."""
    return max([table.score(text) - foreign for table, foreign in _tables(languages)])


@cache
def _tables(languages: tuple[str, ...]) -> tuple[tuple[likelihood.Table, float], ...]:
    """What to score by, with what it costs that a language is not the first one."""
    own = languages[0]
    return tuple((likelihood.table(each), 0.0 if each.lower() == own else _FOREIGN) for each in languages)


def _rank_eight_bit(data: bytes) -> list[Ranked]:
    if len(data) <= _PROBE:
        return rank(data, EAST + WEST)
    probed = rank(data[:_PROBE], EAST + WEST, cut=True)
    close = {each.codec for each in probed if each.nats > probed[0].nats - 60.0}
    return rank(data, tuple(each for each in EAST + WEST if each.codec in close))


def rank_names(evidence: bytes) -> list[Ranked]:
    """Codecs for member names, best first: the 8-bit ones and UTF-8."""
    return _with_utf_8(evidence, _rank_eight_bit(evidence))


def _with_utf_8(words: bytes, ranked: list[Ranked]) -> list[Ranked]:
    """The same with UTF-8 in its place, where most of the bytes are valid in it."""
    text = words.decode("utf-8", "replace")
    lost = text.count("\ufffd")
    if lost * 8 > len(words) - len(words.translate(None, _HIGH)):
        return ranked
    # Valid UTF-8 of several characters is hardly ever an accident.
    utf_8 = Ranked(unicode_nats(text) + (0.0 if lost else 6.0), "utf-8", text)
    return sorted([utf_8, *ranked], key=lambda each: -each.nats)


def _detect_eight_bit(data: bytes, declared: str) -> Detection:
    words = sample(data) or data[:_PROBE]
    ranked = _with_utf_8(words, _rank_eight_bit(words))
    best = ranked[0]
    for name in (declared, _declared_inside(data)):
        if (codec := find_codec(name)) and (followed := _follow(data, words, codec, best)):
            return Detection(followed, 0.95, alternatives_of(ranked, followed))
    if best.codec == "utf-8":
        return Detection("utf-8", confidence_of(ranked), alternatives_of(ranked, "utf-8"))
    if best.codec in EASTERN_CODECS:
        codec = _fit(data, ranked)
        confidence = _sobered(confidence_of(ranked), words, best.nats)
        return Detection(codec, confidence, alternatives_of(ranked, codec))
    codec = _prefer(_ask_chardet(data, words), ranked, words)
    agreed = words.decode(codec, "replace") == best.text
    confidence = max(0.7, confidence_of(ranked)) if agreed else 0.6
    return Detection(codec, _sobered(confidence, words, best.nats), alternatives_of(ranked, codec))


def _prefer(asked: str, ranked: list[Ranked], words: bytes) -> str:
    """chardet's answer, unless the text clearly fits our codec better.

    Alphabets are told apart by their letters alone; accented Latin letters need pairs of letters, and
    chardet is worth more the more of them there are.
    """
    best = ranked[0]
    if not asked:
        return best.codec
    ours = next(each.languages[0] for each in EAST + WEST if each.codec == best.codec)
    rarity = next((each.rarity for each in EAST + WEST if each.codec == LIKE.get(asked, asked)), _UNKNOWN)
    theirs = nats_by(words, asked) - rarity
    if not _NEIGHBOURS.search(words):
        theirs -= _STRAYS.get(_languages(asked)[0], 0.0)
    high = len(words) - len(words.translate(None, _HIGH))
    patience = 3.0 if ours in _ALPHABETS else inf if high > _MANY else 3.0 + 2.0 * high
    return best.codec if theirs < best.nats - patience else asked


def _declared_inside(data: bytes) -> str:
    match = _DECLARED.search(data, 0, 2048)
    if not match:
        return ""
    return next(group for group in match.groups() if group).decode("ascii", "ignore")


def _follow(data: bytes, words: bytes, codec: str, best: Ranked) -> str:
    """The declared codec or its wider cousin, unless the bytes contradict it."""
    if codec.startswith(("utf", "iso2022", "hz")):
        return ""
    while codec:
        if codec == "iso8859_1" and re.search(rb"[\x80-\x9f]", data[:_HEAD]):
            codec = "cp1252"
        if nats_by(words, codec) < best.nats - max(14.0, 0.5 * len(words)):
            return ""
        if _fits(data, codec):
            return codec
        codec = WIDER.get(codec, "")
    return ""


def _fits(data: bytes, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for start in range(0, len(data), _PIECE):
            decoder.decode(data[start : start + _PIECE])
    except UnicodeDecodeError:
        return False
    return True


def _fit(data: bytes, ranked: list[Ranked]) -> str:
    """The best codec, or the next that is close to it and decodes every byte where it does not."""
    best = ranked[0]
    if _fits(data, best.codec):
        return best.codec
    close = (each.codec for each in ranked[1:4] if each.nats > best.nats - 0.02 * len(best.text) - 4.0)
    wider = (WIDER[best.codec],) if best.codec in WIDER else ()
    return next((codec for codec in (*wider, *close) if _fits(data, codec)), best.codec)


def _sobered(confidence: float, words: bytes, nats: float) -> float:
    """Less confidence where even the best reading is hardly language: noise has a winner too."""
    sense = (nats / max(1, len(words)) - _SENSELESS) / (_SENSIBLE - _SENSELESS)
    return round(confidence * min(1.0, max(0.05, sense)), 3)


def confidence_of(ranked: list[Ranked]) -> float:
    """How sure the first of the ranked is, from 0 to 1: its lead, less what it could not decode."""
    best = ranked[0]
    rival = next((each for each in ranked[1:] if each.text != best.text), None)
    gap = best.nats - rival.nats if rival else 20.0
    share = max(best.text.count("\ufffd"), 0) / max(1, len(best.text))
    return round(max(0.0, (1.0 - 0.5 * exp(-gap / 5.0)) * (1.0 - 2.0 * share)), 3)


def alternatives_of(ranked: list[Ranked], chosen: str) -> tuple[str, ...]:
    """Up to three codecs that give another text and are not hopeless."""
    best = ranked[0]
    limit = best.nats - 10.0 - 0.6 * len(best.text)
    texts = {each.text for each in ranked if each.codec == chosen}
    others = []
    for each in ranked:
        if each.codec != chosen and each.text not in texts and each.nats > limit:
            texts.add(each.text)
            others.append(each.codec)
    return tuple(others[:3])


@cache
def _chardet() -> object:
    try:
        import chardet
    except ImportError:
        return None
    return chardet


def _ask_chardet(data: bytes, words: bytes) -> str:
    """What chardet says, where Python can decode by it; else an empty string."""
    library = _chardet()
    if library is None:
        return ""
    head = data[:_CHARDET_BYTES]
    if head.isascii():
        head = words
    codec = find_codec(library.detect(head)["encoding"] or "")  # type: ignore[attr-defined]
    # ASCII and the forms of Unicode were ruled out before.
    return "" if codec == "ascii" or codec.startswith("utf") else codec


def nats_by(words: bytes, codec: str) -> float:
    """Log likelihood of the words, read by `codec`, in the language of its own that fits best."""
    text = codecs.getincrementaldecoder(codec)("replace").decode(words)
    return _best_language(text, _languages(codec))


def _languages(codec: str) -> tuple[str, ...]:
    relative = LIKE.get(codec, codec)
    return next((each.languages for each in EAST + WEST if each.codec == relative), EVERY_LANGUAGE)


def plausibility(data: bytes, codec: str) -> float:
    """Nats a byte of the words that are not ASCII, read by `codec`: -2 to -4 for text, -5 and less for noise."""
    words = sample(data)
    if not words:
        return 0.0
    return nats_by(words, codec) / len(words)
