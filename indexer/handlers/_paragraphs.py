"""Paragraphs of Word documents in bulk, where they are written as programs write them.

Source: ECMA-376 part 1, 17.3 (paragraphs, their properties, runs), 17.13.6 (bookmarks), 17.13.8 (proofing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from indexer.handlers._skim import ATTRIBUTES, Stretch, resolved

_RUN_STYLE = (
    "rStyle rFonts b bCs i iCs caps smallCaps strike dstrike outline shadow emboss imprint noProof snapToGrid color "
    "spacing w kern position sz szCs highlight u effect bdr shd fitText vertAlign rtl cs em lang eastAsianLayout"
)
_STYLE = (
    "pStyle keepNext keepLines pageBreakBefore widowControl suppressLineNumbers shd suppressAutoHyphens kinsoku "
    "wordWrap overflowPunct topLinePunct autoSpaceDE autoSpaceDN bidi adjustRightInd snapToGrid spacing ind "
    "contextualSpacing mirrorIndents jc textDirection textAlignment outlineLvl"
)
"""Elements that say how a text looks: nothing in them is text, and none hides it."""


def _one_of(names: str) -> str:
    return rf"<w:(?:{names.replace(' ', '|')}){ATTRIBUTES}/>"


_RUN_PROPERTIES = rf"(?:<w:rPr>(?:{_one_of(_RUN_STYLE)})*+</w:rPr>)?+"
_PROPERTIES = (
    rf"(?:<w:pPr>(?:{_one_of(_STYLE)}|<w:numPr>(?:{_one_of('ilvl numId')})*+</w:numPr>"
    rf"|<w:tabs>(?:<w:tab(?: w:[a-z]++=\"[\w-]*+\")++/>)*+</w:tabs>"
    rf"|<w:pBdr>(?:{_one_of('top left bottom right between bar')})*+</w:pBdr>)*+{_RUN_PROPERTIES}</w:pPr>)?+"
)
_WORD = rf"<w:t{ATTRIBUTES}>[^<]*+</w:t>|<w:tab/>|<w:br/>|<w:lastRenderedPageBreak/>"
_PARAGRAPH = re.compile(
    rf"<w:p{ATTRIBUTES}>{_PROPERTIES}(?:<w:r{ATTRIBUTES}>{_RUN_PROPERTIES}(?:{_WORD})*+</w:r>"
    rf"|{_one_of('proofErr bookmarkStart bookmarkEnd')})*+</w:p>"
)
_TEXT = re.compile(r"<w:t(?: [^<>]*+)?>([^<]*+)")


def read_paragraphs(text: str, take: Callable[[str, str], bool]) -> Iterator[Stretch]:
    """Where paragraphs are unusual, and what stands between them.

    Args:
        take: is given the words of a plain paragraph and its mark-up; says no where it may not be read by itself.
    """
    at = 0
    is_noted = "w:author" in text
    for found in _PARAGRAPH.finditer(text):
        if found.start() > at:
            yield at, found.start()
            at = found.start()
        paragraph = found[0]
        if is_noted and "w:author" in paragraph:
            continue
        if "<w:tab/>" in paragraph or "<w:br/>" in paragraph:
            paragraph = paragraph.replace("<w:tab/>", "<w:t>\t</w:t>").replace("<w:br/>", "<w:t>\n</w:t>")
        if take(resolved("".join(_TEXT.findall(paragraph))), paragraph):
            at = found.end()
    if at < len(text):
        yield at, len(text)
