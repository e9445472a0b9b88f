"""What git notes in plain files: reflogs, packed refs, HEAD, settings; people, times with zones, addresses.

Source: git's Documentation: gitrepository-layout, git-config, git-reflog, git-pack-refs.
Limits: a loose ref is a digest in a file and stays text; `include` in settings is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._git import wall_clock
from indexer.handlers._lines import FIELDS, encoding_facts, lines_of, passages, read_text, text_head
from indexer.model import Fact, Field, Text
from indexer.timestamps import from_unix

_LOG: Final = re.compile(
    r"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\n<>]{0,300}<[^\n<>]{0,300}>) (\d{1,12}) ([+-]\d{4})(?:\t|\n|\Z)"
)
_REF: Final = re.compile(r"ref: (refs/[^\s]{1,300})\n?\Z")
_PACKED: Final = re.compile(r"# pack-refs with:")
_CONFIG: Final = re.compile(r"\[core\]\s*\n(?:[ \t]++[^\n]*+\n)*?[ \t]++(?:repositoryformatversion|bare|filemode) ?=")
_SECTION: Final = re.compile(r'\[(\w+)(?: "([^"]{0,200})")?\]')
_VALUE: Final = re.compile(r"\s+(\w{1,40}) ?= ?(.*)")
_TOLD: Final = {
    ("remote", "url"): "git.remote",
    ("remote", "pushurl"): "git.remote",
    ("user", "name"): "git.user",
    ("user", "email"): "git.user",
    ("credential", "helper"): "git.credential_helper",
    ("submodule", "url"): "git.remote",
}
_KEPT: Final = 20_000


class GitRecords(Handler):
    name = "git-records"
    media_types = ("text/x-git-reflog", "text/x-git-refs", "text/x-git-head", "text/x-git-config")
    holds = b"<#:["
    fields: ClassVar[dict[str, str]] = {
        **FIELDS,
        "git.author": "who moved a branch",
        "git.zone": "offset from UTC of the clock that was written by",
        "git.ref": "a branch or tag, with the object it points to where it is known",
        "git.remote": "address of another repository",
        "git.user": "name or address that commits are made with",
        "git.branch": "a branch with settings of its own",
        "git.credential_helper": "program that keeps passwords",
    }
    reads = "who moved which branch when; branches and tags; addresses of remotes, users"
    rank = 61

    def claims(self, stream: Stream) -> str | None:
        if stream.head[:1] not in (b"[", b"#", b"r", *(b"%x" % digit for digit in range(16))):
            return None
        head = text_head(stream)
        for media_type, pattern in zip(self.media_types, (_LOG, _PACKED, _REF, _CONFIG), strict=True):
            if pattern.match(head):
                return media_type
        return None

    def read(self, stream: Stream) -> Iterator[Fact]:
        kind = self.claims(stream)
        reader, pieces = read_text(stream)
        lines = lines_of(pieces)
        if kind == "text/x-git-config":
            yield from _settings(lines)
        elif kind == "text/x-git-reflog":
            yield from _moves(lines)
        else:
            yield from _refs(lines)
        yield from encoding_facts(reader)


def _moves(lines: Iterator[str]) -> Iterator[Fact]:
    """A reflog: one line for every time that a branch was moved."""
    told: set[Field] = set()
    stamps = 0
    shown: list[str] = []
    first = 1
    for number, line in enumerate(lines, 1):
        match = _LOG.match(line)
        if match:
            before, after, person, seconds, zone = match.groups()
            shown.append(f"{wall_clock(int(seconds), zone)}\t{person}\t{line[match.end() :].strip()}\t{before} {after}")
            for field in (Field("git.author", person), Field("git.zone", zone)):
                if field not in told and len(told) < _KEPT:
                    told.add(field)
                    yield field
            stamps += 1
            if stamps <= _KEPT and (stamp := from_unix("ref changed", int(seconds), "git.reflog")):
                yield stamp
        else:
            shown.append(line.rstrip("\n"))
        if len(shown) >= 200:
            yield Text("\n".join(shown), f"lines {first}-{number}")
            shown, first = [], number + 1
    if shown:
        yield Text("\n".join(shown), f"lines {first}-{first + len(shown) - 1}")


def _refs(lines: Iterator[str]) -> Iterator[Fact]:
    held: list[str] = []
    for line in lines:
        held.append(line)
        parts = line.split()
        if len(parts) == 2 and parts[1].startswith("refs/") and len(held) <= _KEPT:
            yield Field("git.ref", parts[1] if parts[0] == "ref:" else f"{parts[1]} {parts[0]}")
    for text, _ in passages(held):
        yield text


def _settings(lines: Iterator[str]) -> Iterator[Fact]:
    section = ""
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) > _KEPT:
            continue
        if match := _SECTION.match(line.strip()):
            section = match[1].lower()
            if section == "branch" and match[2]:
                yield Field("git.branch", match[2])
        elif (match := _VALUE.match(line)) and (name := _TOLD.get((section, match[1].lower()))):
            yield Field(name, match[2].strip())
    for text, _ in passages(held):
        yield text
