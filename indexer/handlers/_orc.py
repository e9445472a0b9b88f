"""Messages of protocol buffers as ORC's foot is written with: fields by number, each in a list.

Source: Protocol Buffers, "Encoding"; Apache ORC specification v1, "File Tail", "Compression".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._column_codecs import MOST, unpack

CODECS: Final = {0: "none", 1: "deflate", 2: "snappy", 3: "lzo", 4: "lz4", 5: "zstandard", 6: "brotli"}
MOST_CHUNK: Final = 1 << 23
"""Bytes of a chunk: its length has 23 bits."""
Message = dict[int, list[int | bytes]]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the place behind it.

    Raises:
        EvidenceError: where it has no end.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise EvidenceError("corrupt", "a number without end")


def read_message(data: bytes) -> Message:
    """The fields of a message, messages inside it still as bytes.

    Raises:
        EvidenceError: where it is none.
    """
    found: Message = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        elif kind == 2:
            size, at = varint(data, at)
            if size > len(data) - at:
                raise EvidenceError("truncated", f"a field of {size} bytes breaks off")
            value, at = data[at : at + size], at + size
        else:
            raise EvidenceError("corrupt", f"a field of unknown kind {kind}")
        found.setdefault(key >> 3, []).append(value)
    return found


def numbers(message: Message, key: int) -> list[int]:
    """All numbers of a field, packed or one by one."""
    found: list[int] = []
    for value in message.get(key, ()):
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            found.append(number)
    return found


def number(message: Message, key: int) -> int:
    """The last number of a field, 0 where there is none."""
    return next((each for each in reversed(message.get(key, [])) if isinstance(each, int)), 0)


def parts(message: Message, key: int) -> list[bytes]:
    """The strings or messages of a field."""
    return [each for each in message.get(key, ()) if isinstance(each, bytes)]


def text(message: Message, key: int) -> str:
    """The last string of a field."""
    held = parts(message, key)
    return held[-1].decode("utf-8", "replace") if held else ""


class Packing(NamedTuple):
    """How the streams of a file are packed: by which codec, in chunks of how many bytes."""

    codec: int
    block: int

    def unpack(self, chunk: bytes) -> bytes:
        """The content of a chunk.

        Raises:
            EvidenceError: where it cannot be had.
        """
        return unpack(CODECS.get(self.codec, str(self.codec)), chunk, min(self.block or MOST_CHUNK, MOST_CHUNK))

    def unpack_chunks(self, data: bytes) -> bytes:
        """The content of a stream, all of it; as `unpack`."""
        if not self.codec:
            return data
        out = bytearray()
        at = 0
        while at + 3 <= len(data):
            head = int.from_bytes(data[at : at + 3], "little")
            length, plain = head >> 1, head & 1
            chunk = data[at + 3 : at + 3 + length]
            if len(chunk) < length:
                raise EvidenceError("truncated", "a chunk breaks off")
            out += chunk if plain else self.unpack(chunk)
            if len(out) > MOST:
                raise EvidenceError("limit", f"a foot of more than {MOST} bytes")
            at += 3 + length
        return bytes(out)
