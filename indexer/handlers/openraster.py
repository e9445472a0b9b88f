"""OpenRaster documents: layer tree and all members.

Source: OpenRaster 0.0.6 (freedesktop.org), layer stack.
Limits: no pixel is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _layertree, _picture
from indexer.handlers._layertree import Leaf
from indexer.handlers._paint_zip import local, mimetype, parse_part, walk
from indexer.handlers._parts import Parts
from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Fact, Field, Text

_INSIDE: Final = frozenset(("stack",))


class OpenRaster(Handler):
    name = "openraster"
    version = 2
    media_types = ("image/openraster",)
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".ora",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("ora"),
        "ora.picture": "name of the picture",
        "ora.text": "a text layer's words, where the program keeps them",
    }
    reads = "layer tree, preview, all members"
    needs = ("lxml",)
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if mimetype(stream) == b"image/openraster" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        parts = Parts(stream)
        parts.take("mimetype")
        image, problems = parse_part(parts, "stack.xml")
        if image is not None:
            width, height = image.get("w", ""), image.get("h", "")
            if width.isdecimal() and height.isdecimal():
                yield from _picture.shape(int(width[:9]), int(height[:9]))
            if dots := image.get("xres", ""):
                yield from (Field("picture.dpi", int(dots[:9])) for _ in range(dots.isdecimal()))
            if name := image.get("name"):
                yield Field("ora.picture", name[:FIELD_CHARS])
            yield from _layertree.tree_facts("ora", _leaves(image))
            for element in image.iter():
                if local(element) == "text" and (words := "".join(element.itertext()).strip()):
                    yield Field("ora.text", words[:FIELD_CHARS])
                    yield Text(words, "text")
        yield from problems
        yield from parts.members()
        yield from parts.problems


def _leaves(image: Any) -> Iterator[Leaf]:
    """The layers from the topmost down; the outermost stack is the picture itself."""
    for element, above in walk(image, _INSIDE):
        kind = local(element)
        if kind not in ("layer", "stack") or (kind == "stack" and not above):
            continue
        groups = tuple(each.get("name", "") for each in above[1:])
        opacity, blend = element.get("opacity", "1"), element.get("composite-op", "svg:src-over")
        marks = (
            "group" if kind == "stack" else "",
            blend.removeprefix("svg:") if blend != "svg:src-over" else "",
            f"opacity {opacity[:6]}" if opacity not in ("1", "1.0", "1.000000") else "",
        )
        hidden, locked = element.get("visibility") == "hidden", element.get("edit-locked") in ("true", "1")
        yield Leaf(element.get("name", ""), groups, marks, hidden, locked)
