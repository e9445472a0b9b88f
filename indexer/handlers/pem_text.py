"""Certificates and keys as text (PEM): each block told, private keys named and left out of the text.

A text that holds such a block among other lines (a settings file of a VPN, a script) is read here too.

Source: RFC 7468 (PEM); RFC 1421 section 4.4 (headers of encrypted keys); OpenSSH PROTOCOL.key; RFC 4716 (SSH2).
Limits: nothing is verified or decrypted; a text whose first block begins behind its first 16 KiB is read as
    plain text; the older keys of ssh.com are named only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers import _x509
from indexer.handlers._key_files import public_blob_facts, tell_openssh, unbase64
from indexer.handlers._lines import encoding_facts, lines_of, passages, read_text, text_head
from indexer.model import Fact, Field, Problem, Text

_CERTIFICATE, _KEY = "application/x-pem-file", "application/x-pem-key"
_KINDS: Final = {
    "CERTIFICATE": "certificate",
    "X509 CERTIFICATE": "certificate",
    "TRUSTED CERTIFICATE": "certificate",
    "CERTIFICATE REQUEST": "certificate request",
    "NEW CERTIFICATE REQUEST": "certificate request",
    "X509 CRL": "revocation list",
    "PUBLIC KEY": "public key",
    "RSA PUBLIC KEY": "RSA public key",
    "SSH2 PUBLIC KEY": "SSH public key",
    "PRIVATE KEY": "PKCS #8 private key",
    "ENCRYPTED PRIVATE KEY": "encrypted PKCS #8 private key",
    "RSA PRIVATE KEY": "RSA private key",
    "DSA PRIVATE KEY": "DSA private key",
    "EC PRIVATE KEY": "EC private key",
    "OPENSSH PRIVATE KEY": "OpenSSH private key",
    "SSH2 ENCRYPTED PRIVATE KEY": "SSH2 private key",
    "OpenVPN Static key V1": "OpenVPN static key",
    "PGP PRIVATE KEY BLOCK": "OpenPGP private key",
}
_LABELS: Final = "|".join(sorted(map(re.escape, _KINDS), key=len, reverse=True))
_BEGIN: Final = re.compile(rf"^[ \t]*----[- ]BEGIN ((?:{_LABELS})|[A-Z0-9 ]{{0,40}}PRIVATE KEY)[- ]----[ \t]*$", re.M)
_END: Final = re.compile(r"^[ \t]*----[- ]END [^\n]{0,60}$")
_BODY: Final = re.compile(
    r"^[ \t]*(?:[A-Za-z0-9+/=]+|[A-Za-z][A-Za-z0-9-]{1,30}: [^\n]{0,500}|=[A-Za-z0-9+/]{4})?[ \t]*$"
)
_HEADER: Final = re.compile(r"^[ \t]*([A-Za-z][A-Za-z0-9-]{1,30}): ([^\n]{0,500})$")
_SECRET_LINE: Final = re.compile(r"^[ \t]*[^\s<]*[ \t]*$|[A-Za-z0-9+/]{16}")
"""What may be a damaged line of a key, behind its first line: it is not shown either."""
_BLOCK: Final = 4 << 20
"""Characters of one block: lists of revoked certificates are the longest."""
_BLOCKS: Final = 2_000


class PemText(Handler):
    name = "pem"
    media_types = (_CERTIFICATE, _KEY)
    suffixes = (".pem", ".crt", ".cer", ".key", ".csr", ".crl", ".ovpn")
    holds = b"-"
    fields: ClassVar[dict[str, str]] = {
        **_x509.FIELDS,
        "pem.blocks": "number of certificates and keys",
        "text.*": "how the text was read",
    }
    reads = "certificates, requests, keys: names, validity, digests; private keys are named, never shown"
    # Behind mail and markup, which may quote a key; before what takes base64 for a file.
    rank = 65

    def claims(self, stream: Stream) -> str | None:
        if b"BEGIN" not in stream.head and b"B\0E\0G\0I\0N" not in stream.head:
            return None
        text = text_head(stream)
        if not text and stream.head.lstrip().startswith((b"-----BEGIN ", b"---- BEGIN ")):
            text = stream.head.decode("latin-1").replace("\r\n", "\n")  # damaged, but no less a secret
        match = _BEGIN.search(text)
        return match and (_KEY if _is_secret(match[1]) else _CERTIFICATE)

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader, pieces = read_text(stream)
        blocks = _Blocks()
        for text, _ in passages(blocks.filter(lines_of(pieces))):
            yield from blocks.ready()
            yield text
        yield from blocks.ready()
        yield Field("pem.blocks", blocks.count)
        yield from encoding_facts(reader)


class _Blocks:
    """Takes the blocks out of a text, line by line; those of private keys leave a note in their place."""

    def __init__(self) -> None:
        self.count = 0
        self._facts: list[Fact] = []

    def ready(self) -> Iterator[Fact]:
        """The facts of the blocks that have ended since this was asked for last."""
        facts, self._facts = self._facts, []
        yield from facts

    def filter(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines without the bodies of private keys."""
        label = ""
        held: list[str] = []
        size = 0
        for line in lines:
            if label:
                ended = bool(_END.match(line))
                part = _BODY.match(line) or (_is_secret(label) and _SECRET_LINE.search(line))
                if ended or not part or size > _BLOCK:
                    yield from self._close(label, held, ended)
                    label, held, size = "", [], 0
                    if ended:
                        yield line
                        continue
                else:
                    held.append(line)
                    size += len(line)
                    continue
            if match := _BEGIN.match(line):
                label = match[1]
            yield line
        if label:
            yield from self._close(label, held, False)

    def _close(self, label: str, held: list[str], ended: bool) -> Iterator[str]:
        self.count += 1
        kind = _KINDS.get(label, label.lower())
        secret = _is_secret(label)
        headers = [match for line in held if (match := _HEADER.match(line))]
        body = "".join(line for line in held if not _HEADER.match(line))
        if self.count <= _BLOCKS:
            self._facts += _tell(kind, body, headers)
            if not ended:
                self._facts.append(Problem("truncated", f"a block ({kind}) has no end", resolution="read up to there"))
        if not secret:
            yield from held
            return
        yield from (match[0] + "\n" for match in headers)
        yield f"[{kind}: {sum(not char.isspace() for char in body)} characters not shown]\n"


