"""Houdini scenes: variables (who saved it when, where it lies), nodes as members, files they use.

Source: POSIX.1-1988 cpio (octet-oriented), as Houdini writes it with members .start, .variables and the nodes.
Limits: licensed forms (.hiplc, .hipnc) are read alike; HDA libraries (.hda, .otl) are not.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO, ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import FIELD_CHARS, Window
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_unix

MEMBERS: Final = 2_000_000
_MARK: Final = b"070707"
_HEAD: Final = 76
_FIRST: Final = (b".start\0", b"!HouNC!", b"!HouLC!")
_SET: Final = re.compile(r"set -g (\w{1,60}) = (?:'([^'\n]{0,1000}+)'|(\S{1,1000}))")
_SAVED: Final = re.compile(r"\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_PARAMETER: Final = re.compile(r'"([^"\n]{3,1000}+)"|\t\[ [^\]\n]{0,200}\t([^\]\s]{3,1000}) +\]')


class Houdini(Handler):
    name = "houdini"
    media_types = ("application/x-houdini",)
    signatures = (Signature(_MARK),)
    suffixes = (".hip", ".hiplc", ".hipnc")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "hip.variable.*": "variable of the scene: hip.variable.hip, hip.variable.job, hip.variable._hip_saveversion",
    }
    reads = "variables, time and place of saving, files it uses; nodes as members"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        name = stream.head[_HEAD : _HEAD + 16]
        return self.media_types[0] if stream.head[:6] == _MARK and name.startswith(_FIRST) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        paths, position = _refs.Once(), 0
        for _ in range(MEMBERS):
            head = stream.at(position, _HEAD)
            if len(head) < _HEAD or head[:6] != _MARK:
                yield Problem("truncated" if len(head) < _HEAD else "corrupt", f"no member at {position}")
                return
            digits = head[6:]
            if not all(byte in b"01234567" for byte in digits):
                yield Problem("corrupt", f"the head of the member at {position} is damaged")
                return
            when, length, size = int(digits[42:53], 8), int(digits[53:59], 8), int(digits[59:70], 8)
            name = stream.at(position + _HEAD, length).rstrip(b"\0")
            start = position + _HEAD + length
            if name == b"TRAILER!!!":
                return
            if start + size > stream.size:
                yield Problem("truncated", f"{name[:40].decode('utf-8', 'replace')} ends after the file")
            text = stream.at(start, min(size, 4 * MIB)).decode("utf-8", "replace")
            if name == b".variables":
                yield from _variables(text)
            yield from paths.fields(path for each in _PARAMETER.finditer(text) for path in _files(each[1] or each[2]))
            stamp = from_unix("M", when, "cpio.modified") if when else None
            yield Child(
                name.decode("utf-8", "replace"),
                name,
                partial(_open, stream, start, size),
                timestamps=(stamp,) if stamp else (),
            )
            position = start + size
            if position > stream.size:
                return


def _open(stream: Stream, start: int, size: int) -> BinaryIO:
    return io.BufferedReader(Window(stream, start, size))


def _files(text: str) -> tuple[str, ...]:
    return (text,) if _refs.is_path(text) or (text.startswith("$") and "/" in text and "." in text) else ()


def _variables(text: str) -> Iterator[Fact]:
    for match in _SET.finditer(text):
        value = match[2] or match[3] or ""
        if not value:
            continue
        yield Field(f"hip.variable.{match[1].lower()}", value[:FIELD_CHARS])
        if _refs.is_path(value):
            yield Field("refers_to", value)
        saved = _SAVED.search(value) if match[1] == "_HIP_SAVETIME" else None
        if saved and saved[1] in _MONTHS:
            day, hour, minute, second, year = (int(part) for part in saved.groups()[1:])
            try:
                at = datetime(year, _MONTHS.index(saved[1]) + 1, day, hour, minute, second, tzinfo=UTC)
            except ValueError:
                continue
            yield Timestamp("M", at, "hip.savetime", zone_known=False)
