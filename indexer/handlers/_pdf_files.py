"""Portfolios, and embedded files that hang on no list of attachments: of rich media, films, sounds, 3D.

Source: ISO 32000-2: 7.11.3 (file specifications), 7.11.6 (collection items), 12.3.5 (collections), 13 (multimedia).
Limits: nothing of encrypted documents; of items only columns that are plain strings.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from itertools import chain, islice
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._pdf_objects import KNOWN_FILTERS, filters_of, object_streams, places_of, stream_of
from indexer.handlers._pdf_raw import read_string
from indexer.limits import KIB, MIB
from indexer.model import Child, Fact, Field, Text

FIELDS: Final = {
    "pdf.collection": "the document is a portfolio: how its files are shown",
    "pdf.collection_column": "name of a column in the list of a portfolio's files",
}
FILES, ITEMS = 10_000, 10_000
FILE_BYTES: Final = 256 * MIB
_AROUND: Final = 2 * KIB
_COLLECTION: Final = re.compile(
    rb"/Type\s{0,3}/Collection\b|/Collection\s{0,3}(?:<<|(\d{1,9})\s{1,3}\d{1,5}\s{1,3}R\b)"
)
_VIEW: Final = re.compile(rb"/View\s{0,3}/([DTHC])\b")
_VIEWS: Final = {b"D": "details", b"T": "tiles", b"H": "hidden", b"C": "by its own program"}
_NAME: Final = re.compile(rb"/N\s{0,3}(?=[(<])")
_COLUMN: Final = re.compile(rb"/([^\s()<>\[\]/]{1,100})\s{0,3}(?=\(|<(?!<))")
_EMBEDDED: Final = re.compile(rb"/EF\s{0,3}<<([^<>]{0,400})")
_SYSTEMS: Final = (b"DOS", b"Mac", b"Unix")
_OF_SYSTEM: Final = re.compile(rb"/(UF|F|DOS|Mac|Unix)\s{1,3}(\d{1,9})\s{1,3}\d{1,5}\s{1,3}R")
_FILE_NAME: Final = re.compile(rb"/(UF|F|DOS|Mac|Unix)\s{0,3}(?=\(|<(?!<))")
_BRACKET: Final = re.compile(rb"<<|>>")


def read_files(stream: Stream, known: set[str]) -> Iterator[Fact]:
    """What makes the document a portfolio, and embedded files by other names than those that are known."""
    with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        found: dict[int, str] = {}
        collection: list[Fact] = []
        for part in chain[bytes | mmap.mmap]((data,), (held for _, held in object_streams(data))):
            for match in islice(_EMBEDDED.finditer(part), FILES):
                names = _names_of(part, match.start(), match.end())
                for system, number in _OF_SYSTEM.findall(match[1]):
                    of_system = names.get(system, "") if system in _SYSTEMS else ""
                    name = of_system or names.get(b"UF") or names.get(b"F", "")
                    if name and name not in known and len(found) < FILES:
                        found.setdefault(int(number), name)
            collection += _read_collection(part)
        places = places_of(data, set(found)) if found else {}
    yield from dict.fromkeys(collection)
    for number, name in found.items():
        if number in places:
            raw = name.encode("utf-8", "surrogatepass")
            yield Child(name, raw, partial(_open, stream, places[number]))


def _open(stream: Stream, place: int) -> BytesIO:
    with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        head = data[place : place + _AROUND].partition(b"stream")[0]
        names = filters_of(head)
        if unknown := [name.decode("latin-1") for name in names if name not in KNOWN_FILTERS]:
            raise EvidenceError("unsupported", f"an embedded file with the filter {unknown[0]}")
        held = stream_of(data, place, FILE_BYTES + 1)
    if len(held) > FILE_BYTES:
        raise EvidenceError("limit", f"an embedded file of more than {FILE_BYTES} bytes")
    if names and not held:
        raise EvidenceError("corrupt", "an embedded file that cannot be unpacked")
    return BytesIO(held)


def _names_of(part: bytes | mmap.mmap, start: int, end: int) -> dict[bytes, str]:
    """The names that stand beside an embedded file, in the same dictionary; each operating system may have its own."""
    begin, depth = start, 0
    for mark in reversed([*_BRACKET.finditer(part, max(0, start - _AROUND), start)]):
        depth += 1 if mark[0] == b">>" else -1
        if depth < 0:
            begin = mark.end()
            break
    finish, depth = end, 1
    for mark in _BRACKET.finditer(part, end, end + _AROUND):
        depth += 1 if mark[0] == b"<<" else -1
        if depth < 0:
            finish = mark.start()
            break
    held = part[begin:start] + part[end:finish]
    return {match[1]: read_string(held[match.end() :]) for match in _FILE_NAME.finditer(held)}


def _read_collection(part: bytes | mmap.mmap) -> Iterator[Fact]:
    # One that has its dictionary at hand is better than one that refers to it.
    places = sorted(islice(_COLLECTION.finditer(part), ITEMS), key=lambda each: each[1] is not None)
    for found in places[:1]:
        place = found.start()
        if found[1] and (opened := re.search(rb"\b%d\s{1,3}\d{1,5}\s{1,3}obj\b" % int(found[1]), part)):
            place = opened.start()
        end = part.find(b"endobj", place, place + _AROUND)
        view = _VIEW.search(part, place, end if end >= 0 else place + _AROUND)
        yield Field("pdf.collection", _VIEWS[view[1]] if view else "not told")
    for number, held in enumerate(_dictionaries(part, b"/CollectionField"), 1):
        if number > ITEMS:
            return
        if name := _NAME.search(held):
            yield Field("pdf.collection_column", read_string(held[name.end() :]))
    for number, held in enumerate(_dictionaries(part, b"/CollectionItem"), 1):
        if number > ITEMS:
            return
        lines = (
            f"{match[1].decode('latin-1')}: {read_string(held[match.end() :])}" for match in _COLUMN.finditer(held)
        )
        yield Text("\n".join(lines), "portfolio item")


def _dictionaries(part: bytes | mmap.mmap, mark: bytes) -> Iterator[bytes]:
    """The insides of the innermost dictionaries that hold this name."""
    at = part.find(mark)
    while at >= 0:
        start, end = part.rfind(b"<<", max(0, at - _AROUND), at), part.find(b">>", at, at + _AROUND)
        if start >= 0 and end >= 0:
            yield part[start + 2 : end]
        at = part.find(mark, at + 1)
