"""ar: static libraries, Debian packages, Windows import libraries; GNU, BSD and Microsoft names.

The table of long names is read and not given as a member; tables of symbols are given as they lie, and
their symbols as text, each with the member that defines it.

Source: ar(5) of FreeBSD and Solaris; ranlib(5) of 4.4BSD; Microsoft PE and COFF Specification, section 7;
deb(5).
Limits: a table's symbols are told up to the first that does not fit; AIX's big archives are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import ClassVar

from msgspec import Struct

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._ar_symbols import read_symbols
from indexer.handlers._archive import FIELDS, FILE, Gap, Names, kind_of_mode, mode_fields, tell_gap
from indexer.handlers._streams import open_slice
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text
from indexer.timestamps import from_unix

MAGIC, THIN = b"!<arch>\n", b"!<thin>\n"
HEADER = 60
END = b"`\n"
DEBIAN = "application/vnd.debian.binary-package"
MOST_NAMES = 16 * MIB
MOST_NAME = 64 * 1024
SCAN = 1 << 20
SYMBOLS = re.compile(rb"/|/SYM64/|/<[A-Z]+>/|__\.SYMDEF(?:_64)?(?: SORTED)?/?")
TABLE = "symbol-table"
TABLES = 4
"""Tables whose symbols are told; Microsoft's libraries have two."""


class Member(Struct):
    """One header, the name that counts, where its bytes are."""

    at: int
    name: bytes
    header: bytes
    start: int
    size: int
    kind: str
    elsewhere: bool = False
    """A thin archive names its members and does not hold them."""


class ArArchive(Handler):
    name = "ar"
    version = 2
    media_types = ("application/x-archive", DEBIAN, "application/x-unix-archive", "application/x-debian-package")
    signatures = (Signature(MAGIC), Signature(THIN))
    suffixes = (".a", ".ar", ".lib", ".deb", ".udeb", ".ipk")
    fields: ClassVar[Mapping[str, str]] = {
        "ar.format": "thin, where members are only named",
        "ar.uid": "owner's number",
        "ar.gid": "group's number",
        **FIELDS,
    }
    reads = "members with names, owners, modes and times; symbols by member; what a damaged archive still holds"
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        return DEBIAN if stream.head.startswith(b"debian-binary", len(MAGIC)) else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        names = Names(part.name for part in walk(stream) if isinstance(part, Member))
        if stream.head.startswith(THIN):
            yield Field("ar.format", "thin")
        yield from names.fields()
        yield from _tell_symbols(stream, names)
        for part in walk(stream):
            if isinstance(part, Gap):
                yield from tell_gap(stream, part)
                continue
            yield _child(stream, part, names)
            if not part.elsewhere and part.start + part.size > stream.size:
                message = f"the archive breaks off in the member at {part.at}"
                yield Problem("truncated", message, resolution="kept so far")


def walk(stream: Stream) -> Iterator[Member | Gap]:
    """Members in the order of the archive, and what stands in place of a header."""
    position = len(MAGIC)
    thin = stream.head.startswith(THIN)
    long_names = b""
    while position < stream.size:
        header = stream.at(position, HEADER)
        size = _number(header[48:58], 10)
        if header[58:60] != END or size is None:
            if not stream.at(position, SCAN).strip(b"\0\n") and position + SCAN > stream.size:
                return
            found = _find_header(stream, position + 1)
            yield _gap(position, found, stream.size)
            position = found
            continue
        start = position + HEADER
        field = header[:16].rstrip(b" ")
        if field in (b"//", b"ARFILENAMES/"):
            long_names = stream.at(start, min(size, MOST_NAMES))
        elif SYMBOLS.fullmatch(field):
            yield Member(position, field, header, start, size, TABLE)
        else:
            member = _member(stream, position, field, header, size, long_names)
            member.elsewhere = thin
            yield member
            if thin:
                position = start
                continue
        position = start + size + size % 2


