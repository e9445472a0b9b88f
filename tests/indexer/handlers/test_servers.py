"""What servers, Macs and browsers leave: bytes in any state are read, and none is a crash."""

from __future__ import annotations

import io
import plistlib
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handlers._plist import BinaryList
from indexer.handlers._sqlite_wal import read_log
from indexer.model import Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
FOLDERS = (
    "plist ds-store journal logins history crontab accounts elf macho java-class sqlite-log ssh-keys putty-key".split()
)
SAMPLES = {
    f"{folder}/{path.parent.name}": path
    for folder in FOLDERS
    for path in sorted((FIXTURES / folder).glob("*/input*"))
    if path.suffix != ".tar"
}


def crashes(items: list[Item]) -> list[str]:
    return [problem.message for item in items for problem in item.problems if problem.cause == "crash"]


@pytest.mark.parametrize("name", sorted(SAMPLES))
@given(data=st.data())
@settings(max_examples=3)
def test_damage_is_never_a_crash(name: str, data: st.DataObject) -> None:
    sample = bytearray(SAMPLES[name].read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(sample) - 1))
        sample[at : at + 4] = data.draw(st.binary(min_size=1, max_size=4))
    cut = data.draw(st.integers(1, len(sample)))
    assert not crashes(crawl_bytes(bytes(sample[:cut]), SAMPLES[name].name))


@given(data=st.data())
@settings(max_examples=30)
def test_names_are_no_proof(data: st.DataObject) -> None:
    names = (".bash_history", "lastlog", "btmp", "crontab", "shadow", ".viminfo", "Login Data-wal", "id_rsa")
    name = data.draw(st.sampled_from(names))
    assert not crashes(crawl_bytes(data.draw(st.binary(max_size=800)), name))


def test_a_binary_list_reads_as_the_standard_library_reads_it() -> None:
    value = {"a": [1, -5, 2.5, True, "컷"], "long": "雨" * 40, "big": 2**62, "raw": bytes(range(20))}
    top = BinaryList(plistlib.dumps(value, fmt=plistlib.FMT_BINARY, sort_keys=False)).top()
    assert [name for name, _ in top.pairs] == list(value)  # type: ignore[attr-defined]
    assert [ref() for ref in top.get("a").items] == value["a"]  # type: ignore[attr-defined]
    assert [top.get(name) for name in ("long", "big", "raw")] == [value[name] for name in ("long", "big", "raw")]  # type: ignore[attr-defined]


def test_a_list_that_doubles_at_every_step_ends() -> None:
    """Forty lists, each with the next one twice: 2 to the 40 values."""
    body = bytearray(b"bplist00")
    table = []
    for number in range(40):
        table.append(len(body))
        body += bytes((0xA2, number + 1, number + 1))
    table.append(len(body))
    body += b"\x09"
    start = len(body)
    body += b"".join(place.to_bytes(2, "big") for place in table)
    body += bytes(6) + b"\2\1" + struct.pack(">QQQ", 41, 0, start)
    items = crawl_bytes(bytes(body), "bomb.plist")
    assert [problem.cause for problem in items[0].problems] == ["limit"]


def test_a_log_of_another_page_size_is_not_applied() -> None:
    held = (FIXTURES / "sqlite" / "wal" / "input.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(held)) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    log = bytearray(files["cuts.db-wal"])
    assert read_log(io.BytesIO(bytes(log))) is not None
    log[8:12] = (1024).to_bytes(4, "big")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("cuts.db", files["cuts.db"]), ("cuts.db-wal", bytes(log))):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    items = {item.name: item for item in crawl_bytes(out.getvalue(), "a.tar")}
    text = "\n".join(part.body for part in items["cuts.db"].texts)
    assert "컷 1 before the log" in text
    assert "sqlite.log_frames" not in {field.name for field in items["cuts.db"].fields}
