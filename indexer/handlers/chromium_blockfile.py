"""Chromium's Blockfile cache (index, data_0 to data_3, f_000001, ...): what was loaded, on Windows and macOS.

The entries lie in blocks of `data_1` and of the files that continue it; what they hold lies in blocks of its
siblings, or in a file of its own. Every block is looked at, listed or not: what was deleted is wiped as a rule,
but a browser that did not end well leaves some of it. A content coding is undone.

Source: Chromium's net/disk_cache/blockfile/disk_format.h, disk_format_base.h and addr.h (versions 2.0 to 3.0),
base/third_party/superfasthash.
Limits: certificates of the server are not given; what was loaded in parts is given in pieces of up to a MiB, with
    zeros for what was not loaded; bodies whose entry is gone are not looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, Final, NamedTuple, cast

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._chromium_cache import FIELDS, Told, read_entry
from indexer.handlers._moments import CHROME, moment
from indexer.handlers._spans import join
from indexer.handlers._web_cache import name_of
from indexer.limits import KIB
from indexer.model import Child, Fact, Field, Problem, Timestamp, replace

_INDEX: Final = bytes.fromhex("c3ca03c1")
_BLOCKS: Final = bytes.fromhex("c3ca04c1")
_HEAD: Final = 8 * KIB
_MAP: Final = 80
_ENTRY, _RANKING = 256, 36
_WORD: Final = 0xFFFFFFFF
_SIZES: Final = {0: 0, 1: _RANKING, 2: _ENTRY, 3: 1024, 4: 4096}
"""Bytes of a block, by the kind of file that an address names; 0 is a file of its own."""
_KEY_AT: Final = 96
_SUMMED: Final = 92
_LONGEST_KEY: Final = 64 * KIB
_MOST_SUMMED: Final = 4 * KIB
_STEP: Final = 256
"""Blocks that are read at a time."""


class _Entry(NamedTuple):
    """What a block says of one entry; `at` is the block's number in its file."""

    at: int
    hash: int
    ranking: int
    reused: int
    created: int
    key_size: int
    key_address: int
    sizes: tuple[int, ...]
    addresses: tuple[int, ...]


class ChromiumBlockfile(Handler):
    name = "chromium-blockfile"
    media_types = ("application/x-chromium-blockfile",)
    signatures = (Signature(_BLOCKS), Signature(_INDEX))
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "cache.entries": "number of entries: that an index counts, or that were found in a file of blocks",
        "cache.reused": "how many times the entry was used again",
        "file.deleted": "true where the blocks of the entry are free: other bytes may stand there since",
        "file.kind": "entry: what the cache tells of something of which no bytes are here",
    }
    reads = "address, times, server and headers of what was loaded; the page or file itself, unpacked"
    needs = ("brotli", "backports.zstd")
    rank = 40
    container = True
    volumes = True
    volume_names = (r"index", r"data_\d{1,3}", r"f_[0-9a-f]{6}")

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if len(stream.head) >= 64 and stream.head[6] in (2, 3) else None

    def is_volume(self, stream: Stream) -> bool:
        return stream.head.startswith((_BLOCKS, _INDEX)) or stream.name[:2].lower() == "f_"

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(_INDEX):
            yield Field("cache.entries", int.from_bytes(stream.head[8:12], "little"))
            if at := moment(int.from_bytes(stream.head[40:48], "little"), 1e-6, CHROME):
                yield Timestamp("B", at, "chromium_blockfile.create_time", 1e-6)
        elif struct.unpack_from("<i", stream.head, 12)[0] == _ENTRY:
            yield from _Cache(stream).tell()


