"""Installers made with Inno Setup: the files inside with their names, times and digests, and what setup would do.

Source: Inno Setup 4 to 6, Projects/Src/Struct.pas (TSetupHeader, TSetupFileEntry, TSetupFileLocationEntry);
innoextract(1) 1.9, `--list --silent`: one name a line.
Limits: headers before 4.0.0 and from 6.5 on, and those whose records are not the ones of their version, give the
strings they begin with and the names that the optional program `innoextract` lists; the compiled script is given
as bytes; a program whose files lie in slices beside it is read with the first slice.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._image import open_sibling
from indexer.handlers._inno_data import CHUNK, SLICE, Keys, Slices, Unpacking, cipher_name, fits
from indexer.handlers._inno_header import MARK, Header, find_header, first_strings, read_block
from indexer.handlers._inno_records import File, Misread, Place, Setup, read_setup
from indexer.handlers._inno_versions import METHODS, NOWHERE, STORED, Version
from indexer.handlers._programs import run_program
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp, replace
from indexer.passwords import Password
from indexer.timestamps import from_filetime

LIST = ("--list", "--silent", "--")
MOST_NAME = 64 * 1024
SLICE_NAME = re.compile(r"(.+)-(\d{1,4})([a-z]?)\.bin", re.IGNORECASE)
LETTERS = ((0x1, "R"), (0x2, "H"), (0x4, "S"), (0x20, "A"), (0x40, "X"))
TELLING = {
    "product": "name of the product",
    "product_version_name": "name and version of the product",
    "product_version": "version of the product",
    "id": "identifier of the product",
    "copyright": "copyright of the product",
    "maker": "its maker",
    "address": "its maker's address on the web",
    "support_address": "where it is supported",
    "support_phone": "telephone number of its support",
    "updates_address": "where updates of it are",
    "contact": "whom to ask about it",
    "comments": "its maker's remarks",
    "folder": "folder that it is installed to",
    "mutex": "mutex that says that it runs",
}
NAMES = ("product", "product_version_name", "id", "copyright", "maker", "address")
"""The first strings of the header, in every version since 3."""
OTHERS: Mapping[Version, tuple[Version, ...]] = {(5, 5, 7): ((5, 6, 0),)}
"""Versions that some builds mean that tell another one."""


class InnoSetup(Handler):
    name = "inno"
    version = 3
    media_types = ("application/x-inno-setup",)
    signatures = (Signature(CHUNK), Signature(SLICE), Signature(MARK))
    suffixes = ()
    fields: ClassVar[Mapping[str, str]] = {
        "inno.version": "version of Inno Setup that made the installer",
        **{f"inno.{name}": meaning for name, meaning in TELLING.items()},
        "inno.language": "name, title and number of a language that it speaks",
        "inno.password": "it asks for a password; whether the files are encrypted",
        "inno.source": "where a file is taken from that is not in the installer",
        "inno.file_version": "version of a file, by its version resource",
        "inno.digest": "digest of a file, as recorded",
        "inno.only_for": "components, tasks, languages or condition that a file is installed for",
        "archive.attributes": "Windows attributes, as letters",
        "archive.method": "how the files are packed",
        "archive.part_of": "name of the file in which the whole set is read",
        "encryption.*": "method, and which password fitted",
        "file.kind": "directory; hardlink, where another file has the very bytes; listed-file, where none are here",
        "file.link_target": "name of the file that has the bytes",
    }
    reads = (
        "files with their destinations, times, versions and digests; registry, shortcuts and programs to run as text; "
        "slices joined; password list"
    )
    needs = ("Cryptodome", "program:innoextract")
    rank = 56
    container = True
    uses_name = True
    volumes = True
    volume_names = (r".+-\d{1,4}[a-z]?\.bin",)

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(SLICE):
            return self.media_types[0]
        return self.media_types[0] if find_header(stream) is not None else None

    def is_volume(self, stream: Stream) -> bool:
        return stream.head.startswith((SLICE, MARK))

    def read(self, stream: Stream) -> Iterator[Fact]:
        whole: Stream | None = stream
        if stream.head.startswith(SLICE):
            whole, first = _beside(stream)
            if first:
                yield Field("archive.part_of", first)
                return
        header = find_header(whole) if whole else None
        if whole is None or header is None:
            raise EvidenceError("truncated", "the header of this installer is not here, nor beside it")
        yield Field("inno.version", header.shown)
        block, at = read_block(whole, header.at, header.version)
        try:
            places, _ = read_block(whole, at, header.version)
            setup = _read_setup(header, block, places)
        except (EvidenceError, Misread) as error:
            yield from _tell_strings(block, header.wide)
            if isinstance(error, EvidenceError):
                yield error.problem("")
            yield from _list_files(whole)
            return
        yield from _tell(setup)
        apart = stream is not whole or stream.head.startswith(MARK)
        if apart and not SLICE_NAME.fullmatch(stream.name):
            yield from _members(setup, None)
            yield Problem("unsupported", "the files lie in slices beside the program, and are read with the first one")
            return
        keys = yield from _find_key(stream, setup)
        slices = Slices(partial(_slice, stream, setup) if apart else {0: stream}.get, apart=apart)
        yield from _members(setup, Unpacking(slices, setup, keys, stream.limits.dictionary))


def _read_setup(header: Header, block: bytes, places: bytes) -> Setup:
    for version in (header.version, *OTHERS.get(header.version, ())):
        try:
            return read_setup(block, places, version, header.wide)
        except Misread as error:
            last = error
    raise last


def _beside(stream: Stream) -> tuple[Stream | None, str]:
    """The file with the header of a slice, where this is the first one; else the name of the file to read."""
    match = SLICE_NAME.fullmatch(stream.name)
    if not match:
        return None, ""
    base = match[1]
    if open_sibling(stream, f"{base}-0.bin"):
        return None, f"{base}-0.bin"
    if int(match[2]) != 1 or match[3] not in ("", "a", "A"):
        for first in (f"{base}-1.bin", f"{base}-1a.bin"):
            if open_sibling(stream, first):
                return None, first
        return None, ""
    return open_sibling(stream, f"{base}.exe"), ""


def _slice(stream: Stream, setup: Setup, number: int) -> Stream | None:
    """A slice beside this file; this one, where it is the first."""
    match = SLICE_NAME.fullmatch(stream.name)
    if not match:
        return None
    disk, letter = divmod(number, setup.slices_per_disk)
    letters = chr(ord("a") + letter) if setup.slices_per_disk > 1 else ""
    name = f"{match[1]}-{disk + 1}{letters}.bin"
    if name == stream.name:
        return stream
    found = open_sibling(stream, name)
    return found if found and found.head.startswith(SLICE) else None


def _tell(setup: Setup) -> Iterator[Fact]:
    """What the header says of the product, and what setup would do."""
    for name in TELLING:
        if text := setup.strings.get(name):
            yield Field(f"inno.{name}", text)
    for language in setup.languages:
        yield Field("inno.language", language)
    yield Field("archive.method", METHODS[setup.method])
    yield Text("\n".join(text for text in setup.strings.values() if text), "header")
    for section, lines in setup.texts.items():
        yield Text("\n".join(lines), section)
    for name, raw in setup.blobs.items():
        if raw:
            shown = f"[{name.lstrip('=')}]"
            yield Child(shown, shown.encode("utf-8", "surrogatepass"), partial(_open_bytes, raw))


def _open_bytes(data: bytes) -> BinaryIO:
    return open_chunks(iter((data,)))


def _find_key(stream: Stream, setup: Setup) -> Generator[Fact, None, Keys]:
    """What opens the encrypted files; tells whether a password is asked for."""
    encrypted = any("encrypted" in place.flags for place in setup.places)
    if "password" in setup.options:
        yield Field("inno.password", "the files are encrypted" if encrypted else "the files are not encrypted")
    found: Password | None = None
    if encrypted:
        yield Field("encryption.method", cipher_name(setup))
        for candidate in stream.passwords:
            if fits(setup, candidate.text):
                found = candidate
                yield candidate.field()
                break
        else:
            yield from stream.passwords.fields()
    return Keys(setup, found)


def _members(setup: Setup, unpacking: Unpacking | None) -> Iterator[Fact]:
    """Folders, then files in the order of their bytes, then files that are not in the installer."""
    for raw, attributes in setup.folders:
        fields = (Field("file.kind", "directory"), *_attributes(attributes))
        yield Child(_name(setup, raw), raw, None, fields=fields)
    inside: list[File] = []
    outside: list[File] = []
    for file in setup.files:
        (inside if file.place < len(setup.places) else outside).append(file)
    inside.sort(key=lambda file: _order(setup.places[file.place]))
    firsts: dict[int, str] = {}
    for file in inside:
        place = setup.places[file.place]
        name = _name(setup, file.name or file.source) or f"[file {file.place + 1}]"
        fields = (*_told(setup, file), *_place_fields(setup, place))
        times = _times(place)
        first = firsts.setdefault(file.place, name)
        if unpacking is None:
            yield Child(name, file.name or file.source, None, times, (Field("file.kind", "listed-file"), *fields))
        elif first is not name:
            fields = (Field("file.kind", "hardlink"), Field("file.link_target", first), *fields)
            yield Child(name, file.name or file.source, None, times, fields)
        else:
            yield Child(name, file.name or file.source, partial(_open_file, unpacking, place), times, fields)
    for index, place in enumerate(setup.places):
        if index not in firsts and unpacking is not None:
            name = f"[file {index + 1}]"
            opened = partial(_open_file, unpacking, place)
            yield Child(name, name.encode(), opened, _times(place), _place_fields(setup, place))
    for file in outside:
        name = _name(setup, file.name)
        if not name or name.endswith("/"):
            name += _name(setup, file.source).rpartition("/")[2]
        fields = (Field("file.kind", "listed-file"), *_told(setup, file))
        yield Child(name, file.name or file.source, None, fields=fields)
        if file.place != NOWHERE:
            yield Problem("corrupt", f"the bytes of {name} stand nowhere"[:300])


def _order(place: Place) -> tuple[int, int, int]:
    return place.chunk[0], place.chunk[2], place.at


def _open_file(unpacking: Unpacking, place: Place) -> BinaryIO:
    return open_chunks(unpacking.read(place))


def _name(setup: Setup, raw: bytes) -> str:
    return setup.text(raw).replace("\\", "/")


def _told(setup: Setup, file: File) -> Iterator[Field]:
    if file.source:
        yield Field("inno.source", setup.text(file.source))
    yield from _attributes(file.attributes)
    for name, words in file.conditions:
        yield Field("inno.only_for", f"{name}: {words}")


def _attributes(attributes: int) -> Iterator[Field]:
    if letters := "".join(letter for bit, letter in LETTERS if attributes & bit):
        yield Field("archive.attributes", letters)


def _place_fields(setup: Setup, place: Place) -> tuple[Field, ...]:
    kind, digest = place.digest
    # The simple sums are numbers, lowest byte first.
    shown = digest[::-1] if len(digest) == 4 else digest
    method = setup.method if "compressed" in place.flags else STORED
    fields = [Field("archive.method", METHODS[method]), Field("inno.digest", f"{kind} {shown.hex()}")]
    if "version" in place.flags:
        high, low = place.file_version
        fields.append(Field("inno.file_version", f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"))
    if "encrypted" in place.flags:
        fields.append(Field("encryption.method", cipher_name(setup)))
    return tuple(fields)


def _times(place: Place) -> tuple[Timestamp, ...]:
    """The time of a file: of the zone of whoever made the installer, unless it says that it is UTC."""
    time = from_filetime("M", place.time, "inno.time")
    return (replace(time, zone_known="utc" in place.flags),) if time else ()


def _tell_strings(block: bytes, wide: bool) -> Iterator[Fact]:
    """The strings that a header begins with, and its bytes."""
    texts = list(first_strings(block, wide))
    for name, text in zip(NAMES, texts, strict=False):
        if text:
            yield Field(f"inno.{name}", text)
    if len(texts) < len(NAMES):
        yield Problem("corrupt", "the strings of the header do not add up")
    yield Text("\n".join(text for text in texts if text), "header")
    yield Child("[setup header]", b"[setup header]", partial(_open_bytes, block))


def _list_files(stream: Stream) -> Iterator[Fact]:
    """The files, by their names alone."""
    named = 0
    with stream.path() as path:
        printed = run_program("innoextract", (*LIST, path), int(path.rsplit("/", 1)[1]))
        with closing(printed):
            ended = 0
            rest = b""
            while True:
                try:
                    *lines, rest = (rest + next(printed)).split(b"\n")
                except StopIteration as end:
                    ended = end.value
                    break
                for line in lines:
                    if line:
                        named += 1
                        listed = (Field("file.kind", "listed-file"),)
                        yield Child(line.decode("utf-8", "replace"), line, None, fields=listed)
                rest = rest[:MOST_NAME]
    told = f"innoextract names none and ends with code {ended}" if ended and not named else f"{named} are named"
    yield Problem("unsupported", f"the files of an installer of Inno Setup are not unpacked; {told}")
