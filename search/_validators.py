"""Numbers that prove themselves: identity numbers, account numbers, purses. Each gives its one spelling, or None.

Source: GB 11643-1999 (resident ids), GB 32100-2015 (social credit codes), ISO 13616 (IBAN), ISO/IEC 7812 (cards),
Bitcoin's base58check, BIP 173 and BIP 350 (bech32, bech32m), EIP-55 (Ethereum), the address formats of Tron and
Monero (CryptoNote base58).
"""

from __future__ import annotations

import hashlib
import re
from datetime import date

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PROVINCES = frozenset((
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43",
    "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83",
))  # fmt: skip
_CREDIT_DIGITS = {char: value for value, char in enumerate("0123456789ABCDEFGHJKLMNPQRTUWXY")}
_CREDIT_KIND = re.compile("[159][1-9]|2[19]|3[1-59]|4[19]|6[1-9]|7[129]|8[19]|[AN][1-39]|[AN]9|Y1")
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
# First digits from and to, and the lengths that these cards have.
_CARDS = (
    ("4", "4", (16,)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("6011", "6011", (16,)),
    ("644", "659", (16,)),
    ("3528", "3589", (16,)),
    ("62", "62", (16, 17, 18, 19)),
    ("81", "81", (16,)),
    ("2200", "2204", (16,)),
)
_BASE58 = {char: value for value, char in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
_BECH32 = {char: value for value, char in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_BECH32_STEPS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_MONERO_SIZES = {2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}
"""Bytes that so many characters of a block stand for."""


def resident(text: str) -> str | None:
    """A Chinese resident id of 18 characters: province, a day that there was, check character.

    >>> resident("11010519491231002X"), resident("110105194912310021")
    ('11010519491231002X', None)
    """
    number = text.upper()
    if len(number) != 18 or number[:2] not in _PROVINCES or not number[:17].isdecimal():
        return None
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None
    total = sum(int(digit) * weight for digit, weight in zip(number, _RESIDENT_WEIGHTS, strict=False))
    return number if 1880 <= born.year < 2100 and number[17] == "10X98765432"[total % 11] else None


def credit(text: str) -> str | None:
    """A Chinese unified social credit code of 18 characters: who registered it, region, check character.

    >>> credit("91350100M000100Y43")
    '91350100M000100Y43'
    """
    code = text.upper()
    if len(code) != 18 or not _CREDIT_KIND.match(code) or code[2:4] not in _PROVINCES | {"10"} or resident(code):
        return None
    if not code[2:8].isdecimal() or not all(char in _CREDIT_DIGITS for char in code):
        return None
    total = sum(_CREDIT_DIGITS[char] * pow(3, place, 31) for place, char in enumerate(code[:17]))
    return code if _CREDIT_DIGITS[code[17]] == -total % 31 else None


def iban(text: str) -> str | None:
    """An international bank account number at the beginning of the text, without spaces.

    >>> iban("GB82 WEST 1234 5698 7654 32 BIC"), iban("GB82 WEST 1234 5698 7654 33")
    ('GB82WEST12345698765432', None)
    """
    length = _IBAN_LENGTHS.get(text[:2], 0)
    packed, end = "", 0
    while len(packed) < length and end < len(text):
        packed += text[end] if text[end] != " " else ""
        end += 1
    if not length or len(packed) != length or text[end : end + 1].isalnum():
        return None
    turned = packed[4:] + packed[:4]
    return packed if int("".join(str(int(char, 36)) for char in turned)) % 97 == 1 else None


def card(text: str) -> str | None:
    """A payment card's number: its issuer's first digits and length, and Luhn's check digit.

    >>> card("4111 1111 1111 1111"), card("4111 1111 1111 1112")
    ('4111111111111111', None)
    """
    digits = text.replace(" ", "").replace("-", "")
    known = any(low <= digits[: len(low)] <= high and len(digits) in sizes for low, high, sizes in _CARDS)
    if not known or len(set(digits)) < 2:
        return None
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return digits if sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0 else None


def bitcoin(text: str) -> str | None:
    """A Bitcoin address: base58check of versions 0 and 5, bech32 of version 0, bech32m of the later ones.

    >>> bitcoin("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), bitcoin("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3")
    ('1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2', None)
    """
    if text[:3].lower() == "bc1":
        return _segwit(text)
    return text if _base58check(text)[:1] in (b"\x00", b"\x05") else None


def tron(text: str) -> str | None:
    """A Tron address: base58check of version 0x41."""
    return text if _base58check(text)[:1] == b"\x41" else None


def ethereum(text: str) -> str | None:
    """An Ethereum address in small letters; where capitals are mixed in, they must be EIP-55's.

    >>> ethereum("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), ethereum("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
    ('0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed', None)
    """
    digits = text[2:]
    small = digits.lower()
    if len(digits) != 40 or len(set(small)) < 8:  # fill patterns, not addresses
        return None
    if digits not in (small, digits.upper()):
        check = _keccak(small.encode()).hex()
        if any(char.isupper() != (check[at] > "7") for at, char in enumerate(digits) if char.isalpha()):
            return None
    return f"0x{small}"


def monero(text: str) -> str | None:
    """A Monero address: standard, integrated or a subaddress, with its checksum."""
    raw = bytearray()
    for at in range(0, len(text), 11):
        block = text[at : at + 11]
        size = _MONERO_SIZES.get(len(block))
        value = _from_base58(block)
        if size is None or value is None or value >= 1 << 8 * size:
            return None
        raw += value.to_bytes(size, "big")
    sizes = {18: 69, 19: 77, 42: 69}
    whole = raw and sizes.get(raw[0]) == len(raw)
    return text if whole and _keccak(bytes(raw[:-4]))[:4] == raw[-4:] else None


def _keccak(data: bytes) -> bytes:
    from Cryptodome.Hash import keccak

    digest: bytes = keccak.new(digest_bits=256, data=data).digest()
    return digest


def _from_base58(text: str) -> int | None:
    value = 0
    for char in text:
        digit = _BASE58.get(char)
        if digit is None:
            return None
        value = value * 58 + digit
    return value


def _base58check(text: str) -> bytes:
    """The 21 bytes, version first, that an address of base58check stands for; nothing where it is none."""
    value = _from_base58(text)
    if value is None or value >= 1 << 200:
        return b""
    raw = value.to_bytes(25, "big")
    # Each 1 in front stands for a zero byte: another number of them is another spelling, and no address.
    zeros, ones = len(raw) - len(raw.lstrip(b"\0")), len(text) - len(text.lstrip("1"))
    seal = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4]
    return raw[:21] if zeros == ones and seal == raw[21:] else b""


def _segwit(text: str) -> str | None:
    address = text.lower()
    values = [_BECH32.get(char, -1) for char in address[3:]]
    if text not in (address, text.upper()) or min(values, default=-1) < 0 or not 14 <= len(address) <= 90:
        return None
    check = 1
    for value in (3, 3, 0, 2, 3, *values):  # the letters bc, spread out
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, step in enumerate(_BECH32_STEPS):
            check ^= step if top >> place & 1 else 0
    version, bits = values[0], len(values[1:-6]) * 5
    fits = 2 <= bits // 8 <= 40 and bits % 8 < 5 and (version or bits // 8 in (20, 32)) and version <= 16
    return address if fits and check == (0x2BC830A3 if version else 1) else None
