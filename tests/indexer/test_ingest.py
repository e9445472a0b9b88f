"""The run: what kills a worker, what a kill of everything leaves, and that sharing changes nothing."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import Interrupted, LockedError, StoreError
from indexer.ingest import Ingest
from indexer.limits import MIB, Limits
from indexer.model import Hop, Item, Provenance, Source, replace
from indexer.workers import Fetcher
from killers import kill, line, pack
from search.case import Case

KILLERS = str(Path(__file__).parent / "handlers" / "killers.py")
QUICK = Limits(seconds=20.0, memory=1024 * MIB, text_chars=MIB, members=500)
IMPATIENT = replace(QUICK, seconds=1.0)


def ingest(
    folder: Path, case_path: Path, *, jobs: int = 2, limits: Limits = QUICK, sources: list[Source] | None = None
) -> dict[str, int]:
    opened = Case(case_path, write=True) if (case_path / "case.toml").exists() else Case.create(case_path)
    with opened as case:
        run = Ingest(case, case.scratch, limits=limits, jobs=jobs, handler_files=(KILLERS,))
        return run.run(sources or [Source("s", str(folder))])


def rows(case_path: Path) -> list[str]:
    """Every item as JSON, texts included, but for the access time, which the reading host may change."""
    with Case(case_path) as case:
        return [as_row(item) for item in case.items(with_text=True)]


def as_row(item: Item) -> str:
    row = item.to_json(with_text=True)
    row["timestamps"] = [stamp for stamp in row["timestamps"] if stamp["origin"] != "fs.atime"]  # type: ignore[union-attr,index]
    return json.dumps(row)


def by_name(case_path: Path) -> dict[str, Item]:
    with Case(case_path) as case:
        return {str(item.provenance): item for item in case.items(with_text=True)}


def test_versions_of_handlers_are_told_before_anything_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("a note\n")
    told: list[tuple[int, dict[str, str]]] = []
    with Case.create(tmp_path / "case") as case:

        def hear(versions: dict[str, str]) -> None:
            told.append((case.catalog.totals()[0], versions))

        Ingest(case, case.scratch, limits=QUICK, jobs=1, ready=hear).run([Source("s", str(tmp_path / "in"))])
        assert case.catalog.totals()[0] == 1
    assert [held for held, _ in told] == [0]
    assert {"text", "strings"} <= told[0][1].keys()


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ("hang", "timeout"),
        ("spin", "timeout"),
        ("eat", "memory"),
        ("segfault", "crash"),
        ("exit", "crash"),
        ("abort", "crash"),
        ("raise", "crash"),
        ("quit", "crash"),
        ("recurse", "limit"),
        ("flood", "limit"),
        ("breed", "limit"),
        ("drip", "timeout"),
        ("huge", "limit"),
        ("stall", "timeout"),
        ("mirror", "limit"),
    ],
)
def test_a_killer_gets_its_problem_and_its_neighbours_are_unharmed(tmp_path: Path, what: str, cause: str) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "a.lst").write_bytes(pack([line("before"), kill(what), line("after")]))
    (evidence / "b.txt").write_bytes(line("beside"))
    ingest(evidence, tmp_path / "case", limits=IMPATIENT if cause == "timeout" else QUICK)
    items = by_name(tmp_path / "case")
    assert [text.body for path in ("s:a.lst!/0", "s:a.lst!/2", "s:b.txt") for text in items[path].texts] == [
        "before",
        "after",
        "beside",
    ]
    below = [item for path, item in items.items() if path.startswith("s:a.lst!/1")]
    assert cause in {problem.cause for item in below for problem in item.problems}
    assert items["s:a.lst"].status == "read"


BLIND = """
import os, signal
from indexer.handlers.ocr import Ocr

def die(self, stream):
    os.kill(os.getpid(), signal.SIGSEGV)
    yield

Ocr.follows, Ocr.read = ("lines",), die
"""


def test_a_death_over_drawn_words_costs_nothing_else(tmp_path: Path) -> None:
    evidence, blind = tmp_path / "evidence", tmp_path / "blind.py"
    evidence.mkdir()
    blind.write_text(BLIND)
    (evidence / "a.lst").write_bytes(pack([line("before"), kill("segfault"), line("after")]))
    with Case.create(tmp_path / "case") as case:
        files = (KILLERS, str(blind))
        counts = Ingest(case, case.scratch, limits=QUICK, jobs=2, handler_files=files, ocr=True).run(
            [Source("s", str(evidence))]
        )
    items = by_name(tmp_path / "case")
    for path, body in (("s:a.lst!/0", "before"), ("s:a.lst!/2", "after")):
        (text,), (problem,) = items[path].texts, items[path].problems
        assert (text.body, items[path].handler, problem.handler, problem.cause) == (body, "lines", "ocr", "crash")
        assert "words drawn" in problem.resolution
    assert items["s:a.lst!/1"].handler == "strings"
    assert counts["deaths"] == 3


CROWDED = """
from indexer import spool

