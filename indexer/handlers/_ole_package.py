"""Files that were packed into a document as objects: their names and the paths they had.

Source: [MS-OLEDS] 2.3.6 (OLENativeStream); the packager's own header as its programs write it: two kinds of
header, names in the code page of the machine before the file and in wide text behind it.
"""

from __future__ import annotations

from typing import NamedTuple

from indexer.model import Field
from indexer.names import decode_names


class Package(NamedTuple):
    """A packaged file: its name, where it came from, the copy that was packed; where it stands."""

    name: bytes
    path: bytes
    copy: bytes
    start: int
    size: int

    def names(self, behind: bytes) -> list[str]:
        """The same three as wide text, which newer programs write behind the file: copy, name, path."""
        found, at = [], 0
        for _ in range(3):
            length = 2 * _number(behind, at)
            raw = behind[at + 4 : at + 4 + length]
            if len(behind) < at + 4 or len(raw) < length:
                return []
            found.append(raw.decode("utf-16-le", "replace"))
            at += 4 + length
        return found


def told(package: Package, wide: list[str]) -> tuple[str, list[Field]]:
    """The name of a packaged file, and what is told of its paths: in wide text where it is there."""
    name, path, copy = decode_names([package.name, package.path, package.copy]).names
    if wide:
        copy, name, path = wide[0] or copy, wide[1] or name, wide[2] or path
    paths = (("ole.package_path", path), ("ole.package_temp_path", copy))
    return name, [Field(field, said) for field, said in paths if said]


def parse_native(head: bytes) -> Package:
    """The file in an Ole10Native stream; no name where it is no package."""
    plain = Package(b"", b"", b"", 4, _number(head, 0))
    if _number(head, 4, 2) != 2:
        return plain
    label, at = _zero_ended(head, 6)
    path, at = _zero_ended(head, at)
    if at < 0 or _number(head, at, 4) not in (0x30000, 0x10000):
        return plain
    length = _number(head, at + 4)
    copy = head[at + 8 : at + 8 + length].rstrip(b"\0")
    at += 8 + length
    if at + 4 > len(head):
        return plain
    return Package(label or path.rpartition(b"\\")[2], path, copy, at + 4, _number(head, at))


def _zero_ended(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\0", at, at + 1024) if at >= 0 else -1
    return (data[at:end], end + 1) if end >= 0 else (b"", -1)


def _number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "little")
