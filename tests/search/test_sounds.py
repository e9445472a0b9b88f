"""Names as they sound: towns and people as three scripts and four ways of spelling write them, each found by each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import QueryError
from search import analysis, sounds
from search.index import Index
from search.query import parse
from search.readings import han, hangul_of, is_spelled, marked
from search.schema import Document

# Hangul, Revised, McCune-Reischauer, as Pyongyang writes it, Han characters.
PLACES = [
    ("평양", "Pyeongyang", "P'yŏngyang", "Pyongyang", "平壤"),
    ("삼지연", "Samjiyeon", "Samjiyŏn", "Samjiyon", "三池淵"),
    ("개성", "Gaeseong", "Kaesŏng", "Kaesong", "開城"),
    ("청진", "Cheongjin", "Ch'ŏngjin", "Chongjin", "清津"),
    ("함흥", "Hamheung", "Hamhŭng", "Hamhung", "咸興"),
    ("원산", "Wonsan", "Wŏnsan", "Wonsan", "元山"),
    ("신의주", "Sinuiju", "Sinŭiju", "Sinuiju", "新義州"),
    ("백두산", "Baekdusan", "Paektusan", "Paektusan", "白頭山"),
    ("묘향산", "Myohyangsan", "Myohyangsan", "Myohyangsan", "妙香山"),
    ("압록강", "Amnokgang", "Amnokkang", "Amnokkang", "鴨綠江"),
    ("대동강", "Daedonggang", "Taedonggang", "Taedonggang", "大同江"),
    ("신라", "Silla", "Silla", "Silla", "新羅"),
    ("독립문", "Dongnimmun", "Tongnimmun", "Tongnipmun", "獨立門"),
    ("김정은", "Gim Jeongeun", "Kim Jŏngŭn", "Kim Jong Un", "金正恩"),
    ("리설주", "Ri Seolju", "Ri Sŏlju", "Ri Sol Ju", "李雪主"),
    ("무적", "Mujeok", "Mujŏk", "Mujok", "無敵"),
]
CHINESE = [("无敌", "Wudi"), ("北京", "Beijing"), ("李小明", "Li Xiaoming"), ("吕梁", "Lüliang"), ("西安", "Xi'an")]
JAPANESE = [
    ("タナベ", "たなべ", "Tanabe"),
    ("トウキョウ", "とうきょう", "Tōkyō"),
    ("サッポロ", "さっぽろ", "Sapporo"),
    ("シンバシ", "しんばし", "Shimbashi"),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index.create(tmp_path_factory.mktemp("sounds") / "index") as made:
        rows = [*PLACES, *CHINESE, *JAPANESE]
        words = [f"in {word} there" if word.isascii() else f"在{word}。" for row in rows for word in row]
        made.add(Document(id=f"{number:032x}", texts=(word,)) for number, word in enumerate([*words, "평범한 양식"]))
        made.commit()
        yield made


def ask(index: Index, word: str) -> set[str]:
    """The texts that answer."""
    rows = [word for row in [*PLACES, *CHINESE, *JAPANESE] for word in row]
    found = index.ids(parse(f'sounds:"{word}"', index.fields(), index))
    return {rows[int(each, 16)] if int(each, 16) < len(rows) else "noise" for each in found}


@pytest.mark.parametrize("row", PLACES, ids=lambda row: row[3])
def test_korean_names_are_found_by_each_other(index: Index, row: tuple[str, ...]) -> None:
    others = {word for other in PLACES if other != row for word in other} | {"noise"}
    for word in row:
        found = ask(index, word)
        assert set(row) <= found, word
        assert not others & found, word


@pytest.mark.parametrize("row", [*CHINESE, *JAPANESE], ids=lambda row: row[-1])
def test_chinese_and_japanese_names_too(index: Index, row: tuple[str, ...]) -> None:
    for one, other in permutations(row, 2):
        assert other in ask(index, one), one


def test_nothing_is_mixed_into_exact_questions(index: Index) -> None:
    assert len(set(index.ids(parse("평양", index.fields(), index)))) == 1
    assert index.notes == ()


def test_what_was_asked_for_is_told(index: Index) -> None:
    ask(index, "Samjiyon")
    (note,) = index.notes
    assert note.startswith("sounds:Samjiyon also stands for 삼지연, 三池渊, samjiyeon")
    ask(index, "Qqqq")
    assert index.notes == ("sounds:Qqqq stands for nothing else that this case holds.",)


def test_it_joins_with_the_rest_of_a_query(index: Index) -> None:
    tree = parse("sounds:평양 AND NOT (平壤 OR sounds:Tanabe) AND in", index.fields(), index)
    assert len(set(index.ids(tree))) == 2  # as it is spelled in Latin letters
    assert [note.partition(" ")[0] for note in index.notes] == ["sounds:평양", "sounds:Tanabe"]


@pytest.mark.parametrize("query", ["sounds:", "sounds:12", "sounds:abc평양", 'sounds:"!"', "sounds:*"])
def test_what_is_no_name_is_told(index: Index, query: str) -> None:
    with pytest.raises(QueryError):
        parse(query, index.fields(), index)


def test_it_needs_a_case() -> None:
    with pytest.raises(QueryError, match="no case"):
        parse("sounds:Pyongyang")


class _Everything:
    """An index of every pair of some characters."""

    def __init__(self, chars: str) -> None:
        self.chars = set(chars)

    def held(self, terms: object) -> set[str]:
        return {term for term in terms if set(term) <= self.chars}  # type: ignore[attr-defined]

    def following(self, char: str) -> set[str]:
        return self.chars


@given(st.text("평양삼지연김정은백두설주리신라", min_size=2, max_size=4))
def test_every_form_of_a_latin_word_sounds_so(hangul: str) -> None:
    latin = "".join(marked(hangul)).translate(str.maketrans("ŏŭ", "ou", "'"))
    found, _ = sounds.forms(latin, _Everything("평양삼지연김정은백두설주리신라平壤三池渊金正恩白头雪主李新罗"))
    east = [form for form in found if not form.isascii()]
    assert hangul in east or len(east) >= sounds.MOST_FORMS
    for form in east:
        if form[0] in han().korean:
            assert any(is_spelled(each, latin) for each in hangul_of(form)) or form[0] in han().pinyin
        else:
            assert is_spelled(form, latin)


def test_many_forms_are_cut_and_told() -> None:
    found, over = sounds.forms("yiyi", _Everything("".join(han().by_pinyin["yi"])))
    assert over
    assert len(found) <= sounds.MOST_FORMS * 5
    assert "only the first" in sounds.note_of("yiyi", found, over=over)


@given(st.text(max_size=30))
def test_any_word_is_read_or_told(word: str) -> None:
    words = _Everything(word)
    if sounds.is_name(word):
        sounds.forms(word, words)
    else:
        assert not sounds.forms(word, words)[0]


def test_the_table_keeps_characters_as_the_index_does() -> None:
    for char in {*han().korean, *han().pinyin}:
        assert analysis.fold_alone(char) == char
