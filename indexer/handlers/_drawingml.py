"""Text of drawings, charts and diagrams, which the office programs share.

Source: ECMA-376 part 1, chapter 20 (DrawingML), 21.2 (charts), 21.4 (diagrams); part 3 (alternate content).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from indexer.handlers._flow import Flow
from indexer.handlers._ooxml import Package, number_of
from indexer.handlers._parts import DATA, START, Event
from indexer.model import Fact, Field, Text

FIXED = {"title", "body", "ctrTitle", "subTitle", "obj", "pic", "chart", "tbl", "clipArt", "dgm", "media", "sldImg"}
"""Placeholders whose text on a master or a layout is a prompt such as "click to edit"."""
SKIPPED = {
    "theme",
    "themeoverride",
    "diagramlayout",
    "diagramstyle",
    "diagramcolors",
    "diagramdrawing",
    "chartstyle",
    "chartcolorstyle",
    "relationships",
    "core-properties",
    "extended-properties",
    "custom-properties",
    "core",
    "app",
}
"""Kinds of parts that hold no text of the author, or that are read elsewhere."""


class Alternates:
    """Tells what to leave out of alternate content: the fallback, where a choice gave text.

    Outside of it (`inside` is empty) only a tag that begins with `mc:` needs to be shown to `hides`.
    """

    def __init__(self) -> None:
        self.inside: list[bool] = []
        self._skipping = 0

    def hides(self, event: Event) -> bool:
        """Whether this event stands in a fallback that repeats what was read."""
        kind, tag, _ = event
        if self._skipping:
            if tag == "mc:Fallback" and kind != DATA:
                self._skipping += 1 if kind == START else -1
            return True
        if kind == DATA:
            if self.inside and tag.strip():
                self.inside[-1] = True
        elif tag == "mc:AlternateContent":
            if kind == START:
                self.inside.append(False)
            elif self.inside and self.inside.pop() and self.inside:
                self.inside[-1] = True
        elif tag == "mc:Fallback" and kind == START and self.inside and self.inside[-1]:
            self._skipping = 1
            return True
        return False


def read_shapes(events: Iterable[Event], locator: str, *, prompts: bool = True) -> Iterator[Text]:
    """The text of every shape, table and picture in order; alternative texts come with it.

    Args:
        prompts: False on masters and layouts: no prompts, no page numbers and dates.
    """
    flow, alternates = Flow(), Alternates()
    words: list[str] = []
    hidden = in_text = in_field = False
    for event in events:
        kind, tag, attributes = event
        if alternates.hides(event):
            continue
        if kind == DATA:
            if in_text and not hidden and not (in_field and not prompts):
                words.append(tag)
        elif kind == START:
            if tag in ("a:t", "m:t"):
                in_text = True
            elif tag == "a:br":
                words.append("\n")
            elif tag == "a:tab":
                words.append("\t")
            elif tag == "a:fld":
                in_field = True
            elif tag in ("p:sp", "p:graphicFrame", "p:pic"):
                hidden = False
            elif tag == "p:ph":
                hidden = not prompts and attributes.get("type", "obj") in FIXED
            elif tag.endswith(":cNvPr"):
                yield from _alternative(flow, attributes, locator)
        elif tag in ("a:t", "m:t"):
            in_text = False
        elif tag == "a:fld":
            in_field = False
        elif tag == "a:p":
            yield from flow.paragraph(locator, "".join(words))
            words = []
        elif tag == "a:tc":
            flow.end_cell()
        elif tag == "a:tr":
            flow.end_row()
    yield from flow.paragraph(locator, "".join(words))
    yield from flow.flush()


def _alternative(flow: Flow, attributes: dict[str, str], locator: str) -> Iterator[Text]:
    for text in dict.fromkeys((attributes.get("title", ""), attributes.get("descr", ""))):
        yield from flow.paragraph(f"{locator} alternative text", text)


def read_vml(events: Iterable[Event], locator: str) -> Iterator[Fact]:
    """The text of the boxes in a drawing of the older kind, and what its shapes link to."""
    flow = Flow()
    depth = 0
    for kind, tag, attributes in events:
        if kind == DATA:
            if depth:
                yield from flow.paragraph(locator, " ".join(tag.split()))
        elif kind == START and tag[:2] == "v:" and attributes.get("href"):
            yield Field("office.link", attributes["href"])
        elif tag == "v:textbox":
            depth = max(0, depth + (1 if kind == START else -1))
    yield from flow.flush()


def read_chart(events: Iterable[Event], locator: str) -> Iterator[Text]:
    """Titles and labels by paragraph; every series' name, categories and values as a line with tabs."""
    flow = Flow()
    words: list[str] = []
    values: list[str] = []
    in_text = False
    for kind, tag, _ in events:
        local = tag.rpartition(":")[2] if kind != DATA else ""
        if kind == DATA:
            if in_text:
                words.append(tag)
        elif kind == START:
            in_text = local in ("t", "v", "pt")
            if in_text:
                words = words if local == "t" and tag.startswith("a:") else []
        elif local in ("v", "pt") and in_text:
            values.append("".join(words).strip())
            words, in_text = [], False
        elif local == "p":
            yield from flow.paragraph(locator, "".join(words))
            words = []
        elif local == "t":
            in_text = False
        elif local in ("strCache", "numCache", "strLit", "numLit", "lvl", "tx"):
            yield from flow.paragraph(locator, "\t".join(value for value in values if value))
            values = []
    yield from flow.paragraph(locator, "\t".join(value for value in values if value))
    yield from flow.flush()


def read_graphics(package: Package) -> Iterator[Text]:
    """The text of every chart and diagram of a package, by their own numbers."""
    for name in package.of_kind("chart", "chartex"):
        yield from read_chart(package.events(name), f"chart {number_of(name)}")
    for name in package.of_kind("diagramdata"):
        yield from read_shapes(package.events(name), f"diagram {number_of(name)}")
    for name in package.of_kind("chartshapes", "drawingshapes"):
        yield from read_shapes(package.events(name), f"chart drawing {number_of(name)}")


def skip_kinds(package: Package, kinds: set[str]) -> None:
    """Marks the parts of these kinds as understood."""
    for name in package.of_kind(*kinds):
        package.parts.take(name)
