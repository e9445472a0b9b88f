"""Phone numbers and the numbers of messengers, in their one spelling.

Source: the plans of numbers in Google's libphonenumber; ITU-T E.164.
Limits: numbers without a country only in Chinese, Korean and Japanese texts, and of those countries; the Korean of
a text does not tell which Korea: numbers of the North are found with +850 only.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

_REGIONS = {"zh": "CN", "ko": "KR", "ja": "JP"}
_SCRIPTS = (("KR", re.compile("[가-힣]")), ("JP", re.compile("[ぁ-ヿ]")), ("CN", re.compile("[一-鿿]")))
_WORDS = re.compile(r"(?i)(?:电话|電話|手机|手機|联系|tel|phone|mobile|전화|휴대폰|연락처|携帯|fax|传真)[^\d\n]{0,8}$")
_PART = re.compile(r"[ .-]?\(?\d+\)?$")
_TOLD = re.compile(r"[_-]|\d")


def phone(text: str, before: str, after: str, language: str = "") -> str | None:
    """A phone number as +country and digits; one without a country by the language of the text."""
    if re.search(r"[\w+.#/%=&-]$", before[-1:].translate(_HAN_AS_SPACE)) or re.match(r"[A-Za-z0-9_%]|[.-]\d", after):
        return None
    if text.startswith("+"):
        while len(text) > 8:
            found = _numbered(text, None)
            if found:
                return found
            text = _PART.sub("", text)  # the next number in the line
        return None
    region = _region(before, after, language)
    if not region or (text.isdecimal() and region == "CN" and text[0] == "0" and not _WORDS.search(before[-24:])):
        return None
    return _numbered(text, region)


class _HanAsSpace(dict[int, str]):
    """A table for `str.translate` that makes spaces of all that is not ASCII: words are not parted by spaces there."""

    def __missing__(self, code: int) -> str:
        return chr(code) if code < 128 else " "


_HAN_AS_SPACE = _HanAsSpace()


def _region(before: str, after: str, language: str) -> str:
    known = _REGIONS.get(language.partition("-")[0])
    if known:
        return known
    near = before[-20:] + after[:10]
    return next((region for region, script in _SCRIPTS if script.search(near)), "")


@lru_cache(maxsize=65_536)
def _numbered(text: str, region: str | None) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def qq(text: str, before: str, after: str) -> str | None:
    """A QQ number with its keyword before it, or the number of a QQ mailbox."""
    if text.lower().endswith("@qq.com"):
        number = text[:-7]
        return None if re.search(r"[\w.+-]$", before[-1:].translate(_HAN_AS_SPACE)) else number
    number = re.search(r"\d+$", text)[0]  # type: ignore[index]  # the pattern ends in digits
    if (before[-1:].isascii() and before[-1:].isalpha()) or re.match(
        r"[\w@]|[.-]\d", after[:2].translate(_HAN_AS_SPACE)
    ):
        return None
    return None if _is_day(number) else number


def _is_day(digits: str) -> bool:
    if len(digits) != 8 or not digits.startswith(("19", "20")):
        return False
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def wechat(text: str, before: str, after: str) -> str | None:
    """A WeChat id in small letters: one that begins with wxid_, or one behind its keyword."""
    if (before[-1:].isascii() and before[-1:].isalnum()) or re.match(r"[\w@]", after[:2].translate(_HAN_AS_SPACE)):
        return None
    name = re.search(r"[A-Za-z][A-Za-z0-9_-]*$", text)[0]  # type: ignore[index]  # the pattern ends in such a name
    keyword = text[: -len(name)].lower()
    if not name.lower().startswith("wxid_") and not _TOLD.search(name) and not re.search("[号號]|id", keyword):
        return None
    return name.lower() if 6 <= len(name) <= 24 else None
