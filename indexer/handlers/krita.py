"""Krita documents: layer tree, who made them and when, files of other programs they show, all members.

Source: Krita's own maindoc.xml (DTD krita-2.0) and documentinfo.xml (KOffice document-info 1.1).
Limits: no pixel is decoded; of animations the rate and range are read, keyframes stay in their members.
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
from indexer.timestamps import from_iso

_TYPE: Final = b"application/x-krita"
_ABOUT: Final = {
    "title": "title",
    "description": "description",
    "subject": "subject",
    "abstract": "abstract",
    "keyword": "keyword",
    "initial-creator": "initial_creator",
    "editing-cycles": "editing_cycles",
    "editing-time": "editing_time",
    "full-name": "author",
    "creator-first-name": "first_name",
    "creator-last-name": "last_name",
    "author-title": "author_title",
    "position": "position",
    "company": "company",
    "contact": "contact",
}
_TIMES: Final = {"creation-date": "B", "date": "M"}
_COUNTS: Final = frozenset(("editing-cycles", "editing-time"))
_LABELS: Final = ("", "blue", "green", "yellow", "orange", "brown", "red", "purple", "grey")


class Krita(Handler):
    name = "krita"
    version = 2
    media_types = ("application/x-krita", "application/x-krita-archive")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".kra", ".krz")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("krita"),
        **{f"krita.{name}": f"{name.replace('_', ' ')} as the document says" for name in _ABOUT.values()},
        "krita.image": "name of the picture inside the program",
        "krita.version": "version of Krita that wrote it",
        "krita.frame_rate": "frames a second of its animation",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "layer tree, author and times, linked files, preview, all members"
    needs = ("lxml",)
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if mimetype(stream) == _TYPE else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        parts = Parts(stream)
        parts.take("mimetype")
        document, problems = parse_part(parts, "maindoc.xml")
        if document is not None:
            yield from _picture_facts(document)
        if "documentinfo.xml" in parts:
            about, more = parse_part(parts, "documentinfo.xml")
            problems += more
            if about is not None:
                yield from _about(about)
        yield from problems
        yield from parts.members()
        yield from parts.problems


def _picture_facts(document: Any) -> Iterator[Fact]:
    if version := document.get("kritaVersion"):
        yield Field("krita.version", version[:FIELD_CHARS])
    for image in (each for each in document.iter() if local(each) == "IMAGE"):
        width, height = image.get("width", ""), image.get("height", "")
        if width.isdecimal() and height.isdecimal():
            yield from _picture.shape(int(width[:9]), int(height[:9]), image.get("colorspacename", "")[:40])
        if name := image.get("name"):
            yield Field("krita.image", name[:FIELD_CHARS])
        if profile := image.get("profile"):
            yield Field("picture.icc", profile[:FIELD_CHARS])
        if description := image.get("description"):
            yield Text(description, "description")
        for rate in (each.get("value", "") for each in image.iter() if local(each) == "framerate"):
            if rate.isdecimal():
                yield Field("krita.frame_rate", int(rate[:9]))
        yield from _layertree.tree_facts("krita", _leaves(image))
        for element in image.iter():
            for path in (element.get("source"), element.get("fileName"), element.get("audioChannelMonoFile")):
                if path:
                    yield Field("refers_to", path[:FIELD_CHARS])


def _leaves(image: Any) -> Iterator[Leaf]:
    """The layers and masks from the topmost down, as they stand in the document."""
    inside = frozenset(("layers", "layer", "masks", "mask", "LAYERS", "LAYER"))
    for element, above in walk(image, inside):
        if local(element).lower() not in ("layer", "mask"):
            continue
        groups = tuple(each.get("name", "") for each in above if local(each).lower() in ("layer", "mask"))
        kind, blend, opacity = element.get("nodetype", ""), element.get("compositeop", ""), element.get("opacity", "")
        label = element.get("colorlabel", "")
        marks = (
            kind.removesuffix("layer") if kind != "paintlayer" else "",
            blend if blend not in ("normal", "") else "",
            f"opacity {round(int(opacity) / 2.55)} %" if opacity[:3].isdecimal() and opacity not in ("255", "") else "",
            f"label {_LABELS[int(label)]}" if label in ("1", "2", "3", "4", "5", "6", "7", "8") else "",
        )
        yield Leaf(element.get("name", ""), groups, marks, element.get("visible") == "0", element.get("locked") == "1")


def _about(root: Any) -> Iterator[Fact]:
    words: list[str] = []
    for element in root.iter():
        name, value = local(element), (element.text or "").strip()
        if not value:
            continue
        if kind := _TIMES.get(name):
            if stamp := from_iso(kind, value, f"krita.{name}"):
                yield stamp
        elif field := _ABOUT.get(name):
            yield Field(f"krita.{field}", value[:FIELD_CHARS])
            words += [value] * (name not in _COUNTS)
    if words:
        yield Text("\n".join(dict.fromkeys(words)), "document information")
