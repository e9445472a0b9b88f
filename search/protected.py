"""Protected items: by what, which names are in clear all the same, and which passwords were tried."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from indexer.model import Item
from search.case import Case

_ENDING = re.compile(r"[,:] (?:no given password|no password|none of) .*")
"""What handlers say of passwords behind the kind of protection."""


@dataclass(slots=True)
class Protection:
    """How one file is protected, with the members of it that stayed closed.

    Attributes:
        item: the file: an archive with closed members, or a document that is closed itself.
        kinds: as its handler calls them, such as `zip ZipCrypto`.
        names_encrypted: whether not even names are in clear.
        closed: members that stayed closed; none where the file itself did.
        tried_from: places that candidates came from, with how many each.
        untried: candidates that the limits left no time for.
    """

    item: Item
    kinds: list[str] = field(default_factory=list)
    names_encrypted: bool = False
    closed: list[Item] = field(default_factory=list)
    tried: int = 0
    tried_from: list[str] = field(default_factory=list)
    untried: int = 0

    def to_json(self) -> dict[str, object]:
        """The public JSON of what is the same for all members of a file."""
        return {
            "container": self.item.id,
            "kinds": self.kinds,
            "names_encrypted": self.names_encrypted,
            "tried": self.tried,
            "tried_from": self.tried_from,
            "untried": self.untried,
        }


def protections(case: Case, handler: str = "") -> Iterator[Protection]:
    """Every protected file, sorted by path; its members stand in it, not beside it."""
    found: dict[str, Protection] = {}
    for item in case.catalog.with_problem("encrypted", handler):
        held = case.catalog.with_reading(item.id)
        above = item.provenance.parent
        parent = case.catalog.item(above.id) if above and held and held[1] is None else None
        whole = parent or item
        each = found.setdefault(whole.id, _of_file(whole))
        if parent:
            each.closed.append(item)
            _add_kind(each, item)
    for each in sorted(found.values(), key=lambda each: (str(each.item.provenance), each.item.id)):
        if not each.kinds:
            _add_kind(each, each.item)
        yield each


def _of_file(item: Item) -> Protection:
    found = Protection(item)
    for entry in item.fields:
        match entry.name:
            case "encryption.names":
                found.names_encrypted = bool(entry.value)
            case "encryption.tried":
                found.tried = int(entry.value)
            case "encryption.tried_from":
                found.tried_from.append(str(entry.value))
            case "encryption.untried":
                found.untried = int(entry.value)
    return found


def _add_kind(found: Protection, item: Item) -> None:
    """Adds what an item says of its protection; a member may leave that to its archive."""
    methods = _methods(item) or _methods(found.item)
    told = [problem.message for problem in item.problems if problem.cause == "encrypted"]
    for method in methods or [_ENDING.sub("", message) for message in told]:
        kind = f"{found.item.handler} {method}".strip()
        if kind not in found.kinds:
            found.kinds.append(kind)


def _methods(item: Item) -> list[str]:
    return [str(entry.value) for entry in item.fields if entry.name == "encryption.method"]
