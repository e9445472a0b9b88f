"""What optional programs unpack and list: with the program, without it, and with one that misbehaves."""

from __future__ import annotations

import io
import os
import shutil
import stat
from pathlib import Path

import pytest

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers import _unar
from indexer.handlers._crc16 import crc16
from indexer.handlers._lha_headers import Member, walk
from indexer.handlers.lha_archive import _archive_of
from indexer.model import Item
from inno.make import block, header, installer
from lha.make import CEL, pack, short
from stuffit.make import archive, file

LINES = b"".join(b"cut %03d cel B the lantern goes out\n" % number for number in range(60))
with_unar = pytest.mark.skipif(shutil.which("unar") is None, reason="the program unar is not here")


def shorten(data: bytes) -> bytes:
    """LZW with codes of nine bits: for text that needs fewer than 255 of them."""
    codes = {bytes((byte,)): byte for byte in range(256)}
    held, bits, count = b"", 0, 0
    for at, byte in enumerate((*data, -1)):
        longer = held + data[at : at + 1]
        if byte >= 0 and longer in codes:
            held = longer
            continue
        bits |= codes[held] << 9 * count
        count += 1
        codes[longer] = len(codes) + 1
        held = data[at : at + 1]
    assert count < 255
    return bits.to_bytes(-(-9 * count // 8), "little")


def only_member(data: bytes, name: str) -> Item:
    _, member = crawl_bytes(data, name)
    return member


def told(item: Item) -> list[tuple[str, str]]:
    return [(problem.cause, problem.message) for problem in item.problems]


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str = "unar") -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@with_unar
def test_a_fork_in_lzw_comes_back() -> None:
    text = LINES[:400]
    data = archive(file(b"sheet", text, method=2, packed=shorten(text)))
    member = only_member(data, "x.sit")
    assert told(member) == []
    assert member.texts[0].body == text.decode()


@with_unar
def test_what_it_unpacks_is_checked() -> None:
    text = LINES[:400]
    member = only_member(archive(file(b"sheet", text, method=2, packed=shorten(text)[:40])), "x.sit")
    assert [cause for cause, _ in told(member)] == ["corrupt"]
    damaged = text.replace(b"cut 003", b"cut 004")
    member = only_member(archive(file(b"sheet", text, method=2, packed=shorten(damaged))), "x.sit")
    assert told(member) == [("corrupt", "the CRC-16 does not fit the content")]
    assert member.size == len(text)


@with_unar
def test_a_member_of_lha_is_an_archive_of_its_own() -> None:
    stream = Stream(io.BytesIO(short(b"../a.txt", pack(CEL), method=b"-lh5-", whole=CEL) + b"\0"))
    member = next(part for part in walk(stream) if isinstance(part, Member))
    alone = b"".join(_archive_of(stream, member))
    assert b"a.txt" not in alone
    assert b"".join(_unar.unpack([alone], member.size, None)) == CEL


@pytest.mark.parametrize("method", [2, 3, 5, 6, 8, 13, 14, 15])
def test_without_it_the_way_to_get_it_is_told(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    member = only_member(archive(file(b"sheet", LINES, method=method)), "x.sit")
    assert told(member) == [("missing-library", "the program unar: apt install unar")]
    assert member.digests is None


@pytest.mark.parametrize("method", [b"-lh2-", b"-lh3-", b"-pm1-", b"-pm2-"])
def test_methods_of_lha_are_left_to_it(method: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, f"printf '%s' '{CEL.decode()}'")
    data = short(b"a.txt", bytes(range(50)), method=method, whole=CEL) + b"\0"
    member = only_member(data, "x.lzh")
    assert told(member) == []
    assert member.texts[0].body == CEL.decode()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert [cause for cause, _ in told(only_member(data, "x.lzh"))] == ["missing-library"]


def test_a_program_without_an_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; echo told >&2; exec yes x")
    member = only_member(archive(file(b"sheet", LINES, method=13)), "x.sit")
    assert member.size == len(LINES)
    assert told(member) == [("corrupt", "the CRC-16 does not fit the content")]
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_it_gets_the_fork_alone_under_a_name_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = f'for last; do :; done; cat "$last" > {tmp_path}/seen; printf "%s\\n" "$@" > {tmp_path}/said'
    stand_in(tmp_path, monkeypatch, keep)
    packed = b"packed bytes of this fork"
    only_member(archive(file(b"../../etc/sheet", LINES, method=15, packed=packed)), "x.sit")
    seen = (tmp_path / "seen").read_bytes()
    assert seen[:4] == b"SIT!" and packed in seen and b"sheet" not in seen
    assert crc16(seen[22:132]) == int.from_bytes(seen[132:134], "big")
    *options, path = (tmp_path / "said").read_text().splitlines()
    assert options[-1] == "--" and path.startswith("/proc/self/fd/")


def test_files_of_an_installer_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'printf "%s\\n" "$@" > {tmp_path}/said; printf "app/작화/cut_031.psd\\napp/../../up.txt\\n"'
    stand_in(tmp_path, monkeypatch, script, "innoextract")
    data = installer("5.5.7) (u", block(header()) + block(b"no records"))
    root, *items = crawl_bytes(data, "setup.exe")
    listed = [item for item in items if any(field.value == "listed-file" for field in item.fields)]
    assert sorted(item.name for item in listed) == ["cut_031.psd", "up.txt"]
    assert all(item.digests is None for item in listed)
    assert told(root) == [("unsupported", "the files of an installer of Inno Setup are not unpacked; 2 are named")]
    *options, path = (tmp_path / "said").read_text().splitlines()
    assert options == ["--list", "--silent", "--"] and path.startswith("/proc/self/fd/")


def test_an_installer_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = installer("5.5.7) (u", block(header()) + block(b"no records"))
    stand_in(tmp_path, monkeypatch, "exit 2", "innoextract")
    ends = "the files of an installer of Inno Setup are not unpacked; innoextract names none and ends with code 2"
    assert told(crawl_bytes(data, "setup.exe")[0]) == [("unsupported", ends)]
    monkeypatch.setenv("PATH", "/nonexistent")
    (problem,) = told(crawl_bytes(data, "setup.exe")[0])
    assert problem == ("missing-library", "the program innoextract: apt install innoextract")
