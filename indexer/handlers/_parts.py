"""The parts of a document that is a zip file of XML: read within bounds, damage told, text kept.

Parts are read from the archive's directory with our own few lines, because the standard library
drops the last piece of a member whose checksum is wrong. XML goes through lxml as a stream of plain
events: no tree is built, so that a sheet of a million rows costs no more memory than one row.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from itertools import chain
from typing import Any, BinaryIO, cast
from weakref import WeakKeyDictionary

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import GIB, KIB, MIB
from indexer.model import Cause, Child, Field, Problem, Timestamp
from indexer.timestamps import from_dos

START, END, DATA = 0, 1, 2
Event = tuple[int, str, dict[str, str]]
"""START with a tag and its attributes, END with a tag, DATA with text; names as `prefix:name`."""
Through = Callable[[Iterable[bytes]], Iterator[bytes]]
_NONE: dict[str, str] = {}

XML_BYTES = 2 * GIB
"""Unpacked bytes of one XML part; the largest sheet that Excel writes has about half of that."""
PENDING_CHARS = 64 * MIB
"""Text that one piece of XML may expand to: more than that is entities gone wild."""
_PIECE = 64 * KIB
_WINDOW, _UNENDED = 8 * KIB, 1000
"""Bytes in which the end of a tag is looked for, and tags that may stand where there is none."""
_DIRECTORY = 1 * MIB
_directories: WeakKeyDictionary[Stream, bytes] = WeakKeyDictionary()
_NO_DATE = (1980, 1, 1)
_DIGITS = re.compile(r"[0-9]+")
_OPEN_ERRORS = (zipfile.BadZipFile, OSError, ValueError, OverflowError, struct.error, NotImplementedError)


class Parts:
    """The members of a document by name; names are matched without regard to case.

    `problems` gathers what was wrong with parts while they were read.
    """

    def __init__(self, stream: Stream) -> None:
        try:
            self.infos = zipfile.ZipFile(stream).infolist()
        except _OPEN_ERRORS as error:
            raise EvidenceError("corrupt", f"the zip directory cannot be read: {error}") from error
        self.stream = stream
        self.problems: list[Problem] = []
        self._by_name = {_key(info.filename): info for info in self.infos}
        self._taken: set[int] = set()
        self._locked: set[int] = set()
        self._opened: dict[int, Callable[[Iterator[bytes]], Iterator[bytes]]] = {}

    @cached_property
    def names(self) -> list[str]:
        """Every part's key: lower case, forward slashes, numbers in their natural order."""
        return sorted(self._by_name, key=lambda name: (_DIGITS.sub(lambda match: match[0].zfill(20), name), name))

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._by_name

    def take(self, name: str) -> None:
        """Marks a part as understood, so that it is not offered as a member."""
        if info := self._by_name.get(_key(name)):
            self._taken.add(id(info))

    def lock(self, name: str) -> None:
        """Marks a part as encrypted by the document itself: it is offered as a member that cannot be opened."""
        if info := self._by_name.get(_key(name)):
            self._locked.add(id(info))

    def unlock(self, name: str, opening: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
        """From now on the part's bytes are what `opening` makes of those in the archive."""
        if info := self._by_name.get(_key(name)):
            self._opened[id(info)] = opening

    def stored(self, name: str) -> Iterator[bytes]:
        """The bytes of a part as the archive holds them, whatever the document says of them.

        Raises:
            EvidenceError: after the last piece that could be had.
        """
        info = self._by_name.get(_key(name))
        return _unpack(self.stream, info) if info else iter(())

    def size(self, name: str) -> int:
        """The unpacked size that the directory declares."""
        info = self._by_name.get(_key(name))
        return info.file_size if info else 0

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a part, piece by piece; it counts as understood.

        Raises:
            EvidenceError: after the last piece that could be had.
        """
        self.take(name)
        info = self._by_name.get(_key(name))
        return self._bytes_of(info) if info else iter(())

    def read(self, name: str, most: int = 16 * MIB) -> bytes:
        """The whole of a small part, cut at `most` bytes; trouble goes to `problems`."""
        held = bytearray()
        try:
            for piece in self.pieces(name):
                held += piece
                if len(held) > most:
                    raise EvidenceError("limit", f"more than {most} bytes where a small part was expected")
        except EvidenceError as error:
            self._note(error.cause, name, error.message)
        return bytes(held[:most])

    def events(self, name: str, prefixes: dict[str, str]) -> Iterator[Event]:
        """The XML events of a part; what was wrong with it goes to `problems`."""
        return chain.from_iterable(self.batches(name, prefixes))

    def batches(self, name: str, prefixes: dict[str, str], through: Through = iter) -> Iterator[list[Event]]:
        """The same in batches.

        Args:
            through: what the bytes go through on their way to the parser.
        """
        if name not in self:
            return
        reader = XmlReader(prefixes)
        try:
            yield from reader.batches(through(_bounded(self.pieces(name))))
        except EvidenceError as error:
            self._note(error.cause, name, error.message)
        if reader.fault:
            self._note("corrupt", name, reader.fault)

    def members(self) -> Iterator[Child]:
        """Every part that was not taken, in the order of the archive, folders left out."""
        for info in self.infos:
            if (id(info) in self._taken and id(info) not in self._locked) or info.filename.endswith("/"):
                continue
            codec = "utf-8" if info.flag_bits & 0x800 else "cp437"
            raw = info.orig_filename.encode(codec, "surrogateescape")
            opening = _refuse if id(info) in self._locked else partial(self._open, info)
            yield Child(info.filename, raw, opening, _times(info), _fields(info))

    def _bytes_of(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        pieces = _unpack(self.stream, info)
        opening = self._opened.get(id(info))
        return opening(pieces) if opening else pieces

    def _open(self, info: zipfile.ZipInfo) -> BinaryIO:
        return cast(BinaryIO, _PartFile(self._bytes_of(info)))

    def _note(self, cause: Cause, name: str, message: str) -> None:
        problem = Problem(cause, f"{name}: {message}", resolution="read up to there")
        if problem not in self.problems:
            self.problems.append(problem)


class XmlReader:
    """XML as events, with short names for the namespaces it is told.

    Args:
        prefixes: namespace -> prefix; names of other namespaces come without one.
    """

    def __init__(self, prefixes: dict[str, str]) -> None:
        self.fault = ""
        self._names = _Names(prefixes)

    def events(self, pieces: Iterable[bytes]) -> Iterator[Event]:
        """The same, one by one."""
        return chain.from_iterable(self.batches(pieces))

    def batches(self, pieces: Iterable[bytes]) -> Iterator[list[Event]]:
        """Events in document order, those of each piece; `fault` says afterwards where the XML was broken.

        Raises:
            EvidenceError: what `pieces` raises, after the events before it; or no lxml.
        """
        etree = load_lxml()
        target = _Target(self._names)
        parser = etree.XMLParser(
            target=target, recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        fed = False
        try:
            for piece in _bounded(pieces):
                if piece:
                    fed = True
                    target.expect(piece)
                    parser.feed(piece)
                yield target.drain()
            if fed:
                parser.close()
        except (etree.XMLSyntaxError, UnicodeDecodeError) as error:
            self.fault = str(error).strip()
        yield target.drain()
        fatal = [entry for entry in parser.feed_error_log if entry.level_name == "FATAL"]
        if fatal:
            self.fault = f"line {fatal[0].line}: {fatal[0].message.strip()}"


class _Names(dict[str, str]):
    """Names as the parser gives them, with the namespace in braces -> `prefix:name`."""

    def __init__(self, prefixes: dict[str, str]) -> None:
        super().__init__()
        self.plain: set[str] = set()
        """Names that stay as they are."""
        self._prefixes = prefixes

    def __missing__(self, tag: str) -> str:
        namespace, _, local = tag.rpartition("}")
        prefix = self._prefixes.get(namespace[1:], "")
        name = f"{prefix}:{local}" if prefix else local
        if len(self) < 10_000:
            self[tag] = name
            if not namespace:
                self.plain.add(tag)
        return name


class _Target:
    """What the parser calls: plain functions, because a document calls them a million times.

    Where entities are not resolved, libxml2 gives the ampersand of an attribute as the reference `&#38;`.
    """

    def __init__(self, names: _Names) -> None:
        events: list[Event] = []
        append, is_plain = events.append, names.plain.issuperset
        self._events = events
        self._chars = 0
        refers = self._refers = [False]
        self._is_quiet = self._gave = False

        def start(tag: str, attributes: Any) -> None:
            if attributes and not is_plain(attributes):
                attributes = {names[key]: value for key, value in attributes.items()}
            if attributes and refers[0]:
                attributes = {key: value.replace("&#38;", "&") for key, value in attributes.items()}
            append((START, names[tag], attributes))

        def end(tag: str) -> None:
            append((END, names[tag], _NONE))

        def data(text: str) -> None:
            self._chars += len(text)
            if self._chars <= PENDING_CHARS:
                append((DATA, text, _NONE))

        self.start, self.end, self.data = start, end, data

    def expect(self, piece: bytes) -> None:
        """The next piece: attributes are looked at from one with a reference to where a tag ends without."""
        if b"&" in piece:
            self._refers[0], self._is_quiet = True, False
        elif self._is_quiet and self._gave:
            self._refers[0] = False
        else:
            self._is_quiet = True

    def drain(self) -> list[Event]:
        """The events since the last time.

        Raises:
            EvidenceError: there is more text than one piece can honestly hold.
        """
        if self._chars > PENDING_CHARS:
            raise EvidenceError("limit", f"more than {PENDING_CHARS} characters out of {_PIECE} bytes of XML")
        ready = self._events[:]
        self._gave = bool(ready)
        self._events.clear()
        self._chars = 0
        return ready

    def close(self) -> None:
        """The document ends."""


def _bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, as long as a parser can take them in a time that grows as they do.

    libxml2 looks for the end of each tag from its start on: tags without one cost the square of their number.
    """
    total = unended = 0
    for piece in pieces:
        total += len(piece)
        if total > XML_BYTES:
            raise EvidenceError("limit", f"more than {XML_BYTES} bytes of XML")
        for start in range(0, len(piece), _WINDOW):
            ends = piece.find(b">", start, start + _WINDOW) >= 0
            unended = 0 if ends else unended + piece.count(b"<", start, start + _WINDOW)
            if unended > _UNENDED:
                raise EvidenceError("limit", f"more than {_UNENDED} tags of XML without an end")
        yield piece


def load_lxml() -> Any:
    """The `lxml.etree` module.

    Raises:
        EvidenceError: `missing-library`.
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise EvidenceError("missing-library", "lxml is needed: pip install lxml") from error
    return etree


def _refuse() -> BinaryIO:
    raise EvidenceError("encrypted", "encrypted by the document")


class _PartFile(io.RawIOBase):
    """One part as a readable stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _unpack(stream: Stream, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of one member in pieces.

    Raises:
        EvidenceError: after the last piece that could be had.
    """
    if info.flag_bits & 1:
        raise EvidenceError("encrypted", "encrypted inside the archive")
    if info.compress_type not in (0, 8):
        raise EvidenceError("unsupported", f"zip method {info.compress_type}")
    offset = info.header_offset
    header = stream.at(offset, 30) if 0 <= offset < stream.size else b""
    if len(header) < 30 or header[:4] != b"PK\3\4":
        raise EvidenceError("corrupt", f"no local header at {offset}")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    offset += 30 + name_length + extra_length
    left = info.compress_size
    inflater = zlib.decompressobj(-15) if info.compress_type else None
    checksum = 0
    while left > 0:
        packed = stream.at(offset, min(left, _PIECE))
        if not packed:
            raise EvidenceError("truncated", f"{left} packed bytes are missing")
        offset += len(packed)
        left -= len(packed)
        while packed:
            try:
                piece = inflater.decompress(packed, _PIECE) if inflater else packed
            except zlib.error as error:
                raise EvidenceError("corrupt", f"deflate: {error}") from error
            packed = inflater.unconsumed_tail if inflater else b""
            checksum = zlib.crc32(piece, checksum)
            if piece:
                yield piece
    if inflater:
        while piece := inflater.decompress(inflater.unconsumed_tail, _PIECE):
            checksum = zlib.crc32(piece, checksum)
            yield piece
        if not inflater.eof:
            raise EvidenceError("truncated", "the deflate stream has no end")
    if checksum != info.CRC:
        raise EvidenceError("corrupt", "the checksum is wrong")


def read_directory(stream: Stream) -> bytes:
    """Up to 1 MiB of the central directory, read once per item; empty where there is none."""
    directory = _directories.get(stream)
    if directory is None:
        directory = _directories[stream] = _find_directory(stream)
    return directory


def _find_directory(stream: Stream) -> bytes:
    tail = stream.at(max(0, stream.size - 22), 22)
    if not tail.startswith(b"PK\5\6"):
        tail = stream.at(max(0, stream.size - 65557), 65557)
        tail = tail[tail.rfind(b"PK\5\6") :] if b"PK\5\6" in tail else b""
    if len(tail) < 22:
        return b""
    size, offset = struct.unpack_from("<II", tail, 12)
    if offset >= stream.size:
        return b""
    directory = stream.at(offset, min(size, _DIRECTORY))
    return directory if directory.startswith(b"PK\1\2") else b""


def unpack_entry(stream: Stream, directory: bytes, at: int) -> bytes:
    """The first 256 KiB of the member whose name stands at `at` in the directory; empty where they cannot be had."""
    entry = directory[max(0, at - 46) : at]
    if len(entry) < 46 or not entry.startswith(b"PK\1\2"):
        return b""
    (method,) = struct.unpack_from("<H", entry, 10)
    (packed,) = struct.unpack_from("<I", entry, 20)
    (offset,) = struct.unpack_from("<I", entry, 42)
    header = stream.at(offset, 30)
    if len(header) < 30 or not header.startswith(b"PK\3\4"):
        return b""
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    data = stream.at(offset + 30 + name_length + extra_length, min(packed, 256 * KIB))
    if method == 8:
        try:
            data = zlib.decompressobj(-15).decompress(data, 256 * KIB)
        except zlib.error:
            return b""
    return data.replace(b"\0", b"") if data.startswith((b"\xff\xfe", b"\xfe\xff")) else data


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _times(info: zipfile.ZipInfo) -> tuple[Timestamp, ...]:
    """The member's own time; the office programs write none and leave the first day of 1980."""
    year, month, day, hour, minute, second = info.date_time
    if (year, month, day) <= _NO_DATE:
        return ()
    stamp = from_dos("M", (year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | second >> 1, "zip.dos")
    return (stamp,) if stamp else ()


def _fields(info: zipfile.ZipInfo) -> tuple[Field, ...]:
    if not info.comment:
        return ()
    return (Field("archive.comment", info.comment.decode("utf-8", "replace")),)