def _is_secret(label: str) -> bool:
    return "PRIVATE" in label or "Static" in label


def _tell(kind: str, body: str, headers: list[re.Match[str]]) -> Iterator[Fact]:
    told = {match[1]: match[2].strip() for match in headers}
    if kind in ("OpenVPN static key", "OpenPGP private key"):
        yield from (Field("key.kind", kind), Field("key.private", True))
        return
    data = unbase64(body.encode("ascii", "ignore"))
    if kind == "OpenSSH private key":
        yield from tell_openssh(data)
    elif kind == "SSH public key":
        yield Field("key.kind", kind)
        yield from public_blob_facts(data)
    elif told.get("Proc-Type", "").endswith("ENCRYPTED"):
        yield from (Field("key.kind", kind), Field("key.private", True), Field("key.encrypted", True))
        yield Field("key.cipher", told.get("DEK-Info", "").partition(",")[0])
    else:
        shape = _x509.kind_of(data)
        if "private" in kind and "private" not in shape:
            yield from (Field("key.kind", kind), Field("key.private", True))
        elif shape:
            facts = list(_x509.tell(shape, data))
            yield from facts
            if lines := [f"{fact.name}: {fact.value}" for fact in facts if isinstance(fact, Field)]:
                yield Text("\n".join(lines), shape)
        if not shape and kind != "SSH2 private key":
            yield Problem("corrupt", f"a block is no {kind}", resolution="named only")
    if comment := told.get("Comment"):
        yield Field("key.comment", comment.strip('"'))
