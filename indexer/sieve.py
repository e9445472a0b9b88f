"""Which readings the case may hold: a Bloom filter that parent and workers share.

Most content is new, and asking the parent about each item would cost a worker more than a small item
does. A worker asks only where the sieve says "maybe"; "no" is certain. One array of 2^24 bits in a
memory file, 4 bits a key, the bits' numbers cut from the key itself (it is a digest): with a million
readings one question in four hundred is needless. Whoever reads something adds its key, so that the same
bytes a moment later are asked about; where two add at once a bit may be lost, and is read twice at worst.

Source: Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13 (1970).
"""

from __future__ import annotations

import mmap
import os
import struct

_BITS = 1 << 24
_MASK = (_BITS >> 3) - 1
_four = struct.Struct(">4I").unpack


class Sieve:
    """The filter; a worker gets its descriptor by inheritance."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("archivore-sieve")
            os.ftruncate(descriptor, _BITS // 8)
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, _BITS // 8)

    def add(self, key: str) -> None:
        """Remembers a reading's key (32 hex digits)."""
        for bit in _four(bytes.fromhex(key)):
            self._map[bit >> 3 & _MASK] |= 1 << (bit & 7)

    def may_hold(self, key: str) -> bool:
        """False where the key was certainly never added."""
        return all(self._map[bit >> 3 & _MASK] >> (bit & 7) & 1 for bit in _four(bytes.fromhex(key)))

    def close(self) -> None:
        """Lets go of the memory."""
        self._map.close()
        os.close(self.descriptor)
