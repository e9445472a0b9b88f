"""Shell links and the lists of shell items in them: where they point, and on which machine and disk that was.

Source: [MS-SHLLINK] 2.1 to 2.5; shell items as documented by libfwsi.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct, field

from indexer.handlers._hive_words import readable
from indexer.handlers._windows import guid, maker_of, narrow, wide, wide_at
from indexer.model import Field, Timestamp
from indexer.timestamps import from_dos, from_filetime

MAGIC: Final = bytes.fromhex("4c0000000114020000000000c000000000000046")
FIELDS: Final = {
    "lnk.target": "file or folder that the link points to",
    "lnk.item": "target by the list of shell items: folders as the desktop names them",
    "lnk.arguments": "arguments that the program is started with",
    "lnk.working_dir": "folder that the program starts in",
    "lnk.description": "comment of the link",
    "lnk.relative_path": "target, from the place of the link",
    "lnk.icon": "file that the icon comes from",
    "lnk.file_size": "size of the target when the link was made",
    "lnk.attributes": "attributes of the target, as letters: RHSDA and others",
    "lnk.drive_type": "kind of drive that holds the target",
    "lnk.volume_serial": "serial number of the volume that holds the target",
    "lnk.volume_label": "label of that volume",
    "lnk.network_share": "share that holds the target",
    "lnk.device": "drive letter that the share was connected to",
    "lnk.machine_id": "name of the machine that the target was on",
    "lnk.mac_address": "network address of the machine that the target was made on, out of its identifier",
    "lnk.file_id": "identifier of the target in link tracking",
    "lnk.volume_id": "identifier of the target's volume in link tracking",
    "lnk.mft_entry": "number of the target in the volume's file table",
    "lnk.property": "readable value among the properties of the link",
    "lnk.product": "identifier of the installed program that the link starts",
    "refers_to": "path or name of another file that this one uses",
}
_DRIVES: Final = ("unknown", "no root", "removable", "fixed", "network", "CD-ROM", "RAM disk")
_FLAGS: Final = "RHS?DA?NTPLCOIEVX"
_PLACES: Final = {
    "20d04fe0-3aea-1069-a2d8-08002b30309d": "[This PC]",
    "208d2c60-3aea-1069-a2d7-08002b30309d": "[Network]",
    "450d8fba-ad25-11d0-98a8-0800361b1103": "[Documents]",
    "645ff040-5081-101b-9f08-00aa002f954e": "[Recycle Bin]",
    "871c5380-42a0-1069-a2ea-08002b30309d": "[Internet]",
    "59031a47-3f72-44a7-89c5-5595fe6b30ee": "[User]",
    "679f85cb-0220-4080-b29b-5540cc05aab6": "[Quick access]",
    "031e4825-7b94-4dc3-b131-e946b44c8dd5": "[Libraries]",
    "f02c1a0d-be21-4350-88b0-7367fc96ef3c": "[Network places]",
    "26ee0668-a00a-44d7-9371-beb064c98683": "[Control Panel]",
}
_STRINGS: Final = (
    (0x04, "description"),
    (0x08, "relative_path"),
    (0x10, "working_dir"),
    (0x20, "arguments"),
    (0x40, "icon"),
)
_ITEMS: Final = 256
"""Shell items in one list; a path that Windows opens has some ten."""
_BLOCKS: Final = 64
"""Blocks of extra data; there are eleven kinds."""


class Link(Struct):
    """What a link says; `end` is where its bytes end, `fault` what was wrong."""

    found: dict[str, list[str]] = field(default_factory=dict)
    stamps: list[Timestamp] = field(default_factory=list)
    end: int = 0
    fault: str = ""

    def add(self, name: str, value: str) -> None:
        """Keeps a value once."""
        held = self.found.setdefault(name, [])
        if value.strip() and value not in held:
            held.append(value)

    def fields(self) -> Iterator[Field]:
        """Everything as fields; the target also as a path that is referred to."""
        for name, values in self.found.items():
            for value in values:
                number = name in ("file_size", "mft_entry") and value.isdecimal()
                yield Field(f"lnk.{name}", int(value) if number else value)
        for value in self.found.get("target", []):
            yield Field("refers_to", value)

    def tell(self) -> str:
        """Everything as text, a line each."""
        return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, held in self.found.items() for value in held)


def parse_link(data: bytes) -> Link:
    """The link that begins at the first byte; what is damaged is left out, `fault` says so."""
    link = Link()
    if len(data) < 76:
        link.fault = "the header is not whole"
        return link
    flags, attributes = struct.unpack_from("<II", data, 20)
    kinds = (("target_born", 28), ("target_accessed", 36), ("target_modified", 44))
    for kind, place in kinds:
        if stamp := from_filetime(kind, int.from_bytes(data[place : place + 8], "little"), "lnk.header"):
            link.stamps.append(stamp)
    at = 76
    if flags & 1:
        size = int.from_bytes(data[at : at + 2], "little")
        _read_items(link, data[at + 2 : at + 2 + size])
        at += 2 + size
    if flags & 2 and at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        _read_place(link, data[at : at + size])
        at += max(4, size)
    at = _read_strings(link, data, at, flags)
    if size := int.from_bytes(data[52:56], "little"):
        link.add("file_size", str(size))
    letters = "".join(letter for bit, letter in enumerate(_FLAGS) if attributes >> bit & 1 and letter != "?")
    link.add("attributes", letters)
    if at > len(data):
        link.fault = f"the link ends {at - len(data)} bytes early"
    link.end = min(_read_extra(link, data, at), len(data))
    if "target" not in link.found and (items := link.found.get("item")):
        link.add("target", items[0].removeprefix("[This PC]\\"))
    return link


def _read_strings(link: Link, data: bytes, at: int, flags: int) -> int:
    unit = 2 if flags & 0x80 else 1
    for bit, name in _STRINGS:
        if not flags & bit or at + 2 > len(data):
            continue
        size = int.from_bytes(data[at : at + 2], "little") * unit
        raw = data[at + 2 : at + 2 + size]
        link.add(name, wide(raw) if unit == 2 else narrow(raw))
        at += 2 + size
    return at


def _read_place(link: Link, data: bytes) -> None:
    """Volume or share, and the path on it."""
    if len(data) < 28:
        return
    head, flags, volume, local, share, suffix = struct.unpack_from("<6I", data, 4)
    wide_local, wide_suffix = struct.unpack_from("<II", data, 28) if head >= 36 and len(data) >= 36 else (0, 0)
    rest = wide_at(data, wide_suffix) if wide_suffix else narrow(data[suffix : suffix + 4096]) if suffix else ""
    if flags & 1:
        _read_volume(link, data[volume:] if volume else b"")
        path = wide_at(data, wide_local) if wide_local else narrow(data[local : local + 4096]) if local else ""
        if path:
            link.add("target", path + rest if not rest or path.endswith("\\") else f"{path}\\{rest}")
    if flags & 2 and share and len(held := data[share:]) >= 20:
        name, device = struct.unpack_from("<II", held, 8)
        share_name, device_name = narrow(held[name : name + 1024]), narrow(held[device : device + 64]) if device else ""
        if name > 20 and len(held) >= 28:
            wide_name, wide_device = struct.unpack_from("<II", held, 20)
            share_name = wide_at(held, wide_name) or share_name
            device_name = (wide_at(held, wide_device) if wide_device else "") or device_name
        link.add("network_share", share_name)
        link.add("device", device_name)
        link.add("target", f"{share_name}\\{rest}" if rest else share_name)


def _read_volume(link: Link, data: bytes) -> None:
    if len(data) < 16:
        return
    kind, serial, label = struct.unpack_from("<3I", data, 4)
    link.add("drive_type", _DRIVES[kind] if kind < len(_DRIVES) else str(kind))
    link.add("volume_serial", f"{serial >> 16:04X}-{serial & 0xFFFF:04X}")
    if label == 20 and len(data) >= 20:
        link.add("volume_label", wide_at(data, int.from_bytes(data[16:20], "little"), 128))
    elif label:
        link.add("volume_label", narrow(data[label : label + 64]))


# -- shell items -------------------------------------------------------------------------------


def _read_items(link: Link, data: bytes) -> None:
    path = list(items_in(data))
    if path:
        link.add("item", join_items([name for name, _, _ in path]))
        for kind, stamp in path[-1][1]:
            link.stamps.append(Timestamp(kind, stamp.at, stamp.origin, stamp.resolution, stamp.zone_known))
        if path[-1][2]:
            link.add("mft_entry", str(path[-1][2]))


def join_items(names: list[str]) -> str:
    """The names of a list of shell items as one path."""
    return "\\".join(name.rstrip("\\") for name in names if name)


def items_in(data: bytes) -> Iterator[tuple[str, list[tuple[str, Timestamp]], int]]:
    """Of each shell item its name, the times of its file, and the file's number on an NTFS volume."""
    at = 0
    for _ in range(_ITEMS):
        size = int.from_bytes(data[at : at + 2], "little")
        if size < 3 or at + 2 > len(data):
            return
        yield _read_item(data[at : at + size])
        at += size


