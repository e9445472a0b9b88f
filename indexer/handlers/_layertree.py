"""Layers as every drawing program has them: said in the same way for all of them.

Source: none; the form is our own.
Limits: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Fact, Field, Text

GROUPS: Final = 64
"""Names of groups kept in a layer's path."""


class Leaf(Struct, frozen=True):
    """One layer or group at its place in the tree; `marks` are what the tree shows behind its name."""

    name: str
    groups: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    hidden: bool = False
    locked: bool = False
    text: str = ""

    @property
    def path(self) -> str:
        """Groups and name, the outermost first."""
        return "/".join((*self.groups[-GROUPS:], self.name))

    @property
    def line(self) -> str:
        """The layer as a line of the tree, with what marks it."""
        told = ", ".join(filter(None, (*self.marks, "hidden" * self.hidden, "locked" * self.locked)))
        return "  " * len(self.groups) + " ".join(self.name.split("\n")) + f" ({told})" * bool(told)


def declared(prefix: str) -> dict[str, str]:
    """The fields that `tree_facts` gives under this prefix."""
    return {
        f"{prefix}.layers": "layers and groups in the document",
        f"{prefix}.layer": "a layer by its groups and name: CUT012/line/hair",
        f"{prefix}.layer_hidden": "a layer that is not shown",
        f"{prefix}.layer_locked": "a layer that is locked",
    }


def tree_facts(prefix: str, leaves: Iterable[Leaf]) -> Iterator[Fact]:
    """The tree as one text, every layer as a field, the texts of text layers; from the topmost down."""
    shown = list(leaves)
    if not shown:
        return
    yield Field(f"{prefix}.layers", len(shown))
    yield Text("\n".join(leaf.line for leaf in shown), "layers")
    for leaf in shown:
        path = leaf.path[:FIELD_CHARS]
        yield Field(f"{prefix}.layer", path)
        if leaf.hidden:
            yield Field(f"{prefix}.layer_hidden", path)
        if leaf.locked:
            yield Field(f"{prefix}.layer_locked", path)
        if leaf.text:
            yield Text(leaf.text, f'layer "{leaf.name}"')
