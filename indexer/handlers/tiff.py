"""TIFF, BigTIFF and the camera raw formats built on it: shape, pages, tags, XMP, IPTC, previews.

Source: TIFF Revision 6.0; the BigTIFF Design; Exif 3.0; DNG 1.7.1.0, chapters 2 and 4; TIFF Technical
Note 2 (JPEG in strips); Adobe Photoshop TIFF Technical Notes (tags 34377, 37724).
Limits: no pixel is decoded; pages are counted, and their texts read, not given as members; what stands
between the parts of the file is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _iptc, _layertree, _picture, _tiff_layers, _xmp
from indexer.handlers._ifd import Directory, Ifds
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text

PAGES: Final = 100_000
READ_PAGES: Final = 1_000
"""Pages whose texts are read."""
LAYER_BYTES: Final = 32 * MIB
"""Of Photoshop's layers in one page; their names stand before their pixels."""
DIRECTORIES: Final = 256
"""Directories looked at for previews."""
_MODES: Final = {
    0: "L", 1: "L", 2: "RGB", 3: "P", 4: "1", 5: "CMYK", 6: "YCbCr", 8: "LAB", 9: "LAB", 32803: "CFA", 34892: "CFA",
}  # fmt: skip
_RAW: Final = (32803, 34892)
_TEXT_TAGS: Final = ((285, "page name"), (269, "document name"), (270, "description"))


class Tiff(Handler):
    name = "tiff"
    version = 3
    media_types = (
        "image/tiff",
        "image/x-adobe-dng",
        "image/x-canon-cr2",
        "image/x-nikon-nef",
        "image/x-sony-arw",
        "image/x-pentax-pef",
        "image/x-olympus-orf",
        "image/x-panasonic-rw2",
        "image/x-epson-erf",
        "image/x-samsung-srw",
    )
    signatures = (
        Signature(b"II*\0"),
        Signature(b"MM\0*"),
        Signature(b"II+\0\x08\0"),
        Signature(b"MM\0+\0\x08"),
        Signature(b"IIRO\x08\0\0\0"),
        Signature(b"IIRS\x08\0\0\0"),
        Signature(b"IIU\0"),
    )
    suffixes = (
        ".tif", ".tiff", ".btf", ".tf8", ".dng", ".cr2", ".nef", ".nrw", ".arw", ".sr2", ".pef", ".orf", ".rw2", ".erf",
        ".srw", ".3fr", ".kdc", ".dcr",
    )  # fmt: skip
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_iptc.FIELDS,
        **_layertree.declared("psd"),
        "tiff.big": "whether offsets have 64 bits (BigTIFF)",
    }
    reads = "dimensions, pages, EXIF, XMP, IPTC, layers of Photoshop, previews of raw pictures"
    needs = ("exifread", "lxml")
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head[:4] in (b"IIRO", b"IIRS"):
            return "image/x-olympus-orf"
        if head[:4] == b"IIU\0":
            return "image/x-panasonic-rw2"
        if head[8:10] == b"CR":
            return "image/x-canon-cr2"
        try:
            ifds = Ifds(stream.at)
            first = ifds.directory(ifds.first)
        except EvidenceError:
            return "image/tiff"
        if 0xC612 in first.entries:
            return "image/x-adobe-dng"
        make = ifds.value(first, 271, 64).upper() if 330 in first.entries or _is_raw(ifds, first) else b""
        return next((kind for word, kind in _MAKERS if make.startswith(word)), "image/tiff")

    def read(self, stream: Stream) -> Iterator[Fact]:
        ifds = Ifds(stream.at)
        pages, problem = _pages(ifds)
        if not pages:
            raise problem or EvidenceError("corrupt", "no directory: nothing says what the picture is")
        first = pages[0]
        subs = list(_sub_directories(ifds, pages))
        yield from _shape(ifds, _main(ifds, [first, *subs]), _frames(ifds, pages))
        if ifds.big:
            yield Field("tiff.big", True)
        try:
            yield from _exif.read_exif(ifds)
        except EvidenceError as error:
            yield error.problem("")
        blocks = _picture.Blocks()
        told: set[Fact] = set()
        for tag, reader in _READERS.items():
            found: list[Fact] = []
            for entry in dict.fromkeys(page.entries[tag] for page in pages[:READ_PAGES] if tag in page.entries):
                found += blocks.read(reader, ifds.raw(entry, _picture.INFLATED))
            # Photoshop writes the same captions twice: as a tag, and among its resources.
            yield from (fact for fact in found if fact not in told)
            told.update(fact for fact in found if not isinstance(fact, Child))
        for page in pages[:DIRECTORIES]:
            if layers := page.entries.get(37724):
                yield from _tiff_layers.read_layers(ifds.raw(layers, LAYER_BYTES), ifds.order)
        yield from _page_texts(ifds, pages)
        yield from _previews(stream, ifds, [*pages[:DIRECTORIES], *subs])
        if problem:
            raise problem


