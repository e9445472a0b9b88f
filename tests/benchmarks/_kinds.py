"""Every kind of container to measure: who makes it, who reads it here, and who else unpacks it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field

import _images as images
from _archives import Maker, by, deb, ext4, lha, mbox, rpm, tarred, zip_zstd, zipped
from _rounds import SECRET


@dataclass(frozen=True)
class Kind:
    """One kind of container.

    Attributes:
        make: packs the members of a folder into a file; what it returns is why it could not.
        chain: the handlers from the outside in.
        peers: program -> line of the shell that unpacks {archive} into the folder {out}.
        files: how many files the programs write; 0 for one a member.
    """

    name: str
    make: Maker
    chain: tuple[str, ...]
    peers: dict[str, str] = field(default_factory=dict)
    files: int = 0


_BSDTAR = "bsdtar -xf {archive} -C {out}"
_SEVEN = "7z x -y -bd -o{out} {archive}"
_GNU = "tar -xf {archive} -C {out}"
_BOTH = {"7z": _SEVEN, "bsdtar": _BSDTAR}
_OPEN = {"bsdtar": f"bsdtar --passphrase {SECRET} -xf {{archive}} -C {{out}}", "7z": f"{_SEVEN} -p{SECRET}"}
_TARS = {"tar": _GNU, "bsdtar": _BSDTAR}
_ONLY = {"7z": _SEVEN}
_UNAR = "unar -q -f -D -o {out} {archive}"
_SQUASH = {"unsquashfs": "unsquashfs -q -n -f -d {out} {archive}", "7z": _SEVEN}

KINDS = [
    Kind("zip stored", zipped(zipfile.ZIP_STORED), ("zip",), {"unzip": "unzip -qo {archive} -d {out}", **_BOTH}),
    Kind("zip deflate", zipped(zipfile.ZIP_DEFLATED), ("zip",), {"unzip": "unzip -qo {archive} -d {out}", **_BOTH}),
    Kind("zip zstd", zip_zstd, ("zip",), _BOTH),
    Kind("zip aes", by("7z a -tzip -mem=AES256 -p{secret} -bd {target} @{list}"), ("zip",), _OPEN),
    Kind("tar", tarred(""), ("tar",), _TARS),
    Kind("tar.gz", tarred("gz"), ("gzip", "tar"), _TARS),
    Kind("tar.bz2", tarred("bz2"), ("bzip2", "tar"), _TARS),
    Kind("tar.xz", tarred("xz"), ("xz", "tar"), _TARS),
    Kind("tar.zst", by("tar --zstd -cf {target} -T {list}"), ("zstd", "tar"), _TARS),
    Kind("tar.lz4", by("tar -I lz4 -cf {target} -T {list}"), ("lz4", "tar"), {"tar": f"{_GNU} -I lz4"}),
    Kind("7z solid", by("7z a -t7z -ms=on -bd {target} @{list}"), ("7z",), _BOTH),
    Kind("7z single", by("7z a -t7z -ms=off -bd {target} @{list}"), ("7z",), _BOTH),
    Kind("7z aes", by("7z a -t7z -p{secret} -mhe=on -bd {target} @{list}"), ("7z",), {"7z": _OPEN["7z"]}),
    Kind(
        "cpio",
        by("cpio -o -H newc --quiet -O {target} < {list}"),
        ("cpio",),
        {"cpio": "cd {out} && cpio -id --quiet -I {archive}", "bsdtar": _BSDTAR},
    ),
    Kind("ar", by("ar rcD {target} @{list}"), ("ar",), {"ar": "cd {out} && ar x {archive}", **_BOTH}),
    Kind("xar", by("bsdtar --format xar -cf {target} -T {list}"), ("xar",), _BOTH),
    Kind("iso", by("genisoimage -quiet -R -J -o {target} ."), ("iso",), _BOTH),
    Kind(
        "squashfs gzip",
        by("mksquashfs . {target} -quiet -no-progress"),
        ("squashfs",),
        _SQUASH,
    ),
    Kind(
        "squashfs zstd",
        by("mksquashfs . {target} -quiet -no-progress -comp zstd"),
        ("squashfs",),
        _SQUASH,
    ),
    Kind(
        "cab",
        by("gcab -c -z {target} $(cat {list})"),
        ("cab",),
        {"cabextract": "cabextract -q -d {out} {archive}", **_BOTH},
    ),
    Kind(
        "wim",
        by("wimlib-imagex capture . {target} --quiet"),
        ("wim",),
        {"wimlib": "wimlib-imagex apply {archive} {out} --quiet", "7z": _SEVEN},
    ),
    Kind("lha stored", lha, ("lha",), {"lha": "cd {out} && lha xqf {archive}", **_BOTH}),
    Kind("arj", by("arj a -r -y -i {target} ."), ("arj",), {"arj": "arj x -y -i {archive} {out}", "7z": _SEVEN}),
    Kind("warc", by("bsdtar --format warc -cf {target} -T {list}"), ("warc",), {"bsdtar": _BSDTAR}),
    Kind("mbox", mbox, ("mbox",), {"git": "git mailsplit -o{out} {archive}"}),
    Kind(
        "rpm",
        rpm,
        ("rpm", "*", "cpio"),
        {"rpm2cpio": "cd {out} && rpm2cpio {archive} | cpio -id --quiet", "bsdtar": _BSDTAR},
    ),
    Kind("deb", deb, ("ar", "xz", "tar"), {"dpkg-deb": "dpkg-deb -x {archive} {out}"}),
    Kind(
        "ext4",
        ext4,
        ("raw-disk",),
        {"debugfs": "debugfs -R 'rdump / {out}' {archive}", "7z": _SEVEN},
    ),
    Kind("fat", by(images.FAT), ("raw-disk",), {"mcopy": "mcopy -Q -s -n -i {archive} '::/*' {out}", **_ONLY}),
    Kind("ntfs", by(images.NTFS), ("raw-disk",), _ONLY),
    Kind("cramfs", by("mkfs.cramfs . {target}"), ("cramfs",), _ONLY),
    Kind("squashfs xz", by("mksquashfs . {target} -quiet -no-progress -comp xz"), ("squashfs",), _SQUASH),
    Kind("udf", by("genisoimage -quiet -udf -o {target} ."), ("iso",), _BOTH),
    Kind("qcow2", images.converted("qemu-img convert -O qcow2 {disk} {target}"), ("qcow",), _ONLY),
    Kind("qcow2 packed", images.converted("qemu-img convert -c -O qcow2 {disk} {target}"), ("qcow",), _ONLY),
    Kind("vmdk", images.converted("qemu-img convert -O vmdk {disk} {target}"), ("vmdk",), _ONLY),
    Kind(
        "vmdk stream",
        images.converted("qemu-img convert -O vmdk -o subformat=streamOptimized {disk} {target}"),
        ("vmdk",),
        _ONLY,
    ),
    Kind("vhd", images.converted("qemu-img convert -O vpc {disk} {target}"), ("vhd",), _ONLY),
    Kind("vhdx", images.converted("qemu-img convert -O vhdx {disk} {target}"), ("vhdx",), _ONLY),
    Kind("vdi", images.converted("qemu-img convert -O vdi {disk} {target}"), ("vdi",), _ONLY),
    Kind(
        "ewf",
        images.converted("ewfacquire -u -q -c deflate:fast -t {stem} {disk}"),
        ("ewf",),
        {"ewfexport": "ewfexport -u -q -f raw -t {out}/disk {archive}"},
        files=1,
    ),
    Kind("dmg", images.dmg, ("dmg", "raw-disk"), _ONLY),
    Kind("dmg packed", images.dmg_packed, ("dmg", "raw-disk"), _ONLY),
    Kind("chm", images.chm, ("chm",), _ONLY),
    Kind("msi", by(images.MSI), ("msi",), _ONLY),
    Kind("nsis", images.nsis(""), ("pe", "nsis"), _ONLY),
    Kind("nsis solid", images.nsis("/SOLID"), ("pe", "nsis"), _ONLY),
    Kind(
        "alz",
        images.fixture(images.alz),
        ("alz",),
        {"unalz": "unalz -d {out} {archive}", "unar": _UNAR},
    ),
    Kind("rar stored", images.fixture(images.rar), ("rar",), {"unar": _UNAR, **_BOTH}),
    Kind("tar.lz", by("tar --lzip -cf {target} -T {list}"), ("lzip", "tar"), _TARS),
    Kind("tar.lzo", by("tar --lzop -cf {target} -T {list}"), ("lzop", "tar"), _TARS),
    Kind("tar.Z", by("tar -Zcf {target} -T {list}"), ("compress", "tar"), _TARS),
]
SUFFIXES = {
    "alz": ".alz",
    "ar": ".a",
    "ewf": ".E01",
    "ext4": ".img",
    "fat": ".img",
    "iso": ".iso",
    "lha stored": ".lzh",
    "nsis": ".exe",
    "nsis solid": ".exe",
    "ntfs": ".img",
    "udf": ".iso",
}


def file_name(kind: Kind) -> str:
    """A name with the suffix that programs look for."""
    return "cuts" + SUFFIXES.get(kind.name, "." + kind.name.split()[0])
