"""Public keys of SSH: `id_*.pub`, authorized_keys, known_hosts: kind, fingerprint, comment, host, options.

Source: OpenSSH sshd(8), "AUTHORIZED_KEYS FILE FORMAT" and "SSH_KNOWN_HOSTS FILE FORMAT"; RFC 4253 section 6.6.
Limits: names of hosts that are hashed stay so; the oldest keys (version 1) are plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._key_files import encode_blob, name_blob
from indexer.handlers._lines import encoding_facts, lines_of, passages, read_text, text_head
from indexer.handlers._x509 import fingerprint
from indexer.model import Fact, Field, Text

_TYPES = "ssh-(?:rsa|dss|ed25519|ed448)|ecdsa-sha2-nistp(?:256|384|521)|sk-[a-z0-9-]{4,40}@openssh\\.com"
_KEY: Final = re.compile(
    rf"^(?P<before>[^\n#]{{0,4000}}?)(?:(?<=\s)|^)(?P<kind>(?:{_TYPES})(?:-cert-v01@openssh\.com)?)[ \t]+"
    r"(?P<blob>AAAA[A-Za-z0-9+/]{20,}={0,2})(?:[ \t]+(?P<comment>[^\n]{0,500}))?$",
    re.MULTILINE,
)
_MOST: Final = 20_000


class SshKeys(Handler):
    name = "ssh-keys"
    media_types = ("application/x-ssh-public-keys",)
    suffixes = (".pub",)
    fields: ClassVar[dict[str, str]] = {
        "key.algorithm": "kind and size of a key",
        "key.fingerprint": "digest of the public key as SSH shows it",
        "key.comment": "comment beside a key",
        "ssh.keys": "number of keys",
        "ssh.host": "host that a key belongs to",
        "ssh.options": "what a key may do, as the file has it",
        "text.*": "how the text was read",
    }
    reads = "kind, fingerprint and comment of every key; hosts, options; the whole text"
    rank = 65

    def claims(self, stream: Stream) -> str | None:
        if b"AAAA" not in stream.head:
            return None
        lines = [line for line in text_head(stream).split("\n") if line.strip() and not line.lstrip().startswith("#")]
        return self.media_types[0] if lines and _KEY.match(lines[0]) and len(lines[0]) < 12_000 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader, pieces = read_text(stream)
        count = 0
        told: list[str] = []
        for text, _ in passages(lines_of(pieces)):
            yield text
            for match in _KEY.finditer(text.body):
                count += 1
                if count <= _MOST:
                    facts = list(_tell(match))
                    yield from facts
                    told.append(" | ".join(str(fact.value) for fact in facts))
        if told:
            yield Text("\n".join(told), "fingerprints")
        yield Field("ssh.keys", count)
        yield from encoding_facts(reader)


def _tell(match: re.Match[str]) -> Iterator[Field]:
    blob = encode_blob(match["blob"])
    yield Field("key.algorithm", name_blob(blob) or match["kind"])
    yield Field("key.fingerprint", fingerprint(blob))
    before = match["before"].strip()
    marker, _, rest = before.partition(" ")
    if marker in ("@revoked", "@cert-authority"):
        yield Field("ssh.options", marker)
        before = rest.strip()
    if before and ("=" in before.split("|")[0] or before.split(",")[0].startswith(("no-", "restrict", "cert-", "pty"))):
        yield Field("ssh.options", before)
    elif before and not before.startswith("|1|"):
        yield from (Field("ssh.host", host) for host in before.split(",") if host)
    if match["comment"]:
        yield Field("key.comment", match["comment"].strip())
