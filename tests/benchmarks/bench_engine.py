"""The index against its peers, on the same texts in the same run: ratios of medians, as a Markdown table.

    python tests/benchmarks/bench_engine.py [--documents 20000] [--rounds 5] [--stock 1000] [--folder DIR]
                                            [--without PEER] [--long [--plot FILE.svg]]

Texts come from a seeded generator (a third of the characters Chinese, Korean and Japanese), and from every text file
below `--folder`. Rounds alternate between the peers. Stock whoosh indexes only `--stock` documents and is compared by
its rate. Peers that are not installed are left out: tantivy (pip), Xapian (the system's python3-xapian, by
/usr/bin/python3), SQLite FTS5. All write positions. Ours builds with all cores, from a file that its processes read
themselves, and has each commit on the disk; tantivy has as many threads and each Han, Hangul and kana character as a
term; Xapian makes n-grams of them; FTS5 has whole runs as words, and one thread as it can have no more.

`--long` shows how builds, sizes, queries and the memory of a searching process grow, up to 1,000,000 documents.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from search.index import Index
from search.query import parse
from search.schema import Document

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
SYLLABLES = """ba be bi bo bu da de do di du fa fe ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu
    ra re ri ro ru sa se si so su ta te ti to tu tion ing er str""".split()


class Language:
    """Words with Zipf's frequencies; half of the time a word is followed by one of its few usual followers."""

    def __init__(self, choose: random.Random, words: list[str], joint: str) -> None:
        self.joint = joint
        self.words = words
        total = 0.0
        self.sums = [total := total + 1 / (rank + 2.7) for rank in range(len(words))]
        self.followers = {word: choose.choices(words, cum_weights=self.sums, k=6) for word in words}

    def text(self, choose: random.Random, count: int) -> str:
        words = choose.choices(self.words, cum_weights=self.sums, k=count)
        usual = choose.choices(range(12), k=count)
        for at in range(1, count):
            if usual[at] < 6:
                words[at] = self.followers[words[at - 1]][usual[at]]
        for at in range(9, count, 13):
            words[at] += ". " if self.joint else "。"
        return self.joint.join(words)


def languages(choose: random.Random) -> dict[str, Language]:
    def made(count: int, alphabet: list[str], lengths: list[int]) -> list[str]:
        """Words of which the frequent ones are short and made of frequent letters."""
        total = 0.0
        sums = [total := total + 1 / (rank + 20) for rank in range(len(alphabet))]
        words = {"".join(choose.choices(alphabet, cum_weights=sums, k=choose.choice(lengths))): 0 for _ in range(count)}
        return sorted(words, key=lambda word: (len(word) + choose.random() * 3, word))

    han = [chr(code) for code in choose.sample(range(0x4E00, 0x9000), 3500)]
    kana = [chr(code) for code in range(0x3042, 0x3094)]
    hangul = [chr(code) for code in choose.sample(range(0xAC00, 0xD700), 1200)]
    return {
        "en": Language(choose, made(60_000, SYLLABLES, [1, 2, 2, 3, 3, 4, 5]), " "),
        "zh": Language(choose, made(40_000, han, [1, 2, 2, 2, 3]), ""),
        "ja": Language(choose, made(20_000, kana, [1, 2, 3, 4]) + made(20_000, han[:1500], [1, 2, 2]), ""),
        "ko": Language(choose, made(40_000, hangul, [1, 2, 3, 3, 4]), " "),
    }


