"""Damages the files of some folders in many ways and crawls each mutant in a child that may die of it.

    python tests/outside/fuzz.py FOLDER... --seconds 600 --seed 1     reports what no reader may do
    python tests/outside/fuzz.py FOLDER... --grow                     the same with one part of each file repeated
    python tests/outside/fuzz.py FOLDER... --only 1234 --save FILE    makes one mutant again, and crawls it here

A mutant follows from the folders and its number alone. Reported are, each with the numbers that show it:
`crash` (a reader let an exception out), `memory`, `recursion`, `left` (an exception left the crawl), `death`
(of the child, by a signal), `hang` (processor time past the clock), `slow` (past a quarter of it), `large`
(resident memory past 700 MB) and, with `--grow`, `grows` (four times the size takes more than seven times as long).
"""

from __future__ import annotations

import argparse
import faulthandler
import gzip
import io
import json
import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from crawling import ListOutlet
from indexer.crawl import Crawler
from indexer.errors import EvidenceError, StoreError
from indexer.limits import GIB, MIB, Limits
from indexer.model import Hop, Provenance
from indexer.passwords import Password
from indexer.places import Place
from indexer.registry import all_handlers

MOST = 3 * MIB
"""Larger files are left out: they cost time and teach nothing more."""
LIMITS = Limits(item_bytes=24 * MIB, root_bytes=128 * MIB, root_members=200_000, spool_bytes=256 * MIB)
ADDRESS_SPACE, RESIDENT = 4 * GIB, 700 * 1024
ROUNDS = 400
"""Mutants after which the child is replaced, so that one leak is not laid on another's door."""
NUMBERS = (
    b"0",
    b"-1",
    b"4294967295",
    b"9" * 25,
    b"9" * 5000,
    b"1e999",
    b"nan",
    b"-0.0",
    b"",
    "²".encode(),
    "٣".encode(),
)
BITS = tuple(str(number).encode() for number in (1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**63, 2**64))
ODD = (b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"<", b">", b"&", b'"', b"(", b"[", b"{", b"\\", b"%")
POISON = (
    *rb"""< <a <a> <!-- <![CDATA[ </ & &# ( [ { [[ {" \\ " ' /* */ ${ =?utf-8?q? =?u?b?=?= %PDF /A<<""".split(),
    *rb"""\{ {\* \u1? begin{ ]> <?x <!DOCTYPE <!ENTITY From: boundary= -----BEGIN ( ) ../ a/ .( 1. a=b; a=b& ?a= ://""".split(),
    *b"obj @ . : , = - ~ a 0 -- # \0 \xff".split(),
    *(b" ", b"\n", b"\r\n", b"\t", b"\n ", b"\n> ", b"begin 644 x\n", b"\nFrom a@b Mon Jan  1 00:00:00 2020\n"),
)
RUN = re.compile(rb"\d{1,18}")
TOKEN = re.compile(rb"<[^<>]{1,200}>|\"[^\"\n]{0,200}\"|\w{2,40}|\n[^\n]{0,200}")


def _place(dice: random.Random, data: bytearray) -> int:
    """Somewhere in it, half the time near the start, where headers are."""
    return dice.randrange(min(len(data), dice.choice((64, 512, 1 << 40, 1 << 40))) or 1)


def _flip(dice: random.Random, data: bytearray, other: bytes) -> None:
    for _ in range(dice.choice((1, 1, 4, 32))):
        data[_place(dice, data)] ^= 1 << dice.randrange(8)


def _set_bytes(dice: random.Random, data: bytearray, other: bytes) -> None:
    for _ in range(dice.choice((1, 2, 8))):
        data[_place(dice, data)] = dice.choice((0, 1, 127, 128, 254, 255, dice.randrange(256)))


def _cut(dice: random.Random, data: bytearray, other: bytes) -> None:
    del data[_place(dice, data) + 1 :]


