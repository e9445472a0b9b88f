"""The source of macros in a compound file.

Source: [MS-OVBA] 2.3.4.2 (dir stream), 2.4.1 (compression).
Limits: compiled code is not read: where it differs from the source, that does not show; forms are members.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from indexer.handlers._cfb import STREAM, Compound, Entry
from indexer.handlers._ole import codec_of
from indexer.limits import MIB
from indexer.model import Fact, Field, Text

SOURCE = 16 * MIB
"""Bytes of source that one module may unpack to; Office itself ends far below."""
_CODE_PAGE, _VERSION, _NAME, _STREAM_NAME, _OFFSET = 3, 9, 0x19, 0x1A, 0x31
_COMPILED = ("_vba_project", "projectwm", "dir")


def read_macros(held: Compound, taken: set[str]) -> Iterator[Fact]:
    """The source of every module; the keys of the streams that it came from go to `taken`."""
    for key, entry in list(held.entries.items()):
        if entry.name.lower() != "dir" or entry.kind != STREAM or entry.path[-2:-1] == ():
            continue
        folder = key.rpartition("/")[0]
        codec, modules = _modules(decompress(held.read(entry)))
        if not modules:
            continue
        yield Field("office.macros", True)
        inside: dict[str, Entry] = {
            each.name.lower(): each for each in held.entries.values() if each.key.rpartition("/")[0] == folder
        }
        for name, stream, offset in modules:
            source = inside.get(stream.lower())
            if source:
                taken.add(source.key)
                text = decompress(held.read(source)[offset:]).decode(codec, "replace")
                yield Text(text.replace("\r\n", "\n"), f"macro {name}")
        taken.update(each.key for low, each in inside.items() if low in _COMPILED or low.startswith("__srp_"))
        project = held.entries.get(folder.rpartition("/")[0] + "/project" if "/" in folder else "project")
        if project:
            taken.add(project.key)
            yield Text(held.read(project).decode(codec, "replace").replace("\r\n", "\n"), "macro project")
            taken.add(project.key + "wm")


def _modules(data: bytes) -> tuple[str, list[tuple[str, str, int]]]:
    """Codec, and name, stream and offset of every module."""
    codec, found = "cp1252", []
    name = stream = ""
    at = 0
    while at + 6 <= len(data):
        kind, size = struct.unpack_from("<HI", data, at)
        value = data[at + 6 : at + 6 + size]
        at += 6 + size + (2 if kind == _VERSION else 0)
        if kind == _CODE_PAGE and len(value) == 2:
            codec = codec_of(struct.unpack("<H", value)[0])
        elif kind == _NAME:
            name = stream = value.decode(codec, "replace")
        elif kind == _STREAM_NAME:
            stream = value.decode(codec, "replace")
        elif kind == _OFFSET and len(value) == 4:
            found.append((name, stream, struct.unpack("<I", value)[0]))
    return codec, found


def decompress(data: bytes) -> bytes:
    """What a compressed container holds, as far as it can be followed; empty where it is none."""
    out = bytearray()
    if data[:1] != b"\1":
        return b""
    at = 1
    while at + 2 <= len(data) and len(out) < SOURCE:
        (header,) = struct.unpack_from("<H", data, at)
        end = min(at + (header & 0xFFF) + 3, len(data))
        at += 2
        if header & 0x8000:
            _expand(data, at, end, out)
        else:
            out += data[at : min(at + 4096, len(data))]
            end = at + 4096
        at = end
    return bytes(out)


def _expand(data: bytes, at: int, end: int, out: bytearray) -> None:
    """One chunk of literal bytes and copies of what went before in it."""
    start = len(out)
    while at < end:
        flags = data[at]
        at += 1
        for bit in range(8):
            if at >= end or len(out) - start >= 4096:
                return
            if not flags >> bit & 1:
                out.append(data[at])
                at += 1
                continue
            if at + 2 > end:
                return
            (token,) = struct.unpack_from("<H", data, at)
            at += 2
            width = max((len(out) - start - 1).bit_length(), 4)
            length = (token & 0xFFFF >> width) + 3
            back = (token >> 16 - width) + 1
            if back > len(out) - start:
                return
            for _ in range(length):
                out.append(out[-back])
