"""Archives to measure: how each kind is made from a folder of members, and who else unpacks it."""

from __future__ import annotations

import binascii
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from _rounds import SECRET, Words, run

DATE = 1_711_929_600
_DOS = (44 << 25) | (4 << 21) | (1 << 16)
Maker = Callable[[Path, Path], str]


@dataclass(frozen=True)
class Kind:
    """One kind of archive.

    Attributes:
        make: packs the members of a folder into a file; what it returns is why it could not.
        chain: the handlers from the outside in.
        peers: program -> line of the shell that unpacks {archive} into the folder {out}.
    """

    name: str
    make: Maker
    chain: tuple[str, ...]
    peers: dict[str, str] = field(default_factory=dict)


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


def _zip(method: int) -> Maker:
    def make(tree: Path, target: Path) -> str:
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, path in members_of(tree):
                archive.write(path, name)
        return ""

    return make


def _zip_zstd(tree: Path, target: Path) -> str:
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


def _tar(mode: str) -> Maker:
    def make(tree: Path, target: Path) -> str:
        with tarfile.open(target, f"w:{mode}") as archive:  # type: ignore[call-overload]
            for name, path in members_of(tree):
                archive.add(path, name, recursive=False)
        return ""

    return make


def _lha(tree: Path, target: Path) -> str:
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


def _mbox(tree: Path, target: Path) -> str:
    with target.open("w") as mailbox:
        for number, (name, path) in enumerate(members_of(tree)):
            mailbox.write(
                "From desk@lantern.example Mon Apr  1 10:00:00 2024\nFrom: desk@lantern.example\n"
                f"Date: Mon, 1 Apr 2024 10:00:00 +0900\nMessage-ID: <{number}@lantern.example>\nSubject: {name}\n\n"
                f"{path.read_text()}\n"
            )
    return ""


# -- by programs -------------------------------------------------------------------------------


def _by(command: str) -> Maker:
    """Packs by a line of the shell, run in the folder; {list} is a file with the names of all members."""

    def make(tree: Path, target: Path) -> str:
        program = command.split(maxsplit=1)[0]
        if not shutil.which(program):
            return f"not made: no {program} here"
        names = target.with_name("names")
        names.write_text("".join(f"{name}\n" for name, _ in members_of(tree)))
        trouble = run(f"cd {tree} && {command.format(target=target, list=names, tree=tree, secret=SECRET)}")
        return f"not made: {trouble}" if trouble else ""

    return make


def _ext4(tree: Path, target: Path) -> str:
    count = sum(1 for _ in members_of(tree))
    room = sum(max(4096, path.stat().st_size) for _, path in members_of(tree)) // 1024
    return _by(f"mke2fs -q -t ext4 -N {count + 500} -d {{tree}} {{target}} {room * 2 + 20_000}")(tree, target)


def _deb(tree: Path, target: Path) -> str:
    control = tree / "DEBIAN"
    control.mkdir()
    about = "Package: cuts\nVersion: 1\nArchitecture: all\nMaintainer: Desk <desk@lantern.example>\nDescription: cuts\n"
    (control / "control").write_text(about)
    trouble = _by("dpkg-deb -Zxz --root-owner-group -b . {target}")(tree, target)
    shutil.rmtree(control)
    return trouble


def _rpm(tree: Path, target: Path) -> str:
    work = target.with_name("rpm-work")
    work.mkdir(exist_ok=True)
    script = work / "cuts.spec"
    script.write_text(
        "Name: cuts\nVersion: 1\nRelease: 1\nSummary: cuts\nLicense: none\nBuildArch: noarch\n%description\ncuts\n"
        f"%install\nmkdir -p %{{buildroot}}/cuts\ncp -r {tree}/. %{{buildroot}}/cuts\n%files\n/cuts\n"
    )
    command = f"rpmbuild -bb --quiet --define '_topdir {work}' {script} && mv {work}/RPMS/noarch/*.rpm {{target}}"
    trouble = _by(command)(tree, target)
    shutil.rmtree(work)
    return trouble


_BSDTAR = "bsdtar -xf {archive} -C {out}"
_SEVEN = "7z x -y -bd -o{out} {archive}"
_GNU = "tar -xf {archive} -C {out}"
_BOTH = {"7z": _SEVEN, "bsdtar": _BSDTAR}
_OPEN = {"bsdtar": f"bsdtar --passphrase {SECRET} -xf {{archive}} -C {{out}}", "7z": f"{_SEVEN} -p{SECRET}"}
_TARS = {"tar": _GNU, "bsdtar": _BSDTAR}

