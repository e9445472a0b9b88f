"""Which password opens a member: the check value first, then the content itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._ciphers import spellings
from indexer.limits import MIB
from indexer.passwords import Password

PROOF = 16 * MIB
"""Bytes that must unpack without an error before a key is believed; the end of a smaller member proves it."""


class Keyring:
    """The analyst's passwords against the members of one archive; what worked is tried first."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._proven: dict[bytes, Password] = {}

    def find(
        self, fits: Callable[[bytes], bool], contents: Callable[[bytes], Iterator[bytes]]
    ) -> tuple[Password, bytes] | None:
        """The password and its bytes, or None where none of them opens the member.

        Args:
            fits: the quick check, which a wrong password may pass by chance.
            contents: what the member holds under a password; it raises where that does not unpack.
        """
        for spelled, password in self._proven.items():
            if fits(spelled):
                return password, spelled
        for password in self._stream.passwords:
            for spelled in spellings(password.text):
                if spelled not in self._proven and fits(spelled) and _proves(contents(spelled)):
                    self._proven[spelled] = password
                    return password, spelled
        return None


def _proves(chunks: Iterator[bytes]) -> bool:
    produced = 0
    try:
        for chunk in chunks:
            produced += len(chunk)
            if produced > PROOF:
                return True
    except EvidenceError as error:
        return error.cause in ("missing-library", "unsupported")
    return True
