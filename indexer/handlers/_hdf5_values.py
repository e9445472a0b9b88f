"""Types and values of HDF5: texts of fixed and of any length, whole and broken numbers.

Source: HDF5 File Format Specification 3.0, IV.A.2.d (datatype message).
Limits: compound, array, reference, enumeration and opaque types have no values here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from indexer.handlers._hdf5_heaps import Heaps

VALUES: Final = 100_000
"""Values read of one attribute or dataset."""
NUMBERS: Final = 16
_NAMES: Final = (
    "integer",
    "float",
    "time",
    "string",
    "bits",
    "opaque",
    "compound",
    "reference",
    "enumeration",
    "list",
    "array",
)


class Kind(Struct, frozen=True):
    """A type with its shape; `size` is in bytes."""

    name: str = "unknown"
    size: int = 0
    shape: tuple[int, ...] = ()
    big: bool = False
    signed: bool = False

    @property
    def count(self) -> int:
        """How many values there are."""
        product = 1
        for length in self.shape:
            product *= length
        return product


def kind_of(body: bytes, shape: tuple[int, ...]) -> Kind:
    """The type that a message describes."""
    if len(body) < 8 or body[0] & 15 >= len(_NAMES):
        return Kind(shape=shape)
    name, flags = _NAMES[body[0] & 15], body[1]
    if name == "list" and flags & 15 == 1:
        name = "text"
    return Kind(name, int.from_bytes(body[4:8], "little"), shape, bool(flags & 1), bool(flags & 8))


def read_values(held: Heaps, kind: Kind, data: bytes) -> Iterator[str]:
    """The values as text: every string, and numbers where they are few."""
    if not kind.size or kind.name not in ("string", "text", "integer", "float"):
        return
    count = min(kind.count, len(data) // kind.size, VALUES)
    for number in range(count):
        raw = data[number * kind.size : (number + 1) * kind.size]
        if kind.name == "string":
            yield raw.split(b"\0")[0].decode("utf-8", "replace").rstrip()
        elif kind.name == "text":
            address = held.number(raw, 4, held.wide)
            text = held.long_text(address, held.number(raw, 4 + held.wide, 4))[: held.number(raw, 0, 4)]
            yield text.split(b"\0")[0].decode("utf-8", "replace")
        elif number >= NUMBERS:
            return
        elif kind.name == "integer":
            yield str(int.from_bytes(raw, "big" if kind.big else "little", signed=kind.signed))
        elif kind.size in (4, 8):
            yield f"{struct.unpack(('>' if kind.big else '<') + ('f' if kind.size == 4 else 'd'), raw)[0]:g}"
