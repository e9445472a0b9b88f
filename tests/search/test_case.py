"""The case folder: made once, versioned, one writer; a full disk and damage stop it and lose nothing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.errors import StoreError, UsageError
from indexer.model import Source
from search.answers import ask
from search.case import Case
from search.folder import SETTINGS, find_case


def fill(path: Path, folder: Path, *, jobs: int = 1) -> None:
    opened = Case(path, write=True) if (path / SETTINGS).exists() else Case.create(path)
    with opened as case:
        source = Source("s", str(folder))
        ingest_sources(case, [source], limits=limits_of(case), passwords=(), jobs=jobs, tell=lambda _: None)


def rows(path: Path) -> list[object]:
    with Case(path) as case:
        found = [item.to_json(with_text=True) for item in case.items(with_text=True)]
    for row in found:
        row["timestamps"] = [stamp for stamp in row["timestamps"] if stamp["origin"] != "fs.atime"]  # type: ignore[attr-defined]
    return found


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.txt").write_text(f"words of file {number} " + os.urandom(3000).hex())
    return folder


def test_a_case_is_made_only_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(UsageError, match="empty"):
        Case.create(tmp_path / "full")
    Case.create(tmp_path / "case").close()
    with pytest.raises(UsageError, match="empty"):
        Case.create(tmp_path / "case")


_KILLED = """
import os, signal, sys
from pathlib import Path
from search.case import Case

path, what, moment = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def hook(event, arguments):
    global moment
    if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "sqlite3.connect"):
        if str(path) in str(arguments):
            moment -= 1
            if not moment:
                os.kill(os.getpid(), signal.SIGKILL)

if what == "create":
    import search.upkeep
    sys.addaudithook(hook)
    Case.create(path).close()
else:
    with Case(path, write=True) as case:
        case.index
        sys.addaudithook(hook)
        case.rebuild_index()
