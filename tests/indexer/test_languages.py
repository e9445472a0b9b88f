"""The language of a text by its scripts."""

from __future__ import annotations

import pytest

from indexer.languages import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("컷 12번 수정해 주세요", "ko"),
        ("背景太暗,请修改", "zh"),
        ("背景が暗いので修正してください", "ja"),
        ("ﾃｽﾄ ﾌｧｲﾙ", "ja"),
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
