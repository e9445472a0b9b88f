"""Every kind of container beside the programs that unpack it natively.

    python tests/benchmarks/bench_containers.py [--only KIND ...] [--rounds N] [--members N] [--shape SHAPE]

Two shapes of seeded texts: N members of 1 kB, and N/250 members of 500 kB (`--members 50000` is the
full size). "read" is the handler with every member's bytes read; "crawl" the whole walk, with hashes,
identification and texts of every member. The programs write what they unpack to a folder on disk,
which is how they are used; they run in turns with ours. Ratios are ours by theirs, medians of wall
clock and of processor time with that of children; below 1 is ahead. A program that is not installed
is named in its row. RAR and StuffIt have no free writer: RAR is here as stored. Formats with no writer
or no other reader (EGG, StuffIt, Inno Setup, PST, EML, AFF4) are not. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from _archives import write_members
from _kinds import KINDS, Kind, file_name
from _rounds import SECRET, Spent, alternate, run, spend

from crawling import ListOutlet
from indexer.crawl import Crawler
from indexer.handler import Stream
from indexer.model import Child, Found, Hop, Problem, Provenance
from indexer.passwords import Password, Passwords
from indexer.places import Place
from indexer.registry import all_handlers
from indexer.volumes import Joined

SHAPES = {"small": 1000, "large": 500_000}
SHARE = 250
_HANDLERS = {handler.name: handler for handler in all_handlers()}
_SECRETS = (Password(SECRET, "line 1"),)


class Counter(ListOutlet):
    """Counts what comes out and keeps nothing."""

    found = 0
    trouble = ""

    def text(self, key: str, number: int, texts: object) -> None: ...

    def item(self, found: Found) -> None:
        self.found += found.media_type == "text/plain" or found.media_type == "message/rfc822"
        for problem in (*found.problems, *(found.reading.problems if found.reading else ())):
            self.trouble = f"{problem.cause}: {problem.message}"


def read_members(file: BinaryIO, name: str, chain: tuple[str, ...]) -> Iterator[int | str]:
    """The size of every member at the end of the chain, and the problems on the way."""
    stream = Stream(file, name=name, passwords=Passwords(_SECRETS, 10, 60))
    for fact in _HANDLERS[chain[0]].read(stream):
        if isinstance(fact, Problem):
            yield f"{fact.cause}: {fact.message}"
        if not isinstance(fact, Child) or fact.open is None:
            continue
        following = next_chain(fact.name, chain)
        with fact.open() as source:
            if following and isinstance(source, Joined):  # read where it lies, as the crawler does
                yield from read_members(source, fact.name, following)  # type: ignore[arg-type]
                continue
            if following:
                with tempfile.SpooledTemporaryFile(16 << 20) as held:
                    shutil.copyfileobj(source, held, 1 << 20)
                    yield from read_members(held, fact.name, following)  # type: ignore[arg-type]
                continue
            size = 0
            while piece := source.read(1 << 20):
                size += len(piece)
        yield size


def next_chain(name: str, chain: tuple[str, ...]) -> tuple[str, ...]:
    """The handlers that go on with a member of this name; `*` stands for any that unpacks a stream."""
    if len(chain) < 2:
        return ()
    packers = ("gzip", "xz", "zstd", "bzip2") if chain[1] == "*" else chain[1:2]
    chosen = (each for each in packers if name.endswith(_HANDLERS[each].suffixes or ""))
    return next(((each, *chain[2:]) for each in chosen), ())


def read_ours(archive: Path, kind: Kind, count: int) -> str:
    found, troubles = 0, []
    with archive.open("rb") as file:
        for told in read_members(file, archive.name, kind.chain):
            if isinstance(told, str):
                troubles.append(told)
            else:
                found += told >= SHAPES["small"]
    return "" if found >= count else f"{found} of {count} members; {'; '.join(troubles)[:80]}"


def crawl_ours(archive: Path, count: int) -> str:
    outlet = Counter()
    with archive.open("rb") as file:
        place = Place(Provenance("bench", (Hop(archive.name.encode(), archive.name),)))
        Crawler(all_handlers(), outlet, None, _SECRETS).walk(place, file)
    return "" if outlet.found >= count else f"{outlet.found} of {count} items; {outlet.trouble[:80]}"


def unpack(command: str, archive: Path, count: int) -> Spent:
    """What a program takes; the folder is removed off the clock."""
    out = archive.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    spent = spend(lambda: run(command.format(archive=archive, out=out)))
    written = sum(1 for path in out.rglob("*") if path.is_file())
    if written < count:
        spent = Spent(spent.wall, spent.cpu, f"{written} of {count} files; {spent.trouble}")
    else:
        spent = Spent(spent.wall, spent.cpu)
    shutil.rmtree(out, ignore_errors=True)
    return spent


def measure(kind: Kind, shape: str, tree: Path, count: int, rounds: int) -> None:
    """Prints the row of one kind in one shape, and one for each program beside it."""
    archive = tree.with_name(file_name(kind))
    trouble = kind.make(tree, archive)
    if trouble:
        print(f"| {kind.name} | {shape} | - | | | | | | | {trouble} |", flush=True)
        return
    works = {
        "read": lambda: spend(lambda: read_ours(archive, kind, count)),
        "crawl": lambda: spend(lambda: crawl_ours(archive, count)),
    }
    absent = [name for name, command in kind.peers.items() if not shutil.which(command_of(command))]
    for name, command in kind.peers.items():
        if name not in absent:
            works[name] = lambda command=command: unpack(command, archive, kind.files or count)  # type: ignore[misc]
    spent = alternate(works, rounds)
    megabytes = count * SHAPES[shape] / 1e6
    for name, each in spent.items():
        ours = spent["read"]
        ratio = "" if name in ("read", "crawl") else f"{ours.wall / each.wall:.2f}"
        busy = "" if name in ("read", "crawl") or not each.cpu else f"{ours.cpu / each.cpu:.2f}"
        if each.trouble:
            ratio = busy = ""
        print(
            f"| {kind.name} | {shape} | {name} | {each.wall:.2f} | {each.cpu:.2f} | {count / each.wall:,.0f} "
            f"| {megabytes / each.wall:,.0f} | {ratio} | {busy} | {each.trouble} |",
            flush=True,
        )
    for name in absent:
        print(f"| {kind.name} | {shape} | {name} | | | | | | | not installed |", flush=True)
    archive.unlink()


def command_of(line: str) -> str:
    """The program of a line of the shell, behind the change of folder."""
    return line.rpartition("&& ")[2].split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="kinds that begin so: zip, tar.gz, '7z solid'")
    parser.add_argument("--shape", choices=SHAPES, default="")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--members", type=int, default=1000)
    chosen = parser.parse_args()
    kinds = [kind for kind in KINDS if not chosen.only or kind.name.startswith(tuple(chosen.only))]
    print("| kind | shape | program | seconds | cpu | members/s | MB/s | ours : it | in cpu | trouble |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for shape, size in SHAPES.items():
        if chosen.shape not in ("", shape):
            continue
        count = chosen.members if shape == "small" else max(4, chosen.members // SHARE)
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            write_members(tree, count, size)
            for kind in kinds:
                measure(kind, shape, tree, count, chosen.rounds)


if __name__ == "__main__":
    main()
