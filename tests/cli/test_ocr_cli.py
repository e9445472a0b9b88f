"""Drawn words through the command line: at ingest, later, and kept when something is read again."""

from __future__ import annotations

import shutil
import wave
import zipfile
from pathlib import Path

import pytest
from test_cli import archivore, lines

from cli import options
from indexer.errors import UsageError
from indexer.handlers._ocr_engine import missing_parts

NOTE = Path(__file__).parents[2] / "fixtures" / "ocr" / "note" / "input.png"
pytestmark = pytest.mark.skipif(bool(missing_parts()), reason="RapidOCR is not installed")


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    shutil.copy(NOTE, folder / "C012.png")
    with zipfile.ZipFile(folder / "cuts.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("C012_copy.png"), NOTE.read_bytes())
    (folder / "plain.txt").write_text("nothing drawn here")
    with wave.open(str(folder / "line.wav"), "wb") as sound:
        sound.setparams((1, 1, 8000, 8, "NONE", ""))
        sound.writeframes(bytes(8))
    return folder


def names(case: Path, query: str) -> set[str]:
    answer = archivore("search", query, "--json", "--no-fold", case=case)
    return {str(hit["name"]) for hit in lines(answer)} if answer.returncode == 0 else set()


def test_drawn_words_are_found_and_say_that_they_were_drawn(evidence: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    assert archivore("ingest", evidence, "--ocr", case=case).returncode == 0
    assert names(case, "灯笼") == {"C012.png", "C012_copy.png"}
    shown = archivore("search", "highlight", case=case).stdout
    assert "ocr: " in shown
    again = archivore("retry", "evidence:C012.png", case=case)
    assert again.returncode == 0, again.stderr
    assert names(case, "灯笼") == {"C012.png", "C012_copy.png"}


def test_drawn_words_are_read_later_where_none_were_looked_for(evidence: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    assert archivore("ingest", evidence, case=case).returncode == 0
    assert names(case, "灯笼") == set()
    assert "In 2 files read before" in archivore("ingest", evidence, "--ocr", case=case).stderr
    assert archivore("retry", "--ocr", case=case).returncode == 0
    assert names(case, "灯笼") == {"C012.png", "C012_copy.png"}
    assert "Nothing to retry" in archivore("retry", "--ocr", case=case).stderr


def test_one_picture_alone_may_be_asked_for(evidence: Path, tmp_path: Path) -> None:
    (evidence / "other.png").write_bytes((NOTE.parents[1] / "empty" / "input.png").read_bytes())
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", evidence, case=case)
    assert archivore("retry", "--ocr", "evidence:other.png", case=case).returncode == 0
    assert names(case, "ocr.engine:*") == {"other.png"}
    assert archivore("retry", "evidence:C012.png", case=case).returncode == 0
    assert names(case, "ocr.engine:*") == {"other.png"}
    assert archivore("retry", "evidence:other.png", case=case).returncode == 0
    assert names(case, "ocr.engine:*") == {"other.png"}


def test_what_is_missing_is_said_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.handlers._ocr_engine.missing_parts", lambda: ["rapidocr"])
    with pytest.raises(UsageError, match=r"needs rapidocr: pip install 'archivore\[ocr\]'"):
        options.check_ocr(wanted=True)
    options.check_ocr(wanted=False)
