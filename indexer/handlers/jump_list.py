"""Jump lists: files that a user opened with a program lately, as links, with counts, times and machines.

Source: the jump lists format as documented by libyal (DestList; custom destinations); [MS-SHLLINK]; [MS-CFB].
Limits: the program is told by its identifier in the file's name only; of custom lists the names of
    known groups are numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _cfb, _lnk
from indexer.handlers._ole import members
from indexer.handlers._streams import open_slice
from indexer.handlers._windows import guid, maker_of, moment, narrow, wide
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_filetime

_FOOTER: Final = b"\xab\xfb\xbf\xba"
_CUSTOM: Final = "application/x-ms-custom-destinations"
_ROWS: Final = 20_000
_WHOLE: Final = 64 * MIB
_STREAM: Final = 16 * MIB


class JumpList(Handler):
    name = "jump-list"
    media_types = ("application/x-ms-automatic-destinations", _CUSTOM)
    signatures = (Signature(_cfb.MAGIC), Signature(b"\2\0\0\0"))
    suffixes = (".automaticdestinations-ms", ".customdestinations-ms")
    fields: ClassVar[dict[str, str]] = {
        "jump.entries": "entries in the list",
        "jump.path": "path of an entry",
        "jump.machine_id": "name of a machine that an entry was on",
        "jump.mac_address": "network address of a machine that an entry was made on",
        "jump.group": "name of a group in the list",
        "refers_to": "path or name of another file that this one uses",
        **_lnk.FIELDS,
    }
    reads = "entries with path, machine, count, last time; each link as a member"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_cfb.MAGIC):
            return self.media_types[0] if _cfb.compound(stream).get("DestList") else None
        # No mark at the start tells this type: the one at its end does, or the link inside.
        ends = stream.at(stream.size - 4, 4) == _FOOTER
        return _CUSTOM if ends and (stream.size < 64 or _lnk.MAGIC[4:] in stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(_cfb.MAGIC):
            held = _cfb.compound(stream)
            yield from _read_list(held.read(held.get("DestList"), _STREAM))
            yield from members(held, lambda key: key == "destlist")
            yield from held.problems
        else:
            yield from _read_custom(stream)


def _read_list(data: bytes) -> Iterator[Fact]:
    """The entries in the order of the list, the one used last first."""
    if len(data) < 32:
        yield Problem("truncated", "the list of entries has no header", resolution="links are members")
        return
    version, entries = struct.unpack_from("<II", data)
    yield Field("jump.entries", entries)
    head = 114 if version == 1 else 130
    at = 32
    seen: set[tuple[str, str]] = set()
    for index in range(min(entries, _ROWS)):
        if at + head > len(data):
            message = f"{entries - index} of {entries} entries are missing"
            yield Problem("truncated", message, resolution="read up to there")
            break
        row = data[at : at + head]
        size = 2 * int.from_bytes(row[-2:], "little")
        path = wide(data[at + head : at + head + size])
        at += head + size + (4 if version > 1 else 0)
        number, ticks = int.from_bytes(row[88:92], "little"), int.from_bytes(row[100:108], "little")
        pinned = int.from_bytes(row[108:112], "little", signed=True) >= 0
        count = str(int.from_bytes(row[116:120], "little")) if version > 1 else ""
        machine = narrow(row[72:88])
        mac, made = maker_of(row[24:40])
        for name, value in (
            ("jump.path", path),
            ("refers_to", path),
            ("jump.machine_id", machine),
            ("jump.mac_address", mac),
        ):
            if value and (name, value) not in seen:
                seen.add((name, value))
                yield Field(name, value)
        if stamp := from_filetime("opened", ticks, "jump.entry"):
            yield stamp
        if made:
            yield Timestamp("target_id_made", made, "jump.droid", 1e-7)
        told = [path, f"opened {moment(ticks)}", f"{count} times" if count else "", f"on {machine}" if machine else ""]
        told += [mac, f"file {guid(row[24:40])}" if guid(row[24:40]) else "", "pinned" if pinned else ""]
        yield Text(" | ".join(part for part in told if part), f"entry {number:x}")


def _read_custom(stream: Stream) -> Iterator[Fact]:
    """Groups and links that a program put there itself."""
    data = stream.at(0, _WHOLE)
    count = 0
    for name in _groups(data):
        yield Field("jump.group", name)
        yield Text(name, "group")
    at = data.find(_lnk.MAGIC)
    while at >= 0 and count < _ROWS:
        following = data.find(_lnk.MAGIC, at + 76)
        piece = data[at : following if following >= 0 else min(len(data), at + MIB)]
        link = _lnk.parse_link(piece)
        count += 1
        name = f"link {count}"
        problems = (Problem("truncated", link.fault),) if link.fault else ()
        yield Child(name, name.encode(), open_slice(stream, at, max(link.end, 76)), problems=problems)
        at = following
    yield Field("jump.entries", count)


def _groups(data: bytes) -> Iterator[str]:
    """The names of groups: of the first by its place, of those behind a footer by the footer."""
    starts = [12]
    at = data.find(_FOOTER)
    while at >= 0 and len(starts) < 256:
        starts.append(at + 4)
        at = data.find(_FOOTER, at + 4)
    for start in starts:
        if data[start : start + 4] == bytes(4) and (size := 2 * int.from_bytes(data[start + 4 : start + 6], "little")):
            name = wide(data[start + 6 : start + 6 + size])
            if start + 6 + size < len(data) and name.isprintable():
                yield name
