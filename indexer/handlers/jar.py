"""Programs in Java (JAR, WAR, EAR): what the manifest says, who signed it; all members.

Source: JAR File Specification (Java SE 21): "JAR Manifest", "Signed JAR File".
Limits: signatures are not verified; sections for single members stay in the manifest, which is a member.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _x509
from indexer.handlers._parts import Parts, read_directory
from indexer.handlers._signed_zip import signer_facts
from indexer.handlers._zip_walk import walk
from indexer.limits import MIB
from indexer.model import Fact, Field

_MANIFEST: Final = "META-INF/MANIFEST.MF"
_KEY: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,69}): ?(.*)")
_KEYS: Final = 200


class Jar(Handler):
    name = "jar"
    media_types = ("application/java-archive",)
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".jar", ".war", ".ear", ".aar", ".xpi")
    fields: ClassVar[dict[str, str]] = {
        **_x509.FIELDS,
        "jar.*": "an attribute of the manifest's main section, by its own name",
        "signature.scheme": "scheme by which it is signed",
    }
    reads = "main section of the manifest, signers; all members as zip"
    rank = 37
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _MANIFEST.encode() in read_directory(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            parts = Parts(stream)
        except EvidenceError:
            yield from walk(stream)  # which tells the damage
            return
        text = decode(parts.read(_MANIFEST, MIB)).text.replace("\r\n", "\n").replace("\n ", "")
        for line in text.partition("\n\n")[0].split("\n")[:_KEYS]:
            if match := _KEY.match(line):
                yield Field(f"jar.{match[1].lower().replace('-', '_')}", match[2])
        yield from signer_facts(parts)
        yield from walk(stream)
