"""RPM packages: the header's tags as fields, the payload as a member that is unpacked in turn.

Source: RPM package format, version 4 (rpm.org, "Package format"; Linux Standard Base 5.0, 22.2).
Limits: signatures are not verified; of the lists of files only those are told that the payload, which
holds them all, does not tell.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import Names
from indexer.handlers._streams import open_slice
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_unix

LEAD = 96
HEADER = b"\x8e\xad\xe8\x01"
MOST_STORE = 256 * MIB
MOST_ENTRIES = 65_536
MOST_TEXT = 64 * 1024
MOST_STRINGS = 1000
INT32, STRING, STRINGS, TRANSLATED = 4, 6, 8, 9
TAGS = {
    1000: "rpm.name",
    1001: "rpm.version",
    1002: "rpm.release",
    1003: "rpm.epoch",
    1004: "rpm.summary",
    1005: "rpm.description",
    1007: "rpm.build_host",
    1010: "rpm.distribution",
    1011: "rpm.vendor",
    1014: "rpm.licence",
    1015: "rpm.packager",
    1016: "rpm.group",
    1020: "rpm.url",
    1021: "rpm.os",
    1022: "rpm.architecture",
    1023: "rpm.script",
    1024: "rpm.script",
    1025: "rpm.script",
    1026: "rpm.script",
    1044: "rpm.source_package",
    1081: "rpm.changed_by",
    1082: "rpm.change",
    1124: "rpm.payload_format",
    1125: "rpm.payload_packing",
}
BUILD_TIME, CHANGE_TIMES, PACKING = 1006, 1080, 1125
SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "lzma": ".lzma", "zstd": ".zst"}
Tags = dict[int, tuple[int, int, int]]


class RpmPackage(Handler):
    name = "rpm"
    media_types = ("application/x-rpm", "application/x-redhat-package-manager")
    signatures = (Signature(b"\xed\xab\xee\xdb"),)
    suffixes = (".rpm", ".srpm")
    fields: ClassVar[Mapping[str, str]] = {
        "rpm.name": "name of the package",
        "rpm.version": "its version",
        "rpm.release": "its release",
        "rpm.epoch": "its epoch",
        "rpm.summary": "what it is, in a line",
        "rpm.description": "what it is",
        "rpm.build_host": "machine that built it",
        "rpm.distribution": "distribution it belongs to",
        "rpm.vendor": "who sells it",
        "rpm.packager": "who packed it",
        "rpm.licence": "its licence",
        "rpm.group": "kind of program",
        "rpm.url": "its home",
        "rpm.os": "system it is for",
        "rpm.architecture": "processor it is for",
        "rpm.script": "script run before or after it is installed or removed",
        "rpm.source_package": "package it was built from",
        "rpm.changed_by": "who made a change, newest first",
        "rpm.change": "what was changed, newest first",
        "rpm.payload_format": "format of the payload",
        "rpm.payload_packing": "compression of the payload",
    }
    reads = "who built it where and when, scripts, the log of changes; its files, by way of the payload"
    rank = 56
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            _, end = _read_header(stream, LEAD)
            signature_end = LEAD + (end - LEAD + 7 & ~7)
            tags, payload = _read_header(stream, signature_end)
        except EvidenceError as error:
            lead = stream.head[10:76].partition(b"\0")[0]
            if lead:
                yield Field("rpm.name", Names((lead,)).decode(lead))
            raise error
        store = signature_end + 16 + 16 * _count(stream, signature_end)
        packing = ""
        for tag, place in tags.items():
            if tag in TAGS:
                for text in _values(stream, store, payload, place):
                    packing = str(text) if tag == PACKING else packing
                    yield Field(TAGS[tag], text)
            elif tag in (BUILD_TIME, CHANGE_TIMES):
                yield from _times(stream, store, payload, tag, place)
        if payload >= stream.size:
            yield Problem("truncated", "the package ends before its payload")
            return
        name = f"payload.cpio{SUFFIXES.get(packing, '')}"
        yield Child(name, name.encode(), open_slice(stream, payload, stream.size - payload))


def _count(stream: Stream, at: int) -> int:
    return int.from_bytes(stream.at(at + 8, 4), "big")


def _read_header(stream: Stream, at: int) -> tuple[Tags, int]:
    """The places of the tags (kind, offset, count), and the offset behind the header.

    Raises:
        EvidenceError: corrupt, truncated.
    """
    head = stream.at(at, 16)
    if len(head) < 16:
        raise EvidenceError("truncated", "the package ends before its header")
    count, size = struct.unpack_from(">II", head, 8)
    if head[:4] != HEADER or count > MOST_ENTRIES or size > MOST_STORE:
        raise EvidenceError("corrupt", f"no header stands at {at}")
    index = stream.at(at + 16, 16 * count)
    if len(index) < 16 * count:
        raise EvidenceError("truncated", "the package ends in its header")
    tags: Tags = {}
    for tag, kind, offset, number in struct.iter_unpack(">IIII", index):
        tags.setdefault(tag, (kind, offset, number))
    return tags, at + 16 + len(index) + size


def _values(stream: Stream, store: int, end: int, place: tuple[int, int, int]) -> Iterator[str | int]:
    """Texts, or numbers; of a translated text the first, which is in English."""
    kind, offset, count = place
    if kind == INT32:
        data = stream.at(store + offset, min(4 * min(count, MOST_STRINGS), end - store - offset))
        yield from struct.unpack(f">{len(data) // 4}I", data[: len(data) // 4 * 4])
    elif kind in (STRING, STRINGS, TRANSLATED):
        wanted = min(count, MOST_STRINGS) if kind == STRINGS else 1
        at = store + offset
        for _ in range(wanted):
            raw, zero, _ = stream.at(at, min(MOST_TEXT, max(0, end - at))).partition(b"\0")
            if raw:
                yield Names((raw,)).decode(raw)
            if not zero:
                return
            at += len(raw) + 1


def _times(stream: Stream, store: int, end: int, tag: int, place: tuple[int, int, int]) -> Iterator[Timestamp]:
    kind, origin = ("built", "rpm.build_time") if tag == BUILD_TIME else ("changed", "rpm.change_log")
    for seconds in _values(stream, store, end, place):
        if isinstance(seconds, int) and (stamp := from_unix(kind, seconds, origin)):
            yield stamp
