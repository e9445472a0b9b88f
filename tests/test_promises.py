"""The six promises of the README, each proven on the tour and on the hostile fixtures, by the real command's parts.

1 read-only · 2 complete · 3 deterministic · 4 bounded · 5 explained · 6 every script
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.limits import Limits
from indexer.model import CAUSES, Source
from indexer.passwords import parse_passwords
from search.answers import ask
from search.case import Case
from search.exporting import export, report_of

FIXTURES = Path(__file__).parent.parent / "fixtures"
TOUR = FIXTURES / "tour"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tour and of every hostile input, with a link, a FIFO and odd names beside them."""
    folder = tmp_path_factory.mktemp("promises") / "evidence"
    shutil.copytree(TOUR, folder / "tour")
    for path in sorted((FIXTURES / "hostile").glob("*/input*")):
        target = folder / "hostile" / path.parent.name / path.name
        target.parent.mkdir(parents=True)
        shutil.copy2(path, target)
    (folder / "link").symlink_to("/etc/hostname")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode("원화.txt".encode("cp949"))).write_bytes("원화 수정".encode("cp949"))
    return folder


def build(folder: Path, path: Path, *, jobs: int, limits: Limits | None = None) -> None:
    passwords = parse_passwords((TOUR / "passwords.txt").read_text("utf-8"))
    with Case.create(path) as case:
        source = Source("s", str(folder))
        ingest_sources(
            case, [source], limits=limits or limits_of(case), passwords=passwords, jobs=jobs, tell=lambda _: None
        )


@pytest.fixture(scope="module")
def case(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    path = tmp_path_factory.mktemp("promises") / "case"
    build(evidence, path, jobs=2)
    with Case(path) as opened:
        yield opened


def state_of(folder: Path) -> dict[str, object]:
    """Every stat field but the inode's device, every extended attribute and digest, links unfollowed."""
    state: dict[str, object] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        names = os.listxattr(path, follow_symlinks=False)
        row: list[object] = [
            (name, getattr(status, name)) for name in dir(status) if name.startswith("st_") and name != "st_dev"
        ]
        row += [(name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names)]
        state[str(path)] = row
    return state


def digests_of(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_1_read_only(evidence: Path, tmp_path: Path) -> None:
    content = digests_of(evidence)
    for path in sorted(evidence.rglob("*")):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (1_000_000_000, path.stat().st_mtime))
    before = state_of(evidence)
    build(evidence, tmp_path / "case", jobs=2)
    with Case(tmp_path / "case") as case:
        export(report_of(case, "수정"), "csv", tmp_path / "hits.csv")
    assert state_of(evidence) == before
    assert digests_of(evidence) == content


def test_2_complete(evidence: Path, case: Case) -> None:
    items = list(case.items(with_text=True))
    counts = Counter(item.status for item in items)
    assert sum(counts.values()) == len(items) == case.catalog.totals()[0]
    roots = {os.fsencode(path.relative_to(evidence)) for path in evidence.rglob("*")}
    assert {item.provenance.hops[0].raw for item in items} == roots
    for item in items:
        assert item.status == "read" or item.problems, str(item.provenance)
        parent = item.provenance.parent
        assert parent is None or case.catalog.item(parent.id)
    assert "crash" not in case.catalog.counts("cause")
    assert set(case.catalog.counts("cause")) <= set(CAUSES)


def test_3_deterministic(evidence: Path, case: Case, tmp_path: Path) -> None:
    # Killed and resumed runs are compared in test_ingest.py, where a kill can be timed.
    build(evidence, tmp_path / "one", jobs=1)
    written = []
    for number, opened in enumerate((case, Case(tmp_path / "one"))):
        for query in ("수정 OR 修改 OR deadline", ""):
            path = tmp_path / f"{number}-{len(query)}.jsonl"
            export(report_of(opened, query, with_text=True), "jsonl", path)
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            for row in rows:  # reading may change an access time where the kernel does not let us keep it
                row["timestamps"] = [stamp for stamp in row["timestamps"] if stamp["origin"] != "fs.atime"]
            written.append(rows)
        if number:
            opened.close()
    assert written[0] == written[2]
    assert written[1] == written[3]
    assert len(written[1]) > 200


def test_4_bounded(evidence: Path, tmp_path: Path) -> None:
    limits = Limits(depth=2, members=5, item_bytes=100_000, text_chars=2_000, seconds=20.0)
    build(evidence, tmp_path / "case", jobs=2, limits=limits)
    with Case(tmp_path / "case") as case:
        messages = " ".join(
            problem.message
            for item in case.catalog.with_problem("limit")
            for problem in item.problems
            if problem.cause == "limit"
        )
        for name in ("depth: 2", "members: more than 5", "item_bytes: more than 100000", "text_chars: more than 2000"):
            assert name in messages
        below = [item for item in case.items(with_text=True) if len(item.provenance.hops) > 1]
        assert max(item.size or 0 for item in below) <= 100_000
        assert max(len(item.provenance.hops) for item in below) <= 4


def test_5_explained(case: Case) -> None:
    answer = ask(case, "수정 OR 修改 OR deadline", limit=50)
    assert answer.hits
    for hit in answer.hits:
        row = hit.to_json()
        assert row["path"]
        assert row["sha256"]
        assert hit.highlights
        for passage in hit.highlights:
            assert passage.locator
            assert passage.spans
            for start, end in passage.spans:
                assert 0 <= start < end <= len(passage.text)
    run = case.catalog.runs()[-1]
    assert run.ended
    assert run.versions["archivore"]
    assert run.limits["depth"]
    assert run.counts["items"]


@pytest.mark.parametrize(
    ("written", "codec", "asked"),
    [
        ("중간화 수정 지시서를 내일까지 보내 주십시오.", "cp949", "지시서"),
        ("원화를 다시 그리고 중간화는 그대로 둘 것.", "johab", "중간화"),
        ("主角眼睛高光偏左，原画要重画，中割不动。", "gb18030", "高光偏左"),
        ("主角眼睛高光偏左，原畫要重畫，中割不動。", "big5", "原画要重画"),
        ("原画の修正は四月五日までにお願いします。", "shift_jis", "四月五日"),
        ("原画の修正は四月五日までにお願いします。", "euc_jp", "お願いします"),
        ("Срок сдачи всех исправлений пятого апреля.", "koi8_r", "исправлений"),
        ("الموعد النهائي لجميع التصحيحات هو الخامس من أبريل", "utf-8", "التصحيحات"),
        ("The deadline for every correction is the fifth of April.", "utf-16-le", "correction"),
        (unicodedata.normalize("NFD", "mañana Mäuse 수정 작업"), "utf-8", "mañana"),
        ("ｄｅａｄｌｉｎｅ　ｆｏｒ　ａｌｌ", "utf-8", "deadline"),
        ("the in\ufb01nity of the sea", "utf-8", "infinity"),
    ],
)
def test_6_every_script(tmp_path: Path, written: str, codec: str, asked: str) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "note.txt").write_bytes(written.encode(codec))
    build(folder, tmp_path / "case", jobs=1)
    with Case(tmp_path / "case") as case:
        for form in ("NFC", "NFD", "NFKC"):
            answer = ask(case, unicodedata.normalize(form, asked))
            assert [hit.item.name for hit in answer.hits] == ["note.txt"], form
            assert any(passage.spans for passage in answer.hits[0].highlights)
