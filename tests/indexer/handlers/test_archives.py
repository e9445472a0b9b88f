"""Archives of many formats: whatever is damaged or cut off, nothing leaves the crawl and nothing runs on."""

from __future__ import annotations

import importlib
import io
import lzma
import struct
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _archive, dmg_image, iso_image
from indexer.handlers._cab import _checksum
from indexer.handlers._lzh import decode
from indexer.handlers._p7z_members import read_archive
from indexer.model import Child, Item
from indexer.registry import all_handlers

FIXTURES = Path(__file__).parents[3] / "fixtures"
WALKED, UNPACKED = (
    (
        *(
            "ar",
            "arj",
            "brotli",
            "cpio",
            "cramfs",
            "disc-sectors",
            "iso",
            "lha",
            "lrzip",
            "lzip",
            "lzop",
            "mtree",
            "rpm",
            "snappy",
        ),
        *("squashfs", "warc", "xar"),
    ),
    ("cab", "chm", "dmg", "nsis", "rar", "wim"),
)
"""Read by our own code alone; with the help of a program, which takes longer to start."""
HANDLERS = [handler for handler in all_handlers() if handler.name in (*WALKED, *UNPACKED, "strings")]
EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)
CUT = st.none() | st.integers(0, 10**6)

rar = importlib.import_module("rar.make")
xar = importlib.import_module("xar.make")


# A disc with a UDF tree and a plain one, as pycdlib 1.22 writes it; half a megabyte of zeros, so packed.
UDF = lzma.decompress(
    b64decode(
        "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM6Gf/A9tdAABv/f//o7f/Rz5IFXI5YVG4kijmo4YH+e7kHoLTL8U6PAFLsX7JiopNL6MN"
        "2X+m44wjEVPgWRjFdYrid/dE790OjkefKuUMHms5GlVVr7U46S9lJP4jE6ZlOrVfp4JxRQQwDziWwCjkT/ptoZo1FJNwuOVCmYyN"
        "MzXGgnAuU3Ybj0yXzWVHpK/cMKsosF1RI3gb0/EY2b63U6u1hRZ9MGiY+qYQf8jEHYkY091sFvQ2UvWxSRRRX12mGzLZVxRZAneA"
        "bI7U9xGzXFdDtsVTSz5RIxU/b1NQ4NQmE8pbObC/VQBQTc9Fi/670+PkCBM8JKmx6FfIO6Cx/not+DylXVrrN1mJOgbcsQmeQjBm"
        "KYGEZZM1nlpjtNRCsytsk+QmjcjmvoHcyI9pE+qtSjvJaLORCJifYjZMZaf7l7Yj2v3lyibQcFtKvrVA5S2dEEVWz53BPWL+/vCe"
        "C13H4mZwTDnxRvvDAtYCt0uggijMma/fr2UF9EnhQAuRoa5m7OtiJ2z0AtCakss843LwBF9ZEifqBR4RlkRL70RAW7+FPt5cMOJZ"
        "Enh5GGAK1UUReNoc8XZo91tE9J0gaKVJK09On2zHQT8mm7mMpUXysKYIVFnATutXUIe/AjGV5GbuGakQx5wK9Fb23E528ps13hvL"
        "tEIY8YQX+/14SuxntmPkVUVyQVZuZyTzByfcjlnGt0b+9LZ3lZmb9UY6+aXqp6LBSUWjzD7DMwG4D2ZgbrY66Za9P1qrQx8Kdvw/"
        "dIXf1FVUCtbvnaMyoC2RFGc4zEqVpJ6fWy+0+kNBrtV7MbmLlSzRrj9mwhLODKjssA9B3VeQmuGMmyBqTs1qnOZhPfXGizuge8qf"
        "RPg3LWDd63Ky5Eb2VPCIdSww28JQVJEilwYDX56g5Rm7LqByp5Ik2b1dfP9BqNVoXJrLHOKUVAgQtTNJb7g7Xh+WGpKwXzUtm9l4"
        "Hl1Bjlm0k7ZELUayPYs4nwJDTzBGVUuRv64tdhnGplil8lWS4AgorOoAf8X44t45ULzlX83sBh+508vQxUumckMobrdWo9paFDyL"
        "Gz+EV8vsJ+cuBzP3h1h2I+kfUBGZFMnNCvxE4ZSqXQbWypOmM1r3XjziPgePRgGn60mzrZpr0QIdprlkv264z8TbHcrne91QvztU"
        "wDr5Jh5bwnuNU9XwGRzXCwc6kxmRWSgO6GKzj5ZeHmg9gC3Oidj/uYJLH10YsfcHQI0OCs/972T2rJF3zR6L1BoCHDq/1lHaIBR/"
        "CLCPO117KzPwA+xVyGww6PqGGR3mJZm9NMlXhEapbJkn7vHNqA5dqae+AAAAlxjAqqRHknkAAfcHgNAhAIS3rZWxxGf7AgAAAAAE"
        "WVo="
    )
)


