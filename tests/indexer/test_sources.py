"""Sources are listed in a fixed order and opened read-only, never through a link, nothing special opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from indexer.errors import EvidenceError, UsageError
from indexer.model import Source
from indexer.sources import check_source, list_source, open_evidence, place_of_root, watch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "b").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "b" / "inner.txt").write_text("inner")
    (root / "a.txt").write_text("a")
    (root / "link").symlink_to("/etc/passwd")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # a socket's path is short
        server.bind("socket")
        os.chdir(here)
    return root


def test_everything_is_listed_in_order_and_nothing_is_followed(folder: Path) -> None:
    entries = list(list_source(Source("s", str(folder))))
    assert [(entry.relative.decode(), entry.kind) for entry in entries] == [
        ("a.txt", "file"),
        ("b", "directory"),
        ("empty", "directory"),
        ("fifo", "fifo"),
        ("link", "symlink"),
        ("socket", "socket"),
        ("up", "symlink"),
        ("b/inner.txt", "file"),
    ]
    fields = {entry.relative: {field.name: field.value for field in entry.place.fields} for entry in entries}
    assert fields[b"link"]["file.link_target"] == "/etc/passwd"
    assert fields[b"fifo"]["file.kind"] == "fifo"
    assert {stamp.kind for stamp in entries[0].place.timestamps} == {"M", "A", "C"}


def test_a_part_of_a_folder(folder: Path) -> None:
    entries = list(list_source(Source("s", str(folder), only=("b", "nowhere", "a.txt"))))
    assert [entry.relative for entry in entries] == [b"a.txt", b"b", b"b/inner.txt", b"nowhere"]
    assert entries[-1].place.problems[0].cause == "unreadable"


def test_a_single_file_is_a_source(folder: Path) -> None:
    source = Source("s", str(folder / "a.txt"))
    (entry,) = list_source(source)
    assert entry.relative == b"a.txt"
    with open_evidence(source, b"a.txt") as file:
        assert file.read() == b"a"
    assert place_of_root(source, entry.place.provenance) == entry.place


@pytest.mark.parametrize("path", [b"link", b"up/tree/a.txt", b"fifo", b"b", b"nowhere"])
def test_what_is_no_plain_file_is_not_opened(folder: Path, path: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        open_evidence(Source("s", str(folder)), path)
    assert caught.value.cause == "unreadable"


def test_a_change_is_noticed(folder: Path) -> None:
    with open_evidence(Source("s", str(folder)), b"a.txt") as file:
        changed = watch(file)
        assert changed() is None
        (folder / "a.txt").write_text("b!")
        problem = changed()
        assert problem
        assert problem.cause == "changed"


def test_foreign_names_of_a_folder_are_decoded_together_and_kept_raw(tmp_path: Path) -> None:
    names = ["원화_수정본.txt", "동화 납품 목록.txt", "작업 일지.txt"]
    for name in names:
        (tmp_path / os.fsdecode(name.encode("cp949"))).write_text("x")
    entries = list(list_source(Source("s", str(tmp_path))))
    assert sorted(entry.place.provenance.hops[0].name for entry in entries) == sorted(names)
    assert sorted(entry.relative for entry in entries) == sorted(name.encode("cp949") for name in names)
    for entry in entries:
        assert ("names.codec", "cp949") in {(field.name, field.value) for field in entry.place.fields}


def test_a_missing_source_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        check_source(Source("s", str(tmp_path / "nowhere")))


@pytest.mark.parametrize(("at", "resolution"), [(1_700_000_000_000_000_000, 1.0), (1_700_000_000_500_000_000, 1e-9)])
def test_a_time_with_a_fraction_is_finer_than_a_second(tmp_path: Path, at: int, resolution: float) -> None:
    (tmp_path / "a").write_text("x")
    os.utime(tmp_path / "a", ns=(at, at))
    (entry,) = list_source(Source("s", str(tmp_path)))
    assert {stamp.resolution for stamp in entry.place.timestamps if stamp.origin == "fs.mtime"} == {resolution}