def _read_item(item: bytes) -> tuple[str, list[tuple[str, Timestamp]], int]:
    kind = item[2] if len(item) > 2 else 0
    if kind == 0x1F:
        place = guid(item[4:20])
        return _PLACES.get(place.strip("{}"), place), [], 0
    if kind & 0x70 == 0x20:
        place = guid(item[4:20]) if kind == 0x2E else ""
        return (_PLACES.get(place.strip("{}"), place) if place else narrow(item[3:26])), [], 0
    if kind & 0x70 == 0x30 and len(item) > 14:
        return _read_file(item, kind)
    if kind & 0x70 == 0x40:
        return narrow(item[5:]), [], 0
    return readable(item[3:]), [], 0


def _read_file(item: bytes, kind: int) -> tuple[str, list[tuple[str, Timestamp]], int]:
    name = wide_at(item, 14) if kind & 4 else narrow(item[14:])
    stamps = _dos_times(item, (("target_modified", 8),))
    entry = 0
    place = int.from_bytes(item[-2:], "little")
    block = item[place:]
    if 14 < place < len(item) and len(block) >= 20 and block[4:8] == b"\x04\0\xef\xbe":
        version = int.from_bytes(block[2:4], "little")
        stamps += _dos_times(block, (("target_born", 8), ("target_accessed", 12)))
        if version >= 7 and len(block) >= 28:
            entry = int.from_bytes(block[20:26], "little")
        start = 20 + 18 * (version >= 7) + 4 * (version >= 8) + 4 * (version >= 9)
        name = wide_at(block, start) or name
    return name, stamps, entry


