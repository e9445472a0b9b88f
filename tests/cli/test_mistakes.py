"""Paths that are not there, are something else, or may not be written: told in our words, each with its exit code."""

from __future__ import annotations

import errno
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import TOUR, archivore

from indexer.errors import StoreError, UsageError, reason_of, refused
from indexer.passwords import decode_list, parse_passwords

SYSTEM_WORDS = ("Errno", "No such file or directory", "Is a directory", "Traceback", "codec can't", "unable to open")
READERS = (
    ("open-pack", "{}", "fresh"),
    ("watch", "{}"),
    ("hashset", "add", "{}"),
    ("addressbook", "{}"),
    ("features", "--stop", "{}"),
    ("search", "hello", "--expand", "{}"),
    ("similar", "--picture", "{}"),
    ("ingest", "--manifest", "{}"),
    ("ingest", ".", "--passwords", "{}"),
    ("verify-export", "{}"),
)
WRITERS = (
    ("export", "-o", "{}"),
    ("timeline", "-o", "{}", "-f", "csv"),
    ("pack", "-o", "{}"),
    ("export", "-o", "hits.csv", "--with-files", "{}"),
    ("export", "-o", "hits.csv", "--with-files", "{}.zip"),
    ("new", "{}"),
)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("mistakes") / "case"
    assert archivore("new", path).returncode == 0
    assert archivore("ingest", TOUR / "day1" / "notes", "--jobs", "1", case=path).returncode == 0
    yield path


def told(words: tuple[str, ...], path: Path, case: Path, cwd: Path) -> tuple[int, str]:
    answer = archivore(*(word.format(path) for word in words), case=case, cwd=cwd)
    assert not [each for each in SYSTEM_WORDS if each in answer.stderr + answer.stdout], answer.stderr
    return answer.returncode, answer.stderr


@pytest.mark.parametrize("words", READERS, ids=lambda words: "-".join(words[:2]))
def test_a_list_that_is_not_there_is_a_mistake_told_in_our_words(
    case: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, said = told(words, tmp_path / "nope", case, tmp_path)
    assert code == 2, said
    assert f"{tmp_path / 'nope'}: there is no such file or folder; " in said
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize("words", READERS[:-1], ids=lambda words: "-".join(words[:2]))
def test_a_list_that_is_a_folder_or_no_list_is_a_mistake(case: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = told(words, tmp_path, case, tmp_path)
    assert (code, "this is a folder, not a file" in said) == (2, True), said
    if words[-1] == "{}" and "--passwords" not in words:
        junk = tmp_path / "junk"
        junk.write_bytes(bytes(range(128, 256)) * 40)
        assert told(words, junk, case, tmp_path)[0] == 2


@pytest.mark.parametrize("words", WRITERS, ids=lambda words: "-".join(words[:3]))
def test_an_output_that_cannot_be_made_is_a_mistake_and_leaves_nothing(
    case: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    code, said = told(words, tmp_path / "file" / "out", case, tmp_path)
    assert (code, "a part of this path is a file, not a folder; choose another" in said) == (2, True), said
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".part")] == []


def test_a_damaged_pack_leaves_no_half_case(case: Path, tmp_path: Path) -> None:
    pack, bad, folder = tmp_path / "p.zip", tmp_path / "bad.zip", tmp_path / "folder"
    assert archivore("pack", "-o", pack, case=case).returncode == 0
    with zipfile.ZipFile(pack) as good, zipfile.ZipFile(bad, "w") as made:
        for name in good.namelist():
            made.writestr(name, good.read(name) + (b"\0" if name == "texts.sqlite" else b""))
    folder.mkdir()
    answer = archivore("open-pack", bad, folder)
    assert (answer.returncode, "is not what was packed" in answer.stderr) == (3, True)
    assert list(folder.iterdir()) == []
    (folder / "mine").touch()
    assert archivore("open-pack", pack, folder).returncode == 2
    assert [each.name for each in folder.iterdir()] == ["mine"]
    answer = archivore("open-pack", pack, tmp_path / "new", "--evidence", "nosuch=/x")
    assert (answer.returncode, "nosuch: no source of this pack" in answer.stderr) == (2, True)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_no_mistake_of_the_analyst() -> None:
    assert isinstance(refused("out", OSError(errno.ENOSPC, "x"), "choose another"), StoreError)
    mistake = refused("out", OSError(errno.EACCES, "x"), "choose another")
    assert isinstance(mistake, UsageError)
    assert str(mistake) == "out: this account has no right to it; choose another"


def test_every_error_has_words_and_sqlite_too() -> None:
    for number in (errno.ENOENT, errno.ENOSPC, errno.EROFS, errno.EFBIG):
        assert os.strerror(number) not in reason_of(OSError(number, os.strerror(number)))
    with pytest.raises(sqlite3.Error) as caught:
        sqlite3.connect("file:/nowhere/at/all?mode=ro", uri=True)
    assert reason_of(caught.value) == "it is not there, or this account has no right to it"


def test_passwords_are_read_whoever_wrote_the_list() -> None:
    words = ["비밀번호", "원화수정", "작업일지"]
    mixed = "한글\n".encode() + "\n".join(words).encode("cp949")
    assert [each.text for each in parse_passwords(decode_list(mixed))] == ["한글", *words]
    assert [each.text for each in parse_passwords(decode_list("\r\n".join(words).encode("utf-16")))] == words
    for each in parse_passwords(decode_list(bytes(range(256)) * 3)):
        each.text.encode()  # what cannot be encoded could not travel to a worker
