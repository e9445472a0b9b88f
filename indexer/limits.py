"""What bounds every read: one frozen value, each default explained beside it.

A limit that fires is never silent: the item gets a problem that names the limit and its value.
Ratios are not here on purpose: a ratio alone condemns honest logs and misses flat bombs, so
produced bytes are bounded instead, and the ratio is kept as a field to search by.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Limits(Struct, frozen=True):
    """Bounds for one run; sizes in bytes, times in seconds, text in characters."""

    depth: int = 24
    """Containers inside containers. Honest nesting seen in dumps ends below 12."""

    members: int = 5_000_000
    """Direct members of one container. A mail store of ten years holds about 2 million."""

    item_bytes: int = 64 * GIB
    """Bytes that one member may unpack to: larger than any disk image met inside an archive."""

    root_bytes: int = 256 * GIB
    """Bytes unpacked in all from one file of a source, at all depths together."""

    root_members: int = 20_000_000
    """Items from one file of a source, at all depths together."""

    text_chars: int = 256 * MIB
    """Characters of text kept from one item; a day's access log of a busy server has half that."""

    facts: int = 100_000
    """Fields, timestamps and problems kept on one item."""

    seconds: float = 120.0
    """Own time of one item, its members' time not counted, before the size is added."""

    seconds_per_mib: float = 1.0
    """Added to `seconds` for each MiB of the item."""

    memory: int = 3 * GIB
    """Address space of one worker. Libraries map about 1 GiB without using it."""

    dictionary: int = 1 * GIB
    """Window or dictionary that a compressed stream may ask for; xz -9 asks for 64 MiB."""

    deaths: int = 200
    """Workers lost on one file of a source before the rest of it is given up."""

    password_tries: int = 1_000
    """Passwords tried on one item."""

    password_seconds: float = 60.0
    """Seconds spent on trying passwords on one item; 7z alone needs a tenth of a second each."""

    spool_bytes: int = 8 * GIB
    """Bytes of members waiting in the spool for an idle worker."""

    spool_memory: int = 16 * MIB
    """A member up to this size is held in memory, a larger one in an unlinked file of the spool."""

    def allowance(self, size: int) -> float:
        """Seconds of own time that an item of `size` bytes may take."""
        return self.seconds + self.seconds_per_mib * size / MIB

    @property
    def key(self) -> str:
        """A short digest of all values: content read under other limits is read again."""
        values = ",".join(f"{name}={getattr(self, name)}" for name in self.__struct_fields__)
        return hashlib.sha256(values.encode()).hexdigest()[:8]