def samples(names: tuple[str, ...]) -> st.SearchStrategy[Path]:
    return st.sampled_from([path for name in names for path in sorted((FIXTURES / name).glob("*/input*"))])


def read(data: bytes, name: str = "input", **more: object) -> list[Item]:
    return crawl_bytes(data, name, handlers=HANDLERS, **more)  # type: ignore[arg-type]


@settings(max_examples=150)
@given(path=samples(WALKED), edits=EDITS, cut=CUT)
def test_damage_never_leaves_the_crawl(path: Path, edits: list[tuple[int, int]], cut: int | None) -> None:
    damage(path, edits, cut)


@settings(max_examples=25)
@given(path=samples(UNPACKED), edits=EDITS, cut=CUT)
def test_damage_never_leaves_the_crawl_with_a_program(
    path: Path, edits: list[tuple[int, int]], cut: int | None
) -> None:
    damage(path, edits, cut)


def damage(path: Path, edits: list[tuple[int, int]], cut: int | None) -> None:
    data = bytearray(path.read_bytes())
    for at, value in edits:
        data[at % len(data)] = value
    if cut is not None:
        del data[cut % len(data) :]
    items = read(bytes(data), path.name)
    assert "crash" not in [problem.cause for item in items for problem in item.problems]
    assert len(items) < 1000


def packed(name: str, data: bytes, **more: object) -> bytes:
    return rar.member(name, data, packed=rar.literals(data), method=3, **more)


def test_members_are_asked_for_by_name_where_one_is_closed() -> None:
    names = ["-y.txt", "@list.txt", "@a/*b?.txt", "../up.txt", "/abs.txt", "C:\\drive.txt", "twice.txt", "twice.txt"]
    blocks = [packed(name, b"%d: " % number + rar.CEL) for number, name in enumerate(names)]
    stream = rar.member(b"STM", b"[Zone]", kind=3, extra=rar.record(7, b":Zone"))
    blocks[2:2] = [stream, rar.locked_member("secret.txt", rar.NOTE, b"yuki")]
    items = read(rar.start() + b"".join(blocks) + rar.END)
    texts = sorted(text.body for item in items for text in item.texts)
    assert texts[:-1] == [f"{number}: {rar.CEL.decode().strip()}" for number in range(len(names))]
    assert [problem.cause for item in items for problem in item.problems].count("encrypted") == 1


def test_a_member_that_does_not_unpack_spares_those_behind_it() -> None:
    spoilt = rar.member("b.txt", rar.CEL, packed=rar.literals(rar.CEL)[:30], method=3)
    items = read(rar.start() + packed("a.txt", rar.NOTE) + spoilt + packed("c.txt", rar.NOTE) + rar.END)
    spoilt_names = [item.name for item in items if any(problem.cause == "corrupt" for problem in item.problems)]
    assert spoilt_names == ["b.txt"]
    assert [item.size for item in items[1:]] == [len(rar.NOTE), len(rar.CEL), len(rar.NOTE)]


def test_the_bytes_of_a_file_with_two_names_are_found_behind_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    cpio = importlib.import_module("cpio.make")
    monkeypatch.setattr(_archive, "SAMPLE", 1)
    names = [cpio.newc(f"컷{number}.txt".encode(), b"done", ino=number + 10) for number in range(3)]
    pair = cpio.newc(b"first.txt", links=2) + cpio.newc(b"second.txt", b"cut 12: retake", links=2)
    items = {item.name: item for item in read(b"".join(names) + pair + cpio.END)}
    assert items["first.txt"].size == items["second.txt"].size == 14


def test_folders_of_a_table_end_at_a_depth_that_is_told() -> None:
    table = xar.archive("<file>" * 200 + "</file>" * 200, b"")
    items = read(table)
    assert [problem.cause for problem in items[0].problems] == ["limit"]
    assert len(items) == 103


