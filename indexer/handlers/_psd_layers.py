"""Layers of a Photoshop document: records, groups, texts, smart objects.

Source: Adobe Photoshop File Formats Specification (2019), "Layer and Mask Information Section",
"Additional Layer Information".
Limits: no pixel is decoded; masks, effects and settings of adjustments are not read; text layers that
Photoshop 5 wrote (tySh) show their name only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import read_text, shared_codec
from indexer.handlers._psd_values import Cursor, as_lines, read_descriptor, read_engine
from indexer.limits import MIB
from indexer.model import Problem, Timestamp
from indexer.timestamps import from_unix

BLOCKS: Final = 1_000_000
"""Blocks read from one run of them; a layer has about twenty."""
BLOCK_BYTES: Final = 16 * MIB
"""What is read of one block; a long text with its styles takes some hundred KiB."""
WIDE_KEYS: Final = frozenset(
    b"LMsk Lr16 Lr32 Layr Mt16 Mt32 Mtrn Alph FMsk lnk2 lnk3 lnkE FEid FXid PxSD pths extd cinf artd".split()
)
"""Blocks whose length has eight bytes in a large document."""
BLENDS: Final = {
    b"pass": "pass through", b"norm": "normal", b"diss": "dissolve", b"dark": "darken", b"mul ": "multiply",
    b"idiv": "colour burn", b"lbrn": "linear burn", b"dkCl": "darker colour", b"lite": "lighten", b"scrn": "screen",
    b"div ": "colour dodge", b"lddg": "linear dodge", b"lgCl": "lighter colour", b"over": "overlay",
    b"sLit": "soft light", b"hLit": "hard light", b"vLit": "vivid light", b"lLit": "linear light",
    b"pLit": "pin light", b"hMix": "hard mix", b"diff": "difference", b"smud": "exclusion", b"fsub": "subtract",
    b"fdiv": "divide", b"hue ": "hue", b"sat ": "saturation", b"colr": "colour", b"lum ": "luminosity",
}  # fmt: skip
LABELS: Final = ("", "red", "orange", "yellow", "green", "blue", "violet", "grey")
KINDS: Final = {
    b"TySh": "text", b"tySh": "text", b"SoLd": "smart object", b"SoLE": "smart object", b"PlLd": "smart object",
    b"artb": "artboard", b"artd": "artboard", b"abdd": "artboard",
    b"SoCo": "fill", b"GdFl": "fill", b"PtFl": "fill",
    b"levl": "adjustment", b"curv": "adjustment", b"brit": "adjustment", b"blnc": "adjustment", b"hue ": "adjustment",
    b"hue2": "adjustment", b"selc": "adjustment", b"mixr": "adjustment", b"grdm": "adjustment", b"phfl": "adjustment",
    b"expA": "adjustment", b"vibA": "adjustment", b"blwh": "adjustment", b"clrL": "adjustment", b"nvrt": "adjustment",
    b"thrs": "adjustment", b"post": "adjustment",
}  # fmt: skip
_OPEN, _CLOSED, _DIVIDER = 1, 2, 3


class Block(NamedTuple):
    """One tagged block: its key and where its data stand."""

    key: bytes
    start: int
    length: int


class Layer(Struct):
    """What one layer record says; `groups` come with the tree."""

    name: str = ""
    raw_name: bytes = b""
    kind: str = ""
    blend: str = ""
    opacity: int = 255
    hidden: bool = False
    locked: bool = False
    clipped: bool = False
    section: int = 0
    label: str = ""
    text: str = ""
    fonts: tuple[str, ...] = ()
    smart_id: str = ""
    edited: Timestamp | None = None
    groups: tuple[str, ...] = ()

    @property
    def leaf(self) -> Leaf:
        """The layer as every program's layers are shown."""
        marks = (
            self.kind,
            "clipped" * self.clipped,
            self.blend,
            f"opacity {round(self.opacity / 2.55)} %" * (self.opacity != 255),
            f"label {self.label}" * bool(self.label),
            f"edited {self.edited.at:%Y-%m-%dT%H:%M:%SZ}" if self.edited else "",
        )
        return Leaf(self.name, self.groups, marks, self.hidden, self.locked, self.text)


class Layers(Struct):
    """The layers from the topmost down, and what kept the rest from being read."""

    found: list[Layer] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def blocks(stream: Stream, start: int, end: int, *, big: bool) -> Iterator[Block]:
    """The tagged blocks in a run of bytes; ends where no block follows."""
    position = start
    for _ in range(BLOCKS):
        head = stream.at(position, 16)
        signature, key = head[:4], head[4:8]
        if signature not in (b"8BIM", b"8B64") or position + 12 > end:
            return
        wide = big and (signature == b"8B64" or key in WIDE_KEYS)
        size = 8 if wide else 4
        length = int.from_bytes(head[8 : 8 + size], "big")
        begin = position + 8 + size
        if big and not _goes_on(stream, begin + length, end):
            # Which blocks are wide depends on the version that wrote them: what follows decides.
            other = int.from_bytes(head[8 : 20 - size], "big")
            if _goes_on(stream, position + 20 - size + other, end):
                begin, length = position + 20 - size, other
        yield Block(key, begin, max(0, min(length, end - begin)))
        position = _next(stream, begin + length)


def _goes_on(stream: Stream, position: int, end: int) -> bool:
    """Whether a block, or the end, follows at `position` or within its padding."""
    return end - 4 < position <= end or any(mark in stream.at(position, 7) for mark in (b"8BIM", b"8B64"))


def _next(stream: Stream, position: int) -> int:
    """Where the next block begins: padding varies with the program that wrote the file."""
    near = stream.at(position, 7)
    return next((position + at for at in range(4) if near[at : at + 4] in (b"8BIM", b"8B64")), position)


