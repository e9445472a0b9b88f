"""AZO, the packing of ALZip's own: LZ77 with a binary range coder and models that learn; about 50 KB a second.

Every block starts with models that know nothing. A literal is coded under the byte before it, by a
fine and a coarse model of which the luckier one decides; a match is one of the last 128, or a
distance and a length.

Source: OctopusET, "EGG Archive Format Specification" 1.0, appendix A.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from indexer.errors import EvidenceError
from indexer.limits import MIB

MOST_BLOCK = 256 * MIB
PIECE = 64 * 1024
HALF, FULL = 0x40000000, 0xFFFFFFFF
FLAG_BITS, TREE_BITS = 12, 10
LEARN_FLAG, LEARN_TREE = FLAG_BITS - 6, TREE_BITS - 6
RECENT = 128
X86 = 1


def _table(first: int, plain: int, step: int) -> tuple[list[int], list[int]]:
    """128 base values and the number of bits that are added to each."""
    extra = [max(0, code - plain) // step for code in range(128)]
    bases = [first]
    for bits in extra[:-1]:
        bases.append(bases[-1] + (1 << bits))
    return bases, extra


DISTANCES, DISTANCE_BITS = _table(1, 16, 4)
LENGTHS, LENGTH_BITS = _table(2, 32, 8)


class Coder:
    """The range decoder over one block; zeros follow its last byte."""

    def __init__(self, data: bytes) -> None:
        self._data = data + bytes(8)
        self._bits = 32
        self._most = 8 * len(data) + 64
        self._low, self._up = 0, FULL
        self._tag = int.from_bytes(self._data[:4], "big")

    def decide(self, zeros: int, width: int) -> int:
        """One bit, which is 0 in `zeros` of 2**width cases."""
        span = self._up - self._low + 1 >> width
        edge = self._low + span * zeros
        if self._tag >= edge:
            self._low = edge
            self._settle()
            return 1
        self._up = edge - 1
        self._settle()
        return 0

    def number(self, width: int) -> int:
        """A number of `width` bits, all of them equally likely."""
        span = self._up - self._low + 1 >> width
        value = (self._tag - self._low) // span
        if value >> width:
            raise EvidenceError("corrupt", "AZO: a number is larger than can be")
        self._low += span * value
        self._up = self._low + span - 1
        self._settle()
        return value

    def _settle(self) -> None:
        low, up = self._low, self._up
        if same := 32 - (low ^ up).bit_length():
            low = low << same & FULL
            up = (up << same | (1 << same) - 1) & FULL
            self._tag = (self._tag << same & FULL) | self._take(same)
        while low & HALF and not up & HALF:
            low = low << 1 & FULL >> 1
            up = (up << 1 | 1 | 1 << 31) & FULL
            self._tag = ((self._tag << 1 | self._take(1)) ^ 1 << 31) & FULL
        self._low, self._up = low, up

    def _take(self, count: int) -> int:
        end = self._bits + count
        if end > self._most:
            raise EvidenceError("truncated", "AZO: the packed data end too early")
        last = end + 7 >> 3
        word = int.from_bytes(self._data[self._bits >> 3 : last], "big")
        self._bits = end
        return word >> 8 * last - end & (1 << count) - 1


class Flag:
    """A yes or no under the last eight answers."""

    def __init__(self) -> None:
        self._past = 0
        self._zeros = [1 << FLAG_BITS - 1] * 256

    def decode(self, coder: Coder) -> int:
        """0 or 1."""
        zeros = self._zeros[self._past]
        bit = coder.decide(zeros, FLAG_BITS)
        self._zeros[self._past] += -(zeros >> LEARN_FLAG) if bit else (1 << FLAG_BITS) - zeros >> LEARN_FLAG
        self._past = (self._past << 1 | bit) & 0xFF
        return bit


class Tree:
    """A number of a few bits, each under those before it."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._zeros = [1 << TREE_BITS - 1] * (1 << width)

    def decode(self, coder: Coder) -> int:
        """A number of the tree's width."""
        node, zeros = 1, self._zeros
        for _ in range(self._width):
            each = zeros[node]
            bit = coder.decide(each, TREE_BITS)
            zeros[node] = each - (each >> LEARN_TREE) if bit else each + ((1 << TREE_BITS) - each >> LEARN_TREE)
            node = node << 1 | bit
        return node - (1 << self._width)

    def learn(self, value: int) -> None:
        """What decoding `value` would have taught it."""
        node, zeros = 1, self._zeros
        for shift in range(self._width - 1, -1, -1):
            bit = value >> shift & 1
            each = zeros[node]
            zeros[node] = each - (each >> LEARN_TREE) if bit else each + ((1 << TREE_BITS) - each >> LEARN_TREE)
            node = node << 1 | bit

    def compare(self, other: Tree, value: int) -> int:
        """1 where this one thinks `value` likelier than the other does, -1 where less, 0 where they agree."""
        mine, theirs, node = 1, 1, 1
        for shift in range(self._width - 1, -1, -1):
            bit = value >> shift & 1
            if (mine | theirs) & 0xFFC00000:
                mine, theirs = mine >> TREE_BITS, theirs >> TREE_BITS
            first, second = self._zeros[node], other._zeros[node]
            mine = mine * ((1 << TREE_BITS) - first if bit else first) & FULL
            theirs = theirs * ((1 << TREE_BITS) - second if bit else second) & FULL
            node = node << 1 | bit
        return (mine > theirs) - (mine < theirs)


