"""Disk images: every format gives the disk that went in, and no damage leads out of the crawl."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import image_parts as parts
from crawling import crawl_bytes
from disk_parts import DISK, FLOPPY, MBR_DISK, NOTE, SECTOR, WINDOWS, gpt, mbr, place, slot
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _aff4, _ewf, _ewf2, _qcow, _vdi, _vhd, _vhdx, _vmdk
from indexer.handlers._disk import DiskView
from indexer.handlers._image import FileImage, Forgiving, Image, JoinedImage, MissingImage, ZeroImage
from indexer.handlers._image_parents import MOST_PARENTS, parents_of
from indexer.handlers._partitions import read_table
from indexer.handlers.raw_disk import RawDisk
from indexer.model import Item

FORMATS: dict[str, tuple[bytes, Callable[..., Image]]] = {
    "kite.qcow2": (parts.qcow(DISK), _qcow.open_image),
    "packed.qcow2": (parts.qcow(DISK, packed=True), _qcow.open_image),
    "kite.qcow": (parts.qcow_old(DISK), _qcow.open_image),
    "kite.vhd": (parts.vhd(DISK), _vhd.open_image),
    "fixed.vhd": (DISK + parts.vhd_footer(len(DISK), 2, (1 << 64) - 1), _vhd.open_image),
    "kite.vhdx": (parts.vhdx(DISK), _vhdx.open_image),
    "kite.vdi": (parts.vdi(DISK), _vdi.open_image),
    "kite.vmdk": (parts.vmdk(DISK), _vmdk.open_image),
    "stream.vmdk": (parts.vmdk(DISK, packed=True), _vmdk.open_image),
    "kite.E01": (parts.ewf(DISK)[0], _ewf.open_image),
    "kite.Ex01": (parts.ewf2(DISK), _ewf2.open_image),
    "kite.aff4": (parts.aff4(DISK), _aff4.open_image),
}
SMALL = sorted(name for name, (data, _) in FORMATS.items() if len(data) < 100_000)


def folder(files: dict[str, bytes], name: str) -> Stream:
    """A file of a folder, with its siblings to be had."""

    def sibling(wanted: str) -> io.BytesIO | None:
        return io.BytesIO(files[wanted]) if wanted in files else None

    return Stream(io.BytesIO(files[name]), name=name, siblings=sibling)


def open_format(name: str) -> Image:
    data, opening = FORMATS[name]
    stream = folder({name: data}, name)
    return opening(stream, parents_of(stream))


def whole(image: Image) -> bytes:
    return image.read_at(0, image.size)


def names(items: list[Item]) -> list[str]:
    return [str(item.provenance).partition("!/")[2] for item in items]


# -- the bytes that went in --------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_the_disk_that_went_in(name: str) -> None:
    image = open_format(name)
    assert whole(image) == DISK
    assert image.read_at(len(DISK), 10) == b""
    assert image.read_at(len(DISK) - 3, 10) == DISK[-3:]
    assert image.read_at(-1, 10) == b""


@settings(max_examples=60)
@given(st.sampled_from(sorted(FORMATS)), st.integers(0, len(DISK) + 100), st.integers(0, 20_000))
def test_any_range_is_that_range(name: str, offset: int, length: int) -> None:
    assert open_format(name).read_at(offset, length) == DISK[offset : offset + length]


@pytest.mark.parametrize("name", FORMATS)
def test_stored_bytes_are_never_stepped_over(name: str) -> None:
    image = open_format(name)
    at = 0
    while at < len(DISK):
        found = image.data_from(at)
        assert found >= at
        assert not DISK[at:found].strip(b"\0")
        at = found + SECTOR


@pytest.mark.parametrize("name", FORMATS)
def test_the_walk_finds_the_same_in_every_format(name: str) -> None:
    items = crawl_bytes(FORMATS[name][0], name)
    expected = names(crawl_bytes(DISK, "kite.dd"))
    assert names(items) == expected
    assert NOTE.decode().strip() in "".join(text.body for item in items for text in item.texts)


def test_a_view_seeks_as_files_do() -> None:
    view = DiskView(FileImage(Stream(io.BytesIO(DISK))), 4096, 1000)
    assert view.seek(-10, io.SEEK_END) == 990
    assert view.read() == DISK[4096 + 990 : 4096 + 1000]
    assert view.read() == b""
    view.seek(0)
    assert io.BufferedReader(view).read(2000) == DISK[4096:5096]


def test_parts_are_one_disk() -> None:
    halves = [FileImage(Stream(io.BytesIO(DISK[:1000]))), ZeroImage(24), FileImage(Stream(io.BytesIO(DISK[1000:])))]
    joined = JoinedImage(halves)
    assert whole(joined) == DISK[:1000] + bytes(24) + DISK[1000:]
    assert joined.data_from(1000) == 1024


def test_what_cannot_be_read_is_zeros_only_where_that_is_told() -> None:
    joined = JoinedImage([FileImage(Stream(io.BytesIO(DISK[:8192]))), MissingImage(4096, "gone")])
    with pytest.raises(EvidenceError, match="gone"):
        joined.read_at(8000, 1000)
    view = Forgiving(joined)
    assert view.read_at(0, 12_288) == DISK[:8192] + bytes(4096)
    assert (view.lost, str(view.first)) == (4096, "gone")
    assert joined.missing() == ("gone",)


# -- sets of files -----------------------------------------------------------------------------


def test_segments_of_ewf_are_followed_to_their_end() -> None:
    files = {_ewf.segment_name("kite.E01", number): part for number, part in enumerate(parts.ewf(DISK, 5), 1)}
    assert whole(_ewf.open_image(folder(files, "kite.E01"))) == DISK
    del files["kite.E04"]
    contents = _ewf.read_contents(folder(files, "kite.E01"))
    assert [problem.cause for problem in contents.problems] == ["truncated"]
    assert _ewf.EwfImage(contents).read_at(0, 4096) == DISK[:4096]


def test_names_of_segments() -> None:
    named = [_ewf.segment_name("a.e01", number) for number in (1, 99, 100, 125, 126, 775, 776)]
    assert named == ["a.e01", "a.e99", "a.eaa", "a.eaz", "a.eba", "a.ezz", "a.faa"]
    assert _ewf.segment_name("a.Ex01", 101) == "a.ExAB"
    assert _ewf.segment_name("a.raw1", 2) == ""


def test_a_backing_file_is_read_through() -> None:
    above = place(160, (8, FLOPPY[:4096]))
    files = {"base.raw": DISK, "middle.qcow2": parts.qcow(above, backing="base.raw")}
    files["top.qcow2"] = parts.qcow(bytes(len(DISK)), backing="/vm/middle.qcow2")
    stream = folder(files, "top.qcow2")
    assert whole(_qcow.open_image(stream, parents_of(stream))) == DISK


def test_a_differencing_disk_shows_its_own_sectors_over_the_parents() -> None:
    changed = bytearray(DISK)
    changed[9 * SECTOR : 10 * SECTOR] = b"\x11" * SECTOR
    top = parts.vhd(bytes(changed), parent="base.vhd", changed=frozenset({9}))
    stream = folder({"top.vhd": top, "base.vhd": parts.vhd(DISK)}, "top.vhd")
    assert whole(_vhd.open_image(stream, parents_of(stream))) == bytes(changed)


def test_images_that_name_one_another_end() -> None:
    files = {"a.qcow2": parts.qcow(bytes(81_920), backing="b.qcow2"), "b.qcow2": parts.qcow(DISK, backing="a.qcow2")}
    stream = folder(files, "a.qcow2")
    image = _qcow.open_image(stream, parents_of(stream))
    assert image.read_at(0, SECTOR) == DISK[:SECTOR]
    with pytest.raises(EvidenceError):
        image.read_at(130 * SECTOR, SECTOR)
    assert MOST_PARENTS < 100


def test_extents_are_joined_in_the_order_of_the_descriptor() -> None:
    text = parts.descriptor("custom", ['RW 80 FLAT "b.bin" 2', "RW 16 ZERO", 'RW 64 SPARSE "c.vmdk"'])
    files = {"k.vmdk": text, "b.bin": bytes(1024) + DISK[:40_960], "c.vmdk": parts.vmdk(DISK[49_152:], text=b"")}
    stream = folder(files, "k.vmdk")
    image = _vmdk.open_image(stream, parents_of(stream))
    assert whole(image) == DISK[:40_960] + bytes(8192) + DISK[49_152:]


# -- what is a disk ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        mbr(slot(1, 1, 10)),
        FLOPPY[:512],
        bytes(510) + b"\x55\xaa" + bytes(20_000),
        (bytes(446) + b"\x7f" * 64 + b"\x55\xaa").ljust(20_000, b"\0"),
        place(40, (0, mbr(slot(0x83, 4000, 10)))),
        b"\xeb\x3c\x90" + b"program" * 4000,
        bytes(0x438) + b"\x53\xef" + bytes(20_000),
        NOTE * 500,
    ],
)
def test_marks_alone_are_no_disk(data: bytes) -> None:
    assert RawDisk().claims(Stream(io.BytesIO(data), name="input.dd")) is None


@pytest.mark.parametrize("data", [DISK, MBR_DISK, FLOPPY, DISK[: 40 * SECTOR]])
def test_tables_and_file_systems_are_disks(data: bytes) -> None:
    assert RawDisk().claims(Stream(io.BytesIO(data), name="any.name")) is not None


def test_a_bootable_optical_disc_stays_one() -> None:
    disc = bytearray(place(200, (0, mbr(slot(0x17, 8, 100, boot=True)))))
    disc[0x8000:0x8006] = b"\x01CD001"
    assert RawDisk().claims(Stream(io.BytesIO(bytes(disc)), name="live.iso")) is None


def test_sectors_of_4096_bytes() -> None:
    small = gpt(160, [(WINDOWS, 8, 71, "daily")])
    wide = bytearray(160 * 4096)
    for start, data in small:
        for number in range(0, len(data), SECTOR):
            at = start * 4096 + number
            wide[at : at + SECTOR] = data[number : number + SECTOR]
    table = read_table(FileImage(Stream(io.BytesIO(bytes(wide)))))
    assert table is not None
    assert (table.sector, [(each.start, each.size) for each in table.partitions]) == (4096, [(32_768, 64 * 4096)])


# -- damage ------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    st.sampled_from(["kite.dd", "logical.dd", *SMALL]),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=6),
    st.integers(0, 1 << 20),
)
def test_damage_never_leads_out_of_the_crawl(name: str, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray({"kite.dd": DISK, "logical.dd": MBR_DISK}.get(name) or FORMATS[name][0])
    for at, bits in flips:
        # Most of a disk is empty: the tables in front are hit as often as all the rest.
        data[at % (len(data) if at % 2 else min(len(data), 4096))] ^= bits
    keep = len(data) - cut % len(data) if cut % 3 == 0 else len(data)
    for item in crawl_bytes(bytes(data[:keep]), name):
        assert not [problem for problem in item.problems if problem.cause == "crash"], item


# -- other programs ----------------------------------------------------------------------------

QEMU = (
    ("qcow2", (), _qcow.open_image),
    ("qcow2", ("-c", "-o", "compression_type=zstd"), _qcow.open_image),
    ("qcow2", ("-o", "extended_l2=on,cluster_size=64k"), _qcow.open_image),
    ("qcow", (), _qcow.open_image),
    ("vpc", ("-o", "force_size=on"), _vhd.open_image),
    ("vhdx", (), _vhdx.open_image),
    ("vdi", (), _vdi.open_image),
    ("vmdk", (), _vmdk.open_image),
    ("vmdk", ("-o", "subformat=streamOptimized"), _vmdk.open_image),
)


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not here")
@pytest.mark.parametrize(("kind", "options", "opening"), QEMU)
def test_images_that_qemu_writes(
    kind: str, options: tuple[str, ...], opening: Callable[..., Image], tmp_path: Path
) -> None:
    source, target = tmp_path / "disk.raw", tmp_path / "image"
    source.write_bytes(DISK)
    command = ["qemu-img", "convert", "-q", "-f", "raw", "-O", kind, *options, str(source), str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)
    stream = Stream(io.BytesIO(target.read_bytes()), name="image")
    assert whole(opening(stream, parents_of(stream))) == DISK


@pytest.mark.skipif(not shutil.which("ewfacquire"), reason="ewfacquire is not here")
@pytest.mark.parametrize("kind", ["encase6", "ftk", "smart"])
def test_images_that_ewfacquire_writes(kind: str, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    options = ["-u", "-q", "-t", str(tmp_path / "kite"), "-f", kind, "-c", "fast", "-e", "Kim"]
    command = ["ewfacquire", *options, str(tmp_path / "disk.raw")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30)
    written = next(path for path in tmp_path.iterdir() if path.stem == "kite" and path.suffix.endswith("01"))
    stream = Stream(io.BytesIO(written.read_bytes()), name=written.name)
    assert whole(_ewf.open_image(stream)) == DISK
    assert _ewf.decode_header(_ewf.read_contents(stream))["e"] == "Kim"
