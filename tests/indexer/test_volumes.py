"""Sets of volumes: joined in folders and in containers, whatever their order, and the same however work was shared."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from cli.runs import extract_item, read_again
from crawling import ListOutlet
from indexer.crawl import Crawler
from indexer.ingest import Ingest
from indexer.limits import Limits
from indexer.model import Hop, Item, Provenance, Source
from indexer.passwords import Password
from indexer.places import Place
from indexer.registry import all_handlers
from indexer.sources import Beside
from indexer.volumes import Joined, Names, is_bare
from search.case import Case

NOTE = "第44镜：雪景，灯光偏蓝。\n44번 컷: 눈이 내린다.\n".encode()
NOISE = Random(44).randbytes(30_000)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return body.getvalue()


def cut(data: bytes, size: int, name: str) -> dict[str, bytes]:
    return {f"{name}.{at // size + 1:03}": data[at : at + size] for at in range(0, len(data), size)}


WHOLE = zip_of({"a/note.txt": NOTE, "noise.bin": NOISE, "b/last.txt": b"the last one\n"})
PIECES = cut(WHOLE, 7_000, "cels.zip")


def lay(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def ingest(folder: Path, case_path: Path, *, jobs: int = 1, limits: Limits | None = None, password: str = "") -> None:
    with Case(case_path, write=True) if case_path.exists() else Case.create(case_path) as case:
        passwords = (Password(password, "line 1"),) if password else ()
        case.keep_source(Source("s", str(folder)))
        Ingest(case, case.scratch, limits=limits, passwords=passwords, jobs=jobs).run([Source("s", str(folder))])


def items(case_path: Path) -> dict[str, Item]:
    with Case(case_path) as case:
        return {str(item.provenance): item for item in case.items(with_text=True)}


def rows(case_path: Path) -> list[str]:
    """Every item as JSON but for the times of the file system."""
    found = []
    for item in items(case_path).values():
        row = item.to_json(with_text=True)
        row["timestamps"] = [each for each in row["timestamps"] if not each["origin"].startswith("fs.")]  # type: ignore[union-attr,index]
        found.append(json.dumps(row))
    return found


def crawl_beside(files: Mapping[str, bytes], name: str, *, password: str = "") -> dict[str, Item]:
    """What comes out of one of several files of a folder."""
    outlet = ListOutlet()
    passwords = (Password(password, "line 1"),) if password else ()
    crawler = Crawler(all_handlers(), outlet, None, passwords)
    place = Place(Provenance("s", (Hop(name.encode(), name),)))
    names: Names[bytes] = Names()
    for each, data in files.items():
        names.add(each, data)

    def open_sibling(wanted: str) -> io.BytesIO | None:
        data = names.find(wanted)
        return None if data is None else io.BytesIO(data)

    crawler.walk(place, io.BytesIO(files[name]), siblings=open_sibling)
    return {str(item.provenance): item for item in outlet.items}


def messages(item: Item) -> str:
    return " | ".join(problem.message for problem in item.problems)


def test_pieces_in_a_folder_are_read_as_one_file_and_each_is_an_item(tmp_path: Path) -> None:
    ingest(lay(tmp_path / "e", PIECES), tmp_path / "case")
    found = items(tmp_path / "case")
    assert found["s:cels.zip.001!/cels.zip!/a/note.txt"].texts[0].body.encode() == NOTE
    assert found["s:cels.zip.001!/cels.zip"].size == len(WHOLE)
    for name in list(PIECES)[1:]:
        assert found[f"s:{name}"].status == "read"
        assert {each.name: each.value for each in found[f"s:{name}"].fields}["archive.part_of"] == "cels.zip.001"


def test_pieces_among_members_come_in_any_order_and_in_their_own_folder_only(tmp_path: Path) -> None:
    turned = {f"x/{name.upper()}": data for name, data in reversed(PIECES.items())}
    other = {f"y/{name}": data for name, data in list(PIECES.items())[1:]}
    ingest(lay(tmp_path / "e", {"all.zip": zip_of({**turned, **other})}), tmp_path / "case")
    found = items(tmp_path / "case")
    assert found["s:all.zip!/x/CELS.ZIP.001!/CELS.ZIP!/a/note.txt"].status == "read"
    assert "cels.zip.001 is not here" in messages(found["s:all.zip!/y/cels.zip.002"])


def test_a_piece_that_is_missing_is_named_and_what_is_left_is_read(tmp_path: Path) -> None:
    some = {name: data for name, data in PIECES.items() if not name.endswith("3")}
    ingest(lay(tmp_path / "e", some), tmp_path / "case")
    found = items(tmp_path / "case")
    assert "cels.zip.003 is not here" in messages(found["s:cels.zip.001"])
    assert "cels.zip.003 is not here" in messages(found["s:cels.zip.001!/cels.zip"])
    assert found["s:cels.zip.001!/cels.zip!/a/note.txt"].status == "read"
    assert found["s:cels.zip.001!/cels.zip!/b/last.txt"].status == "read"
    assert found["s:cels.zip.001!/cels.zip!/noise.bin"].problems


def test_the_same_piece_is_not_read_alike_where_its_siblings_differ(tmp_path: Path) -> None:
    alone = {f"b/{name}": data for name, data in list(PIECES.items())[:2]}
    ingest(lay(tmp_path / "e", {**{f"a/{name}": data for name, data in PIECES.items()}, **alone}), tmp_path / "case")
    found = items(tmp_path / "case")
    assert found["s:a/cels.zip.001!/cels.zip"].size == len(WHOLE)
    assert found["s:b/cels.zip.001!/cels.zip"].size == 14_000


def evidence_of_sets(tmp_path: Path) -> Path:
    """Sets in folders and archives, with copies of the same pieces, and one archive in another."""
    files: dict[str, bytes] = {}
    for day in range(4):
        whole = zip_of({f"{number}.txt": b"%d %d " % (day, number) + NOTE * 20 for number in range(40)})
        pieces = cut(whole, 9_000, "day.zip")
        files |= {f"{day}/{name}": data for name, data in pieces.items()}
        files[f"{day}.zip"] = zip_of({"notes.txt": NOTE, **dict(reversed(pieces.items())), "deep.zip": zip_of(pieces)})
    return lay(tmp_path / "e", files)


def test_one_worker_or_two_give_the_same(tmp_path: Path) -> None:
    folder = evidence_of_sets(tmp_path)
    ingest(folder, tmp_path / "one", jobs=1)
    ingest(folder, tmp_path / "two", jobs=2)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert "s:3.zip!/deep.zip!/day.zip.001!/day.zip!/39.txt" in items(tmp_path / "one")


def test_killed_and_resumed_gives_the_same(tmp_path: Path) -> None:
    folder = evidence_of_sets(tmp_path)
    ingest(folder, tmp_path / "whole", jobs=1)
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n"
        "from pathlib import Path\nfrom test_volumes import ingest\n"
        "ingest(Path(sys.argv[1]), Path(sys.argv[2]), jobs=2)"
    )
    Case.create(tmp_path / "killed").close()
    for attempt in range(5):
        command = [sys.executable, "-c", code, str(folder), str(tmp_path / "killed")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(0.7 + 0.25 * attempt)
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
    ingest(folder, tmp_path / "killed", jobs=2)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_members_read_before_are_still_there_for_their_siblings(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", {"all.zip": zip_of(PIECES)})
    ingest(folder, tmp_path / "case")
    before = rows(tmp_path / "case")
    with Case(tmp_path / "case", write=True) as case:
        # As if a run had been killed when all but the first piece was kept, and not yet their container.
        first = case.find("s:all.zip!/cels.zip.001")
        case.catalog.forget_below([first.id])
        root = first.provenance.root.id
        case.catalog._drop("id = ?", (bytes.fromhex(root),))
        case.catalog.journal.open_root(root, "s")
        case.commit()
    ingest(folder, tmp_path / "case")
    assert rows(tmp_path / "case") == before


@pytest.mark.parametrize("packed", [False, True])
def test_a_piece_and_what_is_inside_can_be_read_again_and_extracted(tmp_path: Path, packed: bool) -> None:
    folder = lay(tmp_path / "e", {"all.zip": zip_of(PIECES)} if packed else PIECES)
    above = "s:all.zip!/" if packed else "s:"
    ingest(folder, tmp_path / "case")
    before = rows(tmp_path / "case")
    with Case(tmp_path / "case", write=True) as case:
        for path in ("cels.zip.001", "cels.zip.003", "cels.zip.001!/cels.zip", "cels.zip.001!/cels.zip!/noise.bin"):
            chosen = [case.find(above + path)]
            read_again(case, chosen, limits=Limits(), passwords=(), jobs=1, tell=lambda event: None)
        item = case.find(f"{above}cels.zip.001!/cels.zip!/noise.bin")
        extract_item(case, item, tmp_path / "noise", (), Limits())
    assert rows(tmp_path / "case") == before
    assert (tmp_path / "noise").read_bytes() == NOISE


def test_what_finds_no_room_while_it_waits_says_so() -> None:
    outlet = ListOutlet()
    crawler = Crawler(all_handlers(), outlet, Limits(spool_bytes=20_000))
    place = Place(Provenance("s", (Hop(b"all.zip", "all.zip"),)))
    crawler.walk(place, io.BytesIO(zip_of(PIECES)))
    found = {str(item.provenance): item for item in outlet.items}
    assert "spool_bytes" in messages(found["s:all.zip!/cels.zip.001"])


def test_a_name_from_evidence_leads_nowhere_else(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", {"in/a.001": b"x", "in/B.002": b"y", "out.002": b"z"})
    os.symlink("../out.002", folder / "in" / "a.002")
    os.mkfifo(folder / "in" / "a.003")
    beside = Beside(Source("s", str(folder)), b"in/a.001")
    for name in ("../out.002", "/etc/hostname", "..", "", "a.002", "a.003", "in/a.001", "x\0", "..\\out.002"):
        assert beside(name) is None, name
    file = beside("b.002")
    assert file is not None
    assert file.read() == b"y"
    beside.close()
    alone = Beside(Source("s", str(folder / "in" / "a.001")), b"a.001")
    assert alone("B.002") is not None
    alone.close()


def test_siblings_with_foreign_names_are_found_as_shown(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    for name, data in PIECES.items():
        (folder / os.fsdecode(name.replace("cels", "원화").encode("cp949"))).write_bytes(data)
    ingest(folder, tmp_path / "case")
    assert "s:원화.zip.001!/원화.zip!/a/note.txt" in items(tmp_path / "case")


def test_a_sibling_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", {"a.001": b"x", "a.002": b"y"})
    beside = Beside(Source("s", str(folder)), b"a.001")
    assert beside("a.002") is not None
    assert beside.changed() is None
    os.utime(folder / "a.002", (1, 1))
    problem = beside.changed()
    assert problem is not None
    assert problem.cause == "changed"
    beside.close()


def test_joined_reads_across_its_parts_and_holes() -> None:
    whole = bytes(range(200)) + bytes(70) + b"end"
    view = Joined([io.BytesIO(whole[:50]), io.BytesIO(whole[50:200]), 70, io.BytesIO(b"end")])
    assert view.read() == whole
    random = Random(1)
    for _ in range(300):
        at, size = random.randrange(300), random.randrange(120)
        view.seek(at)
        assert view.read(size) == whole[at : at + size]
    buffer = bytearray(60)
    view.seek(30)
    assert view.readinto(buffer) == 60
    assert buffer == whole[30:90]
    assert view.cut(10)
    view.seek(0)
    assert view.read() == whole[:10]


def test_names_are_matched_exactly_first() -> None:
    names: Names[int] = Names()
    for number, name in enumerate(("A.z01", "a.Z01", "a.z01")):
        names.add(name, number)
    assert [names.find(name) for name in ("A.z01", "a.Z01", "a.z01", "A.Z01", "b.z01")] == [0, 1, 2, 0, None]
    assert [is_bare(name) for name in ("a", "a/b", "a\\b", "..", ".", "")] == [True, *[False] * 5]


FIXTURES = Path(__file__).parents[2] / "fixtures"
SETS = [*sorted(FIXTURES.glob("*/set*/input.zip")), FIXTURES / "split-file" / "zip" / "input.zip"]


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("path", SETS, ids=lambda path: f"{path.parents[1].name}-{path.parent.name}")
def test_a_set_in_a_folder_gives_what_it_gives_among_members(path: Path) -> None:
    files = members_of(path)
    found = {each: item for name in files for each, item in crawl_beside(files, name).items()}
    outlet = ListOutlet()
    Crawler(all_handlers(), outlet).walk(Place(Provenance("s", (Hop(b"x", "x"),))), io.BytesIO(path.read_bytes()))
    inside = {re.sub("^s:x!/(44/|day1/)?", "s:", str(item.provenance)): item for item in outlet.items[:-1]}
    assert {name: (each.size, each.digests, each.problems) for name, each in inside.items()} == {
        name: (each.size, each.digests, each.problems) for name, each in found.items()
    }


@pytest.mark.parametrize("path", SETS, ids=lambda path: f"{path.parents[1].name}-{path.parent.name}")
def test_damage_to_a_volume_never_ends_in_a_crash(path: Path) -> None:
    files, random = members_of(path), Random(path.parent.name)
    for _ in range(12):
        name = random.choice(sorted(files))
        data = bytearray(files[name])
        for _ in range(random.randrange(4)):
            data[random.randrange(len(data))] = random.randrange(256)
        spoilt = {**files, name: bytes(data[: random.choice((len(data), random.randrange(len(data))))])}
        for each in spoilt:
            for item in crawl_beside(spoilt, each).values():
                assert "crash" not in {problem.cause for problem in item.problems}, (each, messages(item))
