"""What Illustrator keeps for itself inside a PDF: layers, artboards, placed files, fonts, texts.

Source: ISO 32000-2, 7.3.8 (streams), 7.5.7 (object streams), 14.5 (page-piece dictionaries); Adobe Illustrator
File Format (1998), layers (Lb, Ln) and placed art; later operators as measured on files of versions 12 to 28.
Limits: art, effects and brushes are not read; of stories only those that end as paragraphs do; encrypted
documents are passed over.
"""

from __future__ import annotations

import base64
import binascii
import mmap
import re
import zlib
from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.handlers import _layertree, _refs
from indexer.handlers._layertree import Leaf
from indexer.handlers._pdf_objects import object_streams, places_of, stream_of
from indexer.handlers._picture import FIELD_CHARS, read_text, shared_codec
from indexer.handlers._ps_tokens import unescape
from indexer.handlers._zstd import load_zstd
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

MEDIA_TYPE: Final = "application/illustrator"
FIELDS: Final = {
    **_layertree.declared("illustrator"),
    **_refs.FIELDS,
    "illustrator.creator_version": "version of Illustrator that wrote the file",
    "illustrator.for": "person and firm that the program was registered to",
    "illustrator.title": "file name at the time of saving",
    "illustrator.date": "date as the program wrote it, in the manner of its machine",
    "illustrator.artboard": "name of an artboard",
    "illustrator.font": "font that a text, or a style of it, names",
    "illustrator.symbol": "name of a symbol in the document",
    "illustrator.swatch": "name of a swatch in the document",
}
DATA: Final = 128 * MIB
"""Bytes of private data that are gone through, and of the streams that hold them."""
LAYERS, NAMES = 20_000, 5_000
_BLOCKS, _DEPTH = 16_000, 200
_LOOKED_AT: Final = 4 * MIB
_BLOCK: Final = re.compile(rb"/AI(?:PDF)?PrivateData(\d{1,6})\s{1,3}(\d{1,9})\s{1,3}\d{1,5}\s{1,3}R\b")
_PACKED: Final = re.compile(rb"%AI(?:(1\d|2[0-3])_CompressedData|24_ZStandard_Data)")
_STRING: Final = rb"\(((?:[^\\()]|\\[\s\S]){0,2000}+)\)"
_SAID: Final = {
    "creator_version": re.compile(rb"%%AI8_CreatorVersion: ?([^\r\n]{1,100})"),
    "for": re.compile(rb"%%For: ?([^\r\n]{1,1000})"),
    "title": re.compile(rb"%%Title: ?([^\r\n]{1,1000})"),
    "date": re.compile(rb"%%CreationDate: ?([^\r\n]{1,100})"),
}
_LAYER: Final = re.compile(
    rb"[\r\n]%AI5_(?:(End)Layer|BeginLayer[\r\n]{1,2}((?:-?[\d.]{1,12} ){3,20})Lb[\r\n]{1,2}" + _STRING + rb" Ln)"
)
_FILES: Final = re.compile(
    rb"%AI5_File:[ \t]{0,3}([^\r\n]{1,2000})|"
    + _STRING
    + rb"\s{1,3}(?:-?\d{1,3}\s{1,3}XG\b|`)|%%DocumentFiles:[ \t]{0,3}([^\r\n]{1,2000})"
)
_SYMBOL: Final = re.compile(rb"%AI10_BeginSymbol[\r\n]{1,2}" + _STRING)
_SWATCH: Final = re.compile(_STRING + rb"[\r\n]{1,2}Pc\b")
_ENGINE: Final = re.compile(rb"/AI11\w{0,20}TextDocument : /ASCII85Decode ,")
_WIDE: Final = re.compile(rb"(/CoolTypeFont /0 << /0 )?\(\xfe\xff((?:[^\\()]|\\[\s\S]){0,2000000}+)\)")
_VALUE: Final = re.compile(_STRING + rb"|([:;,])(?=\s)")


