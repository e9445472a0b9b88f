"""Accounts of a Unix machine: passwd, shadow, group, gshadow, htpasswd and sudoers.

The lines must all be of one form; only rules of sudo need a keyword.

Source: passwd(5), shadow(5), group(5), gshadow(5), crypt(5), sudoers(5); Apache, "Password Formats".
Limits: digests of passwords are named by their kind and stand in the text as they are; none is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._lines import encoding_facts, lines_of, passages, read_text, text_head
from indexer.handlers._moments import moment
from indexer.model import Fact, Field, Timestamp

_NAME = r"[^\s:#/\"'(){}\[\]<>,;=]{1,64}"
_NUMBER = r"-?\d{1,10}"
_FORMS: Final = {
    "passwd": re.compile(
        rf"{_NAME}:[^:\n]{{0,200}}:{_NUMBER}:{_NUMBER}:[^:\n]{{0,500}}:[^:\n]{{0,500}}:[^:\n]{{0,200}}\Z"
    ),
    "master.passwd": re.compile(
        rf"{_NAME}:[^:\n]{{0,200}}:{_NUMBER}:{_NUMBER}:[^:\n]{{0,60}}:{_NUMBER}:{_NUMBER}:"
        r"[^:\n]{0,500}:[^:\n]{0,500}:[^:\n]{0,200}\Z"
    ),
    "shadow": re.compile(
        rf"{_NAME}:[^:\n]{{0,300}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}\Z"
    ),
    "group": re.compile(rf"{_NAME}:[^:\n]{{0,200}}:{_NUMBER}:[^:\s]{{0,20000}}\Z"),
    "htpasswd": re.compile(
        rf"{_NAME}:(?:\$(?:apr1|2[abxy]?|5|6|1|y|7)\$[^\s:]{{8,200}}|{{SHA}}[A-Za-z0-9+/]{{27}}=)\Z"
    ),
    "gshadow": re.compile(rf"{_NAME}:[!*x$][^:\s]{{0,200}}:[^:\s]{{0,2000}}:[^:\s]{{0,20000}}\Z"),
}
_RULE: Final = re.compile(
    r"^[ \t]*([%+]?[\w.\\-]{1,64})[ \t]+\S{1,200}[ \t]*=[ \t]*(?:\([^)\n]{1,200}\)|NOPASSWD:)", re.M
)
_SUDO_LINE: Final = re.compile(
    r"[ \t]*(?:Defaults\b|(?:User|Runas|Host|Cmnd|Cmd)_Alias\b|[@#]include(?:dir)?\b|"
    r"[%+]?[\w.\\-]{1,64}[ \t]+\S{1,200}[ \t]*=)"
)
_FIRST: Final = re.compile(
    rb"(?:#[^\n]*\n|[ \t\r]*\n){0,200}[^\s:#/\"'(){}\[\]<>,;=]{1,64}:[^:\n]{0,300}(?::|\r?\n|\Z)"
)
"""A quick look: a name and a colon begin the first line that is no comment."""
_HASHES: Final = (
    ("$y$", "yescrypt"),
    ("$gy$", "gost-yescrypt"),
    ("$7$", "scrypt"),
    ("$6$", "SHA-512"),
    ("$5$", "SHA-256"),
    ("$apr1$", "MD5 of Apache"),
    ("$1$", "MD5"),
    ("$2", "bcrypt"),
    ("$sha1$", "SHA-1"),
    ("{SHA}", "SHA-1"),
    ("$md5", "MD5 of Solaris"),
    ("_", "extended DES"),
)
_TYPES: Final = {
    "sudoers": "text/x-sudoers",
    **{kind: f"text/x-{kind.replace('.', '-')}" for kind in _FORMS},
}
_DAY: Final = 86_400
_MOST: Final = 20_000


class AccountFiles(Handler):
    name = "accounts"
    media_types = tuple(_TYPES.values())
    holds = b":="
    fields: ClassVar[dict[str, str]] = {
        "account.kind": "which of the files it is: passwd, shadow, group, sudoers ...",
        "account.user": "name of a user",
        "account.full_name": "what a user is called",
        "account.home": "folder of a user",
        "account.shell": "shell of a user",
        "account.hash": "how the password of a user is kept, with the user",
        "account.group": "name of a group, with its members",
        "account.admin": "user or group that sudo has a rule for",
        "text.*": "how the text was read",
    }
    reads = "users, groups, homes, shells; how passwords are kept; the whole text"
    rank = 67

    def claims(self, stream: Stream) -> str | None:
        if not _may_be(stream.head[:2048]):
            return None
        kind = _kind(stream)
        return _TYPES[kind] if kind else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        kind = _kind(stream)
        yield Field("account.kind", kind)
        reader, pieces = read_text(stream)
        count = 0
        for text, _ in passages(lines_of(pieces)):
            yield text
            if kind == "sudoers":
                yield from (Field("account.admin", name) for name in dict.fromkeys(_RULE.findall(text.body)))
                continue
            for line in text.body.split("\n"):
                if count < _MOST and (cells := _cells(kind, line)):
                    count += 1
                    yield from _tell(kind, cells)
        yield from encoding_facts(reader)


def _may_be(head: bytes) -> bool:
    """Whether a closer look is worth its time: most texts are none of these files."""
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")[0]
    if first.startswith(b"#") or b"\0" in head[:4] or b"=(" in head or b"= (" in head or b"NOPASSWD" in head:
        return True
    return first.count(b":") >= 3 or b":$" in first or b":{SHA}" in first


def _kind(stream: Stream) -> str:
    text = text_head(stream)
    lines = text.split("\n")
    if stream.size > len(stream.head):
        lines.pop()
    lines = [line.rstrip("\r") for line in lines if line.strip() and not line.startswith("#")]
    if not lines or len(lines[0]) > 24_000:
        return ""
    for kind, form in _FORMS.items():
        if form.match(lines[0]):
            # The last line may be cut.
            whole = lines[:-1] if len(lines) > 2 else lines
            fits = all(form.match(line) or _is_compat(line) for line in whole)
            return kind if fits and _has_weight(kind, whole) else ""
    joined = re.sub(r"\\\n[ \t]*", " ", text)
    rules = [line for line in joined.split("\n") if line.strip() and not re.match(r"[ \t]*#(?!include)", line)]
    return "sudoers" if rules and _RULE.search(joined) and all(map(_SUDO_LINE.match, rules[:-1] or rules)) else ""


def _has_weight(kind: str, lines: list[str]) -> bool:
    """Whether the lines say more than that they have colons: something of it must be what only these files hold."""
    if kind in ("passwd", "master.passwd"):
        return any(line.rsplit(":", 2)[-2].startswith("/") for line in lines)
    if kind == "group":
        return any(line.split(":")[1] in ("x", "*", "", "!") for line in lines)
    return True


def _is_compat(line: str) -> bool:
    """The lines of NIS that include users from elsewhere."""
    return line[:1] in ("+", "-") and line.count(":") >= 3


def _cells(kind: str, line: str) -> list[str]:
    line = line.rstrip("\r")
    return line.split(":") if _FORMS[kind].match(line) else []


def _tell(kind: str, cells: list[str]) -> Iterator[Fact]:
    name = cells[0]
    if kind in ("group", "gshadow"):
        yield Field("account.group", f"{name}: {cells[3]}" if cells[3] else name)
        return
    yield Field("account.user", name)
    if (held := cells[1]) not in ("x", ""):
        yield Field("account.hash", f"{name}: {_hash_kind(held)}")
    if kind == "shadow":
        if cells[2] and (at := moment(int(cells[2]) * _DAY)):
            yield Timestamp("password_changed", at, "shadow.lastchg", 86_400.0)
    elif kind in ("passwd", "master.passwd"):
        if full := cells[-3].rstrip(","):
            yield Field("account.full_name", full)
        yield Field("account.home", cells[-2])
        yield Field("account.shell", cells[-1])


def _hash_kind(held: str) -> str:
    lock = "locked, " if held.startswith("!") and held.strip("!*") else ""
    held = held.lstrip("!")
    for start, kind in _HASHES:
        if held.startswith(start):
            return lock + kind
    return "none that fits" if held.strip("*") == "" else lock + ("DES" if len(held) == 13 else "of another kind")
