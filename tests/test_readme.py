"""The README claims only what is so. `make golden` writes its table of file types anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from cli.main import COMMANDS
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
    for command in COMMANDS:
        assert f"`{command.__name__}" in README, command.__name__


def test_every_cause_is_named() -> None:
    assert set(re.search(r"closed list: ([^.]*)\.", README)[1].replace("\n", " ").split(", ")) == set(CAUSES)  # type: ignore[index]


def test_every_query_in_the_table_is_understood() -> None:
    table = README.split("| you write | you find |")[1].split("`archivore fields`")[0]
    queries = [query for row in table.splitlines()[2:] if row for query in re.findall(r"`([^`]+)`", row)]
    assert len(queries) > 20
    for query in queries:
        parse(query)
