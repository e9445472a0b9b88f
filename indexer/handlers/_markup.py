"""Mark-up cut into tokens: HTML and XML, well-formed or not, in one pass over the text.

A scanner and no parser: it builds no tree, expands no entity, follows no reference and keeps no
stack, so that neither depth nor damage can lose text or time. What a tree would know (which element
closes which) is not needed to read the words.

Source: HTML Living Standard, section 13.2.5 (tokenization); XML 1.0 (fifth edition), sections 2 and 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html import unescape

TEXT, OPEN, CLOSE, COMMENT, DECLARATION = "text", "open", "close", "comment", "declaration"

CARRY = 64 << 20
"""Characters that one unfinished tag or comment may wait for its end; a longer one is read as text."""

_NAME = r"[A-Za-z_:\u0080-\U0010ffff][^\s/<>\"'=]*+"
_TAG = re.compile(
    rf"<(/?)({_NAME})"
    r"((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+)?)*+)>"
)
"""Possessive throughout: a tag without an end costs one look at the rest of the text."""
_OPEN_QUOTE = re.compile(r"=\s*+(?:\"[^\"]*+|'[^']*+)\Z")
"""A quote that ends outside what has come so far: where the tag ends is not known yet."""
_TAG_START = re.compile(rf"</?{_NAME}")
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++)))?")
_LEFTOVER = re.compile(r"<[^\s<>]*+>?+")
_PLAIN_TAG = re.compile(
    rf"<(/?{_NAME}(?:\s++[^\s<>\"'=/]++(?:=(?:\"[^\"<>]*+\"|'[^'<>]*+'|[^\s<>\"'=`]++))?)*+\s*+/?)>"
)
_STOP = re.compile(r"<(?:[!?]|[sS][cCtT][rRyY]|[tT][iI][tT]|[tT][eE][xX]|[xX][mM][pP]|[nN][oO][fF]|[pP][rR][eE])")
"""What may begin an element whose content is not as elsewhere, or is no tag."""
_STRETCH, _SHORT = 32_768, 256
_NO_BRACKETS = bytes({*range(256)} - {*b"<>"})
_DOCTYPE_END = re.compile(r"\]\s*+>")


Token = tuple[str, str, str]
"""Kind, name and value: a tag's name and its attributes, or an empty name and the text."""


def tokens(
    pieces: Iterable[str],
    *,
    raw: frozenset[str] = frozenset(),
    xml: bool = False,
    take: Callable[[str], bool] | None = None,
) -> Iterator[Token]:
    """Every token of a text that comes in pieces, cut anywhere.

    Args:
        raw: names of elements (lower case) whose content is text up to their own end tag.
        xml: names keep their case, and `<? ?>` ends as XML has it.
        take: is offered stretches of tags and text outside of raw elements and `pre`; for those it
            takes an empty text comes instead of their tokens. It may only take what `cut_tags` can cut
            into tags of which each is `is_plain_tag`.
    """
    held = inside = ""
    waits: dict[str, int] = {}
    for piece, last in _with_last(pieces):
        text = held + piece
        step = _Scan(text, inside, raw, xml, last or len(text) > CARRY, last, take, waits)
        yield from step
        held, inside = text[step.end :], step.inside