"""


def killed_at(moment: int, path: Path, what: str) -> bool:
    """Whether a process that makes a case, or its index anew, came to the moment at which it is killed."""
    code = subprocess.run([sys.executable, "-c", _KILLED, str(path), what, str(moment)], check=False).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_a_case_whose_making_was_killed_at_any_step_is_made_by_the_next_try(tmp_path: Path, evidence: Path) -> None:
    moment = 1
    while killed_at(moment, tmp_path / str(moment), "create"):
        fill(tmp_path / str(moment), evidence)
        with Case(tmp_path / str(moment)) as case:
            assert ask(case, "words").total == 40
        moment += 1
    assert moment > 8


def test_an_index_whose_building_anew_was_killed_at_any_step_is_there_or_made_again(
    tmp_path: Path, evidence: Path
) -> None:
    fill(tmp_path / "whole", evidence)
    moment = 1
    while killed_at(moment, shutil.copytree(tmp_path / "whole", tmp_path / str(moment)), "rebuild"):
        with Case(tmp_path / str(moment), write=True) as case:
            case.update_index()
        with Case(tmp_path / str(moment)) as case:
            assert ask(case, "words").total == 40
        moment += 1
    assert moment > 12


def test_a_case_is_found_upwards(tmp_path: Path) -> None:
    Case.create(tmp_path / "case").close()
    assert find_case(tmp_path / "case" / "index") == tmp_path / "case"
    with pytest.raises(UsageError, match="archivore new"):
        find_case(tmp_path)


def test_a_newer_format_is_refused_in_words(tmp_path: Path) -> None:
    Case.create(tmp_path / "case").close()
    settings = tmp_path / "case" / "case.toml"
    settings.write_text(settings.read_text().replace("format = 2", "format = 99"))
    with pytest.raises(StoreError, match="newer"):
        Case(tmp_path / "case")


@pytest.mark.parametrize("name", ["catalog.sqlite", "texts.sqlite"])
def test_damage_is_a_store_error_that_names_the_file(tmp_path: Path, evidence: Path, name: str) -> None:
    fill(tmp_path / "case", evidence)
    path = tmp_path / "case" / name
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=name), Case(tmp_path / "case") as case:
        list(case.items(with_text=True))


def test_a_flipped_bit_in_a_text_is_found(tmp_path: Path, evidence: Path) -> None:
    fill(tmp_path / "case", evidence)
    path = tmp_path / "case" / "texts.sqlite"
    body = bytearray(path.read_bytes())
    middle = body.rindex(b"\x28\xb5\x2f\xfd") + 600
    body[middle] ^= 0xFF
    path.write_bytes(bytes(body))
    with pytest.raises(StoreError), Case(tmp_path / "case") as case:
        list(case.items(with_text=True))


def test_a_full_disk_stops_with_code_3_and_the_same_command_goes_on(tmp_path: Path, evidence: Path) -> None:
    for number in range(30):
        noise = os.urandom(100_000).hex()
        words = " ".join(noise[start : start + 1000] for start in range(0, len(noise), 1000))
        (evidence / f"noise{number}.txt").write_text(words)
    fill(tmp_path / "whole", evidence)
    path = tmp_path / "case"
    Case.create(path).close()
    code = "from cli.main import run; run()"
    command = [sys.executable, "-c", code, "ingest", str(evidence), "--label", "s", "--case", str(path)]
    most = 5 << 19

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    answer = subprocess.run(command, capture_output=True, text=True, preexec_fn=bound, check=False, timeout=100)
    assert answer.returncode == 3, answer.stderr
    assert "Traceback" not in answer.stderr
    assert str(path) in answer.stderr
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert answer.returncode == 0, answer.stderr
    assert rows(path) == rows(tmp_path / "whole")


def test_a_run_is_recorded_with_versions_options_limits_and_counts(tmp_path: Path, evidence: Path) -> None:
    fill(tmp_path / "case", evidence)
    with Case(tmp_path / "case") as case:
        (run,) = case.catalog.runs()
    assert run.ended
    assert run.ended >= run.started
    assert run.versions["text"]
    assert run.limits["members"]
    assert run.counts["items"] == 40
    log = [json.loads(line) for line in (tmp_path / "case" / "audit.jsonl").read_text().splitlines()]
    assert [row["event"] for row in log] == ["started", "ended"]


def test_a_label_is_taken_once(tmp_path: Path, evidence: Path) -> None:
    fill(tmp_path / "case", evidence)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(UsageError, match="--label"):
        fill(tmp_path / "case", other)


def test_readers_see_the_case_while_it_is_written(tmp_path: Path, evidence: Path) -> None:
    fill(tmp_path / "case", evidence)
    with Case(tmp_path / "case", write=True), Case(tmp_path / "case") as reader:
        assert len(list(reader.items())) == 40


def test_searches_see_what_was_found_while_the_run_goes_on(
    tmp_path: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.upkeep._WORTH", 5)
    monkeypatch.setattr("search.upkeep._SECONDS", 0.0)
    monkeypatch.setattr("indexer.ingest._COMMIT_SECONDS", 0.05)
    monkeypatch.setattr("indexer.ingest._EVENT_SECONDS", 0.05)
    for number in range(2000):
        (evidence / f"more{number}.txt").write_text(f"needle number {number}\n")
    seen: list[int] = []

    def look(_: object) -> None:
        with Case(tmp_path / "case") as reader:
            seen.append(ask(reader, "needle").total)

    with Case.create(tmp_path / "case") as case:
        source = Source("s", str(evidence))
        ingest_sources(case, [source], limits=limits_of(case), passwords=(), jobs=1, tell=look)
        assert ask(case, "needle").total == 2000
        assert not case.catalog.is_stale(1)
    assert seen == sorted(seen)
    assert any(0 < count < 2000 for count in seen)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_index_that_cannot_be_built_is_told_and_stays_due(
    tmp_path: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.case._READER", "search.case:nothing_of_that_name")
    with pytest.raises(StoreError, match="reindex"):
        fill(tmp_path / "case", evidence)
    monkeypatch.undo()
    with Case(tmp_path / "case", write=True) as case:
        assert case.catalog.is_stale(1)
        case.update_index()
        assert ask(case, "words").total == 40


def test_an_answer_from_an_older_state_of_the_index_says_so(
    tmp_path: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "case", evidence)
    with Case(tmp_path / "case") as case:
        assert ask(case, "words").notes == ()
        monkeypatch.setattr("search.index.Index.fallen", "the newest is damaged")
        assert any("reindex" in told for told in ask(case, "words").notes)
