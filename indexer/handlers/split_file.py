"""Files cut into numbered pieces (.001, .aa, .part1): joined, and read as what they were before.

A cut leaves no mark, so a set is believed only where the bytes do not speak against it: pieces of
equal size but for the last, none that begins as the first does (volumes with headers of their own and
numbered pictures do), no text that happens to end with its line (logs that were rotated). Where the
name tells what was cut (`.tar.gz.001`), the sizes may differ.

Source: none; what `split`, 7-Zip, HJSplit and `copy /b` write and join.
Limits: a set whose last pieces are missing looks whole here, its content will say what it misses; a
gap of more than ten pieces ends a set; disks are joined by their own reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, NamedTuple, cast

from msgspec import Struct

from indexer.handler import Handler, Stream
from indexer.model import Child, Fact, Field, Problem
from indexer.volumes import Joined

ARCHIVES = "7z|zip|zipx|rar|cab|arj|lzh|lha|alz|egg|tar|tgz|tbz2?|txz|gz|bz2|xz|zst|lz4|lzma|cpio|iso|wim"
PACKED = (
    f"{ARCHIVES}|dmg|exe|apk|jar|sql|bak|dump|pst|ost|mbox|mdb|accdb|psd|psb|mp4|mov|avi|mkv|mpg|wmv|pdf|docx|xlsx|pptx"
)
STARTS = (b"PK", b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"MSCF", b"\x60\xea")
NUMBERED = r"(.+)\.(\d{3})"
NAMED = rf"(.+\.(?:{PACKED}))\.(?:part[-_]?)?([a-z]{{2}}|\d{{1,4}})"
ZIP_END, ZIP_TAIL = b"PK\x05\x06", 66_000
HEAD = 4
TAIL = 4096
MOST_GAP = 10
DISK_MARK = b"\x55\xaa"


class Piece(NamedTuple):
    """A name taken apart: what was cut, what stands before the number, the number and how it is written."""

    whole: str
    lead: str
    number: int
    mark: str

    def named(self, number: int) -> str:
        """The name of another piece of the set; empty where there is none."""
        if self.mark.isdigit():
            written = f"{number:0{len(self.mark)}}" if len(self.mark) > 1 else str(number)
            return self.lead + written if len(written) <= max(len(self.mark), 3) else ""
        return f"{self.lead}{chr(97 + number // 26)}{chr(97 + number % 26)}" if number < 26 * 26 else ""

    @property
    def says_what(self) -> bool:
        """Whether the name tells what was cut."""
        return bool(re.fullmatch(rf".+\.(?:{PACKED})", self.whole, re.IGNORECASE))


class SplitFile(Handler):
    name = "split-file"
    media_types = ("application/x-split-file",)
    fields: ClassVar[Mapping[str, str]] = {
        "archive.volume": "number of this piece, from 1",
        "archive.volumes": "pieces that were joined",
        "archive.part_of": "name of the first piece, in which the whole is found",
    }
    reads = "files cut into numbered pieces, joined and read as one; which piece is missing"
    rank = 1
    uses_name = True
    volumes = True
    volume_names = (NUMBERED, NAMED)
    container = True

    def claims(self, stream: Stream) -> str | None:
        piece = take_apart(stream.name)
        if piece is None:
            return None
        pieces = _find(stream, piece)
        if pieces is None:
            return self.media_types[0] if _is_orphan(stream, piece) else None
        return self.media_types[0] if pieces.are_cut() else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        piece = take_apart(stream.name)
        if piece is None:
            return
        pieces = _find(stream, piece)
        if pieces is None:
            yield Field("archive.volume", piece.number)
            yield Problem("truncated", f"a piece of {piece.whole}, whose first piece {piece.named(1)} is not here")
            return
        yield Field("archive.volume", piece.number - pieces.first + 1)
        parts, missing, last = pieces.collect()
        if piece.number > pieces.first:
            yield Field("archive.part_of", pieces.piece.named(pieces.first))
            if last < piece.number:
                yield Problem("truncated", f"{pieces.piece.named(last + 1)}, which comes before it, is not here")
            return
        yield Field("archive.volumes", sum(not isinstance(part, int) for part in parts))
        problems = tuple(
            Problem("truncated", f"{name} is not here", resolution="zeros stand in its place") for name in missing
        )
        yield from problems
        raw = piece.whole.encode("utf-8", "surrogatepass")
        yield Child(piece.whole, raw, lambda: cast(BinaryIO, Joined(parts)), problems=problems)


def take_apart(name: str) -> Piece | None:
    """What a name says of a piece, or None where it is no piece's."""
    last = name.rpartition(".")[2].lower()
    if len(last) > 2 and not last[-1].isdigit() and not last.startswith("part"):
        return None  # as nearly all
    for pattern in (NAMED, NUMBERED):
        if match := re.fullmatch(pattern, name, re.IGNORECASE):
            whole, mark = match[1], match[2].lower()
            number = int(mark) if mark.isdigit() else (ord(mark[0]) - 97) * 26 + ord(mark[1]) - 97
            return Piece(whole, name[: match.start(2)], number, mark)
    return None


