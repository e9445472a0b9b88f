"""netCDF files of the classic kinds (CDF-1, 2 and 5): dimensions, variables, attributes, characters as text.

Source: NetCDF Classic Format Specification, Unidata (with the 64-bit offset and 64-bit data forms).
Limits: numbers of variables are not read; texts of one variable up to 16 MiB; netCDF-4 is read as HDF5.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Field

HEAD: Final = 64 * MIB
TEXT: Final = 16 * MIB
_TYPES: Final = {1: "b", 3: "h", 4: "i", 5: "f", 6: "d", 7: "B", 8: "H", 9: "I", 10: "q", 11: "Q"}
_NAMES: Final = ("", "byte", "char", "short", "int", "float", "double", "ubyte", "ushort", "uint", "int64", "uint64")


class Netcdf(Handler):
    name = "netcdf"
    media_types = ("application/x-netcdf",)
    signatures = (Signature(b"CDF\1"), Signature(b"CDF\2"), Signature(b"CDF\5"))
    suffixes = (".nc", ".cdf")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "netcdf.attribute.*": "attribute of the whole file, by its own name",
        "netcdf.dimension": "name of a dimension with its length",
        "netcdf.variable": "name of a variable with its type and dimensions",
    }
    reads = "dimensions, variables, attributes, characters as text"

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = _Head(stream)
        words = Words("attributes")
        dimensions: list[tuple[str, int]] = []
        once = {name: _refs.Once(name) for name in ("netcdf.dimension", "netcdf.variable")}
        for _ in range(head.list_of(10)):
            dimensions.append((head.name(), head.count()))
            name, length = dimensions[-1]
            yield from once["netcdf.dimension"].fields((f"{name} ({length or 'grows'})",))
        for name, said in head.attributes():
            if re.fullmatch(r"\w{1,80}", name) and said:
                yield Field(f"netcdf.attribute.{name.lower()}", said[:FIELD_CHARS])
            yield from words.say(f"{name} = {said}")
        variables = []
        for _ in range(head.list_of(11)):
            name = head.name()
            axes = [head.count() for _ in range(min(head.count(), 1024))]
            for key, said in head.attributes():
                yield from words.say(f"{name}:{key} = {said}")
            kind, size, start = head.number(4), head.count(), head.offset()
            shown = ", ".join(dimensions[axis][0] for axis in axes if axis < len(dimensions))
            typed = _NAMES[kind] if kind < len(_NAMES) else "unknown"
            yield from once["netcdf.variable"].fields((f"{name} {typed} ({shown})",))
            lengths = [dimensions[axis][1] for axis in axes if axis < len(dimensions)]
            variables.append((kind, size, start, lengths))
        yield from words.rest()
        record = sum(size for _, size, _, lengths in variables if lengths and not lengths[0])
        yield from _texts(stream, variables, record, head.records)


def _texts(
    stream: Stream, variables: list[tuple[int, int, int, list[int]]], record: int, records: int
) -> Iterator[Fact]:
    """The characters of each variable, row by row."""
    words = Words("characters")
    for kind, size, start, lengths in variables:
        if kind != 2:
            continue
        grows = bool(lengths) and not lengths[0]
        left = TEXT
        for number in range(min(records, 1_000_000) if grows else 1):
            data = stream.at(start + number * record, min(size, left))
            left -= max(1, len(data))
            if not data or left <= 0:
                break
            width = lengths[-1] if lengths and lengths[-1] else len(data)
            for place in range(0, len(data), width):
                yield from words.say(data[place : place + width].split(b"\0")[0].decode("utf-8", "replace"))
    yield from words.rest()


class _Head:
    """Reads the head, one entry after the other.

    Raises:
        EvidenceError: where it ends early, from any of its calls.
    """

    def __init__(self, stream: Stream) -> None:
        self._data = stream.at(0, HEAD)
        self._form = self._data[3]
        self._place = 4
        self.records = self.count()

    def number(self, width: int) -> int:
        """A number of so many bytes."""
        self._place += width
        if self._place > len(self._data):
            raise EvidenceError("truncated", "the head is cut off")
        return int.from_bytes(self._data[self._place - width : self._place], "big")

    def count(self) -> int:
        """A length, or how many of something there are."""
        return self.number(8 if self._form == 5 else 4)

    def offset(self) -> int:
        """Where something begins."""
        return self.number(4 if self._form == 1 else 8)

    def raw(self, length: int) -> bytes:
        """So many bytes, and those that fill them up to four."""
        start = self._place
        self._place += length + -length % 4
        if start + length > len(self._data):
            raise EvidenceError("truncated", "the head is cut off")
        return self._data[start : start + length]

    def name(self) -> str:
        """A name."""
        return self.raw(self.count()).decode("utf-8", "replace")

    def list_of(self, tag: int) -> int:
        """How many entries a list has; it begins with its kind, or is absent."""
        kind, count = self.number(4), self.count()
        if kind not in (0, tag):
            raise EvidenceError("corrupt", f"a list of kind {kind} stands where one of kind {tag} should")
        return min(count, len(self._data) // 8) if kind else 0

    def attributes(self) -> Iterator[tuple[str, str]]:
        """Name and value of each attribute of a list."""
        for _ in range(self.list_of(12)):
            name, kind, count = self.name(), self.number(4), self.count()
            if kind == 2:
                yield name, self.raw(count).decode("utf-8", "replace").strip("\0 ")
            elif kind in _TYPES:
                form = _TYPES[kind]
                data = self.raw(count * struct.calcsize(f">{form}"))
                shown = struct.unpack_from(f">{min(count, 16)}{form}", data)
                yield name, ", ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in shown)
            else:
                raise EvidenceError("corrupt", f"attribute {name[:40]} is of unknown type {kind}")
