"""Objects of a PDF file found in its bytes: where they begin, what their streams hold.

Source: ISO 32000-2, 7.3.8 (streams), 7.3.10 (indirect objects), 7.4 (filters), 7.5.7 (object streams).
Limits: filters other than Flate, ASCII85 and ASCIIHex are not undone; predictors are not; nothing is decrypted.
"""

from __future__ import annotations

import base64
import mmap
import re
import zlib
from collections.abc import Iterator
from typing import Final

from indexer.limits import KIB, MIB

KNOWN_FILTERS: Final = (b"FlateDecode", b"Fl", b"ASCIIHexDecode", b"AHx", b"ASCII85Decode", b"A85")
_OBJECT_STREAMS: Final = 4_000
_NUMBER: Final = re.compile(rb"(\d{1,9})\s{1,3}\d{1,5}$")
_LENGTH: Final = re.compile(rb"/Length\s{0,3}(\d{1,12})(?!\s{1,3}\d{1,5}\s{1,3}R)(?!\d)")
_FILTER: Final = re.compile(rb"/(FlateDecode|ASCIIHexDecode|ASCII85Decode|Fl|AHx|A85)\b")


_FILTERS: Final = re.compile(rb"/Filter\s{0,3}(/\w{1,40}|\[[^\]]{0,400})")
_WORD: Final = re.compile(rb"/(\w{1,40})")


def filters_of(head: bytes) -> list[bytes]:
    """The filters that the dictionary of a stream names, in the order in which they are undone."""
    found = _FILTERS.search(head)
    return _WORD.findall(found[1]) if found else []


def number_of(data: bytes | mmap.mmap, place: int) -> int:
    """The number of the object that begins here; 0 where there is none."""
    match = _NUMBER.search(data[max(0, place - 20) : place])
    return int(match[1]) if match else 0


def object_streams(data: bytes | mmap.mmap) -> Iterator[tuple[int, bytes]]:
    """Where each object stream begins, and what it holds as far as it can be unpacked."""
    at = data.find(b"/ObjStm")
    for _ in range(_OBJECT_STREAMS):
        if at < 0:
            return
        begin = data.rfind(b" obj", max(0, at - 4 * KIB), at)
        if begin >= 0:
            yield begin, stream_of(data, begin, MIB)
        at = data.find(b"/ObjStm", at + 1)


def places_of(data: bytes | mmap.mmap, wanted: set[int]) -> dict[int, int]:
    """Where the last object of each of these numbers begins."""
    places: dict[int, int] = {}
    at = data.find(b" obj")
    while at >= 0:
        if (number := number_of(data, at)) in wanted:
            places[number] = at
        at = data.find(b" obj", at + 4)
    return places


def span_of(data: bytes | mmap.mmap, start: int, length: int | None = None) -> tuple[int, int]:
    """Where the stream of the object that begins here begins and ends; both 0 where it has none.

    Args:
        length: what the dictionary says of it, where that is known; it is looked for else.
    """
    at = data.find(b"stream", start, start + 8 * KIB)
    if at < 0:
        return 0, 0
    head = data[start:at]
    begin = at + 6 + (2 if data[at + 6 : at + 8] == b"\r\n" else 1)
    if length is None:
        told = _LENGTH.search(head)
        length = int(told[1]) if told else -1
    end = begin + length if length >= 0 else -1
    if end < 0 or b"endstream" not in data[end : end + 20]:
        end = data.find(b"endstream", begin)
        if end < 0:
            return begin, len(data)
        end -= 2 if data[end - 2 : end] == b"\r\n" else data[end - 1 : end] in (b"\r", b"\n")
    return begin, max(begin, end)


def stream_of(data: bytes | mmap.mmap, start: int, most: int) -> bytes:
    """The bytes of the stream of the object that begins here, without the filters that are known."""
    begin, end = span_of(data, start)
    raw = data[begin : min(end, begin + most)]
    for name in _FILTER.findall(data[start:begin])[:4]:
        try:
            if name in (b"FlateDecode", b"Fl"):
                raw = zlib.decompressobj().decompress(raw, most)
            elif name in (b"ASCIIHexDecode", b"AHx"):
                digits = re.sub(rb"[^0-9A-Fa-f]+", b"", raw.partition(b">")[0])
                raw = bytes.fromhex(digits[: len(digits) & ~1].decode())
            else:
                raw = _from_85(raw)
        except (zlib.error, ValueError):
            return b""
    return raw


def _from_85(raw: bytes) -> bytes:
    return base64.a85decode(re.sub(rb"\s+", b"", raw.partition(b"~>")[0]))
