"""The trees of Btrfs: super block, chunks, tree blocks with their checksums, items by key.

Source: Btrfs documentation, "On-disk Format" (btrfs.readthedocs.io).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from struct import iter_unpack, unpack_from
from typing import NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._fs_btrfs_sums import SUMS, is_sound
from indexer.handlers._fs_parts import Run, Volume

Key = tuple[int, int, int]
LAST = (1 << 64) - 1
SUPERS = (0x10000, 0x4000000, 0x4000000000)
"""Where the super block and its copies stand."""
SUPER_SIZE = 4096
MAGIC = b"_BHRfS_M"
_HEADER = 101
_STRIPED = 0x8 | 0x40 | 0x80 | 0x100
_CHUNK_ITEM = 228
_BACKUPS, _BACKUP_SIZE = 0xB2B, 168
_CACHED = 4 << 20
_MOST_CHUNKS = 1 << 18


class Pointer(NamedTuple):
    """Where a tree block stands, and what it must be."""

    place: int
    generation: int
    level: int


class Item(NamedTuple):
    """One item of a tree."""

    key: Key
    data: bytes


class Chunk(NamedTuple):
    start: int
    size: int
    kind: int
    places: tuple[int, ...]
    """Where the copies stand on this device; none where other devices hold them."""
    stripes: int

    @property
    def is_whole(self) -> bool:
        """Whether all its bytes are on this device."""
        return bool(self.places) and not self.kind & _STRIPED

    @property
    def share(self) -> int:
        """Bytes that it takes on each of its devices, at most."""
        if not self.kind & _STRIPED:
            return self.size
        lost = 2 if self.kind & 0x100 else 1 if self.kind & 0x80 else 0
        parts = self.stripes // 2 if self.kind & 0x40 else self.stripes - lost
        return self.size // max(parts, 1)


def find_super(volume: Volume) -> tuple[bytes, str]:
    """The super block, or the newest sound copy of it, and what is wrong with the first one.

    Raises:
        EvidenceError: where there is none at all.
    """
    heads = []
    for place in SUPERS:
        head = volume.at(place, SUPER_SIZE) if place < volume.size else b""
        if len(head) < SUPER_SIZE or head[0x40:0x48] != MAGIC or unpack_from("<Q", head, 0x30)[0] != place:
            continue
        kind = unpack_from("<H", head, 0xC4)[0]
        sound = kind < len(SUMS) and is_sound(head, kind)
        if sound and place == SUPERS[0]:
            return head, ""
        heads.append((sound, unpack_from("<Q", head, 0x48)[0], head))
    if not heads:
        raise EvidenceError("corrupt", "Btrfs: there is no super block")
    sound, _, head = max(heads, key=lambda each: each[:2])
    if sound:
        return head, "the super block is damaged, a copy of it was read"
    return head, "the checksum of the super block is wrong"


class Trees:
    """A file system's address space and the items of its trees.

    Attributes:
        damaged: what is wrong with tree blocks that could not be read, by their address.
        misses: how often a block was asked for that could not be read.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.head, self.trouble = find_super(volume)
        head = self.head
        self.fsid = head[0x20:0x30]
        self.generation = unpack_from("<Q", head, 0x48)[0]
        self.size, self.used = unpack_from("<QQ", head, 0x70)
        self.devices: int
        self.devices, self.unit, self.node = unpack_from("<QII", head, 0x88)
        self.kind = unpack_from("<H", head, 0xC4)[0]
        self.device = unpack_from("<Q", head, 0xC9)[0]
        powers = [1 << n for n in range(9, 17)]
        if self.unit not in powers or self.node not in powers or self.node < 1024:
            raise EvidenceError("corrupt", f"Btrfs: blocks of {self.unit} bytes, nodes of {self.node}")
        if self.kind >= len(SUMS):
            raise EvidenceError("unsupported", f"Btrfs: checksums of kind {self.kind}")
        self.damaged: dict[int, str] = {}
        self.misses = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._sound: set[int] = set()
        self._chunks: dict[int, Chunk] = {}
        self._starts: list[int] = []
        self._system(head[0x32B : 0x32B + min(unpack_from("<I", head, 0xA0)[0], 2048)])
        self._read_chunks()

    def root(self) -> Pointer:
        """The tree of roots."""
        return Pointer(unpack_from("<Q", self.head, 0x50)[0], self.generation, self.head[0xC6])

    def backups(self) -> list[Pointer]:
        """Earlier trees of roots, newest first."""
        found = set()
        for at in range(_BACKUPS, _BACKUPS + 4 * _BACKUP_SIZE, _BACKUP_SIZE):
            place, generation = unpack_from("<QQ", self.head, at)
            if place and place != self.root().place:
                found.add(Pointer(place, generation, self.head[at + 152]))
        return sorted(found, key=lambda each: -each.generation)

    def _system(self, data: bytes) -> None:
        at = 0
        while at + 17 + 48 <= len(data):
            _, kind, start = unpack_from("<QBQ", data, at)
            stripes = unpack_from("<H", data, at + 17 + 44)[0]
            if kind != _CHUNK_ITEM:
                break
            self._add(start, data[at + 17 : at + 65 + stripes * 32])
            at += 65 + stripes * 32
        self._starts = sorted(self._chunks)

    def _add(self, start: int, data: bytes) -> None:
        if len(data) < 48:
            return
        size, _, _, kind = unpack_from("<QQQQ", data)
        stripes = [unpack_from("<QQ", data, at) for at in range(48, len(data) - 31, 32)]
        stripes = stripes[: unpack_from("<H", data, 44)[0]]
        if size and start + size <= LAST:
            ours = tuple(place for device, place in stripes if device == self.device)
            self._chunks[start] = Chunk(start, size, kind, ours, len(stripes))

    def _read_chunks(self) -> None:
        head = self.head
        pointer = Pointer(unpack_from("<Q", head, 0x58)[0], unpack_from("<Q", head, 0xA4)[0], head[0xC7])
        if not self.block(pointer):
            earlier = []
            for at in range(_BACKUPS, _BACKUPS + 4 * _BACKUP_SIZE, _BACKUP_SIZE):
                place, generation = unpack_from("<QQ", head, at + 16)
                earlier.append(Pointer(place, generation, head[at + 153]))
            earlier.sort(key=lambda each: -each.generation)
            pointer = next((each for each in earlier if each.place and self.block(each, told=False)), pointer)
        for item in self.items(pointer, (256, _CHUNK_ITEM, 0), (256, _CHUNK_ITEM, LAST)):
            self._add(item.key[2], item.data)
            if len(self._chunks) > _MOST_CHUNKS:
                raise EvidenceError("limit", f"Btrfs: more than {_MOST_CHUNKS} chunks")
        self._starts = sorted(self._chunks)

    def chunks(self) -> list[Chunk]:
        """All chunks by their addresses."""
        return [self._chunks[start] for start in self._starts]

    def _chunk(self, place: int) -> Chunk | None:
        index = bisect_right(self._starts, place) - 1
        chunk = self._chunks[self._starts[index]] if index >= 0 else None
        return chunk if chunk and place < chunk.start + chunk.size else None

    def runs(self, place: int, size: int) -> Iterator[Run]:
        """Where a stretch of addresses lies on this device.

        Raises:
            EvidenceError: where it does not, at the first address that does not.
        """
        while size > 0:
            chunk = self._chunk(place)
            if chunk is None:
                raise EvidenceError("corrupt", f"no chunk holds address {place}")
            inside = place - chunk.start
            here = min(size, chunk.size - inside)
            yield Run(_copies(chunk)[0] + inside, here)
            place += here
            size -= here

    def block(self, pointer: Pointer, *, told: bool = True) -> bytes:
        """A tree block that is what its pointer says; none where there is no such block.

        Args:
            told: whether a block that is missing is damage; blocks of earlier trees may be gone.
        """
        data = self._blocks.get(pointer.place)
        if data is None:
            data, why = self._load(pointer.place)
            if not data:
                return self._miss(pointer, why, told)
            self._blocks[pointer.place] = data
            if len(self._blocks) * self.node > _CACHED:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(pointer.place)
        if unpack_from("<Q", data, 0x50)[0] != pointer.generation or data[0x64] != pointer.level:
            return self._miss(pointer, "it is another block than the one above it tells of", told)
        return data

    def _miss(self, pointer: Pointer, why: str, told: bool) -> bytes:
        self.misses += 1
        if told:
            self.damaged.setdefault(pointer.place, why)
        return b""

    def _load(self, place: int) -> tuple[bytes, str]:
        chunk = self._chunk(place)
        if chunk is None:
            return b"", "no chunk holds its address"
        why = ""
        try:
            copies = _copies(chunk)
        except EvidenceError as error:
            return b"", error.message
        for at in copies:
            data = self.volume.at(at + place - chunk.start, self.node)
            if len(data) < self.node:
                why = "it lies behind the end of the volume, or cannot be read"
            elif unpack_from("<Q", data, 0x30)[0] != place:
                why = "it is no tree block"
            elif place not in self._sound and not is_sound(data, self.kind):
                why = "its checksum is wrong"
            elif data[0x64] > 7:
                why = f"its level is {data[0x64]}"
            else:
                self._sound.add(place)
                return data, ""
        return b"", why

    def items(
        self, pointer: Pointer, low: Key = (0, 0, 0), high: Key = (LAST, 255, LAST), *,
        told: bool = True, seen: set[int] | None = None,
    ) -> Iterator[Item]:  # fmt: skip
        """The items of a tree from one key to another, both included, in their order.

        Args:
            pointer: the tree's root.
            low: the first key.
            high: the last key.
            told: whether missing blocks are damage.
            seen: blocks to step over; those that are read are added.
        """
        waiting = [pointer]
        seen = set() if seen is None else seen
        while waiting:
            here = waiting.pop()
            if here.place in seen:
                continue
            seen.add(here.place)
            data = self.block(here, told=told)
            if not data:
                continue
            count = unpack_from("<I", data, 0x60)[0]
            if not here.level:
                yield from self._leaf(data, count, low, high)
                continue
            count = min(count, (self.node - _HEADER) // 33)
            below: list[Pointer] = []
            first = _last_before(data, count, low)
            pointers = data[_HEADER + first * 33 : _HEADER + count * 33]
            for number, kind, offset, place, generation in iter_unpack("<QBQQQ", pointers):
                if (number, kind, offset) > high:
                    break
                below.append(Pointer(place, generation, here.level - 1))
            waiting += reversed(below)

    def _leaf(self, data: bytes, count: int, low: Key, high: Key) -> Iterator[Item]:
        count = min(count, (self.node - _HEADER) // 25)
        end = self.node - _HEADER
        for number, kind, offset, at, size in iter_unpack("<QBQII", data[_HEADER : _HEADER + count * 25]):
            # Bytes of items never overlap: what would be listed twice is a lie.
            if at + size > end:
                return
            end = at
            key = number, kind, offset
            if low <= key <= high:
                yield Item(key, data[_HEADER + at : _HEADER + at + size])


def _last_before(data: bytes, count: int, low: Key) -> int:
    """Which pointer of a node leads to the first item that is not before a key."""

    def key(index: int) -> Key:
        number, kind, offset = unpack_from("<QBQ", data, _HEADER + index * 33)
        return number, kind, offset

    return max(bisect_right(range(count), low, key=key) - 1, 0)


def _copies(chunk: Chunk) -> tuple[int, ...]:
    """Where the copies of a chunk begin on this device.

    Raises:
        EvidenceError: where it is striped, or lies on other devices.
    """
    if chunk.kind & _STRIPED:
        raise EvidenceError("unsupported", "the bytes are striped over several devices, which are not put together")
    if not chunk.places:
        raise EvidenceError("unsupported", "the bytes lie on another device of the file system")
    return chunk.places
