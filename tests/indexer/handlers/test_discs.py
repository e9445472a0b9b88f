"""Discs: sectors unwrapped, sessions found, and what stands in no session left alone."""

from __future__ import annotations

import importlib
import io
import random

import pytest

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import disc_sectors
from indexer.handlers.disc_sectors import DiscSectors
from indexer.model import Child, Field, Item

iso = importlib.import_module("iso.make")
disc = importlib.import_module("disc-sectors.make")
SECTOR = 2048


def members(image: bytes) -> dict[str, bytes]:
    """What the handler itself gives, by name."""
    found = {}
    for fact in DiscSectors().read(Stream(io.BytesIO(image))):
        if isinstance(fact, Child):
            assert fact.open
            with fact.open() as held:
                found[fact.name] = b"".join(iter(lambda: held.read(1 << 16), b""))
    return found


def by_name(items: list[Item]) -> dict[str, Item]:
    return {str(item.provenance).rpartition("!/")[2]: item for item in items}


@pytest.mark.parametrize(
    "image",
    [
        disc.raw(iso.PLAIN),
        disc.raw(iso.PLAIN, 2),
        disc.raw(iso.PLAIN, behind=b"\x11" * 96),
        disc.raw(iso.PLAIN, behind=b"\x11" * 16),
        disc.raw(bytes(150 * SECTOR) + iso.PLAIN, first=-150),
        bytes(150 * SECTOR) + iso.PLAIN,
    ],
    ids=["mode 1", "mode 2", "96 behind", "16 behind", "pregap", "pregap of plain sectors"],
)
def test_a_track_is_the_plain_image(image: bytes) -> None:
    padded = iso.PLAIN + bytes(-len(iso.PLAIN) % SECTOR)
    (held,) = members(image).values()
    assert held in (iso.PLAIN, padded)


def test_films_are_given_whole_and_sound_is_counted() -> None:
    payload = random.Random(3).randbytes(2324 * 90)
    plain = disc.raw(iso.PLAIN, 2)
    image = plain + disc.film(payload, 30) + b"\x01\x02" * (2352 * 160 // 2)
    held = members(image)
    assert list(held) == ["[data 1]", "[data 1, film 1]"]
    assert held["[data 1, film 1]"] == payload
    assert len(held["[data 1]"]) == (len(plain) // 2352 + 90) * SECTOR
    facts = [fact for fact in DiscSectors().read(Stream(io.BytesIO(image))) if isinstance(fact, Field)]
    assert Field("disc.sound_seconds", 160 // 75) in facts


def test_what_nero_writes_behind_the_tracks_is_no_sector() -> None:
    for behind in (b"NER5" + bytes(8), bytes(4) + b"NERO" + bytes(4)):
        items = crawl_bytes(disc.raw(iso.PLAIN) + behind)
        assert items[0].status == "read"
        assert "CEL_A.TXT" in by_name(items)


def test_rows_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disc_sectors, "_MOST_RUNS", 3)
    sound = b"\1" * 2352 * 75
    image = disc.raw(bytes(2 * SECTOR)) + (sound + disc.raw(bytes(SECTOR))) * 3
    with pytest.raises(EvidenceError, match="more than 3 rows"):
        members(image)


def test_the_last_session_is_what_a_disc_shows() -> None:
    for image in (iso.burned_disc(), iso.grown_disc(), iso.burned_disc() + bytes(150 * SECTOR)):
        items = by_name(crawl_bytes(image, "disc.iso"))
        assert items["NOTE.TXT"].texts[0].body.endswith("改: 雨点再密一些\n")
        older = items["NOTE.TXT#2"]
        assert older.texts[0].body == iso.NOTE.decode()
        assert {Field("iso.session", 1), Field("file.deleted", True)} <= set(older.fields)
        assert sorted(items) == sorted(["test:disc.iso", "CEL_A.TXT", "LIST.TXT", "NOTE.TXT", "NOTE.TXT#2"])


def test_an_image_inside_a_file_of_the_disc_is_no_session() -> None:
    held = iso.burned_disc()
    entries = [iso.record(b"HELD.ISO;1", 21, len(held))]
    image = iso.session(0, "OUTER", entries, held)
    items = crawl_bytes(image, "disc.iso")
    assert not any(field.name == "iso.sessions" for field in items[0].fields)
    assert len(items) == 2 + 4  # the image in it has its own members


def test_descriptors_without_a_main_folder_are_no_session() -> None:
    image = bytearray(iso.burned_disc())
    image[52 * SECTOR] = 0
    names = sorted(by_name(crawl_bytes(bytes(image), "disc.iso")))
    assert names == ["CEL_A.TXT", "NOTE.TXT", "test:disc.iso"]


def test_a_session_alone_gives_what_it_has() -> None:
    items = by_name(crawl_bytes(iso.two_sessions()[1], "second.iso"))
    assert items["LIST.TXT"].texts[0].body.startswith("3월 14일")
    assert [problem.cause for problem in items["CEL_A.TXT"].problems] == ["truncated"]
