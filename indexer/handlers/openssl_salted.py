"""Files that `openssl enc` locked with a password: that they are, and their salt.

Source: the manual of openssl-enc(1), option -salt; apps/enc.c writes `Salted__` and eight bytes before the rest.
Limits: nothing is decrypted: neither cipher nor digest nor the number of rounds stands in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.model import Fact, Field, Problem

_MARK = b"Salted__"
_SALT = 8


class OpensslSalted(Handler):
    name = "openssl-salted"
    media_types = ("application/x-openssl-salted",)
    signatures = (Signature(_MARK),)
    suffixes = (".enc",)
    fields: ClassVar[dict[str, str]] = {
        "encryption.method": "what locked it",
        "encryption.salt": "the salt, in hex digits",
    }
    reads = "that a password locks it, and its salt"
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        salt = stream.at(len(_MARK), _SALT)
        if len(salt) < _SALT:
            raise EvidenceError("truncated", "it ends within its salt")
        yield Field("encryption.method", "openssl enc")
        yield Field("encryption.salt", salt.hex())
        message = "locked by openssl enc; the file does not tell the cipher"
        yield Problem("encrypted", message, resolution="named, not opened")
