"""The layers that Photoshop keeps inside a TIFF file, in the byte order of that file.

Source: Adobe Photoshop TIFF Technical Notes (2002), tag 37724; Adobe Photoshop File Formats, "Layer records".
Limits: of a layer its name, group, state and the words of a text layer are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from indexer.handlers import _layertree
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import read_text, shared_codec
from indexer.handlers._psd_values import read_engine
from indexer.limits import MIB
from indexer.model import Fact, Problem

MARK: Final = b"Adobe Photoshop Document Data Block\0"
LAYERS: Final = 20_000
BLOCKS: Final = 100_000
_TEXT: Final = 4 * MIB
_OPEN, _CLOSED, _DIVIDER = 1, 2, 3


class _Data:
    """The tag's bytes with numbers and keys in their order; nothing outside them is read."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data = data
        self.order: Literal["little", "big"] = "little" if order == "<" else "big"

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], self.order)

    def key(self, at: int) -> bytes:
        key = self.data[at : at + 4]
        return key[::-1] if self.order == "little" else key

    def blocks(self, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Key, start and length of the blocks in a run; ends where none follows."""
        for _ in range(BLOCKS):
            if at + 12 > end or self.key(at) not in (b"8BIM", b"8B64"):
                return
            length = min(self.number(at + 8, 4), end - at - 12)
            yield self.key(at + 4), at + 12, length
            at += 12 + length
            # Padding varies with the program that wrote the file.
            at += next((pad for pad in range(4) if self.key(at + pad) in (b"8BIM", b"8B64")), 0)


class _Layer:
    """One record as far as it is read."""

    def __init__(self) -> None:
        self.name = ""
        self.raw = b""
        self.hidden = False
        self.section = 0
        self.text = ""


def read_layers(data: bytes, order: str) -> Iterator[Fact]:
    """The layer tree in the value of tag 37724.

    Args:
        order: `<` or `>`, as the file has it.
    """
    if not data.startswith(MARK):
        return
    held = _Data(data, order)
    for key, start, length in held.blocks(len(MARK), len(data)):
        if key in (b"Layr", b"Lr16", b"Lr32") and length > 2:
            layers, cut = _records(held, start, start + length)
            yield from _layertree.tree_facts("psd", _leaves(layers))
            if cut:
                yield Problem("truncated", "layers of Photoshop: a record is cut off")


def _records(held: _Data, at: int, end: int) -> tuple[list[_Layer], bool]:
    count = held.number(at, 2)
    count = min(count, 65536 - count)
    at += 2
    layers: list[_Layer] = []
    for _ in range(min(count, LAYERS)):
        at += 18 + 6 * held.number(at + 16, 2)
        if at + 16 > end or held.key(at) != b"8BIM":
            return layers, True
        layer = _Layer()
        layer.hidden = bool(held.number(at + 10, 1) & 2)
        inner, stop = at + 16, at + 16 + held.number(at + 12, 4)
        for _ in ("mask", "blending ranges"):
            inner += 4 + held.number(inner, 4)
        length = held.number(inner, 1)
        layer.raw = held.data[inner + 1 : inner + 1 + length]
        for key, start, size in held.blocks(inner + (1 + length + 3 & ~3), min(stop, end)):
            _apply(layer, held, key, start, size)
        layers.append(layer)
        at = stop
    return layers, False


def _apply(layer: _Layer, held: _Data, key: bytes, start: int, size: int) -> None:
    if key == b"luni":
        name = held.data[start + 4 : start + 4 + min(2 * held.number(start, 4), size)]
        layer.name = name.decode("utf-16-le" if held.order == "little" else "utf-16-be", "replace").rstrip("\0")
    elif key in (b"lsct", b"lsdk"):
        layer.section = held.number(start, 4)
    elif key == b"TySh":
        engine = held.data[start : start + min(size, _TEXT)]
        begin = engine.find(b"/EngineDict")
        begin = engine.rfind(b"<<", 0, begin) if begin >= 0 else -1
        if begin >= 0:
            layer.text = read_engine(engine[begin:]).text.replace("\r", "\n").strip("\n\0 ")


def _leaves(layers: list[_Layer]) -> list[Leaf]:
    """The layers from the topmost down; records stand the other way round, a divider below each group."""
    codec = shared_codec(layer.raw for layer in layers if not layer.name)
    groups: list[str] = []
    leaves: list[Leaf] = []
    for layer in reversed(layers):
        if layer.section == _DIVIDER:
            del groups[-1:]
            continue
        name = layer.name or read_text(layer.raw, codec)
        marks = ("group",) if layer.section in (_OPEN, _CLOSED) else ("text",) if layer.text else ()
        leaves.append(Leaf(name, tuple(groups[-_layertree.GROUPS :]), marks, layer.hidden, False, layer.text))
        if layer.section in (_OPEN, _CLOSED):
            groups.append(name)
    return leaves
