"""Members taken, in their order, from one run of unpacked bytes."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from indexer.errors import EvidenceError


class Tap:
    """A generator of bytes from which members are taken in their order; it can only go forward."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._error = EvidenceError("corrupt", "the packed data end before the members do")
        self.position = 0

    def take(self, start: int, size: int) -> Iterator[bytes]:
        """The bytes from `start`; what lies before them is dropped.

        Raises:
            EvidenceError: what ended the generator, every time it is asked for more.
        """
        end = start + size
        while self.position < end:
            if not self._rest:
                try:
                    self._rest = memoryview(next((chunk for chunk in self._chunks if chunk), b""))
                except EvidenceError as error:
                    self._error = error
                if not self._rest:
                    raise self._error
            wanted = (start if self.position < start else end) - self.position
            piece, self._rest = self._rest[:wanted], self._rest[wanted:]
            skipped = self.position < start
            self.position += len(piece)
            if not skipped:
                yield bytes(piece)

    def at_hand(self, start: int, size: int) -> bytes | None:
        """The bytes from `start` where all of them are here already; they are not taken yet."""
        skipped = start - self.position
        return bytes(self._rest[skipped : skipped + size]) if 0 <= skipped <= len(self._rest) - size else None

    def skip(self, end: int) -> None:
        """Drops what is here up to `end`."""
        self._rest = self._rest[end - self.position :]
        self.position = end

    def last_word(self) -> EvidenceError | None:
        """What the generator raises where it has nothing more to give."""
        try:
            while not self._rest:
                self._rest = memoryview(next(self._chunks))
        except StopIteration:
            return None
        except EvidenceError as error:
            return error
        return None

    def close(self) -> None:
        """Ends what gives the bytes."""
        self._chunks.close()
