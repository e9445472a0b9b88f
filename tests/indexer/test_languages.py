"""The language of a text by its scripts."""

from __future__ import annotations

import pytest

from crawling import crawl_bytes
from indexer.languages import language_of, languages_of
from search.schema import document_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("컷 12번 수정해 주세요", "ko"),
        ("背景太暗,请修改", "zh"),
        ("背景が暗いので修正してください", "ja"),
        ("ﾃｽﾄ ﾌｧｲﾙ", "ja"),
        ("作画監督 話数", "ja"),
        ("仕上検査", "ja"),
        ("原画修正 色指定", "zh"),
        ("作畫監督", "zh"),
        ("原画检查 动画监督", "zh"),
        ("第三季修改意见（第二次）\n通过。眼睛高光修改。\n修正してください", "zh"),
        ("修改意见\n通过。\n作画監督の修正を必ず反映してください", "ja"),
        ("修正してください\n第三集 原画 作画 作画 作画 作画", "ja"),
        ("Сделайте небо светлее", "ru"),
        ("الرجاء تفتيح سماء الليل", "ar"),
        ("Please make the sky of scene 12 a little brighter", "en"),
        ("12345 -- 67", ""),
        ("", ""),
        ("cut_012.psd", ""),
        ("색지정표 확인 色彩设定表 확인 바람", "ko"),
        ("원화 수정: 原画修正です", "ko"),
        ("Scene 12: 背景太暗", "zh"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


def test_only_the_beginning_is_counted() -> None:
    assert language_of("원화 수정 " * 10_000 + "x" * 5_000_000) == "ko"


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("背景太暗，请修改\n배경이 너무 어둡다, 수정 바람\n", "ko zh zh-Hans"),
        ("修改\t수정", "ko zh"),
        ("眼睛画小一点 눈을 좀 작게 그려주세요", "ko zh zh-Hans"),
        ("無敵 (무적) 제3화", "ko"),  # a Korean title with its characters
        ("背景太暗，請修改這個畫面", "zh zh-Hant"),
        ("背景太暗，请修改\n背景太暗，請修改這個畫面", "zh zh-Hans zh-Hant"),
        ("这个不行，请改。片名是《無敵》", "zh zh-Hans"),
        ("作画監督\n背景が暗いので修正してください", "ja"),
        ("第三季修改意见（第二次）\n通过。眼睛高光修改。\n修正してください", "ja zh zh-Hans"),
        ("背景が暗いので修正してください\n背景太暗，这里请修改一下吧", "ja zh zh-Hans"),
        ("修改", "zh"),
        ("Please make the sky of the scene brighter and not so dark\n请把天空画亮\nНебо светлее", "en ru zh zh-Hans"),
        ("Please make the sky of scene 12 a little brighter", "en"),
        ("cut_012.psd 12", ""),
        ("Here is the plan for this scene, and that is all of it: 請修改這個畫面", "en zh zh-Hant"),
    ],
)
def test_every_language_of_a_text(text: str, languages: str) -> None:
    main, others = languages_of(text)
    assert main == language_of(text)
    assert sorted({main, *others} - {""}) == languages.split()
    assert len(set(others)) == len(others)
    assert main not in others


def test_each_language_is_found_by_lang() -> None:
    (item,) = crawl_bytes("背景太暗，請修改這個畫面\n배경이 너무 어둡다, 수정 바람\n".encode(), "note.txt")
    values = [value for name, value in document_of(item).fields if name == "lang"]
    assert values == ["ko", "zh", "zh-Hant"]
