"""Every way of asking, on a case of many synthetic items: `python tests/benchmarks/bench_answers.py [--items N]`.

The case is written by the parts that an ingest writes it with (catalog, texts, index), without evidence: two
snapshots of a server, a tenth changed from one to the other, names and texts in four languages from a seeded
generator. Each question is the real command; what its processes took together is printed: seconds of the processors
and of the clock, the most memory at one time, and how busy the machine was. The default of 20,000 items takes a
minute; 1,000,000 take half an hour and 5 GB of disk.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP))

from indexer.model import Digests, Field, Found, Hop, Provenance, Reading, Run, Source, Text, Timestamp  # noqa: E402
from indexer.packing import pack_texts  # noqa: E402
from search.case import Case  # noqa: E402

WORDS = (
    "cut scene deadline retake layout director highlight shadow deliver sheet paint approve".split(),
    "分镜 修改 原画 动画 眼睛 高光 背景 上色 通过 镜头 期限 导演".split(),
    "수정 원화 동화 배경 색칠 통과 빛점 주인공 투시 기한 연출가 번역".split(),
    "絵コンテ 修正 原画 動画 背景 仕上 監督 締切 リテイク 確認 撮影 編集".split(),
)
LANGUAGES = ("en", "zh", "ko", "ja")
_START = datetime(2024, 1, 1, tzinfo=UTC)


def build(path: Path, count: int) -> None:
    """A case of `count` items in two sources, indexed."""
    with Case.create(path) as case:
        for number, name in enumerate(("day1", "day2")):
            at = _START + timedelta(days=100 + number)
            case.catalog.keep_source(Source(name, f"/nowhere/{name}", acquired_at=at, series="server"))
        case.catalog.keep_run(Run(1, _START, _START, {"text": "1"}, {"command": "ingest", "last_item": count // 2}))
        for number, (found, texts) in enumerate(items(count), 1):
            assert found.reading
            case.keep_texts(found.reading.key, 0, pack_texts(texts))
            case.keep(found)
            if number % 20_000 == 0:
                case.commit()
        case.commit()
        case.update_index()


def items(count: int) -> Iterator[tuple[Found, list[Text]]]:
    """Seeded items: half in each snapshot, nine in ten with the same bytes at the same place in both."""
    for snapshot in range(2):
        for number in range(count // 2):
            seed = number if number % 10 else number * 2 + snapshot
            yield item(snapshot, number, random.Random(seed))


def item(snapshot: int, number: int, chance: random.Random) -> tuple[Found, list[Text]]:
    language = chance.randrange(4)
    words = WORDS[language]
    lines = []
    for _ in range(chance.randrange(4, 14)):
        line = "".join(chance.choices(words, k=6)) if language else " ".join(chance.choices(words, k=8))
        lines.append(f"C{chance.randrange(400):03} {line}")
        if language == 1 and chance.random() < 0.3:
            lines.append(" ".join(chance.choices(WORDS[2], k=5)))
    lines.append(
        f"{chance.choice(words)}{chance.randrange(5000)}@studio{chance.randrange(50)}.example "
        f"10.0.{chance.randrange(256)}.7"
    )
    body = "\n".join(lines)
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    name = f"S{number % 4 + 1:02}E{number % 26 + 1:02}_C{number % 400:03}_v{number % 5 + 1}.txt"
    place = f"daily/{number // 1000:04}/{name}".encode()
    at = _START + timedelta(minutes=chance.randrange(140_000))
    reading = Reading(sha256[:32], "text", 1, LANGUAGES[language], has_content=True, chunks=1, chars=len(body))
    digests = Digests(sha256[:32], sha256[:40], sha256)
    hops = (Hop(place, place.decode()),)
    stamps = (Timestamp("M", at, "fs.mtime"), Timestamp("B", at - timedelta(days=1), "fs.btime"))
    fields = (Field("file.mode", "-rw-r--r--"),)
    provenance = Provenance(("day1", "day2")[snapshot], hops)
    found = Found(provenance, name, len(body.encode()), "text/plain", digests, fields, stamps, (), reading)
    return found, [Text(body, f"lines 1-{len(lines)}")]


class Cost(NamedTuple):
    """What a command took, its processes together; `code` is its exit code."""

    cpu: float
    wall: float
    mib: float
    code: int


def ask(case: Path, words: list[str]) -> Cost:
    """What the command costs: seconds of the processors and of the clock, and the most memory of all its processes."""
    environment = {**os.environ, "ARCHIVORE_CASE": str(case), "PYTHONPATH": str(TOP)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = subprocess.Popen(
        [sys.executable, "-c", "from cli.main import run; run()", *words],
        env=environment,
        cwd=TOP,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most = 0
    while running.poll() is None:
        most = max(most, sum(map(held_by, family_of(running.pid))))
        time.sleep(0.05)
    taken = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, taken, most / 1024, running.returncode)


def family_of(process: int) -> list[int]:
    """A process and all below it, as far as they live."""
    found = [process]
    for each in found:  # grows meanwhile
        with suppress(OSError):
            for told in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, told.read_text().split())
    return found


def held_by(process: int) -> int:
    """KiB in memory, what is shared with others in part."""
    with suppress(OSError):
        held = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
        return int(held[1]) if held else 0
    return 0


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--items", type=int, default=20_000)
    options.add_argument("--case", type=Path, help="an existing case that this program made; kept")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        case = chosen.case or folder / "case"
        if not case.exists():
            started = time.monotonic()
            build(case, chosen.items)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{chosen.items:,} items kept and indexed in {time.monotonic() - started:.0f} s, {peak:.0f} MiB")
        terms = folder / "terms.txt"
        chance = random.Random(3)
        every = [word for words in WORDS for word in words]
        terms.write_text(
            "\n".join(f"{chance.choice(every)}{number}" for number in range(9_950)) + "\n" + "\n".join(every)
        )
        common = WORDS[1][1]
        for words in (
            ["search", common],
            ["facets", common, "--by", "type,lang,source,day,name.episode"],
            ["facets", "--by", "name.cut"],
            ["timeline", common, "--by", "month"],
            ["timeline", "--output", str(folder / "times.csv")],
            ["watch", str(terms)],
            ["watch", str(terms), "--since", "1"],
            ["diff", "day1", "day2", "--by", "folder"],
            ["diff", "day1", "day2", "--output", str(folder / "changes.csv")],
            ["series", "server"],
            ["pairs", "--min", "2", "--output", str(folder / "pairs.csv")],
            ["features", "--type", "email", "--output", str(folder / "emails.csv")],
            ["sequences"],
            ["similar", "--clusters"],
            ["export", common, "--output", str(folder / "hits.csv")],
            ["export", "--output", str(folder / "all.jsonl")],
            ["export", common, "--output", str(folder / "hits.html"), "--no-pictures"],
        ):
            cost = ask(case, words)
            shown = " ".join(word if "/" not in word else Path(word).name for word in words)
            print(
                f"{shown:70} {cost.cpu:8.2f} {cost.wall:8.2f} s {cost.mib:7.0f} MiB   load {os.getloadavg()[0]:.1f}"
                + ("" if cost.code in (0, 1) else f"   (exit {cost.code})"),
                flush=True,
            )


if __name__ == "__main__":
    main()
