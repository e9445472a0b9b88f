"""Texts as they travel between processes and rest in the case: one zstd frame of msgpack a chunk.

The frame carries zstd's checksum, so damage at rest is found when a text is read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from indexer.errors import StoreError
from indexer.model import Text

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL: dict[int, int] = {zstd.CompressionParameter.compression_level: 3, zstd.CompressionParameter.checksum_flag: 1}
_compressor = zstd.ZstdCompressor(options=_LEVEL)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[str, str]])


def pack_texts(texts: Sequence[Text]) -> bytes:
    """One chunk of texts as bytes."""
    packed = _encoder.encode([(text.locator, text.body) for text in texts])
    return _compressor.compress(packed, zstd.ZstdCompressor.FLUSH_FRAME)


def unpack_texts(data: bytes) -> tuple[Text, ...]:
    """The texts of a chunk.

    Raises:
        StoreError: the bytes are not what was packed.
    """
    try:
        decompressor = zstd.ZstdDecompressor()
        packed = decompressor.decompress(data)
        if not decompressor.eof:
            raise StoreError("a text of the case is cut off")
        return tuple(Text(body, locator) for locator, body in _decoder.decode(packed))
    except (zstd.ZstdError, msgspec.DecodeError) as error:
        raise StoreError(f"a text of the case is damaged: {error}") from error
