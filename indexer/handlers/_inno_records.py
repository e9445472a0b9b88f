"""The header of an installer of Inno Setup and the lists behind it, by the version that wrote them.

Records are not told apart by anything but their version, so a reading counts only where it ends on the
last byte of both blocks.

Source: Inno Setup 4 to 6, Projects/Src/Struct.pas (TSetupHeader and the records of its lists).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handlers._inno_versions import (
    BINARY,
    BZIP2,
    COUNTS,
    DIGESTS,
    FILE_BITS,
    HIVES,
    LANGUAGE_PAGES,
    LICENCES,
    LZMA1,
    LZMA2,
    MODES,
    NOWHERE,
    NUMBERS,
    OPTIONS,
    PASSWORDS,
    PLACE_FLAGS,
    REGISTRY_BITS,
    RUN_BITS,
    SALTS,
    STORED,
    STRINGS,
    UNINSTALLER,
    VALUES,
    WESTERN,
    WINDOWS,
    ZLIB,
    Version,
    set_size,
)


class Misread(Exception):  # noqa: N818
    """These bytes are not the records that the version has."""


class Place(Struct, frozen=True):
    """Where the bytes of a file stand: in which chunk, from where on, and what they must be.

    `chunk` is the first slice, the last one, the offset in the first, and the packed size.
    """

    chunk: tuple[int, int, int, int]
    at: int
    size: int
    digest: tuple[str, bytes]
    time: int
    file_version: tuple[int, int]
    flags: frozenset[str]


class File(Struct, frozen=True):
    """One file to install: its names as the installer has them, place and attributes."""

    source: bytes
    name: bytes
    place: int
    attributes: int
    size: int
    conditions: tuple[tuple[str, str], ...]


class Setup(Struct):
    """What a header and its lists say."""

    version: Version
    wide: bool
    codec: str = "cp1252"
    strings: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    method: int = ZLIB
    slices_per_disk: int = 1
    options: frozenset[str] = frozenset()
    password: bytes = b""
    salt: bytes = b""
    files: list[File] = field(default_factory=list)
    folders: list[tuple[bytes, int]] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)

    def text(self, raw: bytes) -> str:
        """A string of the header, decoded."""
        return raw.decode("utf-16-le" if self.wide else self.codec, "replace")


class Cursor:
    """A block, read from its start; whatever reaches behind its end is a Misread."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise Misread
        data = self._data[self._at : end]
        self._at = end
        return data

    def number(self, size: int = 4) -> int:
        """The next number, without a sign."""
        return int.from_bytes(self.take(size), "little")

    def blob(self) -> bytes:
        """The next string, as bytes."""
        return self.take(self.number())

    def blobs(self, count: int) -> list[bytes]:
        """The next strings, as bytes."""
        return [self.blob() for _ in range(count)]

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)


def read_setup(header: bytes, places: bytes, version: Version, wide: bool) -> Setup:
    """What both blocks say.

    Raises:
        Misread: where one of them does not end with its last record.
    """
    setup = Setup(version, wide)
    cursor = Cursor(header)
    counts, raws = _read_header(cursor, setup)
    _Lists(cursor, setup).read(counts, raws)
    if not cursor.done:
        raise Misread
    setup.places = list(_read_places(Cursor(places), setup, counts["places"]))
    return setup


def _read_header(cursor: Cursor, setup: Setup) -> tuple[dict[str, int], dict[str, bytes]]:
    """How long the lists are, and the strings, whose code page is told by the languages, which follow."""
    version = setup.version
    raws = {}
    for name, since, until in STRINGS:
        if since <= version < until:
            raws[name] = cursor.blob()
    if setup.wide and any(len(raw) % 2 for name, raw in raws.items() if name[0] != "="):
        raise Misread
    if not setup.wide:
        cursor.take(32)
    counts = {name: cursor.number() if version >= since else 0 for name, since in COUNTS}
    _skip(cursor, version, NUMBERS)
    (setup.password,) = _skip(cursor, version, PASSWORDS)
    setup.salt = b"".join(_skip(cursor, version, SALTS))
    modes = [int.from_bytes(part, "little") for part in _skip(cursor, version, MODES, kept=True)]
    setup.slices_per_disk = max(1, modes[0])
    bits: list[str] = []
    for what, since, until in OPTIONS:
        if since <= version < until and not (what == "narrow" and setup.wide):
            bits += [str(what)] if isinstance(what, str) else [""] * what
    flags = int.from_bytes(cursor.take(set_size(len(bits))), "little")
    setup.options = frozenset(name for number, name in enumerate(bits) if name and flags >> number & 1)
    setup.method = _method(version, modes[1] if len(modes) > 1 else int("bzip" in setup.options))
    setup.blobs = {name: raw for name, raw in raws.items() if name[0] == "="}
    return counts, {name: raw for name, raw in raws.items() if name[0] != "="}


def _skip(
    cursor: Cursor, version: Version, parts: tuple[tuple[int, Version, Version], ...], *, kept: bool = False
) -> list[bytes]:
    """The numbers that this version has; of `kept` ones those whose size is negative."""
    found = []
    for size, since, until in parts:
        if since <= version < until:
            data = cursor.take(abs(size))
            if size < 0 or not kept:
                found.append(data)
    return found


