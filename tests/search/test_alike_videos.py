"""Videos take part in what is nearly the same: by the moments they show, to stills and to one another."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.looks import look_at, look_at_file
from cli.runs import ingest_sources, limits_of
from indexer.model import Item, Source
from search.alike import Alike, Looked, similar, similar_to_picture
from search.case import Case
from search.clustering import clusters_in
from test_footage import film, png, scene, shown


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("videos")
    day = folder / "day1"
    day.mkdir()
    (day / "cut.mp4").write_bytes(film(shown(1, 2, 3)))
    (day / "other.avi").write_bytes(film(shown(7, 8), "avi", "mjpeg"))
    (day / "broken.mp4").write_bytes(film(shown(1))[:3000])
    (day / "layout.png").write_bytes(png(scene(3)))
    with zipfile.ZipFile(day / "daily.zip", "w") as archive:
        archive.writestr("retake.mkv", film([scene(5).resize((320, 192))] * 15 + shown(2), "matroska"))
        archive.writestr("again.mp4", film(shown(8), "mp4"))
    with Case.create(folder / "case") as made:
        source = Source("day1", str(day))
        ingest_sources(made, [source], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


@pytest.fixture
def alike(case: Case) -> Iterator[Alike]:
    with closing(Alike(case)) as made:
        made.take_pictures(look_at(case, (), limits_of(case), 1))
        made.take_videos(look_at(case, (), limits_of(case), 1, film=True))
        yield made


def rows(report: object) -> list[tuple[str, str, object, object]]:
    exact = [row.exact for row in report.sheets[0].rows()]  # type: ignore[attr-defined]
    return [(row["path"].partition(":")[2], row["kind"], row["second"], row["asked_second"]) for row in exact]


def test_a_still_from_elsewhere_finds_the_second_of_a_video(case: Case, alike: Alike, tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    still.write_bytes(png(scene(2).resize((640, 384))))
    report = similar_to_picture(alike, still, look_at_file(still, limits_of(case)))
    found = {name: second for name, _, second, _ in rows(report)}
    assert found.keys() == {"cut.mp4", "daily.zip!/retake.mkv"}
    assert all(3.0 <= second < 6.0 for second in found.values())  # type: ignore[operator]
    assert "1 videos could not be looked at" in report.notes[-1]


def test_a_video_finds_videos_and_stills_that_show_the_same(case: Case, alike: Alike) -> None:
    found = rows(similar(alike, case.find("day1:cut.mp4")))
    assert [(name, kind) for name, kind, _, _ in sorted(found)] == [
        ("daily.zip!/retake.mkv", "video"),
        ("layout.png", "picture"),
    ]
    asked = {name: at for name, _, _, at in found}
    assert 6.0 <= asked["layout.png"] < 9.0  # type: ignore[operator]
    assert [row[0] for row in rows(similar(alike, case.find("day1:other.avi")))] == ["daily.zip!/again.mp4"]


def test_a_picture_of_the_case_finds_the_video(case: Case, alike: Alike) -> None:
    ((name, kind, second, asked),) = rows(similar(alike, case.find("day1:layout.png")))
    assert (name, kind, asked) == ("cut.mp4", "video", None)
    assert 6.0 <= second < 9.0  # type: ignore[operator]
    assert rows(similar(alike, case.find("day1:layout.png"), ["picture"])) == []


def test_videos_are_looked_at_once_and_are_in_no_cluster(case: Case, alike: Alike) -> None:
    def never(items: object) -> Iterator[Looked]:
        assert not list(items)  # type: ignore[call-overload]
        yield from ()

    assert alike.take_videos(never) == 0
    assert clusters_in(alike) == []


def test_without_the_library_videos_are_looked_at_another_time(case: Case, tmp_path: Path) -> None:
    def missing(items: object) -> Iterator[Looked]:
        held: list[Item] = list(items)  # type: ignore[call-overload]
        yield from (Looked(item, b"", "missing-library: looking at videos needs PyAV") for item in held)

    with Case.create(tmp_path / "case") as other:
        source = Source("day1", str(case.catalog.sources()["day1"].path))
        ingest_sources(other, [source], limits=limits_of(other), passwords=(), jobs=1, tell=lambda _: None)
        with closing(Alike(other)) as alike:
            assert alike.take_videos(missing) == 0
            (note,) = alike.notes(["video"])
            assert note == "5 videos were not looked at: missing-library: looking at videos needs PyAV."
            assert alike.take_videos(look_at(other, (), limits_of(other), 1, film=True)) == 5
            assert not [note for note in alike.notes(["video"]) if "PyAV" in note]