_MAKERS: Final = (
    (b"NIKON", "image/x-nikon-nef"),
    (b"SONY", "image/x-sony-arw"),
    (b"PENTAX", "image/x-pentax-pef"),
    (b"EPSON", "image/x-epson-erf"),
    (b"SEIKO EPSON", "image/x-epson-erf"),
    (b"SAMSUNG", "image/x-samsung-srw"),
)
_READERS: Final[dict[int, Callable[[bytes], Iterator[Fact]]]] = {
    34675: _picture.profile,
    700: _xmp.read_xmp,
    33723: _iptc.read_iptc,
    34377: _iptc.read_resources,
}


def _pages(ifds: Ifds) -> tuple[list[Directory], EvidenceError | None]:
    """The directories of the chain, and what kept the rest from being reached."""
    pages: list[Directory] = []
    try:
        for page in ifds.chain():
            if len(pages) == PAGES:
                return pages, EvidenceError("limit", f"more than {PAGES} pages")
            pages.append(page)
    except EvidenceError as error:
        return pages, error
    return pages, None


def _sub_directories(ifds: Ifds, pages: list[Directory]) -> Iterator[Directory]:
    """The directories that hang on the pages (tag 330), each once; those that cannot be read are passed over."""
    seen = {page.start for page in pages}
    for page in pages[:DIRECTORIES]:
        for start in ifds.numbers(page, 330):
            if start in seen or len(seen) >= len(pages) + DIRECTORIES:
                continue
            seen.add(int(start))
            try:
                yield ifds.directory(int(start))
            except EvidenceError:
                continue


def _is_raw(ifds: Ifds, directory: Directory) -> bool:
    return ifds.number(directory, 262) in _RAW


def _main(ifds: Ifds, directories: list[Directory]) -> Directory:
    """The full picture: the first page, or in a raw file the directory that holds the sensor's values."""
    full = [each for each in directories if ifds.number(each, 254) == 0 and 256 in each.entries]
    return next((each for each in full if _is_raw(ifds, each)), full[0] if full else directories[0])


def _frames(ifds: Ifds, pages: list[Directory]) -> int:
    """How many of the pages are pictures of their own rather than smaller copies."""
    return max(1, sum(1 for page in pages if 513 not in page.entries and not ifds.number(page, 254) & 1))


def _shape(ifds: Ifds, page: Directory, frames: int) -> Iterator[Fact]:
    width, height = ifds.number(page, 256), ifds.number(page, 257)
    samples, bits = ifds.number(page, 277, 1), ifds.number(page, 258, 1)
    mode = _MODES.get(ifds.number(page, 262, -1), "")
    if ifds.number(page, 338) in (1, 2):
        mode = {("RGB", 4): "RGBA", ("L", 2): "LA"}.get((mode, samples), mode)
    elif (mode, bits, samples) == ("L", 1, 1):
        mode = "1"
    if width and height:
        yield from _picture.shape(width, height, mode, bits, frames)
    else:
        yield Problem("corrupt", "no width and height in the first directory: the dimensions are not known")
    across, unit = ifds.numbers(page, 282, 1), ifds.number(page, 296, 2)
    if across and unit in (2, 3):
        yield Field("picture.dpi", round(across[0] * (2.54 if unit == 3 else 1.0), 2))


def _page_texts(ifds: Ifds, pages: list[Directory]) -> Iterator[Fact]:
    """What the pages after the first say of themselves."""
    for number, page in enumerate(pages[1:READ_PAGES], 2):
        for tag, what in _TEXT_TAGS:
            entry = page.entries.get(tag)
            if entry and entry.kind == 2 and (text := _picture.read_text(ifds.raw(entry))):
                yield Text(text, f"page {number}, {what}")


def _previews(stream: Stream, ifds: Ifds, directories: list[Directory]) -> Iterator[Fact]:
    """The JPEG pictures that stand ready in the file, each once."""
    seen: set[int] = set()
    for directory in directories:
        for at, size in ((513, 514), (273, 279)):
            starts, sizes = ifds.numbers(directory, at, 2), ifds.numbers(directory, size, 2)
            if len(starts) != 1 or len(sizes) != 1:
                continue
            start, length = int(starts[0]), int(sizes[0])
            if start in seen or length < 4 or (at == 273 and not _is_preview(ifds, directory)):
                continue
            if stream.at(start, 3) == b"\xff\xd8\xff":
                seen.add(start)
                yield _picture.member(stream, f"preview-{len(seen)}.jpg", start, length, "preview")


def _is_preview(ifds: Ifds, directory: Directory) -> bool:
    """Whether a directory's only strip is a whole JPEG picture rather than packed sensor values or tiles of a page."""
    packed = ifds.number(directory, 259) in (6, 7)
    return packed and not _is_raw(ifds, directory) and 0xC640 not in directory.entries and 347 not in directory.entries
