"""MD5, SHA-1 and SHA-256 of a stream, all in one pass.

MD5 and SHA-1 are kept because hash sets and older reports are in them; SHA-256 is what we rely on.
"""

from __future__ import annotations

import hashlib

from indexer.model import Digests


class Hasher:
    """Collects bytes and gives the three digests; `size` counts what went in."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Takes in the next bytes."""
        self._md5.update(data)
        self._sha1.update(data)
        self._sha256.update(data)
        self.size += len(data)

    def digests(self) -> Digests:
        """The digests of everything taken in so far."""
        return Digests(self._md5.hexdigest(), self._sha1.hexdigest(), self._sha256.hexdigest())
