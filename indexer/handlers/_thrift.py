"""Structures in Thrift's compact protocol, as Parquet's heads are written.

Source: Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

import struct
from typing import Any, Final

from indexer.errors import EvidenceError

_DEEPEST: Final = 20
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


class Compact:
    """Reads values one after another; fields come by their number.

    Attributes:
        at: the byte behind what was read.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def varint(self) -> int:
        """An unsigned number."""
        value = shift = 0
        while shift < 70:
            if self.at >= len(self._data):
                raise EvidenceError("truncated", f"a number breaks off at {self.at}")
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise EvidenceError("corrupt", f"a number without end at {self.at}")

    def _zigzag(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise EvidenceError("truncated", f"{size} bytes are not there at {self.at}")
        self.at += size
        return self._data[self.at - size : self.at]

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a structure.

        Raises:
            EvidenceError: where it is none.
        """
        if depth > _DEEPEST:
            raise EvidenceError("corrupt", f"structures nested deeper than {_DEEPEST}")
        found: dict[int, Any] = {}
        number = 0
        while head := self._take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _BINARY:
            return self._take(self.varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            if depth > _DEEPEST:
                raise EvidenceError("corrupt", f"lists nested deeper than {_DEEPEST}")
            head = self._take(1)[0]
            count = head >> 4 if head >> 4 < 15 else self.varint()
            if count > len(self._data) - self.at:
                raise EvidenceError("corrupt", f"a list of {count} values at {self.at}")
            if head & 15 in (_TRUE, _FALSE):
                return [self._take(1) == b"\1" for _ in range(count)]
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == _BYTE:
            return self._take(1)[0]
        if kind in (_TRUE, _FALSE):
            return self._take(1) == b"\1"
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        raise EvidenceError("corrupt", f"a value of unknown type {kind} at {self.at}")