def _set_length(dice: random.Random, data: bytearray, other: bytes) -> None:
    """Writes a number that lies where a length or an offset may stand."""
    width, order = dice.choice((1, 2, 4, 8)), dice.choice(("little", "big"))
    top = 1 << 8 * width
    number = dice.choice(
        (0, 1, top - 1, top >> 1, (top >> 1) - 1, len(data), len(data) - 1, top - 4, dice.randrange(64))
    )
    at = _place(dice, data) & (-width if dice.randrange(2) else -1)
    data[at : at + width] = (number % top).to_bytes(width, order)


def _repeat(dice: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(dice, data)
    chunk = data[at : at + dice.choice((4, 16, 64, 512, 4096))]
    data[at:at] = chunk * dice.choice((1, 2, 50, 1000 if len(chunk) < 100 else 5))


def _drop(dice: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(dice, data)
    del data[at : at + dice.choice((1, 2, 4, 16, 512))]


def _move(dice: random.Random, data: bytearray, other: bytes) -> None:
    size, source, target = dice.choice((4, 8, 32, 512)), _place(dice, data), _place(dice, data)
    data[target : target + size] = data[source : source + size]


def _splice(dice: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(dice, data)
    data[at:] = other[at if dice.randrange(2) else dice.randrange(len(other) or 1) :]


def _insert(dice: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(dice, data)
    data[at:at] = other[: dice.choice((16, 512, MIB))]


def _set_number(dice: random.Random, data: bytearray, other: bytes) -> None:
    """Replaces a number written in digits."""
    found = list(RUN.finditer(data, 0, 1 << 18))
    if found:
        match = dice.choice(found)
        data[match.start() : match.end()] = dice.choice(NUMBERS + BITS)


def _swap_tokens(dice: random.Random, data: bytearray, other: bytes) -> None:
    """Puts one word, tag or line where another stood."""
    found = list(TOKEN.finditer(data, 0, 1 << 18))
    if found:
        match, instead = dice.choice(found), dice.choice(found)[0] * dice.choice((0, 1, 1, 1, 40))
        data[match.start() : match.end()] = instead


def _put_odd(dice: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(dice, data)
    data[at:at] = dice.choice(ODD) * dice.choice((1, 1, 1, 3000))


def _grow(dice: random.Random, data: bytearray, most: int) -> None:
    """Repeats one part until all is as large as asked for."""
    found = list(TOKEN.finditer(data, 0, 1 << 16))
    at = dice.choice((0, len(data), _place(dice, data), _place(dice, data)))
    chunk = bytes(data[at : at + dice.choice((1, 2, 4, 8, 16, 32, 64, 128, 512, 4096))])
    if found and dice.randrange(3):
        match = dice.choice(found)
        at, chunk = match.start(), match[0]
    if not chunk or not dice.randrange(4):
        chunk = dice.choice(POISON)
    data[at:at] = chunk * (max(0, most - len(data)) // len(chunk))


PLAIN: tuple[Callable[[random.Random, bytearray, bytes], None], ...]
PLAIN = (_flip, _set_bytes, _cut, _set_length, _set_length, _repeat, _drop, _move, _splice, _insert)
WRITTEN = (_flip, _cut, _repeat, _drop, _splice, _set_number, _set_number, _swap_tokens, _swap_tokens, _put_odd)


def mutate(dice: random.Random, data: bytes, other: bytes, depth: int = 0, most: int = 0) -> bytes:
    """A damaged copy; what is packed is, more often than not, damaged inside and packed again.

    Args:
        most: where given, nothing is damaged, but one part is repeated until there are so many bytes.
    """
    if depth < 3 and dice.randrange(4):
        if data.startswith(b"PK\3\4"):
            return _mutate_zip(dice, data, other, depth, most)
        if data.startswith(b"\x1f\x8b"):
            with _Quiet():
                return gzip.compress(
                    mutate(dice, zlib.decompressobj(31).decompress(data, MOST), other, depth + 1, most), 1, mtime=0
                )
    if not data:
        return other[: dice.randrange(64)]
    out = bytearray(data)
    if most:
        _grow(dice, out, most)
        return bytes(out)
    binary = b"\0" in data[:4096]
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        dice.choice(PLAIN if binary or not dice.randrange(4) else WRITTEN)(dice, out, other)
        if not out:
            break
    return bytes(out[: 2 * MOST])


def _mutate_zip(dice: random.Random, data: bytes, other: bytes, depth: int, most: int) -> bytes:
    """One to three members damaged, all packed again with right sizes and checksums."""
    packed = io.BytesIO()
    with _Quiet():
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
            members = [(each, old.read(each)) for each in old.infolist() if each.file_size < MOST]
            chosen = {dice.randrange(len(members)) for _ in range(dice.choice((1, 1, 2, 3)))}
            for number, (member, body) in enumerate(members):
                if number in chosen:
                    body = mutate(dice, body, dice.choice(members)[1], depth + 1, most)
                method = member.compress_type if member.compress_type in (0, 8) else 8
                new.writestr(zipfile.ZipInfo(member.filename), body, compress_type=method)
        return packed.getvalue()
    return mutate(dice, data, other, 3, most)


class _Quiet:
    """Lets pass what packed evidence does to Python's own readers; the plain damage follows instead."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, Exception)


class Seeds:
    """The files of the folders, and the mutant that belongs to a number."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.files = sorted(
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file() and path.stat().st_size < MOST and path.name not in ("ABOUT", "expected.jsonl", "make.py")
        )
        self.alike: dict[str, list[Path]] = {}
        for path in self.files:
            self.alike.setdefault(path.suffix.lower(), []).append(path)

    def mutant(self, number: int, most: int = 0) -> tuple[Path, bytes]:
        """The file it comes from, and its bytes."""
        dice = random.Random(number)
        path = dice.choice(self.files)
        other = dice.choice(self.alike[path.suffix.lower()] if dice.randrange(4) else self.files)
        data, beside = path.read_bytes(), other.read_bytes()
        return path, mutate(dice, data, beside, 0, most) or mutate(dice, data, beside, 3, most)


class Watched(Crawler):
    """A crawler that remembers where the exceptions came from that its fence turned into problems."""

    traces: list[str]

    def fence(self, step: Callable[..., Any], *arguments: Any, handler: str = "") -> Any:
        def watched(*given: Any) -> Any:
            try:
                return step(*given)
            except (EvidenceError, StoreError):
                raise
            except Exception as error:
                frames = [each for each in traceback.extract_tb(error.__traceback__) if "/indexer/" in each.filename]
                where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
                kind = {MemoryError: "memory", RecursionError: "recursion"}.get(type(error), "crash")
                self.traces.append(f"{kind} {handler or '-'} {where} {type(error).__name__}: {str(error)[:80]}")
                raise

        return super().fence(watched, *arguments, handler=handler)


def crawl(path: Path, data: bytes) -> list[str]:
    """What went wrong, a line each."""
    listed = path.with_name("passwords.txt")
    words = listed.read_text("utf-8").splitlines() if listed.exists() else []
    passwords = tuple(Password(word, f"line {number}") for number, word in enumerate(words, 1))
    crawler = Watched(all_handlers(), ListOutlet(), LIMITS, passwords)
    crawler.traces = []
    try:
        crawler.walk(Place(Provenance("fuzz", (Hop(path.name.encode(), path.name),))), io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - that none comes here is what is tested
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        crawler.traces.append(f"left - {where} {type(error).__name__}: {str(error)[:80]}")
    return crawler.traces


def work(seeds: Seeds, clock: float, size: int) -> None:
    """The child: a number a line comes in, what it did goes out as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    for line in sys.stdin:
        path, data = seeds.mutant(int(line), size)
        faulthandler.dump_traceback_later(clock * 0.9)
        started = time.process_time()
        traces = crawl(path, data)
        seconds = time.process_time() - started
        told = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
        if size and seconds > 0.3:
            started = time.process_time()
            crawl(*seeds.mutant(int(line), 4 * size))
            fourfold = time.process_time() - started
            if fourfold > 7 * seconds:
                traces.append(f"grows - {told} {seconds:.1f} s, four times as much {fourfold:.1f} s")
        faulthandler.cancel_dump_traceback_later()
        large = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if seconds > clock / 4:
            traces.append(f"slow - {told} {seconds:.0f} s")
        if large > RESIDENT:
            traces.append(f"large - {told} {large >> 10} MB")
        print(json.dumps({"traces": traces, "over": large > RESIDENT}), flush=True)


@dataclass
class Report:
    """Findings by what was seen and where, with the first numbers that show each."""

    mutants: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[int]] = field(default_factory=dict)

    def add(self, number: int, path: Path, finding: str) -> None:
        key = " ".join(finding.split(" ")[:3])
        self.seen[key] += 1
        numbers = self.shown.setdefault(key, [])
        if len(numbers) < 5:
            numbers.append(number)
        if self.seen[key] == 1:
            print(f"{number} {path.relative_to(path.parents[2])}: {finding}", flush=True)

    def print(self) -> None:
        print(f"{self.mutants} mutants, {sum(self.seen.values())} findings, {len(self.seen)} different")
        for key, count in self.seen.most_common():
            print(f"{count:6} {key}  {self.shown[key]}")


def _spent(process: int) -> float:
    """Seconds of processor time that a process has used."""
    parts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


class Child:
    """The process that crawls; started anew where it died or has done its share."""

    def __init__(self, folders: Sequence[Path], clock: float, grow: bool) -> None:
        self._command = [sys.executable, __file__, *map(str, folders), "--work", "--clock", str(clock)]
        self._command += ["--grow"] * grow
        self._clock = clock
        self._process: subprocess.Popen[str] | None = None
        self._done = 0

    def ask(self, number: int) -> list[str]:
        """What a mutant did."""
        process = self._process or self._start()
        assert process.stdin and process.stdout
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        spent, ends = _spent(process.pid), time.monotonic() + 5 * self._clock  # it may wait for other programs
        while not select.select([process.stdout], [], [], 0.5)[0]:
            if _spent(process.pid) - spent > self._clock or time.monotonic() > ends:
                return [f"hang - {self.stop()} more than {self._clock:.0f} s"]
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            name = signal.Signals(-code).name if code < 0 else str(code)
            return [f"death - {self.stop()} {name}"]
        told = json.loads(line)
        self._done += 1
        if told["over"] or self._done >= ROUNDS:
            self.stop()
        return list(told["traces"])

    def _start(self) -> subprocess.Popen[str]:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, process_group=0
        )
        self._done = 0
        return self._process

    def stop(self) -> str:
        """Ends the process; where it was last seen in our code, as far as it told."""
        if not self._process:
            return "?"
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._process = None
        self._log.seek(0)
        told = self._log.read().decode("utf-8", "replace")
        self._log.close()
        frames = re.findall(r'File ".*/indexer/(?:handlers/)?(\w+\.py)", line (\d+)', told)
        return ":".join(frames[0]) if frames else "?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="the first mutant's number")
    parser.add_argument("--clock", type=float, default=20, help="seconds of processor time a mutant may take")
    parser.add_argument("--grow", action="store_true", help="repeat a part of each file instead of damaging it")
    parser.add_argument("--only", type=int, help="one mutant, crawled in this process")
    parser.add_argument("--save", type=Path, help="where that mutant's bytes go")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folders = [folder.resolve() for folder in given.folders]
    seeds = Seeds(folders)
    size = MIB // 4 * given.grow
    if given.work:
        work(seeds, given.clock, size)
        return
    if given.only is not None:
        path, data = seeds.mutant(given.only, size)
        if given.save:
            given.save.write_bytes(data)
        print(path, len(data), *crawl(path, data), sep="\n")
        return
    report, child = Report(), Child(folders, given.clock, given.grow)
    ends = time.monotonic() + given.seconds
    while time.monotonic() < ends:
        number = given.seed + report.mutants
        report.mutants += 1
        for finding in child.ask(number):
            report.add(number, seeds.mutant(number, size)[0], finding)
    child.stop()
    report.print()


if __name__ == "__main__":
    main()
