"""Office documents behind a password: the kind of protection, and the document where a given password opens it.

Source: [MS-OFFCRYPTO] 2.3.4 (ECMA-376 document encryption), 2.2 (rights management).
Limits: rights management and extensible encryption are named, not opened; that the document was not changed after
it was encrypted is not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, Compound, Entry, compound
from indexer.handlers._office_lock import EXCEL_DEFAULT
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._ooxml_lock import Agile, Standard, read_lock
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field

_NAME = "EncryptedPackage"


class OoxmlLocked(Handler):
    name = "ooxml-locked"
    version = 2
    media_types = ("application/encrypted", "application/x-tika-ooxml-protected")
    signatures = (Signature(MAGIC),)
    suffixes = (".docx", ".docm", ".dotx", ".xlsx", ".xlsm", ".xlsb", ".xltx", ".pptx", ".pptm", ".ppsx", ".potx")
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "the kind of encryption; the document as a member where a given password opens it"
    rank = 21
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == self.name else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        yield from read_properties(held)
        package = held.entries["encryptedpackage"]
        lock = read_lock(held.read(held.get("EncryptionInfo"), 1 << 20))
        yield Field("encryption.method", lock.method)
        key = lock.open(EXCEL_DEFAULT)
        if not key:
            for password in stream.passwords:
                if key := lock.open(password.text):
                    yield password.field()
                    break
            else:
                raise EvidenceError("encrypted", f"{lock.method}, no given password opens it")
        yield Child(_NAME, _NAME.encode(), lambda: _open(held, package, lock, key))
        yield from members(held, lambda name: name.startswith(("encrypt", "\x06dataspaces")))
        yield from held.problems


def _open(held: Compound, entry: Entry, lock: Standard | Agile, key: bytes) -> BinaryIO:
    return open_chunks(_package(held.pieces(entry), lock, key))


def _package(pieces: Iterator[bytes], lock: Standard | Agile, key: bytes) -> Iterator[bytes]:
    """The document: its size stands before it, what fills the last block is left out."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 8:
            break
    left = int.from_bytes(head[:8], "little")

    def rest() -> Iterator[bytes]:
        yield head[8:]
        yield from pieces

    for piece in lock.decrypt(key, rest()):
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return
    if left:
        raise EvidenceError("truncated", f"{left} bytes of the document are missing")
