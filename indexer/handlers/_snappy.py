"""Blocks of Snappy without a frame around them, as framed streams, tables and the documents of iWork hold them.

Source: snappy, format_description.txt.
"""

from __future__ import annotations

from typing import Any

from indexer.errors import EvidenceError
from indexer.limits import KIB

MOST_CHUNK = 64 * KIB


class Wrong(ValueError):  # noqa: N818 - it says what is wrong
    """Damage in a block."""


def unpack(data: bytes, most: int = MOST_CHUNK) -> bytes:
    """The content of one block, of no more than `most` bytes.

    Raises:
        Wrong: where it is damaged.
        EvidenceError: where the library is missing.
    """
    library = _library()
    try:
        if library.snappy.decompress_raw_len(data) > most:
            raise Wrong(f"a block of more than {most // KIB} KiB")
        return bytes(library.snappy.decompress_raw(data))
    except library.DecompressionError as error:
        raise Wrong("a block does not unpack") from error


def unpack_frame(frame: bytes) -> bytes:
    """The content of the chunks of a frame, each of which has a checksum.

    Raises:
        Wrong: where one is damaged, or its checksum does not fit.
        EvidenceError: where the library is missing.
    """
    library = _library()
    try:
        return bytes(library.snappy.decompress(frame))
    except library.DecompressionError as error:
        raise Wrong(str(error)) from error


def _library() -> Any:
    try:
        import cramjam
    except ImportError as error:
        raise EvidenceError("missing-library", "snappy: pip install cramjam") from error
    return cramjam
