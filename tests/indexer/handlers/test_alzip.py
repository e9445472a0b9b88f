"""ALZip's archives: volumes, ciphers by their standards' own vectors, and damage of any kind."""

from __future__ import annotations

import importlib
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _alz_bzip2, _azo
from indexer.handlers._lea import LeaCounter, encrypt_block, round_keys
from indexer.handlers.alz_archive import AlzArchive
from indexer.handlers.egg_archive import EggArchive
from indexer.model import Child, Fact, Item
from indexer.registry import all_handlers

FIXTURES = Path(__file__).parents[3] / "fixtures"
SAMPLES = sorted([*FIXTURES.glob("alz/*/input*"), *FIXTURES.glob("egg/*/input*")])
HANDLERS = [handler for handler in all_handlers() if handler.name in ("alz", "egg", "strings")]

alz = importlib.import_module("alz.make")
egg = importlib.import_module("egg.make")


def read_all(facts: Iterator[Fact]) -> dict[str, bytes]:
    return {fact.name: fact.open().read() for fact in facts if isinstance(fact, Child) and fact.open}


def stream_with(name: str, files: dict[str, bytes]) -> Stream:
    return Stream(
        io.BytesIO(files[name]), name=name, siblings=lambda each: io.BytesIO(files[each]) if each in files else None
    )


def test_alz_goes_on_in_its_volumes() -> None:
    whole = alz.archive(alz.member(b"a.txt", alz.LIST, 2), alz.member(b"b.txt", alz.SHEET, 0))
    cuts = [0, 300, 900, len(whole)]
    names = ["scan.alz", "scan.a00", "scan.a01"]
    files = {}
    for number, name in enumerate(names):
        part = whole[cuts[number] : cuts[number + 1]]
        files[name] = bytes(8 if number else 0) + part + bytes(16 if number < 2 else 0)
    assert read_all(AlzArchive().read(stream_with("scan.alz", files))) == {"a.txt": alz.LIST, "b.txt": alz.SHEET}


def test_egg_goes_on_in_the_volume_that_it_names() -> None:
    split = lambda before, after: egg.extra(0x24F5A262, before.to_bytes(4, "little") + after.to_bytes(4, "little"))  # noqa: E731
    whole = egg.archive(egg.file("plan.txt", egg.SHEET), prefix=split(0, 7), number=5)
    rest = egg.archive(prefix=split(5, 0), number=7)[:-4] + whole[-500:]
    files = {"day.vol1.egg": whole[:-500], "day.vol2.egg": rest}
    assert read_all(EggArchive().read(stream_with("day.vol1.egg", files))) == {"plan.txt": egg.SHEET}
    other = files | {"day.vol2.egg": rest.replace(b"\x07\0\0\0", b"\x08\0\0\0", 1)}
    with pytest.raises(EvidenceError, match="missing at the end"):
        read_all(EggArchive().read(stream_with("day.vol1.egg", other)))


@pytest.mark.parametrize(
    ("key", "plain", "secret"),
    [
        (
            "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "101112131415161718191a1b1c1d1e1f",
            "9fc84e3528c6c6185532c7a704648bfd",
        ),
        (
            "0f1e2d3c4b5a69788796a5b4c3d2e1f0f0e1d2c3b4a5968778695a4b3c2d1e0f",
            "303132333435363738393a3b3c3d3e3f",
            "d651aff647b189c13a8900ca27f9e197",
        ),
    ],
)
def test_lea_encrypts_as_its_standard_says(key: str, plain: str, secret: str) -> None:
    assert encrypt_block(round_keys(bytes.fromhex(key)), bytes.fromhex(plain)).hex() == secret


@given(data=st.binary(max_size=80), at=st.integers(0, 60))
def test_lea_goes_on_from_any_byte(data: bytes, at: int) -> None:
    key = bytes(range(16))
    secret = LeaCounter(key, 0).decrypt(data)
    assert LeaCounter(key, at).decrypt(secret[at:]) == data[at:]


def test_azo_unpacks_in_pieces_of_any_size() -> None:
    packed = bytes.fromhex(egg.AZO)
    assert b"".join(_azo.decode(iter([packed[at : at + 5] for at in range(0, len(packed), 5)]))) == egg.LIST
    assert _azo._relative(bytearray(b"\x90\xe8\x10\0\0\0\x90")) == b"\x90\xe8\x0f\0\0\0\x90"


@settings(max_examples=30)
@given(st.binary(max_size=3000) | st.text("ab", max_size=3000).map(str.encode))
def test_bzip2_without_checksums_unpacks(data: bytes) -> None:
    if data:
        packed = alz.pack_bzip2(data)
        assert b"".join(_alz_bzip2.decode(iter([packed[:7], packed[7:]]))) == data


def test_bzip2_keeps_the_blocks_before_the_damage() -> None:
    first, second = alz.pack_bzip2(b"first " * 9), alz.pack_bzip2(b"second")
    bits = bin(int.from_bytes(b"\1" + first, "big"))[3:]
    bits = bits[: bits.rindex(f"{0x444C5A02:032b}")] + bin(int.from_bytes(b"\1" + second, "big"))[3:]
    bits += "0" * (-len(bits) % 8)
    whole = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert b"".join(_alz_bzip2.decode(iter([whole]))) == b"first " * 9 + b"second"
    chunks = _alz_bzip2.decode(iter([whole[:-12]]))
    assert next(chunks) == b"first " * 9
    with pytest.raises(EvidenceError, match="too early"):
        next(chunks)


@settings(max_examples=150)
@given(path=st.sampled_from(SAMPLES), seed=st.integers(0, 10**9), cut=st.none() | st.integers(0, 10**6))
def test_damage_never_leaves_the_crawl(path: Path, seed: int, cut: int | None) -> None:
    dice = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(dice.randrange(5)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    del data[len(data) if cut is None else cut % len(data) :]
    listed = path.with_name("passwords.txt")
    passwords = listed.read_text("utf-8").splitlines() if listed.exists() else []
    assert no_crash(crawl_bytes(bytes(data), path.name, handlers=HANDLERS, passwords=passwords))


def no_crash(items: list[Item]) -> bool:
    assert all(problem.cause != "crash" for item in items for problem in item.problems), items
    return True
