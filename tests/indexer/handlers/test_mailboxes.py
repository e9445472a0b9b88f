"""Mailboxes of other programs, envelopes and what stands in bodies: what goldens cannot show."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers._mail_bodies import find_files, unflow
from indexer.handlers.marked_mailbox import MarkedMailbox
from indexer.handlers.pkcs7 import Pkcs7
from indexer.mailfolders import decode_folder, maildir_folder
from indexer.model import Child

FIXTURES = Path(__file__).parents[3] / "fixtures"
SAMPLES = {
    f"{path.parent.parent.name}-{path.parent.name}": path.read_bytes()
    for kind in ("pkcs7", "openpgp", "dbx", "marked-mailbox", "mork")
    for path in sorted(FIXTURES.glob(f"{kind}/*/input.*"))
}


def members(data: bytes) -> list[bytes]:
    found = []
    for fact in MarkedMailbox().read(Stream(io.BytesIO(data))):
        if isinstance(fact, Child) and fact.open:
            with fact.open() as file:
                found.append(file.read())
    return found


@pytest.mark.parametrize("window", [1, 3, 16, 1 << 20])
def test_marks_are_found_wherever_a_window_ends(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr("indexer.handlers.marked_mailbox.WINDOW", window)
    mark = b"\1\1\1\1\n"
    assert members(mark + b"one\n" + mark + mark + b"two \1\1\1\1\n" + mark) == [b"one\n", b"two \1\1\1\1\n"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("&XfJT0ZAB-", "已发送"),
        ("a&-b", "a&b"),
        ("Inbox", ""),
        ("&A-", ""),
        ("&/w-", ""),
        ("R&D", ""),
        ("&2D0-", ""),
        ("받은 &-", ""),
    ],
)
def test_names_of_folders_in_modified_utf_7(name: str, folder: str) -> None:
    assert decode_folder(name) == folder


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("home/dana/Maildir/.INBOX.&x5HWVA-/cur/1700000000.M1P2.srv:2,S", "INBOX/작화"),
        (".&U591Ow-.2024/new/1700000000.M1P2.srv", "原画/2024"),
        ("mail/&U591Ow-/cur/1.eml", "原画"),
        ("mail/.Sent/cur/1.eml", "Sent"),
        ("Maildir/cur/1.eml", ""),
        (".Sent/tmp/1.eml", ""),
        (".Sent/1.eml", ""),
        ("cur/1.eml", ""),
        ("/./cur/1.eml", ""),
        (".&A-/cur/1.eml", "&A-"),
        ("1.eml", ""),
    ],
)
def test_folders_of_a_maildir(path: str, folder: str) -> None:
    assert maildir_folder(path) == folder


def test_a_message_is_told_with_its_folder() -> None:
    mail = b"From: dana@tori.example\r\nTo: sora@tori.example\r\nSubject: cut 31\r\n\r\nretake\r\n"
    path = "Maildir/.&U591Ow-/cur/1700000000.M1P2.srv:2,S"
    (item,) = crawl_bytes(mail, path)
    assert [field.value for field in item.fields if field.name == "mail.folder"] == ["原画"]
    (plain,) = crawl_bytes(b"retake of cut 31\n", path)
    assert not [field for field in plain.fields if field.name == "mail.folder"]


def coded(data: bytes) -> bytes:
    out = bytearray()
    for byte in data:
        made = (byte + 42) & 255
        out += bytes((61, (made + 64) & 255)) if made in (0, 10, 13, 61) else bytes((made,))
    return bytes(out)


@given(st.binary(max_size=300))
def test_yenc_comes_back(data: bytes) -> None:
    crc = f"{zlib.crc32(data):08X}".encode()
    body = b"before\r\n=ybegin line=128 size=9 name=a b.bin\r\n" + coded(data) + b"\r\n"
    (found,) = find_files(body + b"=yend size=%d crc32=%s\r\nafter" % (len(data), crc))
    assert found.child.open is not None
    assert found.child.open().read() == data
    assert (found.child.name, found.child.problems) == ("a b.bin", ())


def test_a_mark_with_no_end_takes_linear_time() -> None:
    assert len(find_files(b"=ybegin line=1 name=x\r\n" * 20_000)) == 1
    assert find_files(b"begin 644 x\n" * 20_000) == []


def test_flowing_lines() -> None:
    assert unflow("one \ntwo\n three", no_space=False) == "one two\nthree"
    assert unflow("> a \n>> b\n-- \nc", no_space=False) == "> a \n>> b\n-- \nc"
    assert unflow("修 \r\n正", no_space=True) == "修正"


@pytest.mark.parametrize(
    "head", [b"", b"0", b"0\x80", b"0\x82\x01\x00\x06\x09", b"00:00 log\n" * 9, b"-----BEGIN PKCS7-----"]
)
def test_what_is_no_envelope_is_not_claimed(head: bytes) -> None:
    assert Pkcs7().claims(Stream(io.BytesIO(head))) is None


@settings(max_examples=80)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 1 << 16), st.integers(1, 255))
def test_flipped_bits_never_crash(case: str, at: int, bits: int) -> None:
    broken = bytearray(SAMPLES[case])
    broken[at % len(broken)] ^= bits
    for item in crawl_bytes(bytes(broken)):
        assert all(problem.cause != "crash" for problem in item.problems)


@settings(max_examples=30)
@example(case="openpgp-packed", share=0.90625)
@given(case=st.sampled_from(sorted(SAMPLES)), share=st.floats(0, 1))
def test_cuts_never_crash(case: str, share: float) -> None:
    for item in crawl_bytes(SAMPLES[case][: int(len(SAMPLES[case]) * share)]):
        assert all(problem.cause != "crash" for problem in item.problems)
