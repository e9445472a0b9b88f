from __future__ import annotations

import itertools
import json
import math
import os
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plain
from indexer.errors import LockedError, StoreError
from search import schema
from search.engine import build as building
from search.engine import store
from search.hits import leaves
from search.index import Index
from search.near import is_near
from search.query import parse
from search.schema import Document
from search.tree import Phrase, Sequence, Term


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


DOCUMENTS = (
    Document(
        "a1",
        ("动画制作进度 cut twelve", "第3话的内容"),
        "S01E05_CutList.psd",
        "day1:x.zip!/daily/S01E05_CutList.psd",
        2048,
        (("ext", "PSD"), ("source", "day1"), ("exif.model", "Canon EOS"), ("exif.model", "second one"),
         ("gps.latitude", 37.6), ("exif.iso", 400), ("pdf.signed", True), ("office.pages", "12")),
        (("M", at("2024-01-31T23:59:59.999999")), ("sent", at("2024-03-01")), ("printed", at("2022-02-02"))),
    ),
    Document("b2", ("hello world", "日本語テキスト"), "b.txt", "day1:b.txt", 10,
             (("ext", "txt"), ("problem", "corrupt")), (("M", at("2023-01-05")),)),
    Document("c3", ("hello", "world"), "cafe\u0301 list.txt", "day2:c.txt", None,
             (("ext", "txt"), ("gps.latitude", -5))),
    Document("d4", (), "[Team] Show - 01.mkv", "day2:[Team] Show - 01.mkv", 0, (), (("B", at("1965-05-05")),)),
)  # fmt: skip


def build(folder: Path, documents: Iterable[Document] = DOCUMENTS) -> Index:
    index = Index.create(folder)
    index.add(documents)
    index.commit()
    return index


def find(index: Index, text: str) -> list[str]:
    return sorted(index.ids(parse(text, index.fields())))


