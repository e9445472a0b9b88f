"""Zip: what the golden fixtures cannot show."""

from __future__ import annotations

import importlib.util
import io
import random
import sys
import zipfile
import zlib
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build
from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._ciphers import PkzipCipher, spellings
from indexer.handlers._zip_content import SLOW, Key, Member, by_sevenzip, contents
from indexer.handlers._zip_methods import unpack
from indexer.handlers._zip_records import Window, read_local
from indexer.handlers.strings import Strings
from indexer.handlers.zip_archive import ZipArchive
from indexer.limits import Limits
from indexer.model import Child, Fact, Field, Item, Problem
from indexer.passwords import Password, Passwords

HANDLERS = (ZipArchive(), Strings())
FIXTURES = Path(build.__file__).parent / "zip"


def load_make() -> ModuleType:
    sys.modules.setdefault("build", build)
    spec = importlib.util.spec_from_file_location("make_zip", FIXTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load_make()
INPUTS = sorted(path.read_bytes() for path in FIXTURES.glob("*/input.*"))


def read(data: bytes, *passwords: str) -> list[tuple[Fact, bytes, str]]:
    """Every fact, with the bytes of a child and the cause that ended them."""
    candidates = tuple(Password(text, f"line {number}") for number, text in enumerate(passwords, 1))
    stream = Stream(io.BytesIO(data), passwords=Passwords(candidates))
    found = []
    for fact in ZipArchive().read(stream):
        body, cause = b"", ""
        if isinstance(fact, Child) and fact.open:
            try:
                with fact.open() as source:
                    while chunk := source.read(1 << 16):
                        body += chunk
            except EvidenceError as error:
                cause = error.cause
        found.append((fact, body, cause))
    return found


def members(data: bytes, *passwords: str) -> dict[str, tuple[bytes, str]]:
    return {fact.name: (body, cause) for fact, body, cause in read(data, *passwords) if isinstance(fact, Child)}


def crawl(data: bytes, *passwords: str) -> list[Item]:
    return crawl_bytes(data, "input.zip", passwords=passwords, handlers=HANDLERS)


names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0\x1a"), min_size=1, max_size=12)
bodies = st.binary(max_size=3000) | st.builds(
    lambda word, times: word * times, st.binary(max_size=9), st.integers(0, 900)
)


@settings(max_examples=40)
@given(st.dictionaries(names, st.tuples(bodies, st.sampled_from((0, 8, 12, 14))), max_size=6), st.binary(max_size=40))
def test_gives_what_was_put_in(files: dict[str, tuple[bytes, int]], before: bytes) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, (body, method) in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, method)
    got = {name: each for name, each in members(before + held.getvalue()).items() if not name.startswith("[before")}
    assert got == {name: (body, "") for name, (body, _) in files.items()}


@settings(max_examples=150)
@given(st.sampled_from(INPUTS), st.randoms(use_true_random=False))
def test_damage_never_crashes(data: bytes, chance: random.Random) -> None:
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 2, 9))):
        at = chance.randrange(len(damaged))
        damaged[at] = chance.choice((0, 0xFF, chance.randrange(256)))
    if chance.random() < 0.3:
        del damaged[chance.randrange(len(damaged)) :]
    for item in crawl(bytes(damaged), "moran-2023"):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory", "timeout")], item


def test_every_truncation_gives_a_beginning_of_each_member() -> None:
    data = make.streamed().end()
    whole = members(data)
    for length in range(40, len(data), 3):
        for name, (body, _) in members(data[:length]).items():
            if not name.startswith("["):
                # a stored member of unknown length may end in a part of its own descriptor
                truth = whole[name][0]
                assert truth.startswith(body) or (body.startswith(truth) and len(body) - len(truth) < 16), length


