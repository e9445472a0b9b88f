"""Records of an NTFS master file table: fix-ups, attributes, runs, and what a compressed unit unpacks to.

Source: Linux NTFS project, NTFS documentation 0.5 (file record, attribute headers, data runs, attribute
    list, $FILE_NAME, $STANDARD_INFORMATION, compression); [MS-XCA] 2.5 for LZNT1; [MS-FSCC] 2.1.2 for
    reparse points; [MS-DTYP] 2.4.2 and 2.4.6 for security.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._fs_parts import HOLE, STEP, Run, Volume, gather, pour

INFORMATION, LIST, FILE_NAME, SECURITY, VOLUME_NAME, VOLUME = 0x10, 0x20, 0x30, 0x50, 0x60, 0x70
DATA, REPARSE = 0x80, 0xC0
COMPRESSED, ENCRYPTED, SPARSE = 0x00FF, 0x4000, 0x8000
_SECTOR = 512
_MOST_LIST = 1 << 20
_MOST_PARTS = 4096
_UNIT = 16
SYMBOLIC, JUNCTION, LINUX_LINK, COMPACTED = 0xA000000C, 0xA0000003, 0xA000001D, 0x80000017


class Attribute(Struct):
    """One attribute of a file; `held` are its bytes where they stand in the record."""

    kind: int
    name: str
    flags: int
    held: bytes | None
    first: int = 0
    size: int = 0
    valid: int = 0
    allocated: int = 0
    runs: tuple[tuple[int, int], ...] = ()


class Record(Struct, frozen=True):
    """One record of the table, with the attributes that stand in it."""

    number: int
    sequence: int
    links: int
    flags: int
    base: int
    attributes: tuple[Attribute, ...]
    torn: bool

    @property
    def in_use(self) -> bool:
        """Whether the record belongs to a file that exists."""
        return bool(self.flags & 1)

    @property
    def is_folder(self) -> bool:
        """Whether the record is a folder's."""
        return bool(self.flags & 2)

    def all(self, kind: int) -> Iterator[Attribute]:
        """The attributes of a kind."""
        return (each for each in self.attributes if each.kind == kind)

    def held(self, kind: int) -> bytes:
        """The bytes of the first attribute of a kind that stands in the record."""
        return next((each.held for each in self.attributes if each.kind == kind and each.held is not None), b"")


class Name(NamedTuple):
    """One $FILE_NAME: `space` 2 is a DOS name beside a longer one."""

    parent: int
    parent_sequence: int
    times: tuple[int, ...]
    flags: int
    space: int
    text: str


def parse_record(raw: bytes, number: int) -> Record | None:
    """A record by its bytes, or None where there is none."""
    if raw[:4] != b"FILE" or len(raw) < 48:
        return None
    fix, fixes = unpack_from("<HH", raw, 4)
    sequence, links, first, flags, used = unpack_from("<HHHHI", raw, 16)
    mended = bytearray(raw)
    torn = fix + fixes * 2 > len(raw) or not fixes
    for index in range(1, 0 if torn else fixes):
        end = index * _SECTOR
        if end > len(raw):
            break
        torn = torn or raw[end - 2 : end] != raw[fix : fix + 2]
        mended[end - 2 : end] = raw[fix + index * 2 : fix + index * 2 + 2]
    data = bytes(mended)
    base = int.from_bytes(data[32:38], "little")
    attributes = tuple(_attributes(data, first, min(used, len(data))))
    return Record(number, sequence, links, flags, base, attributes, torn)


def _attributes(data: bytes, at: int, end: int) -> Iterator[Attribute]:
    while at + 16 <= end:
        kind, length, away, name_size, name_at, flags = unpack_from("<IIBBHH", data, at)
        if kind == 0xFFFFFFFF or length < 16 or at + length > end:
            return
        raw = data[at : at + length]
        at += length
        name = raw[name_at : name_at + name_size * 2].decode("utf-16-le", "surrogatepass") if name_size else ""
        if not away:
            if length >= 24:
                size, start = unpack_from("<IH", raw, 16)
                held = raw[start : start + size]
                yield Attribute(kind, name, flags, held, size=len(held), valid=len(held))
        elif length >= 64:
            first, _, start = unpack_from("<QQH", raw, 16)
            allocated, size, valid = unpack_from("<QQQ", raw, 40)
            if flags & (COMPRESSED | SPARSE) and length >= 72 and not first:
                allocated = unpack_from("<Q", raw, 64)[0]
            yield Attribute(kind, name, flags, None, first, size, valid, allocated, tuple(_runs(raw[start:])))


