"""Hangul documents of version 5: text with tables, notes, boxes and comments; pictures and objects as members.

Source: Hancom, "Hwp Document File Formats 5.0", revision 1.3, chapters 3 and 4; "distribution documents",
revision 1.2. Sections of a distribution document are decrypted: their key lies in the document itself.
A note's text follows the paragraph that it belongs to.
Limits: documents behind a password are not opened: how its key is made was never published; so with DRM and
certificates. What was inserted or deleted under change tracking is not told apart; numbers of lists are not worked
out; charts are members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, STREAM, Compound, Entry, compound
from indexer.handlers._hwp import BIN_DATA, CHANGER, LOCKED_KEY, Body, counted, inflate, records, text_of, unlock
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._streams import open_chunks
from indexer.handlers._windows import wide
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text, replace

_SIGNATURE = b"HWP Document File"
_PROTECTIONS = {1: "a password", 4: "DRM", 8: "a certificate", 10: "certificate-based DRM"}
"""Bits of the file header that keep the body from being read."""
_OLE = b"\xd0\xcf\x11\xe0"
_LOCKED = ("bodytext/", "bindata/", "scripts/", "docinfo")
_LINK = "docoptions/_linkdoc"
_PATH = 520
"""Bytes of the path with which it begins."""
_READ = ("fileheader", "docinfo", "\x05hwpsummaryinformation", "prvtext", _LINK)


class Hwp(Handler):
    name = "hwp"
    version = 2
    media_types = ("application/x-hwp", "application/vnd.hancom.hwp", "application/haansofthwp")
    signatures = (Signature(MAGIC),)
    suffixes = (".hwp", ".hwt")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "hwp.version": "version of the format",
        "hwp.distribution": "the document was saved for distribution: to be read, not changed",
        "hwp.date": "date line of the properties, as it was typed",
        "hwp.field_name": "name of a field or bookmark",
        "hwp.linked_file": "path of a picture, an object or a further document that is linked, not embedded",
    }
    reads = "text, tables, notes, headers, boxes, comments, memos, field codes; properties, pictures, objects"
    rank = 20
    container = True

    def claims(self, stream: Stream) -> str | None:
        if kind_of(stream) != self.name:
            return None
        held = compound(stream)
        return self.media_types[0] if held.read(held.get("FileHeader"), 4096).startswith(_SIGNATURE) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        header = held.read(held.get("FileHeader"), 4096).ljust(40, b"\0")
        flags = int.from_bytes(header[36:40], "little")
        yield Field("hwp.version", ".".join(str(part) for part in header[35:31:-1]))
        yield from _properties(held)
        link = held.entries.get(_LINK)
        if link and (linked := wide(held.start(link, _PATH))):
            yield Field("hwp.linked_file", linked)
        locks = [word for bit, word in _PROTECTIONS.items() if flags >> bit & 1]
        packed = bool(flags & 1)
        texts = 0
        if locks:
            yield Problem("encrypted", f"protected by {' and '.join(locks)}", resolution="the preview was read")
        else:
            yield from _read_tables(held, packed=packed)
            body = Body()
            if flags & 4:
                yield Field("hwp.distribution", True)
            for number, entry in enumerate(_sections(held, "viewtext" if flags & 4 else "bodytext"), 1):
                try:
                    for fact in body.read(_body(held, entry, packed=packed, locked=bool(flags & 4)), number):
                        texts += 1
                        yield fact
                except EvidenceError as error:
                    message = f"{'/'.join(entry.path)}: {error.message}"
                    yield Problem(error.cause, message, resolution="read up to there")
            yield from body.fields()
            yield from _read_scripts(held, packed=packed, locked=bool(flags & 4))
        if not texts:
            yield Text(text_of(held.read(held.get("PrvText"), 16 * MIB)), "preview")
        yield from _members(held, packed=packed and not locks, locked=bool(locks))
        yield from held.problems


def _properties(held: Compound) -> Iterator[Fact]:
    """As in other documents; where others count revisions, Hangul names its own version."""
    for fact in read_properties(held, name="\x05HwpSummaryInformation"):
        if isinstance(fact, Field) and fact.name == "office.revision":
            fact = replace(fact, name="office.app_version")
        yield fact


def _sections(held: Compound, folder: str) -> list[Entry]:
    start = folder + "/section"
    found = (entry for key, entry in held.entries.items() if key.startswith(start) and entry.kind == STREAM)
    return sorted(found, key=_number)


def _number(entry: Entry) -> tuple[int, str]:
    digits = entry.name[7:]
    return (int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 1 << 40), entry.name


def _body(held: Compound, entry: Entry, *, packed: bool, locked: bool) -> Iterator[tuple[int, int, bytes]]:
    pieces: Iterable[bytes] = held.pieces(entry)
    if locked:
        pieces = _decrypted(held.read(entry))
    return records(inflate(pieces) if packed else pieces)


def _decrypted(data: bytes) -> Iterator[bytes]:
    """A section of a distribution document, still deflated.

    Raises:
        EvidenceError: if there is no key in it, or no library to use it.
    """
    try:
        from Cryptodome.Cipher import AES
    except ImportError as error:
        raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
    tag, _, first = next(records([data[:260]]), (0, 0, b""))
    key = unlock(first)
    if tag != LOCKED_KEY or len(key) != 16:
        raise EvidenceError("corrupt", "the key of the distribution document is not there")
    rest = data[260:]
    yield AES.new(key, AES.MODE_ECB).decrypt(rest[: len(rest) & ~15])


def _read_tables(held: Compound, *, packed: bool) -> Iterator[Fact]:
    """Linked files and who made changes, from the document's own tables."""
    entry = held.get("DocInfo")
    if not entry:
        yield Problem("corrupt", "there is no DocInfo", resolution="the rest was read")
        return
    try:
        for tag, _, data in records(inflate(held.pieces(entry)) if packed else held.pieces(entry)):
            if tag == BIN_DATA and data and not data[0] & 15:
                absolute, at = counted(data, 2)
                for path in dict.fromkeys((absolute, counted(data, at)[0])):
                    if path:
                        yield Field("hwp.linked_file", path)
            elif tag == CHANGER and len(data) > 4:
                yield Field("office.reviser", counted(data, 0)[0] or text_of(data[4:]).strip("\0"))
    except EvidenceError as error:
        yield Problem(error.cause, f"DocInfo: {error.message}", resolution="read up to there")