def documents(count: int, seed: int = 7, folder: Path | None = None) -> Iterator[dict[str, Any]]:
    choose = random.Random(seed)
    spoken = languages(choose)
    extra = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder else []
    for number in range(count):
        kind = choose.choices(["en", "zh", "ja", "ko"], [40, 30, 15, 15])[0]
        language = spoken[kind]
        text = language.text(choose, choose.randint(80, 220) if kind in ("en", "ko") else choose.randint(120, 330))
        if number < len(extra):
            text = extra[number].read_text("utf-8", "replace")[:100_000]
        name = f"{choose.choice(spoken['en'].words)}_{number:06d}.{choose.choice(['txt', 'md', 'psd', 'docx'])}"
        yield {
            "id": f"{choose.getrandbits(128):032x}",
            "text": text,
            "name": name,
            "path": f"day{number % 7}:server/{choose.choice(spoken['en'].words[:300])}/{number // 100:04d}/{name}",
            "size": len(text.encode()),
            "ext": name.rpartition(".")[2],
            "lang": kind,
            "at": number % 365 * 24 + number % 24,
        }


def as_document(row: dict[str, Any]) -> Document:
    return Document(
        row["id"], (row["text"],), row["name"], row["path"], row["size"],
        (("ext", row["ext"]), ("lang", row["lang"]), ("type", "text"), ("source", row["path"][:4])),
        (("M", EPOCH + timedelta(hours=row["at"])),),
    )  # fmt: skip


def read_rows(argument: str, ids: Iterable[str]) -> Iterator[Document]:
    """What builders in other processes call: an id tells where a line of JSON lies in a file."""
    with open(argument, "rb") as file:
        for each in ids:
            start, end = map(int, each.split("-"))
            file.seek(start)
            yield as_document(json.loads(file.read(end - start)))


# -- building; each gives a function that asks


def build_ours(rows: list[dict[str, Any]], folder: Path, source: Path) -> Index:
    index = Index.create(folder)
    with source.open("rb") as file:
        ends = list(accumulate((len(line) for line in file), initial=0))
    ids = [f"{start}-{end}" for start, end in pairwise(ends)]
    index.add_beside("bench_engine:read_rows", str(source), ids)
    index.commit()
    return index


def build_tantivy(rows: list[dict[str, Any]], folder: Path, source: Path) -> Any:
    import tantivy

    folder.mkdir()
    builder = tantivy.SchemaBuilder()
    for name in ("text", "name", "path", "id", "ext", "lang"):
        analyser = "cjk" if name in ("text", "name", "path") else "raw"
        builder.add_text_field(name, stored=name == "id", tokenizer_name=analyser, fast=name in ("ext", "lang"))
    builder.add_integer_field("size", fast=True, indexed=True)
    builder.add_date_field("modified", fast=True, indexed=True)
    index = tantivy.Index(builder.build(), str(folder))
    scripts = r"\p{Han}\p{Hangul}\p{Hiragana}\p{Katakana}"
    pattern = rf"[{scripts}]|[[\p{{L}}\p{{N}}]--[{scripts}]]+"
    analyser = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(pattern)).filter(tantivy.Filter.lowercase()).build()
    index.register_tokenizer("cjk", analyser)
    writer = index.writer(heap_size=256_000_000, num_threads=len(os.sched_getaffinity(0)))
    for row in rows:
        writer.add_document(
            tantivy.Document(
                id=row["id"], text=row["text"], name=row["name"], path=row["path"], ext=row["ext"], lang=row["lang"],
                size=row["size"], modified=EPOCH + timedelta(hours=row["at"]),
            )
        )  # fmt: skip
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def build_fts(rows: list[dict[str, Any]], folder: Path, source: Path) -> Any:
    folder.mkdir()
    base = sqlite3.connect(folder / "x.sqlite")
    base.execute("CREATE VIRTUAL TABLE t USING fts5(text, name, path, content='')")
    base.executemany(
        "INSERT INTO t(rowid, text, name, path) VALUES (?, ?, ?, ?)",
        ((number, row["text"], row["name"], row["path"]) for number, row in enumerate(rows)),
    )
    base.commit()
    return base