KINDS = [
    Kind("zip stored", _zip(zipfile.ZIP_STORED), ("zip",), {"unzip": "unzip -qo {archive} -d {out}", **_BOTH}),
    Kind("zip deflate", _zip(zipfile.ZIP_DEFLATED), ("zip",), {"unzip": "unzip -qo {archive} -d {out}", **_BOTH}),
    Kind("zip zstd", _zip_zstd, ("zip",), _BOTH),
    Kind("zip aes", _by("7z a -tzip -mem=AES256 -p{secret} -bd {target} @{list}"), ("zip",), _OPEN),
    Kind("tar", _tar(""), ("tar",), _TARS),
    Kind("tar.gz", _tar("gz"), ("gzip", "tar"), _TARS),
    Kind("tar.bz2", _tar("bz2"), ("bzip2", "tar"), _TARS),
    Kind("tar.xz", _tar("xz"), ("xz", "tar"), _TARS),
    Kind("tar.zst", _by("tar --zstd -cf {target} -T {list}"), ("zstd", "tar"), _TARS),
    Kind("tar.lz4", _by("tar -I lz4 -cf {target} -T {list}"), ("lz4", "tar"), {"tar": f"{_GNU} -I lz4"}),
    Kind("7z solid", _by("7z a -t7z -ms=on -bd {target} @{list}"), ("7z",), _BOTH),
    Kind("7z single", _by("7z a -t7z -ms=off -bd {target} @{list}"), ("7z",), _BOTH),
    Kind("7z aes", _by("7z a -t7z -p{secret} -mhe=on -bd {target} @{list}"), ("7z",), {"7z": _OPEN["7z"]}),
    Kind(
        "cpio",
        _by("cpio -o -H newc --quiet -O {target} < {list}"),
        ("cpio",),
        {"cpio": "cd {out} && cpio -id --quiet -I {archive}", "bsdtar": _BSDTAR},
    ),
    Kind("ar", _by("ar rcD {target} @{list}"), ("ar",), {"ar": "cd {out} && ar x {archive}", **_BOTH}),
    Kind("xar", _by("bsdtar --format xar -cf {target} -T {list}"), ("xar",), _BOTH),
    Kind("iso", _by("genisoimage -quiet -R -J -o {target} ."), ("iso",), _BOTH),
    Kind(
        "squashfs gzip",
        _by("mksquashfs . {target} -quiet -no-progress"),
        ("squashfs",),
        {"unsquashfs": "unsquashfs -q -n -f -d {out} {archive}", "7z": _SEVEN},
    ),
    Kind(
        "squashfs zstd",
        _by("mksquashfs . {target} -quiet -no-progress -comp zstd"),
        ("squashfs",),
        {"unsquashfs": "unsquashfs -q -n -f -d {out} {archive}", "7z": _SEVEN},
    ),
    Kind(
        "cab",
        _by("gcab -c -z {target} $(cat {list})"),
        ("cab",),
        {"cabextract": "cabextract -q -d {out} {archive}", **_BOTH},
    ),
    Kind(
        "wim",
        _by("wimlib-imagex capture . {target} --quiet"),
        ("wim",),
        {"wimlib": "wimlib-imagex apply {archive} {out} --quiet", "7z": _SEVEN},
    ),
    Kind("lha stored", _lha, ("lha",), {"lha": "cd {out} && lha xqf {archive}", **_BOTH}),
    Kind("arj", _by("arj a -r -y -i {target} ."), ("arj",), {"arj": "arj x -y -i {archive} {out}", "7z": _SEVEN}),
    Kind("warc", _by("bsdtar --format warc -cf {target} -T {list}"), ("warc",), {"bsdtar": _BSDTAR}),
    Kind("mbox", _mbox, ("mbox",), {"git": "git mailsplit -o{out} {archive}"}),
    Kind(
        "rpm",
        _rpm,
        ("rpm", "*", "cpio"),
        {"rpm2cpio": "cd {out} && rpm2cpio {archive} | cpio -id --quiet", "bsdtar": _BSDTAR},
    ),
    Kind("deb", _deb, ("ar", "xz", "tar"), {"dpkg-deb": "dpkg-deb -x {archive} {out}"}),
    Kind(
        "ext4",
        _ext4,
        ("raw-disk",),
        {"debugfs": "debugfs -R 'rdump / {out}' {archive}", "7z": _SEVEN},
    ),
]
SUFFIXES = {"lha stored": ".lzh", "cpio": ".cpio", "ar": ".a", "iso": ".iso", "ext4": ".img"}


def file_name(kind: Kind) -> str:
    """A name with the suffix that programs look for."""
    return "cuts" + SUFFIXES.get(kind.name, "." + kind.name.split()[0])
