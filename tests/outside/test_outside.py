"""Archivore against files that nobody here wrote; ARCHIVORE_CORPUS names the folder that holds them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from corpus_measure import Crawled, Report, markdown, measure

CORPUS = Path(os.environ.get("ARCHIVORE_CORPUS", ""))

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("ARCHIVORE_CORPUS"), reason="ARCHIVORE_CORPUS does not name the outside corpus"
    ),
    pytest.mark.timeout(1200),
]


@pytest.fixture(scope="module")
def report() -> Report:
    return measure(CORPUS, Crawled(CORPUS))


def test_no_file_kills_or_crashes_its_reader(report: Report) -> None:
    assert not report.deaths
    assert not report.crashes


def test_members_are_those_on_which_two_other_programs_agree(report: Report) -> None:
    agreed = report.scores["archives by verdict"]["agree"].counts
    assert agreed["files"] > 100
    assert agreed["held"] == agreed["files"], markdown(report)


def test_what_no_program_reads_is_never_passed_over_in_silence(report: Report) -> None:
    unread = report.scores["archives by verdict"]["neither"].counts
    assert unread["held"] == unread["files"] > 0


def test_text_in_every_code_page_comes_back(report: Report) -> None:
    for language, score in report.scores["re-encoded declarations"].items():
        assert score.counts["right"] == score.counts["files"], (language, score.exceptions)
