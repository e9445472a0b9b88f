"""What Windows machines leave: promises that goldens cannot show, and damage of every kind."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from event_parts import STRING, Chunk, event, log, system_values
from hive_parts import Hive, sz
from indexer.handlers import _windows, evtx
from indexer.handlers._hive_answers import FIELDS
from indexer.handlers._pe import version_strings
from indexer.handlers._xpress import unpack
from indexer.limits import Limits
from ole_parts import filetime
from program_parts import program, version

FIXTURES = Path(__file__).parents[3] / "fixtures"
TYPES = (
    "evt",
    "evtx",
    "ese",
    "job",
    "jump-list",
    "lnk",
    "memory-image",
    "pe",
    "prefetch",
    "rdp-cache",
    "recycle-bin",
    "printer-settings",
    "chm-system",
    "ole-presentation",
    "registry",
    "task",
    "thumbcache",
    "thumbs-db",
    "windows-ini",
)
INPUTS = sorted(path for kind in TYPES for path in (FIXTURES / kind).glob("*/input*"))
TICKS = filetime(2024, 3, 5, 9, 30)


def causes(data: bytes, name: str) -> set[str]:
    return {problem.cause for item in crawl_bytes(data, name) for problem in item.problems}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_damage_never_crashes(path: Path) -> None:
    chance = random.Random(str(path.parent.name))
    # The rest of a big file is zeros: what counts stands in its first pages.
    whole = path.read_bytes()[:12288]
    data = bytearray(whole)
    for _ in range(chance.choice((1, 4, 40))):
        data[chance.randrange(len(data))] = chance.choice((0, 0xFF, 0x7F, chance.randrange(256)))
    cut = chance.choice((len(data), chance.randrange(len(data)) + 1))
    assert "crash" not in causes(bytes(data[:cut]), path.name)


def test_a_hive_read_twice_is_the_same_and_a_key_is_read_once() -> None:
    hive = Hive(TICKS)
    keys = [hive.key(f"k{number}", [("v", *sz("말"))]) for number in range(50)]
    data = hive.pack(hive.key("root", [], [*keys, *keys]))
    (item,) = crawl_bytes(data, "a.hve")
    assert {field.name: field.value for field in item.fields}["registry.keys"] == 51
    assert [problem.message for problem in item.problems] == ["a key is in two places, or inside itself (50 times)"]


def test_shared_lists_of_values_end() -> None:
    """A thousand keys that share one list of a thousand values are not a million values."""
    hive = Hive(TICKS)
    wide = hive.key("wide", [(f"v{number}", *sz("같은 값")) for number in range(1000)])
    count, listed = struct.unpack_from("<II", hive.body, wide + 4 + 36)
    others = [hive.key(f"k{number}") for number in range(1000)]
    for each in others:
        struct.pack_into("<II", hive.body, each + 4 + 36, count, listed)
    (item,) = crawl_bytes(hive.pack(hive.key("root", [], [wide, *others])), "a.hve")
    values = {field.name: field.value for field in item.fields}["registry.values"]
    assert 1000 <= int(values) < 120_000
    assert any("more keys and values" in problem.message for problem in item.problems)


def test_answers_are_kept_within_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer.handlers import registry_hive

    monkeypatch.setattr(registry_hive, "_ANSWERS", 3)
    hive = Hive(TICKS)
    run = hive.key("Run", [(f"v{number}", *sz("C:\\a.exe")) for number in range(9)])
    data = hive.pack(hive.key("root", [], [hive.key("Windows", [], [hive.key("CurrentVersion", [], [run])])]))
    (item,) = crawl_bytes(data, "a.hve")
    assert sum(field.name == "registry.autostart" for field in item.fields) == 3
    assert [problem.cause for problem in item.problems] == ["limit"]
    assert all(name.startswith("registry.") for name in FIELDS)


def test_times_of_records_are_kept_within_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evtx, "TIMES", 5)
    chunk = Chunk(1)
    node = event("Kumo", "Application", [""])
    for number in range(1, 21):
        at = TICKS + number * 10_000_000
        values = [*system_values(number, at, 1, "A"), (STRING, "줄".encode("utf-16-le"))]
        chunk.record(node, values, at)
    (item,) = crawl_bytes(log(chunk.pack(), next_record=21), "a.evtx")
    kinds = [stamp.kind for stamp in item.timestamps]
    assert kinds == ["logged"] * 5 + ["first_logged", "last_logged"]
    assert item.timestamps[-1].at.second == 20
    assert len(item.texts) == 20
    assert item.status == "read"


def test_without_its_library_an_event_log_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "evtx", None)
    (item,) = crawl_bytes(log(Chunk(1).pack(), next_record=1), "a.evtx")
    assert item.problems[0].cause == "missing-library"
    assert "pip install evtx" in item.problems[0].message


def test_the_example_of_the_packing_specification() -> None:
    """[MS-XCA] 3.2: the letters of the alphabet."""
    table = bytearray(256)
    table[48:62] = bytes.fromhex("50555555555555555555554544 04".replace(" ", ""))
    table[128] = 4
    packed = bytes(table) + bytes.fromhex("d8523ed794115be9195ff9d67cdf8d0400000000")
    assert unpack(packed, 26) == b"abcdefghijklmnopqrstuvwxyz"


def test_blocks_that_follow_one_another_are_unpacked() -> None:
    pack = (FIXTURES / "prefetch" / "packed" / "input.pf").read_bytes()
    table, codes = pack[8:264], pack[264:]
    assert table == b"\x99" * 256
    # 65536 letters fill a block; the codes of the next begin behind one word that was read ahead.
    letters = "".join(f"{ord('a'):09b}" for _ in range(65536)) + "0" * 16
    first = b"".join(struct.pack("<H", int(letters[at : at + 16], 2)) for at in range(0, len(letters), 16))
    whole = unpack(table + first + table + codes, 65536 + int.from_bytes(pack[4:8], "little"))
    assert whole[:65536] == b"a" * 65536
    assert whole[65536 + 4 : 65536 + 8] == b"SCCA"


@given(st.binary(max_size=600), st.integers(0, 1 << 32))
@settings(max_examples=60)
def test_unpacking_ends_within_the_declared_size(data: bytes, size: int) -> None:
    assert len(unpack(b"\x99" * 256 + data, size)) <= min(size, 40_000)


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_version_texts_of_any_bytes(noise: bytes) -> None:
    good = version({"CompanyName": "구름"})
    at = len(noise) % len(good)
    assert len(list(version_strings(good[:at] + noise + good[at:]))) < 1000
    assert ("041204b0", "CompanyName", "구름") in list(version_strings(good))


def test_a_self_extracting_archive_is_an_archive_first() -> None:
    import io
    import zipfile

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("컷.txt", "第12镜")
    (item, *members) = crawl_bytes(program(overlay=held.getvalue()), "setup.exe")
    assert item.handler == "zip"
    assert [member.handler for member in members if member.name == "컷.txt"] == ["text"]


def test_a_program_that_is_no_archive_keeps_its_strings() -> None:
    (item,) = crawl_bytes(program(imports=["KERNEL32.dll"]), "a.exe")
    assert item.handler == "pe"
    assert any("화면을 다시 그립니다" in text.body for text in item.texts)


@pytest.mark.parametrize("name", ["pagefile.sys", "SwapFile.sys"])
def test_a_page_file_is_known_by_its_name_where_nothing_else_is(name: str) -> None:
    (item,) = crawl_bytes(bytes(range(256)) * 32, name)
    assert item.handler == "memory-image"
    assert crawl_bytes(bytes(range(256)) * 32, "other.sys")[0].handler != "memory-image"


def test_values_that_are_none() -> None:
    assert _windows.sid(b"\1\5") == _windows.guid(bytes(16)) == _windows.moment(0) == ""
    assert _windows.maker_of(bytes(16)) == ("", None)
    assert _windows.sid(bytes.fromhex("010100000000000512000000")) == "S-1-5-18"


def test_limits_hold_for_a_log_of_many_records() -> None:
    chunk = Chunk(1)
    node = event("Kumo", "Application", [""])
    for number in range(1, 50):
        chunk.record(node, [*system_values(number, TICKS, 1, "A"), (STRING, b"a\0")], TICKS)
    (item,) = crawl_bytes(log(chunk.pack(), next_record=50), "a.evtx", limits=Limits(facts=20))
    assert "limit" in {problem.cause for problem in item.problems}