def test_a_file_of_the_udf_tree_is_not_given_again_by_its_plain_name() -> None:
    items = read(UDF)
    assert [(item.name, item.size) for item in items[1:]] == [("지시서 180.txt", 29)]
    fields = {field.name: field.value for field in items[0].fields}
    assert fields["iso.tree"] == "udf"
    assert not items[0].problems


@pytest.mark.parametrize("case", ["plain", "packed"])
def test_a_disk_image_read_here_gives_what_7zip_gives(case: str) -> None:
    data = (FIXTURES / "dmg" / case / "input.dmg").read_bytes()
    labels = {"Method": "archive.method"}
    ours, theirs = (
        [
            (fact.name, fact.fields, fact.open().read()) if isinstance(fact, Child) and fact.open else fact
            for fact in facts
        ]
        for facts in (
            dmg_image.DmgImage().read(Stream(io.BytesIO(data))),
            read_archive(Stream(io.BytesIO(data)), "Dmg", "dmg", labels),
        )
    )
    assert ours == theirs
    assert len(ours) > 1


def test_runs_that_do_not_unpack_keep_the_place_of_what_follows() -> None:
    whole, hurt = (read((FIXTURES / "dmg" / case / "input.dmg").read_bytes()) for case in ("packed", "packed-spoilt"))
    assert [item.size for item in whole] == [item.size for item in hurt]
    assert next(problem.cause for problem in hurt[2].problems) == "corrupt"


def test_old_blocks_that_lie_about_method_and_size_are_no_crash() -> None:
    odd = (
        rar.old_start()
        + rar.old_member(b"a.txt", rar.CEL, method=0x02)
        + rar.old_member(b"b.txt", rar.CEL, method=0xFF)
    )
    large = rar.old_block(0x74, 0x8100, bytes(25))
    items = read(odd + b"#" * 20 + large + rar.old_member(b"c.txt", rar.CEL))
    assert "crash" not in [problem.cause for item in items for problem in item.problems]
    assert [item.name for item in items if item.name.endswith("c.txt")]


def test_packed_data_that_end_anywhere_give_what_decodes() -> None:
    lha = importlib.import_module("lha.make")
    packed_data = lha.pack(lha.CEL, 40)
    for size in range(len(packed_data)):
        stream = Stream(io.BytesIO(packed_data[:size]))
        made = b""
        with pytest.raises(EvidenceError) as caught:
            for chunk in decode(stream, b"-lh5-", 0, size, len(lha.CEL) + 40):
                made += chunk
        assert caught.value.cause == "truncated"
        assert lha.CEL.startswith(made)


@given(data=st.binary(max_size=300), seed=st.integers(0, 2**32 - 1))
def test_blocks_of_any_length_are_summed_word_by_word(data: bytes, seed: int) -> None:
    whole = len(data) // 4 * 4
    expected = seed ^ int.from_bytes(data[whole:], "big")
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        expected ^= word
    assert _checksum(data, seed) == expected


def test_of_a_udf_disc_that_is_not_read_the_other_tree_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, stream: Stream) -> None:
        raise EvidenceError("unsupported", "UDF: partition 0 is of an unknown kind")

    monkeypatch.setattr(iso_image.Udf, "__init__", refuse)
    items = read(UDF)
    assert [(item.name, item.size) for item in items[1:]] == [("CUT", 29)]
    assert {field.name: field.value for field in items[0].fields}["iso.tree"] == "plain"
    assert [problem.cause for problem in items[0].problems] == ["unsupported"]


def test_damage_in_one_file_entry_of_a_udf_disc_leaves_the_others() -> None:
    whole = (FIXTURES / "iso" / "udf" / "input.udf").read_bytes()
    places = [at for at in range(0, len(whole), 512) if whole[at : at + 4] == b"\5\1\3\0"]
    assert len(places) > 3
    left = [read(whole[:at] + b"\6" + whole[at + 1 :], "input.udf") for at in places]
    assert sum(len(items) > 1 for items in left) == len(places) - 1  # all but the root
    assert sum(bool(items[0].problems) for items in left) >= len(places) - 1  # one is deleted


def test_a_file_of_another_tree_that_lies_elsewhere_is_given_too() -> None:
    other = bytearray(UDF)
    place = UDF.rindex(b"CUT.;1") - 33
    assert other[place + 2 : place + 6] == other[place + 9 : place + 5 : -1]
    struct.pack_into("<I", other, place + 2, 16)
    assert {item.name for item in read(bytes(other))[1:]} == {"지시서 180.txt", "CUT"}