def _method(version: Version, code: int) -> int:
    if version >= (4, 2, 6):
        known: tuple[int, ...] = (STORED, ZLIB, BZIP2, LZMA1, LZMA2)
    elif version >= (4, 2, 5):
        known = (STORED, BZIP2, LZMA1)
    else:
        known = (ZLIB, BZIP2, LZMA1)
    if code >= len(known):
        raise Misread
    return known[code]


class _Lists:
    """The lists behind a header, in their order."""

    def __init__(self, cursor: Cursor, setup: Setup) -> None:
        self._cursor = cursor
        self._setup = setup
        self._version = setup.version

    def read(self, counts: dict[str, int], raws: dict[str, bytes]) -> None:
        """Reads all of them into the setup.

        Raises:
            Misread: where they do not fit the version.
        """
        setup = self._setup
        languages = [self._language() for _ in range(counts["languages"])]
        pages = [page for *_, page in languages]
        if pages and WESTERN not in pages:
            setup.codec = _codec(pages[0])
        for name, title, number, _ in languages:
            shown = title.decode("utf-16-le", "replace") if self._since((4, 2, 2)) else self._text(title)
            setup.languages.append(f"{self._text(name)}: {shown} ({number:04x})")
        setup.strings = {name: self._text(raw) for name, raw in raws.items()}
        for _ in range(counts["messages"]):
            name, value = self._cursor.blobs(2)
            self._cursor.take(4)
            self._tell("messages", f"{self._text(name)} = {self._text(value)}")
        for _ in range(counts["permissions"]):
            self._cursor.blob()
        for _ in range(counts["types"]):
            name, title, *_ = self._cursor.blobs(3 + self._since((4, 0, 1)))
            self._cursor.take(WINDOWS + 1 + self._since((4, 0, 3)) + 8)
            self._tell("types", f"{self._text(name)}: {self._text(title)}")
        for _ in range(counts["components"]):
            name, title, *_ = self._cursor.blobs(4 + self._since((4, 0, 1)))
            self._cursor.take(8 + 4 + 1 + WINDOWS + 1 + 8)
            self._tell("components", f"{self._text(name)}: {self._text(title)}")
        for _ in range(counts["tasks"]):
            name, title, *_ = self._cursor.blobs(5 + self._since((4, 0, 1)))
            self._cursor.take(4 + 1 + WINDOWS + 1)
            self._tell("tasks", f"{self._text(name)}: {self._text(title)}")
        for _ in range(counts["folders"]):
            self._folder()
        for _ in range(counts["files"]):
            self._file()
        for _ in range(counts["icons"]):
            self._icon()
        for _ in range(counts["ini"]):
            where, part, key, text = (self._text(raw) for raw in self._cursor.blobs(4))
            self._conditions()
            self._cursor.take(WINDOWS + 1)
            self._tell("ini", f"{where} [{part}] {key} = {text}")
        for _ in range(counts["registry"]):
            self._registry()
        for section in ("deletes", "uninstall_deletes"):
            for _ in range(counts[section]):
                path = self._text(self._cursor.blob())
                self._conditions()
                self._cursor.take(WINDOWS + 1)
                self._tell(section.replace("_", " "), path)
        for section in ("runs", "uninstall_runs"):
            for _ in range(counts[section]):
                self._run(section.replace("_", " "))
        self._images()

    def _since(self, version: Version) -> int:
        return int(self._version >= version)

    def _text(self, raw: bytes) -> str:
        return self._setup.text(raw)

    def _tell(self, section: str, line: str) -> None:
        self._setup.texts.setdefault(section, []).append(line)

    def _bits(self, counted: tuple[int | Version, ...]) -> int:
        """Bytes of a set: so many bits, and one more from each of these versions on."""
        return set_size(sum(each if isinstance(each, int) else self._since(each) for each in counted))

    def _conditions(self) -> tuple[tuple[str, str], ...]:
        names = ["components", "tasks", *["languages"] * self._since((4, 0, 1)), "check"]
        names += ["after", "before"] * self._since((4, 1, 0))
        raws = self._cursor.blobs(len(names))
        return tuple((name, self._text(raw)) for name, raw in zip(names, raws, strict=True) if raw)

    def _old_permissions(self) -> None:
        if (4, 0, 11) <= self._version < (4, 1, 0):
            self._cursor.blob()

    def _language(self) -> tuple[bytes, bytes, int, int]:
        """Its name, its title, its number and its code page."""
        cursor, setup = self._cursor, self._setup
        name, title, *_ = cursor.blobs(7)
        for index, raw in enumerate(cursor.blobs(3 * self._since((4, 0, 1)))):
            setup.blobs[f"{LICENCES[index]} of {self._text(name)}"] = raw
        number = cursor.number()
        page = LANGUAGE_PAGES.get(number) or LANGUAGE_PAGES.get(number & 0x3FF, WESTERN)
        if self._since((4, 2, 2)) and (not setup.wide or self._version < (5, 3, 0)):
            page = cursor.number()
        cursor.take(16 + 4 * (1 - self._since((4, 1, 0))) + self._since((5, 2, 3)))
        return name, title, number, page or WESTERN

    def _folder(self) -> None:
        name = self._cursor.blob()
        self._conditions()
        self._old_permissions()
        attributes = self._cursor.number()
        self._cursor.take(WINDOWS + 2 * self._since((4, 1, 0)) + 1)
        self._setup.folders.append((name, attributes))

    def _file(self) -> None:
        cursor = self._cursor
        source, name, *_ = cursor.blobs(3 + self._since((5, 2, 5)))
        conditions = self._conditions()
        cursor.take(WINDOWS)
        place, attributes, size = cursor.number(), cursor.number(), cursor.number(8)
        cursor.take(2 * self._since((4, 1, 0)) + self._bits(FILE_BITS))
        kind = cursor.number(1)
        if kind > 2:
            raise Misread
        if kind != UNINSTALLER or place != NOWHERE:
            self._setup.files.append(File(source, name, place, attributes, size, conditions))

    def _icon(self) -> None:
        name, target, words, folder, _, comment = (self._text(raw) for raw in self._cursor.blobs(6))
        self._conditions()
        self._cursor.blobs(self._since((5, 3, 5)))
        self._cursor.take(16 * self._since((6, 1, 0)) + WINDOWS + 4 + 4 + 1 + 2 + 1)
        told = [f"{name} -> {target}", words, folder and f"in {folder}", comment]
        self._tell("shortcuts", "  ".join(part for part in told if part))

    def _registry(self) -> None:
        cursor = self._cursor
        key, name, value = cursor.blobs(3)
        self._conditions()
        self._old_permissions()
        cursor.take(WINDOWS)
        hive = cursor.number() & 0x7FFFFFFF
        cursor.take(2 * self._since((4, 1, 0)))
        kind = cursor.number(1)
        cursor.take(self._bits(REGISTRY_BITS))
        if kind >= len(VALUES):
            raise Misread
        root = HIVES[hive] if hive < len(HIVES) else f"{hive:#x}"
        # Where strings are UTF-16, each byte of a value stands as a letter of its own.
        plain = value[::2] if self._setup.wide else value
        shown = plain.hex(" ") if kind == BINARY else self._text(value)
        told = f"  {self._text(name) or '(default)'} = {shown} ({VALUES[kind]})" if kind else ""
        self._tell("registry", f"{root}\\{self._text(key)}{told}")

    def _run(self, section: str) -> None:
        count = 6 + self._since((5, 1, 13))
        name, words, folder, *rest = (self._text(raw) for raw in self._cursor.blobs(count))
        self._conditions()
        self._cursor.take(WINDOWS + 4 + 1 + self._bits(RUN_BITS))
        told = [name, words, folder and f"in {folder}", rest[-1] and f"({rest[-1]})"]
        self._tell(section, "  ".join(part for part in told if part))

    def _images(self) -> None:
        """The images of the windows and the libraries that setup itself needs."""
        setup, cursor, version = self._setup, self._cursor, self._version
        for name in ("image", "small image"):
            for number in range(cursor.number() if version >= (5, 6, 0) else 1):
                if raw := cursor.blob():
                    setup.blobs[f"{name} {number + 1}"] = raw
        if (
            setup.method == BZIP2
            or (setup.method == LZMA1 and version == (4, 1, 5))
            or (setup.method == ZLIB and version >= (4, 2, 6))
        ):
            setup.blobs["decompressor"] = cursor.blob()
        if "encrypted" in setup.options and version < (6, 4, 0):
            setup.blobs["decryptor"] = cursor.blob()


