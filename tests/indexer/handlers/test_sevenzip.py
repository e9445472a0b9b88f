"""7z: both programs give the same items, nothing piles up, nothing escapes."""

from __future__ import annotations

import hashlib
import importlib
import io
import lzma
import os
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers import _p7z, sevenzip
from indexer.handlers._p7z import list_members, stream_members
from indexer.handlers._sevenzip import MAGIC
from indexer.handlers._sevenzip_blocks import derive
from indexer.handlers._sevenzip_chain import decode_chain
from indexer.handlers.sevenzip import SevenZip
from indexer.handlers.strings import Strings
from indexer.limits import Limits
from indexer.model import Child, Item

make = importlib.import_module("7z.make")
HANDLERS: list[Handler] = [SevenZip(), Strings()]
CELS = {f"cels/{number:03}.txt": b"cel %03d\n" % number * (number % 50) for number in range(400)}


def pack(files: dict[str, bytes], *switches: str) -> bytes:
    """An archive by the program of the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (1_700_000_000, 1_700_000_000))
        made = Path(folder, "made.7z")
        subprocess.run(
            [_p7z.program(), "a", "-bd", "-bso0", "-mmt1", *switches, str(made), *sorted(files)],
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8"},
        )
        return made.read_bytes()


@pytest.fixture(scope="module")
def cels() -> bytes:
    return pack(CELS, "-mx1")


def read(data: bytes, **more: object) -> list[Item]:
    return crawl_bytes(data, "shelf.7z", handlers=HANDLERS, **more)  # type: ignore[arg-type]


def essence(items: list[Item]) -> list[tuple[object, ...]]:
    return [
        (
            item.provenance.hops,
            item.size,
            item.digests,
            item.timestamps,
            item.media_type,
            {field.name: field.value for field in item.fields}.get("file.link_target"),
            {field.name: field.value for field in item.fields}.get("7z.crc"),
        )
        for item in items
    ]


@pytest.mark.parametrize("name", ["SOLID", "SINGLE", "cels"])
def test_both_programs_give_the_same_items(name: str, cels: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cels if name == "cels" else getattr(make, name)
    here = read(data)
    calls: list[str] = []

    def refuse(file: object, password: str | None = None) -> None:
        calls.append("refused")
        raise EvidenceError("corrupt", "not by this one")

    monkeypatch.setattr(sevenzip, "read_directory", refuse)
    there = read(data)
    assert calls
    assert essence(here) == essence(there)
    assert len(here) > 5
    assert not [problem for item in there for problem in item.problems if problem.cause != "unsupported"]


def test_members_are_what_was_packed(cels: bytes) -> None:
    found = {}
    for fact in SevenZip().read(Stream(io.BytesIO(cels))):
        if isinstance(fact, Child) and fact.open:
            with fact.open() as source:
                found[fact.name] = b"".join(iter(lambda source=source: source.read(100), b""))
    assert found == CELS


@pytest.mark.parametrize("switch", ["-m0=PPMd", "-m0=BZip2", "-m0=Deflate", "-m0=Deflate64", "-m0=Copy", "-m0=ARM64"])
def test_methods(switch: str) -> None:
    files = {"a.bin": bytes(range(256)) * 40, "b.bin": b"Mizukagami " * 900}
    items = read(pack(files, switch))
    assert [item.size for item in items[1:]] == [10240, 9900]
    assert not [problem for item in items for problem in item.problems if problem.cause == "corrupt"]


def test_a_reader_that_stops_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = pack({"zeros.bin": bytes(30_000_000)}, "-mx1")
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def watch(*arguments: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **more))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(_p7z.subprocess, "Popen", watch)
    with tempfile.NamedTemporaryFile() as file:
        file.write(zeros)
        file.flush()
        chunks = stream_members(file.name)
        assert next(chunks)
        assert started[0].poll() is None
        chunks.close()
        assert started[0].returncode == -9
        facts = SevenZip().read(Stream(io.BytesIO(make.BCJ2)))
        for fact in facts:
            if isinstance(fact, Child) and fact.open:
                fact.open().read(1)
                break
        facts.close()  # type: ignore[attr-defined]
    assert all(process.returncode is not None for process in started)


def test_listing_by_the_program() -> None:
    with Stream(io.BytesIO(make.SOLID)).path() as path:
        records = list(list_members(path))
    assert records[0]["Type"] == "7z"
    assert [record["Path"] for record in records[1:]][:2] == ["03", "03/017"]
    with Stream(io.BytesIO(b"no archive at all")).path() as path, pytest.raises(EvidenceError) as caught:
        list(list_members(path))
    assert caught.value.cause == "corrupt"


def test_a_window_larger_than_allowed_is_refused_member_by_member(cels: bytes) -> None:
    items = read(cels, limits=Limits(dictionary=1 << 15))
    full = [item for item in items[1:] if CELS[item.provenance.hops[1].name]]
    assert full
    assert all([problem.cause for problem in item.problems] == ["limit"] for item in full)


@pytest.mark.parametrize("words", [(), ("wrong",), ("wrong", "sora-1")])
def test_passwords(words: tuple[str, ...]) -> None:
    items = read(make.LOCKED, passwords=words)
    locked = [item for item in items[1:] if any(problem.cause == "encrypted" for problem in item.problems)]
    assert len(locked) == (0 if "sora-1" in words else 3)
    assert all(item.digests is None for item in locked)


def test_damage_in_one_block_spares_the_others_whoever_reads_them() -> None:
    files = {name: os.urandom(0) + name.encode() * 300 for name in ("a.bin", "b.bin", "c.bin")}
    for switches in (("-m0=LZMA", "-ms=off"), ("-m0=PPMd", "-ms=off")):
        data = bytearray(pack(files, *switches))
        data[32 + 12] ^= 0x55
        items = {item.name: item for item in read(bytes(data))}
        assert items["a.bin"].problems, switches
        assert (items["b.bin"].size, items["c.bin"].size) == (1500, 1500), switches


def test_what_decodes_before_the_damage_is_kept() -> None:
    body = "".join(f"cut {number}, retake\n" for number in range(60_000)).encode()
    data = bytearray(pack({"sheet.txt": body}, "-m0=LZMA2"))
    at = len(data) * 2 // 3
    data[at : at + 8] = b"\xff" * 8
    (child,) = [fact for fact in SevenZip().read(Stream(io.BytesIO(bytes(data)))) if isinstance(fact, Child)]
    facts = SevenZip().read(Stream(io.BytesIO(bytes(data))))
    gathered = b""
    for fact in facts:
        if isinstance(fact, Child) and fact.open:
            source = fact.open()
            with pytest.raises(EvidenceError):
                for chunk in _chunks(source):
                    gathered += chunk
    half = len(body) // 3
    assert gathered[:half] == body[:half]
    assert child.name == "sheet.txt"


def _chunks(source: io.BufferedIOBase) -> Iterator[bytes]:
    while chunk := source.read(1 << 16):
        yield chunk


def test_an_archive_behind_a_program_needs_its_own_checksum() -> None:
    stub = b"MZ" + MAGIC + b"not this one" * 40
    assert SevenZip().claims(Stream(io.BytesIO(stub + make.SOLID)))
    assert SevenZip().claims(Stream(io.BytesIO(stub))) is None
    assert SevenZip().claims(Stream(io.BytesIO(b"MZ" + bytes(2_000_000) + make.SOLID))) is None


def test_a_key_of_a_billion_rounds_is_refused() -> None:
    packed = bytes.fromhex("1706000109100007 0b010001 2406f10701 02 5e00 0c100000".replace(" ", ""))
    rest = struct.pack("<QQI", 16, len(packed), zlib.crc32(packed))
    data = MAGIC + b"\0\4" + struct.pack("<I", zlib.crc32(rest)) + rest + bytes(16) + packed
    items = read(data, passwords=("a", "b"))
    assert [problem.cause for problem in items[0].problems] == ["limit"]
    assert "2^30" in items[0].problems[0].message


@settings(max_examples=25)
@given(
    name=st.sampled_from(["SOLID", "SINGLE", "LOCKED"]),
    at=st.integers(0, 10**6),
    value=st.integers(1, 255),
    cut=st.booleans(),
)
def test_damage_never_leaves_the_crawl(name: str, at: int, value: int, cut: bool) -> None:
    data = bytearray(getattr(make, name))
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= value
    assert "crash" not in [problem.cause for item in read(bytes(data)) for problem in item.problems]


@settings(max_examples=40)
@given(edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_directory_that_lies_under_good_checksums_never_leaves_the_crawl(edits: list[tuple[int, int]]) -> None:
    single = make.SINGLE
    offset, size = struct.unpack_from("<QQ", single, 12)
    directory = bytearray(single[32 + offset : 32 + offset + size])
    for at, value in edits:
        directory[at % len(directory)] = value
    rest = struct.pack("<QQI", offset, size, zlib.crc32(directory))
    data = MAGIC + b"\0\4" + struct.pack("<I", zlib.crc32(rest)) + rest + single[32 : 32 + offset] + directory
    assert "crash" not in [problem.cause for item in read(data) for problem in item.problems]


def test_newer_methods_are_undone_behind_filters() -> None:
    import lz4.frame

    plain = b"\xe8\x10\x20\x30\x00 and \xe9\x01\x02\x03\x00" * 400
    x86, packed = {"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}
    filtered = lzma.decompress(
        lzma.compress(plain, lzma.FORMAT_RAW, filters=[x86, packed]), lzma.FORMAT_RAW, filters=[packed]
    )
    assert filtered != plain
    frames = (
        b"\x50\x2a\x4d\x18\x04\0\0\0\x99\0\0\0"
        + lz4.frame.compress(filtered[:900])
        + lz4.frame.compress(filtered[900:])
    )
    pieces = iter([frames[:7], frames[7:40], frames[40:]])
    assert b"".join(decode_chain(pieces, ("LZ4", "BCJ"), [{}, {}], 1 << 20)) == plain
    with pytest.raises(EvidenceError, match="too early"):
        b"".join(decode_chain(iter([frames[:-30]]), ("LZ4", "BCJ"), [{}, {}], 1 << 20))


@pytest.mark.parametrize(("password", "salt", "power"), [("lantern", b"", 17), ("q" * 90, b"salt", 10), ("长", b"", 0)])
def test_the_key_is_that_of_all_rounds(password: str, salt: bytes, power: int) -> None:
    digest = hashlib.sha256()
    for number in range(1 << power):
        digest.update(salt + password.encode("utf-16-le") + number.to_bytes(8, "little"))
    assert derive(password, salt, power) == digest.digest()


@pytest.mark.parametrize("switch", ["-mhe=on", "-mhe=off", "-m0=Copy", "-ms=off", "-mf=BCJ"])
def test_blocks_under_aes_hold_what_was_packed(switch: str) -> None:
    packed = {f"cels/{number}.txt": b"cel %d\n" % number * number * 900 for number in range(1, 30)}
    items = read(pack(packed, "-plantern", switch), passwords=("lamp", "lantern"))
    assert not [problem for item in items for problem in item.problems if problem.cause != "unsupported"]
    found = {item.provenance.hops[-1].name: item.digests.sha256 for item in items[1:] if item.digests}
    assert found == {name: hashlib.sha256(data).hexdigest() for name, data in packed.items()}
