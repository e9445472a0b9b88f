"""Many PDFs as one, written as they come: in memory are one of them, and the places of what is written.

Pages keep what they need (fonts, pictures) as their PDF had it. The tree of pages and the outline are made anew;
the properties are those of the PDF that comes first among the pages.

Source: ISO 32000-1, 7.3 (objects), 7.5 (file structure), 7.7.3 (page tree), 12.3.3 (outline).
Limits: joins what typst writes: a table of cross references, no object streams, lengths that stand beside their
streams, an outline of one level, no tags. Anything else is refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO

from indexer.errors import StoreError

_HEAD = b"%PDF-1.7\n%\x80\x80\x80\x80\n"
_STREAM = b">>\nstream\n"
_OBJECT_ENDS = b"\nendobj"
_ENTRY = 20  # bytes of an entry in a table of cross references
_TOGETHER = 64
"""PDFs under one node of the page tree."""
_REFERENCE = re.compile(rb"\b(\d+) 0 R\b|\(")
_LINKS = re.compile(rb"/(?:Parent|Prev|Next) \d+ 0 R")
_IN_STRING = re.compile(rb"\\.|[()]", re.DOTALL)


class _Part:
    """One of the PDFs: its objects by their numbers, and which of them hold it together."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        start = int(_found(rb"startxref\s+(\d+)\s+%%EOF\s*$", data[-64:]))
        head = re.compile(rb"xref\s+0 (\d+)\s").match(data, start)
        if head is None:
            raise StoreError("typst made a PDF without a table of cross references, which cannot be joined")
        self.size, table = int(head[1]), head.end()
        trailer = data[table + self.size * _ENTRY :]
        entries = (data[table + at * _ENTRY :][:_ENTRY] for at in range(self.size))
        self._starts = [int(entry[:10]) if entry[17:18] == b"n" else 0 for entry in entries]
        ordered = sorted({*self._starts, start})
        self._ends = dict(pairwise(ordered))
        self.ids = _found(rb"(/ID\[.*?\])>>", trailer)
        self.catalog, self.information = (_reference(name, trailer) for name in (b"Root", b"Info"))
        catalog = self.body(self.catalog)
        self.pages, self.outline, self.metadata = (
            _reference(name, catalog) for name in (b"Pages", b"Outlines", b"Metadata")
        )
        self.count = int(_found(rb"/Count (\d+)", self.body(self.pages)))
        self.entries = list(self._outlined()) if self.outline else []

    def body(self, number: int) -> bytes:
        """What stands between `obj` and `endobj`; nothing where there is no such object."""
        start = self._starts[number]
        if not start:
            return b""
        told = self._data[start : self._ends[start]].rstrip()
        head = b"%d 0 obj\n" % number
        if not (told.startswith(head) and told.endswith(_OBJECT_ENDS)):
            raise StoreError(f"typst made a PDF whose object {number} cannot be joined")
        return told[len(head) : -len(_OBJECT_ENDS)]

    def _outlined(self) -> Iterator[int]:
        """The entries of the outline, in order."""
        seen = {0}
        at = _reference(b"First", self.body(self.outline))
        while at not in seen:
            yield at
            seen.add(at)
            at = _reference(b"Next", self.body(at))


