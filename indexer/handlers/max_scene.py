"""3ds Max scenes: summary, names of nodes, texts of the scene, files it uses, plug-ins it needs.

Source: [MS-CFB], [MS-OLEPS]; the chunks of the streams as 3ds Max 9 to 2024 write them (none is published).
Limits: geometry, curves and settings are not read; a text is taken where a chunk holds nothing else; the
thumbnail among the properties is not a member.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._cfb import MAGIC, compound
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Problem

STREAM_BYTES: Final = 256 * MIB
CHUNKS: Final = 5_000_000
DEEPEST: Final = 60
TEXT: Final = 64 << 10
_NAME: Final = 0x0962
_CHUNKED: Final = (
    "scene",
    "config",
    "classdata",
    "dlldirectory",
    "classdirectory3",
    "classdirectory",
    "saveconfigdata",
)
_WIDE: Final = re.compile(rb"(?:[\x20-\x7e]\0|[^\0-\x1f][\x01-\xd7]){4,2000}")


class MaxScene(Handler):
    name = "3ds-max"
    version = 2
    media_types = ("model/x-3ds-max", "application/x-3ds-max")
    signatures = (Signature(MAGIC),)
    suffixes = (".max", ".chr")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        **_refs.FIELDS,
        "max.node": "name of a node of the scene",
    }
    reads = "summary, names of nodes, texts, files it uses, plug-ins; other streams as members"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        if kind_of(stream) != "ole":
            return None
        held = compound(stream).entries
        return self.media_types[0] if "scene" in held and "dlldirectory" in held else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        if held.fault:
            raise EvidenceError("corrupt", held.fault)
        yield from read_properties(held)
        nodes = _refs.Once("max.node")
        taken = {key for key in held.entries if key in _CHUNKED or key.startswith(("fileassetmetadata", "videopost"))}
        for key in sorted(taken):
            words = Words(key)
            data = held.read(held.entries[key], STREAM_BYTES)
            if data[:2] == b"\x1f\x8b":
                data, problem = _inflate(data)
                if problem:
                    yield problem
            if key in _CHUNKED:
                for kind, text in _texts(data):
                    if kind == _NAME and key == "scene":
                        yield from nodes.fields((text,))
                    yield from words.say(text)
            else:
                for match in _WIDE.finditer(data):
                    text = match[0].decode("utf-16-le", "replace")
                    yield from words.say(text, is_file=_refs.is_path(text))
            yield from words.rest()
        yield from members(held, lambda key: key in taken)
        yield from held.problems


def _inflate(data: bytes) -> tuple[bytes, Problem | None]:
    engine = zlib.decompressobj(31)
    try:
        plain = engine.decompress(data, STREAM_BYTES)
    except zlib.error as error:
        return b"", Problem("corrupt", f"the compressed scene: {error}")
    if engine.unconsumed_tail:
        return plain, Problem("limit", f"the scene has more than {STREAM_BYTES} bytes", resolution="read up to there")
    return plain, None if engine.eof else Problem("truncated", "the compressed scene ends early")


def _texts(data: bytes) -> Iterator[tuple[int, str]]:
    """Chunks that hold a text and nothing else, with their kinds."""
    ends, position = [len(data)], 0
    for _ in range(CHUNKS):
        while ends and position + 6 > ends[-1]:
            position = ends.pop()
        if not ends:
            return
        kind = int.from_bytes(data[position : position + 2], "little")
        size = int.from_bytes(data[position + 2 : position + 6], "little")
        start, holds = position + 6, size & 0x80000000
        size &= 0x7FFFFFFF
        if not size and not holds:
            wide = int.from_bytes(data[position + 6 : position + 14], "little")
            start, holds, size = position + 14, wide >> 63, wide & ~(1 << 63)
        end = position + size
        if not start <= end <= ends[-1]:
            # What does not fit is searched for texts instead.
            for match in _WIDE.finditer(data, position, ends[-1]):
                yield 0, match[0].decode("utf-16-le", "replace")
            position = ends.pop()
            continue
        if holds and len(ends) < DEEPEST:
            ends.append(end)
            position = start
            continue
        position = end
        if 4 <= end - start <= TEXT and not (end - start) & 1 and (text := _wide_text(data[start:end])):
            yield kind, text


def _wide_text(raw: bytes) -> str:
    """The text in UTF-16, or nothing where it is none; a length may stand before it."""
    if int.from_bytes(raw[:4], "little") in (len(raw) - 4, (len(raw) - 4) // 2) and len(raw) > 6:
        raw = raw[4:]
    try:
        text = raw.decode("utf-16-le").rstrip("\0")
    except UnicodeDecodeError:
        return ""
    if not text.replace("\r", "").replace("\n", "").replace("\t", "").isprintable() or len(text) < 2:
        return ""
    # Numbers look like rare characters of many scripts: a text stays within a few.
    plain = sum(char < "\u0250" or "\u0400" <= char < "\u0460" for char in text)
    eastern = sum("\u3000" <= char < "\u9fff" or "\uac00" <= char < "\ud7a4" for char in text)
    return text if plain + eastern == len(text) and (plain > len(text) / 4 or len(text) >= 3) else ""
