"""Compressed streams: every byte that decodes, whatever stands around it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zlib
from collections.abc import Callable, Iterator

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import as_lines, crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers import compress_stream
from indexer.handlers._zstd import load_zstd
from indexer.handlers.bzip2_stream import Bzip2Stream
from indexer.handlers.compress_stream import CompressStream
from indexer.handlers.gzip_stream import GzipStream
from indexer.handlers.lz4_stream import Lz4Stream
from indexer.handlers.strings import Strings
from indexer.handlers.xz_stream import XzStream
from indexer.handlers.zstd_stream import ZstdStream
from indexer.limits import Limits
from indexer.model import Child, Fact, Item

HANDLERS: list[Handler] = [
    Bzip2Stream(),
    CompressStream(),
    GzipStream(),
    Lz4Stream(),
    Strings(),
    XzStream(),
    ZstdStream(),
]
TEXT = "".join(f"Mizukagami 第{number}話 수경\n" for number in range(400)).encode()


def pack_lzw(data: bytes) -> bytes:
    return bytes.fromhex("1f9d90") + b"".join(
        sum(value << 9 * at for at, value in enumerate([*data[start : start + 7], 256])).to_bytes(9, "little")
        for start in range(0, len(data), 7)
    )


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "alone": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "zstd": lambda data: load_zstd().compress(data, options={load_zstd().CompressionParameter.checksum_flag: 1}),
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
    "compress": pack_lzw,
}
SAMPLES = {name: pack(TEXT) for name, pack in PACK.items()}


def read(data: bytes, name: str = "cels.bin") -> list[Item]:
    return crawl_bytes(data, name, handlers=HANDLERS)


def content(handler: Handler, stream: Stream) -> tuple[bytes, list[Fact]]:
    """The first member's bytes up to trouble, and every fact."""
    gathered = b""
    facts = []
    for fact in handler.read(stream):
        facts.append(fact)
        if isinstance(fact, Child) and fact.open and not gathered:
            with fact.open() as source:
                try:
                    while chunk := source.read(1000):
                        gathered += chunk
                except EvidenceError as error:
                    facts.append(error)  # type: ignore[arg-type]
    return gathered, facts


@pytest.mark.parametrize("name", PACK)
def test_content_comes_back(name: str) -> None:
    items = read(SAMPLES[name])
    assert items[0].handler == name.replace("alone", "xz")
    assert items[1].size == len(TEXT)
    assert not items[0].problems


@pytest.mark.parametrize("cut", [0, 1, 2000])
@pytest.mark.parametrize("spoilt", [b"", b"\xff" * 9])
def test_both_ways_undo_compress(cut: int, spoilt: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = SAMPLES["compress"][: len(SAMPLES["compress"]) - cut]
    data = packed[:900] + spoilt + packed[900 + len(spoilt) :]
    here = as_lines(read(data))
    asked: list[str] = []
    asking = compress_stream.stream_members

    def ask(path: str, kind: str) -> Iterator[bytes]:
        asked.append(kind)
        return asking(path, kind=kind)

    monkeypatch.setattr(compress_stream, "stream_members", ask)
    monkeypatch.setattr(compress_stream, "MUCH", 0)
    assert as_lines(read(data)) == here
    assert asked == ["Z"]


def check_at(name: str) -> int:
    """Where, counted from the end, a byte of the checksum over the content stands."""
    if name == "xz":
        return -13 - 4 * (int.from_bytes(SAMPLES["xz"][-8:-4], "little") + 1)
    return {"gzip": -5, "bzip2": -3, "zstd": -1, "lz4": -1}[name]


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd", "lz4"])
def test_a_wrong_checksum_costs_no_content(name: str) -> None:
    data = bytearray(SAMPLES[name])
    data[check_at(name)] ^= 1
    items = read(bytes(data))
    assert items[1].size == len(TEXT)
    assert [item.problems[0].cause for item in items] == ["corrupt", "corrupt"]


def test_a_truncated_gzip_gives_what_zlib_gives() -> None:
    data = SAMPLES["gzip"][:-700]
    gathered, _ = content(GzipStream(), Stream(io.BytesIO(data)))
    assert gathered == zlib.decompressobj(31).decompress(data)
    assert len(gathered) > 1000


def test_damage_deep_inside_costs_only_what_lies_behind_it() -> None:
    noise = random.Random(7).randbytes(300_000)
    data = bytearray(gzip.compress(noise, mtime=0))
    data[200_000:200_100] = b"\xff" * 100
    gathered, _ = content(GzipStream(), Stream(io.BytesIO(bytes(data))))
    good = zlib.decompressobj(31)
    expected = good.decompress(bytes(data[:200_000]))
    assert gathered.startswith(expected)


def test_members_and_garbage() -> None:
    items = read(SAMPLES["gzip"] * 3 + b"tape label")
    fields = {field.name: field.value for field in items[0].fields}
    assert fields["gzip.members"] == 3
    assert {(item.name, item.size) for item in items[1:]} == {("cels.bin", 3 * len(TEXT)), ("[after the stream]", 10)}
    assert items[0].problems[0].cause == "corrupt"


def test_facts_behind_a_member_nobody_opened_are_told() -> None:
    data = SAMPLES["xz"] * 2 + b"rest"
    facts = list(XzStream().read(Stream(io.BytesIO(data))))
    assert [getattr(fact, "name", "") for fact in facts][1:] == ["xz.streams", "", "[after the stream]"]


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("batch.tgz", "batch.tar"),
        ("batch.TXZ", "batch.tar"),
        ("note.txt.gz", "note.txt"),
        (".gz", ".gz"),
        ("", "content"),
    ],
)
def test_the_content_is_named_after_the_item(name: str, inside: str) -> None:
    handler: Handler = XzStream() if name.endswith("TXZ") else GzipStream()
    data = SAMPLES["xz" if name.endswith("TXZ") else "gzip"]
    _, facts = content(handler, Stream(io.BytesIO(data), name=name))
    assert next(fact.name for fact in facts if isinstance(fact, Child)) == inside