class _Cache:
    """A file of entries, and the files beside it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._files: dict[int, Stream | None] = {}

    def tell(self) -> Iterator[Fact]:
        """Every entry as a member, in the order of the blocks."""
        count = live = 0
        for entry in self._entries():
            count += 1
            live += _is_used(self._stream, entry.at)
            yield from _give(self._read(entry), f"[entry {entry.at}]")
        yield Field("cache.entries", count)
        index = self._open("index")
        listed = int.from_bytes(index.at(8, 4), "little") if index and index.head.startswith(_INDEX) else 0
        if live < listed and self._stream.head[8:12] == b"\1\0\0\0":
            yield Problem("corrupt", f"the index lists {listed} entries, {live} are here")
        if self._stream.size % _ENTRY:
            yield Problem("truncated", "the last block is not whole")

    def _entries(self) -> Iterator[_Entry]:
        """What begins in a block whose own sum fits."""
        for start in range(_HEAD, self._stream.size, _STEP * _ENTRY):
            blocks = self._stream.at(start, _STEP * _ENTRY)
            for at in range(0, len(blocks) - _ENTRY + 1, _ENTRY):
                entry = _read_block(blocks[at : at + _ENTRY], (start - _HEAD + at) // _ENTRY)
                if entry:
                    yield entry

    def _read(self, entry: _Entry) -> Told:
        deleted = not _is_used(self._stream, entry.at)
        if entry.key_address:
            there = self._data(entry.key_address, entry.key_size)
            key = there.at(0, entry.key_size) if there else b""
        else:
            key = self._stream.at(_HEAD + entry.at * _ENTRY + _KEY_AT, entry.key_size)
        streams, problems = [], []
        if len(key) < entry.key_size or (len(key) <= _MOST_SUMMED and sum_of(key) != entry.hash):
            problems.append(Problem("corrupt", "the key does not fit its sum"))
        for number, (size, address) in enumerate(zip(entry.sizes, entry.addresses, strict=True)):
            data = self._data(address, size) if size > 0 else None
            if deleted and data and self._is_taken(address):
                data = None
                problems.append(Problem("corrupt", f"stream {number}: others were written over its {size} bytes"))
            elif size > 0 and (data is None or data.size < size):
                there_are = data.size if data else 0
                problems.append(Problem("truncated", f"stream {number}: {there_are} of {size} bytes are here"))
            # Which bytes of a body in parts are there is told by a map that begins as an index does.
            is_map = number == 2 and data is not None and data.at(8, 4) == _INDEX
            streams.append(None if is_map else data)
        told = read_entry(key, streams)
        told.problems += problems
        told.timestamps += self._times(entry)
        if entry.reused > 0:
            told.fields.append(Field("cache.reused", entry.reused))
        if deleted:
            told.fields.append(Field("file.deleted", True))
        return told

    def _times(self, entry: _Entry) -> Iterator[Timestamp]:
        """When the entry was made, and used and written last, which stands in a block of its own."""
        times = [("stored", entry.created, "creation_time")]
        node = self._data(entry.ranking, _RANKING)
        number = int.from_bytes(self._stream.head[8:10], "little") << 16 | entry.at
        if node and node.size == _RANKING and int.from_bytes(node.at(24, 3), "little") == number:
            used, written = struct.unpack("<QQ", node.at(0, 16))
            times += [("A", used, "last_used"), ("written", written, "last_modified")]
        for kind, value, name in times:
            if at := moment(value, 1e-6, CHROME):
                yield Timestamp(kind, at, f"chromium_blockfile.{name}", 1e-6)

    def _data(self, address: int, size: int) -> Stream | None:
        """Bytes at an address, fewer where they are not all there; None where its file is not."""
        kind = address >> 28 & 7
        if not address >> 31 or kind not in _SIZES:
            return None
        file, start = self._file(address), _HEAD + (address & 0xFFFF) * _SIZES[kind] if kind else 0
        return file and join(file, [(cast(BinaryIO, file), start, max(0, min(size, file.size - start)))])

    def _file(self, address: int) -> Stream | None:
        if not address >> 28 & 7:
            return self._open(f"f_{address & 0xFFFFFFF:06x}")
        number = address >> 16 & 0xFF
        if number not in self._files:
            self._files[number] = self._open(f"data_{number}")
        return self._files[number]

    def _open(self, name: str) -> Stream | None:
        file = self._stream.sibling(name)
        return Stream(file, limits=self._stream.limits, scratch=self._stream.scratch) if file else None

    def _is_taken(self, address: int) -> bool:
        """Whether the blocks at an address belong to somebody now."""
        file = self._file(address) if address >> 28 & 7 else None
        return bool(file and _is_used(file, address & 0xFFFF))


def _give(told: Told, name: str) -> Iterator[Child]:
    """The members of an entry, the first of which bears what is told of it."""
    if told.members:
        first, *rest = told.members
    else:
        words = str(next((field.value for field in told.fields if field.name in ("cache.url", "cache.key")), name))
        kind = (Field("file.kind", "entry"),)
        first, rest = Child(name_of(words), words.encode("utf-8", "surrogatepass"), None, fields=kind), []
    yield replace(
        first,
        fields=tuple(dict.fromkeys((*told.fields, *first.fields))),
        timestamps=(*told.timestamps, *first.timestamps),
        problems=(*told.problems, *first.problems),
    )
    yield from rest


def _is_used(stream: Stream, block: int) -> bool:
    """Whether a block of a file is in use, by the map in its head."""
    bits = stream.at(_MAP + block // 8, 1) if block < (_HEAD - _MAP) * 8 else b""
    return bool(bits and bits[0] >> block % 8 & 1)


def _read_block(block: bytes, at: int) -> _Entry | None:
    """The entry that begins in a block; None where there is none."""
    hashed, _, ranking, reused = struct.unpack_from("<IIIi", block)
    created, key_size, key_address, *streams = struct.unpack_from("<QiI4i4I", block, 24)
    plausible = created and 0 < key_size <= _LONGEST_KEY and ranking >> 31
    if not plausible or sum_of(block[:_SUMMED]) != int.from_bytes(block[_SUMMED:_KEY_AT], "little"):
        return None
    return _Entry(at, hashed, ranking, reused, created, key_size, key_address, tuple(streams[:4]), tuple(streams[4:]))


def sum_of(data: bytes) -> int:
    """The sum that keys and blocks are known by (SuperFastHash)."""
    total, rest = len(data), data[len(data) & ~3 :]
    for low, high in struct.iter_unpack("<HH", data[: len(data) & ~3]):
        total = total + low & _WORD
        total ^= (total << 16 ^ high << 11) & _WORD
        total = total + (total >> 11) & _WORD
    if rest:
        # The last byte counts as a signed one, if there is an odd number of them.
        last = rest[-1] - (rest[-1] << 1 & 256)
        if len(rest) > 1:
            total += int.from_bytes(rest[:2], "little")
        match len(rest):
            case 1:
                shift, back = 10, 1
                total += last
            case 2:
                shift, back = 11, 17
            case _:
                shift, back = 16, 11
        total = (total ^ total << shift) & _WORD
        if len(rest) == 3:
            total ^= last << 18 & _WORD
        total = total + (total >> back) & _WORD
    for left, right in ((3, 5), (4, 17), (25, 6)):
        total = (total ^ total << left) & _WORD
        total = total + (total >> right) & _WORD
    return total if data else 0
