"""Members cut out of what one process gives: what proves them, and what is asked again where that fails."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Generator, Sequence

import pytest

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handlers import _p7z_members
from indexer.handlers._p7z_entries import Entry
from indexer.handlers._p7z_members import Members

wim = importlib.import_module("wim.make")

CUTS = {"180.txt": b"cut 180: retake", "181.txt": b"cut 181: done", "182.txt": b"cut 182: in between"}


class SevenZip:
    """Stands for the program: gives `told` for the members asked for, and fails where one is not whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, told: dict[str, bytes]) -> None:
        self.told = told
        self.runs: list[Sequence[str]] = []
        monkeypatch.setattr(_p7z_members, "stream_members", self.stream)

    def stream(self, path: str, *, names: Sequence[str] = (), **_: str) -> Generator[bytes, None, None]:
        self.runs.append(names)
        chosen = [name for name in self.told if not names or name in names]
        yield from (self.told[name] for name in chosen)
        if any(self.told[name] != CUTS[name] for name in chosen if name in CUTS):
            raise EvidenceError("corrupt", "the data do not decode")


def entry(name: str, size: int = 0) -> Entry:
    digest = hashlib.sha1(CUTS[name]).hexdigest()
    return Entry(name, name, name.encode(), "file", size or len(CUTS[name]), sha1=digest)


def take(*entries: Entry) -> list[tuple[bytes, str]]:
    """What each member gives, and the problem behind it."""
    members = Members("", "wim", entries)
    made = []
    for each in entries:
        data, trouble = b"", ""
        try:
            for chunk in members.chunks(each):
                data += chunk
        except EvidenceError as error:
            trouble = error.message
        made.append((data, trouble))
    members.close()
    return made


def test_what_is_sound_is_unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    program = SevenZip(monkeypatch, CUTS)
    assert take(*map(entry, CUTS)) == [(data, "") for data in CUTS.values()]
    assert program.runs == [()]


def test_no_byte_of_a_neighbour_fills_up_a_member_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    program = SevenZip(monkeypatch, {**CUTS, "180.txt": b"cut 1"})
    sound = [(data, "") for data in CUTS.values()][1:]
    assert take(*map(entry, CUTS)) == [(b"cut 1", "the data do not decode"), *sound]
    assert program.runs == [(), ("180.txt",), ("181.txt", "182.txt")]


def test_a_large_member_does_not_wait_for_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_p7z_members, "MOST_HELD", 0)
    SevenZip(monkeypatch, {**CUTS, "180.txt": b"cut 180: RETAKE"})
    sound = [(data, "") for data in CUTS.values()][1:]
    assert take(*map(entry, CUTS)) == [(b"cut 180: RETAKE", "the SHA-1 does not fit the content"), *sound]


def test_where_more_comes_out_than_was_listed_each_member_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    program = SevenZip(monkeypatch, {"180.txt": CUTS["180.txt"], "180.txt:zone": b"[Zone]", **CUTS})
    assert take(*map(entry, CUTS)) == [(data, "") for data in CUTS.values()]
    assert program.runs[-1] == ("182.txt",)


def test_an_image_with_a_spoilt_member_gives_the_others_whole() -> None:
    spoilt = wim.PLAIN.replace(b"bell tower", b"BELL TOWER", 1)
    items = {item.name: item for item in crawl_bytes(spoilt, "input.wim")}
    assert [problem.cause for problem in items["cel_a.txt"].problems] == ["corrupt"]
    assert items["cel_a.txt"].texts[0].body == "cut 111, cel A: the BELL TOWER at noon\n"
    assert not items["指示书.txt"].problems