def is_illustrator(stream: Stream) -> bool:
    """Whether the beginning of a PDF, or its end, says that Illustrator keeps its document in it."""
    for start in (0, max(0, stream.size - _LOOKED_AT)):
        data = stream.at(start, _LOOKED_AT)
        if b"/AIPrivateData1 " in data or b"<dc:format>application/vnd.adobe.illustrator" in data:
            return True
        if stream.size <= _LOOKED_AT:
            break
    return False


def read_private(stream: Stream) -> Iterator[Fact]:
    """The facts of Illustrator's own data; nothing where there are none."""
    if not stream.size:
        return
    with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        packed = _joined(data)
    if not packed:
        return
    plain, problem = _unpack(packed)
    yield from _facts(plain)
    if problem:
        yield problem


def _joined(data: mmap.mmap) -> bytes:
    """The blocks of the last saving, put together by their numbers."""
    blocks: dict[int, int] = {}
    owner = -1
    for match in _BLOCK.finditer(data):
        holder = data.rfind(b" obj", 0, match.start())
        if holder != owner:
            blocks, owner = {}, holder
        blocks[int(match[1])] = int(match[2])
    if not blocks and data.find(b"Adobe Illustrator") >= 0:
        blocks = _in_object_streams(data)
    if not blocks:
        return b""
    places = places_of(data, set(blocks.values()))
    joined = bytearray()
    for number in sorted(blocks)[:_BLOCKS]:
        if blocks[number] in places and len(joined) < DATA:
            joined += stream_of(data, places[blocks[number]], DATA - len(joined))
    return bytes(joined)


def _in_object_streams(data: mmap.mmap) -> dict[int, int]:
    """Numbers and objects of the blocks, where the dictionary that lists them is compressed."""
    blocks: dict[int, int] = {}
    for _, held in object_streams(data):
        blocks = {int(each[1]): int(each[2]) for each in _BLOCK.finditer(held)} or blocks
    return blocks


def _unpack(joined: bytes) -> tuple[bytes, Problem | None]:
    """The data as one program, and what kept the rest from being read."""
    packed = _PACKED.search(joined)
    if not packed:
        return joined, None
    head, body = joined[: packed.start()] + b"\n", joined[packed.end() :]
    whole = False
    try:
        if packed[1]:
            engine = zlib.decompressobj()
            plain = engine.decompress(body.lstrip(b"\r\n"), DATA)
            whole, more = engine.eof, bool(engine.unconsumed_tail)
        else:
            plain, whole = _from_zstd(body)
            more = len(plain) >= DATA
    except zlib.error as error:
        return head, Problem("corrupt", f"the private data: {error}")
    if more and not whole:
        return head + plain, Problem("limit", f"more than {DATA} bytes of private data", resolution="cut there")
    return head + plain, None if whole else Problem("truncated", "the private data end early")


def _from_zstd(body: bytes) -> tuple[bytes, bool]:
    zstd = load_zstd()
    engine = zstd.ZstdDecompressor()
    plain = bytearray()
    try:
        plain += engine.decompress(body, DATA)
        while not engine.eof and not engine.needs_input and len(plain) < DATA:
            plain += engine.decompress(b"", DATA - len(plain))
    except zstd.ZstdError:
        return bytes(plain), False
    return bytes(plain), engine.eof


def _facts(plain: bytes) -> Iterator[Fact]:
    files = [next(filter(None, match.groups()), b"") for match in _FILES.finditer(plain)]
    files = list(dict.fromkeys(unescape(each.strip(b"() ")) for each in files))[: _refs.MOST]
    symbols = _unique(_SYMBOL, plain)
    swatches = _unique(_SWATCH, _between(plain, b"%AI5_BeginPalette", b"%AI5_EndPalette"))
    codec = shared_codec([*files, *symbols, *swatches])
    for name, pattern in _SAID.items():
        if match := pattern.search(plain):
            value = read_text(unescape(b" ".join(re.findall(_STRING, match[1])) or match[1]))
            if value:
                yield Field(f"illustrator.{name}", value[:FIELD_CHARS])
    yield from _layertree.tree_facts("illustrator", _layers(plain))
    document = _between(plain, b"%AI9_BeginDocumentData", b"%AI9_EndDocumentData")
    yield from (Field("illustrator.artboard", name[:FIELD_CHARS]) for name in _artboards(document)[:NAMES])
    yield from _refs.Once().fields(read_text(name, codec) for name in files)
    fonts, stories = _engine(plain)
    yield from (Field("illustrator.font", font[:FIELD_CHARS]) for font in fonts)
    yield from (Field("illustrator.symbol", read_text(name, codec)[:FIELD_CHARS]) for name in symbols)
    yield from (Field("illustrator.swatch", read_text(name, codec)[:FIELD_CHARS]) for name in swatches)
    if stories:
        yield Text("\n".join(stories), "text objects")