spool.FLOOR = 1 << 80
"""


def test_a_spool_without_room_stops_the_run_and_is_no_trouble_of_the_evidence(tmp_path: Path) -> None:
    evidence, crowded = tmp_path / "evidence", tmp_path / "crowded.py"
    evidence.mkdir()
    crowded.write_text(CROWDED)
    (evidence / "a.lst").write_bytes(pack([line("before"), line("long " * 1000)]))
    limits = replace(QUICK, spool_memory=1024)
    with Case.create(tmp_path / "case") as case:
        run = Ingest(case, case.scratch, limits=limits, jobs=1, handler_files=(KILLERS, str(crowded)))
        with pytest.raises(StoreError, match=f"{case.scratch}.*MiB free"):
            run.run([Source("s", str(evidence))])
    ingest(evidence, tmp_path / "case", limits=limits)
    assert {item.status for item in by_name(tmp_path / "case").values()} == {"read"}


def test_what_cannot_be_unpacked_for_want_of_room_is_no_trouble_of_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "a.lst").write_bytes(pack([line("long " * 1000)]))
    place = Provenance("s", (Hop(b"a.lst", "a.lst"), Hop(b"0", "0")))
    with closing(Fetcher(limits=replace(QUICK, spool_memory=1024))) as fetcher:
        fetcher._hello = replace(fetcher._hello, handler_files=(KILLERS,), scratch=str(tmp_path / "gone"))
        with pytest.raises(StoreError, match=f"{tmp_path}/gone: the spool cannot be written"):
            list(fetcher.fetch(Source("s", str(tmp_path)), place))


def test_a_killer_among_ten_thousand(tmp_path: Path) -> None:
    bodies = [kill("segfault", number) if number % 1000 == 7 else line(f"line {number}") for number in range(10_000)]
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "big.lst").write_bytes(pack(bodies))
    limits = Limits(seconds=20.0)
    counts = ingest(evidence, tmp_path / "case", limits=limits)
    assert counts["deaths"] == 10
    with Case(tmp_path / "case") as case:
        assert case.catalog.totals()[0] == 10_001
        assert case.catalog.counts("cause") == {"crash": 10}
        assert sum(case.catalog.counts("status").values()) == 10_001


def test_sharing_work_changes_nothing(tmp_path: Path) -> None:
    evidence = evidence_with_copies(tmp_path)
    ingest(evidence, tmp_path / "one", jobs=1)
    ingest(evidence, tmp_path / "three", jobs=3)
    assert rows(tmp_path / "one") == rows(tmp_path / "three")


def test_a_root_that_outgrows_its_limits_is_cut_at_the_same_place_however_work_was_shared(tmp_path: Path) -> None:
    inner = [pack([line(f"{outer} {number} " + "x" * 900) for number in range(60)]) for outer in range(12)]
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "bomb.lst").write_bytes(pack(inner))
    limits = Limits(seconds=20.0, root_members=200)
    for jobs, name in ((1, "one"), (3, "three")):
        ingest(evidence, tmp_path / name, jobs=jobs, limits=limits)
    assert rows(tmp_path / "one") == rows(tmp_path / "three")
    with Case(tmp_path / "one") as case:
        assert case.catalog.counts("cause")["limit"] >= 1
        assert case.catalog.totals()[0] < 240


def test_same_bytes_are_read_once_and_kept_at_every_place(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    body = pack([line("one"), pack([line("two"), line("three")])])
    (evidence / "a.lst").write_bytes(body)
    (evidence / "b.lst").write_bytes(body)
    ingest(evidence, tmp_path / "case", jobs=1)
    items = by_name(tmp_path / "case")
    below_a = {path[7:]: item for path, item in items.items() if path.startswith("s:a.lst")}
    below_b = {path[7:]: item for path, item in items.items() if path.startswith("s:b.lst")}
    assert below_a.keys() == below_b.keys()
    assert len(below_a) == 5
    for path, item in below_a.items():
        assert item.texts == below_b[path].texts
        assert item.id != below_b[path].id
    with sqlite3.connect(tmp_path / "case" / "texts.sqlite") as texts:
        assert texts.execute("SELECT count(*) FROM texts").fetchone() == (3,)
    texts.close()


def evidence_with_copies(tmp_path: Path) -> Path:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    for number in range(40):
        members = [line(f"{number} {member} " + "word " * 50) for member in range(30)]
        members.append(pack([line("the same everywhere"), kill("raise")]))
        if number % 10 == 3:
            members.append(kill("exit", number))
        (evidence / f"{number:03}.lst").write_bytes(pack(members))
    return evidence


_RUN = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {handlers!r}]
from test_ingest import IMPATIENT, QUICK, ingest
ingest(Path(sys.argv[1]), Path(sys.argv[2]), jobs=int(sys.argv[3]), limits=IMPATIENT if sys.argv[4:] else QUICK)
"""