def _codec(page: int) -> str:
    """The codec of a code page of Windows; Western where it names none that is known."""
    codec = {0: "cp1252", 936: "gb18030"}.get(page, f"cp{page}")
    try:
        "".encode(codec)
    except LookupError:
        return "cp1252"
    return codec


def _read_places(cursor: Cursor, setup: Setup, count: int) -> Iterator[Place]:
    version = setup.version
    flags = [name for name, since, until in PLACE_FLAGS if since <= version < until]
    kind, length = next((name, size) for name, size, since, until in DIGESTS if since <= version < until)
    suboffset = 8 if version >= (4, 0, 1) else 0
    for _ in range(count):
        first, last, start = struct.unpack("<III", cursor.take(12))
        at, size, packed = cursor.number(suboffset), cursor.number(8), cursor.number(8)
        digest = cursor.take(length)
        time, high, low = struct.unpack("<QII", cursor.take(16))
        bits = cursor.number(set_size(len(flags)))
        if bits >> len(flags) or first > last:
            raise Misread
        named = frozenset(name for number, name in enumerate(flags) if bits >> number & 1)
        if version < (4, 2, 5):
            named |= {"compressed"}
        cursor.take(int((6, 3, 0) <= version < (6, 4, 3)))
        chunk = (first, last, start, packed)
        yield Place(chunk, at, size, (kind, digest), time, (high, low), named)
    if not cursor.done:
        raise Misread
