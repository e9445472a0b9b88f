"""Private keys of PuTTY (.ppk): kind, comment, fingerprint, how they are locked; the body is not told.

Source: the PuTTY manual, appendix C (PPK file format), versions 1 to 3.
Limits: nothing is decrypted, the checksum of the file is not verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from indexer.decoding import decode
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _x509
from indexer.handlers._key_files import tell_putty
from indexer.model import Fact, Field, Text

_MOST = 1 << 20


class PuttyKey(Handler):
    name = "putty-key"
    media_types = ("application/x-putty-private-key",)
    signatures = (Signature(b"PuTTY-User-Key-File-"),)
    suffixes = (".ppk",)
    fields: ClassVar[dict[str, str]] = {name: told for name, told in _x509.FIELDS.items() if name.startswith("key.")}
    reads = "kind, comment, fingerprint, cipher; the key itself is never shown"
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        text = decode(stream.at(0, _MOST)).text.replace("\r\n", "\n")
        facts = list(tell_putty(text))
        lines = [f"{each.name}: {each.value}" for each in facts if isinstance(each, Field)]
        yield Text("\n".join(["PuTTY private key", *lines]), "key")
        yield from facts
