"""Text that DjVu packs: the Z'-coder, the coding of symbols by rank, the sorted blocks of Burrows and Wheeler.

Source: Lizardtech DjVu Reference (version 3, November 2005), appendices 3 and 4; the table of the coder's states.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.errors import EvidenceError

MOST_BLOCK = 4 << 20
_STATES = """
8000 0 84 145 8000 0 3 4 8000 0 4 3 6bbd 10a5 5 1 6bbd 10a5 6 2 5d45 1f28 7 3 5d45 1f28 8 4 51b9 2bd3 9 5 51b9 2bd3 10
6 4813 36e3 11 7 4813 36e3 12 8 3fd5 408c 13 9 3fd5 408c 14 10 38b1 48fd 15 11 38b1 48fd 16 12 3275 505d 17 13 3275
505d 18 14 2cfd 56d0 19 15 2cfd 56d0 20 16 2825 5c71 21 17 2825 5c71 22 18 23ab 615b 23 19 23ab 615b 24 20 1f87 65a5
25 21 1f87 65a5 26 22 1bbb 6962 27 23 1bbb 6962 28 24 1845 6ca2 29 25 1845 6ca2 30 26 1523 6f74 31 27 1523 6f74 32 28
1253 71e6 33 29 1253 71e6 34 30 fcf 7404 35 31 fcf 7404 36 32 d95 75d6 37 33 d95 75d6 38 34 b9d 7768 39 35 b9d 7768 40
36 9e3 78c2 41 37 9e3 78c2 42 38 861 79ea 43 39 861 79ea 44 40 711 7ae7 45 41 711 7ae7 46 42 5f1 7bbe 47 43 5f1 7bbe
48 44 4f9 7c75 49 45 4f9 7c75 50 46 425 7d0f 51 47 425 7d0f 52 48 371 7d91 53 49 371 7d91 54 50 2d9 7dfe 55 51 2d9
7dfe 56 52 259 7e5a 57 53 259 7e5a 58 54 1ed 7ea6 59 55 1ed 7ea6 60 56 193 7ee6 61 57 193 7ee6 62 58 149 7f1a 63 59
149 7f1a 64 60 10b 7f45 65 61 10b 7f45 66 62 d5 7f6b 67 63 d5 7f6b 68 64 a5 7f8d 69 65 a5 7f8d 70 66 7b 7faa 71 67 7b
7faa 72 68 57 7fc3 73 69 57 7fc3 74 70 3b 7fd7 75 71 3b 7fd7 76 72 23 7fe7 77 73 23 7fe7 78 74 13 7ff2 79 75 13 7ff2
80 76 7 7ffa 81 77 7 7ffa 82 78 1 7fff 81 79 1 7fff 82 80 5695 0 9 85 24ee 0 86 226 8000 0 5 6 d30 0 88 176 481a 0 89
143 481 0 90 138 3579 0 91 141 17a 0 92 112 24ef 0 93 135 7b 0 94 104 1978 0 95 133 28 0 96 100 10ca 0 97 129 d 0 82
98 b5d 0 99 127 34 0 76 72 78a 0 101 125 a0 0 70 102 50f 0 103 123 117 0 66 60 358 0 105 121 1ea 0 106 110 234 0 107
119 144 0 66 108 173 0 109 117 234 0 60 54 f5 0 111 115 353 0 56 48 a1 0 69 113 5c5 0 114 134 11a 0 65 59 3cf 0 116
132 1aa 0 61 55 285 0 118 130 286 0 57 51 1ab 0 120 128 3d3 0 53 47 11a 0 122 126 5c5 0 49 41 ba 0 124 62 8ad 0 43 37
7a 0 72 66 ccc 0 39 31 1eb 0 60 54 1302 0 33 25 2e6 0 56 50 1b81 0 29 131 45e 0 52 46 24ef 0 23 17 690 0 48 40 2865 0
23 15 9de 0 42 136 3987 0 137 7 dc8 0 38 32 2c99 0 21 139 10ca 0 140 172 3b5f 0 15 9 b5d 0 142 170 5695 0 9 85 78a 0
144 168 8000 0 141 248 50f 0 146 166 24ee 0 147 247 358 0 148 164 d30 0 149 197 234 0 150 162 481 0 151 95 173 0 152
160 17a 0 153 173 f5 0 154 158 7b 0 155 165 a1 0 70 156 28 0 157 161 11a 0 66 60 d 0 81 159 1aa 0 62 56 34 0 75 71 286
0 58 52 a0 0 69 163 3d3 0 54 48 117 0 65 59 5c5 0 50 42 1ea 0 167 171 8ad 0 44 38 144 0 65 169 ccc 0 40 32 234 0 59 53
1302 0 34 26 353 0 55 47 1b81 0 30 174 5c5 0 175 193 24ef 0 24 18 3cf 0 177 191 2b74 0 178 222 285 0 179 189 201d 0
180 218 1ab 0 181 187 1715 0 182 216 11a 0 183 185 fb7 0 184 214 ba 0 69 61 a67 0 186 212 1eb 0 59 53 6e7 0 188 210
2e6 0 55 49 496 0 190 208 45e 0 51 45 30d 0 192 206 690 0 47 39 206 0 194 204 9de 0 41 195 155 0 196 202 dc8 0 37 31
e1 0 198 200 2b74 0 199 243 94 0 72 64 201d 0 201 239 188 0 62 56 1715 0 203 237 252 0 58 52 fb7 0 205 235 383 0 54 48
a67 0 207 233 547 0 50 44 6e7 0 209 231 7e2 0 46 38 496 0 211 229 bc0 0 40 34 30d 0 213 227 1178 0 36 28 206 0 215 225
19da 0 30 22 155 0 217 223 24ef 0 26 16 e1 0 219 221 320e 0 20 220 94 0 71 63 432a 0 14 8 188 0 61 55 447d 0 14 224
252 0 57 51 5ece 0 8 2 383 0 53 47 8000 0 228 87 547 0 49 43 481a 0 230 246 7e2 0 45 37 3579 0 232 244 bc0 0 39 33
24ef 0 234 238 1178 0 35 27 1978 0 138 236 19da 0 29 21 2865 0 24 16 24ef 0 25 15 3987 0 240 8 320e 0 19 241 2c99 0 22
242 432a 0 13 7 3b5f 0 16 10 447d 0 13 245 5695 0 10 2 5ece 0 7 1 8000 0 244 83 8000 0 249 250 5695 0 10 2 481a 0 89
143 481a 0 230 246
"""
"""Of each state: the probability, where it may change, and the states after the likely and the other symbol."""
_WORDS = _STATES.split()
_P = [int(word, 16) for word in _WORDS[::4]]
_M = [int(word, 16) for word in _WORDS[1::4]]
_UP = [int(word) for word in _WORDS[2::4]]
_DOWN = [int(word) for word in _WORDS[3::4]]
_END = 256


class _Coder:
    """The arithmetic decoder; past the end of the data it reads ones."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._held = self._count = 0
        self._a = 0
        self._c = self._take(16)
        self._fence = min(self._c, 0x7FFF)
        self.contexts = bytearray(300)

    @property
    def is_spent(self) -> bool:
        """Whether it reads far behind the data's end."""
        return self._at > len(self._data) + 64

    def _take(self, count: int) -> int:
        while self._count < count:
            self._held = self._held << 8 | (self._data[self._at] if self._at < len(self._data) else 0xFF)
            self._at += 1
            self._count += 8
        self._count -= count
        value = self._held >> self._count
        self._held &= (1 << self._count) - 1
        return value

    def bit(self, context: int) -> int:
        """The next bit in an adaptive context."""
        state = self.contexts[context]
        z = self._a + _P[state]
        if z <= self._fence:
            self._a = z
            return state & 1
        z = min(z, 0x6000 + ((z + self._a) >> 2))
        if z > self._c:
            self.contexts[context] = _DOWN[state]
            self._rare(z)
            return state & 1 ^ 1
        if self._a >= _M[state]:
            self.contexts[context] = _UP[state]
        self._likely(z)
        return state & 1

    def plain(self) -> int:
        """The next bit without a context."""
        z = 0x8000 + (self._a >> 1)
        if z > self._c:
            self._rare(z)
            return 1
        self._likely(z)
        return 0

    def _rare(self, z: int) -> None:
        self._a += 0x10000 - z
        self._c += 0x10000 - z
        shift = 16 - (self._a ^ 0xFFFF).bit_length() if self._a < 0xFFFF else 16
        self._a = self._a << shift & 0xFFFF
        self._c = (self._c << shift & 0xFFFF) | self._take(shift)
        self._fence = min(self._c, 0x7FFF)

    def _likely(self, z: int) -> None:
        self._a = z << 1 & 0xFFFF
        self._c = (self._c << 1 & 0xFFFF) | self._take(1)
        self._fence = min(self._c, 0x7FFF)

    def number(self, bits: int) -> int:
        """So many plain bits."""
        value = 0
        for _ in range(bits):
            value = value << 1 | self.plain()
        return value

    def tree(self, context: int, bits: int) -> int:
        """So many bits, each in the context of those before it."""
        value = 1
        for _ in range(bits):
            value = value << 1 | self.bit(context + value - 1)
        return value - (1 << bits)