def _dos_times(data: bytes, places: tuple[tuple[str, int], ...]) -> list[tuple[str, Timestamp]]:
    found = []
    for kind, at in places:
        date, time = struct.unpack_from("<HH", data, at) if len(data) >= at + 4 else (0, 0)
        # The clock in shell items is UTC.
        stamp = from_dos(kind, date, time, "lnk.item") if date else None
        if stamp:
            found.append((kind, Timestamp(kind, stamp.at, stamp.origin, stamp.resolution)))
    return found


# -- extra data --------------------------------------------------------------------------------


def _read_extra(link: Link, data: bytes, at: int) -> int:
    """The blocks behind the link; gives the place where they end."""
    for _ in range(_BLOCKS):
        if at + 4 > len(data):
            return at
        size = int.from_bytes(data[at : at + 4], "little")
        if size < 8:
            return at + 4
        block = data[at : at + size]
        if len(block) < size:
            link.fault = link.fault or f"the last block ends {size - len(block)} bytes early"
        reader = _READERS.get(int.from_bytes(block[4:8], "little"))
        if reader:
            reader(link, block)
        at += size
    return at


def _read_environment(link: Link, block: bytes) -> None:
    link.add("target", wide_at(block, 268, 520) or narrow(block[8:268]))


def _read_icon(link: Link, block: bytes) -> None:
    link.add("icon", wide_at(block, 268, 520) or narrow(block[8:268]))


def _read_tracker(link: Link, block: bytes) -> None:
    link.add("machine_id", narrow(block[16:32]))
    link.add("volume_id", guid(block[32:48]))
    link.add("file_id", guid(block[48:64]))
    for start, kind in ((48, "target_id_made"), (80, "target_first_id_made")):
        mac, made = maker_of(block[start : start + 16])
        link.add("mac_address", mac)
        if made:
            link.stamps.append(Timestamp(kind, made, "lnk.droid", 1e-7))


def _read_vista_items(link: Link, block: bytes) -> None:
    _read_items(link, block[8:])


def _read_store(link: Link, block: bytes) -> None:
    for line in readable(block[8:]).split(" | "):
        link.add("property", line)


def _read_darwin(link: Link, block: bytes) -> None:
    link.add("product", wide_at(block, 268, 520) or narrow(block[8:268]))


_READERS: Final[dict[int, Callable[[Link, bytes], None]]] = {
    0xA0000001: _read_environment,
    0xA0000003: _read_tracker,
    0xA0000006: _read_darwin,
    0xA0000007: _read_icon,
    0xA0000009: _read_store,
    0xA000000C: _read_vista_items,
}
