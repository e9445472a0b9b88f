"""Logs of very many lines as events: `python tests/benchmarks/bench_events.py [--events N] [--case FOLDER]`.

A case is written by the parts that an ingest writes it with: a few thousand files that the logs tell of, indexed, and
access logs of seeded lines over several days, from 20,000 addresses, the busy ones busier (Zipf), as texts. Then the
logs are read as events by the real way, and each question is the real command in a process of its own; processor
seconds, wall seconds and the peak of its own memory are printed. A million events are the default; 50,000,000
take five minutes of CPU and 2 GB of disk. The texts of the logs are not indexed: that is what `--indexed` does.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP))

from indexer.model import Digests, Found, Hop, Provenance, Reading, Run, Source, Text, Timestamp  # noqa: E402
from indexer.packing import pack_texts  # noqa: E402
from search.case import Case  # noqa: E402

LINES = 10_000_000
"""Lines of one log."""
_START = datetime(2024, 4, 1, tzinfo=UTC)
_BLOCK, _SOME, _POOL = 1_000, 200, 2_000
"""Lines of one text; lines that share a time; how many of those are made."""
_ADDRESSES, _PATHS = 20_000, 50_000
_USERS = ("-",) * 95 + ("kimd", "pak", "ri.js", "studio1", "render")
_STATUSES, _CHANCES = ("200", "304", "404", "206", "403"), (0.80, 0.10, 0.05, 0.04, 0.01)
_AGENTS = tuple(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/{number}.0.0 Safari/537.36" for number in range(34))
_PROGRAM = r"""
import os, re, sys
from pathlib import Path
from cli.main import run
try:
    run()
finally:
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    spent = os.times()
    sys.stderr.write(f"\nSPENT {peak} {spent.user + spent.system}\n")