def test_plain_words_find_what_fields_say_and_not_how_things_were_written(tmp_path: Path) -> None:
    rows = [
        ("pdf.author", "Ri Jong-Kite"),
        ("office.last_modified_by", "박미나"),
        ("refers_to", r"D:\作業\第3集\cut047.psd"),
        ("text.codec", "johab"),
        ("zip.method", "johab"),
        ("name.cut", "johab"),
        ("source", "johab"),
        ("exif.iso", 4711),
    ]
    documents = [Document(f"{at:032x}", ("nothing here",), "", "", None, (row,)) for at, row in enumerate(rows)]
    documents.append(Document("9" * 32, ("nothing",), "", "", None, (("pdf.title", "lamp"), ("xmp.title", "lamp"))))
    with build(tmp_path / "i", documents) as index:

        def places(text: str) -> list[int]:
            return [int(name[-1]) for name in find(index, text)]

        assert places('"ri jong kite"') == places("jong-kite") == places("ki*") == [0]
        assert places("박미나") == places("meta:미나") == places("office.last_modified_by:박미나") == [1]
        assert places("作业") == places("cut047") == places("cut047.psd nothing") == [2]
        assert places("johab OR 4711") == places("text:ri OR name:ri OR path:ri") == []
        assert places("meta:*") == [0, 1, 2, 9]
        assert places("zip.method:johab") == [4]
        assert index.held({"박미", "jong", "johab", "미"}) == {"박미", "jong", "미"}
        assert index.following("미") == {"나"}
        (leaf,) = leaves(parse("meta:lamp"))
        ids, counts = index.tally([leaf])
        assert [(len(ids) // 16, documents.tolist(), times.tolist()) for documents, times in counts] == [(9, [8], [1])]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Index]:
    with build(tmp_path_factory.mktemp("case") / "index") as made:
        yield made


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("*", "a1 b2 c3 d4"),
        ("画制", "a1"),
        ("動畫", "a1"),
        ("画", "a1"),
        ("度", "a1"),
        ("第3话", "a1"),
        ("第?话", "a1"),
        ("第*内容", "a1"),
        ("语テキ", "b2"),
        ("テト", ""),
        ("hello world", "b2 c3"),
        ('"hello world"', "b2"),
        ('"world hello"', ""),
        ('"world hello"~0', "b2"),
        ('"进度 twelve"~1', "a1"),
        ('"进度 twelve"~0', ""),
        ("hello -日本", "c3"),
        ("-hello", "a1 d4"),
        ("helo~", "b2 c3"),
        ("hlelo~", "b2 c3"),
        ("heo~1", ""),
        ("heo~2", "b2 c3"),
        ("hel*", "b2 c3"),
        ("h?llo", "b2 c3"),
        ("*rld", "b2 c3"),
        ("name:s01", "a1"),
        ("name:05", "a1"),
        ("name:cutlist", "a1"),
        ("name:list", "a1 c3"),
        ("name:café", "c3"),
        ("name:*.PSD", "a1"),
        ("name:[team]*", "d4"),
        (r"name:[*-\ 01.mkv", "d4"),
        ("name:cut*", "a1"),
        ('name:="b.txt"', "b2"),
        ("path:daily/S01E05", "a1"),
        ("path:*/daily/*.psd", "a1"),
        ("path:*/x.zip!/*", "a1"),
        ("path:day2*", "c3 d4"),
        ("ext:psd", "a1"),
        ("ext:(psd OR txt)", "a1 b2 c3"),
        ("ext:p*", "a1"),
        ("source:day1", "a1"),
        ("problem:corrupt", "b2"),
        ("problem:*", "b2"),
        ("id:a1", "a1"),
        ("text:*", "a1 b2 c3"),
        ("size:*", "a1 b2 d4"),
        ("size:>10", "a1"),
        ("size:>=10", "a1 b2"),
        ("size:<10", "d4"),
        ("size:2kb", "a1"),
        ("size:0..10", "b2 d4"),
        ("modified:2024-01", "a1"),
        ("modified:2024-02", ""),
        ("modified:>2024-01", ""),
        ("modified:2023..2024", "a1 b2"),
        ("born:<1970", "d4"),
        ("sent:2024-03-01", "a1"),
        ("printed:2022", "a1"),
        ("date:2024", "a1"),
        ("date:1965", "d4"),
        ("exif.model:canon", "a1"),
        ('exif.model:"canon eos"', "a1"),
        ('exif.model:"eos second"', ""),
        ("exif.model:c*n", "a1"),
        ('exif.model:="canon eos"', "a1"),
        ("exif.model:canone", ""),
        ("exif.iso:400", "a1"),
        ("exif.iso:<=400", "a1"),
        ("exif.iso:>400", ""),
        ("office.pages:>11", "a1"),
        ("gps.latitude:37.6", "a1"),
        ("gps.latitude:-10..40", "a1 c3"),
        ("gps.latitude:<0", "c3"),
        ("pdf.signed:true", "a1"),
    ],
)
def test_what_is_found(index: Index, text: str, ids: str) -> None:
    assert find(index, text) == ids.split()


def test_dynamic_fields_are_named_with_their_types(index: Index) -> None:
    assert index.fields() == {
        "exif.iso": "name",
        "exif.model": "name",
        "gps.latitude": "name",
        "office.pages": "name",
        "pdf.signed": "name",
        "printed": "date",
    }


@pytest.mark.parametrize(
    ("sort", "reverse", "ids"),
    [
        ("name", False, "d4 b2 c3 a1"),
        ("name", True, "a1 c3 b2 d4"),
        ("path", False, "b2 a1 d4 c3"),
        ("size", False, "d4 b2 a1 c3"),
        ("size", True, "a1 b2 d4 c3"),
        ("date", False, "d4 b2 a1 c3"),
        ("date", True, "a1 b2 d4 c3"),
        ("score", False, "a1 b2 c3 d4"),
    ],
)
def test_sorting(index: Index, sort: str, reverse: bool, ids: str) -> None:
    assert list(index.ids(parse("*"), sort=sort, reverse=reverse)) == ids.split()


def test_total_is_exact_and_pages_follow(index: Index) -> None:
    total, first = index.search(parse("*"), limit=3)
    assert total == 4
    assert [name for name, _ in first] == ["a1", "b2", "c3"]
    assert [name for name, _ in index.search(parse("*"), limit=3, offset=3)[1]] == ["d4"]


WORDS = [f"w{number}" for number in range(12)] + ["动画", "分镜", "제작", "テスト"]
QUERIES = ["w1", "w2 OR w3", "动", '"w1 w2"', "w*", "(w1 w2) OR 画分", "-w4", "name:w5", "w1~1", "size:>40"]


