"""Seconds in alternating rounds: wall clock, and processor time with that of the children."""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
sys.path[:0] = [str(TOP), str(TOP / "tests")]

SECRET = "lantern-street-7"
_SYLLABLES = "ba do fen gul hir jo kam lor mi nesh pra quo rel sut tiv wen yar zo".split()


@dataclass(frozen=True)
class Spent:
    """What one run took: wall seconds and processor seconds, or why it gave nothing."""

    wall: float
    cpu: float
    trouble: str = ""


class Words:
    """Seeded text of invented words that packs about as well as prose."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.vocabulary = ["".join(self.random.choices(_SYLLABLES, k=self.random.randint(1, 4))) for _ in range(6000)]
        self.weights = [1 / (rank + 3) for rank in range(6000)]

    def line(self, words: int = 12) -> str:
        """So many words with a blank between them."""
        return " ".join(self.random.choices(self.vocabulary, self.weights, k=words))

    def text(self, size: int) -> str:
        """Lines of words, exactly `size` characters."""
        lines = [self.line() for _ in range(size // 60 + 1)]
        while sum(map(len, lines)) + len(lines) < size:
            lines.append(self.line(40))
        return "\n".join(lines)[: size - 1] + "\n"


def spend(work: Callable[[], str | None]) -> Spent:
    """What one call of `work` takes; what it returns is trouble."""
    before, started = _processor(), time.perf_counter()
    trouble = work()
    return Spent(time.perf_counter() - started, _processor() - before, trouble or "")


def run(command: str, most: float = 300) -> str:
    """Runs a line of the shell; the first line of its complaint where it failed."""
    try:
        done = subprocess.run(
            command,
            shell=True,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=most,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        return f"over {most:.0f} s"
    if not done.returncode:
        return ""
    told = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (told[-1] if told else f"exit code {done.returncode}")[:60]


def alternate(works: Mapping[str, Callable[[], Spent]], rounds: int) -> dict[str, Spent]:
    """The medians of each, run in turns; one that failed is not run again."""
    taken: dict[str, list[Spent]] = {name: [] for name in works}
    for number in range(rounds):
        order = list(works) if number % 2 == 0 else list(works)[::-1]
        for name in order:
            if not any(each.trouble for each in taken[name]):
                taken[name].append(works[name]())
    return {name: _median(spent) for name, spent in taken.items()}


def _median(spent: list[Spent]) -> Spent:
    trouble = next((each.trouble for each in spent if each.trouble), "")
    wall, cpu = (statistics.median(getattr(each, kind) for each in spent) for kind in ("wall", "cpu"))
    return Spent(wall, cpu, trouble)


def _processor() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)
