"""Registry hives of Windows NT and later: every key with its time and values, deleted keys too.

Source: the Windows registry file format as documented by M. Suhanov (regf 1.6) and by libregf; [MS-RRP].
Limits: transaction logs are recognised, not replayed into their hive; security descriptors and volatile
    keys are not read; the times of all keys stand in the text, those of keys with an answer are timestamps;
    a hive over 512 MiB is read up to there; hives of Windows 95 and 98 are left to strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _hive_answers
from indexer.handlers._hive import BINS, UNREACHABLE, WHOLE, Hive, Key
from indexer.handlers._hive_words import tell_value
from indexer.handlers._runs import carve
from indexer.handlers._windows import moment, wide
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_filetime

MAGIC: Final = b"regf"
_LOG: Final = "application/x-ms-registry-log"
_ANSWERS: Final = 20_000
"""Fields kept of one hive."""
_KINDS: Final = (
    ("SYSTEM", frozenset(("select",))),
    ("SOFTWARE", frozenset(("microsoft", "classes"))),
    ("SAM", frozenset(("sam",))),
    ("SECURITY", frozenset(("policy",))),
    ("NTUSER", frozenset(("software", "control panel"))),
    ("USRCLASS", frozenset(("local settings",))),
    ("BCD", frozenset(("objects", "description"))),
    ("AMCACHE", frozenset(("root",))),
    ("COMPONENTS", frozenset(("deriveddata",))),
)


class RegistryHive(Handler):
    name = "registry"
    media_types = ("application/x-ms-registry-hive", _LOG)
    signatures = (Signature(MAGIC),)
    suffixes = (".dat", ".hve", ".hiv", ".log1", ".log2", ".regtrans-ms")
    fields: ClassVar[dict[str, str]] = {
        "registry.hive": "which hive it is, by its topmost keys: SYSTEM, SOFTWARE, SAM, NTUSER ...",
        "registry.file_name": "end of the path that the header names",
        "registry.version": "version of the format",
        "registry.dirty": "the hive was not written out whole: its transaction logs hold more",
        "registry.log": "the file is a transaction log of a hive",
        "registry.keys": "number of keys",
        "registry.values": "number of values",
        "registry.lost": "number of keys that nothing leads to any more",
        **_hive_answers.FIELDS,
    }
    reads = "keys with times, values of every type, deleted keys; machine, zone, users, devices, autostarts"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        kind = int.from_bytes(stream.head[28:32], "little")
        return _LOG if kind in (1, 2, 6) else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 512)
        if len(head) < 512:
            raise EvidenceError("truncated", "the header is not whole")
        first, second, ticks, major, minor, kind = struct.unpack_from("<IIQIII", head, 4)
        yield Field("registry.version", f"{major}.{minor}")
        if name := wide(head[48:112]):
            yield Field("registry.file_name", name)
        if stamp := from_filetime("M", ticks, "registry.header"):
            yield stamp
        if kind in (1, 2, 6):
            yield Field("registry.log", True)
            yield from carve(stream)
            return
        if first != second:
            yield Field("registry.dirty", True)
        (size,) = struct.unpack_from("<I", head, 40)
        if stream.size < BINS + size:
            message = f"{BINS + size - stream.size} bytes are missing at the end"
            yield Problem("truncated", message, resolution="read what is there")
        if stream.size > WHOLE:
            yield Problem("limit", f"more than {WHOLE} bytes of a hive", resolution="read up to there")
        yield from _read(Hive(stream))


def _read(hive: Hive) -> Iterator[Fact]:
    top: set[str] = set()
    keys = values = lost = answers = 0
    for key in hive.linked_keys():
        keys += 1
        values += len(key.values)
        if key.path and "\\" not in key.path:
            top.add(key.path.lower())
        yield Text(_tell(key), key.path or "root")
        for fact in _answer(key):
            answers += 1
            if answers <= _ANSWERS:
                yield fact
    for key in hive.lost_keys():
        lost += 1
        yield Text(f"{key.lost} key: {_tell(key)}", f"{key.lost} key @{key.at:#x} {key.path}")
        for fact in _answer(key) if key.lost == UNREACHABLE else ():
            answers += 1
            if answers <= _ANSWERS:
                yield fact
    for at, value in hive.lost_values():
        yield Text(f"deleted value: {tell_value('', value)}", f"deleted value @{at:#x}")
    if answers > _ANSWERS:
        yield Problem("limit", f"more than {_ANSWERS} answers", resolution="the rest stands in the text")
    kind = next((name for name, marks in _KINDS if marks <= top), "")
    if kind:
        yield Field("registry.hive", kind)
    yield Field("registry.keys", keys)
    yield Field("registry.values", values)
    if lost:
        yield Field("registry.lost", lost)
    for message, count in hive.faults.items():
        yield Problem("corrupt", f"{message} ({count} times)", resolution="read what could be had")


def _answer(key: Key) -> Iterator[Fact]:
    """What a key answers, and behind it when the key was last written."""
    answered = False
    for fact in _hive_answers.answer(key):
        answered = True
        yield fact
    if answered and (stamp := from_filetime("key_written", key.ticks, "registry.key")):
        yield stamp


def _tell(key: Key) -> str:
    """A key as text: its path and time, then its values, one a line."""
    path = key.path.lower()
    lines = [" | ".join(part for part in (key.path or "root", moment(key.ticks), key.kind_name) if part)]
    lines += [tell_value(path, value) for value in key.values]
    if told := _hive_answers.tell_account(key):
        lines.append(told)
    return "\n".join(lines)
