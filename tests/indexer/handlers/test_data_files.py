"""Dumps, repositories, packages, tables and captures: damage is never a crash, and what goldens cannot show."""

from __future__ import annotations

import io
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import git_parts as git
from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _column_codecs, _orc_runs, _parquet
from indexer.handlers._git import apply_delta
from indexer.handlers._orc import Packing
from indexer.handlers.dbf_table import DbfTable
from indexer.handlers.git_pack import GitPack
from indexer.model import Child, Field, Problem, Text

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS = {
    "torrent": "folder/input.torrent",
    "sql-dump": "mysqldump/input.sql",
    "pg-dump": "custom/input.dump",
    "git-object": "commit/input.bin",
    "git-pack": "deltas/input.pack",
    "git-index": "version-4/input.index",
    "git-records": "reflog/input.log",
    "android-xml": "manifest/input.xml",
    "android-resources": "two-languages/input.arsc",
    "apk": "signed/input.apk",
    "jar": "plain/input.jar",
    "ipa": "plain/input.ipa",
    "docker-image": "oci-index/input.json",
    "dbf": "korean/input.dbf",
    "avro": "rows/input.avro",
    "parquet": "rows/input.parquet",
    "pcap": "new/input.pcapng",
    "redis": "both/input.aof",
    "orc": "rows-packed/input.orc",
    "leveldb": "plain/input.ldb",
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=12)
def test_damage_is_never_a_crash(kind: str, data: st.DataObject) -> None:
    path = FIXTURES / kind / KINDS[kind]
    sample = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        sample[data.draw(st.integers(4, len(sample) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(sample) // 2, len(sample)))
    for item in crawl_bytes(bytes(sample[:cut]), path.name):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory")], item.problems


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=300))
@settings(max_examples=200)
def test_any_delta_is_applied_or_refused(source: bytes, delta: bytes) -> None:
    try:
        assert len(apply_delta(source, delta)) <= 1 << 26
    except EvidenceError:
        pass


def test_a_chain_of_deltas_is_followed_without_recursion() -> None:
    texts = [b"version 0 of a note that many hands have changed"]
    whole = git.packed(3, texts[0])
    objects = [whole]
    for number in range(1, 3000):
        step = git.delta(texts[-1], 8, b"%d of a note" % number)
        texts.append(texts[-1][:8] + b"%d of a note" % number)
        objects.append(git.packed(6, step, git.distance(len(objects[-1]))))
    stream = Stream(io.BytesIO(git.pack(*objects)))
    names = [fact for fact in GitPack().read(stream) if isinstance(fact, Child)]
    assert len(names) == 3000
    assert git.ident("blob", texts[-1]).hex() in names[-1].name


def test_memos_come_from_the_file_beside_the_table() -> None:
    head = bytes([0x83, 124, 3, 1, 1, 0, 0, 0, 65, 0, 11, 0]) + bytes(17) + b"\x4e\0\0"
    column = b"NOTE".ljust(11, b"\0") + b"M" + bytes(4) + b"\x0a\0" + bytes(14)
    table = head + column + b"\r" + b" " + b"%10d" % 2 + b"\x1a"
    memos = bytes(1024) + "긴 메모".encode("cp949") + b"\x1a\x1a"
    stream = Stream(
        io.BytesIO(table),
        name="notes.dbf",
        siblings=lambda name: io.BytesIO(memos) if name == "notes.dbt" else None,
    )
    facts = list(DbfTable().read(stream))
    assert Field("dbf.memo", "notes.dbt") in facts
    assert Text("NOTE\n긴 메모", "rows 1") in facts
    assert not [fact for fact in facts if isinstance(fact, Problem)]


def test_a_page_is_bounded_by_what_it_may_unpack_to() -> None:
    with pytest.raises(EvidenceError) as caught:
        _column_codecs.unpack("gzip", zlib.compress(bytes(1 << 20), wbits=31), 1000)
    assert caught.value.cause == "limit"


def test_runs_of_numbers_stop_where_the_page_says() -> None:
    assert _parquet._hybrid(b"\xfe\xff\xff\xff\x0f\x07", 3, 5) == [7] * 5
    assert _parquet._hybrid(b"\x03\x88\xc6\xfa", 3, 8) == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"[core]\n" + b" " * 16000, "config"),
        (b"-- MySQL dump 10\n-- Host: x" + b" " * 100_000 + b"y\n", "a.sql"),
        (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(" + b" " * 100_000, "b.sql"),
        (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nINSERT INTO t VALUES(" + b"'a" * 50_000, "c.sql"),
    ],
)
def test_long_runs_cost_no_more_than_their_length(head: bytes, name: str) -> None:
    started = time.process_time()
    crawl_bytes(head, name)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("raw", "second", "numbers"),
    [
        ("610007", False, [7] * 100),
        ("fb0203060711", False, [2, 3, 6, 7, 17]),
        ("0a2710", True, [10000] * 5),
        ("5e035ca1ab1edeadbeef", True, [23713, 43806, 57005, 48879]),
        ("c609020222424246", True, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]),
        (
            "8e132b2107d01e00147028323c46505a646e78828c96a0aab4befce8",
            True,
            [2030, 2000, 2020, 1000000, *range(2040, 2191, 10)],
        ),
    ],
)
def test_runs_of_orc_give_the_numbers_of_its_specification(raw: str, second: bool, numbers: list[int]) -> None:
    stream = Stream(io.BytesIO(bytes.fromhex(raw)))
    feed = _orc_runs.Feed(stream, 0, stream.size, Packing(0, 0), _orc_runs.Purse())
    values = _orc_runs.read_numbers(feed, second=second, signed=False)
    assert [next(values) for _ in numbers] == numbers
    with pytest.raises(EvidenceError, match="values are missing"):
        next(values)


def test_a_value_of_orc_goes_over_chunks_and_ends_with_its_stream() -> None:
    chunks = b"".join((len(each) << 1 | 1).to_bytes(3, "little") + each for each in (b"ab", b"", b"cde", b"f"))
    feed = _orc_runs.Feed(Stream(io.BytesIO(chunks + b"more")), 0, len(chunks), Packing(1, 0), _orc_runs.Purse())
    assert [feed.take(1), feed.take(4), feed.take(0)] == [b"a", b"bcde", b""]
    with pytest.raises(EvidenceError, match="values are missing"):
        feed.take(2)