"""


class Lines:
    """Seeded lines of an access log: two hundred of them in a pool of these are given each time in turn.

    Args:
        rate: lines a second.
    """

    def __init__(self, rate: int) -> None:
        self._chance = np.random.default_rng(5)
        octets = self._chance.integers(1, 255, (_ADDRESSES, 4)).tolist()
        self.addresses = [".".join(map(str, each)) for each in octets]
        parts = self._chance.integers(1, [9, 25, 400, 6], (_PATHS, 4)).tolist()
        self.paths = [f"/works/S{show:02}E{part:02}/cut_{cut:03}_v{take}.png" for show, part, cut, take in parts]
        self._rate = rate
        self._odds = [np.cumsum(odds) / odds.sum() for odds in (1 / np.arange(1, n + 1) for n in (_ADDRESSES, _PATHS))]
        self._pool: list[str] = []

    def blocks(self, first: int, count: int) -> Iterator[str]:
        """The lines from a number on, so many, a thousand at a time."""
        self._pool = self._pool or [self._some() for _ in range(_POOL)]
        chance = np.random.default_rng(first)
        for start in range(first, first + count, _BLOCK):
            chosen = chance.integers(0, _POOL, _BLOCK // _SOME).tolist()
            seconds = [(start + at * _SOME) // self._rate for at in range(len(chosen))]
            yield "".join(
                self._pool[number].replace("@", f"{_START + timedelta(seconds=second):%d/%b/%Y:%H:%M:%S +0000}")
                for number, second in zip(chosen, seconds, strict=True)
            )

    def _some(self) -> str:
        address, path = (np.searchsorted(odds, self._chance.random(_SOME)).tolist() for odds in self._odds)
        user, agent = (self._chance.integers(0, len(row), _SOME).tolist() for row in (_USERS, _AGENTS))
        status = self._chance.choice(_STATUSES, _SOME, p=_CHANCES).tolist()
        size = self._chance.integers(100, 3_000_000, _SOME).tolist()
        return "".join(
            f"{self.addresses[address[at]]} - {_USERS[user[at]]} [@] "
            f'"GET {self.paths[path[at]]} HTTP/1.1" {status[at]} {size[at]} "-" "{_AGENTS[agent[at]]}"\n'
            for at in range(_SOME)
        )


def build(path: Path, count: int, indexed: bool) -> None:
    """A case of `count` lines in logs of ten million at the most, and of the files that they tell of."""
    lines = Lines(max(1, count // (5 * 86_400)))
    with Case.create(path) as case:
        case.catalog.keep_source(Source("server", "/nowhere/server", acquired_at=_START + timedelta(days=9)))
        case.catalog.keep_run(Run(1, _START, _START, {"text": "1"}, {"command": "ingest", "last_item": 0}))
        for place in lines.paths[:5_000]:
            _keep(case, place.lstrip("/"), [f"Layer list of {place}: highlight, shadow, 원화"])
        case.commit()
        case.update_index()
        for number, first in enumerate(range(0, count, LINES)):
            _keep(case, f"log/access.log.{number}", lines.blocks(first, min(LINES, count - first)))
            case.commit()
        if indexed:
            case.update_index()
            return
        for identity in case.catalog.take_stale(1_000)[0]:
            print(f"not indexed: {identity}")
        case.catalog.freshen()
        case.catalog.commit()


def _keep(case: Case, place: str, bodies: Iterator[str] | list[str]) -> None:
    key = hashlib.sha256(place.encode()).hexdigest()
    chunks = size = 0
    for body in bodies:
        case.keep_texts(key[:32], chunks, pack_texts([Text(body, f"part {chunks + 1}")]))
        chunks += 1
        size += len(body)
        if chunks % 1_000 == 0:
            case.texts.commit()
    reading = Reading(key[:32], "text", 1, "en", has_content=True, chunks=chunks, chars=size)
    stamps = (Timestamp("M", _START + timedelta(days=8), "fs.mtime"),)
    digests = Digests(key[:32], key[:40], key)
    provenance = Provenance("server", (Hop(place.encode(), place),))
    name = place.rpartition("/")[2]
    case.keep(Found(provenance, name, size, "text/plain", digests, (), stamps, (), reading))


def ask(case: Path, words: list[str]) -> str:
    """What a command took: processor and wall seconds, MiB at most in its own process, lines of its answer."""
    environment = {**os.environ, "ARCHIVORE_CASE": str(case), "PYTHONPATH": str(TOP)}
    started = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], env=environment, cwd=TOP, capture_output=True, text=True, check=False
    )
    taken = time.monotonic() - started
    spent = re.search(r"^SPENT (\d+) (\S+)$", answer.stderr, re.MULTILINE)
    peak, seconds = (int(spent[1]) / 1024, float(spent[2])) if spent else (0.0, 0.0)
    wrong = "" if answer.returncode in (0, 1) else f"   (exit {answer.returncode})"
    return f"{seconds:9.2f} s CPU {taken:9.2f} s {peak:7.0f} MiB {len(answer.stdout.splitlines()):7,} lines{wrong}"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--case", type=Path, help="where the case is made and kept, or one that this program made")
    options.add_argument("--indexed", action="store_true", help="index the texts of the logs too")
    chosen = options.parse_args()
    lines = Lines(1)
    busy = lines.addresses[0]
    day = f"{_START + timedelta(days=2):%Y-%m-%d}"
    with tempfile.TemporaryDirectory() as scratch:
        case = chosen.case or Path(scratch) / "case"
        table = Path(scratch) / "table.csv"
        if not case.exists():
            started = time.process_time()
            build(case, chosen.events, chosen.indexed)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            texts = (case / "texts.sqlite").stat().st_size / 1e6
            spent = time.process_time() - started
            print(f"{chosen.events:,} lines kept in {spent:.0f} s of CPU, {peak:.0f} MiB; texts {texts:,.0f} MB")
        for words in (
            ["search", "highlight"],
            ["events", "--logs"],
            ["search", "highlight"],
            ["events", "-n", "50"],
            ["events", "--user", "kimd"],
            ["events", "--address", busy],
            ["events", "--since", f"{day}T10", "--until", f"{day}T11"],
            ["logins"],
            ["addresses"],
            ["sessions"],
            ["touched", lines.paths[40]],
            ["timeline", "--events", "-n", "50"],
            ["timeline", "--events", "--by", "hour"],
            ["events", "--user", "kimd", "--output", str(table)],
        ):
            shown = " ".join(word if not word.startswith(scratch) else Path(word).name for word in words)
            print(f"{shown:66} {ask(case, words)}", flush=True)
            if words == ["events", "--logs"]:
                print(f"{'':66} events.duckdb {(case / 'events.duckdb').stat().st_size / 1e6:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
