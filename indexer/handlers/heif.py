"""HEIF pictures (HEIC, AVIF): shape, pictures, EXIF, XMP, profile, what stands after the boxes.

Source: ISO/IEC 14496-12:2022, sections 4.2 (boxes), 8.11 (meta, iloc, pitm, iinf, iref, iprp);
ISO/IEC 23008-12:2022, sections 6.5 (ispe, pixi, auxC) and annex A (Exif and XMP items).
Limits: no pixel is decoded; thumbnails are coded like the picture and are not given as members; of a
sequence (moov) only its times and the number of its samples are read; Canon CR3 is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from msgspec import Struct, field

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _c2pa, _exif, _picture, _xmp
from indexer.model import Fact, Field, Problem, Timestamp
from indexer.timestamps import from_hfs

BRANDS: Final = {
    b"heic": "image/heic", b"heix": "image/heic", b"heim": "image/heic", b"heis": "image/heic",
    b"hevc": "image/heic-sequence", b"hevx": "image/heic-sequence", b"avif": "image/avif", b"avis": "image/avif",
    b"mif1": "image/heif", b"mif2": "image/heif", b"msf1": "image/heif-sequence",
}  # fmt: skip
BOXES: Final = 10_000
ITEMS: Final = 10_000
META: Final = 8 << 20
"""Bytes of a meta or moov box that are looked at."""
_ALPHA: Final = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_OUTER: Final = frozenset(
    {
        b"ftyp",
        b"meta",
        b"mdat",
        b"moov",
        b"moof",
        b"mfra",
        b"free",
        b"skip",
        b"uuid",
        b"idat",
        b"mpvd",
        b"sefd",
        b"wide",
        b"pdin",
        b"styp",
        b"sidx",
    }
)
"""Boxes that stand in the file itself; what follows the last of them is no part of the picture."""
_HOLDERS: Final = frozenset({b"iprp", b"ipco", b"trak", b"mdia", b"minf", b"stbl"})


class Box(Struct, frozen=True):
    """One box: its type, and where its payload stands in the bytes it was found in."""

    kind: bytes
    start: int
    end: int


class Meta(Struct):
    """What the meta box says of the items in the file."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    types: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    uses: dict[int, list[int]] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)
    """Items that are no picture of their own: thumbnails, masks, tiles."""
    data: bytes = b""


class Movie(Struct):
    """What the moov box of a sequence says."""

    samples: int = 0
    width: int = 0
    height: int = 0
    times: list[Timestamp] = field(default_factory=list)


class Heif(Handler):
    name = "heif"
    version = 2
    media_types = (
        "image/heic", "image/heif", "image/avif", "image/heic-sequence", "image/heif-sequence", "image/avif-sequence",
    )  # fmt: skip
    signatures = (Signature(b"ftyp", 4),)
    suffixes = (".heic", ".heif", ".avif", ".heics", ".heifs", ".avifs", ".hif")
    rank = 40
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_c2pa.FIELDS,
        "heif.brand": "the format that the file says it has",
        "heif.coding": "type of the picture's item: hvc1, av01, grid, ...",
        "heif.items": "items in the file: pictures, tiles, thumbnails, metadata",
        "heif.rotation": "degrees that the picture is to be turned, anticlockwise",
    }
    reads = "dimensions, EXIF, XMP, content credentials, times of sequences, what stands after the picture"
    needs = ("exifread", "lxml")
    container = True

    def claims(self, stream: Stream) -> str | None:
        size = int.from_bytes(stream.head[:4], "big")
        brands = stream.head[8 : min(max(size, 16), 256)]
        if brands[:4] in BRANDS:
            # mif1 and msf1 say how items are laid out; the brands after them say how they are coded.
            if brands[:4] not in (b"mif1", b"mif2", b"msf1"):
                return BRANDS[brands[:4]]
            others = (brands[at : at + 4] for at in range(8, len(brands), 4))
            coded = (BRANDS[each] for each in others if each in BRANDS and each not in (b"mif1", b"mif2", b"msf1"))
            return next(coded, BRANDS[brands[:4]])
        return None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Field("heif.brand", stream.at(8, 4).decode("latin-1").strip())
        end, problem, meta, movie = 0, None, None, Movie()
        for number, box in enumerate(_file_boxes(stream)):
            if box.kind not in _OUTER or number == BOXES:
                break
            end = box.end
            if end > stream.size:
                problem = Problem("truncated", f"box {_shown(box.kind)} ends at {end}, the file at {stream.size}")
            if box.kind == b"meta" and meta is None:
                meta = _meta(stream.at(box.start + 4, min(box.end - box.start - 4, META)))
            elif box.kind == b"moov":
                movie = _movie(stream.at(box.start, min(box.end - box.start, META)))
                yield from movie.times
            elif box.kind == b"uuid" and stream.at(box.start, 16) == _c2pa.BOX:
                held = stream.at(box.start, min(box.end - box.start, _c2pa.STORE))
                yield from _picture.Blocks().read(_c2pa.read_store, _c2pa.unboxed(held))
            elif box.kind == b"mpvd":
                yield _picture.member(stream, "motion.mp4", box.start, box.end - box.start, "motion picture")
        if meta is not None:
            yield from _shape(meta, movie.samples)
            yield from _metadata(stream, meta)
        elif movie.width and movie.height:
            yield from _picture.shape(movie.width, movie.height, frames=movie.samples)
        else:
            yield Problem("corrupt", "neither items nor tracks: the dimensions are not known")
        if problem:
            yield problem
        else:
            yield from _picture.leftover(stream, end)


