"""Files packed one by one by Microsoft's COMPRESS, as on old installation disks (`setup.ex_`).

Source: Microsoft, "LZCompress" of MS-DOS 5 and Windows 3, as described in the documentation of libmspack
(szdd.c, kwaj.c).
Limits: the later form (KWAJ) is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import Slice, open_chunks
from indexer.model import Child, Fact, Field

SZDD, QBASIC = b"SZDD\x88\xf0\x27\x33", b"SZ\x20\x88\xf0\x27\x33\xd1"
WINDOW = 4096
STEP = 64 * 1024


class MsLz(Handler):
    name = "ms-lz"
    media_types = ("application/x-ms-compress-szdd",)
    signatures = (Signature(SZDD), Signature(QBASIC))
    suffixes = ()
    fields: ClassVar[Mapping[str, str]] = {"archive.size": "bytes of the file, as recorded"}
    reads = "the file that is packed"
    rank = 60
    uses_name = True
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        plain = stream.head.startswith(SZDD)
        head = 14 if plain else 12
        if stream.size < head:
            raise EvidenceError("truncated", "the header is cut")
        size = int.from_bytes(stream.at(head - 4, 4), "little")
        yield Field("archive.size", size)
        name = stream.name or "[unpacked]"
        # The last letter of the name was made an underscore; the header has it.
        if plain and name.endswith("_") and 32 < (letter := stream.head[9]) < 127:
            name = name[:-1] + chr(letter).lower()
        chunks = _unpack(stream, head, size, 16 if plain else 18)
        yield Child(name, name.encode("utf-8", "surrogatepass"), lambda: open_chunks(chunks))


def _unpack(stream: Stream, start: int, size: int, back: int) -> Iterator[bytes]:
    """The plain bytes: groups of eight, each a byte or a place in the last 4096 and a length.

    Args:
        back: how far before the end of its window the packer began to write.
    """
    window = bytearray(b" " * WINDOW)
    at = WINDOW - back
    made = 0
    out = bytearray()
    source = _bytes(stream, start)
    try:
        while made < size:
            flags = next(source)
            for bit in range(8):
                if made >= size:
                    break
                place, length = at, 1
                if flags >> bit & 1:
                    window[at] = next(source)
                else:
                    low, high = next(source), next(source)
                    place, length = low | (high & 0xF0) << 4, (high & 15) + 3
                for step in range(min(length, size - made)):
                    byte = window[(place + step) % WINDOW]
                    window[at] = byte
                    at = (at + 1) % WINDOW
                    out.append(byte)
                    made += 1
            if len(out) > STEP:
                yield bytes(out)
                out.clear()
    except StopIteration:
        yield bytes(out)
        raise EvidenceError("truncated", f"{made} of {size} bytes are here") from None
    yield bytes(out)


def _bytes(stream: Stream, start: int) -> Iterator[int]:
    part = Slice(stream, start, stream.size - start)
    while data := part.read(STEP):
        yield from data
