"""The library for Zstandard: Python's own from 3.14 on, before that its backport."""

from __future__ import annotations

import sys
from typing import Any

from indexer.errors import EvidenceError


def load_zstd() -> Any:
    """The module, with `ZstdDecompressor` and `ZstdError`.

    Raises:
        EvidenceError: missing-library.
    """
    try:
        # The version is asked first: a module that is not there is looked for anew at every import.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise EvidenceError("missing-library", "zstd: pip install backports.zstd") from error
    return zstd


def unpack_zstd(packed: bytes, size: int) -> bytes:
    """A block of at most `size` bytes; nothing where it cannot be read.

    Raises:
        EvidenceError: missing-library.
    """
    zstd = load_zstd()
    try:
        return bytes(zstd.ZstdDecompressor().decompress(packed, size))
    except zstd.ZstdError:
        return b""
