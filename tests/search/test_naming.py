"""Names as data: the forms that studios write, in their scripts, and what is no such form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer.errors import UsageError
from indexer.model import Hop
from search.naming import Naming


def say(*names: str, naming: Naming | None = None) -> dict[str, object]:
    naming = naming or Naming()
    return {field.name.removeprefix("name."): field.value for field in naming.fields([Hop(b"", n) for n in names])}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S03E05_C034_v2_fix.png", {"season": 3, "episode": 5, "cut": 34, "version": 2, "state": "fix"}),
        ("ep12.mov", {"episode": 12}),
        ("EP-007_final.mp4", {"episode": 7, "state": "ok"}),
        ("第3话.psd", {"episode": 3}),
        ("第五集", {"episode": 5}),
        ("第二十三話", {"episode": 23}),
        ("3화_원화.zip", {"episode": 3, "department": "key animation"}),
        ("3부5회", {"season": 3, "episode": 5}),
        ("제12화 수정", {"episode": 12, "state": "fix"}),
        ("sc_012_BG.psd", {"scene": 12, "department": "background"}),
        ("カット12_リテイク.tga", {"cut": 12, "state": "retake"}),
        ("컷 045 동화", {"cut": 45, "department": "in-between"}),
        ("镜头07_上色", {"cut": 7, "department": "colour"}),
        ("sq010_sh0040_T2.exr", {"sequence": 10, "cut": 40, "take": 2}),
        ("2024-04-02_작업노트.txt", {"date": "2024-04-02"}),
        ("backup_20240402.tar", {"date": "2024-04-02"}),
        ("2024年4月2日.txt", {"date": "2024-04-02"}),
        ("分镜_v03.pdf", {"department": "storyboard", "version": 3}),
        ("원화_034-045.tar.xz", {"department": "key animation"}),
    ],
)
def test_what_studios_write(name: str, expected: dict[str, object]) -> None:
    assert say(name) == expected


@pytest.mark.parametrize(
    "name", ["readme.txt", "access.log", "IMG_2041.jpg", "mp4.bin", "20241399.txt", "abc12.txt", "data.csv", "vista"]
)
def test_what_is_no_such_form(name: str) -> None:
    assert say(name) == {}


def test_the_name_speaks_before_the_folder_and_the_folder_before_its_container() -> None:
    assert say("S01E09.zip", "S03E05/원화/C034.psd") == {
        "season": 3, "episode": 5, "cut": 34, "department": "key animation",
    }  # fmt: skip
    assert say("S01E09.zip", "C034.psd") == {"season": 1, "episode": 9, "cut": 34}


def test_every_default_pattern_gives_what_its_example_says() -> None:
    naming = Naming()
    for pattern in naming.patterns:
        name, _, value = pattern.example.partition(" -> ")
        assert str(say(name)[pattern.field.removeprefix("name.")]) == value, pattern


def test_hostile_names_are_read_in_linear_time() -> None:
    for name in ("S" * 100_000, "第" + "一" * 100_000 + "集", "1" * 100_000 + "화", "\x00\ud800", ""):
        say(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[pattern]]\nfield='name.x'\nregex='(a'", "RE2"),
        ("[[pattern]]\nfield='size'\nregex='a'", "name.something"),
        ("[[pattern]]\nfield='name.x'\nkind='colour'\nregex='a'", "kind"),
        ("[[pattern", "names.toml"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "names.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        Naming.of(tmp_path)


def test_the_file_in_the_case_stands_in_the_place_of_the_default(tmp_path: Path) -> None:
    (tmp_path / "names.toml").write_text("[[pattern]]\nfield='name.reel'\nkind='number'\nregex='(?:^|_)r(\\d+)'")
    assert say("show_R007_C034.dpx", naming=Naming.of(tmp_path)) == {"reel": 7}
