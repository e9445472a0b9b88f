"""Passwords that lie in the case: which are tried, in which order, on what, and what is told of it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_cli import archivore, lines

from cli.runs import check_evidence, extract_item, finish_stopped, guess_passwords, ingest_sources, read_again
from indexer.ingest import Ingest
from indexer.limits import Limits
from indexer.model import Source
from indexer.passwords import Password, Passwords
from search.case import Case
from search.guesses import Guesses

FIXTURES = Path(__file__).parents[2] / "fixtures"
NOTE = "第44镜：雪景。\n44번 컷: 눈이 내린다.\n".encode()
MAIL = (
    "From: a@example.org\nTo: b@example.org\nSubject: cels\nDate: Mon, 1 Jan 2024 10:00:00 +0900\n"
    "Content-Type: text/plain; charset=utf-8\n\n{}\n"
)


def _zip_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_zip_for_passwords", FIXTURES / "zip" / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _zip_maker()


def locked(password: str, data: bytes = NOTE, *, name: str = "note.txt", comment: str = "", **clear: bytes) -> bytes:
    """A zip with one member under ZipCrypto and others in clear."""
    archive = MAKER.Archive()
    check = MAKER.zlib.crc32(data)
    packed = MAKER.pkzip(data, password.encode(), check >> 24)
    archive.add(name.encode(), data, flags=1, packed=packed)
    for each, body in clear.items():
        archive.add(f"{each}.txt".encode(), body)
    made: bytes = archive.end(comment.encode())
    return made


def bundle(files: Mapping[str, bytes]) -> bytes:
    archive = MAKER.Archive()
    for name, data in files.items():
        archive.add(name.encode(), data)
    made: bytes = archive.end()
    return made


def lay(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def build(path: Path, *sources: Path, jobs: int = 1, guess: bool = True, password: str = "") -> Case:
    """A case, open for writing, of sources named as their folders."""
    case = Case.create(path)
    passwords = (Password(password, "line 1"),) if password else ()
    described = [Source(each.name, str(each)) for each in sources]
    ingest_sources(case, described, limits=Limits(), passwords=passwords, jobs=jobs, tell=lambda event: None)
    if guess:
        guess_all(case, jobs=jobs)
    return case


def guess_all(case: Case, *, jobs: int = 1) -> tuple[int, int, int]:
    return guess_passwords(
        case,
        lambda: list(case.catalog.with_problem("encrypted")),
        limits=Limits(),
        passwords=(),
        jobs=jobs,
        tell=lambda event: None,
    )


def origins(case: Case) -> dict[str, str]:
    """Where the password stood that opened each item."""
    return {
        str(item.provenance): str(entry.value)
        for item in case.items()
        for entry in item.fields
        if entry.name == "encryption.password"
    }


def rows(case: Case) -> list[str]:
    found = []
    for item in case.items(with_text=True):
        row = item.to_json(with_text=True)
        row["timestamps"] = [each for each in row["timestamps"] if not each["origin"].startswith("fs.")]  # type: ignore[union-attr,index]
        found.append(json.dumps(row))
    return found


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("password: Sn0w_88", "Sn0w_88"),
        ("The password is Sn0w_88.", "Sn0w_88"),
        ("PW = Sn0w_88 (old one: cel)", "Sn0w_88"),
        ("密码：Sn0w_88，明天换", "Sn0w_88"),
        ("解压密码: 雪44", "雪44"),
        ("解压密码是Sn0w_88", "Sn0w_88"),
        ("비밀번호는 눈사람44 입니다", "눈사람44"),
        ("비번:Sn0w_88", "Sn0w_88"),
        ("암호 - Sn0w_88", "Sn0w_88"),
        ("パスワードは「雪44」です", "雪44"),
        ("пароль: снег44", "снег44"),
        ("password:\n\n  three words here\n", "three words here"),
        ("passwd  'Sn0w 88'", "Sn0w 88"),
    ],
)
def test_a_mail_anywhere_in_the_source_that_says_a_password(tmp_path: Path, text: str, password: str) -> None:
    files = {"in/cels.zip": locked(password), "mail/m.eml": MAIL.format(f"see cels.zip\n{text}\nbye")}
    with build(tmp_path / "case", lay(tmp_path / "s", files), guess=False) as case:
        found = Guesses(case).of(case.find("s:in/cels.zip"))
        assert password in [each.text for each in found]
        assert guess_all(case)[:2] == (1, 1)
        assert origins(case)["s:in/cels.zip!/note.txt"].startswith("found in s:mail/m.eml")


def test_the_nearest_come_first_and_each_only_once(tmp_path: Path) -> None:
    files = {
        "day1/cels(pw=own).zip": locked("x", comment="password: comment", inside=b"pw: inside"),
        "day1/비밀번호.txt": "named\nagain",
        "day1/a.txt": "short",
        "day2/pw.txt": "far\nagain",
        "day2/b.txt": "never",
        "day2/m.eml": MAIL.format("password: mailed"),
    }
    other = lay(tmp_path / "t", {"pw.txt": "elsewhere"})
    with build(tmp_path / "case", lay(tmp_path / "s", files), other, guess=False) as case:
        found = [each.text for each in Guesses(case).of(case.find("s:day1/cels(pw=own).zip"))]
    wanted = ["inside", "comment", "own", "named", "again", "short", "far", "mailed"]
    assert [each for each in found if each in wanted] == wanted
    assert "never" not in found
    assert "elsewhere" not in found


def test_other_sources_are_asked_only_where_nothing_is_nearer(tmp_path: Path) -> None:
    first = lay(tmp_path / "first", {"cels.zip": locked("Sn0w_88")})
    second = lay(tmp_path / "second", {"x/passwords.txt": "Sn0w_88\n"})
    with build(tmp_path / "one", first, second) as case:
        assert origins(case) == {"first:cels.zip!/note.txt": "found in second:x/passwords.txt, line 1"}
    lay(first, {"pw.txt": "another"})
    with build(tmp_path / "two", first, second) as case:
        assert not origins(case)


EVIDENCE: dict[str, bytes | str] = {
    "day1/cels.zip": locked("yuki-44"),
    "day1/메모.txt": "작업 메모\n비밀번호: yuki-44\n",
    "day2/copy.zip": locked("yuki-44"),
    "day3/chain.zip": locked("from-inside"),
    "day3/all.zip": bundle(
        {
            "deep/keys.zip": locked("key1", b"password: from-inside\n", name="pw.txt"),
            "deep/readme.txt": b"pw key1\n",
            "half.zip": locked("nobody knows", b"closed", inner=b"open"),
            "inner.zip": locked("halved"),
            "pass.txt": b"halved\n",
        }
    ),
    "day3/comment.zip": locked("c0mment", comment="암호: c0mment"),
    "day3/named pw N4med.zip": locked("N4med"),
}
OPENED = {
    "s:day1/cels.zip!/note.txt": "found in s:day1/메모.txt, line 2",
    "s:day2/copy.zip!/note.txt": "found in s:day1/메모.txt, line 2",
    "s:day3/all.zip!/deep/keys.zip!/pw.txt": "found in s:day3/all.zip!/deep/readme.txt, line 1",
    "s:day3/all.zip!/inner.zip!/note.txt": "found in s:day3/all.zip!/pass.txt, line 1",
    "s:day3/chain.zip!/note.txt": "found in s:day3/all.zip!/deep/keys.zip!/pw.txt, line 1",
    "s:day3/comment.zip!/note.txt": "found in the comment of s:day3/comment.zip, line 1",
    "s:day3/named pw N4med.zip!/note.txt": "its own name, s:day3/named pw N4med.zip",
}


def test_what_lies_near_opens_what_is_protected_and_is_never_stored(tmp_path: Path) -> None:
    folder = lay(tmp_path / "s", EVIDENCE)
    with build(tmp_path / "one", folder, jobs=1) as one, build(tmp_path / "two", folder, jobs=2) as two:
        assert origins(one) == OPENED
        assert rows(one) == rows(two)
    for path in (tmp_path / "one").rglob("*"):
        # The texts and the index hold what the evidence says, passwords too; nothing else does.
        if path.is_file() and not path.name.startswith("texts") and "index" not in path.parts:
            data = path.read_bytes()
            assert b"yuki-44" not in data, path
            assert b"from-inside" not in data, path


def test_retry_gives_what_ingest_gives(tmp_path: Path) -> None:
    folder = lay(tmp_path / "s", EVIDENCE)
    build(tmp_path / "case", folder).close()
    case = tmp_path / "later"
    archivore("new", case)
    first = archivore("ingest", folder, "--label", "s", case=case)
    assert first.returncode == 0, first.stderr
    answer = archivore("retry", "--cause", "encrypted", "--guess-passwords", case=case)
    assert answer.returncode == 0, answer.stderr
    assert "opened 7 of 8" in answer.stdout
    assert "yuki-44" not in answer.stdout + answer.stderr
    with Case(case) as later, Case(tmp_path / "case") as whole:
        assert origins(later) == OPENED
        assert rows(later) == rows(whole)


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 8])
def test_a_retry_that_was_killed_and_is_run_again_gives_what_an_undisturbed_one_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    inner = locked("yuki", name="n.txt", other=b"clear")
    twice = {"one.zip": inner, "two.zip": inner, "plain.txt": b"plain"}
    folder = lay(tmp_path / "s", {"a.zip": bundle(twice), "b.zip": inner, "c.zip": locked("yuki", b"another")})
    options: dict[str, Any] = {"limits": Limits(), "passwords": (Password("yuki", "line 1"),), "jobs": 1}
    options["tell"] = lambda event: None
    for name in ("whole", "killed"):
        build(tmp_path / name, folder, guess=False).close()
    with Case(tmp_path / "whole", write=True) as case:
        read_again(case, list(case.catalog.with_problem("encrypted")), **options)
        expected = rows(case)
        assert not list(case.catalog.with_problem("encrypted"))
    fill, left = Ingest._fill, [rounds]

    def die(run: Ingest, *arguments: Any) -> bool:
        left[0] -= 1
        if not left[0]:
            raise MemoryError
        return fill(run, *arguments)

    monkeypatch.setattr("indexer.ingest._COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(Ingest, "_fill", die)
    with Case(tmp_path / "killed", write=True) as case:
        with pytest.raises(MemoryError):
            read_again(case, list(case.catalog.with_problem("encrypted")), **options)
        case.commit()  # the worst that a kill can leave: what was dropped is gone for good
    monkeypatch.undo()
    with Case(tmp_path / "killed", write=True) as case:
        finish_stopped(case, **options | {"passwords": ()})
        assert not case.catalog.journal.open_roots()
        if again := list(case.catalog.with_problem("encrypted")):
            read_again(case, again, **options)
        assert rows(case) == expected


def test_what_a_guess_opened_is_extracted_and_verified_by_the_same_guess(tmp_path: Path) -> None:
    folder = lay(tmp_path / "s", EVIDENCE)
    with build(tmp_path / "case", folder) as case:
        for number, path in enumerate(OPENED):
            extract_item(case, case.find(path), tmp_path / str(number), (), Limits())
        assert (tmp_path / "0").read_bytes() == NOTE
        same, differences = check_evidence(case, passwords=(), jobs=1, tell=lambda event: None)
        assert not differences
        assert same == case.catalog.totals()[0]


def test_ingest_guesses_and_says_how_many_it_opened(tmp_path: Path) -> None:
    case = tmp_path / "case"
    archivore("new", case)
    answer = archivore("ingest", lay(tmp_path / "s", EVIDENCE), "--guess-passwords", case=case)
    assert answer.returncode == 0, answer.stderr
    assert "Passwords found in the case opened 7 of 8 protected items." in answer.stdout


def test_protected_items_are_listed_by_kind_with_what_was_tried(tmp_path: Path) -> None:
    folder = lay(tmp_path / "s", {"a/half.zip": locked("?", b"closed", inner=b"open"), "a/b.txt": "wrong\n"})
    words = lay(tmp_path, {"words.txt": "one\ntwo\n"}) / "words.txt"
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", folder, "--label", "s", "--passwords", words, "--guess-passwords", case=case)
    table = archivore("problems", "--cause", "encrypted", case=case)
    assert table.returncode == 0, table.stderr
    for said in ("s:a/half.zip", "zip ZipCrypto", "1 of 2 members: note.txt"):
        assert said in table.stdout
    (row,) = lines(archivore("problems", "--cause", "encrypted", "--json", case=case))
    told = row["protection"]
    assert row["path"] == "s:a/half.zip!/note.txt"
    assert isinstance(told, dict)
    assert told["kinds"] == ["zip ZipCrypto"]
    assert told["tried_from"][0] == "the given list: 2"
    assert "found in s:a/b.txt: 1" in told["tried_from"]
    assert told["tried"] == sum(int(each.rpartition(": ")[2]) for each in told["tried_from"])
    plain = tmp_path / "plain"
    archivore("new", plain)
    archivore("ingest", lay(tmp_path / "t", {"a.txt": "x"}), case=plain)
    assert archivore("problems", "--cause", "encrypted", case=plain).returncode == 1


def test_a_closed_archive_in_one_that_is_closed_in_part_is_read_again_too(tmp_path: Path) -> None:
    outer = bundle({"inner.zip": locked("inside", name="in.txt")})
    archive = MAKER.Archive()
    archive.add(b"inner.zip", outer)
    packed = MAKER.pkzip(NOTE, b"outside", MAKER.zlib.crc32(NOTE) >> 24)
    archive.add(b"out.txt", NOTE, flags=1, packed=packed)
    folder = lay(tmp_path / "s", {"outer.zip": archive.end()})
    with build(tmp_path / "case", folder, guess=False) as case:
        closed = list(case.catalog.with_problem("encrypted"))
        assert len(closed) == 2
        read_again(
            case,
            closed,
            limits=Limits(),
            passwords=(Password("inside", "line 1"),),
            jobs=1,
            tell=lambda event: None,
        )
        assert origins(case) == {"s:outer.zip!/inner.zip!/inner.zip!/in.txt": "line 1"}
        left = [str(item.provenance) for item in case.catalog.with_problem("encrypted")]
        assert left == ["s:outer.zip!/out.txt"]


def test_what_was_tried_is_counted_once_however_often_it_was_offered() -> None:
    offered = Passwords(tuple(Password(str(each), f"found in s:a, line {each}") for each in range(5)), tries=7)
    list(offered)
    list(offered)
    told = {entry.name: entry.value for entry in offered.fields()}
    assert told == {"encryption.tried": 5, "encryption.tried_from": "found in s:a: 5"}
    few = Passwords((Password("a", "line 1"), Password("b", "found in s:b, line 2")), tries=1)
    list(few)
    assert [(entry.name, entry.value) for entry in few.fields()] == [
        ("encryption.tried", 1),
        ("encryption.tried_from", "the given list: 1"),
        ("encryption.untried", 1),
    ]
    assert not list(Passwords().fields())


def test_what_stays_closed_says_how_it_is_opened(tmp_path: Path) -> None:
    folder = lay(tmp_path / "s", {"half.zip": locked("snow", NOTE)})
    words = lay(tmp_path, {"words.txt": "snow\n"}) / "words.txt"
    case = tmp_path / "case"
    archivore("new", case)
    archivore("ingest", folder, "--label", "s", case=case)
    again = archivore("ingest", folder, "--label", "s", "--passwords", words, case=case)
    assert "archivore retry --cause encrypted --passwords FILE" in again.stderr
    archivore("retry", "--cause", "encrypted", "--passwords", words, case=case)
    refused = archivore("extract", "s:half.zip!/note.txt", "-o", tmp_path / "out", case=case)
    assert refused.returncode == 2
    assert "give passwords with --passwords FILE" in refused.stderr
