"""What the documents in compound files share: their kinds, their properties, and their other streams.

Source: [MS-OLEPS] 2.2 to 2.21 (property sets); [MS-OSHARED] 2.3.3.2 (summary properties);
[MS-OLEDS] 2.3.6 (packages in Ole10Native).
Limits: pictures and binary values among the properties are not fields.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import BinaryIO

from indexer.charsets import find_codec
from indexer.handler import Stream
from indexer.handlers._cfb import STORAGE, STREAM, Compound, Entry, compound
from indexer.handlers._cfb_write import is_sound, rebuild
from indexer.handlers._ole_package import parse_native, told
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Scalar, Timestamp
from indexer.timestamps import from_filetime

FIELDS: Mapping[str, str] = {
    "office.title": "title",
    "office.subject": "subject",
    "office.creator": "who made the document",
    "office.keywords": "keywords",
    "office.description": "description or comments",
    "office.template": "template it was made from",
    "office.last_modified_by": "who saved it last",
    "office.revision": "how often it was saved",
    "office.edit_minutes": "minutes it was open for editing",
    "office.pages": "pages",
    "office.words": "words",
    "office.characters": "characters without spaces",
    "office.characters_with_spaces": "characters with spaces",
    "office.application": "program that wrote it",
    "office.app_version": "version of that program",
    "office.doc_security": "protection flags, as a number",
    "office.category": "category",
    "office.presentation_format": "kind of screen or paper a presentation is for",
    "office.lines": "lines",
    "office.paragraphs": "paragraphs",
    "office.slides": "slides",
    "office.notes": "slides with notes",
    "office.hidden_slides": "hidden slides",
    "office.manager": "manager of the author",
    "office.company": "company of the author",
    "office.content_type": "kind of content that the properties name",
    "office.status": "status, such as draft or final",
    "office.language": "language that the properties name",
    "office.version": "version that the properties name",
    "office.hyperlink_base": "what relative links start from",
    "office.custom.*": "custom property, by its own name",
    "office.link": "target of a link to outside the document",
    "office.macros": "the document holds a macro project",
    "office.reviser": "who made tracked changes",
    "ole.class_id": "class of the program that the object belongs to",
    "ole.code_page": "code page of the properties",
    "ole.lost_stream": "the stream is in no folder of the file any more",
    "ole.rebuilt": "the bytes were put together from a storage inside the document",
    "ole.package_path": "path a packaged file had on the machine that packed it",
    "ole.package_temp_path": "path of the copy from which it was packed",
    "encryption.method": "how the document is encrypted",
    "encryption.password": "which given password opened it",
}

_SUMMARY = {
    2: "title",
    3: "subject",
    4: "creator",
    5: "keywords",
    6: "description",
    7: "template",
    8: "last_modified_by",
    9: "revision",
    10: "edit_minutes",
    14: "pages",
    15: "words",
    16: "characters",
    18: "application",
    19: "doc_security",
}
_SUMMARY_TIMES = {11: ("printed", "office.last_printed"), 12: ("B", "office.created"), 13: ("M", "office.modified")}
_DOCUMENT = {
    2: "category",
    3: "presentation_format",
    5: "lines",
    6: "paragraphs",
    7: "slides",
    8: "notes",
    9: "hidden_slides",
    17: "characters_with_spaces",
    14: "manager",
    15: "company",
    23: "app_version",
    26: "content_type",
    27: "status",
    28: "language",
    29: "version",
}
_CODECS = {1200: "utf-16-le", 1201: "utf-16-be", 65001: "utf-8", 936: "gb18030", 54936: "gb18030", 10000: "mac_roman"}
_CODECS |= {10001: "shift_jis", 10002: "big5", 10003: "euc_kr", 10008: "gb2312", 10007: "mac_cyrillic", 20127: "ascii"}
_CODECS |= {10029: "mac_latin2", 20866: "koi8_r", 51949: "euc_kr", 51932: "euc_jp", 1361: "johab", 20932: "euc_jp"}
_USER_DEFINED = bytes.fromhex("05d5cdd59c2e1b10939708002b2cf9ae")
_MOST_PROPERTIES = 4096
_NAMED_BEHIND = 16 * MIB
"""Names behind a larger packaged file are not looked for."""
_KINDS = (
    ("hwp", "fileheader", ""),
    ("msg", "__properties_version1.0", ""),
    ("ooxml-locked", "encryptedpackage", "encryptioninfo"),
    ("doc", "worddocument", ""),
    ("ppt", "powerpoint document", ""),
    ("xls", "workbook", ""),
    ("xls", "book", ""),
)


def kind_of(stream: Stream) -> str:
    """Which of our handlers a compound file belongs to, by the streams it holds; `ole` for any other."""
    held = compound(stream)
    if held.fault:
        return ""
    for kind, first, second in _KINDS:
        entry = held.entries.get(first)
        if entry and entry.kind == STREAM and (not second or second in held.entries):
            return kind
    return "ole"


@lru_cache(maxsize=256)
def codec_of(code_page: int) -> str:
    """Our name for a Windows code page; cp1252 where there is none."""
    return _CODECS.get(code_page) or find_codec(f"cp{code_page}") or "cp1252"


# -- properties --------------------------------------------------------------------------------


def read_properties(held: Compound, *, name: str = "\x05SummaryInformation") -> Iterator[Fact]:
    """The class, the summary and the document summary as fields and timestamps."""
    if held.root.class_id:
        yield Field("ole.class_id", held.root.class_id)
    yield from held.root.timestamps()
    code_pages: dict[int, None] = {}
    for _, values, _ in _sections(held.read(held.get(name), 1 << 24), code_pages):
        for number, value in values.items():
            if number in _SUMMARY_TIMES and isinstance(value, _Ticks):
                kind, origin = _SUMMARY_TIMES[number]
                if moment := from_filetime(kind, value.count, origin):
                    yield moment
            elif number in _SUMMARY:
                yield from _field(_SUMMARY[number], value)
    for form, values, names in _sections(held.read(held.get("\x05DocumentSummaryInformation"), 1 << 24), code_pages):
        for number, value in values.items():
            if form != _USER_DEFINED and number in _DOCUMENT:
                yield from _field(_DOCUMENT[number], value)
            elif number in names:
                yield from _custom(names[number], value)
    for code_page in code_pages:
        yield Field("ole.code_page", code_page)


class _Ticks:
    """A FILETIME: a moment, or a span of time."""

    def __init__(self, count: int) -> None:
        self.count = count


_Value = Scalar | _Ticks


def _field(name: str, value: _Value) -> Iterator[Field]:
    if name == "edit_minutes":
        if isinstance(value, _Ticks) and 0 < value.count < 1 << 60:
            yield Field("office.edit_minutes", value.count // 600_000_000)
    elif isinstance(value, _Ticks):
        return
    elif name == "revision" and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        yield Field("office.revision", int(value))
    elif name == "app_version" and isinstance(value, int):
        yield Field("office.app_version", f"{value >> 16}.{value & 0xFFFF:04}")
    elif value != "":
        yield Field(f"office.{name}", value)


def _custom(name: str, value: _Value) -> Iterator[Fact]:
    if name == "_PID_LINKBASE" and isinstance(value, str):
        yield Field("office.hyperlink_base", value)
    elif isinstance(value, _Ticks):
        if stamp := from_filetime("custom", value.count, f"office.custom.{name}"):
            yield stamp
    elif value != "":
        yield Field(f"office.custom.{name}", value)


def _sections(data: bytes, code_pages: dict[int, None]) -> Iterator[tuple[bytes, dict[int, _Value], dict[int, str]]]:
    """Format, values and names of each property set in a stream."""
    if len(data) < 48:
        return
    (count,) = struct.unpack_from("<I", data, 24)
    for number in range(min(count, 2)):
        if len(data) < 48 + 20 * number:
            return
        form = data[28 + 20 * number : 44 + 20 * number]
        start = _number(data, 44 + 20 * number)
        places: dict[int, int] = {}
        for row in range(min(_number(data, start + 4), _MOST_PROPERTIES)):
            at = start + 8 + 8 * row
            if at + 8 > len(data):
                break
            places.setdefault(_number(data, at), start + _number(data, at + 4))
        code_page = _number(data, places[1] + 4) & 0xFFFF if 1 in places else 1252
        if 1 in places:
            code_pages[code_page] = None
        codec = codec_of(code_page)
        names = _dictionary(data, places[0], codec) if 0 in places else {}
        values = {}
        for key, at in places.items():
            value = _value(data, at, codec) if key > 1 else None
            if value is not None:
                values[key] = value
        yield form, values, names


def _number(data: bytes, at: int, size: int = 4, *, signed: bool = False) -> int:
    return int.from_bytes(data[at : at + size], "little", signed=signed)


def _dictionary(data: bytes, at: int, codec: str) -> dict[int, str]:
    """Names of the custom properties by number."""
    names = {}
    count, at = _number(data, at), at + 4
    for _ in range(min(count, _MOST_PROPERTIES)):
        number, length = _number(data, at), _number(data, at + 4)
        size = 2 * length if codec == "utf-16-le" else length
        if at + 8 + size > len(data):
            break
        names[number] = _text(data[at + 8 : at + 8 + size], codec)
        at += 8 + (-(-size // 4) * 4 if codec == "utf-16-le" else size)
    return names


def _value(data: bytes, at: int, codec: str) -> _Value | None:
    kind = _number(data, at) & 0xFFFF
    at += 4
    if kind in (2, 18):
        return _number(data, at, 2, signed=kind == 2)
    if kind in (3, 19, 22, 23):
        return _number(data, at, 4, signed=kind in (3, 22))
    if kind in (20, 21):
        return _number(data, at, 8, signed=kind == 20)
    if kind in (4, 5, 7) and len(data) >= at + 8:
        return float(struct.unpack_from("<f" if kind == 4 else "<d", data, at)[0])
    if kind == 11:
        return _number(data, at, 2) != 0
    if kind in (8, 30):
        return _text(data[at + 4 : at + 4 + min(_number(data, at), len(data))], codec)
    if kind == 31:
        return _text(data[at + 4 : at + 4 + 2 * min(_number(data, at), len(data))], "utf-16-le")
    return _Ticks(_number(data, at, 8)) if kind == 64 else None


def _text(data: bytes, codec: str) -> str:
    return data[: len(data) & ~1 if codec == "utf-16-le" else None].decode(codec, "replace").partition("\0")[0].strip()


# -- the other streams -------------------------------------------------------------------------

_SILENT = ("\x05summaryinformation", "\x05documentsummaryinformation", "\x01compobj", "\x01ole", "\x03objinfo")


def members(held: Compound, taken: Callable[[str], bool]) -> Iterator[Child]:
    """What the handler does not understand itself: objects as files of their own, other streams as they are.

    Args:
        taken: tells by its key, lower case and parted by slashes, whether a stream was read.
    """
    waiting = list(reversed(held.root.children))
    while waiting:
        entry = waiting.pop()
        if taken(entry.key):
            continue
        if entry.kind == STORAGE:
            if child := _object(held, entry):
                yield child
            else:
                waiting += reversed(entry.children)
        elif entry.name.lower() == "\x01ole10native":
            yield _native(held, entry, (), [])
        elif entry.size and entry.name.lower() not in _SILENT:
            yield _member(held, entry)


def _member(held: Compound, entry: Entry) -> Child:
    fields = (Field("ole.lost_stream", True),) if entry.lost else ()
    return Child(_shown(entry.path), _raw(entry.path), partial(_open, held, entry), fields=fields)


def _open(held: Compound, entry: Entry) -> BinaryIO:
    return open_chunks(held.pieces(entry))


def _shown(path: tuple[str, ...]) -> str:
    return "/".join("".join(f"[{ord(char)}]" if ord(char) < 32 else char for char in name) for name in path)


def _raw(path: tuple[str, ...]) -> bytes:
    return "/".join(path).encode("utf-16-le", "surrogatepass")


_OWN = {"worddocument": ".doc", "workbook": ".xls", "book": ".xls", "powerpoint document": ".ppt"}
_OWN |= {"visiodocument": ".vsd", "__properties_version1.0": ".msg", "fileheader": ".hwp"}


def _object(held: Compound, storage: Entry) -> Child | None:
    """An embedded object: the file it wraps, or a compound file of its own made of the storage."""
    inside = {child.name.lower(): child for child in storage.children}
    stamps: tuple[Timestamp, ...] = storage.timestamps()
    fields = [Field("ole.class_id", storage.class_id)] if storage.class_id else []
    if package := inside.get("package"):
        return Child(_shown(package.path), _raw(package.path), partial(_open, held, package), stamps, tuple(fields))
    if native := inside.get("\x01ole10native"):
        return _native(held, native, stamps, fields)
    suffix = next((_OWN[name] for name in _OWN if name in inside), "")
    if not suffix and not ({"\x01compobj", "\x01ole"} & inside.keys() and "contents" not in inside):
        return None
    if not is_sound(held, storage):
        return None
    fields.append(Field("ole.rebuilt", True))
    name = _shown(storage.path) + (suffix or ".ole")
    return Child(name, _raw(storage.path), lambda: open_chunks(rebuild(held, storage)), stamps, tuple(fields))


def _native(held: Compound, entry: Entry, stamps: tuple[Timestamp, ...], fields: list[Field]) -> Child:
    package = parse_native(held.start(entry, 8192))
    name, path, start, size = package.name, package.path, package.start, package.size
    wide = package.names(held.read(entry)[start + size :]) if path and entry.size <= _NAMED_BEHIND else []
    shown, facts = told(package, wide)
    fields += facts

    def open_file() -> BinaryIO:
        return open_chunks(_cut(held.pieces(entry), start, size))

    return Child(shown or _shown(entry.path), name or _raw(entry.path), open_file, stamps, tuple(fields))


def _cut(pieces: Iterator[bytes], start: int, size: int) -> Iterator[bytes]:
    """`size` bytes from `start` of what the pieces make together."""
    for piece in pieces:
        part = piece[start : start + size]
        start = max(0, start - len(piece))
        size -= len(part)
        if part:
            yield part
        if not size:
            return
