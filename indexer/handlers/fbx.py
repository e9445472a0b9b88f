"""FBX scenes, binary and as text: who made them with what and when, names of objects, files they use.

Source: the node records of binary FBX 6.1 to 7.7 as the Blender foundation describes them (FBX binary file format
specification, 2013); the text form as the FBX SDK writes it.
Limits: geometry and curves are not read; FBX 5 and older as text only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, ClassVar, Final, cast

from indexer.decoding import TextReader
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

NODES: Final = 3_000_000
VALUES: Final = MIB
DEEPEST: Final = 60
_MARK: Final = b"Kaydara FBX Binary  \0"
_NUMBERS: Final = {b"Y": "<h", b"C": "<?", b"I": "<i", b"F": "<f", b"D": "<d", b"L": "<q"}
_FILES: Final = frozenset(("FileName", "Filename", "RelativeFilename", "Path", "RelPath"))
_CLOCK: Final = ("Year", "Month", "Day", "Hour", "Minute", "Second", "Millisecond")
_GMT: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,3}))?")
_ABOUT: Final = {"Title", "Subject", "Author", "Keywords", "Revision", "Comment"}
_SKIPPED: Final = frozenset(("PropertyTemplate", "ObjectType", "C", "Type", "Version", "Shading", "Culling"))
_LINE: Final = re.compile(r"\s*([A-Za-z]\w{0,60}): ?(.{0,20000})")
_QUOTED: Final = re.compile(r'"([^"]{0,2000}+)"')

Value = str | int | float | bool


class Fbx(Handler):
    name = "fbx"
    media_types = ("model/vnd.fbx", "application/x-fbx")
    signatures = (Signature(_MARK), Signature(b"; FBX "))
    suffixes = (".fbx",)
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "file.kind": "of a member: embedded",
        "fbx.version": "version of the format",
        "fbx.creator": "program or library that wrote the file",
        "fbx.about.*": "what the file says of itself: fbx.about.author, fbx.about.lastsaved_applicationname",
        "fbx.object": "name of an object with its kind: Model::Hair",
    }
    reads = "makers, times, names of objects, files they use, own properties; embedded files as members"
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        found = _Found()
        if stream.head.startswith(_MARK):
            yield from _read_nodes(stream, found)
        else:
            yield from _read_text(stream, found)
        yield from found.clock()
        yield from found.words.rest()


class _Found:
    """Gives the facts of one node after the other, whatever the form of the file."""

    def __init__(self) -> None:
        self.words = Words()
        self.objects = _refs.Once("fbx.object")
        self.file = ""
        self._clock: dict[str, int] = {}

    def node(self, name: str, above: str, values: list[Value]) -> Iterator[Fact]:
        """The facts of one node; `above` is the one it stands in."""
        texts = [value for value in values if isinstance(value, str)]
        if name in ("P", "Property"):
            yield from self._property(values, texts)
        elif above == "CreationTimeStamp" and name in _CLOCK and values and isinstance(values[0], int):
            self._clock[name] = values[0]
        elif name == "Creator" and texts and above in ("", "FBXHeaderExtension"):
            if above:
                yield Field("fbx.creator", texts[0][:FIELD_CHARS])
            yield from self.words.say(texts[0])
        elif above == "MetaData" and name in _ABOUT and texts and texts[0]:
            yield Field(f"fbx.about.{name.lower()}", texts[0][:FIELD_CHARS])
            yield from self.words.say(texts[0])
        elif above == "Objects":
            named = next((text for text in texts if "\0\1" in text or "::" in text), "")
            shown = "::".join(reversed(named.split("\0\1", 1))) if "\0\1" in named else named
            if shown.rpartition("::")[2]:
                yield from self.objects.fields((shown,))
                yield from self.words.say(shown.rpartition("::")[2])
            self.file = ""
        elif name not in _SKIPPED:
            for text in texts:
                if name in _FILES:
                    self.file = text or self.file
                yield from self.words.say(text.replace("\0\1", "::"), is_file=name in _FILES)

    def _property(self, values: list[Value], texts: list[str]) -> Iterator[Fact]:
        name = texts[0] if texts else ""
        said = [value for value in values[4 if len(texts) > 3 else 3 :] if isinstance(value, str) and value]
        for text in said[:1]:
            match = _GMT.fullmatch(text) if name.endswith("DateTime_GMT") else None
            if match:
                kind = "M" if name.startswith("LastSaved") else "original"
                yield from _moment(kind, match, f"fbx.{name}")
            elif name.startswith(("Original|", "LastSaved|")):
                yield Field(f"fbx.about.{name.replace('|', '_').lower()}", text[:FIELD_CHARS])
        for text in said:
            yield from self.words.say(text, is_file="Url" in name or "ileName" in name)
        if len(texts) > 3 and "U" in texts[3]:
            yield from self.words.say(name)

    def clock(self) -> Iterator[Fact]:
        """When the file says that it was written, by the clock of the machine."""
        held = [self._clock.get(part, 0) for part in _CLOCK]
        try:
            at = datetime(*held[:6], held[6] * 1000, tzinfo=UTC)  # type: ignore[misc,arg-type]
        except (ValueError, OverflowError):
            return
        yield Timestamp("B", at, "fbx.CreationTimeStamp", 0.001, zone_known=False)


def _moment(kind: str, match: re.Match[str], origin: str) -> Iterator[Timestamp]:
    day, month, year, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        at = datetime(year, month, day, hour, minute, second, int((match[7] or "0").ljust(6, "0")), tzinfo=UTC)
    except ValueError:
        return
    yield Timestamp(kind, at, origin, 0.001 if match[7] else 1.0)


def _read_nodes(stream: Stream, found: _Found) -> Iterator[Fact]:
    version = int.from_bytes(stream.at(23, 4), "little")
    yield Field("fbx.version", f"{version // 1000}.{version % 1000 // 100}")
    form = "<QQQB" if version >= 7500 else "<IIIB"
    size = struct.calcsize(form)
    position, above, told = 27, [(stream.size, "")], False
    for _ in range(NODES):
        while len(above) > 1 and position >= above[-1][0]:
            position = above.pop()[0]
        head = stream.at(position, size)
        if len(head) < size:
            if not told:
                yield Problem("truncated", f"the nodes end at {position}, before the last one")
            return
        end, _, length, letters = struct.unpack(form, head)
        if not end:
            if len(above) == 1:
                return
            position = above.pop()[0]
            continue
        name = stream.at(position + size, letters).decode("utf-8", "replace")
        start = position + size + letters
        if end > stream.size:
            if not told:
                yield Problem("truncated", f"node {name[:40]} ends at {end}, the file at {stream.size}")
            told = True
        elif not start + length <= end <= above[-1][0]:
            yield Problem("corrupt", f"node {name[:40]} at {position} does not end in what holds it")
            return
        if name == "Content":
            yield from _embedded(stream, start, length, found)
        else:
            yield from found.node(name, above[-1][1], list(_values(stream.at(start, min(length, VALUES)))))
        position = start + length
        if position < end:
            if len(above) == DEEPEST:
                yield Problem("limit", f"nodes are nested deeper than {DEEPEST}")
                return
            above.append((end, name))
        else:
            position = end
    yield Problem("limit", f"more than {NODES} nodes")


def _embedded(stream: Stream, start: int, length: int, found: _Found) -> Iterator[Fact]:
    """A picture or a film that the file carries with it."""
    head = stream.at(start, 5)
    size = int.from_bytes(head[1:5], "little")
    if head[:1] in (b"R", b"S") and 0 < size <= length - 5:
        name = found.file.replace("\\", "/").rpartition("/")[2] or "embedded"
        yield _picture.member(stream, name, start + 5, size, "embedded")


def _values(data: bytes) -> Iterator[Value]:
    """The properties of a node, up to the first array."""
    position = 0
    while position < len(data):
        kind = data[position : position + 1]
        position += 1
        if kind in _NUMBERS:
            size = struct.calcsize(_NUMBERS[kind])
            if position + size > len(data):
                return
            yield struct.unpack_from(_NUMBERS[kind], data, position)[0]
            position += size
        elif kind in (b"S", b"R"):
            size = int.from_bytes(data[position : position + 4], "little")
            position += 4
            if kind == b"S":
                yield _picture.read_text(data[position : position + size]) if size else ""
            position += size
        else:
            return


def _read_text(stream: Stream, found: _Found) -> Iterator[Fact]:
    stream.seek(0)
    above: list[str] = []
    rest = ""
    reader = TextReader(cast(BinaryIO, stream))
    for piece in reader:
        lines = (rest + piece).split("\n")
        rest = lines.pop()[-VALUES:]
        for line in lines:
            yield from _line(line, above, found)
    yield from _line(rest, above, found)
    if reader.lossy:
        yield Problem("lossy-text", f"{reader.lossy} bytes are not {reader.detection.codec}", resolution="U+FFFD")


def _line(line: str, above: list[str], found: _Found) -> Iterator[Fact]:
    match = _LINE.match(line)
    if match:
        values: list[Value] = list(_QUOTED.findall(match[2]))
        if not values and match[2].strip().isdigit() and len(match[2]) < 12:
            values = [int(match[2])]
        if match[1] == "FBXVersion" and values and isinstance(values[0], int):
            yield Field("fbx.version", f"{values[0] // 1000}.{values[0] % 1000 // 100}")
        yield from found.node(match[1], above[-1] if above else "", values)
        if match[2].rstrip().endswith("{") and len(above) < DEEPEST:
            above.append(match[1])
    elif line.strip() == "}" and above:
        above.pop()
    elif line.startswith(";"):
        yield from found.words.say(line.strip("; \t\r"))
