"""What in a text may be a feature, found by RE2 in linear time, and what of it is one.

A window of text is first asked by all patterns together, in one pass, which of them it holds; only those go over it,
and what each finds is put to its check (`_addresses`, `_phones`, `_validators`). Texts are gone through as UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from search import _addresses, _phones, _validators

VERSION = 2
"""Rises when the same text gives other features: texts are then gone through again."""
_WINDOW = 64 << 10
_BEFORE, _AFTER = 160, 48
"""Bytes around a candidate that its check and the reader are shown."""
_MEMORY = 256 << 20

Check = Callable[[str, str, str], str | None]


class Feature(NamedTuple):
    """One feature; `start` and `end` are bytes of the text in UTF-8, `context` is the line around it."""

    type: str
    value: str
    start: int
    end: int
    context: str


class Kind(NamedTuple):
    """A type of features: what may be one, and what is."""

    pattern: str
    check: Check


def _alone(validate: Callable[[str], str | None]) -> Check:
    """The check of a number that proves itself, where no letter, digit or decimal point touches it."""

    def check(text: str, before: str, after: str) -> str | None:
        touched = _TOUCHED_BEFORE.search(before) or _TOUCHED_AFTER.match(after)
        return None if touched else validate(text)

    return check


def _card(text: str, before: str, after: str) -> str | None:
    """The check of a card's number; one in groups stands alone, not among other groups."""
    grouped = not text.isdecimal()
    if grouped and (re.search(r"[0-9A-Fa-f]{3}[ -]$", before) or re.match(r"[ -][0-9A-Fa-f]{3}", after)):
        return None
    return _PROVEN_CARD(text, before, after)


_PROVEN_CARD = _alone(_validators.card)
_TOUCHED_BEFORE = re.compile(r"[A-Za-z0-9_]$|\d[.,-]$")
_TOUCHED_AFTER = re.compile(r"[A-Za-z0-9_]|[.,-]\d")
_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_NAME = r"[^\\/:*?\"<>|\s]"

