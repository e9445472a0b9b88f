"""The whole way, from evidence to a searchable case, beside recoll where it is installed.

    python tests/benchmarks/bench_whole_way.py [--items 18000] [--rounds 3]

A seeded tree of small items, nested up to eight deep in zip, 7z, tar.gz, tar.xz, mbox, docx, pdf and
sqlite, with 21 planted needles: one word each that stands nowhere else. Both programs index the
whole tree on all cores, in alternating rounds; each needle is then searched by both. Printed: items
that each holds at the end, files, members and containers alike; those a second; needles found, peak
memory, and the ratio of the medians. What a program does not find does not count for it. Nothing is
asserted.

recoll: `apt install --no-install-recommends recollcmd poppler-utils antiword unrtf python3-py7zr unar`;
its tar and 7z helpers are switched on here, as they are off by default; it runs at the priority of any
other program, and with as many threads as it thinks right for the machine, which is its default. Ours
is compiled to bytecode first, as an installed package is.
"""

from __future__ import annotations

import argparse
import compileall
import io
import os
import random
import re
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

NEEDLES = [f"needle{number:02}q{number * 7919 % 1000:03}x" for number in range(21)]
_HANGUL = "원화 수정 동화 납품 작업 일지 배경 검토 통과 기한 촬영 채색".split()
_HAN = "原画 修改 动画 交付 工作 日记 背景 检查 通过 期限 摄影 上色".split()


class Words:
    """Seeded small texts: English-like words, with Korean and Chinese in every third."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.vocabulary = [
            "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz", k=self.random.randint(3, 9))) for _ in range(8000)
        ]

    def text(self, words: int = 90) -> str:
        chosen = self.random.choices(self.vocabulary, k=words)
        if self.random.random() < 0.34:
            chosen += self.random.choices(_HANGUL + _HAN, k=words // 2)
            self.random.shuffle(chosen)
        return " ".join(chosen)


def docx(text: str) -> bytes:
    """The smallest package that every reader takes for a Word document."""
    space = "http://schemas.openxmlformats.org"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{space}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{space}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{space}/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        f"<w:t>{text}</w:t></w:r></w:p></w:body></w:document>",
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as package:
        for name, part in parts.items():
            package.writestr(name, part)
    return body.getvalue()


def pdf(text: str) -> bytes:
    """One page with one line of ASCII."""
    line = text.encode("ascii", "ignore")[:200].replace(b"(", b"").replace(b")", b"")
    content = b"BT /F1 12 Tf 50 700 Td (" + line + b") Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body = b"%PDF-1.4\n"
    offsets = []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + head + table + tail


def zipped(members: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return body.getvalue()


def tarred(members: dict[str, bytes], kind: str) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return body.getvalue()


def sevenzipped(members: dict[str, bytes]) -> bytes:
    import py7zr

    body = io.BytesIO()
    with py7zr.SevenZipFile(body, "w") as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return body.getvalue()


def mailbox(messages: list[str], attachment: bytes = b"") -> bytes:
    import base64

    parts = []
    for number, text in enumerate(messages):
        head = (
            f"From a@b.example Mon Apr  1 10:00:00 2024\nFrom: a@b.example\nTo: c@d.example\nSubject: mail {number}\n"
        )
        if attachment and number == 0:
            encoded = base64.encodebytes(attachment).decode()
            text_part = f"--XX\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
            zip_part = (
                "--XX\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n"
                f"Content-Disposition: attachment; filename=a.zip\n\n{encoded}\n--XX--\n\n"
            )
            kind = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=XX\n\n"
            parts.append(head + kind + text_part + zip_part)
        else:
            parts.append(f"{head}MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n")
    return "".join(parts).encode()


def database(texts: list[str], folder: Path) -> bytes:
    path = folder / "made.sqlite"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    connection.executemany("INSERT INTO notes (body) VALUES (?)", [(text,) for text in texts])
    connection.commit()
    connection.close()
    data = path.read_bytes()
    path.unlink()
    return data


def build(folder: Path, items: int) -> int:
    """Writes the tree and returns the number of its leaves."""
    words = Words(7)
    needles = iter(NEEDLES)
    leaves = 0

    def text(*, needle: bool = False, size: int = 90) -> str:
        return words.text(size) + (f" {next(needles)}" if needle else "")

    def many(count: int, *, needle: bool = False) -> dict[str, bytes]:
        nonlocal leaves
        leaves += count
        return {
            f"d{number % 7}/n{number}.txt": text(needle=needle and number == count // 2).encode()
            for number in range(count)
        }

    def put(name: str, data: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    share = max(20, items // 16)
    packers: list[tuple[str, Callable[[dict[str, bytes]], bytes]]] = [
        ("zip", zipped),
        ("tar.gz", lambda members: tarred(members, "gz")),
        ("tar.xz", lambda members: tarred(members, "xz")),
        ("7z", sevenzipped),
    ]
    for name, data in many(share * 2, needle=True).items():
        put(f"loose/{name}", data)
    for suffix, pack in packers:
        put(f"flat/a.{suffix}", pack(many(share * 2, needle=True)))
        put(f"flat/b.{suffix}", pack({**many(share // 2), "deep." + suffix: pack(many(share // 2, needle=True))}))
    nested = many(share // 2, needle=True)
    for depth in range(8):
        suffix, pack = packers[depth % 3]
        nested = {**many(10, needle=depth % 4 == 1), f"level{depth}.{suffix}": pack(nested)}
    put("deep/outer.zip", zipped(nested))
    messages = [text(needle=number == 5) for number in range(share)]
    leaves += len(messages)
    put("mail/inbox.mbox", mailbox(messages, zipped(many(10, needle=True))))
    for number in range(20):
        put(f"office/{number}.docx", docx(text(needle=number == 3)))
        put(f"office/{number}.pdf", pdf(text(size=10, needle=number == 4)))
    put("office/more.zip", zipped({"a.docx": docx(text(needle=True)), "b.pdf": pdf(text(size=10, needle=True))}))
    put("data/notes.sqlite", database([text(needle=number == 50) for number in range(200)], folder))
    put("data/inside.tar.gz", tarred({"n.sqlite": database([text(needle=True)], folder)}, "gz"))
    put("data/stub.bin", os.urandom(0) + b"\x7fSTUB" + bytes(3000) + zipped(many(10, needle=True)))
    leaves += 44
    for needle in needles:
        put(f"loose/last/{needle}.txt", text().encode() + needle.encode())
        leaves += 1
    return leaves


def compile_ours() -> None:
    """Bytecode for everything, wherever the environment forbids to write it on the way."""
    for package in ("cli", "indexer", "search"):
        compileall.compile_dir(Path(__file__).parents[2] / package, quiet=1)


def run(command: list[str], **options: object) -> tuple[float, int]:
    """Seconds and peak memory in KiB of the largest process of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return time.perf_counter() - started, max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def archivore(*words: str) -> list[str]:
    return [sys.executable, "-c", "from cli.main import run; run()", *words]


