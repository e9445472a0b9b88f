"""USD scenes, as text (.usda) and as crates (.usdc): names of prims and properties, files they use, all strings.

Source: the crate format of OpenUSD (pxr/usd/sdf/crateFile.h, versions 0.0.1 to 0.13.0) and the chunks of its
TfFastCompression; the USDA file format specification of OpenUSD.
Limits: numbers are not read; of a crate it is told which strings there are, not where each one belongs;
.usdz is read as the zip that it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, cast

from indexer.decoding import TextReader
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

TOKENS: Final = 256 * MIB
SECTIONS: Final = 64
RATIO: Final = 255
"""A block of LZ4 cannot grow by more."""
_CRATE: Final = b"PXR-USDC"
_ASSET: Final = re.compile(r"@@@([^\n]{1,1000}?)@@@|@([^@\n]{1,1000})@")
_DEFINED: Final = re.compile(r'^\s*(?:def|over|class)\s(?:\w{1,60}\s)?"([^"]{1,200})"', re.M)
_FILE: Final = re.compile(
    r"[^\s<>|*?\"]{1,400}\.(?:usd[acz]?|abc|fbx|obj|gltf|glb|mtlx|vdb|png|jpe?g|exr|tiff?|tx|tga|hdr|bmp|psd|dds|ptx|rat|"
    r"wav|mp3|m4a|ma|mb|blend|hip|osl|oso|glslfx|mov|mp4)(?::\S{1,200}|\[\S{1,200}\])?",
    re.I,
)


class Usd(Handler):
    name = "usd"
    version = 2
    media_types = ("model/vnd.usdc", "model/vnd.usda", "model/vnd.usd")
    signatures = (Signature(_CRATE), Signature(b"#usda "))
    suffixes = (".usd", ".usda", ".usdc")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "usd.version": "version of the format",
        "usd.prim": "name of a prim, where the scene is text",
    }
    needs = ("lz4",)
    reads = "names of prims and properties, files it uses, all strings"

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0 if stream.head.startswith(_CRATE) else 1]

    def read(self, stream: Stream) -> Iterator[Fact]:
        if not stream.head.startswith(_CRATE):
            yield from _read_text(stream)
            return
        yield Field("usd.version", ".".join(str(part) for part in stream.at(8, 3)))
        words = Words("tokens")
        for token in _tokens(stream):
            yield from words.say(token, is_file=bool(_FILE.fullmatch(token)))
        yield from words.rest()


def _tokens(stream: Stream) -> Iterator[str]:
    """Every string of a crate; each stands once.

    Raises:
        EvidenceError: where the table of contents or the strings cannot be read.
    """
    version = tuple(stream.at(8, 3))
    place = int.from_bytes(stream.at(16, 8), "little")
    (count,) = struct.unpack("<Q", stream.at(place, 8).ljust(8, b"\0"))
    for number in range(min(count, SECTIONS)):
        row = stream.at(place + 8 + 32 * number, 32)
        if row[:16].rstrip(b"\0") == b"TOKENS" and len(row) == 32:
            start, size = struct.unpack_from("<QQ", row, 16)
            break
    else:
        raise EvidenceError("truncated", "the crate's table of contents is missing")
    head = stream.at(start, 24)
    if len(head) < 24:
        raise EvidenceError("truncated", "the crate's strings are missing")
    if version < (0, 4, 0):
        data = stream.at(start + 16, min(size - 16, TOKENS))
    else:
        _, whole, packed = struct.unpack("<3Q", head)
        data = _unpack(stream.at(start + 24, min(packed, TOKENS)), min(whole, TOKENS))
        if len(data) < whole:
            yield from _parted(data)
            raise EvidenceError("corrupt", f"of {whole} bytes of strings {len(data)} could be unpacked")
    yield from _parted(data)


def _unpack(data: bytes, most: int) -> bytes:
    """One LZ4 block, or several with their sizes before them (the first byte says how many); up to the first damaged.

    Raises:
        EvidenceError: where the library is missing.
    """
    try:
        import lz4.block
    except ImportError as error:
        raise EvidenceError("missing-library", "lz4: pip install lz4") from error
    out = bytearray()
    try:
        for block in _blocks(data):
            room = min(most - len(out), RATIO * len(block))
            out += lz4.block.decompress(block, uncompressed_size=room)
    except lz4.block.LZ4BlockError:
        pass  # The reader compares what came out with what should have.
    return bytes(out)


def _blocks(data: bytes) -> Iterator[bytes]:
    if not data[:1].strip(b"\0"):
        yield data[1:]
        return
    position = 1
    for _ in range(data[0]):
        size = int.from_bytes(data[position : position + 4], "little")
        yield data[position + 4 : position + 4 + size]
        position += 4 + size


def _parted(data: bytes) -> Iterator[str]:
    for raw in data.split(b"\0"):
        yield raw.decode("utf-8", "replace").removeprefix(";-)")


def _read_text(stream: Stream) -> Iterator[Fact]:
    stream.seek(0)
    paths, prims = _refs.Once(), _refs.Once("usd.prim")
    first = True
    reader = TextReader(cast(BinaryIO, stream))
    for piece in reader:
        if first:
            yield Field("usd.version", piece[6:20].split("\n")[0].strip())
            first = False
        yield from prims.fields(match[1] for match in _DEFINED.finditer(piece))
        yield from paths.fields(match[1] or match[2] for match in _ASSET.finditer(piece))
        yield Text(piece)
    if reader.lossy:
        yield Problem("lossy-text", f"{reader.lossy} bytes are not {reader.detection.codec}", resolution="U+FFFD")