_XAPIAN = """
import json, sys, xapian
folder, source = sys.argv[1:]
base = xapian.WritableDatabase(folder, xapian.DB_CREATE)
maker = xapian.TermGenerator()
maker.set_flags(xapian.TermGenerator.FLAG_CJK_NGRAM)
with open(source, encoding="utf-8") as file:
    for row in map(json.loads, file):
        document = xapian.Document()
        maker.set_document(document)
        maker.index_text(row["text"])
        for prefix, name in (("S", "name"), ("P", "path")):
            maker.increase_termpos()
            maker.index_text(row[name], 1, prefix)
        for prefix, name in (("Q", "id"), ("E", "ext"), ("L", "lang")):
            document.add_boolean_term(prefix + row[name])
        document.add_value(0, xapian.sortable_serialise(row["size"]))
        document.add_value(1, xapian.sortable_serialise(row["at"]))
        document.set_data(row["id"])
        base.add_document(document)
base.commit()
"""
_SYSTEM = "/usr/bin/python3"


def build_xapian(rows: list[dict[str, Any]], folder: Path, source: Path) -> None:
    flush = {**os.environ, "XAPIAN_FLUSH_THRESHOLD": "20000"}
    subprocess.run([_SYSTEM, "-c", _XAPIAN, str(folder), str(source)], check=True, env=flush)


def has_xapian() -> bool:
    try:
        return not subprocess.call([_SYSTEM, "-c", "import xapian"], stderr=subprocess.DEVNULL)
    except OSError:
        return False


def build_whoosh(rows: list[dict[str, Any]], folder: Path, source: Path) -> Any:
    from whoosh import fields
    from whoosh.index import create_in

    folder.mkdir()
    schema = fields.Schema(
        id=fields.ID(stored=True), text=fields.TEXT, name=fields.TEXT, path=fields.TEXT,
        ext=fields.ID, lang=fields.ID, size=fields.NUMERIC, modified=fields.DATETIME,
    )  # fmt: skip
    index = create_in(str(folder), schema)
    writer = index.writer(limitmb=1024, procs=1)
    for row in rows:
        at = (EPOCH + timedelta(hours=row["at"])).replace(tzinfo=None)
        writer.add_document(modified=at, **{key: row[key] for key in row if key != "at"})
    writer.commit()
    return index


def questions(rows: list[dict[str, Any]]) -> dict[str, str]:
    """One query of each kind, made of words that are there."""
    counts: dict[str, int] = {}
    for row in rows[:4000]:
        if row["lang"] == "en":
            for word in {word.strip(".") for word in row["text"].split()}:
                counts[word] = counts.get(word, 0) + 1
    order = sorted(counts, key=lambda word: (-counts[word], word))
    common = [word for word in order if len(word) > 2][8:10]
    text = next(row["text"] for row in rows if row["lang"] == "en" and len(row["text"]) > 300)
    pair = " ".join(text.replace(".", "").split()[2:4])
    run = next(row["text"] for row in rows if row["lang"] == "zh" and "。" not in row["text"][:8])[2:6]
    return {
        "term": common[0],
        "AND": f"{common[0]} {common[1]}",
        "phrase": f'"{pair}"',
        "prefix": f"{common[0][:3]}*",
        "CJK phrase": run,
        "date range": "modified:2024-02..2024-04",
        "facet": common[0],
    }


def ask_ours(index: Index, kind: str, text: str) -> Callable[[], object]:
    tree = parse(f"text:({text})" if "modified" not in text else text, {})
    if kind == "facet":
        return lambda: index.facets(tree, ["ext"])
    return lambda: index.search(tree, limit=10)


