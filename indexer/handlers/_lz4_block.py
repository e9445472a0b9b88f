"""LZ4 blocks without a frame, as scene files hold them.

Source: LZ4 block format description (lz4_Block_format.md); the chunks of TfFastCompression (OpenUSD).
"""

from __future__ import annotations


def unpack_block(data: bytes, most: int) -> bytes:
    """What a block holds, up to `most` bytes; what is damaged ends it early."""
    out = bytearray()
    position, end = 0, len(data)
    while position < end and len(out) < most:
        token = data[position]
        position += 1
        length = token >> 4
        if length == 15:
            while position < end:
                length += data[position]
                position += 1
                if data[position - 1] != 255:
                    break
        out += data[position : position + length]
        position += length
        if position + 2 > end:
            break
        back = data[position] | data[position + 1] << 8
        position += 2
        length = token & 15
        if length == 15:
            while position < end:
                length += data[position]
                position += 1
                if data[position - 1] != 255:
                    break
        length = min(length + 4, most - len(out))
        start = len(out) - back
        if not back or start < 0:
            break
        piece = out[start : start + length]
        out += piece if len(piece) == length else (piece * (length // len(piece) + 1))[:length]
    return bytes(out[:most])


def unpack_blocks(data: bytes, most: int) -> bytes:
    """One block, or several with their sizes before them; the first byte says how many."""
    if not data:
        return b""
    if not data[0]:
        return unpack_block(data[1:], most)
    out = bytearray()
    position = 1
    for _ in range(data[0]):
        size = int.from_bytes(data[position : position + 4], "little")
        out += unpack_block(data[position + 4 : position + 4 + size], most - len(out))
        position += 4 + size
    return bytes(out)