def _runs(raw: bytes) -> Iterator[tuple[int, int]]:
    """First cluster (HOLE: none) and count of every run."""
    at = cluster = 0
    while at < len(raw) and raw[at]:
        size, shift = raw[at] & 15, raw[at] >> 4
        if not size or size > 8 or shift > 8 or at + 1 + size + shift > len(raw):
            return
        count = int.from_bytes(raw[at + 1 : at + 1 + size], "little")
        if shift:
            cluster += int.from_bytes(raw[at + 1 + size : at + 1 + size + shift], "little", signed=True)
        if cluster < 0 or not count:
            return
        yield (cluster if shift else HOLE), count
        at += 1 + size + shift


def parse_name(held: bytes | None) -> Name | None:
    """A $FILE_NAME attribute."""
    if held is None or len(held) < 66:
        return None
    number, *times = unpack_from("<5Q", held)
    text = held[66 : 66 + held[64] * 2].decode("utf-16-le", "surrogatepass")
    flags = unpack_from("<I", held, 56)[0]
    return Name(number & 0xFFFFFFFFFFFF, number >> 48, tuple(times), flags, held[65], text) if text else None


class Table:
    """The master file table of a volume.

    Attributes:
        is_alone: whether the volume around it is not there, and so nothing that lies in its clusters.

    Raises:
        EvidenceError: where the boot sector or the table's own record cannot be read.
    """

    is_alone = False

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        boot = volume.exact(0, 512)
        sector, per_cluster = unpack_from("<HB", boot, 11)
        per_cluster = 1 << 256 - per_cluster if per_cluster > 0x80 else per_cluster
        self.unit = sector * per_cluster
        sectors, first, mirror = unpack_from("<QQQ", boot, 40)
        self.bytes = sectors * sector
        size = unpack_from("<b", boot, 64)[0]
        self.size = 1 << -size if size < 0 else size * self.unit
        if sector not in (256, 512, 1024, 2048, 4096) or not 512 <= self.unit <= 1 << 21:
            raise EvidenceError("corrupt", f"NTFS: sectors of {sector} bytes, clusters of {self.unit}")
        if not 512 <= self.size <= 65536:
            raise EvidenceError("corrupt", f"NTFS: records of {self.size} bytes")
        self.serial = unpack_from("<Q", boot, 72)[0]
        self.clusters = min(self.bytes, volume.size) // self.unit
        self._runs: list[Run] = []
        own = None
        for start in (first, mirror):
            raw = volume.at(start * self.unit, self.size)
            if len(raw) == self.size and (own := parse_record(raw, 0)):
                break
        data = next((each for each in own.all(DATA) if not each.name and not each.first), None) if own else None
        if own is None or data is None:
            raise EvidenceError("corrupt", "NTFS: the record of the master file table is not there")
        self._runs = self._place(data.runs)
        self.count = min(data.size, sum(run.size for run in self._runs)) // self.size
        if any(own.all(LIST)):
            whole = self.complete(own)
            joined = next((each for each in whole if each.kind == DATA and not each.name), data)
            self._runs = self._place(joined.runs)
            self.count = min(joined.size, sum(run.size for run in self._runs)) // self.size
        self.count = min(self.count, volume.size // self.size)

    def _place(self, runs: tuple[tuple[int, int], ...]) -> list[Run]:
        return [Run(at * self.unit if at != HOLE else HOLE, count * self.unit) for at, count in runs]

    def record(self, number: int) -> Record | None:
        """A record by its number."""
        if not 0 <= number < self.count:
            return None
        raw = self._read(number * self.size, self.size)
        return parse_record(raw, number) if len(raw) == self.size else None

    def _read(self, offset: int, size: int) -> bytes:
        """Bytes of the table; zeros where it cannot be read."""
        data = b""
        for run in self._runs:
            if offset >= run.size:
                offset -= run.size
                continue
            piece = min(size - len(data), run.size - offset)
            got = self.volume.at(run.at + offset, piece) if run.at != HOLE else b""
            if not got and run.at != HOLE and piece > self.size:
                # One bad sector must not cost the records around it.
                starts = range(run.at + offset, run.at + offset + piece, self.size)
                got = b"".join(self.volume.at(at, self.size).ljust(self.size, b"\0") for at in starts)[:piece]
            data += got.ljust(piece, b"\0")
            offset = 0
            if len(data) >= size:
                break
        return data

    def raws(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of every record that holds one, in order."""
        per = max(1, STEP // 4 // self.size)
        for first in range(0, self.count, per):
            data = self._read(first * self.size, min(per, self.count - first) * self.size)
            for index in range(len(data) // self.size):
                if data.startswith((b"FILE", b"BAAD"), index * self.size):
                    yield first + index, data[index * self.size : (index + 1) * self.size]

    def complete(self, record: Record) -> list[Attribute]:
        """All attributes of a file, those of its other records too; parts of one are joined."""
        attributes = list(record.attributes)
        seen = {record.number}
        for number in self._parts(record):
            if number in seen or len(seen) > _MOST_PARTS:
                continue
            seen.add(number)
            other = self.record(number)
            if other and other.base == record.number:
                attributes += other.attributes
        if len(attributes) == len(record.attributes):
            return attributes
        joined: dict[tuple[int, str, int], Attribute] = {}
        for each in sorted(attributes, key=lambda one: one.first):
            key = (each.kind, each.name, -1 if each.held is None else len(joined))
            if key in joined:
                joined[key].runs += each.runs
            else:
                joined[key] = each
        return list(joined.values())

    def _parts(self, record: Record) -> Iterator[int]:
        """The records that hold more of a file, as its list tells them."""
        for held in record.all(LIST):
            data = held.held
            if data is None:
                data = gather(self.volume, self._place(held.runs), held.size, _MOST_LIST)
            yield from _listed(data)

    def runs(self, attribute: Attribute) -> list[Run]:
        """Where the bytes of an attribute lie, as stored, cut at what was ever written."""
        left = min(attribute.valid, attribute.size)
        runs = []
        for run in self._place(attribute.runs):
            if left <= 0:
                break
            runs.append(Run(run.at, min(run.size, left)))
            left -= run.size
        return runs

    def flow(self, attribute: Attribute) -> Iterator[bytes]:
        """The bytes of an attribute, unpacked; ciphertext where it is encrypted.

        Raises:
            EvidenceError: where bytes are missing, or do not unpack.
        """
        if attribute.held is not None:
            yield attribute.held
        elif attribute.flags & COMPRESSED:
            yield from self._unpacked(attribute)
        else:
            yield from pour(self.volume, self.runs(attribute), attribute.size)

    def _unpacked(self, attribute: Attribute) -> Iterator[bytes]:
        left = attribute.size
        size = _UNIT * self.unit
        stored: list[Run] = []
        room = _UNIT
        for at, count in attribute.runs:
            here = 0
            while here < count and left > 0:
                if room == _UNIT and at == HOLE and count - here >= _UNIT:
                    # Whole units of a hole need no looking at one by one.
                    whole = (count - here) // _UNIT * _UNIT
                    length = min(whole * self.unit, left)
                    yield from pour(self.volume, (), length)
                    left -= length
                    here += whole
                    continue
                taken = min(room, count - here)
                stored.append(Run(HOLE if at == HOLE else (at + here) * self.unit, taken * self.unit))
                here += taken
                room -= taken
                if not room:
                    yield self._unit(stored, min(size, left), size)
                    left -= size
                    stored, room = [], _UNIT
        if stored and left > 0:
            yield self._unit(stored, min(size, left), size)
            left -= size
        if left > 0:
            yield from pour(self.volume, (), left)

    def _unit(self, stored: list[Run], wanted: int, size: int) -> bytes:
        real = [run for run in stored if run.at != HOLE]
        held = sum(run.size for run in real)
        if not real:
            return bytes(wanted)
        if held == size or len(real) == len(stored):
            return b"".join(pour(self.volume, real, min(wanted, held))).ljust(wanted, b"\0")
        return unpack_lznt1(b"".join(pour(self.volume, real, held)), size)[:wanted].ljust(wanted, b"\0")


def _listed(data: bytes) -> Iterator[int]:
    at = 0
    while at + 26 <= len(data):
        length = unpack_from("<H", data, at + 4)[0]
        yield int.from_bytes(data[at + 16 : at + 22], "little")
        if length < 26:
            return
        at += length


def unpack_lznt1(data: bytes, most: int) -> bytes:
    """What LZNT1 unpacks to, at most `most` bytes.

    Raises:
        EvidenceError: `corrupt` where a copy reaches before its chunk.
    """
    out = bytearray()
    at = 0
    while at + 2 <= len(data) and len(out) < most:
        header = data[at] | data[at + 1] << 8
        if not header:
            break
        end = at + 3 + (header & 0xFFF)
        chunk = data[at + 2 : end]
        at = end
        if not header & 0x8000:
            out += chunk
        else:
            out += _chunk(chunk)
    return bytes(out[:most])


def _chunk(data: bytes) -> bytes:
    out = bytearray()
    at = 0
    size = len(data)
    while at < size:
        flags = data[at]
        at += 1
        if not flags:
            out += data[at : at + 8]
            at += 8
            continue
        for bit in range(8):
            if at >= size:
                break
            if not flags >> bit & 1:
                out.append(data[at])
                at += 1
                continue
            if at + 2 > size or not out:
                raise EvidenceError("corrupt", "LZNT1: a copy without a source")
            token = data[at] | data[at + 1] << 8
            at += 2
            shift = min(12, 16 - max(4, (len(out) - 1).bit_length()))
            back = (token >> shift) + 1
            length = (token & (1 << shift) - 1) + 3
            if back > len(out):
                raise EvidenceError("corrupt", "LZNT1: a copy from before its chunk")
            start = len(out) - back
            if back >= length:
                out += out[start : start + length]
            else:
                out += (out[start:] * (length // back + 1))[:length]
            if len(out) > 4096:
                raise EvidenceError("corrupt", "LZNT1: a chunk of more than 4096 bytes")
    return bytes(out)


def read_owner(descriptor: bytes) -> tuple[str, str]:
    """Owner and group of a security descriptor as SIDs; empty where there are none."""
    if len(descriptor) < 20:
        return "", ""
    owner, group = unpack_from("<II", descriptor, 4)
    return _sid(descriptor, owner), _sid(descriptor, group)


def _sid(data: bytes, at: int) -> str:
    if not at or at + 8 > len(data) or data[at] != 1 or at + 8 + data[at + 1] * 4 > len(data):
        return ""
    authority = int.from_bytes(data[at + 2 : at + 8], "big")
    parts = unpack_from(f"<{data[at + 1]}I", data, at + 8)
    return "-".join(("S-1", str(authority), *map(str, parts)))


def read_reparse(held: bytes) -> tuple[int, str]:
    """The tag of a reparse point and where it points, if it is a link."""
    if len(held) < 8:
        return 0, ""
    tag = unpack_from("<I", held)[0]
    if tag == LINUX_LINK:
        return tag, held[12:].decode("utf-8", "replace")
    if tag not in (SYMBOLIC, JUNCTION) or len(held) < 20:
        return tag, ""
    start = 20 if tag == SYMBOLIC else 16
    real_at, real_size, shown_at, shown_size = unpack_from("<HHHH", held, 8)
    at, size = (shown_at, shown_size) if shown_size else (real_at, real_size)
    return tag, held[start + at : start + at + size].decode("utf-16-le", "replace")
