"""Bytes -> text by the codec that `detection.py` finds, whole or in pieces, with what was lost counted."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from indexer.detection import Detection, detect

CHUNK = 1 << 20
"""Bytes decoded at a time from a big file."""


class Decoded(Struct, frozen=True):
    """Text and how it was come by; `lossy` counts bytes that stand as U+FFFD."""

    text: str
    codec: str
    confidence: float
    alternatives: tuple[str, ...]
    lossy: int


_lost = threading.local()


def _count_lost(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _lost.bytes = getattr(_lost, "bytes", 0) + error.end - error.start
    return "\ufffd", error.end


_ERRORS = "archivore-count"
codecs.register_error(_ERRORS, _count_lost)


def decode(data: bytes, declared: str = "") -> Decoded:
    """All of `data` as text, its byte order mark taken off; never raises on any bytes."""
    found = detect(data, declared)
    text, lossy = decode_as(data, found.codec)
    return Decoded(text, found.codec, found.confidence, found.alternatives, lossy)


def decode_as(data: bytes, codec: str) -> tuple[str, int]:
    """The text by a given codec, and how many bytes of it stand as U+FFFD.

    Raises:
        LookupError: if there is no such codec.
    """
    _lost.bytes = 0
    text = data.decode(codec, _ERRORS)
    return text.removeprefix("\ufeff"), _lost.bytes


class TextReader:
    """Iterates over the text of a big file in pieces, holding no more than one chunk.

    Detection waits for the first chunk that is not ASCII, so that a log whose only foreign word
    stands in its last line is still read rightly.

    Args:
        file: read from where it stands to its end.
        declared: a charset that the container or the protocol names.
    """

    def __init__(self, file: BinaryIO, declared: str = "", *, chunk: int = CHUNK) -> None:
        self.detection = Detection("ascii", 1.0)
        self.lossy = 0
        self._file = file
        self._declared = declared
        self._chunk = chunk

    def __iter__(self) -> Iterator[str]:
        decoder: codecs.IncrementalDecoder | None = None
        first = True
        while data := self._file.read(self._chunk):
            if decoder is None:
                found = detect(data, self._declared)
                if found.codec == "ascii":
                    yield data.decode("ascii")
                    first = False
                    continue
                self.detection = found
                decoder = codecs.getincrementaldecoder(found.codec)(_ERRORS)
            text = self._decode(decoder, data)
            if first and text:
                text = text.removeprefix("\ufeff")
                first = False
            if text:
                yield text
        if decoder is not None and (rest := self._decode(decoder, b"", final=True)):
            yield rest

    def _decode(self, decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool = False) -> str:
        _lost.bytes = 0
        text = decoder.decode(data, final)
        self.lossy += _lost.bytes
        return text