KINDS: dict[str, Kind] = {
    "email": Kind(r"[A-Za-z0-9_][A-Za-z0-9_.+'%-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,}", _addresses.email),
    "url": Kind(r"\b(?i:https?|ftps?|sftp|wss?|rtsp|rtmp|ssh|smb|git)://[!#-;=?-\[\]_a-z~]+", _addresses.url),
    "domain": Kind(r"[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+(?:[A-Za-z]{2,24}|(?i:xn--)[A-Za-z0-9-]+)\b", _addresses.domain),
    "ipv4": Kind(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", _addresses.ipv4),
    "ipv6": Kind(r"(?:[0-9A-Fa-f]{1,4}|:):[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?:\.\d{1,3}){0,3}", _addresses.ipv6),
    "mac": Kind(
        r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b|\b[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b",
        _addresses.mac,
    ),
    "phone": Kind(
        r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,8}){1,4}"
        r"|\(?0\d{1,3}\)?[ -]?\d{3,4}[ -]?\d{4}|\b1[3-9]\d[ -]?\d{4}[ -]?\d{4}",
        _phones.phone,
    ),
    "qq": Kind(
        r"(?i:qq|扣扣|企鹅)(?:号码?|號碼?|群号?|是|为|[ \t:：=#\"'\[(]){0,6}[1-9]\d{4,10}\b"
        r"|\b[1-9]\d{4,10}@(?i:qq\.com)\b",
        _phones.qq,
    ),
    "wechat": Kind(
        r"\bwxid_[0-9a-z]{10,22}|(?i:微信号?|微信號|wechat|weixin|vx|v信|wx)(?i:[ _-]?id)?(?:号|號)?[ \t]{0,2}"
        r"(?:[:：=是为]|[ \t]){1,3}[A-Za-z][A-Za-z0-9_-]{5,19}",
        _phones.wechat,
    ),
    "resident": Kind(r"\b[1-8]\d{5}(?:18|19|20)\d{2}[01]\d[0-3]\d{4}[0-9Xx]", _alone(_validators.resident)),
    "credit": Kind(r"\b[1-9ANY][1-9]\d{6}[0-9A-HJ-NPQRTUWXY]{10}", _alone(_validators.credit)),
    "iban": Kind(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _alone(_validators.iban)),
    "card": Kind(
        r"\b\d{13,19}\b|\b\d{4} \d{4} \d{4} \d{4}\b|\b\d{4}-\d{4}-\d{4}-\d{4}\b|\b\d{4}[ -]\d{6}[ -]\d{4,5}\b",
        _card,
    ),
    "bitcoin": Kind(
        rf"\b[13]{_BASE58}{{25,33}}\b|\b(?:bc1[02-9ac-hj-np-z]{{11,87}}|BC1[02-9AC-HJ-NP-Z]{{11,87}})\b",
        _alone(_validators.bitcoin),
    ),
    "ethereum": Kind(r"\b0x[0-9A-Fa-f]{40}\b", _alone(_validators.ethereum)),
    "tron": Kind(rf"\bT{_BASE58}{{33}}\b", _alone(_validators.tron)),
    "monero": Kind(rf"\b[48]{_BASE58}{{94}}(?:{_BASE58}{{11}})?\b", _alone(_validators.monero)),
    "user": Kind(
        rf"(?i)\b[a-z]:(?:\\{{1,2}}|/)(?:users|documents and settings)(?:\\{{1,2}}|/){_NAME}+(?: {_NAME}+){{0,3}}"
        r"|/(?:home|(?-i:Users))/[^/\\:*?\"'`<>|,;()\[\]{}\s]{1,64}",
        _addresses.user,
    ),
    "sid": Kind(r"\b[Ss]-1-\d{1,14}(?:-\d{1,10}){1,15}", _addresses.sid),
    "guid": Kind(r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b", _addresses.guid),
}
TYPES = tuple(KINDS)


@cache
def _compiled() -> tuple[Any, dict[str, Any]]:
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    every = re2.Set.SearchSet(options)
    for kind in KINDS.values():
        every.Add(kind.pattern)
    every.Compile()
    return every, {name: re2.compile(kind.pattern.encode(), options) for name, kind in KINDS.items()}


def features_in(body: str, language: str = "") -> Iterator[Feature]:
    """Every feature of a text, type by type and window by window.

    Args:
        language: of the text, for phone numbers without a country.
    """
    data = body.encode("utf-8", "replace")
    every, alone = _compiled()
    for low, high in _windows(data):
        for number in sorted(every.Match(data[low:high]) or ()):
            name = TYPES[number]
            for match in alone[name].finditer(data, low, high):
                start, end = match.span()
                before, text, after = _around(data, start, end)
                value = (
                    _phones.phone(text, before, after, language)
                    if name == "phone"
                    else KINDS[name].check(text, before, after)
                )
                if value:
                    yield Feature(name, value, start, end, _line(before, text, after))


def _windows(data: bytes) -> Iterator[tuple[int, int]]:
    """Windows that end with a line, or with a word where there is no line that ends in time."""
    low = 0
    while low < len(data):
        high = low + _WINDOW
        if high < len(data):
            cut = max(data.rfind(b"\n", low + _WINDOW // 2, high), data.rfind(b" ", high - 1024, high))
            high = cut + 1 if cut > low else high
        yield low, min(high, len(data))
        low = high


def _around(data: bytes, start: int, end: int) -> tuple[str, str, str]:
    before = data[max(0, start - _BEFORE) : start]
    after = data[end : end + _AFTER]
    return (
        before[before.rfind(b"\n") + 1 :].decode("utf-8", "ignore"),
        data[start:end].decode("utf-8", "ignore"),
        after.partition(b"\n")[0].decode("utf-8", "ignore"),
    )


def _line(before: str, text: str, after: str) -> str:
    return " ".join(f"{before[-60:]}{text}{after}".split())