def _member(stream: Stream, at: int, field: bytes, header: bytes, size: int, long_names: bytes) -> Member:
    start = at + HEADER
    kind = kind_of_mode(_number(header[40:48], 8) or 0)
    name = field
    if field.startswith(b"#1/") and (length := _number(field[3:], 10)) and length <= min(size, MOST_NAME):
        name = stream.at(start, length).rstrip(b"\0")
        start, size = start + length, size - length
        if SYMBOLS.fullmatch(name):
            kind = TABLE
    elif (offset := _number(field[1:], 10)) is not None and field[:1] == b"/" and offset < len(long_names):
        ends = [end for mark in (b"\n", b"\0") if (end := long_names.find(mark, offset)) >= 0]
        name = long_names[offset : min(ends, default=len(long_names))][:MOST_NAME].removesuffix(b"/")
    elif len(field) > 1:
        name = field.removesuffix(b"/")
    return Member(at, name, header, start, size, kind)


def _number(digits: bytes, radix: int) -> int | None:
    digits = digits.strip(b" \0")
    try:
        return int(digits, radix) if digits.isdigit() else None
    except ValueError:
        return None


def _gap(at: int, end: int, size: int) -> Gap:
    if end < size:
        message = f"no valid header at {at}; the next one stands at {end}"
        return Gap(at, end - at, "corrupt", message, f"[damaged at {at}]")
    if size - at < HEADER:
        return Gap(at, size - at, "truncated", f"the archive breaks off in a header at {at}", f"[damaged at {at}]")
    return Gap(at, size - at, "corrupt", f"no valid header from {at} to the end", f"[damaged at {at}]")


def _find_header(stream: Stream, position: int) -> int:
    """The next offset at which a header stands that has numbers where numbers belong."""
    while data := stream.at(position, SCAN):
        at = data.find(END)
        while at >= 0:
            start = position + at - (HEADER - 2)
            header = stream.at(start, HEADER) if start >= position else b""
            if len(header) == HEADER and re.fullmatch(rb"[0-9]+ *", header[48:58]) and header[:1].strip():
                return start
            at = data.find(END, at + 1)
        if len(data) < SCAN:
            break
        position += len(data) - HEADER
    return stream.size


def _tell_symbols(stream: Stream, names: Names) -> Iterator[Text]:
    """One line for each symbol that a table names: the member that defines it, and the symbol."""
    tables = list(islice((part for part in walk(stream) if isinstance(part, Member) and part.kind == TABLE), TABLES))
    told: dict[tuple[int, str], int] = {}
    for table in tables:
        for found in read_symbols(stream.at(table.start, min(table.size, MOST_NAMES)), table.name):
            told.setdefault(found, table.at)  # Microsoft's second table says the same in another order
    places = {place for place, _ in told}
    members = (part for part in walk(stream) if isinstance(part, Member)) if places else ()
    owners = {part.at: names.decode(part.name) for part in members if part.at in places}
    for table in tables:
        mine = [found for found, at in told.items() if at == table.at]
        lines = [f"{owners[place]}: {symbol}" if place in owners else symbol for place, symbol in mine]
        if lines:
            yield Text("\n".join(lines), f"symbols @{table.at:#x}")


def _child(stream: Stream, member: Member, names: Names) -> Child:
    mode = _number(member.header[40:48], 8)
    fields = list(mode_fields(mode, member.kind)) if mode is not None else []
    if mode is None and member.kind != FILE:
        fields.append(Field("file.kind", member.kind))
    for name, place in (("ar.uid", 28), ("ar.gid", 34)):
        owner = _number(member.header[place : place + 6], 10)
        if owner is not None:
            fields.append(Field(name, owner))
    seconds = _number(member.header[16:28], 10)
    stamp = from_unix("M", seconds, "ar.mtime") if seconds else None
    problems: tuple[Problem, ...] = ()
    if member.elsewhere:
        problems = (Problem("unsupported", f"a thin archive: the {member.size} bytes are in a file beside it"),)
    return Child(
        "[symbols]" if member.name.startswith(b"/") and member.kind == TABLE else names.decode(member.name),
        member.name,
        None if member.elsewhere else open_slice(stream, member.start, member.size),
        timestamps=(stamp,) if stamp else (),
        fields=tuple(fields),
        problems=problems,
    )
