"""After Effects projects: compositions, layers, footage with its paths, expressions, XMP with its history.

Source: the RIFX structure of .aep files as After Effects CS5 to 2025 write it (none is published).
Limits: keyframes, effects' settings and solids' colours are not read; names in files older than CS3 are
taken from their fixed fields only as strings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _refs, _xmp
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._psd_values import engine_strings
from indexer.limits import MIB
from indexer.model import Fact, Problem, Text

CHUNKS: Final = 3_000_000
_KEPT: Final = 4 * MIB
_DEEPEST: Final = 60
_KINDS: Final = {1: "aep.folder", 4: "aep.composition", 7: "aep.footage"}
_PLAIN: Final = frozenset(("-_0_/-", "-_0_/-0"))


class AfterEffects(Handler):
    name = "after-effects"
    media_types = ("application/vnd.adobe.aftereffects.project", "application/x-after-effects")
    signatures = (Signature(b"RIFX"),)
    suffixes = (".aep", ".aet")
    fields: ClassVar[dict[str, str]] = {
        **_xmp.FIELDS,
        **_refs.FIELDS,
        "aep.folder": "name of a folder in the project",
        "aep.composition": "name of a composition: often a cut",
        "aep.footage": "name of a piece of footage",
        "aep.layer": "name of a layer",
    }
    reads = "compositions, layers, footage and their paths, expressions, XMP and its history"
    needs = ("lxml",)
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[8:12] == b"Egg!" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        end = 8 + int.from_bytes(stream.at(4, 4), "big")
        yield from _walk(stream, 12, min(end, stream.size))
        if end > stream.size:
            yield Problem("truncated", f"the project ends at {end}, the file at {stream.size}")
            return
        end += end & 1
        packet = stream.at(end, _picture.INFLATED)
        if b"<x:xmpmeta" in packet[:2000] or b"<?xpacket" in packet[:2000]:
            yield from _picture.Blocks().read(_xmp.read_xmp, packet)
        else:
            yield from _picture.leftover(stream, end)


def _walk(stream: Stream, start: int, end: int) -> Iterator[Fact]:
    """Names and paths, and every text of the project in its order."""
    runs = [(start, end, b"")]
    once = {name: _refs.Once(name) for name in (*_KINDS.values(), "aep.layer", "refers_to")}
    words: dict[str, None] = {}
    expected = ""
    for _ in range(CHUNKS):
        while runs and runs[-1][0] + 8 > runs[-1][1]:
            runs.pop()
        if not runs:
            break
        position, stop, inside = runs.pop()
        head = stream.at(position, 12)
        kind, size = head[:4], int.from_bytes(head[4:8], "big")
        runs.append((position + 8 + size + (size & 1), stop, inside))
        if kind == b"LIST" and len(runs) < _DEEPEST:
            if head[8:12] == b"btdk":
                words.update(dict.fromkeys(engine_strings(stream.at(position + 12, min(size, _KEPT)))))
            else:
                runs.append((position + 12, min(position + 8 + size, stop), head[8:12]))
        elif kind == b"idta":
            expected = _KINDS.get(int.from_bytes(stream.at(position + 8, 2), "big"), "")
        elif kind == b"ldta":
            expected = "aep.layer"
        elif kind == b"Utf8":
            text = stream.at(position + 8, min(size, _KEPT)).decode("utf-8", "replace").strip("\0")
            if expected and text not in _PLAIN:
                yield from once[expected].fields((text,))
            expected = ""
            yield from once["refers_to"].fields((text,) if _refs.is_path(text) else ())
            if _refs.has_words(text) and not text.startswith(("ADBE ", '{"', "<?xml")) and text not in _PLAIN:
                words[text] = None
        elif kind == b"alas":
            yield from _footage(stream.at(position + 8, min(size, _KEPT)), once["refers_to"], words)
    if words:
        yield Text("\n".join(words), "words")


def _footage(data: bytes, paths: _refs.Once, words: dict[str, None]) -> Iterator[Fact]:
    """The path of a file, in the JSON that newer versions write."""
    try:
        told = json.loads(data.decode("utf-8", "replace").strip("\0"))
    except (ValueError, RecursionError):
        return
    for key in ("fullpath", "target_path", "path"):
        path = told.get(key) if isinstance(told, dict) else None
        if isinstance(path, str) and path:
            words[path] = None
            yield from paths.fields((path[:FIELD_CHARS],))