def cut_tags(text: str) -> list[str] | None:
    """Text and tags without their brackets by turns, text first; None where anything is not plainly one of them.

    Whether the tags are plain is left to `is_plain_tag`.
    """
    brackets = text.encode("utf-8", "surrogatepass").translate(None, _NO_BRACKETS)
    if brackets == b"<>" * (len(brackets) // 2):
        return text.replace(">", "<").split("<")
    cut = _PLAIN_TAG.split(text)
    return None if "<" in "".join(cut[::2]) else cut


def is_plain_tag(tag: str) -> bool:
    """Whether what stands between brackets is a tag that may stand in a stretch that is read in bulk."""
    return bool(_PLAIN_TAG.fullmatch(f"<{tag}>")) and not _STOP.match(f"<{tag}>")


def _with_last(pieces: Iterable[str]) -> Iterator[tuple[str, bool]]:
    waiting = None
    for piece in pieces:
        if waiting is not None:
            yield waiting, False
        waiting = piece
    yield waiting or "", True


class _Scan:
    """The tokens of one stretch; `end` is where an unfinished token begins, `inside` the raw element.

    With `hurry` an unfinished token waits no longer; `last` says that nothing follows.
    """

    def __init__(
        self,
        text: str,
        inside: str,
        raw: frozenset[str],
        xml: bool,
        hurry: bool,
        last: bool,
        take: Callable[[str], bool] | None,
        waits: dict[str, int],
    ) -> None:
        self.text = text
        self.hurry = hurry
        self.inside = inside
        self.raw = raw
        self.xml = xml
        self.last = last
        self.take = take
        self.waits = waits
        """Elements that are open, of those in which no stretch is offered."""
        self.hopeful = True
        """Whether the last stretch offered was as long as can be: then the next is offered without a closer look."""
        self.end = 0

    def __iter__(self) -> Iterator[Token]:
        text, match_tag = self.text, _TAG.match
        at, size, careful = 0, len(text), 0
        while at < size:
            if self.take and at >= careful and not self.inside and not self.waits:
                careful, taken = self._take_stretch(self.take, at)
                if taken:
                    at = careful
                    yield (TEXT, "", "")
                    continue
                careful = max(careful, at + 1)
            if self.inside:
                found = _raw_end(self.inside).search(text, at)
                stop = found.start() if found else size
                if not found and not self.last:
                    stop = _entity_cut(text, at, max(at, size - len(self.inside) - 3))
                if stop > at:
                    yield (TEXT, "", text[at:stop])
                if not found:
                    self.end = stop
                    return
                self.inside, at = "", stop
                continue
            less = text.find("<", at)
            if less < 0:
                # An entity may be cut by the end of a piece; it waits for the rest.
                cut = size if self.last else _entity_cut(text, at, size)
                if cut > at:
                    yield (TEXT, "", text[at:cut])
                self.end = cut
                return
            if less > at:
                yield (TEXT, "", text[at:less])
            tag = match_tag(text, less)
            if tag and (self.hurry or not _OPEN_QUOTE.search(tag[3])):
                at = tag.end()
                name = tag[2] if self.xml else tag[2].lower()
                yield (CLOSE if tag[1] else OPEN, name, tag[3])
                if self.take and (name in self.raw or name == "pre"):
                    open_now = self.waits.pop(name, 0) + (-1 if tag[1] else 1)
                    if open_now > 0:
                        self.waits[name] = open_now
                if name in self.raw and not tag[1] and not tag[3].endswith("/"):
                    self.inside = name
                continue
            odd = None if tag else self._other(less)
            if odd is None:
                if not self.hurry:
                    self.end = less
                    return
                yield (TEXT, "", _LEFTOVER.sub(" ", text[less:]))
                break
            token, at = odd
            yield token
        self.end = size

    def _take_stretch(self, take: Callable[[str], bool], at: int) -> tuple[int, bool]:
        """Where the stretch from `at` on ends, and whether it was taken."""
        end = self.text.rfind("<", at, at + _STRETCH)
        tried = self.hopeful and end - at > _SHORT
        if tried and take(self.text[at:end]):
            return end, True
        other = _STOP.search(self.text, at, at + _STRETCH)
        end = other.start() if other else end
        self.hopeful = not other and not tried
        return end, (not tried or other is not None) and end - at > _SHORT and take(self.text[at:end])

    def _other(self, less: int) -> tuple[Token, int] | None:
        """What begins with `<` and is no whole tag, and where it ends; None where the end is missing."""
        text = self.text
        if text.startswith("<!--", less):
            stop = text.find("-->", less + 2)
            if stop < 0:
                return ((COMMENT, "", text[less + 4 :]), len(text)) if self.hurry else None
            return (COMMENT, "", text[less + 4 : max(stop, less + 4)]), stop + 3
        if text.startswith("<![CDATA[", less):
            stop = text.find("]]>", less)
            if stop < 0:
                return ((TEXT, "", _guarded(text[less + 9 :])), len(text)) if self.hurry else None
            return (TEXT, "", _guarded(text[less + 9 : stop])), stop + 3
        if text.startswith("<?", less):
            stop = text.find("?>" if self.xml else ">", less)
            return ((DECLARATION, "", text[less + 2 : stop]), stop + 1 + self.xml) if stop >= 0 else None
        if text.startswith(("<!", "</"), less) and not _TAG_START.match(text, less):
            stop = text.find(">", less)
            if self.xml and text.startswith("<!DOCTYPE", less) and 0 <= text.find("[", less) < stop:
                ending = _DOCTYPE_END.search(text, less)
                stop = ending.end() - 1 if ending else -1
            return ((DECLARATION, "", text[less + 2 : stop]), stop + 1) if stop >= 0 else None
        if not _TAG_START.match(text, less) and (self.hurry or len(text) - less > 9):
            return (TEXT, "", "<"), less + 1
        return None


def _guarded(text: str) -> str:
    """CDATA as text that `plain` gives back unchanged."""
    return text.replace("&", "&amp;")


def _entity_cut(text: str, at: int, end: int) -> int:
    mark = text.rfind("&", max(at, end - 40), end)
    return mark if mark >= 0 and ";" not in text[mark:end] else end


@cache
def _raw_end(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{re.escape(name)}(?=[\s/>])", re.IGNORECASE)


def attributes(text: str, *, xml: bool = False) -> list[tuple[str, str]]:
    """The attributes of an open tag as (name, value), in their order; names lower case in HTML."""
    return [
        (found[1] if xml else found[1].lower(), plain(found[2] or found[3] or found[4] or ""))
        for found in _ATTRIBUTE.finditer(text)
    ]


def plain(text: str) -> str:
    """Text with its character references resolved."""
    if "&" not in text:
        return text
    # No reference reaches over the `&` of another: the commonest may part the text that the others are looked up in.
    return "&".join([unescape(part) if "&" in part else part for part in text.split("&amp;")])
