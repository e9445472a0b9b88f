"""Project files of animation and editing programs that are XML: their names, the files they use, all words.

Source: the programs' own vocabularies: Toon Boom Harmony (.xstage) and Storyboard Pro, OpenToonz (.tnz),
Premiere (.prproj, inside gzip), After Effects (.aepx), Flash (XFL), Final Cut (xmeml, fcpxml), MLT
and Kdenlive, COLLADA, Synfig, Moho.
Limits: drawings and curves are not interpreted; numbers alone are left out of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, cast

from indexer.decoding import TextReader
from indexer.handler import Handler, Stream
from indexer.handlers import _refs
from indexer.handlers._markup import COMMENT, OPEN, TEXT, attributes, plain, tokens
from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Fact, Field, Problem, Text

GROUP: Final = 256 << 10
"""Characters of one run of text."""
_ROOT: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]{0,400}>\s*|<!--.{0,2000}?-->\s*|<!DOCTYPE[^>]{0,400}>\s*)*<([\w:.-]{1,80})([^>]{0,2000})",
    re.DOTALL,
)
_KINDS: Final = {
    b"PremiereData": ("Premiere", "application/x-premiere"),
    b"AfterEffectsProject": ("After Effects", "application/x-after-effects+xml"),
    b"DOMDocument": ("Flash", "application/x-xfl+xml"),
    b"DOMSymbolItem": ("Flash", "application/x-xfl+xml"),
    b"xmeml": ("Final Cut", "application/x-xmeml+xml"),
    b"fcpxml": ("Final Cut", "application/x-fcpxml+xml"),
    b"mlt": ("MLT", "application/x-mlt+xml"),
    b"COLLADA": ("COLLADA", "model/vnd.collada+xml"),
    b"tnz": ("OpenToonz", "application/x-opentoonz"),
    b"sbproject": ("Storyboard Pro", "application/x-storyboard"),
    b"canvas": ("Synfig", "application/x-synfig"),
    b"mohoproj": ("Moho", "application/x-moho"),
}
_HARMONY: Final = ("Toon Boom Harmony", "application/x-toonboom")
_NAMED: Final = frozenset(("name", "title", "elementname", "displayname", "label", "scenename", "librarypath", "level"))
_HOLDING: Final = re.compile(
    r"(?:.*path|.*file|.*folder|.*filename|.*pathurl|.*src|.*url|uri|href|resource|bitmap|image|sourcefilepath)\Z", re.I
)
_VERSION: Final = ("version", "Version", "build", "majorVersion", "xflVersion")
_NUMBER: Final = re.compile(r"[\s\d.,;:eE+()#%/|x-]*")
_QUOTED: Final = re.compile(r'"([^"\n]{1,400}+)"')


class ProjectXml(Handler):
    name = "project-xml"
    media_types = tuple(dict.fromkeys((_HARMONY[1], *(media_type for _, media_type in _KINDS.values()))))
    suffixes = (
        *(".xstage", ".sboard", ".tnz", ".prproj", ".aepx", ".xfl", ".fcpxml", ".mlt", ".kdenlive", ".dae"),
        *(".sif", ".mohoproj"),
    )
    holds = b"<"
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "project.kind": "program that the project belongs to",
        "project.version": "version of the program or of its format",
        "project.name": "name that the project gives to something: a scene, an element, a layer, a sequence",
    }
    reads = "names of scenes, elements, layers; paths of files it uses; all words"
    rank = 60

    def claims(self, stream: Stream) -> str | None:
        match = _ROOT.match(stream.head)
        kind = _kind(match[1], match[2]) if match else None
        return kind[1] if kind else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        match = _ROOT.match(stream.head)
        kind = _kind(match[1], match[2]) if match else None
        if match and kind:
            yield Field("project.kind", kind[0])
            held = dict(attributes(match[2].decode("utf-8", "replace"), xml=True))
            for name in (*_VERSION, "source"):
                if value := held.get(name):
                    yield Field("project.version", value[:FIELD_CHARS])
        stream.seek(0)
        reader = TextReader(cast(BinaryIO, stream))
        yield from _words(iter(reader))
        if match and kind and b"</" + match[1] not in stream.at(max(0, stream.size - 512), 512).replace(b"\0", b""):
            yield Problem("truncated", f"no end of {match[1].decode('latin-1')}", resolution="read as far as it goes")
        if reader.lossy:
            yield Problem("lossy-text", f"{reader.lossy} bytes are not {reader.detection.codec}", resolution="U+FFFD")


def _kind(root: bytes, rest: bytes) -> tuple[str, str] | None:
    if root == b"project" and (b"Harmony" in rest or b'creator="harmony"' in rest or b"Animate" in rest):
        return _HARMONY
    if root == b"canvas" and b"xres" not in rest:
        return None
    return _KINDS.get(root)


def _words(pieces: Iterator[str]) -> Iterator[Fact]:
    """The words in the order of the file, with names and paths as fields."""
    names, paths = _refs.Once("project.name"), _refs.Once()
    held: list[str] = []
    size, element = 0, ""
    for kind, name, value in tokens(pieces, xml=True):
        found: list[tuple[str, str]] = []
        if kind == OPEN:
            element = name
            found = attributes(value, xml=True) if value and value != "/" else []
        elif kind == TEXT:
            found = [(element, plain(value).strip())]
        elif kind == COMMENT:
            found = [("", value.strip())]
        for key, said in found:
            if not said or _NUMBER.fullmatch(said):
                continue
            local = (element if key in ("val", "value") else key).rpartition(":")[2]
            if local.lower() in _NAMED:
                yield from names.fields((said,))
            if _refs.is_path(said) or (_HOLDING.match(local) and _refs.is_file_name(said)):
                yield from paths.fields((said,))
            elif kind == TEXT:
                quoted = (part for part in _QUOTED.findall(said) if _refs.is_file_name(part))
                yield from paths.fields((*quoted, *(_refs.paths_in(said) if ":" in said or "/" in said else ())))
            held.append(said)
            size += len(said) + 1
        if size > GROUP:
            yield Text("\n".join(held), "words")
            held, size = [], 0
    if held:
        yield Text("\n".join(held), "words")