@pytest.mark.parametrize("method", sorted(make.PACKED))
def test_every_method_gives_what_decodes_before_the_cut(method: int) -> None:
    packed = make.base64.b85decode(make.PACKED[method])
    for length in range(0, len(packed) - 1, 7):
        out = b""
        with pytest.raises(EvidenceError) as caught:
            for chunk in unpack(method, lambda end=length: iter([packed[:end]]), len(make.TEXT), 2, Limits(), print):
                out += chunk
        assert make.TEXT.startswith(out)
        assert caught.value.cause == "truncated"


def test_bytes_before_damage_come_out_to_the_last() -> None:
    good = random.Random(3).randbytes(100_000)
    packed = make.deflated(good)[:-5] + b"\xff" * 20
    data = make.Archive().add(b"torn.bin", good + b"?", method=8, packed=b"\0" + packed[1:]).end()
    body, cause = members(data)["torn.bin"]
    assert body[:65535] == good[:65535]
    assert len(body) >= 99_990
    assert cause == "corrupt"


def test_a_password_that_only_fits_the_check_byte_is_refused() -> None:
    data = make.Archive()
    make.add_secret(data, b"a.txt", b"the right one is on line 2", b"right", kind="pkzip")
    archive = data.end()
    header = read_local(Window(Stream(io.BytesIO(archive))), 0)
    assert header is not None
    head = archive[header.end : header.end + 12]
    check = zlib.crc32(b"the right one is on line 2") >> 24
    wrong = next(str(n) for n in range(100_000) if PkzipCipher(str(n).encode()).decrypt(head)[-1] == check)
    child = next(fact for fact, _, _ in read(archive, wrong, "right") if isinstance(fact, Child))
    assert Field("encryption.password", "line 2") in child.fields
    assert members(archive, wrong)["a.txt"] == (b"", "")
    refused = next(fact for fact, _, _ in read(archive, wrong) if isinstance(fact, Child))
    assert [problem.cause for problem in refused.problems] == ["encrypted"]


@pytest.mark.parametrize("password", [b"moran-2023", "작화부".encode("cp949"), "прим".encode("cp1251")])
def test_sevenzip_decrypts_the_same_as_we_do(password: bytes) -> None:
    body = random.Random(5).randbytes(SLOW + 5000)
    archive = make.Archive()
    make.add_secret(archive, b"big.bin", body, password, kind="pkzip")
    stream = Stream(io.BytesIO(archive.end()))
    header = read_local(Window(stream), 0)
    assert header is not None
    end = header.end + header.packed
    member = Member(header, "big.bin", header.end, end, 0, header.crc, header.size, encryption="ZipCrypto")
    key = Key(Password("", "line 1"), password)
    assert b"".join(by_sevenzip(stream, member, key)) == body
    assert b"".join(contents(stream, member, key)) == body
    plain = PkzipCipher(password).decrypt(stream.at(header.end, 40))
    assert body.startswith(plain[12:])


def test_shrunk_members_under_aes() -> None:
    packed = make.aes(make.shrunk(b"old sheet"), b"pw", 3)
    archive = make.Archive().add(
        b"a.txt", b"old sheet", flags=1, method=99, packed=packed, extra=make.aes_extra(1, 3, 1)
    )
    assert members(archive.end(), "pw") == {"a.txt": (b"old sheet", "")}


def test_spellings_of_a_password() -> None:
    assert spellings("plain") == [b"plain"]
    assert spellings("작화")[:2] == ["작화".encode(), "작화".encode("cp949")]


