"""Words in escapes: found beside the text, and nothing made up from what is none."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.escapes import shown_path, unescaped


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("GET /cuts/C034_%EC%88%98%EC%A0%95.png?q=%20 HTTP/1.1", ["C034_수정.png"]),
        (r'"GET /\xED\x95\x9C\xEA\xB8\x80.txt HTTP/1.1" 404', ["한글.txt"]),
        (r'create mode 100644 "a/\355\225\234.md"', ["한.md"]),
        (r'{"title": "\uD55C\uAE00", "mood": "\ud83d\ude00 ok", "old": "%uD55C"}', ["한글", "한"]),
        ("%EC%88%98 %EC%88%98 %EC%88%98", ["수"]),
        ("/%EC%88%98%0D%0A%1B%5B2J.txt", ["수   [2J.txt"]),
        (r"C:\users\pak\xampp\data %20 100%af %d%% \x89\xAB\xCD\xEF\xFE", []),
        (r"\ud83d alone \xff %FF %C3", []),
        ("no escapes here, but 수정 100 %", []),
        ("%41" * 4096 + "%EC%88%98", []),
    ],
)
def test_words_in_escapes(text: str, words: list[str]) -> None:
    assert unescaped(text) == words


@pytest.mark.parametrize(
    ("codec", "names"),
    [
        ("gb18030", ["工作笔记_第3集", "修改意见"]),
        ("cp949", ["작업노트_수정본", "원화"]),
        ("cp932", ["原画修正カット", "作画監督"]),
        ("big5", ["工作筆記與修改意見", "動畫檔案"]),
    ],
)
def test_names_of_older_servers_are_read_together(codec: str, names: list[str]) -> None:
    log = " ".join(f"/a/{quote(name.encode(codec))}.doc" for name in names)
    assert unescaped(log) == [f"{name}.doc" for name in names]


@given(st.text(alphabet="%\\xu0123456789abcdefABCDEF/ 수"))
def test_nothing_is_raised_and_nothing_is_said_twice(text: str) -> None:
    words = unescaped(text)
    assert len(set(words)) == len(words)
    assert all(word.isprintable() and not word.isascii() for word in words)


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1))
def test_what_was_quoted_is_found(name: str) -> None:
    assert unescaped(f"GET /{quote(name)} HTTP/1.1") == [name]
    assert unescaped("".join(f"\\u{ord(char):04X}" for char in name)) == [name]


def test_what_differs_in_what_cannot_be_shown_is_said_once() -> None:
    assert unescaped("/%EC%88%98%01 /%EC%88%98%02") == ["수"]


def test_a_path_is_shown_in_clear_where_it_is_utf_8() -> None:
    assert shown_path("/cuts/C034_%EC%88%98%EC%A0%95.png?q=a%20b") == "/cuts/C034_수정.png?q=a b"
    assert shown_path(r"/\xEC\x88\x98%") == "/수%"
    for path in ("/%D4%AD%BB%AD.psd", "/100%", "C:\\xampp", ""):
        assert shown_path(path) == path


def test_the_words_stand_beside_the_text_with_its_place() -> None:
    line = "a note\nGET /%EC%88%98%EC%A0%95.png HTTP/1.1\n"
    (item,) = crawl_bytes(line.encode(), "note.txt")
    assert [(text.locator, text.body) for text in item.texts] == [
        ("lines 1-2", line),
        ("lines 1-2, escapes read", "수정.png"),
    ]
