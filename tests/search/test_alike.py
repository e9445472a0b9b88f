"""Near-duplicates: texts with words changed and pictures edited are found, others are not, all through workers."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageEnhance

from cli.looks import look_at, look_at_file
from cli.runs import ingest_sources, limits_of
from indexer.errors import EvidenceError, UsageError
from indexer.likeness import CROPS, SIZE, likeness
from indexer.model import Source
from search.alike import FILE, Alike, similar, similar_to_picture
from search.case import Case
from search.clustering import Clusters, clusters_in, keep_clusters, notes_of_clusters, report_of_clusters
from search.engine.signatures import Pictures, Texts, sign_text
from search.engine.signatures import clusters as join
from search.exporting import export
from search.facets import facets


def scene(seed: int) -> Image.Image:
    chooser = random.Random(seed)
    picture = Image.new("RGB", (320, 200), tuple(chooser.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y = chooser.randrange(320), chooser.randrange(200)
        box = (x - chooser.randrange(10, 80), y - chooser.randrange(10, 60), x + 40, y + 30)
        pen.ellipse(box, fill=tuple(chooser.randrange(256) for _ in range(3)))
    return picture


def file_of(picture: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    body = io.BytesIO()
    picture.save(body, kind, **options)
    return body.getvalue()


def essay(seed: int, changed: float = 0.0, words: int = 200) -> str:
    chooser = random.Random(seed)
    text = ["".join(chooser.choices("가나다라마바사아자차카타파하修改背景天空线条abcdefgh", k=3)) for _ in range(words)]
    other = random.Random(seed + 1000)
    return " ".join(
        "".join(other.choices("가나다라중국xyz", k=3)) if other.random() < changed else word for word in text
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("alike")
    day = folder / "day1"
    day.mkdir()
    (day / "one.png").write_bytes(file_of(scene(1)))
    (day / "one small.jpg").write_bytes(file_of(scene(1).resize((160, 100)), "JPEG", quality=40))
    (day / "one copy.png").write_bytes(file_of(scene(1)))
    (day / "two.png").write_bytes(file_of(scene(2)))
    (day / "blank.png").write_bytes(file_of(Image.new("RGB", (64, 64), "white")))
    (day / "broken.png").write_bytes(file_of(scene(3))[:400])
    with zipfile.ZipFile(day / "daily.zip", "w") as archive:
        archive.writestr("cut.jpg", file_of(scene(1).crop((8, 5, 320, 200)), "JPEG"))
        archive.writestr("note.txt", essay(5, 0.08))
    with zipfile.ZipFile(day / "more.zip", "w") as archive:
        for seed in (8, 9):
            archive.writestr(f"{seed}.png", file_of(scene(seed)))
        archive.writestr("broken inside.png", file_of(scene(7))[:500])
    (day / "a.txt").write_text(essay(5))
    (day / "b.txt").write_text(essay(6))
    (day / "short.txt").write_text("retake")
    with Case.create(folder / "case") as made:
        source = Source("day1", str(day))
        ingest_sources(made, [source], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


@pytest.fixture
def alike(case: Case) -> Iterator[Alike]:
    with closing(Alike(case)) as made:
        made.take_texts()
        made.take_pictures(look_at(case, (), limits_of(case), 2))
        yield made


def names(report: object) -> list[str]:
    rows = report.sheets[0].rows()  # type: ignore[attr-defined]
    return [str(row.exact["path"]).partition(":")[2] for row in rows]


def test_edited_pictures_are_found_wherever_they_lie(case: Case, alike: Alike) -> None:
    report = similar(alike, case.find("day1:one.png"))
    assert sorted(names(report)) == ["daily.zip!/cut.jpg", "one copy.png", "one small.jpg"]
    rows = [row.exact for row in report.sheets[0].rows()]
    assert rows[0]["likeness"] == 1.0
    assert rows[0]["kind"] == "picture"
    assert {row["width"] for row in rows} == {320, 160, 312}


def test_a_picture_from_elsewhere_finds_its_copies(case: Case, alike: Alike, tmp_path: Path) -> None:
    outside = tmp_path / "poster.webp"
    outside.write_bytes(file_of(ImageEnhance.Brightness(scene(2).rotate(1)).enhance(1.2), "WEBP", quality=50))
    report = similar_to_picture(alike, outside, look_at_file(outside, limits_of(case)))
    assert names(report) == ["two.png"]
    (tmp_path / "no.png").write_bytes(b"no picture at all")
    for name in ("no.png", "absent.png"):
        with pytest.raises(UsageError, match=name):
            look_at_file(tmp_path / name, limits_of(case))


def test_members_of_one_container_are_looked_at_together(case: Case, alike: Alike) -> None:
    looked = {each.item.name: each for each in look_at(case, (), limits_of(case), 1)(case.catalog.pictures())}
    assert len(looked) == 9
    for seed in (8, 9):
        assert looked[f"{seed}.png"].body == likeness(io.BytesIO(file_of(scene(seed))))
    assert looked["broken inside.png"].body == b""
    assert looked["broken inside.png"].problem
    assert alike.problems() == 2


def test_changed_texts_are_found(case: Case, alike: Alike) -> None:
    assert names(similar(alike, case.find("day1:a.txt"))) == ["daily.zip!/note.txt"]
    assert names(similar(alike, case.find("day1:b.txt"))) == []
    (note,) = similar(alike, case.find("day1:short.txt")).notes[:1]
    assert "like nothing" in note


def test_clusters_join_what_is_alike(case: Case, alike: Alike) -> None:
    found = clusters_in(alike)
    report = report_of_clusters(alike, found)
    rows = [row.exact for row in report.sheets[0].rows()]
    assert [(row["kind"], row["members"]) for row in rows] == [("picture", 4)] * 4 + [("text", 2)] * 2
    for each in found:
        digests = [item.digests.sha256 for item in map(case.find, each.ids) if item.digests]
        assert each.name == f"{each.kind}-{min(digests)[:16]}"
    assert {row["cluster"] for row in rows} == {each.name for each in found}
    assert names(report_of_clusters(alike, found, "ext:txt")) == ["a.txt", "daily.zip!/note.txt"]
    assert names(report_of_clusters(alike, found, "name:a.txt")) == []
    assert "could not be looked at" in report.notes[0]
    assert report.items is not None
    assert len(list(report.items())) == 6


def test_an_answer_is_exported_as_any_other(case: Case, alike: Alike, tmp_path: Path) -> None:
    for kind in ("csv", "jsonl", "ids", "html"):
        written = export(report_of_clusters(alike, clusters_in(alike)), kind, tmp_path / f"clusters.{kind}")
        assert written.rows == 6


def counted(case: Case) -> dict[object, object]:
    return {row.exact["value"]: row.exact["items"] for row in facets(case, "", ["cluster"]).sheets[0].rows()}


def test_clusters_are_counted_and_asked_for_once_they_are_kept(case: Case, alike: Alike) -> None:
    assert counted(case) == {}
    assert "No clusters were made" in facets(case, "", ["cluster"]).notes[-1]
    found = clusters_in(alike)
    assert keep_clusters(case, found) == 6
    assert facets(case, "", ["cluster"]).notes == ()
    assert counted(case) == {each.name: len(each.ids) for each in found}
    for each in found:
        assert sorted(hit.item.id for hit in case.search(f"cluster:{each.name}", fold=False).hits) == sorted(each.ids)
    assert keep_clusters(case, found) == 0, "nothing changed, so nothing is indexed anew"
    texts = [each for each in found if each.kind == "text"]
    assert keep_clusters(case, [], ["picture"]) == 4, "clusters of another kind stay"
    assert counted(case) == {each.name: 2 for each in texts}
    with closing(Clusters(case.path, write=True)) as kept:
        kept.end("text", (1, 1))
    assert "1 items; it holds" in notes_of_clusters(case)[0]


def test_what_was_looked_at_is_not_looked_at_again(case: Case, alike: Alike) -> None:
    def never(items: object) -> Iterator[object]:
        assert not list(items)  # type: ignore[call-overload]
        yield from ()

    assert alike.take_texts() == 0
    assert alike.take_pictures(never) == 0  # type: ignore[arg-type]
    assert (case.path / FILE).exists()


def test_the_same_picture_gives_the_same_bytes() -> None:
    first, again = (likeness(io.BytesIO(file_of(scene(4)))) for _ in range(2))
    assert first == again
    assert len(first) == 4 + SIZE * len(CROPS)
    assert first[:4] == (320).to_bytes(2, "little") + (200).to_bytes(2, "little")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_kind_of_pixels_is_looked_at(mode: str) -> None:
    grey = scene(4).convert("L")
    if mode in ("I;16", "I", "F"):
        picture = grey.convert("I").point(lambda value: value * 200).convert(mode)
    else:
        picture = scene(4).convert(mode)
    body = file_of(picture, "TIFF")
    kept = Pictures([likeness(io.BytesIO(file_of(scene(4))))[4:]])
    assert kept.like(likeness(io.BytesIO(body))[4:])[0] > 0.8


@pytest.mark.parametrize("body", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", file_of(scene(1))[:300], b"\0" * 100])
def test_what_is_no_picture_is_an_error_of_the_evidence(body: bytes) -> None:
    with pytest.raises(EvidenceError):
        likeness(io.BytesIO(body))


def test_a_picture_of_one_colour_is_like_nothing() -> None:
    assert len(likeness(io.BytesIO(file_of(Image.new("L", (50, 50), 200))))) == 4


def test_recall_and_precision_on_a_small_set() -> None:
    texts = [essay(seed, share, 80) for seed in range(60) for share in (0.0, 0.1)]
    kept = Texts(map(sign_text, texts))
    joined = list(join(kept, 0.5))
    assert sum(1 for rows in joined if len(rows) == 2 and rows[0] // 2 == rows[1] // 2) >= 57
    assert all(row // 2 == rows[0] // 2 for rows in joined for row in rows)
    bodies = []
    for seed in range(30):
        picture = scene(seed)
        for edited in (picture, picture.resize((100, 100)), picture.crop((8, 5, 320, 200)), picture.rotate(1)):
            bodies.append(likeness(io.BytesIO(file_of(edited, "JPEG", quality=30)))[4:])
    found = list(join(Pictures(bodies), 0.75))
    assert [rows for rows in found if len(rows) == 4] == found
    assert len(found) == 30


def test_nothing_at_all_has_no_clusters() -> None:
    assert list(join(Texts([]), 0.5)) == []
    assert list(join(Pictures([]), 0.5)) == []
    assert sign_text([]) == b""
    assert sign_text(["word " * 1000]) == b""
