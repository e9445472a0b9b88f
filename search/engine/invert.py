"""Texts of one field to lists of places: by the compiled kernel where there is one, else in arrays.

An inverter takes texts one by one and gives at last, in one go,

    passages()     uint32[texts, 3]: of each text the document, the number of its places, its script
    sort(order)    the terms in order of their bytes, a line feed after each; of each term its bytes with the line
                   feed, its places, its documents; then all lists of places, ascending, one after the other.
                   `order` are the texts as their places are to follow each other.
"""

from __future__ import annotations

import secrets
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search import analysis
from search.engine import arrays, codes
from search.engine.tokens import MARK, UNEVEN, table_of

Array = NDArray[Any]


class Inverter(Protocol):
    """What the module says."""

    def add(self, text: str, document: int, name: str | None = None) -> None:
        """Take a text of a document; `name` begins each of its terms."""

    def passages(self) -> Array:
        """What is known of the texts."""

    def sort(self, order: Array) -> tuple[Array, Array, Array, Array, Array]:
        """The terms and their lists; nothing can be taken after this."""


def inverter(*, split: bool) -> Inverter:
    """A new inverter; `split` for names, whose words are split (analysis.py, rule 5)."""
    return arrays.Inverter(split=split) if codes.KERNEL is None else _Compiled(codes.KERNEL, split=split)


class _Compiled:
    """The kernel, and what it leaves to Python: characters that do not fold to one, and those never met before."""

    def __init__(self, kernel: Any, *, split: bool) -> None:
        self._split = split
        self._table = table_of(folded=False)
        self._kernel = kernel.Inverter(self._table.cases, split, secrets.randbits(64))

    def add(self, text: str, document: int, name: str | None = None) -> None:
        if not self._kernel.add(self._table.codes, text, document, name):
            self._add_odd(text, document, name)

    def _add_odd(self, text: str, document: int, name: str | None) -> None:
        table = self._table
        units = table.units(set(text))
        odd = [char for char, unit in units.items() if unit == UNEVEN]
        marked = MARK in units.values()
        if self._split and (odd or marked):
            found = analysis.tokens(text, split=True)
            places = [token.position for token in found]
            size = places[-1] + 1 if places else 0
            self._kernel.add_terms([token.term for token in found], places, size, document, name)
            return
        if marked:
            text, table = analysis.fold(text).text, table_of(folded=True)
        elif odd:
            text = table.even(text, odd)
        table.units(set(text))
        if not self._kernel.add(table.codes, text, document, name):
            raise AssertionError("a folded text is even")

    def passages(self) -> Array:
        return np.frombuffer(self._kernel.passages(), np.uint32).reshape(-1, 4)[:, :3]

    def sort(self, order: Array) -> tuple[Array, Array, Array, Array, Array]:
        blob, *rest = self._kernel.sort(order.astype(np.uint32))
        sizes, counts, documents, values = (np.frombuffer(each, np.uint32) for each in rest)
        return np.frombuffer(blob, np.uint8), sizes, counts, documents, values
