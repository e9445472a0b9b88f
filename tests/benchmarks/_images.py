"""How disks, help files and installers are made from a folder of members."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from _archives import Maker, by, members_of
from _rounds import TOP, run

sys.path.append(str(TOP / "fixtures"))

FAT = "truncate -s {room}K {target} && mkfs.vfat {target} && mcopy -Q -s -i {target} ./* ::/"
NTFS = (
    "truncate -s {room}K {target} && mkntfs -F -Q -q {target} && "
    "while read each; do ntfscp -f -q {target} $each $(basename $each) || exit 1; done < {list}"
)
MSI = r"msibuild {target} $(sed 's|.*/\(.*\)\.txt|-a \1 &|' {list})"
RUN = 1 << 19
CHUNK = 4000
"""Bytes of names in the one chunk of a help file."""


def converted(command: str) -> Maker:
    """A FAT volume, {disk}, as a line of the shell puts it into an image."""

    def make(tree: Path, target: Path) -> str:
        disk = target.with_name("disk")
        trouble = by(FAT)(tree, disk) or run(command.format(disk=disk, target=target, stem=target.with_suffix("")))
        disk.unlink(missing_ok=True)
        return f"not made: {trouble}" if trouble else ""

    return make


def fixture(write: Callable[[Path], bytes]) -> Maker:
    """What a writer of the fixtures makes of the folder."""

    def make(tree: Path, target: Path) -> str:
        target.write_bytes(write(tree))
        return ""

    return make


def dmg(tree: Path, target: Path) -> str:
    trouble = by(FAT)(tree, target)
    if not trouble:
        made, disk = importlib.import_module("dmg.make"), target.read_bytes()
        target.write_bytes(made.image(disk, [("cuts.img", made.partition(0, len(disk) // 512))]))
    return trouble


def dmg_packed(tree: Path, target: Path) -> str:
    """Runs of half a megabyte under zlib, those that are empty left out."""
    trouble = by(FAT)(tree, target)
    if not trouble:
        made, disk = importlib.import_module("dmg.make"), target.read_bytes()
        parts = [disk[at : at + RUN] for at in range(0, len(disk), RUN)]
        table, data = made.packed(0, 0, [(0x80000005 if any(part) else 0, part) for part in parts])
        target.write_bytes(made.image(data, [("cuts.img", table)], len(disk) // 512))
    return trouble


def chm(tree: Path, target: Path) -> str:
    made = importlib.import_module("chm.make")
    pages = [("::DataSpace/NameList", made.SECTIONS), ("/", b"")]
    pages += [(f"/{name}", path.read_bytes()) for name, path in members_of(tree)]
    if sum(len(name) + 10 for name, _ in pages) > CHUNK:
        return "not made: more names than the writer has room for"
    target.write_bytes(made.book(pages))
    return ""


def nsis(solid: str) -> Maker:
    """An installer under LZMA, its files packed as one where `solid` is the switch for it."""

    def make(tree: Path, target: Path) -> str:
        script = target.with_name("cuts.nsi")
        script.write_text(
            f'Name cuts\nOutFile "{target}"\nSetCompressor {solid} lzma\nRequestExecutionLevel user\n'
            f'InstallDir $TEMP\\cuts\nSection\nSetOutPath $INSTDIR\nFile /r "{tree}/*"\nSectionEnd\n'
        )
        return by(f"makensis -V1 {script}")(tree, target)

    return make


def alz(tree: Path) -> bytes:
    made = importlib.import_module("alz.make")
    files = (made.member(name.replace("/", "\\").encode(), path.read_bytes(), 2) for name, path in members_of(tree))
    return bytes(made.archive(*files))


def rar(tree: Path) -> bytes:
    made = importlib.import_module("rar.make")
    files = (made.member(name, path.read_bytes()) for name, path in members_of(tree))
    return bytes(made.start() + b"".join(files) + made.END)
