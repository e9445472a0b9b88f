"""Member names: one vote for the whole container, and nothing that a hostile name can break."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import UsageError
from indexer.names import Decision, decode_as, decode_names, last_part, unsafe_reason

NAMES = {
    "cp949": ["배경_3화_012.psd", "readme.txt", "원화/컷 15.jpg", "수정 지시.docx"],
    "gb18030": ["第三集/镜头012_修改.psd", "原画.tga", "notes.txt"],
    "cp950": ["第三集/分鏡012.psd", "資料夾", "許功蓋.txt"],
    "cp932": ["カット012_原画.psd", "修正指示.txt", "表示.txt", "ﾃｽﾄ.txt"],
    "euc_jp": ["作画監督.txt", "カット/原画.psd"],
    "cp866": ["Новая папка/документ.doc", "Отчёт.txt"],
    "cp1251": ["Новая папка/документ.doc", "Отчёт.txt"],
    "koi8_r": ["Новая папка/документ.doc", "ПРИВЕТ.txt"],
    "cp437": ["Fußgänger.txt", "naïve café.doc"],
    "cp1252": ["Übersicht/Größe.txt", "élève.txt"],
    "kps9566": ["조선중앙통신.txt", "만화영화/장면"],
    "utf-8": ["한글.txt", "é.txt", "原画.psd"],
}


@pytest.mark.parametrize("codec", NAMES)
def test_names_vote_together(codec: str) -> None:
    decision = decode_names([name.encode(codec) for name in NAMES[codec]])
    assert list(decision.names) == NAMES[codec]
    assert decision.codec == codec
    assert codec not in decision.alternatives


@pytest.mark.parametrize(
    ("codec", "name"),
    [("cp949", "새 폴더"), ("gb18030", "新建文件夹"), ("cp932", "新しいフォルダ"), ("cp866", "Новая папка")],
)
def test_one_short_name_is_enough(codec: str, name: str) -> None:
    assert decode_names([name.encode(codec)]).names == (name,)


def test_short_names_are_honest_about_doubt() -> None:
    decision = decode_names(["背景".encode("gb18030")])
    assert decision.confidence < 0.9
    assert decision.alternatives


def test_ascii_proves_nothing() -> None:
    decision = decode_names([b"readme.txt", b"cut/012.psd"])
    assert decision == Decision(("readme.txt", "cut/012.psd"), "ascii", 1.0)
    assert decision.fields() == ()
    assert decode_names([]).names == ()


def test_declared_codec_is_followed_where_every_name_fits() -> None:
    raws = [name.encode("cp949") for name in NAMES["cp949"]]
    assert decode_names(raws, declared="gb18030").codec == "gb18030"
    assert decode_names(raws, declared="utf-8").codec == "cp949"
    assert decode_names(raws, declared="zlib").codec == "cp949"


def test_two_programs_wrote_to_one_archive() -> None:
    raws = ["배경_3화_012.psd".encode("cp949"), "수정 지시.docx".encode("cp949"), "원화 확인.docx".encode()]
    assert decode_names(raws).names == ("배경_3화_012.psd", "수정 지시.docx", "원화 확인.docx")


def test_people_of_two_countries_filled_one_folder() -> None:
    told = [
        ("수정지시_1화.txt", "cp949"),
        ("컷012_최종확인.psd", "cp949"),
        ("原画リスト.txt", "cp932"),
        ("修正指示書.txt", "cp932"),
    ]
    decision = decode_names([name.encode(codec) for name, codec in told])
    assert [(name, decision.alone(at).codec) for at, name in enumerate(decision.names)] == told
    assert decision.codec == "cp949"
    assert decision.alternatives[0] == "cp932"
    assert decision.alone(2).alternatives[0] == "cp949"


def test_capitals_of_one_byte_stay_with_the_others() -> None:
    names = ("--width=ЧИСЛО_012.txt", "отчёт за май.txt", "смета работ.txt", "список кадров.txt")
    assert decode_names([name.encode("cp866") for name in names]).names == names


def test_the_decision_is_told_in_fields() -> None:
    fields = decode_names([name.encode("cp949") for name in NAMES["cp949"]]).fields()
    assert [(field.name, field.value) for field in fields][:1] == [("names.codec", "cp949")]


def test_analysts_choice_is_followed_and_never_fails() -> None:
    raws = ["수정".encode("cp949"), b"\xff\xfe", b"plain"]
    decision = decode_as(raws, "CP949")
    assert decision.names[0] == "수정"
    assert decision.names[2] == "plain"
    assert "\ufffd" in decision.names[1]
    with pytest.raises(UsageError, match="no such encoding"):
        decode_as(raws, "klingon")


def test_a_folder_repeated_a_thousand_times_has_one_vote() -> None:
    raws = ["背景/".encode("gb18030") + b"%04d.png" % number for number in range(1000)]
    raws += [name.encode("cp949") for name in ("배경_수정본.psd", "원화 확인 요청.docx", "작업 지시서.txt")]
    assert decode_names(raws).codec == "cp949"


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), max_size=6), st.sampled_from(["", "utf-8", "cp949", "\0"]))
def test_every_name_comes_back_as_one_string(raws: list[bytes], declared: str) -> None:
    decision = decode_names(raws, declared=declared)
    assert len(decision.names) == len(raws)
    assert 0.0 <= decision.confidence <= 1.0
    assert decision == decode_names(raws, declared=declared)
    for name in decision.names:
        name.encode()
        last_part(name)
        unsafe_reason(name)


@pytest.mark.parametrize(
    "raw", [b"\0", b"\0" * 65_535, b"\xff" * 65_535, b"../" * 20_000 + b"\x80", b"\x81" * 65_534 + b"\n", b"\x80"]
)
def test_hostile_names_are_only_names(raw: bytes) -> None:
    assert len(decode_names([raw]).names) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cut/012.psd", ""),
        ("../../etc/passwd", "leads out"),
        ("a\\..\\b", "leads out"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:\\reel", "drive"),
        ("a\nb", "control"),
        ("gpj.\u202eexe", "direction"),
        ("..hidden", ""),
    ],
)
def test_unsafe_names_are_told(name: str, reason: str) -> None:
    assert reason in unsafe_reason(name)
    assert bool(reason) == bool(unsafe_reason(name))


@pytest.mark.parametrize(
    ("name", "last"), [("a/b.txt", "b.txt"), ("a\\b", "b"), ("a/b/", "b"), ("", ""), ("/", "/"), ("x", "x")]
)
def test_last_part(name: str, last: str) -> None:
    assert last_part(name) == last