def made_up(count: int, seed: int) -> list[Document]:
    choose = random.Random(seed)
    made = []
    for number in range(count):
        texts = tuple(" ".join(choose.choices(WORDS, k=choose.randint(1, 60))) for _ in range(choose.randint(0, 3)))
        made.append(Document(f"{choose.getrandbits(64):016x}", texts, choose.choice(WORDS), f"s:{number}", number))
    return made


def answers(index: Index) -> list[tuple[int, list[tuple[str, float]]]]:
    return [index.search(parse(text), limit=1000, sort=sort) for text in QUERIES for sort in schema.SORTS]


def test_answers_depend_on_what_is_held_not_on_how_it_came(tmp_path: Path) -> None:
    documents = made_up(120, 1)
    with build(tmp_path / "plain", documents) as plain:
        expected = answers(plain)
    assert any(score for _, hits in expected for _, score in hits)
    for number, batch in enumerate((7, 50)):
        shuffled = documents[:]
        random.Random(number).shuffle(shuffled)
        strangers = made_up(30, 99)
        with Index.create(tmp_path / f"other{number}") as other:
            for chunk in itertools.batched(strangers, batch) if hasattr(itertools, "batched") else [strangers]:
                other.add(chunk)
                other.commit()
            other.add(Document(document.id, ("old words w1 w2",)) for document in shuffled[:20])
            other.commit()
            for start in range(0, len(shuffled), batch):
                other.add(shuffled[start : start + batch])
                other.commit()
            assert other.delete(document.id for document in strangers) == 30
            other.commit()
            assert len(other) == 120
            assert answers(other) == expected
        with Index.open(tmp_path / f"other{number}") as again:
            assert answers(again) == expected


