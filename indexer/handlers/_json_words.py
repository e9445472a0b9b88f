"""Plain values of a JSON tree, for formats that are JSON with a vocabulary.

Source: RFC 8259.
Limits: a document larger than 64 MiB is read up to there, and then is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

MOST: Final = 64 * MIB
NODES: Final = 2_000_000


def parse_json(text: str | bytes) -> object:
    """The tree of a document.

    Raises:
        EvidenceError: limit or corrupt.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise EvidenceError("limit", "nested deeper than anything of its kind can be") from error
    except ValueError as error:
        raise EvidenceError("corrupt", f"no JSON: {error}"[:300]) from error


def read_document(stream: Stream) -> str:
    """The text of a document in whatever encoding."""
    return decode(stream.at(0, MOST)).text


def plain_values(tree: object) -> Iterator[tuple[str, str | int | float]]:
    """Every text and number with the key that holds it, and every key with the one above it, in their order."""
    waiting: list[tuple[str, object]] = [("", tree)]
    for _ in range(NODES):
        if not waiting:
            return
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(str(name), value[name]) for name in reversed(value)]
        elif isinstance(value, list):
            waiting += [(key, each) for each in reversed(value)]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield key, value