def read_layers(stream: Stream, start: int, end: int, *, big: bool) -> Layers:
    """The layers whose count stands at `start`, those of groups indented under them."""
    result = Layers()
    count = abs(int.from_bytes(stream.at(start, 2), "big", signed=True))
    position = start + 2
    for number in range(count):
        try:
            layer, position = _record(stream, position, end, big, result.problems)
        except EvidenceError as error:
            result.problems.append(Problem(error.cause, f"layer {number + 1} of {count}: {error.message}"))
            break
        result.found.append(layer)
    codec = shared_codec(layer.raw_name for layer in result.found if not layer.name)
    for layer in result.found:
        layer.name = layer.name or read_text(layer.raw_name, codec)
    result.found = _as_tree(result.found[::-1])
    return result


def _as_tree(layers: Sequence[Layer]) -> list[Layer]:
    """The layers without dividers, each with its groups; given from the topmost down."""
    groups: list[str] = []
    shown: list[Layer] = []
    for layer in layers:
        if layer.section == _DIVIDER:
            if groups:
                groups.pop()
            continue
        layer.groups = tuple(groups)
        shown.append(layer)
        if layer.section in (_OPEN, _CLOSED):
            layer.kind = layer.kind or "group"
            groups.append(layer.name)
    return shown


def _record(stream: Stream, position: int, end: int, big: bool, problems: list[Problem]) -> tuple[Layer, int]:
    """One layer record and where the next one begins.

    Raises:
        EvidenceError: where no record stands there.
    """
    channels = int.from_bytes(stream.at(position + 16, 2), "big")
    position += 18 + channels * (10 if big else 6)
    head = stream.at(position, 16)
    if len(head) < 16 or position + 16 > end:
        raise EvidenceError("truncated", "the record is cut off")
    if head[:4] != b"8BIM" or channels > 56 + 8:
        raise EvidenceError("corrupt", f"no layer record at {position}")
    layer = Layer(blend=BLENDS.get(head[4:8], head[4:8].decode("latin-1").strip()), opacity=head[8])
    layer.blend = "" if layer.blend in ("normal", "pass through") else layer.blend
    layer.clipped, layer.hidden = head[9] == 1, bool(head[10] & 2)
    extra = position + 16
    stop = extra + int.from_bytes(head[12:16], "big")
    if stop > min(end, stream.size):
        problems.append(Problem("truncated", f"the layer at {position} ends at {stop}, its section at {end}"))
    inner = extra
    for _ in ("mask", "blending ranges"):
        inner += 4 + int.from_bytes(stream.at(inner, 4), "big")
    length = (stream.at(inner, 1) or b"\0")[0]
    layer.raw_name = stream.at(inner + 1, length) if inner < stop else b""
    inner += (1 + length + 3) & ~3
    for block in blocks(stream, inner, min(stop, stream.size), big=big):
        try:
            _apply(layer, block, stream)
        except EvidenceError as error:
            name = block.key.decode("latin-1")
            problems.append(Problem(error.cause, f"layer {layer.name or layer.raw_name!r}: {name}: {error.message}"))
    return layer, stop


def _apply(layer: Layer, block: Block, stream: Stream) -> None:
    """Takes what one block says of its layer.

    Raises:
        EvidenceError: where its data are damaged.
    """
    key = block.key
    layer.kind = layer.kind or KINDS.get(key, "")
    if key not in _READ:
        return
    cursor = Cursor(stream.at(block.start, min(block.length, BLOCK_BYTES)))
    if key == b"luni":
        layer.name = cursor.wide()
    elif key in (b"lsct", b"lsdk"):
        layer.section = cursor.number(4)
    elif key == b"lspf":
        layer.locked = bool(cursor.number(4) & 0x80000006)
    elif key == b"lclr":
        number = cursor.number(2)
        layer.label = LABELS[number] if number < len(LABELS) else ""
    elif key == b"TySh":
        _apply_text(layer, cursor)
    elif key == b"PlLd":
        cursor.take(8)
        layer.smart_id = layer.smart_id or cursor.pascal().decode("latin-1")
    elif key in (b"SoLd", b"SoLE"):
        cursor.take(12)
        values = dict(reversed(read_descriptor(cursor)))
        layer.smart_id = str(values.get("Idnt", layer.smart_id))
    elif key == b"shmd":
        layer.edited = _edited(cursor)


_READ: Final = frozenset((b"luni", b"lsct", b"lsdk", b"lspf", b"lclr", b"TySh", b"PlLd", b"SoLd", b"SoLE", b"shmd"))


def _apply_text(layer: Layer, cursor: Cursor) -> None:
    cursor.take(2 + 48 + 2 + 4)
    values = dict(reversed(read_descriptor(cursor)))
    engine = values.get("EngineData")
    read = read_engine(engine) if isinstance(engine, bytes) else None
    layer.text = as_lines(str(values.get("Txt ", "")) or (read.text if read else ""))
    layer.fonts = read.fonts if read else ()


def _edited(cursor: Cursor) -> Timestamp | None:
    """When the layer was last changed, among the metadata that Photoshop keeps for its timeline."""
    for _ in range(min(cursor.number(4), 100)):
        cursor.take(4)
        key = cursor.take(4)
        cursor.take(4)
        inner = Cursor(cursor.take(cursor.number(4)))
        if key != b"cust":
            continue
        inner.take(4)
        seconds = dict(read_descriptor(inner)).get("layerTime")
        if isinstance(seconds, float) and 0 < seconds < 1 << 33:
            return from_unix("edited", int(seconds), "psd.layerTime")
    return None
