"""Large documents of the binary kinds, by the writers of the fixtures."""

from __future__ import annotations

import struct
import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from _rounds import TOP, Words


def _writer(kind: str) -> ModuleType:
    folder = TOP / "fixtures"
    sys.path.insert(0, str(folder))
    try:
        spec = spec_from_file_location(f"make_{kind}", folder / kind / "make.py")
        assert spec
        assert spec.loader
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def doc(words: Words, scale: float) -> bytes:
    """Paragraphs, in pieces of one and of two bytes to a letter."""
    make = _writer("doc")
    body = [("".join(f"{words.line(24)}\r" for _ in range(300)), bool(piece % 2)) for piece in range(int(20 * scale))]
    main, table = make.word(body)
    return bytes(make.document(main, table))


def xls(words: Words, scale: float) -> bytes:
    """Four sheets of numbers and words."""
    make = _writer("xls")
    texts = [words.line(3) for _ in range(int(3000 * scale))]
    rows = int(1500 * scale)
    body = b"".join(
        make.cell(0x203, row, 0, struct.pack("<d", row / 7))
        + b"".join(make.cell(0xFD, row, column, _place(row * 3 + column, texts)) for column in (1, 2, 3))
        + make.cell(0x27E, row, 4, struct.pack("<I", row * 31 << 2 | 2))
        + make.record(0xBD, struct.pack("<HHHIHIH", row, 5, 0, row << 2 | 2, 0, (row * 7 + 1) << 2 | 3, 6))
        for row in range(rows)
    )
    names = [f"sheet {number}" for number in range(4)]
    stated = [make.record(0x85, bytes(6) + make.text(name, "<B")) for name in names]
    before = make.bof(5) + make.record(0x42, struct.pack("<H", 1200))
    before += b"".join(make.record(0xE0, struct.pack("<HH", 0, 0) + bytes(16)) for _ in range(2))
    after = _shared(make, texts) + make.record(0x0A)
    sheet = make.bof(16) + body + make.record(0x0A)
    at = len(before) + sum(map(len, stated)) + len(after)
    listed = b"".join(
        row[:4] + struct.pack("<I", at + number * len(sheet)) + row[8:] for number, row in enumerate(stated)
    )
    return bytes(make.document(before + listed + after + sheet * len(names)))


def _place(number: int, texts: list[str]) -> bytes:
    return struct.pack("<I", number % len(texts))


def _shared(make: ModuleType, texts: list[str]) -> bytes:
    out, held = b"", struct.pack("<II", len(texts), len(texts))
    kind = 0xFC
    for text in texts:
        raw = make.text(text)
        if len(held) + len(raw) > 8224:
            out += make.record(kind, held)
            kind, held = 0x3C, b""
        held += raw
    return out + bytes(make.record(kind, held))


def ppt(words: Words, scale: float) -> bytes:
    """Slides with ten paragraphs."""
    make = _writer("ppt")
    count = int(90 * scale)
    rows = [(3 + number, 256 + number, b"") for number in range(count)]
    document = make.held(1000, make.atom(1001, bytes(40)), make.listed(0, *rows), make.atom(1002))
    slides = {
        3 + number: make.held(
            1006, make.slide_atom(0), make.drawing(*(make.shape(make.chars(words.line(30))) for _ in range(10)))
        )
        for number in range(count)
    }
    return bytes(make.document(*make.presentation({1: document, **slides})))


def hwp(words: Words, scale: float) -> bytes:
    """Paragraphs, deflated."""
    make = _writer("hwp")
    body = b"".join(make.paragraph(0, words.line(24)) for _ in range(int(6000 * scale)))
    return bytes(make.document(make.deflate(body)))


def psd(words: Words, scale: float) -> bytes:
    """Groups of layers, each third of them with text."""
    make = _writer("psd")
    groups = []
    for cut in range(int(60 * scale)):
        layers = (
            make.layer(words.line(3), *((make.type_block(words.line(20), "KumoGothic"),) if each % 3 == 0 else ()))
            for each in range(12)
        )
        groups.append(make.group(f"CUT{cut:03}", *layers))
    return bytes(make.document(make.section(b"".join(groups), 14 * len(groups))))


def msg(words: Words, scale: float) -> bytes:
    """A long body, its HTML and ten attachments."""
    make = _writer("msg")
    body = words.text(int(300_000 * scale))
    texts = {**make.TEXTS, 0x1000: body, 0x1013: f"<p>{body}</p>".encode()}
    return bytes(
        make.compound(
            {
                **make.item(texts, make.FIXED, 32),
                "__nameid_version1.0": {f"__substg1.0_{key}0102": b"" for key in ("0002", "0003", "0004")},
                **{
                    f"__attach_version1.0_#{number:08X}": make.attachment(
                        f"{number}.txt", words.text(int(100_000 * scale)).encode()
                    )
                    for number in range(10)
                },
            }
        )
    )
