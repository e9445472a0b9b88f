"""The disk inside an AFF4 container: a map over streams of packed chunks, described in Turtle.

Source: "AFF4 Standard" 1.0a, Schatz and Cohen, 2017; W3C "Turtle", 2014, as far as containers use it.
"""

from __future__ import annotations

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._ewf import inflate
from indexer.handlers._image import BlockImage, FileImage, Image, MissingImage, read_exactly
from indexer.handlers._image_parents import ParentOf
from indexer.handlers._snappy import Wrong
from indexer.handlers._snappy import unpack as unpack_snappy
from indexer.handlers._zip_records import DEFLATED, LOCAL, STORED, Header, Window, find_archive, read_central
from indexer.limits import MIB

SCHEMA = "http://aff4.org/Schema#"
IMAGES = ("DiskImage", "VolumeImage", "ContiguousImage", "DiscontiguousImage", "MemoryImage", "Image")
MOST_TEXT = 16 * MIB
MOST_ENTRIES = 1 << 20
MOST_CHUNK = 64 * MIB
MOST_MEMBERS = 4_000_000
ENTRY = struct.Struct("<QQQI")
INDEX = struct.Struct("<QI")
_TOKEN = re.compile(
    r'\s+|#[^\n]*|<([^<>"\s]*)>|"((?:[^"\\\n]|\\.)*)"(?:@[\w-]+)?|'
    r"(@prefix)|([\w-]*:[\w%/-]*(?:\.[\w%/-]+)*)|([;,.\[\]()])|(\^\^)|([\w+-]+(?:\.\d+)?)"
)
Graph = dict[str, dict[str, list[str]]]
"""Subject, predicate, objects; the schema's own prefix is taken off."""


class Spot(NamedTuple):
    """A run of the map: where it begins on the disk, how long it is, and where it leads."""

    start: int
    size: int
    target_at: int
    target: int


class Container(Struct):
    """The members of a container by their decoded names, and what its Turtle tells."""

    stream: Stream
    ident: str = ""
    members: dict[str, Header] = field(default_factory=dict)
    origin: int = 0
    graph: Graph = field(default_factory=dict)

    def find(self, urn: str, tail: str = "") -> Header | None:
        """The member that holds a stream, or a part of one; names are whole or relative to the container."""
        names = (urn + tail, (urn + tail).removeprefix(f"{self.ident}/"), (urn + tail).removeprefix("aff4://"))
        return next((self.members[name] for name in names if name in self.members), None)

    def place(self, header: Header) -> int:
        """Where the bytes of a member begin."""
        local = self.stream.at(header.offset + self.origin, 30)
        if len(local) < 30 or not local.startswith(LOCAL):
            raise EvidenceError("corrupt", f"AFF4: no member at {header.offset}")
        name, extra = struct.unpack_from("<HH", local, 26)
        return header.offset + self.origin + 30 + int(name) + int(extra)

    def read(self, urn: str, tail: str = "", most: int = MOST_TEXT) -> bytes:
        """A small member whole; empty where it is not there."""
        header = self.find(urn, tail)
        if header is None or header.method not in (STORED, DEFLATED):
            return b""
        data = self.stream.at(self.place(header), min(header.packed, most))
        if header.method == STORED:
            return data
        try:
            return zlib.decompressobj(-15).decompress(data, most)
        except zlib.error:
            return b""

    def value(self, subject: str, predicate: str) -> str:
        """The first object of a statement, or an empty string."""
        return next(iter(self.graph.get(subject, {}).get(predicate, ())), "")

    def number(self, subject: str, predicate: str) -> int:
        """The same as a number, 0 where it is none."""
        text = self.value(subject, predicate)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def is_image(stream: Stream) -> bool:
    """Whether this is a container with a disk in it; one with mere files is a zip like any other."""
    told = b"container.description" in stream.head[:128] or b"aff4://" in stream.at(max(0, stream.size - 256), 256)
    if not told or not stream.head.startswith(LOCAL):
        return False
    try:
        return bool(disk_of(read_container(stream)))
    except EvidenceError:
        return False


def read_container(stream: Stream) -> Container:
    """The directory of the zip, and what the Turtle in it tells.

    Raises:
        EvidenceError: where there is no directory.
    """
    archive = find_archive(stream, stream.size)
    if archive is None:
        raise EvidenceError("truncated", "AFF4: the directory of the zip is not there")
    found = Container(stream, archive.comment.split(b"\0")[0].decode("ascii", "replace"), origin=archive.base)
    window = Window(stream)
    at = archive.central
    while at < archive.central_end and len(found.members) < MOST_MEMBERS:
        header = read_central(window, at)
        if header is None:
            break
        found.members.setdefault(unquote(header.raw.decode("utf-8", "replace")), header)
        at = header.end
    if not found.ident.startswith("aff4://"):
        found.ident = found.read("container.description").decode("ascii", "replace").strip(" \0\r\n")
    found.graph = read_turtle(found.read("information.turtle").decode("utf-8", "replace"))
    return found


