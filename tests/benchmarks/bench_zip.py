"""Members a second (of processor time) out of many small files: `python tests/benchmarks/bench_zip.py [COUNT]`."""

from __future__ import annotations

import io
import random
import sys
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from indexer.handler import Stream
from indexer.handlers.zip_archive import ZipArchive
from indexer.model import Child


def build_archive(count: int, size: int = 1000) -> bytes:
    chance = random.Random(1)
    words = bytes(chance.choice(b"abcdefgh \n") for _ in range(2 * size))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"ep{number // 1000:03}/cut{number:06}.txt", words[number % size :][:size])
    return held.getvalue()


def walk(data: bytes, *, opening: bool) -> int:
    found = 0
    for fact in ZipArchive().read(Stream(io.BytesIO(data))):
        if isinstance(fact, Child):
            found += 1
            if opening and fact.open:
                with fact.open() as source:
                    while source.read(1 << 20):
                        pass
    return found


if __name__ == "__main__":
    archive = build_archive(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
    for opening in (False, True):
        started = time.process_time()
        found = walk(archive, opening=opening)
        taken = time.process_time() - started
        print(f"{'with bytes' if opening else 'headers':10} {found} members, {found / taken:,.0f} a second")
