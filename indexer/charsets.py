"""The character sets that text is tried in, and the names that evidence gives them.

Source: the labels of the WHATWG encoding standard and IANA, where Python's registry lacks them.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from indexer import dprk


class Candidate(NamedTuple):
    """A codec, the languages it is used for, and its rarity in nats."""

    codec: str
    languages: tuple[str, ...]
    rarity: float = 0.0


EAST = (
    Candidate("cp949", ("ko", "hant", "cyrillic")),
    Candidate("gb18030", ("hans", "hant", "ja", "ko", "cyrillic")),
    Candidate("big5hkscs", ("hant", "ja", "cyrillic"), 2.0),
    Candidate("cp950", ("hant", "cyrillic"), 1.0),
    Candidate("cp932", ("ja", "hant", "cyrillic")),
    Candidate("euc_jp", ("ja", "hant", "cyrillic"), 1.0),
    Candidate("johab", ("ko",), 4.0),
    Candidate(dprk.NAME, ("ko",), 4.0),
)
WEST = (
    Candidate("cp1252", ("western",)),
    Candidate("cp437", ("western",), 1.5),
    Candidate("cp850", ("western",), 2.5),
    Candidate("mac_roman", ("western",), 3.0),
    Candidate("cp1251", ("cyrillic", "CYRILLIC")),
    Candidate("cp866", ("cyrillic", "CYRILLIC"), 1.0),
    Candidate("koi8_r", ("cyrillic", "CYRILLIC"), 1.0),
    Candidate("iso8859_5", ("cyrillic", "CYRILLIC"), 4.0),
    Candidate("mac_cyrillic", ("cyrillic", "CYRILLIC"), 4.0),
    Candidate("cp855", ("cyrillic", "CYRILLIC"), 5.0),
    Candidate("cp1250", ("central",), 1.0),
    Candidate("iso8859_2", ("central",), 2.0),
    Candidate("cp852", ("central",), 3.0),
    Candidate("cp1254", ("turkish",), 2.0),
    Candidate("cp857", ("turkish",), 3.0),
    Candidate("cp1253", ("greek", "GREEK"), 1.0),
    Candidate("cp737", ("greek", "GREEK"), 3.0),
    Candidate("cp1255", ("hebrew",), 1.0),
    Candidate("cp862", ("hebrew",), 3.0),
    Candidate("cp1256", ("arabic",), 1.0),
    Candidate("iso8859_6", ("arabic",), 3.0),
    Candidate("cp874", ("thai",), 1.0),
    Candidate("cp1257", ("baltic",), 3.0),
)
EASTERN_CODECS = frozenset(each.codec for each in EAST) | {
    "big5",
    "gbk",
    "gb2312",
    "euc_kr",
    "shift_jis",
    "euc_jis_2004",
    "shift_jis_2004",
}
EVERY_LANGUAGE = ("ascii", "hans", "hant", "ja", "ko", "cyrillic", "western", "greek", "hebrew", "arabic", "thai")
WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "cp950",
    "cp950": "big5hkscs",
    "iso8859_1": "cp1252",
    "ascii": "cp1252",
    "euc_jp": "euc_jis_2004",
    "tis_620": "cp874",
    "iso8859_11": "cp874",
}
LIKE = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp",
    "big5": "cp950",
    "iso8859_1": "cp1252",
    "iso8859_15": "cp1252",
    "iso8859_7": "cp1253",
    "iso8859_8": "cp1255",
    "iso8859_9": "cp1254",
    "iso8859_13": "cp1257",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "koi8_u": "koi8_r",
}
"""Codecs that hold the languages of another one."""
_NAMES = {
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "uhc": "cp949",
    "windows-949": "cp949",
    "x-windows-949": "cp949",
    "x-sjis": "shift_jis",
    "windows-31j": "cp932",
    "x-gbk": "gbk",
    "x-euc-jp": "euc_jp",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "kps-9566": dprk.NAME,
    "kps_9566": dprk.NAME,
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-8-e": "iso8859_8",
    "unicode": "utf-16",
    "unicode-1-1-utf-8": "utf-8",
}
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})


def find_codec(name: str) -> str:
    """The registry's name for a declared charset, or an empty string where there is none."""
    label = name.strip().lower()
    label = _NAMES.get(label, label)
    if not label.isascii() or not label.isprintable() or len(label) > 40:
        return ""
    try:
        found = codecs.lookup(label)
    except LookupError:
        return ""
    # Codecs that are no charsets (zlib, rot13) must never be reached by a name in the evidence.
    if not getattr(found, "_is_text_encoding", False) or found.name.replace("-", "_") in _NO_CHARSETS:
        return ""
    return _plain(found.name)


def _plain(codec: str) -> str:
    return codec.replace("-", "_") if codec.startswith(("iso", "koi8", "mac")) else codec
