"""Installers of Inno Setup that the writer of the fixtures makes: every version, slices, damage."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._inno_data import MOST_AGAIN, Keys, Slices, Unpacking, turn_back
from indexer.handlers._inno_records import Place, Setup
from indexer.handlers.inno_setup import InnoSetup
from indexer.model import Child, Fact, Field, Problem

FIXTURES = Path(__file__).parents[3] / "fixtures"
VERSIONS = (
    (4, 0, 9),
    (4, 1, 5),
    (4, 2, 3),
    (5, 0, 4),
    (5, 1, 13),
    (5, 2, 5),
    (5, 3, 10),
    (5, 6, 0),
    (6, 0, 0),
    (6, 4, 3),
)


def load_writer() -> Any:
    sys.path.insert(0, str(FIXTURES))
    try:
        spec = importlib.util.spec_from_file_location("make_inno", FIXTURES / "inno" / "make.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FIXTURES))


MAKE = load_writer()
WHOLE: bytes = MAKE.whole((6, 1, 0))


def read_all(stream: Stream) -> tuple[dict[str, bytes], list[Fact]]:
    """The members' bytes by their names, and all facts."""
    members, facts = {}, []
    for fact in InnoSetup().read(stream):
        facts.append(fact)
        if isinstance(fact, Child) and fact.open:
            members[fact.name] = fact.open().read()
    return members, facts


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ".".join(map(str, version)))
def test_every_version_gives_its_files(version: tuple[int, ...]) -> None:
    data = MAKE.whole(version, wide=version >= (6,), method=1)
    members, facts = read_all(Stream(io.BytesIO(data)))
    assert members["{app}/baekho.exe"] == MAKE.PROGRAM
    assert members["{app}/작업/메모.txt"] == MAKE.NOTES
    assert not [fact for fact in facts if isinstance(fact, Problem)]


@pytest.mark.parametrize("at", range(3))
def test_slices_are_joined_whatever_their_ends(at: int) -> None:
    writer = MAKE.Writer((5, 5, 7), wide=True, method=0)
    chunk, header = writer.write(start=12)
    cut = (2, 100, len(chunk) - 1)[at]
    files = {
        "baekho.exe": b"MZ" + b"\0" * 300 + header,
        "baekho-1.bin": b"idska32\x1a" + bytes(4) + chunk[:cut],
        "baekho-2.bin": b"idska32\x1a" + bytes(4) + chunk[cut:],
    }

    def sibling(name: str) -> BinaryIO | None:
        return io.BytesIO(files[name]) if name in files else None

    first = Stream(io.BytesIO(files["baekho-1.bin"]), name="baekho-1.bin", siblings=sibling)
    members, _ = read_all(first)
    assert members["{app}/baekho.exe"] == MAKE.PROGRAM
    second = Stream(io.BytesIO(files["baekho-2.bin"]), name="baekho-2.bin", siblings=sibling)
    assert list(InnoSetup().read(second)) == [Field("archive.part_of", "baekho-1.bin")]
    files.pop("baekho-2.bin")
    with pytest.raises(EvidenceError, match="slice 2 of the packed files is not here"):
        read_all(first)


def test_a_header_without_its_slices_names_the_files() -> None:
    _, header = MAKE.Writer((5, 5, 7), wide=True, method=0).write(start=12)
    members, facts = read_all(Stream(io.BytesIO(header), name="[after the program]"))
    listed = {
        fact.name for fact in facts if isinstance(fact, Child) and Field("file.kind", "listed-file") in fact.fields
    }
    assert {"{app}/baekho.exe", "{app}/작업/메모.txt"} <= listed
    assert not any(name.startswith("{") for name in members)
    assert [fact.cause for fact in facts if isinstance(fact, Problem)] == ["unsupported"]


def test_a_slice_alone_says_what_is_missing() -> None:
    with pytest.raises(EvidenceError, match="not here, nor beside it"):
        list(InnoSetup().read(Stream(io.BytesIO(b"idska32\x1a" + bytes(40)), name="baekho-1.bin")))


def test_records_of_another_version_are_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    data = WHOLE.replace(b"(6.1.0) (u)", b"(5.5.0) (u)")
    root, *members = crawl_bytes(data)
    assert [member.name for member in members] == ["[setup header]"]
    assert root.problems[0].cause == "missing-library"


@given(st.binary(max_size=300), st.sampled_from(((5, 1, 13), (5, 2, 3), (6, 1, 0))), st.integers(1, 90))
def test_jumps_turn_back_however_the_bytes_are_cut(data: bytes, version: tuple[int, ...], step: int) -> None:
    data = data.replace(b"\0", b"\xe8")
    turned = MAKE.turn(data, version)
    pieces = (turned[at : at + step] for at in range(0, len(turned), step))
    assert b"".join(turn_back(pieces, version)) == data


def test_no_jump_is_turned_over_the_bound_of_a_block() -> None:
    data = bytes(0x10000 - 4) + b"\xe8\x10\0\0\0" + bytes(20)
    assert b"".join(turn_back(iter((data,)), (6, 1, 0))) == data


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_crashes(at: int, mask: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= mask
    for item in crawl_bytes(bytes(data), handlers=(InnoSetup(),)):
        assert all(problem.cause != "crash" for problem in item.problems)


@given(st.integers(0, len(WHOLE)))
def test_an_end_too_early_never_crashes(size: int) -> None:
    for item in crawl_bytes(WHOLE[:size], handlers=(InnoSetup(),)):
        assert all(problem.cause != "crash" for problem in item.problems)


@given(st.binary(max_size=400), st.binary(max_size=100))
def test_blocks_of_anything_never_crash(header: bytes, places: bytes) -> None:
    data = MAKE.installer("6.1.0) (u", MAKE.block(header) + MAKE.block(places))
    for item in crawl_bytes(data, handlers=(InnoSetup(),)):
        assert all(problem.cause != "crash" for problem in item.problems)


def test_files_that_overlap_are_unpacked_only_so_often() -> None:
    setup = Setup((6, 1, 0), True, method=0)
    slices = Slices({0: Stream(io.BytesIO(b"zlb\x1a" + bytes(9)))}.get, apart=False)
    unpacking = Unpacking(slices, setup, Keys(setup, None), 1 << 20)
    place = Place((0, 0, 0, 9), 1, 8, ("crc32", bytes(4)), 0, (0, 0), frozenset())
    for _ in range(MOST_AGAIN + 1):
        with pytest.raises(EvidenceError, match="not the one recorded"):
            list(unpacking.read(place))
    with pytest.raises(EvidenceError, match="overlap"):
        list(unpacking.read(place))
