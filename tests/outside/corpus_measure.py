"""Measures Archivore against files that nobody here wrote, and prints a table in Markdown.

    python tests/outside/corpus_measure.py CORPUS                    crawl here, one forked process a file
    python tests/outside/corpus_measure.py CORPUS --case FOLDER      a case into which CORPUS was ingested
    python tests/outside/corpus_measure.py CORPUS --export FILE      what `archivore export` wrote of it
    python tests/outside/corpus_measure.py CORPUS --only archives    one part; --match TEXT: some of its files

The corpus holds `archives/` with `archives.oracle.jsonl` (what two other programs unpacked), `documents/`
with expected and forbidden strings, `encodings/<codec>/`, `udhr/`, `psd/` and `hwp/`. It is not part of
the project. The exit code is 0 whatever was found: this is a measure, `test_outside.py` is the test.

An archive is crawled with the files beside it in reach, as the other programs had them. What they wrote
and we have not is told apart by rules on their output and on the archive, never by our own word:
`ours goes on`, where it is the beginning of a member of ours (proven byte for byte); `no evidence`, where
it did not stand in the archive (`archive_rules.py`, each with its reason); else it is missed.
"""

from __future__ import annotations

import argparse
import codecs
import hashlib
import html
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, get_args

sys.path[:0] = [str(Path(__file__).parents[each]) for each in range(3)]

from archive_rules import Outcome, Verdict, judge_missing, judge_nothing, missing_of, wanted_of  # noqa: E402

SECONDS = 60
"""Of the processor's time, so that a busy machine changes nothing."""
PATIENCE = 300
UNREAD = "strings"
"""The handler of what no other reads: every crawler has one."""
ADDRESS_SPACE = 4 << 30
PARTS = ("archives", "documents", "encodings", "udhr", "psd", "hwp")
CODE_PAGES = {
    "kor": ("utf-8", "cp949", "utf-16", "utf-16-le", "johab"),
    "jpn": ("utf-8", "cp932", "euc-jp", "iso2022_jp", "utf-16-be"),
    "cmn_hans": ("utf-8", "gb18030", "gbk", "hz", "utf-16-le"),
    "cmn_hant": ("utf-8", "big5", "gb18030", "utf-16"),
    "eng": ("utf-8", "cp1252", "utf-16-le"),
    "rus": ("utf-8", "cp1251", "koi8-r", "cp866", "iso8859-5"),
}
"""What each declaration of rights is re-encoded into."""

Row = dict[str, Any]