def test_the_same_id_replaces_even_before_a_commit(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i") as index:
        index.add([Document("x", ("one",)), Document("x", ("two",)), Document("x", ("three",))])
        index.commit()
        assert (len(index), find(index, "one two three"), find(index, "three")) == (1, [], ["x"])
        assert index.delete(["x", "x", "nobody"]) == 1
        index.commit()
        assert len(index) == 0
        assert index.search(parse("three")) == (0, [])


def test_nothing_shows_before_the_commit_and_nothing_after_a_cancel(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i") as index, Index.open(tmp_path / "i") as reader:
        index.add([Document("x", ("one",))])
        assert find(reader, "one") == []
        index.cancel()
        index.commit()
        assert find(reader, "one") == []
        index.add([Document("x", ("one",))])
        index.commit()
        assert find(reader, "one") == ["x"]


def test_an_index_is_never_made_over_something(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(StoreError, match="not empty"):
        Index.create(tmp_path)


def test_a_second_writer_is_told(tmp_path: Path) -> None:
    with build(tmp_path / "i") as index, Index.open(tmp_path / "i") as other:
        index.add([Document("x")])
        with pytest.raises(LockedError):
            other.add([Document("y")])
        index.commit()
        assert other.add([Document("y")]) == 1


def test_a_full_disk_frees_the_lock_and_keeps_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with build(tmp_path / "i") as index:
        for owner, method in (
            (building.Builder, "add"),
            (building.Builder, "write"),
            (store, "_write"),
            (os, "replace"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(owner, method, fail)
                with pytest.raises(StoreError, match="the disk is full"):
                    index.add([Document("x", ("new",))])
                    index.commit()
            assert find(index, "hello") == ["b2", "c3"]
        index.add([Document("x", ("new",))])
        index.commit()
        assert find(index, "new") == ["x"]


def test_an_error_in_the_documents_themselves_frees_the_lock(tmp_path: Path) -> None:
    def broken() -> Iterable[Document]:
        yield Document("x", ("one",))
        raise RuntimeError("the case could not be read")

    with build(tmp_path / "i") as index:
        with pytest.raises(RuntimeError):
            index.add(broken())
        with Index.open(tmp_path / "i") as other:
            other.add([Document("y")])


def test_a_thousand_field_names_are_few_fields(tmp_path: Path) -> None:
    fields = tuple((f"made.field{number}", f"value {number}") for number in range(1000))
    with build(tmp_path / "i", [Document("x", fields=fields)]) as index:
        assert len(index.fields()) == 1000
        assert find(index, 'made.field7:"value 7"') == ["x"]
        assert find(index, "made.field7:8") == []
    assert len(list((tmp_path / "i").iterdir())) < 6


def test_rebuild_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    with build(tmp_path / "i") as index:
        assert index.rebuild([DOCUMENTS[1], Document("new", ("hello",))]) == 2
        assert find(index, "hello") == ["b2", "new"]

        def broken() -> Iterable[Document]:
            yield Document("never", ("hello",))
            raise OSError(28, "No space left on device")

        with pytest.raises(StoreError, match="the disk is full"):
            index.rebuild(broken())
        assert find(index, "hello") == ["b2", "new"]
    with Index.open(tmp_path / "i") as again:
        assert find(again, "hello") == ["b2", "new"]
    names = sorted(path.name for path in (tmp_path / "i").iterdir())
    assert names == ["index.json", "lock", "previous.json", "s2-0.seg", "s3-0.seg"]


def test_an_index_of_other_rules_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "i").close()
    stamp = tmp_path / "i" / "index.json"
    told = json.loads(stamp.read_text())
    stamp.write_text(json.dumps({**told, "analysis": "0"}))
    with pytest.raises(StoreError, match="another version"):
        Index.open(tmp_path / "i")
    stamp.write_text(json.dumps({**told, "format": 1, "part": "0"}))
    with pytest.raises(StoreError, match="another version"):
        Index.open(tmp_path / "i")
    stamp.write_text(json.dumps({**told, "format": store.FORMAT + 1}))
    with pytest.raises(StoreError, match="newer version"):
        Index.open(tmp_path / "i")
    with pytest.raises(StoreError, match="build the index again"):
        Index.open(tmp_path / "nowhere")


LETTERS = st.lists(st.sampled_from("abc"), min_size=1, max_size=9)


class _Memory:
    """Documents held in memory."""

    def __init__(self, documents: list[list[str]]) -> None:
        self.documents = documents

    def live(self) -> list[int]:
        return list(range(len(self.documents)))

    def postings(self, field: str, term: str) -> dict[int, list[int]]:
        held = {
            at: [place for place, word in enumerate(words) if word == term] for at, words in enumerate(self.documents)
        }
        return {at: places for at, places in held.items() if places}

    def length(self, document: int) -> int:
        return 9


@given(st.lists(LETTERS, max_size=4), st.lists(st.sampled_from("abc"), min_size=2, max_size=4), st.integers(1, 3))
@settings(max_examples=400)
def test_a_row_is_found_exactly_where_it_stands(documents: list[list[str]], asked: list[str], slop: int) -> None:
    def holds(words: list[str]) -> bool:
        return any(
            all(0 <= place < len(words) and words[place] == word for place, word in zip(row, asked, strict=True))
            for gaps in itertools.product(range(1, slop + 1), repeat=len(asked) - 1)
            for start in range(len(words))
            for row in [list(itertools.accumulate(gaps, initial=start))]
        )

    expected = [at for at, words in enumerate(documents) if holds(words)]
    memory = _Memory(documents)
    for tree in (Phrase("text", asked, slop=slop), Sequence([Term("text", word) for word in asked], slop=slop)):
        found = plain.evaluate(tree, memory, lambda field, term: 1.0)  # type: ignore[arg-type]
        assert sorted(found) == expected


def test_a_term_scores_as_the_formula_says(tmp_path: Path) -> None:
    with build(tmp_path / "i", [Document("x", ("a b a",)), Document("y", ("b",)), Document("z", ("c",))]) as index:
        (_, score), = index.search(Term("text", "a"))[1]  # fmt: skip
        idf, norm = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5)), 0.25 + 0.75 * 3 / 1000
        assert score == round(idf * 2 * 2.2 / (2 + 1.2 * norm), 6)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
@settings(max_examples=300)
def test_nearness_is_the_edit_distance(one: str, other: str) -> None:
    def distance(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        best = min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))
        if len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0]:
            best = min(best, distance(a[2:], b[2:]) + 1)
        return best

    one, other = one[:5], other[:5]
    for most in (0, 1, 2):
        assert is_near(one, other, most) is (distance(one, other) <= most)
