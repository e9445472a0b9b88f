"""`archivore features`, and folders that `export` makes, through the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import archivore, lines


@pytest.fixture
def case(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "a.txt").write_text("mail ann@studio.example, 电话13800138000, QQ：123456789")
    (folder / "b.txt").write_text("nothing")
    path = tmp_path / "case"
    assert archivore("new", str(path)).returncode == 0
    assert archivore("ingest", str(folder), case=path).returncode == 0
    return path


def test_features_are_gathered_when_first_asked_for_and_then_known_to_queries(case: Path, tmp_path: Path) -> None:
    first = archivore("features", "--json", case=case)
    assert first.returncode == 0
    assert "Gathered from" in first.stderr
    found = [(row["type"], row["value"]) for row in lines(first)]
    assert found == [
        ("email", "ann@studio.example"),
        ("domain", "studio.example"),
        ("phone", "+8613800138000"),
        ("qq", "123456789"),
    ]
    again = archivore("features", "--type", "phone,qq", "--stop", str(_stops(tmp_path)), "--json", case=case)
    assert "Gathered" not in again.stderr
    assert [row["value"] for row in lines(again)] == ["+8613800138000"]
    assert [hit["name"] for hit in lines(archivore("search", "phone:+86*", "--json", case=case))] == ["a.txt"]
    assert archivore("features", "--min", "2", case=case).returncode == 1
    assert archivore("features", "--type", "fax", case=case).returncode == 2
    assert archivore("search", "ipv4:1.2.3.0/99", case=case).returncode == 2


def _stops(folder: Path) -> Path:
    path = folder / "stop.txt"
    path.write_text("/^1234/\n")
    return path


def test_a_folder_that_was_exported_is_proved_by_its_digest(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "load"
    assert archivore("export", "--format", "dat", "--output", str(out), case=case).returncode == 0
    assert archivore("verify-export", str(out), case=case).returncode == 0
    (out / "load.opt").write_text("changed")
    assert archivore("verify-export", str(out), case=case).returncode == 3
