"""A crawl with a list for a store: what the handler tests and the golden fixtures run."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from indexer.crawl import Crawler
from indexer.handler import Handler
from indexer.limits import Limits
from indexer.model import Found, Hop, Item, Known, Provenance, Text
from indexer.passwords import Password
from indexer.places import Place
from indexer.registry import all_handlers


@dataclass
class ListOutlet:
    """Keeps everything in memory; `items` are complete, texts included, in the order they finished."""

    items: list[Item] = field(default_factory=list)
    texts: dict[str, list[Text]] = field(default_factory=dict)

    def enter(self, provenance: Provenance, deadline: float) -> None: ...

    def leave(self) -> None: ...

    def tick(self, deadline: float) -> None: ...

    def drawn(self) -> None: ...

    def known(self, key: str) -> Known | None:
        return None

    def text(self, key: str, number: int, texts: Sequence[Text]) -> None:
        if number == 0:
            self.texts[key] = []
        self.texts[key] += texts

    def item(self, found: Found) -> None:
        texts = self.texts[found.reading.key] if found.reading and found.reading.chunks else ()
        self.items.append(found.join(found.reading, tuple(texts)))

    def spill(self, place: Place, held: BinaryIO, size: int) -> bool:
        return False


def crawl_bytes(
    data: bytes,
    name: str = "input.bin",
    *,
    limits: Limits | None = None,
    passwords: Sequence[str] = (),
    handlers: Sequence[Handler] | None = None,
) -> list[Item]:
    """Every item that comes out of `data`, sorted by provenance path; the root comes first."""
    outlet = ListOutlet()
    candidates = tuple(Password(text, f"line {number}") for number, text in enumerate(passwords, 1))
    crawler = Crawler(handlers or all_handlers(), outlet, limits, candidates)
    crawler.walk(Place(Provenance("test", (Hop(name.encode(), name),))), io.BytesIO(data))
    return sorted(outlet.items, key=lambda item: str(item.provenance))


def crawl_file(path: Path, *, passwords: Sequence[str] = ()) -> list[Item]:
    """The same for a file on disk."""
    return crawl_bytes(path.read_bytes(), path.name, passwords=passwords)


def as_lines(items: Sequence[Item]) -> str:
    """The items as golden JSON lines, texts included."""
    rows = (json.dumps(item.to_json(with_text=True), ensure_ascii=False, indent=None) for item in items)
    return "".join(row + "\n" for row in rows)
