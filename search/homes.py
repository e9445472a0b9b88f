"""Users told by the places of items: those through whose homes they go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from indexer.model import Item

_LIKELY = re.compile(r"home[\\/]|[Uu][Ss][Ee][Rr][Ss][\\/]|(?i:documents and settings)")
"""Stands in every name that `_HOME` fits; most names are passed over by it, and what follows is never loaded."""
_HOME = re.compile(
    # At the root of a source, an archive or an image, or of a drive in it; elsewhere by what homes hold.
    r"(?:[./\\]*(?:(?:[A-Za-z][:$_]?|\[root\]|rootfs?)[\\/])?(?:home|Users|(?i:documents and settings))"
    r"|[./\\]*[A-Za-z][:$_]?[\\/](?i:users)"
    r"|(?:.*[\\/])?(?:home|Users|(?i:documents and settings))"
    r"(?=[\\/][^\\/]+[\\/](?:\.[A-Za-z]|(?:AppData|Application Data|Desktop|Documents|Downloads|Library|My Documents"
    r"|NTUSER\.DAT|Pictures)(?:[\\/]|$))))[\\/](?P<name>[^\\/]+)(?P<rest>[\\/]?)",
    re.DOTALL,
)
_NO_HOME = frozenset(("lost+found",))


def users_of(item: Item) -> list[tuple[str, str]]:
    """The users through whose homes the item's place goes, each with the name that tells it."""
    hops = item.provenance.hops
    if not any(_LIKELY.search(hop.name) for hop in hops):
        return []
    is_folder = any(field.name == "file.kind" and field.value == "directory" for field in item.fields)
    return list(users_in((hop.name for hop in hops), is_folder=is_folder))


def users_in(names: Iterable[str], *, is_folder: bool = False) -> Iterator[tuple[str, str]]:
    """The same of the names of an item and of all containers around it, the outermost first.

    Args:
        is_folder: whether the item is one; the name of a file is no user's.
    """
    from search import _addresses

    told: set[str] = set()
    held = list(names)
    for number, name in enumerate(held, 1):
        match = _HOME.match(name)
        if match and (match["rest"] or (is_folder and number == len(held))) and match["name"] not in _NO_HOME:
            user = _addresses.user(f"C:/Users/{match['name']}", "", "/")
            if user and user not in told:
                told.add(user)
                yield user, name