def _unique(pattern: re.Pattern[bytes], data: bytes) -> list[bytes]:
    return [name for name in dict.fromkeys(unescape(each) for each in pattern.findall(data)) if name][:NAMES]


def _between(data: bytes, begin: bytes, end: bytes) -> bytes:
    """What stands between two marks, to the end where the second is not there."""
    start = data.find(begin)
    if start < 0:
        return b""
    stop = data.find(end, start)
    return data[start : stop if stop >= 0 else len(data)]


def _layers(data: bytes) -> list[Leaf]:
    """The layers from the topmost down, a layer before those inside it; the file has them as they are painted."""
    found: list[tuple[Leaf, list[int]]] = []
    tops: list[int] = []
    within: list[int] = []
    for match in _LAYER.finditer(data):
        if match[1]:
            del within[-1:]
        elif len(found) < LAYERS and len(within) < _DEPTH:
            shown, _, unlocked = match[2].split()[:3]
            groups = tuple(found[number][0].name for number in within)
            leaf = Leaf(read_text(unescape(match[3])), groups, hidden=shown == b"0", locked=unlocked == b"0")
            (found[within[-1]][1] if within else tops).append(len(found))
            within.append(len(found))
            found.append((leaf, []))
    ordered: list[Leaf] = []
    while tops:
        leaf, inner = found[tops.pop()]
        ordered.append(leaf)
        tops += inner
    return ordered


def _artboards(document: bytes) -> list[str]:
    """The names in the list of artboards; values stand before their keys, and what holds them closes before its own."""
    held: list[tuple[list[str], list[str]]] = [([], [])]
    closed: tuple[list[str], list[str]] | None = None
    strings: list[bytes] = []
    for match in _VALUE.finditer(re.sub(rb"([\r\n])%_", rb"\1", document)):
        if match[2] == b":":
            if len(held) == _DEPTH:
                return []
            held.append(([], []))
        elif match[2] == b";":
            closed = held.pop() if len(held) > 1 else None
        elif match[2] == b",":
            if closed and strings == [b"ArtboardArray"]:
                return closed[1]
            if closed:
                held[-1][1].extend(closed[0][:1])
            elif len(strings) == 2 and strings[1] == b"Name":
                held[-1][0].append(read_text(strings[0]))
            closed = None
        else:
            strings.append(unescape(match[1]))
            continue
        strings = []
    return []


def _engine(data: bytes) -> tuple[list[str], list[str]]:
    """Fonts and stories of the text engine's data: a story is a text that ends with the end of a paragraph."""
    fonts: dict[str, None] = {}
    stories: dict[str, None] = {}
    for match in _ENGINE.finditer(data):
        end = data.find(b"~>", match.end())
        lines = data[match.end() : end if end >= 0 else len(data)]
        try:
            plain = base64.a85decode(re.sub(rb"[\r\n]+%?|\s+", b"", lines))
        except (ValueError, binascii.Error):
            continue
        for font, raw in _WIDE.findall(plain):
            text = unescape(raw).decode("utf-16-be", "replace")
            if font:
                fonts[text] = None
            elif text.endswith("\r") and text.strip():
                stories[text.strip("\r").replace("\r", "\n").replace("\x03", "\n")] = None
    return [name for name in fonts if name and name != "AdobeInvisFont"][:NAMES], list(stories)
