"""The content codings of HTTP undone: gzip, deflate, br and zstd, one of them at a time.

What does not decode at all is given as it was sent, with the reason behind it.

Source: RFC 9110, section 8.4.1; RFC 1950 to 1952; RFC 7932; RFC 8878.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._streams import INPUT, Beginning, Inflater, Unbrotli, Unpacking, open_chunks, open_slice
from indexer.handlers._zstd import load_zstd

_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def open_decoded(body: Stream, coding: str) -> Callable[[], BinaryIO]:
    """An opener of a body with its coding undone, for a Child; of the body as it is where there is none."""
    if coding in ("", "identity"):
        return open_slice(body, 0, body.size)
    return lambda: open_chunks(_decode(body, coding))


def _decode(body: Stream, coding: str) -> Iterator[bytes]:
    """What decodes, or else the body as it is.

    Raises:
        EvidenceError: behind the last byte, where the body did not end well.
    """
    made = 0
    try:
        way = _way(coding)
        unpacking = Unpacking(body, way.begin, way.errors, partial(_translate, coding))
        for chunk in unpacking.chunks():
            made += len(chunk)
            yield chunk
        if rest := body.size - unpacking.end:
            raise EvidenceError("corrupt", f"{coding}: {rest} bytes of the body are not so coded")
    except EvidenceError as error:
        if not made:
            yield from (body.at(start, INPUT) for start in range(0, body.size, INPUT))
            raise EvidenceError(error.cause, f"{error.message}; kept as it was sent") from error
        raise


class _Way(NamedTuple):
    """How a coding is undone: what begins at an offset, and what its library raises."""

    begin: Callable[[Stream, int], Beginning]
    errors: tuple[type[Exception], ...]


def _way(coding: str) -> _Way:
    match coding:
        case "gzip" | "x-gzip":
            return _Way(_begin_gzip, (zlib.error,))
        case "deflate":
            return _Way(_begin_deflate, (zlib.error,))
        case "br":
            return _brotli()
        case "zstd":
            return _zstd()
    raise EvidenceError("unsupported", f"the content coding {coding[:60]!r} is not undone")


def _translate(coding: str, error: Exception) -> EvidenceError:
    return EvidenceError("corrupt", f"{coding}: {str(error).rpartition(': ')[2] or 'the body does not decode'}")


def _begin_gzip(body: Stream, offset: int) -> Beginning:
    return partial(Inflater, 31) if body.at(offset, 2) == b"\x1f\x8b" else None


def _begin_deflate(body: Stream, offset: int) -> Beginning:
    """With zlib's two bytes before it, as it should be, or without, as some servers send it."""
    if offset:
        return None
    head = body.at(0, 2)
    wrapped = head[0] & 15 == 8 and int.from_bytes(head, "big") % 31 == 0
    return partial(Inflater, 15 if wrapped else -15)


def _brotli() -> _Way:
    try:
        import brotli  # type: ignore[import-untyped]
    except ImportError as error:
        raise EvidenceError("missing-library", "brotli: pip install brotli") from error
    return _Way(lambda _, offset: None if offset else Unbrotli, (brotli.error,))


def _zstd() -> _Way:
    zstd = load_zstd()

    def begin(body: Stream, offset: int) -> Beginning:
        if body.at(offset, 4) != _ZSTD:
            return None
        most = min(body.limits.dictionary.bit_length() - 1, 31)
        return lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: most})

    return _Way(begin, (zstd.ZstdError,))