def ask_tantivy(index: Any, kind: str, text: str) -> Callable[[], object] | None:
    import tantivy

    searcher = index.searcher()
    schema = index.schema
    if kind == "date range":
        low, high = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)
        query = tantivy.Query.range_query(schema, "modified", tantivy.FieldType.Date, low, high, True, False)
    elif kind == "prefix":
        query = tantivy.Query.regex_query(schema, "text", text[:-1] + ".*")
    elif kind in ("CJK phrase",):
        query = tantivy.Query.phrase_query(schema, "text", list(text))
    elif kind == "phrase":
        query = tantivy.Query.phrase_query(schema, "text", text.strip('"').split())
    else:
        terms = [tantivy.Query.term_query(schema, "text", word) for word in text.split()]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Must, each) for each in terms])
    if kind == "facet":
        request = {"ext": {"terms": {"field": "ext"}}}
        return lambda: searcher.aggregate(query, request) if hasattr(searcher, "aggregate") else None

    def run() -> object:
        found = searcher.search(query, 10)
        return [searcher.doc(address)["id"] for _, address in found.hits], found.count

    return run


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stock", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--without", action="append", default=[], help="a peer that is left out")
    parser.add_argument("--long", action="store_true", help="how all grows: 10,000, 100,000, 1,000,000 documents")
    parser.add_argument("--plot", type=Path, help="where --long draws it, as SVG")
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)  # folder, questions: what a searching process does
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    if options.ask:
        ask(Path(options.ask[0]), json.loads(options.ask[1]))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as scratch:
        if options.long:
            grow(Path(scratch), options.plot)
        else:
            compare(Path(scratch), options)


def compare(scratch: Path, options: argparse.Namespace) -> None:
    rows = list(documents(options.documents, folder=options.folder))
    source = scratch / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    total = sum(row["size"] for row in rows)
    wide = sum(sum(char > "\u2e80" for char in row["text"]) for row in rows[:2000])
    share = wide / sum(len(row["text"]) for row in rows[:2000])
    print(f"{len(rows)} documents, {total / 1e6:.1f} MB of UTF-8, {share:.0%} of the characters CJK\n")
    peers: dict[str, Callable[..., Any]] = {"ours": build_ours}
    there = {"tantivy": find_spec("tantivy") is not None, "Xapian": has_xapian(), "FTS5": True}
    for name, build in (("tantivy", build_tantivy), ("Xapian", build_xapian), ("FTS5", build_fts)):
        if there[name] and name not in options.without:
            peers[name] = build
        else:
            print(f"{name} is not installed, or not wanted, and is left out")
    some = rows[: options.stock]
    times: dict[str, list[float]] = {name: [] for name in (*peers, "whoosh")}
    built: dict[str, Any] = {}
    for _ in range(options.rounds):
        for name, build in (*peers.items(), ("whoosh", build_whoosh)):
            built.pop(name, None)
            shutil.rmtree(scratch / name, ignore_errors=True)
            start = time.perf_counter()
            built[name] = build(some if name == "whoosh" else rows, scratch / name, source)
            times[name].append(time.perf_counter() - start)
    rate = sum(row["size"] for row in some) / statistics.median(times["whoosh"])
    ours = statistics.median(times["ours"])
    print("| build | ours is faster by | index / text |\n|---|---|---|")
    print(f"| ours | 1 ({total / 1e6 / ours:.1f} MB/s here) | {folder_size(scratch / 'ours') / total:.2f} |")
    for name in list(peers)[1:]:
        ratio = statistics.median(times[name]) / ours
        print(f"| {name} | {ratio:.2f} | {folder_size(scratch / name) / total:.2f} |")
    share = folder_size(scratch / "whoosh") / sum(row["size"] for row in some)
    print(f"| stock whoosh, {len(some)} documents | {total / ours / rate:.1f} | {share:.2f} |\n")
    print("| query | hits | ours, ms | ours / tantivy |\n|---|---|---|---|")
    for kind, text in questions(rows).items():
        calls = {"ours": ask_ours(built["ours"], kind, text)}
        if "tantivy" in built and (call := ask_tantivy(built["tantivy"], kind, text)):
            calls["tantivy"] = call
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(max(5, options.rounds) * 8):
            for name, call in calls.items():
                taken[name].append(seconds(call))
        median = {name: statistics.median(values) for name, values in taken.items()}
        hits = built["ours"].search(parse(f"text:({text})" if "modified" not in text else text, {}), limit=1)[0]
        ratio = f"{median['ours'] / median['tantivy']:.2f}" if "tantivy" in median else ""
        print(f"| {kind} `{text}` | {hits} | {median['ours'] * 1000:.2f} | {ratio} |")