@dataclass
class Tree:
    """All rows of one file of the corpus; `died` says how its process ended, if not in order."""

    rows: list[Row] = field(default_factory=list)
    died: str = ""
    seconds: float = 0.0
    proven: dict[str, str] = field(default_factory=dict)
    """Digest of a file of another program -> how it is part of a member of ours."""

    def __post_init__(self) -> None:
        self.below: dict[str | None, list[Row]] = defaultdict(list)
        known = {row["id"] for row in self.rows}
        for row in self.rows:
            self.below[row["parent"] if row["parent"] in known else None].append(row)

    @property
    def root(self) -> Row:
        return self.below[None][0]

    def members(self, parent: Row) -> list[Row]:
        """Direct members with bytes, slack left out."""
        return [row for row in self.below[parent["id"]] if row["sha256"] and row["fields"].get("file.kind") != "slack"]

    def extracted(self, parent: Row) -> list[str]:
        """What lies on disk after extraction: a later name overwrites an earlier one, a hard link is a copy."""
        on_disk: dict[str, str] = {}
        links: dict[str, str] = {}
        for row in self.below[parent["id"]]:
            name = re.sub(r"#\d+$", "", row["hops"][-1])
            kind = row["fields"].get("file.kind")
            if kind == "hardlink":
                links[name] = str(row["fields"].get("file.link_target"))
            elif row["sha256"] and kind != "slack":
                on_disk[name] = row["sha256"]
        for name, target in links.items():  # rows stand in the order of their names, not of the archive
            for _ in links:
                target = target if target in on_disk else links.get(target, target)
            if target in on_disk:
                on_disk.setdefault(name, on_disk[target])
        return list(on_disk.values())

    def levels(self) -> Iterator[list[Row]]:
        """The members; and while there is only one, its members: other programs look through compression.

        They look behind a program, too, for the archive that it brings along.
        """
        level = self.inner(self.root)
        yield level
        while len(level) == 1:
            level = self.inner(level[0])
            if level:
                yield level

    def inner(self, parent: Row) -> list[Row]:
        """The members; of what has none, those of the archive that stands behind it."""
        behind = [row for row in self.below[parent["id"]] if row["fields"].get("file.kind") == "slack"]
        return self.members(parent) or next(filter(None, map(self.members, behind)), [])

    def candidates(self) -> Iterator[Counter[str]]:
        """The digests of each level: of its members, and of what lies on disk after extraction."""
        for level in self.levels():
            yield Counter(row["sha256"] for row in level)
            yield Counter(self.extracted(self.container_of(level)) if level else ())

    def container_of(self, level: list[Row]) -> Row:
        return next(row for row in self.rows if row["id"] == level[0]["parent"])

    def text(self) -> str:
        return "\n".join(text["body"] for row in self.rows for text in row.get("texts", ()))

    def shown(self) -> str:
        """The text without the plainer of two alternative bodies: RFC 2046, 5.1.4 shows the last alone."""
        bodies = []
        for row in self.rows:
            texts = row.get("texts", ())
            pages = any(text["locator"].endswith("(text/html)") for text in texts)
            bodies += [text["body"] for text in texts if not (pages and text["locator"].endswith("(text/plain)"))]
        return "\n".join(bodies)

    def facts(self) -> str:
        """Names, types, languages, field values and times (also without their fractions), as one text."""
        parts = []
        for row in self.rows:
            parts += [row["name"], row["media_type"], row["language"]]
            for stamp in row["timestamps"]:
                parts += [stamp["at"], re.sub(r"\.\d+Z", "Z", stamp["at"])]
            parts += [each if isinstance(each, str) else json.dumps(each) for _, each in self.values(row)]
        return "\n".join(parts)

    @staticmethod
    def values(row: Row) -> Iterator[tuple[str, str | int | float | bool]]:
        """Each field's name and value."""
        for name, value in row["fields"].items():
            yield from ((name, each) for each in (value if isinstance(value, list) else [value]))

    def flags(self, wanted: str) -> set[str]:
        """The words in the names of fields that say so: a bare `true` elsewhere proves nothing."""
        return {
            word
            for row in self.rows
            for name, value in self.values(row)
            if json.dumps(value) == wanted or (wanted == "true" and not isinstance(value, bool))
            for word in words_of(name.replace(".", "_"))
        }

    def causes(self) -> str:
        return ", ".join(sorted({problem["cause"] for row in self.rows for problem in row["problems"]})) or "none"


# -- where the rows come from ------------------------------------------------------------------


Beginnings = frozenset[tuple[int, str]]
"""Size and digest of files that may be the beginning of a member, or a member with zeros behind it."""


