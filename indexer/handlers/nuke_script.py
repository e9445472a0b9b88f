"""Nuke scripts: version, names of nodes, files they read and write, notes, all text.

Source: Nuke Developer Guide, "The .nk file format"; the TCL form that Nuke 5 to 15 writes.
Limits: expressions are not worked out; a pattern of frames (%04d) is told as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, cast

from indexer.decoding import TextReader
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

_HEAD: Final = re.compile(
    rb"#! ?[^\n]{0,300}[Nn]uke[^\n]{0,100}\n|#write_info |version \d+\.\d+ ?v\d+\r?\n|set cut_paste_input "
)
_BODY: Final = re.compile(rb"^(?:Root|[A-Z]\w{1,60}) \{\r?$", re.M)
_VERSION: Final = re.compile(r"version (\d+\.\d+ ?v\S{1,20})")
_KNOB: Final = re.compile(r' (\w{1,60}) (?:"((?:[^"\\]|\\.){1,2000}+)"|\{(.{1,2000})\}|(.{1,2000}))')
_FILES: Final = re.compile(r"file|proxy|\w*_?(?:file|path|dir|directory|lut)\Z", re.I)
_WRITTEN: Final = re.compile(r'#write_info \S{1,100} file:"([^"]{1,1000})"')


class NukeScript(Handler):
    name = "nuke"
    media_types = ("application/x-nuke-script",)
    signatures = tuple(map(Signature, (b"#! ", b"#!/", b"#!C", b"#write_info ", b"version ", b"set cut_paste_input ")))
    suffixes = (".nk", ".nknc", ".nkple", ".gizmo")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "nuke.version": "version of the program that wrote the script",
        "nuke.node": "name of a node",
        "nuke.label": "label of a node or of a group of nodes",
    }
    reads = "version, names and labels of nodes, files they read and write, all text"

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        return self.media_types[0] if _HEAD.match(head) and _BODY.search(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        stream.seek(0)
        once = {name: _refs.Once(name) for name in ("refers_to", "nuke.version", "nuke.node", "nuke.label")}
        rest, kind = "", ""
        reader = TextReader(cast(BinaryIO, stream))
        for piece in reader:
            yield Text(piece)
            lines = (rest + piece).split("\n")
            rest = lines.pop()[-MIB:]
            for line in lines:
                line = line.rstrip("\r")
                if line.endswith(" {") and not line.startswith(" "):
                    kind = line[:-2]
                yield from _facts(line, kind, once)
        yield from _facts(rest, kind, once)
        if reader.lossy:
            yield Problem("lossy-text", f"{reader.lossy} bytes are not {reader.detection.codec}", resolution="U+FFFD")


def _facts(line: str, kind: str, once: dict[str, _refs.Once]) -> Iterator[Field]:
    if match := _VERSION.match(line):
        yield from once["nuke.version"].fields((match[1],))
    elif match := _WRITTEN.match(line):
        yield from once["refers_to"].fields((match[1],))
    elif line.startswith("#!"):
        yield from once["refers_to"].fields(_refs.paths_in(line[2:]))
    elif match := _KNOB.fullmatch(line):
        value = (match[2] or match[3] or match[4]).replace("\\\\", "\\").strip()
        if (match[1] == "name" and kind == "Root") or (_FILES.match(match[1]) and _refs.is_file_name(value)):
            yield from once["refers_to"].fields((value,))
        elif match[1] == "name":
            yield from once["nuke.node"].fields((value,))
        elif match[1] == "label":
            yield from once["nuke.label"].fields((value[:FIELD_CHARS],))
        else:
            yield from once["refers_to"].fields(_refs.paths_in(value) if "/" in value or ":" in value else ())
