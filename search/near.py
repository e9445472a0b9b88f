"""Words that are nearly the same, and parts that stand in a row: for one item, in plain Python."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def is_near(one: str, other: str, most: int) -> bool:
    """Whether at most so many letters must be added, dropped, changed or swapped with the next."""
    if abs(len(one) - len(other)) > most:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        following = [i]
        for j, against in enumerate(other, 1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (char != against))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == against:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        if min(following) > most:
            return False
        before, row = row, following
    return row[-1] <= most


Spans = list[tuple[int, int]]
"""First and last position of each occurrence, ascending."""


def join(parts: Sequence[Spans], slop: int) -> Spans:
    """Occurrences of all the parts in order, each 1 to `slop` positions after the end of the one before."""
    found = parts[0]
    known: dict[int, dict[int, list[int]]] = {}  # by the identity of a part: words come again in long phrases
    for part in parts[1:]:
        if not found:
            break
        if slop == 1:
            ends = known.get(id(part))
            if ends is None:
                ends = known[id(part)] = {}
                for start, end in part:
                    ends.setdefault(start, []).append(end)
            found = list(dict.fromkeys((first, end) for first, last in found for end in ends.get(last + 1, ())))
            continue
        joined: set[tuple[int, int]] = set()
        starts = [start for start, _ in part]
        for first, last in found:
            at = bisect_right(starts, last)
            while at < len(part) and starts[at] <= last + slop:
                joined.add((first, part[at][1]))
                at += 1
        found = sorted(joined)
    return found
