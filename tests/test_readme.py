"""The README claims only what is so. `make golden` writes its table of file types anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from cli.main import PLACES
from indexer.model import CAUSES
from search.query import parse

PATH = Path(__file__).parent.parent / "README.md"
README = PATH.read_text("utf-8")
TABLE = re.compile(r"(?<=<!-- formats -->\n).*(?=<!-- /formats -->)", re.DOTALL)


def test_the_table_of_file_types_is_what_the_declarations_say() -> None:
    command = [sys.executable, "-c", "from cli.main import run; run()", "formats", "--markdown"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if os.environ.get("ARCHIVORE_GOLDEN") == "write":
        PATH.write_text(TABLE.sub(lambda _: printed, README), "utf-8")
    assert TABLE.findall(PATH.read_text("utf-8")) == [printed]


def test_every_command_is_named() -> None:
    for command in PLACES:
        name = command.partition(".")[2].replace("_", "-")
        assert re.search(rf"`{name}[` ]", README), name


def test_every_cause_is_named() -> None:
    assert set(re.search(r"closed list: ([^.]*)\.", README)[1].replace("\n", " ").split(", ")) == set(CAUSES)  # type: ignore[index]


def test_every_query_in_the_table_is_understood() -> None:
    table = README.split("| you write | you find |")[1].split("`archivore fields`")[0]
    queries = [query for row in table.splitlines()[2:] if row for query in re.findall(r"`([^`]+)`", row)]
    assert len(queries) > 20
    for query in queries:
        parse(query, words=_NoWords())


class _NoWords:
    """An index that holds nothing."""

    def held(self, terms: Iterable[str]) -> set[str]:
        return set()

    def following(self, char: str) -> set[str]:
        return set()


RECIPE = re.compile(r"<!-- recipe: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder as the recipes expect it: what was seized, a case, a watch-list, and the command on the path."""
    shutil.copytree(PATH.parent / "fixtures" / "tour", tmp_path / "seized")
    (tmp_path / "shows.txt").write_text("수정\n")
    for name, body in RECIPE.findall(README):
        (tmp_path / name).write_text(body)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "archivore"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from cli.main import run; run()" "$@"\n')
    command.chmod(0o755)
    assert run(tmp_path, "archivore", "new", "cases/studio").returncode == 0
    return tmp_path


def run(desk: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ARCHIVORE_CASE": str(desk / "cases/studio"), "PYTHONPATH": str(PATH.parent)}
    environment["PATH"] = f"{desk / 'bin'}:{environment['PATH']}"
    return subprocess.run(words, cwd=desk, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_the_first_minute_is_as_it_is_told(desk: Path) -> None:
    shutil.copy(desk / "seized" / "passwords.txt", desk / "words.txt")
    shutil.rmtree(desk / "cases")
    told = re.split(r"(?m)^    \$ ", README.split("## One minute")[1].split("`day2:mail")[0])[1:]
    assert len(told) > 10
    for command, *lines in map(str.splitlines, told):
        answer = run(desk, "sh", "-c", command)
        assert answer.returncode == 0, (command, answer.stderr)
        printed = iter(answer.stdout.splitlines())
        for line in filter(None, map(str.strip, lines)):
            start = line.removesuffix(" ...")
            assert any(each.strip().startswith(start) for each in printed), (command, line)


def test_the_nightly_recipe_reports_what_is_new_and_nothing_twice(desk: Path) -> None:
    first = run(desk, "sh", "nightly.sh")
    assert first.returncode == 0, first.stderr
    assert "<mark>" in (desk / "new.html").read_text() or "수정" in (desk / "new.html").read_text()
    assert (desk / "ingest.log").exists()
    (desk / "new.html").unlink()
    again = run(desk, "sh", "nightly.sh")
    assert again.returncode == 0, again.stderr
    assert not (desk / "new.html").exists()
    assert (desk / "ingest.log.1").exists()


def test_the_recipe_for_python_runs(desk: Path) -> None:
    assert run(desk, "archivore", "ingest", "seized/day1").returncode == 0
    answer = run(desk, sys.executable, "ask.py")
    assert answer.returncode == 0, answer.stderr
    assert "수정" in answer.stdout
    assert (desk / "notes.xlsx").exists()