@pytest.mark.parametrize(
    ("method", "packed"),
    [
        (14, b"\x10\x02\x05\x00\x5d" + b"\xff" * 4 + bytes(30)),
        (93, b"\x28\xb5\x2f\xfd\x00\xff" + bytes(30)),
        (98, b"\xf5\x0f" + bytes(30)),
    ],
)
def test_a_dictionary_beyond_the_limit_is_refused(method: int, packed: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        list(unpack(method, lambda: iter([packed]), 100, 0, Limits(dictionary=1 << 20), print))
    assert caught.value.cause == "limit"


@pytest.mark.parametrize("form", ["signed", "bare", "signed wide", "bare wide"])
@pytest.mark.parametrize(("body", "packed"), [(b"", b"\x03\0"), (b"", b""), (b"cut", make.deflated(b"cut"))])
def test_descriptors_leave_no_gap_and_no_overlap(form: str, body: bytes, packed: bytes) -> None:
    archive = make.Archive().add(b"a.txt", body, method=8 if packed else 0, packed=packed, descriptor=form)
    archive.add(b"b.txt", b"after it").add(b"c.txt", body, method=8 if packed else 0, packed=packed, descriptor=form)
    expected = {"a.txt": (body, ""), "b.txt": (b"after it", ""), "c.txt": (body, "")}
    assert members(archive.end()) == expected
    assert not [fact for fact, _, _ in read(archive.end()) if isinstance(fact, Problem)]
    if packed:
        assert members(archive.body) == expected


def test_a_directory_that_counts_from_before_the_start() -> None:
    data = make.folders()
    assert members(data[50:])["show/hidden/"] == (b"bytes in a folder", "")


def test_overlapping_members_are_not_read_again_and_again() -> None:
    kernel = zlib.compressobj(9, wbits=-15)
    packed = kernel.compress(b"a" * 1_000_000) + kernel.flush()
    archive = make.Archive().add(b"kernel", b"a" * 1_000_000, method=8, packed=packed)
    for number in range(500):
        archive.add(b"again-%d" % number, b"a" * 1_000_000, method=8, packed=packed[: -(number % 250)], offset=0)
    found = read(archive.end())
    assert sum(len(body) for _, body, _ in found) < 60_000_000
    assert len([fact for fact, _, _ in found if isinstance(fact, Child)]) >= 501
    assert [fact for fact, _, _ in found if isinstance(fact, Problem) and "overlap" in fact.message]


def test_a_lying_size_does_not_stop_the_bytes() -> None:
    data = make.Archive().add(b"a.txt", b"eleven bytes", local={"size": 2}, central={"size": 2}).end()
    assert members(data)["a.txt"] == (b"eleven bytes", "corrupt")


def test_members_in_no_directory_are_found_only_where_no_directory_reaches() -> None:
    inner = make.Archive().add(b"inner.txt", b"inside").end()
    plain = make.Archive().add(b"inner.zip", inner).end()
    assert list(members(plain)) == ["inner.zip"]
    assert list(members(plain[:-30])) == ["inner.zip", "[after the archive]"]
    packed = make.Archive().add(b"inner.zip", inner, descriptor="bare").add(b"b.txt", b"b").body
    assert list(members(packed)) == ["inner.zip", "b.txt"]
    assert members(packed[:90]) == {"inner.zip": (inner[:51], "truncated")}


@pytest.mark.parametrize(
    ("data", "claimed"),
    [
        (b"MZ" + b"\x90" * 500, False),
        (b"#!/bin/sh\n" * 50 + make.nested(), True),
        (b"\x7fELF" + bytes(90) + make.nested() + b"a signature" * 300, True),
        (b"no magic at all" + make.nested(), True),
        (b"no magic at all" + make.nested() + b"\n" * 5000, False),
        (make.nested(), True),
        (make.Archive().end(), True),
        (b"PK\x05\x06" * 60, True),
        (b"text that speaks of PK\x05\x06" + bytes(18) + b"PK\x05\x06" + bytes(18), False),
    ],
)
def test_claims(data: bytes, claimed: bool) -> None:
    assert (ZipArchive().claims(Stream(io.BytesIO(data))) is not None) is claimed


@settings(max_examples=100)
@given(st.binary(max_size=300), st.binary(max_size=60))
def test_claims_never_raises(start: bytes, rest: bytes) -> None:
    ZipArchive().claims(Stream(io.BytesIO(start + b"PK\x05\x06" + rest)))
