"""Keys of SSH: blobs of public keys, private keys in the form of OpenSSH and of PuTTY.

Source: OpenSSH PROTOCOL.key; RFC 4253 section 6.6, RFC 5656, RFC 8709 (public keys); the PuTTY manual, appendix C.
No secret number is told.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from indexer.decoding import decode
from indexer.handlers._x509 import fingerprint
from indexer.model import Fact, Field, Problem

_OPENSSH: Final = b"openssh-key-v1\0"
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")
_SECRETS: Final = {"ssh-rsa": 6, "ssh-dss": 5, "ssh-ed25519": 2}
"""How many values stand between the name of a kind and the comment, in a private key in clear."""
_CURVES: Final = {"nistp256": "P-256", "nistp384": "P-384", "nistp521": "P-521"}


def unbase64(text: bytes) -> bytes:
    """The bytes of base64, whatever stands between; never raises."""
    text = _NOT_BASE64.sub(b"", text)
    text = text[: len(text) - (len(text) % 4 == 1)]
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def strings_of(data: bytes, most: int = 20) -> Iterator[bytes]:
    """Values with a length of four bytes before each; ends where they break."""
    at = 0
    for _ in range(most):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 4 + size > len(data) or len(data) < at + 4:
            return
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def name_blob(blob: bytes) -> str:
    """Kind and size of a public key of SSH; empty where the bytes are none."""
    held = list(strings_of(blob))
    kind = held[0].decode("ascii", "replace") if held else ""
    if not re.fullmatch(r"[a-z0-9@.-]{4,60}", kind):
        return ""
    if kind == "ssh-rsa" and len(held) == 3:
        return f"RSA {int.from_bytes(held[2], 'big').bit_length()}"
    if kind == "ssh-dss" and len(held) == 5:
        return f"DSA {int.from_bytes(held[1], 'big').bit_length()}"
    if kind == "ssh-ed25519":
        return "Ed25519"
    if kind.startswith("ecdsa-sha2-"):
        curve = kind.removeprefix("ecdsa-sha2-")
        return f"EC {_CURVES.get(curve, curve)}"
    return kind


def public_blob_facts(blob: bytes) -> Iterator[Fact]:
    """Kind, size and fingerprint of a public key of SSH."""
    if name := name_blob(blob):
        yield Field("key.algorithm", name)
        yield Field("key.fingerprint", fingerprint(blob))


def tell_openssh(data: bytes) -> Iterator[Fact]:
    """The facts of a private key of OpenSSH."""
    yield Field("key.kind", "OpenSSH private key")
    yield Field("key.private", True)
    if not data.startswith(_OPENSSH):
        yield Problem("corrupt", "the key does not begin as keys of OpenSSH do", resolution="named only")
        return
    held = list(strings_of(data[len(_OPENSSH) :], 3))
    cipher = held[0].decode("ascii", "replace")[:60] if held else ""
    yield Field("key.encrypted", cipher != "none")
    if len(held) < 3:
        yield Problem("truncated", "the key breaks off", resolution="named only")
        return
    if cipher != "none":
        yield Field("key.cipher", f"{cipher}, {held[1].decode('ascii', 'replace')[:60]}")
    at = len(_OPENSSH) + sum(4 + len(each) for each in held) + 4
    rest = list(strings_of(data[at:], 2))
    if rest:
        yield from public_blob_facts(rest[0])
    if cipher == "none" and len(rest) == 2 and (comment := _comment(rest[1])):
        yield Field("key.comment", comment)
    if len(rest) < 2:
        yield Problem("truncated", "the key breaks off", resolution="the public part only")


def _comment(private: bytes) -> str:
    values = list(strings_of(private[8:]))
    kind = values[0].decode("ascii", "replace") if values else ""
    count = 3 if kind.startswith("ecdsa-") else _SECRETS.get(kind, 0)
    return decode(values[count + 1][:1000]).text if count and len(values) > count + 1 else ""


def tell_putty(text: str) -> Iterator[Fact]:
    """The facts of a private key of PuTTY: only the lines that are no secret are looked at."""
    yield Field("key.kind", "PuTTY private key")
    yield Field("key.private", True)
    head: dict[str, str] = {}
    lines = iter(text.split("\n"))
    public = ""
    for line in lines:
        name, _, value = line.strip().partition(": ")
        head.setdefault(name, value)
        if name == "Public-Lines" and value.isdecimal():
            public = "".join(next(lines, "") for _ in range(min(int(value), 1000)))
        if name == "Private-Lines":
            break
    cipher = head.get("Encryption", "")
    yield Field("key.encrypted", cipher not in ("", "none"))
    if cipher not in ("", "none"):
        derivation = head.get("Key-Derivation", "")
        yield Field("key.cipher", f"{cipher}, {derivation}" if derivation else cipher)
    yield from public_blob_facts(unbase64(public.encode("ascii", "ignore")))
    if comment := head.get("Comment"):
        yield Field("key.comment", comment)


def encode_blob(text: str) -> bytes:
    """The blob of a public key as text has it; empty where it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