def crawl_apart(data: bytes, name: str, folder: Path | None = None, beginnings: Beginnings = frozenset()) -> Tree:
    """One crawl in a forked process with a clock and a limit on memory.

    Args:
        folder: what `name` is relative to, where the files beside it are to be in reach.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = os.fork()
        if not process:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(PATIENCE)
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            code = 70
            try:
                out.write(crawl_as_lines(data, name, folder, beginnings).encode())
                out.flush()
                code = 0
            except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
                out.write(repr(error)[:500].encode())
                out.flush()
            os._exit(code)
        _, status = os.waitpid(process, 0)
        out.seek(0)
        text = out.read().decode()
    seconds = time.monotonic() - started
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        died = (
            f"timeout after {SECONDS} s" if number in (signal.SIGALRM, signal.SIGPROF) else signal.Signals(number).name
        )
        return Tree([], died, seconds)
    if os.WEXITSTATUS(status):
        return Tree([], text, seconds)
    proven, _, lines = text.partition("\n")
    return Tree([json.loads(line) for line in lines.split("\n") if line], "", seconds, json.loads(proven))


def crawl_as_lines(data: bytes, name: str, folder: Path | None, beginnings: Beginnings) -> str:
    """What was proven of `beginnings`, as one line of JSON, and one line for every item."""
    from crawling import ListOutlet, as_lines
    from indexer.crawl import Crawler
    from indexer.handler import Handler, Stream
    from indexer.model import Digests, Fact, Hop, Problem, Provenance, Source
    from indexer.places import Place
    from indexer.registry import all_handlers
    from indexer.sources import Beside
    from indexer.volumes import no_siblings

    proven: dict[str, str] = {}

    class Unread(Handler):
        name = UNREAD
        media_types = ("application/octet-stream",)

        def read(self, stream: Stream) -> Iterator[Fact]:
            yield from ()

    class Watching(Crawler):
        def take(self, source: BinaryIO) -> tuple[BinaryIO, Digests, list[Problem]]:
            held, digests, problems = super().take(source)
            proven.update(compare(held, beginnings))
            return held, digests, problems

    outlet = ListOutlet()
    beside = Beside(Source("test", str(folder)), name.encode()) if folder else no_siblings
    place = Place(Provenance("test", (Hop(name.encode(), name),)))
    handlers = all_handlers()
    if beginnings:  # to compare bytes, nothing but containers need be read
        handlers = [each if each.container else Unread() for each in handlers if each.container or each.name == UNREAD]
    Watching(handlers, outlet).walk(place, io.BytesIO(data), siblings=beside)
    return json.dumps(proven) + "\n" + as_lines(sorted(outlet.items, key=lambda item: str(item.provenance)))


def compare(held: BinaryIO, beginnings: Beginnings) -> Iterator[tuple[str, str]]:
    """Which of these files a member begins with, and which it is but for zeros behind it."""
    size = held.seek(0, os.SEEK_END)
    for length, digest in beginnings:
        if not size or not length or size == length or length > size + (64 << 20):
            continue
        held.seek(0)
        found, left = hashlib.sha256(), length
        while left and (piece := held.read(min(left, 1 << 20))):
            found.update(piece)
            left -= len(piece)
        while left:
            found.update(bytes(min(left, 1 << 20)))
            left -= min(left, 1 << 20)
        if found.hexdigest() == digest:
            yield digest, "goes on" if length < size else "padded"
    held.seek(0)


class Crawled:
    """Trees made here and now."""

    def __init__(self, corpus: Path) -> None:
        from indexer.registry import all_handlers

        all_handlers()
        self.corpus = corpus

    def tree(self, path: str) -> Tree:
        return crawl_apart((self.corpus / path).read_bytes(), path, self.corpus)

    def prove(self, paths: set[str], beginnings: Beginnings) -> dict[str, str]:
        """How files of another program are part of members, of a volume alone and of its whole set."""
        proven: dict[str, str] = {}
        for path in sorted(paths):
            data = (self.corpus / path).read_bytes()
            for folder in (None, self.corpus):
                proven |= crawl_apart(data, path, folder, beginnings).proven
        return proven


class Exported:
    """Trees out of the JSON lines of a case into which the corpus folder was ingested."""

    def __init__(self, file: Path) -> None:
        self.rows: dict[str, list[Row]] = defaultdict(list)
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                self.rows[row["hops"][0]].append(row)

    def tree(self, path: str) -> Tree:
        rows = self.rows.get(path)
        return Tree(rows) if rows else Tree([], "not in the export")

    def prove(self, paths: set[str], beginnings: Beginnings) -> dict[str, str]:
        """Nothing: an export holds no bytes."""
        return {}


Trees = Crawled | Exported


def exported(case: Path) -> Exported:
    """Trees out of a case folder, by way of its public export."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.jsonl"
        options = ["--format", "jsonl", "--with-text", "--output", str(file), "--case", str(case.resolve())]
        command = [sys.executable, "-c", "from cli.main import run; run()", "export", *options]
        subprocess.run(command, cwd=Path(__file__).parents[2], check=True, stdout=subprocess.DEVNULL)
        return Exported(file)