def _members(held: Compound, *, packed: bool, locked: bool) -> Iterator[Child]:
    """Pictures and objects as they were before they were deflated; the text itself where it is locked."""

    def taken(key: str) -> bool:
        if key in _READ:
            return not locked or key != "docinfo"
        return key.startswith(("bodytext", "viewtext", "scripts")) and not locked

    for child in members(held, taken):
        entry = held.entries[child.raw_name.decode("utf-16-le", "surrogatepass").lower()]
        opening = _refuse if locked and entry.key.startswith(_LOCKED) else partial(_open, held, entry, packed)
        yield Child(child.name, child.raw_name, opening, child.timestamps, child.fields)


def _refuse() -> BinaryIO:
    raise EvidenceError("encrypted", "encrypted by the document")


def _open(held: Compound, entry: Entry, packed: bool) -> BinaryIO:
    """The stream inflated; as it is where it was not deflated. An object loses the length before it."""
    plain = packed and _can_inflate(held, entry)
    return open_chunks(_bare(inflate(held.pieces(entry)) if plain else held.pieces(entry)))


def _can_inflate(held: Compound, entry: Entry) -> bool:
    try:
        return any(inflate(held.pieces(entry)))
    except EvidenceError:
        return False


def _bare(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 8:
            break
    yield first[4:] if first[4:8] == _OLE else first
    yield from pieces


def _read_scripts(held: Compound, *, packed: bool, locked: bool) -> Iterator[Fact]:
    """The source of the document's scripts: texts one after the other, each behind its length."""
    for key in ("scripts/defaultjscript", "scripts/sourcejscript"):
        entry = held.entries.get(key)
        if not entry:
            continue
        try:
            pieces = _decrypted(held.read(entry)) if locked else held.pieces(entry)
            data = b"".join(inflate(pieces) if packed else pieces)
        except EvidenceError as error:
            yield Problem(error.cause, f"{entry.path[-1]}: {error.message}", resolution="the rest was read")
            continue
        at = 0
        while at + 4 <= len(data):
            end = at + 4 + 2 * int.from_bytes(data[at : at + 4], "little")
            yield Text(text_of(data[at + 4 : end]), "script")
            at = end