def ask(folder: Path, asked: dict[str, str]) -> None:
    """Print, as JSON, the first and the median milliseconds of each question, and the peak of memory in MiB."""
    told: dict[str, Any] = {}
    with Index.open(folder) as index:
        for kind, text in asked.items():
            call = ask_ours(index, kind, text)
            taken = [seconds(call) * 1000 for _ in range(40)]
            told[kind] = taken[0], statistics.median(taken)
    status = Path("/proc/self/status").read_text()  # a process's own peak; getrusage begins with its parent's
    told["memory"] = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(json.dumps(told))


def grow(scratch: Path, plot: Path | None) -> None:
    """Builds and queries of ever more documents, each size in an index of its own and asked by a process of its own."""
    kinds = ("term", "AND", "phrase", "prefix", "CJK phrase", "date range", "facet")
    print("| documents | build, s | MB/s | index / text | searching, MiB | " + " | ".join(kinds) + " |")
    print("|---" * (5 + len(kinds)) + "|")
    lines: dict[str, list[tuple[float, float]]] = {}
    for count in (10_000, 100_000, 1_000_000):
        folder, source = scratch / f"grown{count}", scratch / "grown.jsonl"
        rows: list[dict[str, Any]] = []
        total = 0
        with source.open("w", encoding="utf-8") as file:
            for row in documents(count):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                total += row["size"]
                if len(rows) < 4000:
                    rows.append(row)
        taken = seconds(lambda folder=folder, source=source: build_ours([], folder, source).close())
        order = [sys.executable, __file__, "--ask", str(folder), json.dumps(questions(rows))]
        told = json.loads(subprocess.run(order, check=True, stdout=subprocess.PIPE).stdout)
        size = folder_size(folder)
        cells = [f"{told[kind][1]:.2f} ({told[kind][0]:.1f} at first)" for kind in kinds]
        start = f"| {count} | {taken:.1f} | {total / taken / 1e6:.1f} | {size / total:.2f} | {told['memory']} | "
        print(start + " | ".join(cells) + " |", flush=True)
        values = {"build, s": taken, "index, MB": size / 1e6, "searching, MiB": told["memory"]}
        values |= {f"{kind}, ms": told[kind][1] for kind in kinds}
        for name, value in values.items():
            lines.setdefault(name, []).append((count, value))
        shutil.rmtree(folder)
    if plot is not None:
        plot.write_text(drawn(lines), "utf-8")


def drawn(lines: dict[str, list[tuple[float, float]]]) -> str:
    """Lines on two logarithmic axes, as SVG."""
    points = [point for line in lines.values() for point in line]
    spans = [
        (math.floor(math.log10(min(each))), math.ceil(math.log10(max(each)))) for each in zip(*points, strict=True)
    ]

    def place(axis: int, value: float) -> float:
        low, high = spans[axis]
        share = (math.log10(value) - low) / max(1, high - low)
        return 60 + share * 480 if axis == 0 else 380 - share * 350

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="420" font-family="sans-serif" font-size="12">'
    ]
    for axis, (low, high) in enumerate(spans):
        for power in range(low, high + 1):
            at = place(axis, 10.0**power)
            ends = f'x1="{at}" x2="{at}" y1="30" y2="380"' if axis == 0 else f'x1="60" x2="540" y1="{at}" y2="{at}"'
            label = f'x="{at}" y="398" text-anchor="middle"' if axis == 0 else f'x="52" y="{at + 4}" text-anchor="end"'
            parts.append(f'<line {ends} stroke="#ddd"/><text {label}>{10.0**power:g}</text>')
    parts.append('<text x="300" y="414" text-anchor="middle">documents</text>')
    for at, (name, line) in enumerate(lines.items()):
        colour = f"hsl({at * 360 // len(lines)} 70% 40%)"
        path = " ".join(f"{place(0, x):.1f},{place(1, y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="560" y="{44 + 18 * at}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main()