def index_by_archivore(tree: Path, work: Path) -> tuple[float, int]:
    shutil.rmtree(work, ignore_errors=True)
    run(archivore("new", str(work)))
    return run(archivore("ingest", str(tree), "--case", str(work)))


def ask_archivore(needle: str, work: Path) -> bool:
    answer = subprocess.run(archivore("search", needle, "--case", str(work)), capture_output=True, check=False)
    return answer.returncode == 0


def count_archivore(work: Path) -> int:
    """Items in the case."""
    connection = sqlite3.connect(work / "catalog.sqlite")
    count = connection.execute("SELECT count(*) FROM items").fetchone()[0]
    connection.close()
    return int(count)


def recoll_environment(tree: Path, work: Path) -> dict[str, str]:
    settings = work / "config"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "recoll.conf").write_text(f"topdirs = {tree}\nidxniceprio = 0\nloglevel = 2\n")
    (settings / "mimeconf").write_text(
        "[index]\napplication/x-tar = execm rcltar.py\napplication/x-7z-compressed = execm rcl7z.py\n"
    )
    return {**os.environ, "RECOLL_CONFDIR": str(settings), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def index_by_recoll(tree: Path, work: Path) -> tuple[float, int]:
    shutil.rmtree(work, ignore_errors=True)
    return run(["/usr/bin/recollindex"], env=recoll_environment(tree, work))


def count_recoll(work: Path, tree: Path) -> int:
    """Documents in recoll's index, folders and those known by name alone among them."""
    command = ["/usr/bin/recollq", "-n", "1", "mime:*"]
    answer = subprocess.run(command, capture_output=True, text=True, env=recoll_environment(tree, work), check=False)
    told = re.search(r"([0-9]+) results", answer.stdout)
    return int(told[1]) if told else 0


def ask_recoll(needle: str, work: Path, tree: Path) -> bool:
    command = ["/usr/bin/recollq", "-n", "1", needle]
    answer = subprocess.run(command, capture_output=True, text=True, env=recoll_environment(tree, work), check=False)
    return "\t" in answer.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    compile_ours()
    with tempfile.TemporaryDirectory() as folder:
        tree, ours, theirs = (Path(folder) / name for name in ("tree", "case", "recoll"))
        leaves = build(tree, chosen.items)
        size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
        has_recoll = shutil.which("recollindex") is not None
        times: dict[str, list[float]] = {"archivore": [], "recoll": []}
        memory = {"archivore": 0, "recoll": 0}
        for _ in range(chosen.rounds):
            seconds, peak = index_by_archivore(tree, ours)
            times["archivore"].append(seconds)
            memory["archivore"] = max(memory["archivore"], peak)
            if has_recoll:
                seconds, peak = index_by_recoll(tree, theirs)
                times["recoll"].append(seconds)
        found = {"archivore": sum(ask_archivore(needle, ours) for needle in NEEDLES)}
        held = {"archivore": count_archivore(ours)}
        if has_recoll:
            found["recoll"] = sum(ask_recoll(needle, theirs, tree) for needle in NEEDLES)
            held["recoll"] = count_recoll(theirs, tree)
        print(f"{leaves:,} leaves, {size / 1e6:.1f} MB on disk, {os.cpu_count()} cores, {chosen.rounds} rounds\n")
        print("| program | items held | items/s (median) | seconds | needles found | peak memory of a process |")
        print("|---|---|---|---|---|---|")
        rates = {name: held[name] / statistics.median(seconds) for name, seconds in times.items() if seconds}
        for name, rate in rates.items():
            peak = f"{memory[name] / 1024:.0f} MiB" if memory[name] else "-"
            took = f"{statistics.median(times[name]):.2f}"
            print(f"| {name} | {held[name]:,} | {rate:,.0f} | {took} | {found[name]} of {len(NEEDLES)} | {peak} |")
        if has_recoll:
            as_many = statistics.median(times["recoll"]) / statistics.median(times["archivore"])
            print(f"\narchivore : recoll = {rates['archivore'] / rates['recoll']:.2f} : 1 items a second")
            print(f"(had recoll found as many: {as_many:.2f} : 1)")


if __name__ == "__main__":
    main()
