"""The lowest layer of Outlook's stores: blocks of bytes found by number, and the nodes made of them.

Nothing is read ahead: a block is found by going down the tree of blocks, whose pages are kept for a
while, so that a store of many gigabytes costs little memory.

Source: [MS-PST] 2.2 (node database), 5.1 and 5.2 (how blocks are hidden); stores of Outlook 2013 and
later (version 36: pages of 4096 bytes, packed blocks) as their files show it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.model import Problem

MAGIC: Final = b"!BDN"
ANSI, UNICODE, PAGED = "ANSI", "Unicode", "Unicode, pages of 4 KiB"
_BLOCKS, _NODES = 0x80, 0x81
_LEVELS = 16
_SUBNODES = 1 << 20
_BLOCK_BYTES = 1 << 17
_TOLD = 100
_ENCODE = bytes.fromhex(
    "41361362a8216ebbf416cc047f64e85d1ef2cb2a74c55e35d295479e962d9a884c7d843fdbac31b6485ff6c4d8398be7"
    "233b388ec8c1df25b120a546604e9cfbaad35651457c550007c92b9d859b09a08fadb30f63ab894bd7a7155a716642bf"
    "264a6b98faea7753b270052cfd593a867ece06eb827857c78d43afb41cd45bcde2e9274fc3087280cfb0eff5286dbe30"
    "4d3492d50e3c2232e5e4f99fc2d10a8112e1ee918376e397e6618a1779a4b7dc907a5c8c02a6ca69de501a1193b95287"
    "58fced1d37491b6ae0293399bd6cd994f340546ff0c673b8d63e6518441fdd6710f10c19ecae03a1147ba90bfff8a3c0"
    "a201f72ebc2468750dfeba2fb5d0da3d"
)
_MIDDLE = bytes.fromhex(
    "14530f56b3c87a9ceb65481716159f02cc547c83000d0c0ba262a876dbd9edc7c5a4dcac8574d6d0a79bae9a967166c3"
    "6399b8dd73928e847da55ed15d93b1575150808952944f4e0a6bbc8d7f6e47464140440111cb033ff7f4e1a98f3c3af9"
    "fbf0193082092ec99da08649ee6f4d6dc42d813425871b88aafc06a11238fd4c4272641337246a757743ffe6b44b365c"
    "e4d8353d45b92cecb7312b290768a30e697b189e2139be281a5b78f523ca2ab0af3efe048ce7e5983295d3f64ae8a6ea"
    "e9f3d52f7020f21f0567ad5510cecde3273bdabad7c226d4911dd21c2233f8faf15aefcf90b68bb5bdc0bf08971e6ce2"
    "61e0c6c159abbb58de5fdf60797eb28a"
)
_DECODE = bytes(_ENCODE.index(byte) for byte in range(256))


class Node(NamedTuple):
    """One node: the numbers of its data, of the list of nodes below it, and of the node it hangs on."""

    number: int
    data: int
    below: int
    parent: int = 0

    @property
    def kind(self) -> int:
        """What the node is: 2 a folder, 4 a message, 5 an attachment, 8 a hidden message."""
        return self.number & 31


class _Layout(NamedTuple):
    """Where things stand in one of the three forms."""

    page: int
    counts: int
    counts_form: str
    trailer: int
    row: str
    block: str
    node: str
    roots: int
    crypt: int
    subnode: str
    subnodes_at: int
    align: int
    block_trailer: int


_LAYOUTS = {
    ANSI: _Layout(512, 496, "<BBBB", 500, "<III", "<IIHH", "<IIII", 184, 461, "<III", 4, 64, 12),
    UNICODE: _Layout(512, 488, "<BBBB", 496, "<QQQ", "<QQHH4x", "<QQQI4x", 216, 513, "<QQQ", 8, 64, 16),
    PAGED: _Layout(4096, 4056, "<HHBB", 4072, "<QQQ", "<QQHH4x", "<QQQI4x", 216, 513, "<QQQ", 8, 512, 24),
}


class Store:
    """The blocks and nodes of a store; `problems` and how many `faults` there were.

    Raises:
        EvidenceError: if the header is not whole or its version is not known.
    """

    def __init__(self, stream: Stream) -> None:
        head = stream.at(0, 564)
        if len(head) < 564:
            raise EvidenceError("truncated", "the header is not whole")
        self.version = int.from_bytes(head[10:12], "little")
        if self.version not in (14, 15, 23, 36, 37):
            raise EvidenceError("unsupported", f"version {self.version} of the store")
        self.form = ANSI if self.version < 23 else UNICODE if self.version == 23 else PAGED
        self.wide = self.form != ANSI
        self.client = head[8:10]
        layout = self._layout = _LAYOUTS[self.form]
        self.crypt = head[layout.crypt]
        number = "Q" if self.wide else "I"
        _, self._node_root, _, self._block_root = struct.unpack_from(f"<4{number}", head, layout.roots)
        (self.declared_size,) = struct.unpack_from(f"<{number}", head, 184 if self.wide else 168)
        # No value holds more than the whole file; where blocks are packed, than it can unpack to.
        self.room = stream.size * (100 if self.form == PAGED else 1)
        self.problems: list[Problem] = []
        self.faults = 0
        self._stream = stream
        self._page = lru_cache(maxsize=1024)(self._read_page)
        self._subnodes = lru_cache(maxsize=64)(self._read_subnodes)
        self._table = lru_cache(maxsize=256)(_cyclic_table)

    # -- the two trees -------------------------------------------------------------------------

    def _read_page(self, offset: int, kind: int) -> tuple[int, list[tuple[int, ...]]]:
        """Level and rows of one page."""
        layout = self._layout
        page = self._stream.at(offset, layout.page)
        if len(page) < layout.page:
            raise EvidenceError("truncated", f"a page at {offset} lies behind the end")
        if page[layout.trailer] != kind or page[layout.trailer + 1] != kind:
            raise EvidenceError("corrupt", f"no page of the expected kind at {offset}")
        count, _, size, level = struct.unpack_from(layout.counts_form, page, layout.counts)
        form = layout.row if level else layout.block if kind == _BLOCKS else layout.node
        if not self._fits(page[: layout.trailer], page[layout.trailer :]):
            self._tell(f"a page at {offset} is not what its checksum says")
        if level > _LEVELS or size < struct.calcsize(form) or count * size > layout.counts:
            raise EvidenceError("corrupt", f"a page at {offset} contradicts itself")
        return level, [struct.unpack_from(form, page, row * size) for row in range(count)]

    def _fits(self, data: bytes, trailer: bytes) -> bool:
        told = int.from_bytes(trailer[4:8] if self.wide else trailer[8:12], "little")
        return zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF == told

    def _tell(self, message: str) -> None:
        self.faults += 1
        problem = Problem("corrupt", message, resolution="read all the same")
        if len(self.problems) < _TOLD and problem not in self.problems:
            self.problems.append(problem)

    def _find(self, root: int, kind: int, wanted: int) -> tuple[int, ...] | None:
        offset, above = root, _LEVELS + 1
        while True:
            level, rows = self._page(offset, kind)
            if level >= above:
                raise EvidenceError("corrupt", f"the page at {offset} stands above itself")
            above = level
            if not level:
                return next((row for row in rows if row[0] & 0xFFFFFFFFFFFFFFFE == wanted), None)
            offset = next((row[2] for row in reversed(rows) if row[0] & 0xFFFFFFFFFFFFFFFE <= wanted), -1)
            if offset < 0:
                return None

    def node(self, number: int) -> Node | None:
        """The node of that number.

        Raises:
            EvidenceError: if the tree of nodes is damaged on the way to it.
        """
        offset, above = self._node_root, _LEVELS + 1
        while True:
            level, rows = self._page(offset, _NODES)
            if level >= above:
                raise EvidenceError("corrupt", f"the page at {offset} stands above itself")
            above = level
            if not level:
                row = next((row for row in rows if row[0] & 0xFFFFFFFF == number), None)
                return Node(row[0] & 0xFFFFFFFF, row[1], row[2], row[3]) if row else None
            offset = next((row[2] for row in reversed(rows) if row[0] & 0xFFFFFFFF <= number), -1)
            if offset < 0:
                return None

    def nodes(self) -> Iterator[Node]:
        """Every node in the order of the tree; what stops a branch goes to `problems`."""
        waiting, seen = [self._node_root], {self._node_root}
        while waiting:
            # A page that cannot be read takes its own nodes with it, and no others.
            try:
                level, rows = self._page(waiting.pop(), _NODES)
            except EvidenceError as error:
                self._tell(error.message)
                continue
            if level:
                below = [row[2] for row in reversed(rows) if row[2] not in seen]
                seen.update(below)
                waiting += below
            else:
                yield from (Node(row[0] & 0xFFFFFFFF, row[1], row[2], row[3]) for row in rows)

    # -- blocks --------------------------------------------------------------------------------

    def block(self, number: int) -> bytes:
        """The bytes of one block.

        Raises:
            EvidenceError: if it is not there, or not whole.
        """
        number &= 0xFFFFFFFFFFFFFFFE
        row = self._find(self._block_root, _BLOCKS, number)
        if row is None:
            raise EvidenceError("corrupt", f"block {number:#x} is in no list")
        _, offset, size, full = row
        layout = self._layout
        room = -(-(size + layout.block_trailer) // layout.align) * layout.align
        held = self._stream.at(offset, room)
        data = held[:size]
        if len(data) < size:
            raise EvidenceError("truncated", f"block {number:#x} lies behind the end")
        if len(held) == room and not self._fits(data, held[-layout.block_trailer :]):
            self._tell(f"block {number:#x} is not what its checksum says")
        if self.form == PAGED and full != size:
            data = _unpacked(data, number)
        if number & 2 or not self.crypt:
            return data
        return data.translate(_DECODE) if self.crypt == 1 else self._undo_cyclic(data, number)

    def _undo_cyclic(self, data: bytes, number: int) -> bytes:
        key = (number ^ number >> 16) & 0xFFFF
        out = bytearray(len(data))
        for at, byte in enumerate(data):
            low = key & 255
            out[at] = (self._table(key >> 8)[(byte + low) & 255] - low) & 255
            key = (key + 1) & 0xFFFF
        return bytes(out)

    def size(self, number: int) -> int:
        """How many bytes stand behind a number of data, as its list or its block says."""
        if not number:
            return 0
        data = self.block(number)
        return int.from_bytes(data[4:8], "little") if number & 2 and data[:1] == b"\1" else len(data)

    def pieces(self, number: int) -> Iterator[bytes]:
        """The bytes behind a number of data, block by block.

        Raises:
            EvidenceError: where a block is missing, or a list of blocks leads in circles.
        """
        waiting = [(number, 3)] if number else []
        step = 8 if self.wide else 4
        while waiting:
            place, above = waiting.pop()
            data = self.block(place)
            if not place & 2:
                yield data
                continue
            if len(data) < 8 or data[0] != 1 or not 0 < data[1] < above:
                raise EvidenceError("corrupt", f"block {place:#x} is no list of blocks")
            count = min(int.from_bytes(data[2:4], "little"), (len(data) - 8) // step)
            level = data[1]
            listed = struct.unpack_from(f"<{count}{'Q' if self.wide else 'I'}", data, 8)
            waiting += [(each, level) for each in reversed(listed)]

    def read(self, number: int, most: int) -> bytes:
        """The same at once.

        Raises:
            EvidenceError: if there is more than `most`, or a block cannot be read.
        """
        held = bytearray()
        for piece in self.pieces(number):
            held += piece
            if len(held) > most:
                raise EvidenceError("limit", f"a value of more than {most} bytes")
        return bytes(held)

    def subnodes(self, number: int) -> dict[int, Node]:
        """The nodes below a node, by number.

        Raises:
            EvidenceError: where their list is damaged.
        """
        return self._subnodes(number & 0xFFFFFFFFFFFFFFFE) if number else {}

    def _read_subnodes(self, number: int) -> dict[int, Node]:
        found: dict[int, Node] = {}
        waiting, seen = [number], {number}
        layout = self._layout
        size = struct.calcsize(layout.subnode)
        while waiting:
            data = self.block(waiting.pop())
            if len(data) < layout.subnodes_at or data[0] != 2:
                raise EvidenceError("corrupt", f"block {number:#x} is no list of nodes")
            count = int.from_bytes(data[2:4], "little")
            leaf = not data[1]
            form, step = (layout.subnode, size) if leaf else (layout.subnode[:-1], size * 2 // 3)
            for at in range(layout.subnodes_at, min(layout.subnodes_at + count * step, len(data) - step + 1), step):
                row = struct.unpack_from(form, data, at)
                if leaf:
                    found[row[0] & 0xFFFFFFFF] = Node(row[0] & 0xFFFFFFFF, row[1], row[2])
                elif row[1] not in seen:
                    seen.add(row[1])
                    waiting.append(row[1])
            if len(found) > _SUBNODES:
                raise EvidenceError("limit", f"more than {_SUBNODES} nodes below one")
        return found


def _cyclic_table(high: int) -> bytes:
    """The three tables of the cyclic cipher as one, for one upper half of its counter."""
    return bytes(_DECODE[(_MIDDLE[(_ENCODE[byte] + high) & 255] - high) & 255] for byte in range(256))


def _unpacked(data: bytes, number: int) -> bytes:
    packed = zlib.decompressobj()
    try:
        return packed.decompress(data, _BLOCK_BYTES)
    except zlib.error as error:
        raise EvidenceError("corrupt", f"block {number:#x} does not unpack: {error}") from error
