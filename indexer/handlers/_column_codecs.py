"""Blocks of data files unpacked: gzip, deflate, Snappy, LZ4, Zstandard, Brotli, bzip2, xz; each of a bounded size.

Source: Apache Parquet, Compression.md; Apache Avro 1.12 specification, "Required Codecs".
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Final

from indexer.errors import EvidenceError
from indexer.handlers._snappy import unpack as unpack_snappy
from indexer.handlers._zstd import load_zstd
from indexer.limits import MIB

MOST: Final = 256 * MIB


def unpack(codec: str, data: bytes, size: int = MOST) -> bytes:
    """The content of a block.

    Args:
        size: bytes that it may unpack to.

    Raises:
        EvidenceError: where it cannot be had.
    """
    size = min(size, MOST)
    try:
        out = _unpack(codec, data, size)
    except (zlib.error, OSError, EOFError, ValueError, RuntimeError, lzma.LZMAError) as error:
        raise EvidenceError("corrupt", f"{codec}: {error}") from error
    except ImportError as error:
        raise EvidenceError("missing-library", f"{codec} is needed: pip install archivore") from error
    if len(out) > size:
        raise EvidenceError("limit", f"a block of more than {size} bytes")
    return out


def _unpack(codec: str, data: bytes, size: int) -> bytes:
    if codec in ("none", "null", "uncompressed"):
        return data
    if codec == "gzip":
        return zlib.decompressobj(47).decompress(data, size + 1)
    if codec == "deflate":
        return zlib.decompressobj(-15).decompress(data, size + 1)
    if codec == "snappy":
        return unpack_snappy(data, size)
    if codec == "bzip2":
        return bz2.BZ2Decompressor().decompress(data, size + 1)
    if codec == "xz":
        return lzma.LZMADecompressor(memlimit=MOST).decompress(data, size + 1)
    if codec == "zstandard":
        zstd = load_zstd()
        try:
            return bytes(zstd.ZstdDecompressor().decompress(data, size + 1))
        except zstd.ZstdError as error:
            raise ValueError(str(error)) from error
    if codec == "brotli":
        import brotli  # type: ignore[import-untyped]

        try:
            return bytes(brotli.Decompressor().process(data, output_buffer_limit=size + 1))
        except brotli.error as error:
            raise ValueError(str(error)) from error
    if codec == "lz4":
        import lz4.block

        return bytes(lz4.block.decompress(data, uncompressed_size=size))
    raise EvidenceError("unsupported", f"blocks packed by {codec}")
