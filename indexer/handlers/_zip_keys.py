"""Which password opens a zip member: proven by the bytes, never by the check value alone.

Source: APPNOTE.TXT 6.3.10 section 6.1.6 (the check byte); WinZip AE-1/AE-2 (verification value).
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._ciphers import PkzipCipher, spellings
from indexer.handlers._zip_content import Key, Member, contents, raw_pieces, unlock_aes
from indexer.handlers._zip_records import STORED
from indexer.limits import MIB

PROOF = 16 * MIB
"""Bytes that a compressed member must unpack to without an error before its key is believed."""

PART = 256
"""Bytes that a wrong key of the old cipher never unpacks to before an error shows."""


class Keyring:
    """The analyst's passwords against the members of one archive; what worked is tried first."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._proven: dict[bytes, Key] = {}

    def find(self, member: Member) -> tuple[Key | None, bool]:
        """The key that opens `member` and whether it is proven; no key where no password fits.

        Where damage leaves no proof, a key is still given if what it decrypts makes sense.
        """
        if member.end - member.start < (0 if member.strength else PkzipCipher.HEADER):
            return None, False
        for key in self._proven.values():
            if self._fits(member, key) and self._begins(member, key):
                return key, True
        likely = None
        for key in self._candidates():
            if key.spelled in self._proven or not self._fits(member, key):
                continue
            proof = self._proves(member, key)
            if proof:
                self._proven[key.spelled] = key
                return key, True
            if proof is None and likely is None:
                likely = key
        return likely, False

    def _candidates(self) -> Iterator[Key]:
        for password in self._stream.passwords:
            yield from (Key(password, spelled) for spelled in spellings(password.text))

    def _fits(self, member: Member, key: Key) -> bool:
        """The quick check: one wrong password of 128 passes it, or of 65,536 under AES."""
        if member.strength:
            cipher, start, _, _ = unlock_aes(self._stream, member, key.spelled)
            return cipher.verifier == self._stream.at(start - 2, 2)
        head = PkzipCipher(key.spelled).decrypt(self._stream.at(member.start, PkzipCipher.HEADER))
        return head[-1] in (member.header.crc >> 24, member.header.time >> 8)

    def _begins(self, member: Member, key: Key) -> bool:
        """Whether the first bytes unpack: enough for a key that has opened another member."""
        if member.method == STORED or member.strength:
            return True
        try:
            next(contents(self._stream, member, key), b"")
        except EvidenceError as error:
            return error.cause in ("missing-library", "unsupported")
        return True

    def _proves(self, member: Member, key: Key) -> bool | None:
        """Whether the checksum fits, or so much unpacks that chance is ruled out; None where only part does."""
        if member.strength:
            cipher, start, end, code = unlock_aes(self._stream, member, key.spelled)
            return cipher.proves(raw_pieces(self._stream, start, end), code) or None
        produced = 0
        try:
            for chunk in contents(self._stream, member, key):
                produced += len(chunk)
                if produced > PROOF and member.method != STORED:
                    return True
        except EvidenceError as error:
            if error.cause in ("missing-library", "unsupported") or (produced > PART and member.method != STORED):
                return None
            return False
        return True