class _Pieces(Struct, frozen=True):
    """A set whose first piece is here.

    Attributes:
        piece: this item, its number written as the set writes it.
    """

    stream: Stream
    piece: Piece
    first: int
    file: BinaryIO

    def open(self, number: int) -> BinaryIO | None:
        """A piece by its number."""
        if number == self.piece.number:
            return cast(BinaryIO, self.stream)
        name = self.piece.named(number)
        return self.stream.sibling(name) if name else None

    def are_cut(self) -> bool:
        """Whether nothing in the bytes speaks against their being cut from one file."""
        begins = _at(self.file, 0, 512)
        head = begins[:HEAD]
        steps = range(self.first + 1, self.first + 2 + MOST_GAP)
        other = self.stream if self.piece.number > self.first else next(filter(None, map(self.open, steps)), None)
        if not begins or other is None or (head.strip(b"\0") and head == _at(cast(BinaryIO, other), 0, HEAD)):
            return False
        if self.piece.says_what:
            return True
        size = _size(self.file)
        tail = _at(self.file, max(0, size - TAIL), TAIL)
        if begins[510:] == DISK_MARK or (tail.endswith(b"\n") and b"\0" not in tail):
            return False
        sizes = [part if isinstance(part, int) else _size(part) for part in self.collect()[0]]
        return len(sizes) > 1 and all(each == size for each in sizes[:-1]) and sizes[-1] <= size

    def collect(self) -> tuple[list[BinaryIO | int], list[str], int]:
        """The pieces in order with holes in place of missing ones, the names of those, the last number.

        There are never more holes than pieces: what is not there must not outgrow what is.
        """
        parts: list[BinaryIO | int] = [self.file]
        missing: list[str] = []
        hole = _size(self.file)
        last = at = self.first
        while at - last <= min(MOST_GAP, len(parts) - 2 * len(missing)) and self.piece.named(at + 1):
            at += 1
            if file := self.open(at):
                gap = range(last + 1, at)
                missing += map(self.piece.named, gap)
                parts += [hole] * len(gap)
                parts.append(file)
                last = at
        return parts, missing, last


def _find(stream: Stream, piece: Piece) -> _Pieces | None:
    """The set of a piece, where its first one is here; numbers may be written with or without zeros."""
    marks = [piece.mark, "1"] if piece.mark.isdigit() and piece.mark[0] != "0" else [piece.mark]
    for mark in marks:
        written = piece._replace(mark=mark)
        for first in (0, 1):
            if first == piece.number:
                return _Pieces(stream, written, first, cast(BinaryIO, stream))
            if (first == 0 or mark.isdigit()) and (file := stream.sibling(written.named(first))):
                return _Pieces(stream, written, first, file)
    return None


def _is_orphan(stream: Stream, piece: Piece) -> bool:
    """Whether an archive's later piece lies here without its first: its bytes begin as no archive does."""
    named = piece.number > 1 and len(piece.mark) == 3 and re.fullmatch(rf".+\.(?:{ARCHIVES})", piece.whole, re.I)
    ends_a_zip = ZIP_END in stream.at(max(0, stream.size - ZIP_TAIL), ZIP_TAIL) if named else False
    return bool(named) and not ends_a_zip and not stream.head.startswith(STARTS)


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)