def _file_boxes(stream: Stream) -> Iterator[Box]:
    position = 0
    while position + 8 <= stream.size:
        head = stream.at(position, 16)
        size, start = int.from_bytes(head[:4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), position + 16
        elif size == 0 and head[4:8] == b"mdat":
            size = stream.size - position
        if size < start - position:
            return
        yield Box(head[4:8], start, position + size)
        position += size


def _boxes(data: bytes, start: int = 0) -> Iterator[Box]:
    """The boxes in a run of bytes, those inside holders too; nothing lies outside its run."""
    runs = [(start, len(data))]
    count = 0
    while runs:
        position, end = runs.pop()
        while position + 8 <= end and count < BOXES:
            count += 1
            size, inner = int.from_bytes(data[position : position + 4], "big"), position + 8
            if size == 1:
                size, inner = int.from_bytes(data[position + 8 : position + 16], "big"), position + 16
            if size < inner - position:
                break
            kind = data[position + 4 : position + 8]
            # What is cut off is read as far as it goes.
            yield Box(kind, inner, min(position + size, end))
            if kind in _HOLDERS:
                runs.append((inner, min(position + size, end)))
            position += size


class _Reader:
    """Numbers one after another; past the end they are 0."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    @property
    def done(self) -> bool:
        return self.position >= len(self.data)


def _meta(data: bytes) -> Meta:
    meta = Meta()
    for box in _boxes(data):
        body = data[box.start : box.end]
        if box.kind == b"pitm":
            meta.primary = int.from_bytes(body[4:8] if body[:1] != b"\0" else body[4:6], "big")
        elif box.kind == b"iinf":
            for entry in _boxes(body, 6 if body[:1] == b"\0" else 8):
                _item(meta, entry.kind, body[entry.start : entry.end])
        elif box.kind == b"iloc":
            _locations(meta, _Reader(body))
        elif box.kind == b"iref":
            _references(meta, body)
        elif box.kind == b"idat":
            meta.data = body
        elif box.kind == b"ipma":
            _associations(meta, _Reader(body))
        elif box.kind == b"ipco":
            meta.properties = [(each.kind, body[each.start : each.end]) for each in _boxes(body)]
    return meta


def _item(meta: Meta, kind: bytes, body: bytes) -> None:
    reader = _Reader(body)
    version = reader.number(1)
    reader.take(3)
    if kind != b"infe" or version < 2 or len(meta.kinds) >= ITEMS:
        return
    item = reader.number(4 if version == 3 else 2)
    reader.take(2)
    meta.kinds[item] = reader.take(4)
    if meta.kinds[item] == b"mime":
        _, _, meta.types[item] = body[reader.position :].partition(b"\0")


def _locations(meta: Meta, reader: _Reader) -> None:
    version = reader.number(1)
    reader.take(3)
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    wide = 4 if version == 2 else 2
    for _ in range(min(reader.number(wide), ITEMS)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version in (1, 2) else 0
        reader.take(2)
        base = reader.number(base_size)
        extents: list[tuple[int, int]] = []
        for _ in range(reader.number(2)):
            if reader.done:
                return
            reader.take(index_size if version in (1, 2) else 0)
            offset = reader.number(offset_size)
            extents.append((base + offset, reader.number(length_size)))
        meta.extents[item] = (method, extents)


def _references(meta: Meta, body: bytes) -> None:
    wide = 4 if body[:1] != b"\0" else 2
    for box in _boxes(body, 4):
        reader = _Reader(body[box.start : box.end])
        item = reader.number(wide)
        if box.kind in (b"thmb", b"auxl"):
            meta.parts.add(item)
        elif box.kind == b"dimg":
            count = min(reader.number(2), ITEMS)
            meta.parts.update(reader.number(wide) for _ in range(count) if not reader.done)


def _associations(meta: Meta, reader: _Reader) -> None:
    version = reader.number(1)
    wide = reader.number(3) & 1
    for _ in range(min(reader.number(4), ITEMS)):
        item = reader.number(4 if version else 2)
        meta.uses[item] = [
            reader.number(2) & 0x7FFF if wide else reader.number(1) & 0x7F for _ in range(reader.number(1))
        ]
        if reader.done:
            return


def _shape(meta: Meta, frames: int) -> Iterator[Fact]:
    coded = [
        item for item, kind in meta.kinds.items() if kind not in (b"Exif", b"mime", b"uri ") and item not in meta.parts
    ]
    main = meta.primary or (coded[0] if coded else 0)
    own = [meta.properties[number - 1] for number in meta.uses.get(main, ()) if 0 < number <= len(meta.properties)]
    held = dict(reversed(own))
    size, pixels = held.get(b"ispe", b""), held.get(b"pixi", b"")
    if len(size) >= 12:
        bits = pixels[5] if len(pixels) > 5 else 0
        mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(pixels[4], "") if len(pixels) > 4 else ""
        width, height = int.from_bytes(size[4:8], "big"), int.from_bytes(size[8:12], "big")
        if mode == "RGB" and any(kind == b"auxC" and body[4:].startswith(_ALPHA) for kind, body in meta.properties):
            mode = "RGBA"
        yield from _picture.shape(width, height, mode, bits, frames or len(coded) or 1)
    else:
        yield Problem("corrupt", "no size of the picture: the dimensions are not known")
    if kind := meta.kinds.get(main):
        yield Field("heif.coding", _shown(kind).strip())
    yield Field("heif.items", len(meta.kinds))
    if turned := held.get(b"irot", b"")[:1]:
        yield Field("heif.rotation", (turned[0] & 3) * 90)
    for kind, body in own:
        if kind == b"colr" and body[:4] in (b"prof", b"rICC"):
            yield from _picture.profile(body[4:])


def _metadata(stream: Stream, meta: Meta) -> Iterator[Fact]:
    """The facts of the EXIF and XMP items."""
    blocks = _picture.Blocks()
    for item, kind in meta.kinds.items():
        is_xmp = kind == b"mime" and meta.types.get(item, b"").startswith(b"application/rdf+xml")
        if kind != b"Exif" and not is_xmp:
            continue
        data = _payload(stream, meta, item)
        if is_xmp:
            yield from blocks.read(_xmp.read_xmp, data)
        else:
            # The block begins with the distance from here to its TIFF header.
            start = 4 + int.from_bytes(data[:4], "big")
            yield from blocks.read(_exif.read_exif_block, data[start:].removeprefix(b"Exif\0\0"))


def _payload(stream: Stream, meta: Meta, item: int) -> bytes:
    method, extents = meta.extents.get(item, (0, []))
    parts: list[bytes] = []
    left = META
    for offset, length in extents:
        length = min(length or left, left)
        parts.append(meta.data[offset : offset + length] if method == 1 else stream.at(offset, length))
        left -= len(parts[-1])
    return b"".join(parts)


def _movie(data: bytes) -> Movie:
    movie = Movie()
    for box in _boxes(data):
        body = data[box.start : box.end]
        if box.kind == b"mvhd":
            size = 8 if body[:1] == b"\x01" else 4
            for kind, at in (("B", 4), ("M", 4 + size)):
                stamp = from_hfs(kind, int.from_bytes(body[at : at + size], "big"), "heif.mvhd")
                movie.times += [stamp] if stamp else []
        elif box.kind == b"tkhd" and len(body) >= 84:
            # Width and height are the last two numbers, with 16 binary places.
            movie.width = max(movie.width, int.from_bytes(body[-8:-6], "big"))
            movie.height = max(movie.height, int.from_bytes(body[-4:-2], "big"))
        elif box.kind == b"stsz":
            movie.samples = max(movie.samples, int.from_bytes(body[8:12], "big"))
    return movie


def _shown(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