def start_run(evidence: Path, case_path: Path, *words: str, jobs: int = 2) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    code = _RUN.format(tests=str(here), handlers=str(here / "handlers"))
    return subprocess.Popen([sys.executable, "-c", code, str(evidence), str(case_path), str(jobs), *words])


@pytest.mark.parametrize("victim", ["parent", "stopped parent", "workers"])
def test_killed_at_any_moment_and_resumed_gives_the_same_case(tmp_path: Path, victim: str) -> None:
    evidence = evidence_with_copies(tmp_path)
    ingest(evidence, tmp_path / "whole", jobs=1)
    for attempt in range(12):
        process = start_run(evidence, tmp_path / "killed")
        time.sleep(0.45 + 0.12 * attempt)
        if victim == "parent":
            process.kill()
        elif victim == "stopped parent":
            process.send_signal(signal.SIGTERM)  # what was found is committed first
        else:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            for child in children.read_text().split()[:1] if children.exists() else []:
                os.kill(int(child), signal.SIGSEGV)
        if process.wait() == 0 and victim == "workers":
            break
    ingest(evidence, tmp_path / "killed")
    whole, killed = rows(tmp_path / "whole"), rows(tmp_path / "killed")
    if victim == "workers":
        # The item that was being read when its worker was shot says so; all others are the same.
        killed = [row for row in killed if "SIGSEGV" not in row]
        ids = {json.loads(row)["id"] for row in killed}
        assert len(ids) >= len(whole) - 12
        whole = [row for row in whole if json.loads(row)["id"] in ids]
    assert killed == whole


@pytest.mark.parametrize("path", ["s:a.lst!/1", "s:a.lst!/0!/1"])
@pytest.mark.parametrize("stops", [1, 3])
def test_members_that_waited_in_the_spool_are_read_by_the_next_run(tmp_path: Path, path: str, stops: int) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    for name in "ab":  # twice: what is read once is copied, and must not be copied in part
        bodies = [pack([line("inner"), line("waits inside")]), line("waits"), line(f"of {name}")]
        (evidence / f"{name}.lst").write_bytes(pack(bodies))
    ingest(evidence, tmp_path / "case", jobs=1)
    before = rows(tmp_path / "case")
    with Case(tmp_path / "case", write=True) as case:
        # As if a run had been stopped when the containers were kept, and this member still waited for a worker.
        waits = case.find(path)
        root = waits.provenance.root.id
        case.catalog._drop("id = ?", (bytes.fromhex(waits.id),))
        other = case.find("s:b.lst").id
        case.catalog.forget(other)
        for identity in (root, other):
            case.catalog.journal.open_root(identity, "s")
        case.catalog.journal.pend(waits.provenance)
        case.commit()
    for _ in range(stops - 1):
        with Case(tmp_path / "case", write=True) as case:
            assert waits.provenance.root.id not in case.catalog.journal.spent(root, resumed=True)
            case.commit()
    ingest(evidence, tmp_path / "case", jobs=2)
    assert rows(tmp_path / "case") == before
    with sqlite3.connect(tmp_path / "case" / "catalog.sqlite") as catalog:
        assert catalog.execute("SELECT count(*) FROM pending").fetchone() == (0,)
    catalog.close()


def test_a_signal_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    evidence = evidence_with_copies(tmp_path)
    with Case.create(tmp_path / "case") as case:
        run = Ingest(case, case.scratch, limits=QUICK, jobs=1, handler_files=(KILLERS,), tell=lambda _: None)
        run._on_signal(signal.SIGTERM, None)
        with pytest.raises(Interrupted, match="SIGTERM"):
            run.run([Source("s", str(evidence))])


def test_a_second_writer_is_told_who_holds_the_case(tmp_path: Path) -> None:
    with (
        Case.create(tmp_path / "case"),
        pytest.raises(LockedError, match=f"process {os.getpid()}"),
        Case(tmp_path / "case", write=True),
    ):
        pass
    with Case(tmp_path / "case", write=True):
        pass


def test_a_finished_run_again_reads_nothing(tmp_path: Path) -> None:
    evidence = evidence_with_copies(tmp_path)
    ingest(evidence, tmp_path / "case", jobs=1)
    before = rows(tmp_path / "case")
    assert ingest(evidence, tmp_path / "case", jobs=1)["items"] == 0
    assert rows(tmp_path / "case") == before


def test_a_file_that_changes_while_it_is_read_says_so(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    path = evidence / "slow.lst"
    path.write_bytes(pack([kill("drip"), line("x")]))
    process = start_run(evidence, tmp_path / "case", "impatient", jobs=1)
    for moment in range(1, 400):
        os.utime(path, (moment, moment))
        time.sleep(0.05)
        if process.poll() is not None:
            break
    assert "changed" in {problem.cause for problem in by_name(tmp_path / "case")["s:slow.lst"].problems}
