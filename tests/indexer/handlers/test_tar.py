"""Tar: what goldens cannot show: agreement with tarfile, bounds, damage anywhere."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Handler, Stream
from indexer.handlers import tar_archive
from indexer.handlers._tar import MOST_EXTENTS, Gap, Member, is_header, number, parse_records, walk
from indexer.handlers.strings import Strings
from indexer.handlers.tar_archive import TarArchive
from indexer.model import Child, Field, Item
from tar.make import END, GNU, header, member, padded, pax

HANDLERS: list[Handler] = [Strings(), TarArchive()]


def read(data: bytes) -> list[Item]:
    return crawl_bytes(data, "shelf.tar", handlers=HANDLERS)


def parts(data: bytes) -> list[Member | Gap]:
    return list(walk(Stream(io.BytesIO(data))))


def written(kind: int) -> bytes:
    """An archive by the standard library, with everything it can say."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
        for number_, name in enumerate(("a.txt", "수경/" + "긴이름" * 60 + ".txt", "水鏡/" * 30 + "cel.txt")):
            entry = tarfile.TarInfo(name)
            entry.size = number_ * 700
            entry.mtime = 1_700_000_000
            entry.uid = 1 << (20 if kind == tarfile.USTAR_FORMAT else 30)
            if kind == tarfile.USTAR_FORMAT:
                entry.name = f"{'folder/' * 20}{number_}.txt"
            archive.addfile(entry, io.BytesIO(bytes([65 + number_]) * entry.size))
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "x/" * (40 if kind == tarfile.USTAR_FORMAT else 100)
        archive.addfile(entry)
    return made.getvalue()


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_standard_library_writes_comes_back(kind: int) -> None:
    data = written(kind)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(each.name, each.size, each.linkname, each.uid) for each in archive.getmembers()]
    found = []
    for fact in TarArchive().read(Stream(io.BytesIO(data))):
        if isinstance(fact, Child):
            fields = {field.name: field.value for field in fact.fields}
            size = len(fact.open().read()) if fact.open else 0
            found.append((fact.name, size, fields.get("file.link_target", ""), fields["tar.uid"]))
    assert found == expected


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"00000000000\0", 0),
        (b"\0" * 12, 0),
        (b"0000009\0", None),
        (b"0o17   \0", None),
        (b"1_0    \0", None),
        (b"-000017\0", None),
        (b"\x80" + bytes(10) + b"\x05", 5),
        (b"\xff" * 12, -1),
    ],
)
def test_numbers(raw: bytes, value: int | None) -> None:
    assert number(raw) == value


@settings(max_examples=200)
@given(st.binary(min_size=512, max_size=512))
def test_checksums_are_exact(block: bytes) -> None:
    total = sum(block) - sum(block[148:156]) + 256
    good = block[:148] + b"%06o\0 " % total + block[156:]
    assert is_header(good)
    assert not is_header(block[:148] + b"%06o\0 " % (total + 1) + block[156:])


def test_a_sparse_claim_costs_no_time() -> None:
    started = time.monotonic()
    claim = b"%011o\0%011o\0" % (0, 3) + bytes(72) + b"\0%011o\0" % ((8 << 30) - 1)
    items = read(header(b"nothing.raw", 3, b"S", magic=GNU, tail=bytes(41) + claim) + padded(b"end") + END)
    assert [item.size for item in items[1:]] == [3]
    assert time.monotonic() - started < 1


def test_holes_of_all_members_share_one_allowance() -> None:
    one = header(
        b"hole.raw",
        0,
        b"S",
        magic=GNU,
        tail=bytes(41) + b"%011o\0%011o\0" % (100 << 20, 0) + bytes(72) + b"\0%011o\0" % (100 << 20),
    )
    items = read(one * 3 + END)
    assert sorted(item.size or 0 for item in items[1:]) == [0, 0, 100 << 20]
    assert sum(problem.cause == "limit" for item in items for problem in item.problems) == 2


def test_a_map_of_millions_is_refused() -> None:
    table = b"%d\n" % (MOST_EXTENTS + 1) + b"0\n0\n" * 100
    records = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))
    (found,) = parts(pax(*records) + member(b"s", padded(table)) + END)
    assert isinstance(found, Member)
    assert found.extents is None
    assert found.problems[0].cause == "corrupt"


def test_overlapping_extents_are_refused() -> None:
    (found,) = parts(pax((b"GNU.sparse.map", b"0,4,2,4"), (b"GNU.sparse.size", b"9")) + member(b"s", b"abcdefgh") + END)
    assert isinstance(found, Member)
    assert found.extents is None