def unpack(data: bytes) -> Iterator[bytes]:
    """The blocks of a packed chunk.

    Raises:
        EvidenceError: corrupt, after the last block that could be had.
    """
    coder = _Coder(data)
    while size := coder.number(24):
        if size > MOST_BLOCK:
            raise EvidenceError("corrupt", f"a packed block of {size} bytes")
        yield _block(coder, size)


def _block(coder: _Coder, size: int) -> bytes:
    shift = 0 if not coder.plain() else 1 + coder.plain()
    ranks, symbols = list(range(256)), bytearray()
    weights = [0, 0, 0, 0]
    step, rank, mark = 4, 3, -1
    for place in range(size):
        if coder.is_spent:
            raise EvidenceError("truncated", "a packed block breaks off")
        rank = _rank(coder, min(2, rank))
        if rank == _END:
            mark = place
            symbols.append(0)
            continue
        symbols.append(ranks[rank])
        step += step >> shift
        if step > 0x10000000:
            step >>= 24
            weights = [weight >> 24 for weight in weights]
        _promote(ranks, weights, rank, step)
    if mark < 0:
        raise EvidenceError("corrupt", "a packed block without its mark")
    return _unsorted(symbols, mark)


def _rank(coder: _Coder, context: int) -> int:
    """How far down the list of recent symbols the next one stands."""
    if coder.bit(context):
        return 0
    if coder.bit(context + 3):
        return 1
    at = 6
    for bits in range(1, 8):
        if coder.bit(at):
            return (1 << bits) + coder.tree(at + 1, bits)
        at += 1 << bits
    return _END


def _promote(ranks: list[int], weights: list[int], rank: int, step: int) -> None:
    """Moves a symbol up the list as far as its weight carries it."""
    weight = step + (weights[rank] if rank < 4 else 0)
    symbol = ranks.pop(rank)
    place = min(rank, 3)
    while place > 0 and weight >= weights[place - 1]:
        weights[place] = weights[place - 1]
        place -= 1
    ranks.insert(place, symbol)
    weights[place] = weight


def _unsorted(symbols: bytearray, mark: int) -> bytes:
    """The text before it was sorted; the mark stands for its end."""
    counts = [0] * 256
    places = []
    for place, symbol in enumerate(symbols):
        places.append(counts[symbol])
        counts[symbol] += place != mark
    starts, total = [], 1
    for count in counts:
        starts.append(total)
        total += count
    out = bytearray(len(symbols) - 1)
    at = 0
    for place in range(len(out) - 1, -1, -1):
        symbol = symbols[at]
        out[place] = symbol
        at = starts[symbol] + places[at]
        if at >= len(symbols):
            raise EvidenceError("corrupt", "a packed block that cannot be sorted back")
    return bytes(out)
