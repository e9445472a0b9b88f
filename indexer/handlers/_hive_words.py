"""Registry values as a person reads them: by their type, and where Windows hides text in binary data.

Source: [MS-RRP] 2.2.9 (types of values); UserAssist counters as documented by D. Stevens; [MS-SHLLINK] 2.2 for
the lists of shell items among them.
"""

from __future__ import annotations

import codecs
import struct
from typing import Final

from indexer.handlers._hive import Value
from indexer.handlers._runs import find_runs
from indexer.handlers._windows import moment, sid

_TEXTS: Final = frozenset((1, 2, 6))
_MULTI: Final = 7
_PREFIX: Final = 48
"""Bytes of binary data that are shown in hex."""
_SEARCHED: Final = 64 * 1024
"""Bytes of binary data that are searched for readable strings."""
_TEXT: Final = 1 << 20
_TIMES: Final = ("time", "date", "lastwrite", "shutdown")


def tell_value(path: str, value: Value) -> str:
    """One line: the name and what the value says; `path` is the key's, in lower case."""
    if "\\userassist\\" in path and path.endswith("\\count"):
        return _tell_use(value)
    return f"{value.name or '(default)'} = {tell_data(value)}"


def tell_data(value: Value) -> str:
    """What the data say, by their type."""
    kind, data = value.kind, value.data
    if kind in _TEXTS or kind == _MULTI:
        return text_of(value)
    if kind == 4 and len(data) == 4:
        number = int.from_bytes(data, "little")
        return f"{number} (0x{number:x})"
    if kind == 5 and len(data) == 4:
        return str(int.from_bytes(data, "big"))
    if kind == 11 and len(data) == 8:
        number = int.from_bytes(data, "little")
        when = moment(number) if 0x01A0000000000000 < number < 0x0220000000000000 else ""
        return f"{number} ({when})" if when else str(number)
    return _tell_binary(value)


def text_of(value: Value) -> str:
    """The text of a value that holds text, several parted by ` | `; empty for other types."""
    if value.kind not in _TEXTS and value.kind != _MULTI:
        return ""
    data = value.data[:_TEXT]
    text = data[: len(data) & ~1].decode("utf-16-le", "replace")
    # What stands behind the end mark is shown too: nobody sees it in the registry editor.
    return " | ".join(part for part in text.split("\0") if part)


def _tell_binary(value: Value) -> str:
    data = value.data
    if not data:
        return "(empty)"
    shown = data[:_PREFIX].hex(" ") + (f" ... ({len(data)} bytes)" if len(data) > _PREFIX else "")
    told = sid(data) if data[0] == 1 and len(data) == 8 + 4 * data[1] else ""
    if len(data) == 8 and any(word in value.name.lower() for word in _TIMES):
        told = moment(int.from_bytes(data, "little"))
    if not told and len(data) > 5:
        told = readable(data)
    return f"{shown} [{told}]" if told else shown


def readable(data: bytes) -> str:
    """Text that stands in binary data: what is UTF-16 up to a zero from the start, and any longer run."""
    words: list[str] = []
    start = data[:520]
    text = start[: len(start) & ~1].decode("utf-16-le", "replace").partition("\0")[0]
    if 1 < len(text) < 260 and text.isprintable() and "\ufffd" not in text and not _is_chance(text):
        words.append(text)
    searched = data[:_SEARCHED]
    for run in find_runs(searched):
        word = searched[run.start : run.end].decode(run.codec, "replace").strip()
        if word and not any(word in each for each in words[:1]):
            words.append(word)
    return " | ".join(dict.fromkeys(words))


def _is_chance(text: str) -> bool:
    """Whether the letters are of scripts so mixed that they are no text but numbers read as text."""
    rows = {ord(letter) >> 8 for letter in text if ord(letter) > 0x7F and not 0x4E00 <= ord(letter) < 0xD7A4}
    return len(rows) > 3 or (len(rows) > 1 and len(text) < 8) or not any(letter.isalnum() for letter in text)


def _tell_use(value: Value) -> str:
    """A program that was started, as the desktop counts it; its name is turned by 13 letters."""
    name, data = codecs.decode(value.name, "rot13"), value.data
    if len(data) >= 72:
        count, focused, milliseconds = struct.unpack_from("<3I", data, 4)
        last = moment(int.from_bytes(data[60:68], "little"))
        told = f"run {count} times, in front {focused} times, {milliseconds // 1000} s"
    elif len(data) >= 16:
        (count,) = struct.unpack_from("<I", data, 4)
        last = moment(int.from_bytes(data[8:16], "little"))
        # The counter of Windows XP begins at 5.
        told = f"run {max(0, count - 5)} times"
    else:
        return f"{name} = {_tell_binary(value)}"
    return f"{name} = {told}" + (f", last {last}" if last else "")