# -- what is measured --------------------------------------------------------------------------


@dataclass
class Score:
    """Counts for one row of a table, and the exceptions below it."""

    counts: Counter[str] = field(default_factory=Counter)
    exceptions: list[str] = field(default_factory=list)


@dataclass
class Report:
    """Everything measured; `scores[part][kind]`."""

    scores: dict[str, dict[str, Score]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Score)))
    deaths: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)

    def take(self, path: str, tree: Tree) -> bool:
        """Notes deaths, crashes and slowness; False where there is nothing to measure."""
        if tree.seconds > 10:
            self.slow.append(f"{path}: {tree.seconds:.0f} s")
        if tree.died:
            self.deaths.append(f"{path}: {tree.died}")
        for row in tree.rows:
            self.crashes += [
                f"{row['path']}: {problem['handler']}: {problem['message']}"
                for problem in row["problems"]
                if problem["cause"] == "crash"
            ]
        return not tree.died


def fold(text: str) -> str:
    """Text without white space and zero-width marks, so that only letters have to agree."""
    return re.sub(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+", "", unicodedata.normalize("NFC", text))


def strip_markup(text: str) -> str:
    return html.unescape(re.sub(r"^[^<>]{0,3}>|<[^<>]*>?", "", text))


def kind_of(path: str) -> str:
    match = re.search(r"(?:\.(?:tar|cpio|iso))?\.[A-Za-z0-9]{1,8}$", path)
    return match[0].lower() if match else "(none)"


def judge_archive(row: Row, path: str, tree: Tree, data: bytes, trees: Trees) -> Verdict:
    """Whether the verdict of the other programs holds for our tree."""
    wanted = wanted_of(row)
    if row["verdict"] == "neither" or not (wanted or row["verdict"] == "agree"):
        if whole := tree.root["fields"].get("archive.part_of"):  # a later volume is read with the first
            tree = trees.tree(f"{path.rpartition('/')[0]}/{whole}")
        silent = len(tree.rows) == 1 and not tree.root["problems"]
        texts = ((tree.text(), str(tree.root["fields"].get("text.codec", "ascii"))) for _ in (0,))
        return judge_nothing(row, data, texts) if silent else Verdict("held")
    first = path
    if whole := tree.root["fields"].get("archive.part_of"):
        path = f"{path.rpartition('/')[0]}/{whole}"
        tree = trees.tree(path)
    missing = min((missing_of(wanted, ours) for ours in tree.candidates()), key=len)
    if missing:
        beginnings = frozenset((file.size, file.digest) for file in missing)
        return judge_missing(row, data, missing, trees.prove({first, path}, beginnings))
    if row["verdict"] == "agree" and all(ours.total() > len(wanted) for ours in tree.candidates()):
        return Verdict("missed", "more members than both programs found")
    return Verdict("held")


def measure_archives(corpus: Path, trees: Trees, report: Report, match: str) -> None:
    for row in read_rows(corpus / "archives.oracle.jsonl"):
        path = f"archives/{row['set']}/{row['path']}"
        if match not in path:
            continue
        tree = trees.tree(path)
        died = Verdict("missed", f"died: {tree.died}")
        verdict = died if tree.died else judge_archive(row, path, tree, (corpus / path).read_bytes(), trees)
        for part, kind in (("archives by verdict", row["verdict"]), ("archives by type", kind_of(path))):
            score = report.scores[part][kind]
            score.counts["files"] += 1
            for outcome in get_args(Outcome):
                score.counts[outcome] += verdict.outcome == outcome
            score.counts["missed, but a problem told"] += verdict.outcome == "missed" and tree.causes() != "none"
            if verdict.outcome != "held" and part == "archives by type":
                told = f"{verdict.outcome}: {verdict.text}; problems: {tree.causes()}"
                score.exceptions.append(f"{path} [{row['verdict']}]: {told}")
        report.take(path, tree)


def measure_documents(corpus: Path, trees: Trees, report: Report, match: str) -> None:
    questions: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for what in ("text", "forbid", "meta"):
        for row in read_rows(corpus / f"documents.{what}.jsonl"):
            questions[row["doc"]].append((what, row))
    for name in sorted(os.listdir(corpus / "documents")):
        path = f"documents/{name}"
        if match not in path or not (corpus / path).is_file():
            continue
        tree = trees.tree(path)
        score = report.scores["documents"][kind_of(path)]
        score.counts["files"] += 1
        if not report.take(path, tree):
            score.exceptions.append(f"{path}: died: {tree.died}")
            continue
        score.counts["with text"] += bool(tree.text().strip())
        score.counts["strings only"] += tree.root["handler"] == "strings"
        text, facts = fold(tree.text()), fold(tree.facts())
        plain = fold(strip_markup(tree.text()))
        hoped = [fold(row["expect"]) for what, row in questions[name] if what == "text"]
        barred = {fold(row["forbid"]) for what, row in questions[name] if what == "forbid"}
        for what, row in questions[name]:
            # Wanted and forbidden: an option of the other program decides, or which part was looked at.
            if what == "forbid" and any(fold(row["forbid"]) in each for each in hoped):
                score.counts["forbidden by an option"] += 1
                continue
            if what == "text" and fold(row["expect"]) in barred:
                continue
            judge_document(score, what, row, text, plain, facts, path, tree)


def judge_document(score: Score, what: str, row: Row, text: str, plain: str, facts: str, path: str, tree: Tree) -> None:
    if what == "forbid":
        wanted = fold(row["forbid"])
        score.counts["forbidden"] += 1
        if "<" not in row["forbid"] and wanted in fold(tree.shown()):
            score.exceptions.append(f"{path}: holds {row['forbid']!r}, which it must not")
        else:
            score.counts["kept out"] += 1
        return
    if what == "meta":
        if row["key"] in FOREIGN_KEYS or row["expect"] in FOREIGN_TYPES:
            return
        score.counts["values"] += 1
        if holds_value(row, text, facts, tree):
            score.counts["values found"] += 1
        else:
            score.exceptions.append(f"{path}: {row['key']} = {row['expect']!r} not given by {tree.root['handler']}")
        return
    wanted = fold(strip_markup(row["expect"])).strip("\0")
    if not wanted.strip("\ufffd") or FOREIGN.search(row["expect"]):
        return  # mark-up or messages of another program, not text
    score.counts["strings"] += 1
    if any(each in text or each in plain for each in (wanted, *same_days(row["expect"]))) or has_number(wanted, text):
        score.counts["found"] += 1
    elif wanted in facts:
        score.counts["in fields"] += 1
    else:
        score.exceptions.append(f"{path}: {row['expect']!r} not found by {tree.root['handler']}: {tree.causes()}")


FOREIGN = re.compile(r"""^[\w:-]+="[^"]*"?$|\borg\.apache\.|TikaException|InputStream""")
"""Mark-up, class names and messages of the program whose tests these strings are from."""
FOREIGN_KEYS = ("TikaCoreProperties.EMBEDDED_RESOURCE_PATH", "TikaCoreProperties.EMBEDDED_RESOURCE_TYPE")
"""How that program names and sorts what it finds inside."""
FOREIGN_TYPES = ("application/x-tika-iworks-protected",)
SAME_TYPES = {"application/x-font-ttf": "font/ttf", "audio/vorbis": "audio/ogg"}


def holds_value(row: Row, text: str, facts: str, tree: Tree) -> bool:
    """Whether a value of the metadata is given, however it is spelled."""
    expect = str(row["expect"])
    if expect in ("true", "false"):
        return bool(words_of(row["key"]) & tree.flags(expect))
    wanted = fold(strip_markup(expect))
    if wanted.lower() in facts.lower() or wanted in text:
        return True
    if "CONTENT_TYPE" in row["key"] or "Content-Type" in row["key"]:
        kind, _, charset = expect.partition(";")
        kinds = {fold_type(each["media_type"]) for each in tree.rows}
        return fold_type(kind.strip()) in kinds and (not charset or same_codec(charset.partition("=")[2], tree))
    if "CONTENT_ENCODING" in row["key"]:
        return same_codec(expect, tree)
    parts = [fold(part) for part in re.split(r"[,;]\s", expect)]
    return len(parts) > 1 and all(part in facts for part in parts)


def fold_type(media_type: str) -> str:
    """A media type without the `x-` that it had before it was registered."""
    return SAME_TYPES.get(media_type, media_type).replace("/x-", "/")


def same_codec(wanted: str, tree: Tree) -> bool:
    """Whether a field names this encoding under any of its names."""
    given = {str(value) for row in tree.rows for name, value in tree.values(row) if "codec" in name or "code" in name}
    return any(codec_name(each) == codec_name(wanted) for each in given)


def codec_name(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return name.lower()


def words_of(name: str) -> set[str]:
    """The words of a name, however they are joined, but for those that say nothing."""
    split = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name.rpartition(".")[2])
    return {re.sub(r"ed$|ion$", "", word.lower()) for word in split} - {"is", "has", "of", "my"}


def same_days(expect: str) -> list[str]:
    """A date that follows a country's habit, as the same day and minute with the year first."""
    found = re.fullmatch(r"(\d\d?)[/-](\d\d?)[/-](\d\d|\d{4})(?: (\d\d?):(\d\d))?", strip_markup(expect).strip())
    if not found:
        return []
    first, second, year = int(found[1]), int(found[2]), int(found[3])
    time_of_day = f"{int(found[4]):02}:{found[5]}" if found[4] else ""
    days = ((first, second), (second, first))
    year += 2000 * (year < 100)
    return [f"{year}-{month:02}-{day:02}{time_of_day}" for month, day in days if month <= 12]


def has_number(wanted: str, text: str) -> bool:
    """Whether a telephone number stands in the text, however its digits are parted."""
    return len(wanted) >= 7 and wanted.isdigit() and wanted in re.sub(r"[\s().+-]+", "", text)


def measure_encodings(corpus: Path, trees: Trees, report: Report, match: str) -> None:
    for folder in sorted((corpus / "encodings").iterdir()):
        for file in sorted(folder.iterdir()):
            path = f"encodings/{folder.name}/{file.name}"
            if match not in path:
                continue
            tree = trees.tree(path)
            score = report.scores["encodings"][folder.name]
            score.counts["files"] += 1
            if not report.take(path, tree):
                continue
            wanted, ours = file.read_bytes().decode(codec_of(folder.name), "replace"), tree.text()
            if is_same_text(wanted, ours):
                score.counts["right"] += 1
            else:
                score.exceptions.append(f"{path} by {tree.root['handler']}: {tree.causes()}")


def codec_of(folder: str) -> str:
    """The codec that a folder is named for; some folders have a language behind it."""
    try:
        return codecs.lookup(folder).name
    except LookupError:
        return folder.rsplit("-", 1)[0]


def is_same_text(wanted: str, ours: str) -> bool:
    """Whether the texts agree; of a page with mark-up, whether its letters beyond ASCII are all there."""
    if fold(wanted) == fold(ours) or re.sub(r"\W", "", wanted) == re.sub(r"\W", "", ours):
        return True  # a table's cells may come with other marks between them
    letters = {char for char in strip_markup(wanted) if ord(char) > 127 and char.isalpha()}
    return "<" in wanted and bool(letters) and letters <= set(unicodedata.normalize("NFC", ours)) | set(ours)


def measure_udhr(corpus: Path, trees: Trees, report: Report, match: str) -> None:
    if isinstance(trees, Exported):
        return
    for file in sorted((corpus / "udhr").iterdir()):
        language = next((each for each in CODE_PAGES if each in file.name), "")
        for codec in CODE_PAGES.get(language, ()):
            path = f"udhr/{file.name} in {codec}"
            if match not in path:
                continue
            text = file.read_text("utf-8")[:3000]
            text = text.encode(codec, "ignore").decode(codec)
            data = text.encode(codec)
            if codec in ("utf-16-le", "utf-16-be"):
                data = data.removeprefix(codecs.BOM_UTF16_LE).removeprefix(codecs.BOM_UTF16_BE)
            tree = crawl_apart(data, f"udhr/{file.stem}.{codec}.txt")
            score = report.scores["re-encoded declarations"][language]
            score.counts["files"] += 1
            if report.take(path, tree) and fold(tree.text()) == fold(text):
                score.counts["right"] += 1
            else:
                score.exceptions.append(path)


def measure_plain(part: str, corpus: Path, trees: Trees, report: Report, match: str) -> None:
    """Files without ground truth: how many were read, and how many gave text."""
    for file in sorted((corpus / part).rglob("*")):
        path = file.relative_to(corpus).as_posix()
        if match not in path or not file.is_file():
            continue
        tree = trees.tree(path)
        score = report.scores[part][kind_of(path)]
        score.counts["files"] += 1
        if report.take(path, tree):
            score.counts[tree.root["status"]] += 1
            score.counts["with text"] += bool(tree.text().strip())
            if tree.root["status"] != "read":
                first = next(iter(tree.root["problems"]), {"cause": "", "message": ""})
                score.exceptions.append(f"{path} by {tree.root['handler']}: {first['cause']}: {first['message']}")


# -- the page ----------------------------------------------------------------------------------


def read_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def markdown(report: Report, *, with_exceptions: bool = True) -> str:
    """The whole report."""
    lines: list[str] = []
    for part, scores in report.scores.items():
        columns = list(dict.fromkeys(name for score in scores.values() for name in score.counts))
        total = Counter[str]()
        lines += ["", f"## {part}", "", f"| kind | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for kind, score in sorted(scores.items()):
            total += score.counts
            lines.append(f"| {kind} | {' | '.join(str(score.counts[name]) for name in columns)} |")
        lines.append(f"| **all** | {' | '.join(f'**{total[name]}**' for name in columns)} |")
        if with_exceptions and any(score.exceptions for score in scores.values()):
            lines += ["", *(f"- {printable(each)}" for _, score in sorted(scores.items()) for each in score.exceptions)]
    for title, entries in (("Deaths", report.deaths), ("Crashes", report.crashes), ("Slow", report.slow)):
        lines += ["", f"## {title}: {len(entries)}", "", *(f"- {printable(each)}" for each in entries[:200])]
    return "\n".join(lines).strip() + "\n"


def printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)[:400]


def measure(corpus: Path, trees: Trees, parts: Iterable[str] = PARTS, match: str = "") -> Report:
    """The measure of the named parts of the corpus."""
    report = Report()
    known = {
        "archives": measure_archives,
        "documents": measure_documents,
        "encodings": measure_encodings,
        "udhr": measure_udhr,
    }
    for part in parts:
        if part in known:
            known[part](corpus, trees, report, match)
        else:
            measure_plain(part, corpus, trees, report, match)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="measure against the outside corpus")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--case", type=Path, help="a case into which the corpus folder was ingested")
    parser.add_argument("--export", type=Path, help="JSON lines of `archivore export --format jsonl --with-text`")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--match", default="", help="only paths that hold this")
    parser.add_argument("--brief", action="store_true", help="tables without the exceptions")
    chosen = parser.parse_args(arguments)
    if chosen.case:
        trees: Trees = exported(chosen.case)
    else:
        trees = Exported(chosen.export) if chosen.export else Crawled(chosen.corpus)
    report = measure(chosen.corpus, trees, chosen.only or PARTS, chosen.match)
    sys.stdout.buffer.write(markdown(report, with_exceptions=not chosen.brief).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
