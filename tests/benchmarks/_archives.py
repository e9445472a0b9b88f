"""How each kind of archive is made from a folder of members."""

from __future__ import annotations

import binascii
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from _rounds import SECRET, Words, run

DATE = 1_711_929_600
_DOS = (44 << 25) | (4 << 21) | (1 << 16)
Maker = Callable[[Path, Path], str]


def members_of(tree: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every member, in order."""
    for path in sorted(tree.rglob("*.txt")):
        yield path.relative_to(tree).as_posix(), path


def write_members(tree: Path, count: int, size: int) -> None:
    """`count` texts of `size` bytes, a thousand to a folder."""
    words = Words(count)
    stock = words.text(max(4 * size, 1_000_000))
    for number in range(count):
        path = tree / f"ep{number // 1000:03}" / f"cut{number:06}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f"cut {number} {words.line(4)}\n"
        start = number * 7919 % (len(stock) - size)
        path.write_text(head + stock[start : start + size - len(head)])


# -- by the standard library -------------------------------------------------------------------


def zipped(method: int) -> Maker:
    def make(tree: Path, target: Path) -> str:
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, path in members_of(tree):
                archive.write(path, name)
        return ""

    return make


def zip_zstd(tree: Path, target: Path) -> str:
    try:
        from backports import zstd
    except ImportError:
        from compression import zstd  # type: ignore[import-not-found,no-redef]
    directory = []
    with target.open("wb") as archive:
        for name, path in members_of(tree):
            data = path.read_bytes()
            packed = zstd.compress(data)
            sizes = (binascii.crc32(data), len(packed), len(data), len(name), 0)
            row = struct.pack("<HHHIIIIHH", 63, 0, 93, _DOS, *sizes)
            outside = struct.pack("<HHHII", 0, 0, 0, 0, archive.tell())
            directory.append(b"PK\1\2" + struct.pack("<H", 63) + row + outside + name.encode())
            archive.write(b"PK\3\4" + row + name.encode() + packed)
        start, rows = archive.tell(), b"".join(directory)
        count = len(directory)
        archive.write(rows + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(rows), start, 0))
    return ""


def tarred(mode: str) -> Maker:
    def make(tree: Path, target: Path) -> str:
        with tarfile.open(target, f"w:{mode}") as archive:  # type: ignore[call-overload]
            for name, path in members_of(tree):
                archive.add(path, name, recursive=False)
        return ""

    return make


def lha(tree: Path, target: Path) -> str:
    """Stored members under level 2 headers: no free program of today writes the packed ones."""
    with target.open("wb") as archive:
        for name, path in members_of(tree):
            data = path.read_bytes()
            folder, _, bare = name.rpartition("/")
            parts = (b"\1" + bare.encode(), b"\2" + folder.replace("/", "\xff").encode("latin-1") + b"\xff")
            records = b"".join(struct.pack("<H", len(part) + 2) + part for part in parts) + b"\0\0"
            head = struct.pack("<5sIIIBBHB", b"-lh0-", len(data), len(data), DATE, 0x20, 2, _crc16(data), 0x55)
            archive.write(struct.pack("<H", 2 + len(head) + len(records)) + head + records + data)
        archive.write(b"\0")
    return ""


_CRC16: list[int] = []


def _crc16(data: bytes) -> int:
    if not _CRC16:
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ 0xA001 * (value & 1)
            _CRC16.append(value)
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC16[(crc ^ byte) & 0xFF]
    return crc


def mbox(tree: Path, target: Path) -> str:
    with target.open("w") as mailbox:
        for number, (name, path) in enumerate(members_of(tree)):
            mailbox.write(
                "From desk@lantern.example Mon Apr  1 10:00:00 2024\nFrom: desk@lantern.example\n"
                f"Date: Mon, 1 Apr 2024 10:00:00 +0900\nMessage-ID: <{number}@lantern.example>\nSubject: {name}\n\n"
                f"{path.read_text()}\n"
            )
    return ""


# -- by programs -------------------------------------------------------------------------------


def room_of(tree: Path) -> int:
    """KiB of a disk that holds the members, and as much again."""
    return sum(max(4096, path.stat().st_size) for _, path in members_of(tree)) // 512 + 20_000


def by(command: str) -> Maker:
    """Packs by a line of the shell, run in the folder.

    {list} is a file with the names of all members, {room} the KiB that a file system of them needs.
    """

    def make(tree: Path, target: Path) -> str:
        program = command.split(maxsplit=1)[0]
        if not shutil.which(program):
            return f"not made: no {program} here"
        names = target.with_name("names")
        names.write_text("".join(f"{name}\n" for name, _ in members_of(tree)))
        line = command.format(target=target, list=names, tree=tree, secret=SECRET, room=room_of(tree))
        trouble = run(f"cd {tree} && {line}")
        return f"not made: {trouble}" if trouble else ""

    return make


def ext4(tree: Path, target: Path) -> str:
    count = sum(1 for _ in members_of(tree))
    return by(f"mke2fs -q -t ext4 -N {count + 500} -d {{tree}} {{target}} {{room}}")(tree, target)


def deb(tree: Path, target: Path) -> str:
    control = tree / "DEBIAN"
    control.mkdir()
    about = "Package: cuts\nVersion: 1\nArchitecture: all\nMaintainer: Desk <desk@lantern.example>\nDescription: cuts\n"
    (control / "control").write_text(about)
    trouble = by("dpkg-deb -Zxz --root-owner-group -b . {target}")(tree, target)
    shutil.rmtree(control)
    return trouble


def rpm(tree: Path, target: Path) -> str:
    work = target.with_name("rpm-work")
    work.mkdir(exist_ok=True)
    script = work / "cuts.spec"
    script.write_text(
        "Name: cuts\nVersion: 1\nRelease: 1\nSummary: cuts\nLicense: none\nBuildArch: noarch\n%description\ncuts\n"
        f"%install\nmkdir -p %{{buildroot}}/cuts\ncp -r {tree}/. %{{buildroot}}/cuts\n%files\n/cuts\n"
    )
    command = f"rpmbuild -bb --quiet --define '_topdir {work}' {script} && mv {work}/RPMS/noarch/*.rpm {{target}}"
    trouble = by(command)(tree, target)
    shutil.rmtree(work)
    return trouble