def read_turtle(text: str) -> Graph:
    """Statements with plain subjects and objects; what is nested in brackets is left out."""
    graph: Graph = {}
    prefixes: dict[str, str] = {}
    statement: list[str] = []
    depth = 0
    for kind, word in _tokens(text):
        if kind == "punctuation" and word in "[]()":
            depth = depth + 1 if word in "[(" else max(0, depth - 1)
        elif depth:
            continue
        elif kind == "prefix":
            statement = ["@prefix"]
        elif statement[:1] == ["@prefix"]:
            if kind == "punctuation":
                if len(statement) == 3:
                    prefixes[statement[1].rstrip(":")] = statement[2]
                statement = []
            else:
                statement.append(word)
        elif kind == "punctuation":
            if len(statement) >= 3:
                graph.setdefault(statement[0], {}).setdefault(statement[1], []).append(statement[2])
            statement = statement[: {".": 0, ";": 1, ",": 2}[word]]
        else:
            statement.append(_expand(word, prefixes) if kind == "name" else word.removeprefix(SCHEMA))
    return graph


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    kinds = ("", "iri", "literal", "prefix", "name", "punctuation", "type", "word")
    for match in _TOKEN.finditer(text):
        if match.lastindex:
            yield kinds[match.lastindex], match[match.lastindex]


def _expand(name: str, prefixes: dict[str, str]) -> str:
    front, _, rest = name.partition(":")
    return (prefixes[front] + rest).removeprefix(SCHEMA) if front in prefixes else name


def disk_of(container: Container) -> tuple[str, str] | None:
    """The image that a container holds, and the stream with its bytes; the first where there are several."""
    kinds = {subject: _kinds(each) for subject, each in container.graph.items()}
    for wanted in IMAGES:
        for subject in sorted(kinds):
            stream = container.value(subject, "dataStream")
            if wanted in kinds[subject] and stream and "FileImage" not in kinds[subject]:
                return subject, stream
    return None


def _kinds(statements: dict[str, list[str]]) -> list[str]:
    return [
        each for key in ("a", "http://www.w3.org/1999/02/22-rdf-syntax-ns#type") for each in statements.get(key, ())
    ]


def open_image(stream: Stream, parent_of: ParentOf | None = None) -> Image:
    """The disk of a container.

    Raises:
        EvidenceError: where none is described.
    """
    container = read_container(stream)
    found = disk_of(container)
    if found is None:
        raise EvidenceError("unsupported", "AFF4: no disk is described")
    return open_stream(container, found[1])


def open_stream(container: Container, urn: str) -> Image:
    """The bytes of a map, or of a stream of chunks."""
    if "Map" in _kinds(container.graph.get(urn, {})) or container.find(urn, "/map"):
        return _Map(container, urn)
    return _target(container, urn, container.number(urn, "size"))


def _target(container: Container, urn: str, size: int) -> Image:
    name = urn.removeprefix(SCHEMA).removeprefix("aff4:")
    if name == "Zero":
        return _Filled(size, b"\0")
    if re.fullmatch(r"SymbolicStream[0-9A-Fa-f]{2}", name):
        return _Filled(size, bytes.fromhex(name[-2:]))
    if name in ("UnreadableData", "UnknownData"):
        return MissingImage(size, f"AFF4: {name}: not read when the image was made")
    if "ImageStream" in _kinds(container.graph.get(urn, {})):
        return _Chunks(container, urn)
    header = container.find(urn)
    if header is not None and header.method == STORED:
        return FileImage(container.stream, container.place(header), header.size)
    return MissingImage(size, f"AFF4: the stream {urn} is not in this container")


class _Filled(Image):
    """One byte over and over."""

    def __init__(self, size: int, fill: bytes) -> None:
        super().__init__(size)
        self._fill = fill

    def read_at(self, offset: int, length: int) -> bytes:
        return self._fill * max(0, min(length, self.size - offset)) if offset >= 0 else b""

    def data_from(self, offset: int) -> int:
        return self.size if self._fill == b"\0" else min(offset, self.size)


