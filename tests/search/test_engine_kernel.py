"""The compiled kernel against the arrays: the same bytes; and the codes of lists and terms, each way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine import arrays, codes, terms
from search.engine.build import Builder
from search.engine.codes import before
from search.schema import Document
from test_engine_tokens import CHARS, TEXTS

KERNELS = [None, codes.KERNEL]
needs_kernel = pytest.mark.skipif(codes.KERNEL is None, reason="built without a compiler")

PIECES = [
    "动画", "動畫制作", "話", "プロデューサー", "ｶﾞﾝﾀﾞﾑ", "カ\u3099", "각본", "각\u11a8", "ᄀᆞ", "제작진",
    "ครับ", "မြန်မာ", "ខ្មែរ", "كَتَبَ", "خطّ", "שָׁלוֹם", "हिन्दी", "Команда", "Ёж", "straße", "İstanbul", "ﬁn", "①②", "㍿",
    "½…", "e\u0301t\u00e9", "\u00c5", "\u212b", "S01E05", "HTMLPage", "aB1aB", "ABc", "a" * 130, "x9" * 70, "动" * 140,
    "\ud800", "\udfff", "\U0001f600", "\U0002a6df", "\U000e0001", "\U0010fffd", "\0", "\0\0", "\u00ad", "\u200b",
    "\ufe0f", "\u0301", "\r", "\n", "\r\n", "\n\r", " ", "_", ".", "", "\u4e00\n\u4e8c", "\u4e00\r\n\u4e8c",
    "\u4e00\r\u4e8c", "\u4e00\n\n\u4e8c", "a\n\u4e00", "0123456789abcdef", "\uffff", "\ue000",
]  # fmt: skip


def texts_of(choose: random.Random) -> str:
    joint = choose.choice(["", "", " ", "\n", "\r\n"])
    pieces = [choose.choice(PIECES) for _ in range(choose.randint(0, 30))]
    pieces += [chr(choose.randrange(0x110000)) for _ in range(choose.randint(0, 6))]
    choose.shuffle(pieces)
    return joint.join(pieces)


def documents(seed: int, count: int) -> list[Document]:
    choose = random.Random(seed)
    return [
        Document(
            f"{choose.getrandbits(128):032x}" if choose.random() < 0.95 or seed % 2 else f"odd {choose.random()}",
            tuple(texts_of(choose) for _ in range(choose.randint(0, 3))),
            texts_of(choose),
            texts_of(choose),
            choose.choice([None, 3, 1 << 40]),
            (
                ("exif.model", texts_of(choose)),
                ("sha1", f"{choose.getrandbits(160):040x}"),
                (choose.choice(["", "动", "a b"]), texts_of(choose)),
            ),
        )
        for _ in range(count)
    ]


def written(path: Path, held: list[Document], kernel: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, list[int]]:
    monkeypatch.setattr(codes, "KERNEL", kernel)
    builder = Builder()
    for document in held:
        builder.add(document)
    builder.write(path)
    return path.read_bytes(), builder.dead


@needs_kernel
@pytest.mark.parametrize("seed", range(6))
def test_kernel_and_arrays_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    held = documents(seed, 150)
    held += held[3:9]  # the earlier ones are dead
    monkeypatch.setattr(arrays, "_CHUNK", 3000)
    fast, slow = (written(tmp_path / "s", held, kernel, monkeypatch) for kernel in reversed(KERNELS))
    assert fast == slow
    assert len(fast[1]) == 6


@needs_kernel
@given(TEXTS, TEXTS, st.text(CHARS, max_size=8))
@settings(max_examples=150)
def test_any_texts_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], names: list[str], name: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    held = [
        Document(f"{at:032x}", (text,), names[at % len(names)], text, fields=(("made.by", name),))
        for at, text in enumerate(texts)
    ]
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast, slow = (written(folder / "s", held, kernel, monkeypatch) for kernel in reversed(KERNELS))
    assert fast == slow


# -- lists


LISTS = st.lists(st.lists(st.integers(0, 5000), max_size=40, unique=True), min_size=1, max_size=12)


@pytest.mark.parametrize("kernel", KERNELS)
@given(LISTS, st.integers(5001, 1 << 32), st.integers(1, 5))
@settings(max_examples=150)
def test_lists_come_back(kernel: Any, lists: list[list[int]], universe: int, step: int) -> None:
    counts = np.array([len(each) for each in lists])
    values = np.array([value for each in lists for value in sorted(each)], np.int64)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(codes, "KERNEL", kernel)
        stream, bits = codes.encode(values, counts, universe, step)
        starts = codes._starts(bits, step)
        assert codes.decode(stream, starts, counts, universe).tolist() == values.tolist()
        some = np.flatnonzero(np.arange(len(lists)) % 2)
        expected = [value for at in some for value in sorted(lists[at])]
        assert codes.decode(stream, starts[some], counts[some], universe).tolist() == expected
    if codes.KERNEL is not None:
        again, bits_again = codes.encode(values, counts, universe, step)
        assert (again.tobytes(), bits_again.tolist()) == (stream.tobytes(), bits.tolist())
    bound = sum(n * (2 + np.log2(universe / n)) + 3 for n in counts.tolist() if n)
    assert bits.sum() <= bound


@pytest.mark.parametrize("kernel", KERNELS)
@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), min_size=1, max_size=4))
@settings(max_examples=150)
def test_any_bits_are_ascending_numbers_or_too_few(kernel: Any, raw: bytes, asked: list[tuple[int, int]]) -> None:
    starts, counts = np.array(asked).T
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(codes, "KERNEL", kernel)
        try:
            values = codes.decode(np.frombuffer(raw, np.uint8), starts, counts, 1000)
        except ValueError:
            return
    for start, count in zip(before(counts).tolist(), counts.tolist(), strict=True):
        held = values[start : start + count].tolist()
        assert held == sorted(set(held))
        assert all(0 <= value < 1000 for value in held)


@needs_kernel
def test_the_kernel_refuses_what_is_out_of_bounds() -> None:
    kernel: Any = codes.KERNEL
    table, cases = np.full(0x110000, ord("a") | 4 << 24, np.uint32), np.zeros(0x110000, np.uint8)
    with pytest.raises(ValueError, match="code point"):
        kernel.Inverter(cases[1:], False, 1)
    made = kernel.Inverter(cases, False, 1)
    with pytest.raises(RuntimeError):
        made.__init__(cases, False, 1)
    with pytest.raises(ValueError, match="code point"):
        made.add(table[1:], "a", 0, None)
    with pytest.raises(OverflowError):
        made.add(table, "a", 0, "n" * 5000)
    with pytest.raises(OverflowError):
        made.add(table, "a", 1 << 32, None)
    assert made.add(table, "a b", 0, None)
    assert not made.add(np.zeros(0x110000, np.uint32), "a", 0, None)
    for bad in (["x" * 129], [""], [1]):
        with pytest.raises(ValueError, match="term"):
            made.add_terms(bad, [0], 1, 0, None)
    with pytest.raises(ValueError, match="place"):
        made.add_terms(["x"], [1], 1, 0, None)
    with pytest.raises(ValueError, match="order"):
        made.sort(np.array([7], np.uint32))
    fresh = kernel.Inverter(cases, False, 1)
    fresh.add(table, "a", 0, None)
    with pytest.raises(ValueError, match="order"):
        fresh.sort(np.array([1], np.uint32))
    fresh.sort(np.array([0], np.uint32))
    with pytest.raises(OverflowError):
        fresh.add(table, "a", 0, None)
    with pytest.raises(ValueError, match="order"):
        fresh.sort(np.array([0], np.uint32))
    with pytest.raises(TypeError):
        kernel.Inverter.__new__(kernel.Inverter).add("", "", 0, None)
    for values, counts, universe in (([3, 2], [2], 9), ([9], [1], 9), ([1, 2], [1], 9), ([1], [-1], 9), ([1], [1], -1)):
        with pytest.raises(ValueError, match="ascend"):
            kernel.encode(np.array(values, np.uint32), np.array(counts), universe, 1)
    for starts, counts in (([0], [9]), ([-1], [1]), ([1 << 62], [2]), ([0], [-2]), ([0, 0], [1])):
        with pytest.raises(ValueError, match="bits"):
            kernel.decode(b"\xff", np.array(starts), np.array(counts), 8, np.zeros(3, np.int64))


# -- terms


LONG_OR_SHORT = st.text("ab动画\u0416\U0002a6df\x01", min_size=1, max_size=20) | st.text(
    "画动é", min_size=1, max_size=2
)


@given(st.lists(LONG_OR_SHORT, max_size=200), st.lists(st.integers(0, 1 << 64), max_size=150))
@settings(max_examples=100)
def test_terms_come_back(words: list[str], numbers: list[int]) -> None:
    held = {word.encode() for word in words} | {b"long" * 300, b"long" * 300 + b"er"}
    held |= {f"sha\0{number:032x}".encode() for number in numbers} | {
        f"id\0{number:032x}".encode() for number in numbers
    }
    held |= {chr(0x4E00 + at * 7 % 900).encode() + chr(0x4E00 + at).encode() for at in range(0, 3 * len(numbers))}
    everything = sorted(held)
    blob = np.frombuffer(b"\n".join([*everything, b""]), np.uint8)
    sizes = np.array([len(term) + 1 for term in everything])
    digits = [term[3:].decode() if term.startswith(b"id\0") else "0" * 32 for term in everything]
    ids = np.frombuffer(bytes.fromhex("".join(digits)), np.uint8).reshape(-1, 16)
    for known in (None, ids):
        short, steps = terms.shorten(blob, sizes, known)
        assert steps.sum() == len(short)
        start = 0
        for at, size in enumerate(steps.tolist()):
            part = everything[at * 64 : at * 64 + 64]
            raw = short[start : start + size].tobytes()
            assert terms.restore(raw, len(part), lambda a, b, part=part: [term[3:] for term in part[a:b]]) == part
            start += size
        assert (
            terms.restore(short.tobytes(), len(everything), lambda a, b: [term[3:] for term in everything[a:b]])
            == everything
        )