def test_a_window_larger_than_allowed_is_refused() -> None:
    limits = Limits(dictionary=1 << 20)
    for name, data in (("alone", SAMPLES["alone"]), ("xz", SAMPLES["xz"])):
        items = crawl_bytes(data, "cels", limits=limits, handlers=HANDLERS)
        assert [problem.cause for problem in items[0].problems] == ["limit"], name
        assert "1048576" in items[0].problems[0].message


def test_thirteen_bytes_cost_nothing() -> None:
    items = read(b"\x66" + b"\xff" * 12)
    assert len(items) == 1
    stream = Stream(io.BytesIO(b"\x66" + b"\xff" * 12))
    with pytest.raises(Exception, match="4294967295"):
        list(XzStream().read(stream))


def test_lzw_tables_stay_small_whatever_they_spell() -> None:
    codes = [97, *range(257, 512)]
    data = b"".join(
        sum(code << 9 * at for at, code in enumerate(codes[start : start + 8])).to_bytes(9, "little")
        for start in range(0, len(codes), 8)
    )
    gathered, _ = content(CompressStream(), Stream(io.BytesIO(b"\x1f\x9d\x90" + data)))
    assert gathered == b"a" * sum(range(1, len(codes) + 1))


def test_lz4_skippable_frames_are_not_claimed_by_zstd() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0note"
    assert read(skippable + SAMPLES["lz4"])[0].handler == "lz4"
    assert read(skippable + SAMPLES["zstd"])[0].handler == "zstd"
    assert read(skippable)[0].handler == "strings"


@pytest.mark.parametrize("head", [b"\x1f\x8b\x09" + bytes(20), b"BZh0" + bytes(20), b"\x1f\x9d\xff" + bytes(20)])
def test_a_magic_alone_claims_nothing(head: bytes) -> None:
    stream = Stream(io.BytesIO(head))
    assert all(
        not handler.claims(stream)
        for handler in HANDLERS
        if not handler.signatures or any(head.startswith(mark.magic) for mark in handler.signatures)
    )


@settings(max_examples=12)
@given(name=st.sampled_from(sorted(PACK)), at=st.integers(0, 10**6), value=st.integers(1, 255), cut=st.booleans())
def test_damage_never_leaves_the_crawl(name: str, at: int, value: int, cut: bool) -> None:
    data = bytearray(SAMPLES[name])
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= value
    causes = [problem.cause for item in read(bytes(data)) for problem in item.problems]
    assert "crash" not in causes
    assert not {"memory", "timeout"} & set(causes)


@settings(max_examples=60)
@given(
    data=st.binary(max_size=80),
    magic=st.sampled_from([b"", b"\x5d\0\0\x80\0", b"\x1f\x9d", b"BZh9", b"\x28\xb5\x2f\xfd"]),
)
def test_claims_never_raises(data: bytes, magic: bytes) -> None:
    for handler in HANDLERS:
        handler.claims(Stream(io.BytesIO(magic + data)))


def test_output_is_pulled_not_pushed() -> None:
    bomb = gzip.compress(bytes(50_000_000), 9, mtime=0)
    child = next(fact for fact in GzipStream().read(Stream(io.BytesIO(bomb))) if isinstance(fact, Child))
    assert child.open
    with child.open() as source:
        assert len(source.read(1 << 20)) <= 1 << 20