class _Map(Image):
    """Runs of a disk that lead into streams; zeros between them."""

    def __init__(self, container: Container, urn: str) -> None:
        raw = container.read(urn, "/map", MOST_ENTRIES * ENTRY.size)
        runs = [Spot(*each) for each in ENTRY.iter_unpack(raw[: len(raw) // ENTRY.size * ENTRY.size])]
        super().__init__(container.number(urn, "size") or max((each.start + each.size for each in runs), default=0))
        self._runs = sorted(each for each in runs if each.size)
        self._starts = [each.start for each in self._runs]
        names = container.read(urn, "/idx").decode("utf-8", "replace").split("\n")
        self._targets = [_target(container, name.strip(), self.size) for name in names if name.strip()]

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < 0:
            return b""
        length = min(length, self.size - offset)
        pieces: list[bytes] = []
        while length > 0:
            number = bisect_right(self._starts, offset) - 1
            run = self._runs[number] if number >= 0 else Spot(0, 0, 0, 0)
            inside = run.start + run.size - offset
            if inside > 0:
                wanted = min(length, inside)
                piece = self._read_run(run, offset - run.start, wanted)
            else:
                following = self._starts[number + 1] if number + 1 < len(self._starts) else self.size
                wanted = min(length, max(1, following - offset))
                piece = bytes(wanted)
            pieces.append(piece)
            offset += wanted
            length -= wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_run(self, run: Spot, at: int, wanted: int) -> bytes:
        if run.target >= len(self._targets):
            raise EvidenceError("corrupt", f"AFF4: the map leads to stream {run.target} of {len(self._targets)}")
        target = self._targets[run.target]
        if isinstance(target, _Filled):
            return target.read_at(0, wanted).ljust(wanted, b"\0")
        data = target.read_at(run.target_at + at, wanted)
        if len(data) < wanted:
            raise EvidenceError("truncated", f"AFF4: the map leads behind the end of a stream, at {run.target_at + at}")
        return data

    def data_from(self, offset: int) -> int:
        """The first offset that a run covers with something other than zeros."""
        number = max(0, bisect_right(self._starts, offset) - 1)
        while number < len(self._runs):
            run = self._runs[number]
            zeros = run.target < len(self._targets) and self._targets[run.target].data_from(0) >= self.size
            if run.start + run.size > offset and not zeros:
                return min(max(offset, run.start), self.size)
            number += 1
        return self.size


class _Chunks(BlockImage):
    """A stream of chunks, packed one by one, so many to a member."""

    def __init__(self, container: Container, urn: str) -> None:
        chunk = container.number(urn, "chunkSize")
        self._per_member = container.number(urn, "chunksInSegment")
        if not 512 <= chunk <= MOST_CHUNK or not 0 < self._per_member <= 1 << 20:
            raise EvidenceError("corrupt", f"AFF4: {self._per_member} chunks of {chunk} bytes in a member")
        super().__init__(container.number(urn, "size"), chunk)
        self._container = container
        self._urn = urn
        self._method = container.value(urn, "compressionMethod")
        self._index = lru_cache(16)(self._read_index)
        self._chunk = lru_cache(max(4, min(64, 8 * MIB // chunk)))(self._read_chunk)

    def absent(self, index: int) -> int:
        # A container cannot hold more members with chunks than it has members.
        last = len(self._container.members) * self._per_member
        return max(1, self.size // self.block + 1 - index) if index >= last else 0

    def fetch(self, index: int, start: int, length: int) -> bytes:
        return self._chunk(index)[start : start + length].ljust(length, b"\0")

    def _read_index(self, number: int) -> tuple[int, bytes]:
        """Where a member with chunks begins, and its index."""
        header = self._container.find(self._urn, f"/{number:08}")
        if header is None or header.method != STORED:
            raise EvidenceError("truncated", f"AFF4: the member {number:08} of a stream is not there")
        index = self._container.read(self._urn, f"/{number:08}.index", self._per_member * INDEX.size)
        return self._container.place(header), index

    def _read_chunk(self, index: int) -> bytes:
        member, number = divmod(index, self._per_member)
        start, listed = self._index(member)
        entry = listed[number * INDEX.size : (number + 1) * INDEX.size]
        if len(entry) < INDEX.size:
            raise EvidenceError("truncated", f"AFF4: no entry tells of chunk {index}")
        at, size = INDEX.unpack(entry)
        if size > self.block:
            raise EvidenceError("corrupt", f"AFF4: chunk {index} of {size} bytes")
        data = read_exactly(self._container.stream, start + at, size)
        wanted = min(self.block, self.size - index * self.block)
        # A chunk that did not shrink is kept as it is, whatever the method.
        data = data if size == self.block else unpack(data, self._method, self.block)
        if len(data) < wanted:
            raise EvidenceError("corrupt", f"AFF4: chunk {index} does not unpack")
        return data


def unpack(data: bytes, method: str, most: int) -> bytes:
    """The content of a chunk, empty where it does not unpack.

    Raises:
        EvidenceError: for a method that is not known, or whose library is not there.
    """
    name = method.lower()
    if not name or "null" in name:
        return data
    if "rfc1950" in name or "zlib" in name:
        return inflate(data, most)
    if "snappy" in name:
        return _unpack_snappy(data, most)
    if "lz4" in name:
        return _unpack_lz4(data, most)
    if "rfc1951" in name or "deflate" in name:
        try:
            return zlib.decompressobj(-15).decompress(data, most)
        except zlib.error:
            return b""
    raise EvidenceError("unsupported", f"AFF4: compression method {method}")


def _unpack_snappy(data: bytes, most: int) -> bytes:
    try:
        return unpack_snappy(data, most)
    except Wrong:
        return b""


def _unpack_lz4(data: bytes, most: int) -> bytes:
    try:
        from lz4 import block
    except ImportError as error:
        raise EvidenceError("missing-library", "AFF4: lz4: pip install lz4") from error
    # Some programs write the content's length before the block, as liblz4's wrapper for Python does.
    sized = int.from_bytes(data[:4], "little") == most
    try:
        return bytes(block.decompress(data[4 * sized :], uncompressed_size=most))
    except block.LZ4BlockError:
        return b""
