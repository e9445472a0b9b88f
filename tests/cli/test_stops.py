"""What goes wrong around a command: pipes that close, streams that are not there, full disks, signals."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cli import TOUR, archivore

from indexer.errors import StoreError
from search import featuring
from search.case import Case
from search.engine import worker
from search.exports.xlsx import _Enduring

COMMAND = [sys.executable, "-c", "from cli.main import run; run()"]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("streams") / "case"
    assert archivore("new", path).returncode == 0
    assert archivore("ingest", TOUR / "day1" / "notes", "--jobs", "1", case=path).returncode == 0
    yield path


def started(case: Path, *words: object, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "ARCHIVORE_CASE": str(case)}
    was = signal.signal(signal.SIGINT, signal.default_int_handler)  # what is ignored here would be ignored there
    try:
        return subprocess.Popen([*COMMAND, *map(str, words)], text=True, env=environment, **options)
    finally:
        signal.signal(signal.SIGINT, was)


@pytest.mark.parametrize(
    "words", [("fields",), ("search", "수정"), ("export", "-o", "x.csv")], ids=lambda words: words[0]
)
def test_a_reader_that_has_seen_enough_is_no_failure(case: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = started(case, *words, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path)
    os.close(writing)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "Broken" not in said


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_a_stream_that_is_closed_is_not_the_cases_own_file(case: Path, tmp_path: Path, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    evidence = tmp_path / "evidence.txt"
    evidence.write_text("plain words\n")
    for words in (("search", "수정"), ("ingest", evidence, "--label", f"closed{len(closed)}{closed[0]}")):
        process = started(case, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=close)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
    assert archivore("audit", "verify", case=case).returncode == 0
    assert archivore("search", "plain words", case=case).returncode == 0


def test_an_output_that_cannot_grow_is_told_once(case: Path, tmp_path: Path) -> None:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    with (tmp_path / "out").open("w") as out:
        process = started(case, "fields", stdout=out, stderr=subprocess.PIPE, preexec_fn=bound)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert said.count("error: the output cannot be written: a file may not grow any larger here") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_says_so_and_leaves_nothing(
    case: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = tmp_path / "words.fifo"
    os.mkfifo(words)  # the list of words never comes: the command waits until it is stopped
    process = started(case, "watch", words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with words.open("w"):  # it is there, and reads
        time.sleep(0.1)
        process.send_signal(number)
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (code, "", "Stopped; the same command can be given again.\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("features.sqlite", ("features",)),
        ("alike.sqlite", ("similar", "--clusters")),
        ("clusters.sqlite", ("facets", "--by", "type,cluster")),
        ("hashsets.sqlite", ("hashset", "add", "digests")),
        ("events.duckdb", ("events",)),
    ],
)
def test_a_store_that_a_full_disk_left_empty_stands_in_nobodys_way(
    tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", TOUR / "day1", "--jobs", "1", case=case)
    (tmp_path / "digests").write_text(f"{'ab' * 32}  x\n")
    (case / name).touch()
    for asked in (("status",), ("search", "수정"), words, ("reindex",)):
        answer = archivore(*asked, case=case, cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr


def test_a_spreadsheet_takes_what_does_not_fit_and_says_so_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    with _Enduring(tmp_path / "full", "r") as file:
        assert file.error is None
        assert file.write(b"words") == 5
        assert isinstance(file.error, OSError)
        assert file.write(memoryview(b"more")) == 4


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx", "html", "body", "case"])
def test_an_export_that_does_not_fit_leaves_nothing(case: Path, tmp_path: Path, kind: str) -> None:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    output = tmp_path / f"out.{kind}"
    process = started(
        case, "export", "-o", output, "-f", kind, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=bound
    )
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 3, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_case_that_does_not_fit_is_not_half_made(tmp_path: Path) -> None:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    folder = tmp_path / "case"
    process = started(folder, "new", folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=bound)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said.count("error: ")) == (3, 1), said
    assert not folder.exists()
    assert archivore("new", folder).returncode == 0


def test_a_case_that_is_removed_midway_is_told_as_that(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    archivore("new", folder)
    with pytest.raises(StoreError, match="the folder of the case was moved or removed meanwhile"):
        with Case(folder, write=True) as case:
            shutil.rmtree(folder)
            case.record("ended")
            case.commit()


def test_what_closing_finds_missing_is_told_as_that_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = Case.close

    def fail(case: Case) -> None:
        close(case)
        raise StoreError("index.json is missing")

    folder = tmp_path / "case"
    archivore("new", folder)
    monkeypatch.setattr(Case, "close", fail)
    with pytest.raises(StoreError, match="is missing"), Case(folder):
        pass
    with pytest.raises(StoreError, match="moved or removed meanwhile"), Case(folder):
        shutil.rmtree(folder)


def test_ctrl_c_is_heard_by_the_command_alone(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = []
    start = subprocess.Popen

    def started_there(*words: Any, **options: Any) -> Any:
        child = start(*words, **options)
        groups.append((child.pid, os.getpgid(child.pid)))
        return child

    monkeypatch.setattr(subprocess, "Popen", started_there)
    with (tmp_path / "answers").open("w+") as answers:
        assert featuring._start(case, [], answers).wait() == 0
    with pytest.raises(StoreError):  # it is told of no work, and says so
        list(worker._beside([{}]))
    assert len(groups) == 2
    assert all(pid == group for pid, group in groups)
