"""Every kind of document beside the other programs and libraries that read it.

    python tests/benchmarks/bench_documents.py [--peers VENV] [--only KIND ...] [--folder FOLDER]
                                               [--scale X] [--rounds N]

Each reader is one warm process; all read the same files in turns. Without `--folder`: three large
documents of seeded words of each kind. "archivore" is the handler that
identification chooses; the characters beside it tell whether both read as much. With `--folder`:
every file below it, in groups by suffix, and then `all` of them: the whole walk, members too, beside
extractous (Tika compiled to native code). Ratios are ours by theirs, medians; below 1 is ahead. Peers
come from the running Python, or from `--peers`, an environment that is made if it is not there (it
needs the network). A peer that is not installed is named in its row. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from _documents import MADE, write
from _reader import DISTRIBUTIONS
from _rounds import Spent, alternate

PEERS = {
    "pdf": ("pdftotext", "pymupdf", "pypdf", "pdfminer.six", "extractous"),
    "docx": ("python-docx", "docx2txt", "extractous"),
    "xlsx": ("python-calamine", "openpyxl", "extractous"),
    "pptx": ("python-pptx", "extractous"),
    "odt": ("odfpy", "extractous"),
    "rtf": ("striprtf", "extractous"),
    "html": ("selectolax", "beautifulsoup4", "html2text", "extractous"),
    "eml": ("email", "mail-parser", "extractous"),
    "epub": ("ebooklib", "extractous"),
    "doc": ("antiword", "catdoc", "extractous"),
    "xls": ("xlrd", "python-calamine", "extractous"),
    "ppt": ("extractous",),
    "hwp": ("pyhwp", "extractous"),
    "psd": ("psd-tools", "extractous"),
    "msg": ("extract-msg", "extractous"),
}
MOST_SECONDS = 30
"""For one file."""


class Reader:
    """A warm process that reads by one library; `trouble` says why it cannot.

    One that dies on a file, or needs too long for it, is started anew for the next.
    """

    def __init__(self, name: str, python: str) -> None:
        self._command = [python, str(Path(__file__).with_name("_reader.py")), name]
        self.characters: list[int] = []
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        told = self._hear()
        self.trouble = told if isinstance(told, str) else "does not start"

    def read(self, paths: Sequence[Path]) -> Spent:
        """What reading all of them takes; the start of a process is not counted, the wait for a dead one is."""
        wall = cpu = 0.0
        self.characters, self.deaths = [], 0
        for path in paths:
            if self.trouble:
                return Spent(0, 0, self.trouble)
            assert self._process.stdin
            self._process.stdin.write(json.dumps([str(path)]).encode() + b"\n")
            self._process.stdin.flush()
            started = time.perf_counter()
            told = self._hear()
            if isinstance(told, dict):
                wall, cpu = wall + told["wall"], cpu + told["cpu"]
                self.characters += told["characters"]
                continue
            wall += time.perf_counter() - started
            self.deaths += 1
            self.characters.append(-1)
            self._start()
        return Spent(wall, cpu)

    def _hear(self) -> object:
        out = self._process.stdout
        assert out
        ready, _, _ = select.select([out], [], [], MOST_SECONDS)
        line = out.readline() if ready else b""
        if not line:
            self.close()
        return json.loads(line) if line else None

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def compare(ours: str, peers: Sequence[str], paths: Sequence[Path], python: str, rounds: int) -> list[str]:
    """The rows of one group of files: ours first."""
    readers = {name: Reader(name, sys.executable if name == ours else python) for name in (ours, *peers)}
    for reader in readers.values():
        reader.read(paths[:1])  # what is loaded at the first document only
    spent = alternate({name: (lambda reader=reader: reader.read(paths)) for name, reader in readers.items()}, rounds)
    rows = []
    for name, each in spent.items():
        reader = readers[name]
        reader.close()
        if each.trouble:
            rows.append(f"{name} | | | | | | | {each.trouble} |")
            continue
        gave = sum(count > 0 for count in reader.characters)
        fair = name != ours and gave and each.cpu
        ratio, busy = (f"{spent[ours].wall / each.wall:.2f}", f"{spent[ours].cpu / each.cpu:.2f}") if fair else ("", "")
        total = sum(count for count in reader.characters if count > 0)
        rows.append(
            f"{name} | {each.wall:.3f} | {each.cpu:.3f} | {gave} of {len(paths)} | {total:,} | {ratio} | {busy} "
            f"| {f'died {reader.deaths} times' * bool(reader.deaths)} |"
        )
    return rows


def choose_python(folder: Path | None) -> str:
    """The Python that has the peers, installed at first use."""
    if folder is None:
        return sys.executable
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        for name in DISTRIBUTIONS:  # one that cannot be had here leaves the others
            subprocess.run([python, "-m", "pip", "install", "--quiet", name], check=False)
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[*PEERS, "all"], choices=[*PEERS, "all"])
    parser.add_argument("--scale", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    python = choose_python(chosen.peers)
    print("| kind | reader | seconds | cpu | files with text | characters | ours : it | in cpu | trouble |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        for kind in (each for each in PEERS if each in chosen.only):
            if chosen.folder:
                paths = sorted(chosen.folder.rglob(f"*.{kind}"))
            else:
                paths = write(kind, Path(made), chosen.scale) if kind in MADE else []
            if not paths:
                continue
            for row in compare("archivore", PEERS[kind], paths, python, chosen.rounds):
                print(f"| {kind} | {row}", flush=True)
    if chosen.folder and "all" in chosen.only:
        paths = sorted(path for path in chosen.folder.rglob("*") if path.is_file())
        for row in compare("archivore crawl", ("extractous",), paths, python, chosen.rounds):
            print(f"| all | {row}", flush=True)


if __name__ == "__main__":
    main()
