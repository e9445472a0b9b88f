"""What other platforms take: load files, STIX, CASE. Whole, the same each time, and sound by their own rules."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.errors import UsageError
from indexer.model import Source
from search.case import Case
from search.exporting import digest_of, export, report_of
from search.featuring import update

MAIL = """From: lead@studio.example
To: a@b.example
Subject: =?utf-8?q?=C3=BE_retakes_=C2=AE?=
Date: Tue, 2 Apr 2024 05:41:03 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset=utf-8

무적 수정 부탁
--x
Content-Type: application/zip
Content-Disposition: attachment; filename=cuts.zip
Content-Transfer-Encoding: base64

{}
--x--
"""
NAMES = ("cut.txt", "분기\u202e.txt", "a\x1bb.txt")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    from base64 import encodebytes

    folder = tmp_path_factory.mktemp("platforms")
    evidence = folder / "evidence"
    (evidence / "sub").mkdir(parents=True)
    with zipfile.ZipFile(folder / "cuts.zip", "w") as archive:
        for name in NAMES:
            archive.writestr(zipfile.ZipInfo(name), "ann@studio.example 175.45.176.3 C:\\Users\\ann\\x QQ:123456789")
    packed = (folder / "cuts.zip").read_bytes()
    (evidence / "m.eml").write_text(MAIL.format(encodebytes(packed).decode()))
    (evidence / "m.eml copy.txt").write_text("stands between a mail and its parts where paths are sorted")
    (evidence / "sub" / "cuts.zip").write_bytes(packed)
    (evidence / os.fsdecode(b"\xff\xfe.txt")).write_bytes(b"\x1b[31m red")
    (evidence / "link").symlink_to("m.eml")
    with Case.create(folder / "case") as made:
        source = Source("s", str(evidence), custodian="studio")
        ingest_sources(made, [source], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        update(made)
        made.review.tag([next(item.id for item in made.items() if item.name == "m.eml")], "notable")
        made.commit()
        made.update_index()
        yield made


def written(case: Case, tmp_path: Path, kind: str, query: str = "") -> Path:
    path = tmp_path / f"out-{kind}"
    first = export(report_of(case, query), kind, path)
    again = export(report_of(case, query), kind, tmp_path / f"again-{kind}")
    assert first.sha256 == again.sha256 == digest_of(path)
    assert (tmp_path / f"out-{kind}.about.json").exists()
    assert not list(tmp_path.glob("*.part"))
    return path


# -- load files --------------------------------------------------------------------------------


def load(path: Path) -> list[dict[str, str]]:
    text = (path / "load.dat").read_bytes().decode("utf-8-sig")
    rows = [line[1:-1].split("þ\x14þ") for line in text.split("\r\n")[:-1]]
    assert all(len(row) == len(rows[0]) for row in rows)
    assert text.count("þ") == 2 * len(rows) * len(rows[0])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def test_families_stand_together_and_keys_follow_one_another(case: Case, tmp_path: Path) -> None:
    path = written(case, tmp_path, "dat")
    rows = load(path)
    assert [row["BEGDOC"] for row in rows] == [f"ARC{number:08}" for number in range(1, len(rows) + 1)]
    assert len(rows) == case.catalog.totals()[0]
    head = next(row for row in rows if row["FILENAME"] == "m.eml")
    family = [row for row in rows if row["BEGATTACH"] == head["BEGDOC"]]
    assert [row["FILENAME"] for row in family][:2] == ["m.eml", "cuts.zip"]
    assert len(family) == 2 + len(NAMES)
    assert {row["ENDATTACH"] for row in family} == {family[-1]["BEGDOC"]}
    assert family[1]["PARENTID"] == head["BEGDOC"]
    assert {row["PARENTID"] for row in family[2:]} == {family[1]["BEGDOC"]}
    between = next(row for row in rows if row["FILENAME"] == "m.eml copy.txt")
    assert (between["BEGATTACH"], between["ENDATTACH"], between["PARENTID"]) == ("", "", "")


def test_values_are_kept_and_delimiters_in_them_made_visible(case: Case, tmp_path: Path) -> None:
    rows = load(written(case, tmp_path, "dat"))
    head = next(row for row in rows if row["FILENAME"] == "m.eml")
    assert head["SUBJECT"] == "\\xfe retakes \\xae"
    assert (head["FROM"], head["CUSTODIAN"], head["TAGS"]) == ("lead@studio.example", "studio", "notable")
    assert head["DATESENT"] == "2024-04-02T05:41:03Z"
    item = case.find(head["ITEMID"])
    assert item.digests
    assert head["SHA256HASH"] == item.digests.sha256
    assert json.loads(head["METADATA"])["mail.to"] == ["a@b.example"]


def test_texts_lie_where_the_load_file_says(case: Case, tmp_path: Path) -> None:
    path = written(case, tmp_path, "dat")
    rows = load(path)
    named = {row["TEXTPATH"] for row in rows} - {""}
    held = {each.relative_to(path).as_posix().replace("/", "\\") for each in path.rglob("*.txt")}
    assert named == held
    head = next(row for row in rows if row["FILENAME"] == "m.eml")
    assert "무적 수정 부탁" in (path / head["TEXTPATH"].replace("\\", "/")).read_text("utf-8")
    assert (path / "load.opt").read_bytes() == b""


def test_pictures_go_along_where_they_can_be_had(case: Case, tmp_path: Path) -> None:
    from msgspec.structs import replace

    report = replace(report_of(case, "name:cut"), thumbnail=lambda item: b"jpeg" if item.name == "cut.txt" else None)
    export(report, "dat", tmp_path / "out")
    lines = (tmp_path / "out" / "load.opt").read_text().splitlines()
    key = re.fullmatch(r"(ARC\d{8}),VOL001,IMAGES\\0001\\(ARC\d{8})\.jpg,Y,,,1", lines[0])
    assert key and key[1] == key[2]
    assert len(lines) == 2
    assert (tmp_path / "out" / "IMAGES" / "0001" / f"{key[1]}.jpg").read_bytes() == b"jpeg"


def test_a_folder_is_whole_or_not_there_and_told_apart_from_any_other(case: Case, tmp_path: Path) -> None:
    path = written(case, tmp_path, "dat")
    digest = digest_of(path)
    with pytest.raises(UsageError, match="there already"):
        export(report_of(case), "dat", path)
    with pytest.raises(UsageError):
        export(report_of(case), "dat", tmp_path / "no" / "such")
    text = next(path.rglob("*.txt"))
    text.rename(text.with_name("other.txt"))
    assert digest_of(path) != digest
    text.with_name("other.txt").rename(text)
    assert digest_of(path) == digest
    text.write_bytes(text.read_bytes() + b" ")
    assert digest_of(path) != digest


def test_a_folders_digest_is_over_its_files_sorted_by_path(tmp_path: Path) -> None:
    for name in ("a/b", "a/b.txt/c", "a.txt", "a0/b", "a/b-c", "z", "a/b.d", "empty/.x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text(name)
    (tmp_path / "nothing").mkdir()
    files = [each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*") if each.is_file()]
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in sorted(files)]
    assert len(lines) == 8
    assert digest_of(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


# -- STIX --------------------------------------------------------------------------------------


def objects(path: Path) -> dict[str, dict[str, Any]]:
    bundle = json.loads(path.read_text("ascii"))
    found = {made["id"]: made for made in bundle["objects"]}
    assert len(found) == len(bundle["objects"])
    return found


def test_every_reference_of_a_bundle_is_in_it(case: Case, tmp_path: Path) -> None:
    found = objects(written(case, tmp_path, "stix"))
    for made in found.values():
        for each in (*made.get("contains_refs", ()), *([made["parent_directory_ref"]] if "name" in made else [])):
            assert each in found
    archives = [made for made in found.values() if made.get("name") == "cuts.zip"]
    assert [len(made["contains_refs"]) for made in archives] == [3, 3]
    text = next(made for made in found.values() if made.get("name") == "cut.txt")
    named = {found[each]["type"] for each in text["contains_refs"]}
    assert named == {"email-addr", "domain-name", "ipv4-addr", "user-account"}


def test_a_part_of_the_case_names_only_itself(case: Case, tmp_path: Path) -> None:
    found = objects(written(case, tmp_path, "stix", "ext:zip"))
    assert {made["type"] for made in found.values()} == {"directory", "file"}
    assert not any("contains_refs" in made for made in found.values())


def test_ids_are_made_as_the_specification_says(case: Case, tmp_path: Path) -> None:
    found = objects(written(case, tmp_path, "stix"))
    space = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
    made_of = '{"value":"ann@studio.example"}'
    assert f"email-addr--{uuid.uuid5(space, made_of)}" in found
    stix2 = pytest.importorskip("stix2")
    stix2.parse(json.loads((tmp_path / "out-stix").read_text()), allow_custom=False, version="2.1")
    for made in found.values():
        made_again = stix2.parse({key: value for key, value in made.items() if key != "id"}, version="2.1")
        assert made_again.id == made["id"]


def test_a_url_of_a_bundle_is_one_by_the_book() -> None:
    from search.exports.stix import _uri

    told = _uri("http://[2001:db8::1]:8/a[1]?b[]=%zz#c#100%25")
    assert told == "http://[2001:db8::1]:8/a%5B1%5D?b%5B%5D=%25zz#c%23100%25"
    assert _uri("https://cut.example/a%20b?x=1#y") == "https://cut.example/a%20b?x=1#y"


# -- CASE --------------------------------------------------------------------------------------


def graph(path: Path) -> dict[str, dict[str, Any]]:
    document = json.loads(path.read_text("ascii"))
    found = {node["@id"]: node for node in document["@graph"]}
    assert len(found) == len(document["@graph"])
    return found


def test_a_graph_has_every_item_where_it_is_and_what_made_it(case: Case, tmp_path: Path) -> None:
    found = graph(written(case, tmp_path, "case"))
    kinds: dict[str, list[dict[str, Any]]] = {}
    for node in found.values():
        kinds.setdefault(node["@type"].partition(":")[2], []).append(node)
    items = list(case.items())
    assert len(kinds["File"]) == len(items)
    assert len(kinds["ObservableRelationship"]) == sum(1 for item in items if item.provenance.parent)
    for node in kinds["ObservableRelationship"]:
        assert node["uco-core:source"]["@id"] in found and node["uco-core:target"]["@id"] in found
    (action,) = kinds["InvestigativeAction"]
    answer = found[action["uco-action:result"]["@id"]]
    assert {each["@id"] for each in answer["uco-core:object"]} == {node["@id"] for node in kinds["File"]}
    assert [found[each["@id"]]["uco-core:name"] for each in action["uco-action:object"]] == ["s"]


def test_containers_around_an_answer_are_places_only(case: Case, tmp_path: Path) -> None:
    found = graph(written(case, tmp_path, "case", 'name:"cut.txt"'))
    files = [node for node in found.values() if node["@type"] == "uco-observable:File"]
    facets = {node["uco-core:hasFacet"][0]["uco-observable:fileName"]: node["uco-core:hasFacet"] for node in files}
    assert {name: len(each) for name, each in facets.items()} == {"cut.txt": 2, "cuts.zip": 1, "m.eml": 1}
    answer = next(node for node in found.values() if node["@id"].startswith("kb:answer-"))
    assert len(answer["uco-core:object"]) == 2


def test_an_answer_of_nothing_is_a_graph_too(case: Case, tmp_path: Path) -> None:
    found = graph(written(case, tmp_path, "case", "ext:none"))
    assert not any(node["@type"] == "uco-observable:File" for node in found.values())
    assert objects(written(case, tmp_path, "stix", "ext:none")) == {}
    assert load(written(case, tmp_path, "dat", "ext:none")) == []


@pytest.mark.skipif(not shutil.which("case_validate"), reason="case-utils is not installed")
def test_the_ontology_takes_the_graph(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonld"
    export(report_of(case), "case", path)
    told = subprocess.run(["case_validate", str(path)], capture_output=True, text=True, check=False)
    assert (told.returncode, "Conforms: True" in told.stdout) == (0, True), told.stdout + told.stderr
