"""The nodes that a query is made of: Whoosh's own classes, named in one place.

Everything that builds, reads or evaluates a tree takes them from here; only the engine knows more
of Whoosh than these.
"""

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
]
