"""Blocks of 7z that neither py7zr nor 7-Zip undoes: newer methods behind filters of machine code, and LZ4.

A filter is undone by the library of xz, which knows it before LZMA2 only: so it is given what it
filters as LZMA2 that is not packed.

Source: 7-Zip's Methods.txt; XZ format 1.2.0, sections 5.3 (filters); LZ4 frame format 1.6.4.
"""

from __future__ import annotations

import lzma
from bz2 import BZ2Decompressor
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from indexer.errors import EvidenceError
from indexer.handlers._zstd import load_zstd

FILTERS = {
    "BCJ": lzma.FILTER_X86,
    "PPC": lzma.FILTER_POWERPC,
    "IA64": lzma.FILTER_IA64,
    "ARM": lzma.FILTER_ARM,
    "ARMT": lzma.FILTER_ARMTHUMB,
    "SPARC": lzma.FILTER_SPARC,
}
CHAINED = FILTERS.keys() | {"ZSTD", "LZ4", "Delta", "Copy", "LZMA2", "BZip2"}
UNPACKED_FIRST, UNPACKED, END = b"\x01", b"\x02", b"\0"
"""How a piece of LZMA2 begins that is not packed, the first with a new dictionary."""
PIECE = 64 * 1024
OUTPUT = 256 * 1024
SKIPPABLE = b"\x50\x2a\x4d\x18"


class Decoder(Protocol):
    """What the libraries' decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decode_chain(
    pieces: Iterator[bytes], names: tuple[str, ...], coders: list[dict[str, Any]], most_memory: int
) -> Iterator[bytes]:
    """The plain bytes of a block.

    Args:
        pieces: the packed bytes.
        names: methods in the order in which they are undone, with the `coders` beside them.

    Raises:
        EvidenceError: after the last good byte.
    """
    for name, coder in zip(names, coders, strict=True):
        pieces = _undo(name, coder.get("properties") or b"", pieces, most_memory)
    yield from pieces


def _undo(name: str, properties: bytes, pieces: Iterator[bytes], most_memory: int) -> Iterator[bytes]:
    if name == "Copy":
        return pieces
    if name in FILTERS or name == "Delta":
        wanted: dict[str, int] = {"id": FILTERS.get(name, lzma.FILTER_DELTA)}
        if name == "Delta":
            wanted["dist"] = 1 + (properties[0] if properties else 0)
        return _filter(wanted, pieces)
    return _unpack(name, properties, pieces, most_memory)


def _filter(wanted: dict[str, int], pieces: Iterator[bytes]) -> Iterator[bytes]:
    plain = {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[wanted, plain])
    mark = UNPACKED_FIRST
    for piece in pieces:
        for at in range(0, len(piece), PIECE):
            part = piece[at : at + PIECE]
            yield decoder.decompress(mark + (len(part) - 1).to_bytes(2, "big") + part)
            mark = UNPACKED
    yield decoder.decompress(END)


def _unpack(name: str, properties: bytes, pieces: Iterator[bytes], most_memory: int) -> Iterator[bytes]:
    """One method over its frames; what the library raises becomes ours."""
    errors: tuple[type[Exception], ...] = (lzma.LZMAError, OSError, ValueError, RuntimeError, EOFError)
    if name == "ZSTD":
        errors = (*errors, *_zstd_errors())
    try:
        yield from _frames(name, properties, pieces, most_memory)
    except errors as error:
        raise EvidenceError("corrupt", f"{name}: the data do not decode") from error


def _zstd_errors() -> Iterator[type[Exception]]:
    with suppress(EvidenceError):
        yield load_zstd().ZstdError


def _frames(name: str, properties: bytes, pieces: Iterator[bytes], most_memory: int) -> Iterator[bytes]:
    held = b""
    decoder: Decoder | None = None
    for piece in pieces:
        data = held + piece
        held = b""
        while data:
            if decoder is None:
                if name in ("ZSTD", "LZ4"):
                    if len(data) < 16 and data.startswith(SKIPPABLE[: len(data)]):
                        held = data
                        break
                    if data.startswith(SKIPPABLE):
                        data = data[8 + int.from_bytes(data[4:8], "little") :]
                        continue
                decoder = _make(name, properties, most_memory)
            yield decoder.decompress(data, OUTPUT)
            while not decoder.eof and not decoder.needs_input:
                yield decoder.decompress(b"", OUTPUT)
            data = b""
            if decoder.eof:
                data = decoder.unused_data or b""
                decoder = None
    if decoder is not None and not decoder.eof:
        raise EvidenceError("truncated", f"{name}: the packed data end too early")


def _make(name: str, properties: bytes, most_memory: int) -> Decoder:
    try:
        if name == "ZSTD":
            zstd = load_zstd()
            most = max(10, min(31, most_memory.bit_length() - 1))
            made: Decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: most})
            return made
        if name == "LZ4":
            from lz4.frame import LZ4FrameDecompressor

            frame: Decoder = LZ4FrameDecompressor()
            return frame
    except ImportError as error:
        raise EvidenceError("missing-library", f"{name} needs {error.name}: pip install archivore") from error
    if name == "BZip2":
        return BZ2Decompressor()
    if name == "LZMA2":
        bits = properties[0] if properties else 40
        size = 0xFFFFFFFF if bits >= 40 else (2 | bits & 1) << bits // 2 + 11
        if size > most_memory:
            raise EvidenceError("limit", f"dictionary: {size} bytes asked for, {most_memory} allowed")
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": size}])
    raise EvidenceError("unsupported", f"{name} behind another method")
