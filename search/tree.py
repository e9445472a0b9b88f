"""The nodes that a query is made of: Whoosh's own classes, named in one place.

Everything that builds, reads or evaluates a tree takes them from here; only the engine knows more
of Whoosh than these.
"""

from __future__ import annotations

from search.engine import _whoosh  # noqa: F401

# isort: split
from whoosh.query import (
    And,
    Every,
    FuzzyTerm,
    Not,
    NumericRange,
    Or,
    Phrase,
    Prefix,
    Query,
    Sequence,
    Term,
    Wildcard,
)

__all__ = [
    "And",
    "Every",
    "FuzzyTerm",
    "Not",
    "NumericRange",
    "Or",
    "Phrase",
    "Prefix",
    "Query",
    "Sequence",
    "Term",
    "Wildcard",
    "field_of",
]


def field_of(node: Query) -> str:
    """The field that a leaf asks for."""
    while isinstance(node, Sequence):
        node = node.subqueries[0]
    return str(node.fieldname)