class Pair:
    """A fine and a coarse model for each context; the one that was luckier there decides."""

    def __init__(self, contexts: int, width: int, shift: int) -> None:
        self._fine = [Tree(width) for _ in range(contexts)]
        self._coarse = [Tree(width) for _ in range(contexts >> shift)]
        self._luck = [0] * contexts
        self._shift = shift

    def decode(self, coder: Coder, context: int) -> int:
        """A number of the models' width."""
        fine, coarse = self._fine[context], self._coarse[context >> self._shift]
        decides, learns = (fine, coarse) if self._luck[context] >= 0 else (coarse, fine)
        value = decides.decode(coder)
        learns.learn(value)
        self._luck[context] += fine.compare(coarse, value)
        return value


class Matches:
    """Distances and lengths."""

    def __init__(self) -> None:
        self._again, self._old_distance, self._old_place = Flag(), Flag(), Flag()
        self._distances, self._places = [1, 2], [0, 1]
        self._distance_at, self._place_at = Tree(1), Tree(1)
        self._distance, self._place = Tree(7), Tree(7)
        self._length = Pair(128, 7, 4)
        self._recent = [(0, 2 + number) for number in range(RECENT)]

    def decode(self, coder: Coder, at: int) -> tuple[int, int]:
        """How far back, and how many bytes."""
        if self._again.decode(coder):
            place = _choose(coder, self._old_place, self._place_at, self._places)
            if place is None:
                place = self._place.decode(coder)
                self._places = [place, self._places[0]]
            start, length = self._recent.pop(place)
            self._recent.insert(0, (start, length))
            return at - start, length
        distance = _choose(coder, self._old_distance, self._distance_at, self._distances)
        if distance is None:
            code = self._distance.decode(coder)
            distance = DISTANCES[code] + (coder.number(DISTANCE_BITS[code]) if DISTANCE_BITS[code] else 0)
            self._distances = [distance, self._distances[0]]
        code = self._length.decode(coder, bisect_right(DISTANCES, distance) - 1)
        length = LENGTHS[code] + (coder.number(LENGTH_BITS[code]) if LENGTH_BITS[code] else 0)
        self._recent.insert(0, (at, length))
        self._recent.pop()
        return distance, length


def _choose(coder: Coder, flag: Flag, which: Tree, held: list[int]) -> int | None:
    """One of the last two values, which moves to the front, or None where it is a new one."""
    if not flag.decode(coder):
        return None
    value = held.pop(which.decode(coder))
    held.insert(0, value)
    return value


def decode_block(coder: Coder, size: int) -> Iterator[bytes]:
    """The unpacked bytes of one block, in pieces."""
    literals, flag, matches = Pair(256, 8, 5), Flag(), Matches()
    out = bytearray((literals.decode(coder, 0),))
    given = 0
    while len(out) < size:
        if not flag.decode(coder):
            out.append(literals.decode(coder, out[-1]))
        else:
            distance, length = matches.decode(coder, len(out))
            if not 0 < distance <= len(out):
                raise EvidenceError("corrupt", "AZO: a match points before the beginning")
            length = min(length, size - len(out))
            start = len(out) - distance
            out += (out[start : start + length] * (length // distance + 1))[:length]
        if len(out) - given >= PIECE:
            yield bytes(out[given:])
            given = len(out)
    yield bytes(out[given:])


def decode(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The unpacked bytes of a stream of blocks.

    Raises:
        EvidenceError: after the last good byte.
    """
    held = b""

    def take(count: int) -> bytes:
        nonlocal held
        parts, size = [held], len(held)
        while size < count:
            part = next(pieces, b"")
            if not part:
                raise EvidenceError("truncated", "AZO: the packed data end too early")
            parts.append(part)
            size += len(part)
        held = b"".join(parts)
        taken, held = held[:count], held[count:]
        return taken

    version, flags = take(2)
    if version != 0x31:
        raise EvidenceError("unsupported", f"AZO: version {version:#04x}")
    while True:
        head = take(12)
        size, packed, check = (int.from_bytes(head[at : at + 4], "big") for at in (0, 4, 8))
        if not size and not packed:
            return
        if not size or not packed or size ^ packed != check:
            raise EvidenceError("corrupt", "AZO: the head of a block does not add up")
        if size > MOST_BLOCK:
            raise EvidenceError("limit", f"dictionary: AZO asks for {size} bytes")
        data = take(packed)
        chunks = iter((data,)) if packed == size else decode_block(Coder(data), size)
        if flags & X86:
            yield _relative(bytearray(b"".join(chunks)))
        else:
            yield from chunks


def _relative(code: bytearray) -> bytes:
    """Machine code whose calls and jumps were made absolute, with relative ones again."""
    at = 0
    while at < len(code) - 4:
        if code[at] not in (0xE8, 0xE9):
            at += 1
            continue
        if code[at + 4] in (0, 0xFF):
            target = int.from_bytes(code[at + 1 : at + 5], "little") - at & FULL
            target = target | 0xFF000000 if target >> 24 & 1 else target & 0x00FFFFFF
            code[at + 1 : at + 5] = target.to_bytes(4, "little")
        at += 5
    return bytes(code)
