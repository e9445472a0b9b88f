"""Headers of LHA archives, levels 0 to 3, with what their extensions say.

Source: "LHA header format" notes of LHa for UNIX 1.14 and of UNLHA32.DLL.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handler import Stream
from indexer.handlers._archive import FILE, FOLDER, Gap, kind_of_mode
from indexer.model import Timestamp
from indexer.timestamps import from_dos, from_filetime, from_unix

METHOD = re.compile(rb"-(?:lh[0-9a-x]|lz[0-9s]|pm[0-2])-")
SYSTEMS = {
    0x20: "",
    0x4D: "MS-DOS",
    0x55: "Unix",
    0x32: "OS/2",
    0x39: "OS-9",
    0x4B: "OS/68K",
    0x33: "OS/386",
    0x48: "Human68k",
    0x43: "CP/M",
    0x46: "FLEX",
    0x6D: "Mac OS",
    0x77: "Windows 95",
    0x57: "Windows NT",
    0x54: "TownsOS",
    0x52: "Runser",
    0x58: "XOSK",
    0x4A: "Java",
    0x41: "Amiga",
    0x61: "Atari",
    0x70: "PC-98",
}
MOST_HEADER = 1 << 20
MOST_EXTENSIONS = 1000
SCAN = 1 << 20


class Member(Struct):
    """One header and where its bytes are; `name` holds a slash behind each folder."""

    at: int
    level: int
    method: bytes
    packed: int
    size: int
    crc: int | None = 0
    system: int = 0
    name: bytes = b""
    folder: bytes = b""
    unicode_name: str = ""
    code_page: int = 0
    attributes: int = 0
    mode: int | None = None
    owner: dict[str, int | bytes] = field(default_factory=dict)
    comment: bytes = b""
    start: int = 0
    times: list[Timestamp] = field(default_factory=list)

    @property
    def kind(self) -> str:
        if self.mode is not None and self.mode >> 12:
            return kind_of_mode(self.mode)
        return FOLDER if self.method == b"-lhd-" else FILE


def walk(stream: Stream) -> Iterator[Member | Gap]:
    """Members in the order of the archive, and what lies between and behind them."""
    position = 0
    while position < stream.size:
        if stream.at(position, 1) == b"\0" and (end := _skip_end(stream, position)) >= 0:
            if end < stream.size:
                message = f"{stream.size - end} bytes behind the end, at {end}"
                yield Gap(end, stream.size - end, "corrupt", message, "[after the archive]")
            return
        member = read_header(stream, position)
        if member is None:
            found = _find_header(stream, position + 1)
            message = f"no valid header at {position}" + (f"; the next one stands at {found}" if found else "")
            cut = not found and stream.size - position < 64
            end = found or stream.size
            yield Gap(position, end - position, "truncated" if cut else "corrupt", message, f"[damaged at {position}]")
            position = end
            continue
        yield member
        position = member.start + member.packed


def _skip_end(stream: Stream, position: int) -> int:
    """Where the padding behind the end mark ends, or -1 where a header of level 2 begins with a zero."""
    if METHOD.fullmatch(stream.at(position + 2, 5)) and read_header(stream, position):
        return -1
    rest = stream.at(position, SCAN)
    return position + (len(rest) - len(rest.lstrip(b"\0\x1a"))) if len(rest) < SCAN else position + 1


def _find_header(stream: Stream, position: int) -> int:
    while data := stream.at(position, SCAN):
        for match in METHOD.finditer(data):
            at = position + match.start() - 2
            if at >= position and read_header(stream, at):
                return at
        if len(data) < SCAN:
            break
        position += len(data) - 8
    return 0


def read_header(stream: Stream, at: int) -> Member | None:
    """The member whose header stands at an offset, or None where none that makes sense does."""
    head = stream.at(at, 32)
    if len(head) < 22 or not METHOD.fullmatch(head[2:7]):
        return None
    packed, size, time, attributes, level = struct.unpack_from("<IIIBB", head, 7)
    member = Member(at, level, head[2:7], packed, size, attributes=attributes)
    reading = {0: _read_short, 1: _read_short, 2: _read_long, 3: _read_long}.get(level)
    try:
        if reading is None or not reading(stream, member, time):
            return None
    except (struct.error, IndexError):
        return None
    return member


def _read_short(stream: Stream, member: Member, time: int) -> bool:
    """Levels 0 and 1: one byte of length, one of sum, the name inside."""
    length = stream.at(member.at, 1)[0] + 2
    head = stream.at(member.at, length)
    if len(head) < length or length < 22 or sum(head[2:]) & 0xFF != head[1]:
        return False
    count = head[21]
    # The first programs kept no CRC: their headers end with the name.
    short = member.level == 0 and 22 + count == length
    if 22 + count + 2 > length and not short:
        return False
    member.name = head[22 : 22 + count]
    place = length if short else 24 + count
    member.crc = None if short else struct.unpack_from("<H", head, place - 2)[0]
    member.start = member.at + length
    stamp = from_dos("M", time >> 16, time & 0xFFFF, "lha.mtime")
    member.times = [stamp] if stamp else []
    if place < length:
        member.system = head[place]
    if member.level == 0:
        if member.system == 0x55 and length - place >= 12:
            seconds, member.mode, uid, gid = struct.unpack_from("<IHHH", head, place + 2)
            member.owner = {"lha.uid": uid, "lha.gid": gid}
            _set_time(member, from_unix("M", seconds, "lha.unix_mtime"))
        return True
    extended = _read_extensions(stream, member, member.start, struct.unpack_from("<H", head, length - 2)[0], "<H")
    if extended is None:
        return False
    member.packed -= extended - member.start
    member.start = extended
    return member.packed >= 0


def _read_long(stream: Stream, member: Member, time: int) -> bool:
    """Levels 2 and 3: Unix time, the name in extensions."""
    form = "<H" if member.level == 2 else "<I"
    head = stream.at(member.at, 32)
    member.crc = struct.unpack_from("<H", head, 21)[0]
    member.system = head[23]
    if member.level == 2:
        whole, place = struct.unpack_from("<H", head, 0)[0], 26
    else:
        whole, place = struct.unpack_from("<I", head, 24)[0], 32
        if head[:2] != b"\4\0":
            return False
    if not place <= whole <= MOST_HEADER or member.at + whole > stream.size:
        return False
    member.start = member.at + whole
    stamp = from_unix("M", time, "lha.mtime")
    member.times = [stamp] if stamp else []
    first = struct.unpack_from(form, head, place - struct.calcsize(form))[0]
    end = _read_extensions(stream, member, member.at + place, first, form)
    return end is not None and end <= member.start


def _read_extensions(stream: Stream, member: Member, at: int, size: int, form: str) -> int | None:
    """Follows the chain of extensions; gives the offset behind it, None where it leads astray."""
    width = struct.calcsize(form)
    for _ in range(MOST_EXTENSIONS):
        if not size:
            member.name = member.folder.replace(b"\xff", b"/") + member.name
            return at
        if not width < size <= MOST_HEADER:
            return None
        record = stream.at(at, size)
        if len(record) < size:
            return None
        _read_extension(member, record[0], record[1 : size - width])
        at += size
        size = struct.unpack_from(form, record, size - width)[0]
    return None


def _read_extension(member: Member, kind: int, data: bytes) -> None:
    if kind == 0x01:
        member.name = data
    elif kind == 0x02:
        member.folder = data
    elif kind in (0x3F, 0x71):
        member.comment = data
    elif kind == 0x40 and len(data) >= 2:
        member.attributes = int.from_bytes(data[:2], "little")
    elif kind == 0x41 and len(data) >= 24:
        created, modified, accessed = struct.unpack_from("<QQQ", data)
        _set_time(member, from_filetime("M", modified, "lha.filetime"))
        for letter, ticks in (("B", created), ("A", accessed)):
            if stamp := from_filetime(letter, ticks, "lha.filetime"):
                member.times.append(stamp)
    elif kind == 0x42 and len(data) >= 16:
        member.packed, member.size = struct.unpack_from("<QQ", data)
    elif kind == 0x44 and len(data) % 2 == 0:
        member.unicode_name += data.decode("utf-16-le", "replace")
    elif kind == 0x45 and len(data) % 2 == 0:
        member.unicode_name = data.decode("utf-16-le", "replace").replace("\uffff", "/") + member.unicode_name
    elif kind == 0x46 and len(data) >= 4:
        member.code_page = int.from_bytes(data[:4], "little")
    elif kind == 0x50 and len(data) >= 2:
        member.mode = int.from_bytes(data[:2], "little")
    elif kind == 0x51 and len(data) >= 4:
        member.owner["lha.gid"], member.owner["lha.uid"] = struct.unpack_from("<HH", data)
    elif kind in (0x52, 0x53):
        member.owner["lha.group" if kind == 0x52 else "lha.user"] = data[:256]
    elif kind == 0x54 and len(data) >= 4:
        _set_time(member, from_unix("M", int.from_bytes(data[:4], "little"), "lha.unix_mtime"))


def _set_time(member: Member, stamp: Timestamp | None) -> None:
    """A better modification time takes the place of the header's."""
    if stamp:
        member.times = [stamp, *(each for each in member.times if each.kind != "M")]
