"""Texts as they travel between processes and rest in the case: a zstd frame of msgpack a chunk.

A chunk of few bytes is kept as it is, behind a mark and a checksum: a frame would save a third of it at
the most and cost twenty times as much to open. The frame carries zstd's checksum; so damage at rest is
found when a text is read, either way.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence

import msgspec

from indexer.errors import StoreError
from indexer.model import Text

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL: dict[int, int] = {zstd.CompressionParameter.compression_level: 3, zstd.CompressionParameter.checksum_flag: 1}
_FEW = 1024
_PLAIN = b"\0"
"""The first byte of what is kept as it is; a frame of zstd begins otherwise. Four bytes of CRC-32 follow."""
_compressor = zstd.ZstdCompressor(options=_LEVEL)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[str, str]])


def pack_texts(texts: Sequence[Text]) -> bytes:
    """One chunk of texts as bytes."""
    packed = _encoder.encode([(text.locator, text.body) for text in texts])
    if len(packed) < _FEW:
        return _PLAIN + zlib.crc32(packed).to_bytes(4, "little") + packed
    return _compressor.compress(packed, zstd.ZstdCompressor.FLUSH_FRAME)


def unpack_texts(data: bytes) -> tuple[Text, ...]:
    """The texts of a chunk.

    Raises:
        StoreError: the bytes are not what was packed.
    """
    try:
        packed = _plain(data) if data.startswith(_PLAIN) else _inflated(data)
        return tuple(Text(body, locator) for locator, body in _decoder.decode(packed))
    except (zstd.ZstdError, msgspec.DecodeError) as error:
        raise StoreError(f"a text of the case is damaged: {error}") from error


def _plain(data: bytes) -> bytes:
    packed = data[5:]
    if zlib.crc32(packed) != int.from_bytes(data[1:5], "little"):
        raise StoreError("a text of the case is damaged: its checksum differs")
    return packed


def _inflated(data: bytes) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    packed = decompressor.decompress(data)
    if not decompressor.eof:
        raise StoreError("a text of the case is cut off")
    return packed
