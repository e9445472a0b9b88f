"""Rigs of cut-out animation in JSON (Live2D, Spine, DragonBones): parts, motions, the files they use.

Source: Live2D Cubism model3.json; Spine JSON export format; DragonBones data format 5.5.
Limits: curves and weights are not read; binary rigs (.moc3, .skel) are left to strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers import _refs
from indexer.handlers._json_words import parse_json, plain_values, read_document
from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Fact, Field, Text

_KINDS: Final = (
    ("Live2D", re.compile(rb'"FileReferences"\s*:\s*\{')),
    ("Spine", re.compile(rb'"skeleton"\s*:\s*\{[^{}]{0,400}"spine"\s*:')),
    ("DragonBones", re.compile(rb'"armature"\s*:\s*\[')),
)
_PATHS: Final = frozenset(
    ("Moc", "Textures", "Physics", "Pose", "UserData", "DisplayInfo", "File", "Sound", "images", "audio", "path")
)
_NAMES: Final = frozenset(("Name", "name", "Id", "slot", "attachment", "bone"))
_VERSIONS: Final = frozenset(("spine", "version", "Version", "compatibleVersion"))


class Rig(Handler):
    name = "rig"
    version = 2
    media_types = ("application/x-animation-rig+json",)
    holds = b"{"
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "rig.kind": "program that the rig belongs to",
        "rig.version": "version of its format",
        "rig.name": "name of a part, a bone, a slot, a motion",
    }
    reads = "names of parts and motions, files it uses"
    rank = 60

    def claims(self, stream: Stream) -> str | None:
        head = stream.head.removeprefix(b"\xef\xbb\xbf")
        return self.media_types[0] if head.lstrip()[:1] == b"{" and _kind(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Field("rig.kind", _kind(stream.head))
        names, paths, versions = _refs.Once("rig.name"), _refs.Once(), _refs.Once("rig.version", 5)
        words: dict[str, None] = {}
        for key, value in plain_values(parse_json(read_document(stream).removeprefix("\ufeff"))):
            text = str(value)[:FIELD_CHARS]
            if key in _VERSIONS:
                yield from versions.fields((text,))
            if not isinstance(value, str) or not value:
                continue
            if key in _PATHS and (_refs.is_file_name(text) or "/" in text):
                yield from paths.fields((text,))
            elif key in _NAMES:
                yield from names.fields((text,))
            if _refs.has_words(value):
                words[value] = None
        if words:
            yield Text("\n".join(words), "words")


def _kind(head: bytes) -> str:
    return next((name for name, mark in _KINDS if mark.search(head)), "")
