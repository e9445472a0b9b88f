"""Sets of volumes whose names count: where a set is read, and which volume is missing.

Source: none; each format's handler knows how its volumes are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_VOLUMES = 2_000


def find_head(
    name: str, firsts: Sequence[str], next_name: Callable[[str], str], is_here: Callable[[str], bool]
) -> tuple[str, str]:
    """The volume that the set of `name` is read in, empty where it is this one, and the last missing before it.

    A set is read from its first volume on, and anew from the volume behind each gap.

    Args:
        firsts: what the first volume may be called; at least one name.
    """
    at = next((each for each in firsts if is_same(each, name) or is_here(each)), firsts[0])
    head = missing = ""
    for _ in range(MOST_VOLUMES):
        if not at or is_same(at, name):
            break
        if is_here(at):
            head = head or at
        else:
            head, missing = "", at
        at = next_name(at)
    return head, missing


def is_same(one: str, other: str) -> bool:
    """Whether two names differ in case at the most."""
    return one.casefold() == other.casefold()
