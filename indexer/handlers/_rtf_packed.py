"""Rich text as Outlook packs it.

Source: [MS-OXRTFCP] 2.1.3 (format), 2.2 (decompression).
"""

from __future__ import annotations

import struct

from indexer.limits import MIB

MOST = 256 * MIB
"""Bytes that one body may unpack to."""
_START = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n"
    b"\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_PACKED, _PLAIN = b"LZFu", b"MELA"


def unpack(data: bytes) -> bytes:
    """The rich text, as far as it can be followed; empty where it is none."""
    if len(data) < 16:
        return b""
    size = min(struct.unpack_from("<I", data, 4)[0], MOST)
    if data[8:12] == _PLAIN:
        return data[16 : 16 + size]
    if data[8:12] != _PACKED:
        return b""
    window = bytearray(_START.ljust(4096, b"\0"))
    place = len(_START)
    out = bytearray()
    at = 16
    while at < len(data) and len(out) < size:
        flags = data[at]
        at += 1
        for bit in range(8):
            if flags >> bit & 1:
                if at + 2 > len(data):
                    return bytes(out)
                token = data[at] << 8 | data[at + 1]
                at += 2
                start = token >> 4
                if start == place:
                    return bytes(out)
                for step in range((token & 15) + 2):
                    byte = window[(start + step) & 4095]
                    window[place] = byte
                    place = (place + 1) & 4095
                    out.append(byte)
            else:
                if at >= len(data):
                    return bytes(out)
                window[place] = data[at]
                place = (place + 1) & 4095
                out.append(data[at])
                at += 1
    return bytes(out)