@dataclass(slots=True)
class _Node:
    """A node of the page tree, with the number and the pages of each node below."""

    number: int
    below: list[tuple[int, int]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(count for _, count in self.below)


class Joined:
    """A PDF that grows by the pages of others.

    Args:
        file: where it is written, from its beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0
        self._starts = array("Q", [0])
        self._nodes: list[_Node] = []
        self._outline: list[bytes] = []
        self._made = {name: self._new() for name in (b"Pages", b"Outlines", b"Metadata", b"Info", b"Root")}
        self._write(_HEAD)

    def add(self, data: bytes, *, first: bool = False) -> int:
        """Takes the pages of a PDF and returns how many they are.

        Args:
            first: its pages come before all others, and its properties are those of the whole. One PDF is added
                so, at any time.

        Raises:
            StoreError: it is not as typst makes them.
        """
        part = _Part(data)
        shift = len(self._starts) - 1
        self._starts.extend([0] * (part.size - 1))
        node = self._node(first=first)
        node.below.append((shift + part.pages, part.count))
        apart = {part.catalog, part.information, part.outline, part.metadata, *part.entries}
        for number in range(1, part.size):
            body = b"" if number in apart else _renumbered(part.body(number), shift)
            if number == part.pages:
                body = body.replace(b"/Type/Pages", b"/Type/Pages/Parent %d 0 R" % node.number, 1)
            if body:
                self._put(shift + number, body)
        entries = [_renumbered(_LINKS.sub(b"", part.body(each)), shift) for each in part.entries]
        if not first:
            self._outline += entries
        else:
            self._outline[:0] = entries
            self._catalog = _renumbered(part.body(part.catalog), shift)
            self._packet = part.body(part.metadata).partition(_STREAM)[2].removesuffix(b"\nendstream")
            self._ids = part.ids
            self._put(self._made[b"Info"], part.body(part.information))
        return part.count

    def end(self) -> None:
        """Writes what holds the pages together."""
        whole = _Node(self._made[b"Pages"], [(node.number, node.count) for node in self._nodes])
        for node in self._nodes:
            self._put_node(node, b"/Parent %d 0 R" % whole.number)
        self._put_node(whole)
        self._put_outline()
        packet = re.sub(rb"(?<=<xmpTPg:NPages>)\d+", b"%d" % whole.count, self._packet)
        kind = b"<</Type/Metadata/Subtype/XML/Length %d" % len(packet)
        self._put(self._made[b"Metadata"], kind + _STREAM + packet + b"\nendstream")
        catalog = re.sub(
            rb"/(Pages|Outlines|Metadata) \d+ 0 R",
            lambda match: b"/%s %d 0 R" % (match[1], self._made[match[1]]),
            self._catalog,
        )
        self._put(self._made[b"Root"], catalog)
        self._put_places()

    def _node(self, *, first: bool) -> _Node:
        """The node that the next PDF's pages belong under."""
        if first:
            self._nodes.insert(0, _Node(self._new()))
            return self._nodes[0]
        if not self._nodes or len(self._nodes[-1].below) == _TOGETHER:
            self._nodes.append(_Node(self._new()))
        return self._nodes[-1]

    def _put_node(self, node: _Node, above: bytes = b"") -> None:
        kids = b" ".join(b"%d 0 R" % number for number, _ in node.below)
        self._put(node.number, b"<</Type/Pages%s/Count %d/Kids[%s]>>" % (above, node.count, kids))

    def _put_outline(self) -> None:
        root, count = self._made[b"Outlines"], len(self._outline)
        numbers = [self._new() for _ in self._outline]
        ends = b"/First %d 0 R/Last %d 0 R" % (numbers[0], numbers[-1]) if numbers else b""
        self._put(root, b"<</Type/Outlines%s/Count %d>>" % (ends, count))
        for at, told in enumerate(self._outline):
            links = b"/Parent %d 0 R" % root
            links += b"/Prev %d 0 R" % numbers[at - 1] if at else b""
            links += b"/Next %d 0 R" % numbers[at + 1] if at + 1 < count else b""
            self._put(numbers[at], b"<<" + links + told.removeprefix(b"<<"))

    def _put_places(self) -> None:
        """Writes where everything lies; as a stream, since the places of a table have ten digits."""
        number = self._new()
        self._starts[number] = start = self._at
        packer = zlib.compressobj()
        rows = (packer.compress(struct.pack(">BQ", bool(place), place)) for place in self._starts)
        packed = b"".join((*rows, packer.flush()))
        refs = b"".join(b"/%s %d 0 R" % (name, self._made[name]) for name in (b"Root", b"Info"))
        told = b"<</Type/XRef/Size %d/W[1 8 0]%s%s" % (len(self._starts), refs, self._ids)
        told += b"/Filter/FlateDecode/Length %d" % len(packed)
        self._put(number, told + _STREAM + packed + b"\nendstream")
        self._write(b"startxref\n%d\n%%%%EOF\n" % start)

    def _new(self) -> int:
        self._starts.append(0)
        return len(self._starts) - 1

    def _put(self, number: int, body: bytes) -> None:
        self._starts[number] = self._at
        self._write(b"%d 0 obj\n%s%s\n" % (number, body, _OBJECT_ENDS))

    def _write(self, data: bytes) -> None:
        self._at += self._file.write(data)


def count_pages(data: bytes) -> int:
    """How many pages a PDF of typst has."""
    return _Part(data).count


def _renumbered(body: bytes, shift: int) -> bytes:
    """An object whose references count from further on; its strings and its stream stay as they are."""
    told, stream, rest = body.partition(_STREAM)
    pieces: list[bytes] = []
    at = 0
    while match := _REFERENCE.search(told, at):
        if match[1]:
            pieces += (told[at : match.start()], b"%d 0 R" % (int(match[1]) + shift))
            at = match.end()
        else:
            end = _end_of_string(told, match.end())
            pieces.append(told[at:end])
            at = end
    return b"".join((*pieces, told[at:], stream, rest))


def _end_of_string(told: bytes, at: int) -> int:
    """Where a string ends whose opening parenthesis is behind; parentheses in pairs stand in it as they are."""
    depth = 1
    while depth:
        match = _IN_STRING.search(told, at)
        if match is None:
            raise StoreError("typst made a PDF with a string that does not end")
        depth += {b"(": 1, b")": -1}.get(match[0], 0)
        at = match.end()
    return at


def _reference(name: bytes, told: bytes) -> int:
    """The number of the object that an entry refers to; 0 where there is no such entry."""
    match = re.search(rb"/%s (\d+) 0 R" % name, told)
    return int(match[1]) if match else 0


def _found(pattern: bytes, told: bytes) -> bytes:
    match = re.search(pattern, told, re.DOTALL)
    if match is None:
        raise StoreError("typst made a PDF in a form that cannot be joined")
    return match[1]