def test_a_hard_link_with_the_bytes_of_its_file_gives_them() -> None:
    data = header(b"again.txt", 5, b"1", link=b"first.txt") + padded(b"bytes") + member(b"next.txt", b"n") + END
    items = read(data)
    assert {(item.name, item.size) for item in items[1:]} == {("again.txt", 5), ("next.txt", 1)}
    items = read(header(b"again.txt", 5, b"1", link=b"first.txt") + member(b"next.txt", b"n") + END)
    assert {(item.name, item.size) for item in items[1:]} == {("again.txt", None), ("next.txt", 1)}


def test_records_up_to_the_first_bad_one() -> None:
    assert parse_records(b"9 path=a\n8 uid=7\n") == ([(b"path", b"a"), (b"uid", b"7")], True)
    assert parse_records(b"9 path=a\n99 uid=7\n") == ([(b"path", b"a")], False)
    assert parse_records(b"0 path=a\n")[1] is False


def test_names_vote_together_and_memory_stays_bounded() -> None:
    names = [f"원화/장면{number_:03}_수정본.txt".encode("cp949") for number_ in range(300)]
    facts = list(TarArchive().read(Stream(io.BytesIO(b"".join(member(name, b"") for name in names) + END))))
    assert [fact.name for fact in facts if isinstance(fact, Child)] == [name.decode("cp949") for name in names]


def test_every_byte_of_a_damaged_archive_is_in_some_member() -> None:
    data = member(b"one", b"1" * 600) + b"\xa5" * 2048 + member(b"two", b"2") + END + b"behind" * 100
    found = parts(data)
    assert [type(part).__name__ for part in found] == ["Member", "Gap", "Member", "Gap"]
    gaps = [part for part in found if isinstance(part, Gap)]
    assert b"".join(data[gap.at : gap.at + gap.size] for gap in gaps) == b"\xa5" * 2048 + b"behind" * 100


def test_many_headers_are_walked_quickly() -> None:
    data = member(b"cel.txt", b"") * 20_000 + END
    started = time.monotonic()
    assert sum(1 for _ in walk(Stream(io.BytesIO(data)))) == 20_000
    assert time.monotonic() - started < 2


SAMPLE = written(tarfile.PAX_FORMAT)


@settings(max_examples=60)
@given(at=st.integers(0, len(SAMPLE) - 1), value=st.integers(1, 255), cut=st.booleans())
def test_damage_never_leaves_the_crawl(at: int, value: int, cut: bool) -> None:
    data = bytearray(SAMPLE)
    if cut:
        del data[at:]
    else:
        data[at] ^= value
    assert "crash" not in [problem.cause for item in read(bytes(data)) for problem in item.problems]
    list(TarArchive().read(Stream(io.BytesIO(bytes(data)))))


@settings(max_examples=60)
@given(st.lists(st.sampled_from([b"\0", b"7", b"\xff", b"\x80", b" ", b"S"]), min_size=512, max_size=512))
def test_any_fields_under_a_good_checksum_are_survived(cells: list[bytes]) -> None:
    block = b"".join(cells)
    total = sum(block) - sum(block[148:156]) + 256
    data = block[:148] + b"%06o\0 " % total + block[156:] + SAMPLE
    assert "crash" not in [problem.cause for item in read(data) for problem in item.problems]


def test_headers_without_a_member_are_members() -> None:
    lost = pax((b"path", "cut_031/레이아웃.psd".encode()))
    found = [part for part in parts(lost + lost) if isinstance(part, Member)]
    assert [(part.kind, part.name, part.at) for part in found] == [
        ("extended-header", b"PaxHeaders/x", 0),
        ("extended-header", b"PaxHeaders/x", len(lost)),
    ]
    _, first, second = read(lost + lost)
    assert "레이아웃.psd" in first.texts[0].body
    assert (first.digests, first.size) == (second.digests, second.size)


@pytest.mark.parametrize(("name", "walks"), [("cel.txt", 1), ("수경.txt", 2)])
def test_only_names_that_need_it_are_voted_on(name: str, walks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Stream] = []

    def counted(stream: Stream) -> Iterator[Member | Gap]:
        begun.append(stream)
        return walk(stream)

    monkeypatch.setattr(tar_archive, "walk", counted)
    data = member(b"a.txt", b"a") + member(name.encode("cp949"), b"b") + END
    facts = list(TarArchive().read(Stream(io.BytesIO(data))))
    assert len(begun) == walks
    children = [at for at, fact in enumerate(facts) if isinstance(fact, Child)]
    assert [facts[at].name for at in children] == ["a.txt", name]  # type: ignore[union-attr]
    told = [fact.name for fact in facts[: children[1]] if isinstance(fact, Field)]
    assert told.count("names.codec") == walks - 1
