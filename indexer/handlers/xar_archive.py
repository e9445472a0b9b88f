"""xar, and Apple's packages (.pkg, .xip): members by the table of contents, which is XML.

The bytes of a member are stored, or packed with gzip, bzip2, lzma or xz, and cut by nobody's size but
their own; the checksum of what comes out is compared with the one in the table.

Source: "xar table of contents", xar project, 2007 (xarformat).
Limits: signatures are not verified; extended attributes are given as members; resource forks too.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FIELDS, FILE, FOLDER, LINK, SYMLINK
from indexer.handlers._streams import Decoder, Inflater, Slice, open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_iso

MAGIC = b"xar!"
MOST_TABLE = 64 * MIB
MOST_DEPTH = 100
PIECE, OUTPUT = 64 * 1024, 256 * 1024
KINDS = {"file": FILE, "directory": FOLDER, "hardlink": LINK, "symlink": SYMLINK, "fifo": "fifo"}
KINDS |= {"character special": "character-device", "block special": "block-device", "socket": "socket"}
TIMES = (("mtime", "M"), ("atime", "A"), ("ctime", "C"))
PACKED = {
    "application/octet-stream": "",
    "application/x-gzip": "gzip",
    "application/x-bzip2": "bzip2",
    "application/x-lzma": "lzma",
    "application/x-xz": "xz",
}
ORIGINAL = "original"
DIGESTS = ("md5", "sha1", "sha256", "sha512")


class XarArchive(Handler):
    name = "xar"
    version = 2
    media_types = ("application/x-xar", "application/vnd.apple.installer+xml")
    signatures = (Signature(MAGIC),)
    suffixes = (".xar", ".pkg", ".mpkg", ".xip", ".safariextz")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "archive.method": "compression of a member",
        "xar.created": "when the archive was made, as its table of contents says",
        "xar.digest": "digest of a member's bytes as recorded",
        "xar.signed": "style of a signature on the archive",
        "xar.user": "owner's name",
        "xar.group": "group's name",
        "xar.uid": "owner's number",
        "xar.gid": "group's number",
        "xar.inode": "number of the file on its old volume",
    }
    reads = "members with times, owners, links and extended attributes, each digest compared; signatures named"
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:28]
        return self.media_types[0] if len(head) == 28 and 28 <= int.from_bytes(head[4:6], "big") <= 4096 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if len(stream.head) < 28:
            raise EvidenceError("truncated", "the header is cut short")
        size, _, packed, whole = struct.unpack_from(">HHQQ", stream.head, 4)
        table = _read_table(stream, size, packed, whole)
        heap = size + packed
        yield from _labels(table)
        if heap > stream.size:
            yield Problem("truncated", "the table of contents breaks off", resolution="members listed so far")
        name = "[TOC].xml"
        opening = partial(_open, stream, size, packed, "application/x-gzip", "", "")
        yield Child(name, name.encode(), opening, fields=(Field("file.kind", "table-of-contents"),))
        originals = {node.get("id"): path for path, node, _ in _walk(table) if _linked(node) == ORIGINAL}
        for path, node, depth in _walk(table):
            yield from _children(stream, heap, path, node, originals)
            if depth == MOST_DEPTH and node.find("file") is not None:
                yield Problem("limit", f"folders more than {MOST_DEPTH} deep", resolution="not followed")


def _read_table(stream: Stream, start: int, packed: int, whole: int) -> Any:
    """The table of contents as an element.

    Raises:
        EvidenceError: where it does not unpack or is no XML; what of it unpacks is read.
    """
    from lxml import etree

    if whole > MOST_TABLE:
        raise EvidenceError("limit", f"a table of contents of {whole} bytes")
    decoder = zlib.decompressobj()
    try:
        text = decoder.decompress(stream.at(start, min(packed, MOST_TABLE)), MOST_TABLE)
    except zlib.error as error:
        raise EvidenceError("corrupt", "the table of contents does not unpack") from error
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(text, parser) if text.strip() else None
    except etree.XMLSyntaxError:
        root = None
    table = root.find("toc") if root is not None else None
    if table is None:
        cut = start + packed > stream.size
        raise EvidenceError("truncated" if cut else "corrupt", "there is no table of contents")
    return table


def _labels(table: Any) -> Iterator[Fact]:
    if created := _text(table, "creation-time"):
        yield Field("xar.created", created)
        if stamp := from_iso("B", created, "xar.creation-time"):
            yield stamp
    for mark in ("signature", "x-signature"):
        for node in table.iterfind(mark):
            yield Field("xar.signed", str(node.get("style") or mark))


def _walk(table: Any) -> Iterator[tuple[str, Any, int]]:
    """Files with their paths, folder by folder, without recursion."""
    waiting: list[tuple[str, Any, int]] = [("", node, 0) for node in reversed(table.findall("file"))]
    while waiting:
        above, node, depth = waiting.pop()
        path = f"{above}/{_name(node)}" if above else _name(node)
        yield path, node, depth
        if depth < MOST_DEPTH:
            waiting += [(path, child, depth + 1) for child in reversed(node.findall("file"))]


def _name(node: Any) -> str:
    """The last name where there are several: that is what other readers take."""
    names = node.findall("name")
    text = "".join(map(str, names[-1].itertext())) if names else ""
    if not text:
        return f"[file {node.get('id') or 'without a name'}]"
    if names[-1].get("enctype") == "base64":
        import binascii

        try:
            return binascii.a2b_base64(text).decode("utf-8", "replace")
        except binascii.Error:
            return text
    return text


def _text(node: Any, tag: str) -> str:
    return str(node.findtext(tag) or "").strip()


def _texts(node: Any) -> dict[str, str]:
    """The texts of all its children; of several under one tag the first."""
    found: dict[str, str] = {}
    for child in node:
        if child.tag not in found:
            found[child.tag] = str(child.text or "").strip()
    return found


def _linked(node: Any) -> str:
    """What a hard link names: the number of the file that it shares its bytes with, or that it is this file."""
    kind = node.find("type")
    return "" if kind is None else str(kind.get("link") or "")


def _children(stream: Stream, heap: int, path: str, node: Any, originals: Mapping[Any, str]) -> Iterator[Child]:
    """The member, and behind it each of its extended attributes."""
    texts = _texts(node)
    kind = KINDS.get(texts.get("type", ""), FILE)
    data = node.find("data")
    fields = [Field("file.kind", kind)] if kind != FILE else []
    link = texts.get("link", "")
    if kind == LINK:
        link = originals.get(_linked(node), _linked(node))
    if link:
        fields.append(Field("file.link_target", link))
    mode = texts.get("mode", "")
    if mode.isascii() and mode.isdigit() and len(mode) < 8 and not set(mode) & {"8", "9"}:
        fields.append(Field("file.mode", f"{int(mode, 8) & 0o7777:04o}"))
    for tag in ("user", "group", "uid", "gid", "inode"):
        if value := texts.get(tag):
            number = tag in ("uid", "gid", "inode") and value.isascii() and value.isdigit() and len(value) < 20
            fields.append(Field(f"xar.{tag}", int(value) if number else value))
    opening, described = _content(stream, heap, data)
    if kind == LINK and _linked(node) == ORIGINAL:
        fields = [each for each in fields if each.name not in ("file.kind", "file.link_target")]
    elif kind != FILE:
        opening = None
    elif data is None:
        opening = _empty
    raw = path.encode("utf-8", "surrogatepass")
    yield Child(path, raw, opening, timestamps=tuple(_times(texts)), fields=(*fields, *described))
    for attribute in node.iterfind("ea"):
        name = f"{path}:{_text(attribute, 'name') or 'attribute'}"
        opening, described = _content(stream, heap, attribute)
        marks = (Field("file.kind", "extended-attribute"), *described)
        yield Child(name, name.encode("utf-8", "surrogatepass"), opening, fields=marks)


def _times(texts: Mapping[str, str]) -> Iterator[Timestamp]:
    for tag, kind in TIMES:
        if (text := texts.get(tag)) and (stamp := from_iso(kind, text, f"xar.{tag}")):
            yield stamp


def _empty() -> BinaryIO:
    return open_chunks(iter(()))


def _content(stream: Stream, heap: int, data: Any) -> tuple[Callable[[], BinaryIO] | None, list[Field]]:
    """What opens the bytes that a `data` element describes, and its packing and digest as fields."""
    if data is None:
        return None, []
    offset, length = _text(data, "offset"), _text(data, "length")
    encoding = data.find("encoding")
    style = str(encoding.get("style") or "") if encoding is not None else ""
    method = PACKED.get(style, style)
    digest = data.find("extracted-checksum")
    algorithm = str(digest.get("style") or "").lower() if digest is not None else ""
    value = str(digest.text or "").strip().lower() if digest is not None else ""
    fields = [Field("archive.method", method)] if method else []
    if value:
        fields.append(Field("xar.digest", f"{algorithm} {value}".strip()))
    try:
        start, size = int(offset), int(length)
    except ValueError:
        start = size = -1
    opening = partial(_open, stream, heap + start, size if start >= 0 else -1, style, algorithm, value)
    return opening, fields


def _open(stream: Stream, start: int, size: int, style: str, algorithm: str, digest: str) -> BinaryIO:
    if size < 0:
        raise EvidenceError("corrupt", "the table of contents does not say where the bytes are")
    if style and style not in PACKED:
        raise EvidenceError("unsupported", f"packed as {style}")
    return open_chunks(_chunks(stream, start, size, PACKED.get(style, ""), algorithm, digest))


def _chunks(stream: Stream, start: int, size: int, method: str, algorithm: str, digest: str) -> Iterator[bytes]:
    sum_up = hashlib.new(algorithm, usedforsecurity=False) if algorithm in DIGESTS else None
    for chunk in _unpack(stream, start, size, method):
        if sum_up:
            sum_up.update(chunk)
        yield chunk
    if sum_up and digest and sum_up.hexdigest() != digest:
        raise EvidenceError("corrupt", f"the {algorithm} digest does not fit the content")


def _unpack(stream: Stream, start: int, size: int, method: str) -> Iterator[bytes]:
    piece = Slice(stream, start, size)
    decoder = _decoder(stream, start, method)
    if decoder is None:
        while chunk := piece.read(OUTPUT):
            yield chunk
        return
    try:
        while not decoder.eof:
            data = piece.read(PIECE) if decoder.needs_input else b""
            chunk = decoder.decompress(data, OUTPUT)
            yield chunk
            if not data and not chunk and not decoder.eof:
                raise EvidenceError("truncated", "the packed data end too early")
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise EvidenceError("corrupt", f"{method}: the data do not decode") from error


def _decoder(stream: Stream, start: int, method: str) -> Decoder | None:
    """What unpacks a member; what calls itself gzip may be any of them, by its first bytes."""
    head = stream.at(start, 6)
    if method == "gzip":
        return Inflater(47)
    if method == "bzip2":
        return bz2.BZ2Decompressor()
    if method in ("lzma", "xz"):
        kind = lzma.FORMAT_XZ if head == b"\xfd7zXZ\0" else lzma.FORMAT_ALONE
        return lzma.LZMADecompressor(kind, memlimit=stream.limits.dictionary + (64 << 20))
    return None
