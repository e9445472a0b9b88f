"""Caches of browsers: promises that goldens cannot show, and damage of every kind."""

from __future__ import annotations

import gzip
import os
import random
import time
from pathlib import Path

import pytest

from build import HERE
from cache_parts import PICTURE, STUDIO, Blockfile, firefox_entry, head, response, simple_entry, tar
from crawling import crawl_bytes
from indexer.handlers.chromium_blockfile import sum_of
from indexer.limits import Limits
from indexer.model import Source
from indexer.sources import Beside

KINDS = ("chromium-cache", "chromium-blockfile", "firefox-cache")
INPUTS = sorted(path for kind in KINDS for path in (HERE / kind).glob("*/input*"))


def causes(data: bytes, name: str = "input") -> set[str]:
    return {problem.cause for item in crawl_bytes(data, name) for problem in item.problems}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_damage_never_crashes(path: Path) -> None:
    chance = random.Random(str(path.parent.name))
    whole = path.read_bytes()
    for _ in range(6):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 4, 40))):
            data[chance.randrange(len(data))] = chance.choice((0, 0xFF, 0x7F, chance.randrange(256)))
        cut = chance.choice((len(data), chance.randrange(len(data)) + 1))
        assert "crash" not in causes(bytes(data[:cut]), path.name)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("1/0/_dk_s_http://127.0.0.1 http://127.0.0.1 http://127.0.0.1:8765/deflate.html", 0x8DE7F4A3),
        ("1/0/_dk_http://127.0.0.1 http://127.0.0.1 http://127.0.0.1:8765/style.css", 0x02A20029),
        ("1/0/_dk_http://127.0.0.1 http://127.0.0.1 http://127.0.0.1:8765/ko.html", 0xF8641CF7),
        ("", 0),
    ],
)
def test_the_sum_is_the_one_that_chromium_writes(key: str, expected: int) -> None:
    assert sum_of(key.encode()) == expected


def test_a_body_of_several_pieces_is_given_whole() -> None:
    for size in (0x3FFFF, 0x40000, 0x40001, 700_000):
        body = random.Random(size).randbytes(size)
        data = firefox_entry(f":{STUDIO}/blank.bin", body, {"response-head": "HTTP/1.1 200 OK\r\n"})
        root, member = crawl_bytes(data)[:2]
        assert (root.handler, member.size) == ("firefox-cache", size)


def test_a_key_of_commas_takes_no_longer_than_another() -> None:
    for marks in ("," * 400_000, "a," * 200_000, "a,," * 130_000):
        data = firefox_entry(f"{marks}:{STUDIO}/a", b"text", {"response-head": "HTTP/1.1 200 OK\r\n"})
        started = time.process_time()
        assert crawl_bytes(data)[0].handler == "firefox-cache"
        assert time.process_time() - started < 5


def test_a_picture_is_an_entry_by_its_end_alone() -> None:
    whole = firefox_entry(f":{STUDIO}/cel.jpg", PICTURE, {})
    assert crawl_bytes(whole)[0].handler == "firefox-cache"
    for other in (PICTURE, whole[:-1], whole + b"\0", PICTURE + (len(PICTURE) - 40).to_bytes(4, "big")):
        assert crawl_bytes(other)[0].handler == "jpeg"


def test_a_bomb_in_a_body_ends_at_the_limit() -> None:
    packed = gzip.compress(bytes(50_000_000), mtime=0)
    data = simple_entry(f"{STUDIO}/a", response(head(packed, "text/html", "gzip")), packed)
    assert "limit" in {
        problem.cause for item in crawl_bytes(data, limits=Limits(item_bytes=1_000_000)) for problem in item.problems
    }


def test_a_cut_body_gives_what_decodes() -> None:
    text = "\n".join(f"cut {number}" for number in range(20_000)).encode()
    packed = gzip.compress(text, mtime=0)[:-2000]
    data = simple_entry(f"{STUDIO}/a.txt", response(head(packed, "text/plain", "gzip")), packed)
    member = crawl_bytes(data)[1]
    assert {problem.cause for problem in member.problems} == {"truncated"}
    assert "cut 1000\n" in "".join(part.body for part in member.texts)


def test_entries_that_share_one_body_are_all_told() -> None:
    made = Blockfile()
    for number in range(200):
        made.entry(f"{STUDIO}/{number}.jpg", [(3, response(head(PICTURE, "image/jpeg"))), (0, PICTURE)])
    items = crawl_bytes(tar(made.files()), "a.tar")
    found = [item for item in items if item.handler == "jpeg" and len(item.provenance.hops) == 3]
    assert len(found) == 200


def test_files_that_nobody_reads_any_more_are_closed(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"f_{number:06x}").write_bytes(b"%d" % number)
    beside = Beside(Source("s", str(tmp_path)), b"data_1")
    kept = beside("f_000000")
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        file = beside(f"f_{number:06x}")
        assert file is not None
        assert file.read() == b"%d" % number
    assert len(os.listdir("/proc/self/fd")) < before + 100
    assert kept is not None
    assert kept.read() == b"0"
    del file
    beside.close()
    assert len(os.listdir("/proc/self/fd")) < before
