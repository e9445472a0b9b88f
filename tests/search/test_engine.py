"""The engine against three others: plain Python, whoosh's matchers over our reader, and stock whoosh."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whoosh import fields, formats, scoring
from whoosh.filedb.filestore import RamStorage
from whoosh.query import AndMaybe, AndNot, DisjunctionMax, Ordered, Regex, Require, TermRange
from whoosh.searching import Searcher
from whoosh.util.numeric import byte_to_length, length_to_byte

from plain import GAP, K1, PIVOT, B, Plain, spans_of
from search import analysis, schema
from search.engine import arrays, codes, matchers
from search.engine.evaluate import evaluate
from search.engine.question import Limits, Question
from search.hits import leaves
from search.index import Index
from search.query import parse
from search.schema import Document
from search.tree import And, Every, FuzzyTerm, Not, NumericRange, Or, Phrase, Prefix, Query, Sequence, Term, Wildcard

WORDS = [f"w{number}" for number in range(25)] + ["alpha", "alpine", "Straße", "Команда", "команды", "خط", "éa"]
RUNS = ["动画", "動畫", "分镜", "画分", "제작", "제작자", "テスト", "カット", "进度", "第3话", "ครับ"]
NAMES = ["S01E05_CutList.psd", "HTMLPage.txt", "分镜 12.PSD", "note w3.txt", "動畫.mov", ""]
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def made_up(count: int, seed: int) -> list[Document]:
    choose = random.Random(seed)

    def text() -> str:
        words = choose.choices(WORDS, k=choose.randint(0, 12)) + choose.choices(RUNS, k=choose.randint(0, 8))
        choose.shuffle(words)
        return choose.choice([" ", " ", "", "\n"]).join(words)

    return [
        Document(
            f"{choose.getrandbits(128):032x}",
            tuple(text() for _ in range(choose.randint(0, 3))),
            choose.choice(NAMES),
            f"day{number % 3}:{choose.choice('abc')}/{choose.choice(NAMES) or 'x'}",
            choose.choice([None, number % 40, 10 ** choose.randint(0, 12)]),
            (
                ("ext", choose.choice(["psd", "TXT", "mov"])),
                *((("tag", choose.choice(["first", "第二"])),) * choose.randint(0, 1)),
                *((("exif.model", choose.choice(["Canon EOS", "NIKON D5", "400"])),) * choose.randint(0, 1)),
                *((("exif.make", choose.choice(["Canon", "NIKON D5"])),) * choose.randint(0, 1)),
                *((("exif.iso", choose.choice([100, 400, 2.5])),) * choose.randint(0, 1)),
            ),
            tuple(
                (choose.choice(["M", "sent", "printed"]), EPOCH + timedelta(hours=choose.randint(0, 9000)))
                for _ in range(choose.randint(0, 2))
            ),
        )
        for number in range(count)
    ]


def asked(choose: random.Random, depth: int = 3) -> Query:
    """A random tree of all nodes that queries are made of."""
    field = choose.choice(["text"] * 6 + ["name", "path", "ext", "=name", "exif.model", "meta"])

    def term(field: str = field) -> str:
        if field == "ext":
            return choose.choice(["psd", "txt"])
        if field == "=name":
            return analysis.whole(choose.choice(NAMES))
        source = choose.choice(NAMES) if field in ("name", "path") else choose.choice(WORDS + RUNS)
        source = choose.choice(["Canon EOS", "400"]) if field in ("exif.model", "meta") else source
        found = analysis.tokens(source or "x", split=field != "text")
        return choose.choice(found).term

    def pattern() -> str:
        word = term()
        at = choose.randrange(len(word) + 1)
        return word[:at] + choose.choice(["*", "?", "**", "?*"]) + word[at + choose.randint(0, 1) :]

    placed = "text" if field in ("ext", "=name") else field
    if depth and choose.random() < 0.45:
        parts = [asked(choose, depth - 1) for _ in range(choose.randint(2, 4))]
        return choose.choice([And, Or, Or])(parts)
    made: list[Any] = [
        lambda: Term(field, term()),
        lambda: Term(field, term()),
        lambda: Prefix(field, term()[: choose.randint(0, 3)]),
        lambda: Wildcard(field, pattern()),
        lambda: Not(asked(choose, max(0, depth - 2))),
        lambda: NumericRange(
            choose.choice(["size", "exif.iso"]), choose.choice([None, 2, 10]), choose.choice([None, 400])
        ),
        lambda: NumericRange(choose.choice(["date", "modified", "printed"]), 1704067200_000_000, None, startexcl=True),
        lambda: Every(choose.choice([None, "text", "name", "date", "tag"])),
        lambda: FuzzyTerm(
            "text", choose.choice(["alpha", "alpnie", "w1", "страсе"]), maxdist=choose.randint(1, 2), prefixlength=1
        ),
        lambda: Phrase(placed, [term(placed) for _ in range(choose.randint(2, 3))], slop=choose.randint(1, 5)),
        lambda: Phrase("text", [step.term for step in analysis.elements(choose.choice(RUNS) + choose.choice(RUNS))]),
        lambda: Sequence([Term(placed, term(placed)), Prefix(placed, term(placed)[:1])], slop=choose.randint(1, 12)),
        lambda: Sequence(
            [Phrase(placed, [term(placed), term(placed)], slop=3), Term(placed, term(placed))],
            slop=choose.randint(1, 90),
        ),
    ]
    return choose.choice(made)()


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, Plain]]:
    """An index of several segments, one of them merged, with deleted and replaced documents; and the same plainly."""
    documents = made_up(260, 5)
    strangers = made_up(60, 6)
    with Index.create(tmp_path_factory.mktemp("engine") / "i") as index:
        for start in range(0, 200, 20):
            index.add(documents[start : start + 20])
            index.add(strangers[start // 4 : start // 4 + 5])
            index.commit()
        index.add(Document(document.id, ("old w1",)) for document in documents[200:230])
        index.commit()
        index.add(documents[200:])
        index.delete(document.id for document in strangers)
        index.commit()
        assert len(index) == 260
        assert 2 < len(list(index.folder.glob("*.seg"))) < 16
        yield index, Plain(documents)


def test_leaves_are_counted_in_every_document(held: tuple[Index, Plain]) -> None:
    index, plain = held
    choose = random.Random(4)
    words = [*WORDS, *RUNS, "画", "カ", "no such", "".join(RUNS[:2]), "w3 alpha", "S01E05", "12", "html", "\u7b2c3"]
    words += [f"{choose.choice(RUNS + WORDS)} {choose.choice(RUNS + WORDS)}" for _ in range(150)]
    asked_for = [leaf for word in words for leaf in leaves(parse(f'"{word}"'))]
    ids, counted = index.tally(asked_for)
    several = 0
    for leaf, (documents, times) in zip(asked_for, counted, strict=True):
        found = {ids[16 * at : 16 * at + 16].hex(): count for at, count in zip(documents, times, strict=True)}
        expected = {plain.documents[at].id: len(each) for at, each in spans_of([leaf], 1, plain, None).items()}
        assert found == expected, leaf
        several += max(found.values(), default=0) > 1
    assert several > 20


def test_any_lists_are_decoded_alike(held: tuple[Index, Plain]) -> None:
    index, _ = held
    choose = random.Random(8)
    for view in index._views():
        for lexicon in view.segment.lexicons.values():
            each = [lexicon.values(at, at + 1).tolist() for at in range(lexicon.count)]
            for _ in range(20):
                some = sorted(choose.sample(range(lexicon.count), choose.randint(0, lexicon.count)))
                assert lexicon.values_of(np.array(some, np.int64)).tolist() == [
                    value for at in some for value in each[at]
                ]
                low, high = sorted((choose.randint(0, lexicon.count), choose.randint(0, lexicon.count)))
                assert lexicon.values(low, high).tolist() == [value for at in range(low, high) for value in each[at]]


@pytest.mark.parametrize("most", [0, 1 << 16, 12, 1])
def test_every_spelling_of_a_name_is_one_term(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Names that are folded one by one, and runs of more characters than are numbered, share terms with the rest."""
    if most:
        monkeypatch.setattr(codes, "KERNEL", None)
        monkeypatch.setattr(arrays, "_MOST_RUNS", most)
    names = [
        "ガンダム 動畫.mov",
        "カ\u3099ンタ\u3099ム 动画.mov",
        "각\u11a8 제작",
        "각 제작",
        "e\u0301t\u00e9 动画",
        "ß…画",
        "1 动画动",
    ]
    documents = [Document(f"{at:032x}", (name, name), name, f"s:{name}") for at, name in enumerate(names)]
    plain = Plain(documents)
    with Index.create(tmp_path / "i") as index:
        for batch in (documents, documents[:3]):
            index.add(batch)
            index.commit()
        for field, term in plain.held:
            tree = Term(field, term)
            assert found(index, tree).keys() == plain.answer(tree).keys(), tree
        for view in index._views():
            for lexicon in view.segment.lexicons.values():
                terms = lexicon.terms(0, lexicon.count)
                assert terms == sorted(set(terms))


def test_many_terms_count_as_each_alone(held: tuple[Index, Plain]) -> None:
    index, plain = held
    terms = sorted({term for field, term in plain.held if field == "text"})[:300]
    tree = Or([Term("text", term) for term in [*terms, terms[7]]])
    got = found(index, tree)
    for name, score in plain.answer(tree).items():
        assert abs(got.pop(name) - score) <= 2e-6
    assert not got


def found(index: Index, tree: Query) -> dict[str, float]:
    return dict(index.search(tree, limit=1000)[1])


def test_arrays_answer_as_plain_python_does(held: tuple[Index, Plain]) -> None:
    index, plain = held
    choose = random.Random(1)
    hits = 0
    for _ in range(2000):
        tree = asked(choose)
        expected, got = plain.answer(tree), found(index, tree)
        assert got.keys() == expected.keys(), tree
        assert all(abs(got[name] - score) <= 2e-6 for name, score in expected.items()), tree
        hits += len(got)
    assert hits > 20_000


def by_whoosh(index: Index, tree: Query) -> dict[str, float]:
    views = index._views()
    ask = Question(views, Limits(), matchers.by_matchers)
    out: dict[str, float] = {}
    for view in views:
        documents, scores = matchers.by_matchers(tree, view, ask)
        out |= dict(zip(view.segment.ids(documents), scores.tolist(), strict=True))
    return out


def by_arrays(index: Index, tree: Query) -> dict[str, float]:
    views = index._views()
    ask = Question(views, Limits(), matchers.by_matchers)
    out: dict[str, float] = {}
    for view in views:
        documents, scores = evaluate(tree, view, ask)
        names = view.segment.ids(documents)
        out |= dict(zip(names, scores.tolist() if scores is not None else [0.0] * len(names), strict=True))
    return out


def test_arrays_answer_as_whooshs_matchers_do(held: tuple[Index, Plain]) -> None:
    index, _ = held
    choose = random.Random(2)
    for _ in range(1500):
        tree = asked(choose, 2)
        expected, got = by_whoosh(index, tree), by_arrays(index, tree)
        assert got.keys() == expected.keys(), tree
        assert all(abs(got[name] - score) <= 1e-6 for name, score in expected.items()), tree


@pytest.mark.parametrize(
    ("tree", "same"),
    [
        (AndNot(Term("text", "w1"), Term("text", "w2")), And([Term("text", "w1"), Not(Term("text", "w2"))])),
        (Require(Term("text", "w1"), Term("ext", "psd")), And([Term("text", "w1"), Term("ext", "psd")])),
        (Regex("text", "w1[0-3]$"), Or([Term("text", f"w1{digit}") for digit in "0123"])),
        (Regex("text", "w1[0-3]"), Or([Prefix("text", f"w1{digit}") for digit in "0123"])),
        (TermRange("text", "w10", "w11", endexcl=True), Prefix("text", "w10")),
        (Ordered([Term("text", "w1"), Term("text", "w1")]), None),
        (DisjunctionMax([Term("text", "w1"), Term("text", "w2")]), Or([Term("text", "w1"), Term("text", "w2")])),
        (AndMaybe(Term("text", "w1"), Prefix("text", "w")), Term("text", "w1")),
    ],
)
def test_any_query_of_whooshs_works(held: tuple[Index, Plain], tree: Query, same: Query | None) -> None:
    index, _ = held
    got = found(index, tree)
    if same is not None:
        assert got.keys() == found(index, same).keys() != set()


def test_whooshs_own_searcher_works(held: tuple[Index, Plain]) -> None:
    index, plain = held
    reader = index.reader()
    assert reader.doc_count() == 260
    assert reader.doc_frequency("text", b"w1") == len(plain.postings("text", "w1"))
    with Searcher(reader, fromindex=index) as searcher:
        results = searcher.search(And([Term("text", "w1"), Prefix("text", "w2")]), limit=None)
        expected = plain.answer(And([Term("text", "w1"), Prefix("text", "w2")]))
        assert {hit["id"] for hit in results} == expected.keys() != set()
    assert b"w1" in list(reader.lexicon("text"))


class _Placed(formats.Positions):  # type: ignore[misc]
    def decode_positions(self, value: bytes) -> list[int]:
        return array("I", value).tolist()


class _Terms(fields.FieldType):  # type: ignore[misc]
    analyzer = vector = column_type = None
    scorable = stored = unique = False

    def __init__(self) -> None:
        self.format = _Placed()

    def index(self, value: dict[str, list[int]], **_: object) -> Iterator[tuple[bytes, int, float, bytes]]:
        for term, places in value.items():
            yield term.encode(), len(places), 1.0, array("I", places).tobytes()


def test_stock_whoosh_finds_the_same(held: tuple[Index, Plain]) -> None:
    index, plain = held
    names = ("text", "name", "path", "ext")
    stock = RamStorage().create_index(fields.Schema(id=fields.STORED, **{name: _Terms() for name in names}))
    with stock.writer() as writer:
        for document in plain.documents:
            values: dict[str, dict[str, list[int]]] = {name: {} for name in names}
            position = 0
            for text in document.texts:
                position = analysis.count_positions(text, values["text"], position) + GAP
            analysis.count_positions(document.name, values["name"], split=True)
            analysis.count_positions(document.path, values["path"], split=True)
            values["ext"] = {analysis.whole(str(dict(document.fields)["ext"])): [0]}
            writer.add_document(id=document.id, **values)

    def known(tree: Query) -> bool:
        parts = list(tree.children()) if not tree.is_leaf() else []
        if isinstance(tree, NumericRange | Every | FuzzyTerm) or getattr(tree, "fieldname", "text") not in names:
            return False
        # Whoosh reads `[` in a wildcard as a set, and leaves a phrase out that repeats a word at one place.
        return all(known(part) for part in parts)

    choose = random.Random(3)
    compared = 0
    with stock.searcher() as searcher:
        while compared < 400:
            tree = asked(choose, 2)
            if not known(tree) or isinstance(tree, Not):
                continue
            expected = {hit["id"] for hit in searcher.search(tree, limit=None)}
            assert found(index, tree).keys() == expected, tree
            compared += 1
    assert schema.DEFAULT_FIELDS[0] in names


class _Counted(_Terms):
    scorable = True

    def index(self, value: dict[str, list[int]], **_: object) -> Iterator[tuple[bytes, int, float, bytes]]:
        for term, times, _weight, places in super().index(value):
            yield term, times, float(times), places


class _Ours(scoring.WeightingModel):  # type: ignore[misc]
    """Our formula, told to whoosh."""

    def scorer(self, searcher: Searcher, fieldname: str, text: bytes, qf: int = 1) -> scoring.BaseScorer:
        holding, count = searcher.doc_frequency(fieldname, text), searcher.doc_count_all()
        weight = schema.BOOSTS.get(fieldname, 1.0) * math.log(1 + (count - holding + 0.5) / (holding + 0.5)) * (K1 + 1)
        return _Scorer(weight, searcher, fieldname)


class _Scorer(scoring.BaseScorer):  # type: ignore[misc]
    def __init__(self, weight: float, searcher: Searcher, field: str) -> None:
        self.weight, self.searcher, self.field = weight, searcher, field

    def score(self, matcher: Any) -> float:
        times = matcher.weight()
        length = self.searcher.doc_field_length(matcher.id(), "text") if self.field == "text" else PIVOT
        return self.weight * times / (times + K1 * (1 - B + B * length / PIVOT))


def test_scores_are_stock_whooshs_but_for_its_rounded_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoosh keeps a length in one byte. With its lengths in place of ours, every score agrees."""
    choose = random.Random(12)
    documents = [
        Document(document.id, (" ".join(document.texts * choose.randint(1, 9)).replace("\n", " "),), document.name)
        for document in made_up(300, 11)
    ]
    index = Index.create(tmp_path / "i")
    for start in range(0, 300, 100):
        index.add(documents[start : start + 100])
        index.commit()
    stock = RamStorage().create_index(fields.Schema(id=fields.STORED, text=_Counted(), name=_Counted()))
    exact: dict[str, int] = {}
    with stock.writer() as writer:
        for document in documents:
            values: dict[str, dict[str, list[int]]] = {"text": {}, "name": {}}
            exact[document.id] = analysis.count_positions(document.texts[0], values["text"])
            analysis.count_positions(document.name, values["name"], split=True)
            writer.add_document(id=document.id, **values)

    def leaf() -> Query:
        field = choose.choice(["text", "text", "name"])
        if choose.random() < 0.3:
            return Phrase(field, choose.sample(["w1", "w2", "动画", "alpha", "제작"], 2), slop=choose.randint(1, 9))
        source = choose.choice(WORDS + RUNS if field == "text" else NAMES) or "x"
        return Term(field, choose.choice(analysis.tokens(source, split=field == "name")).term)

    def tree(depth: int) -> Query:
        if not depth or choose.random() < 0.3:
            return leaf()
        parts = [tree(depth - 1) for _ in range(choose.randint(2, 3))]
        return Or(parts) if choose.random() < 0.5 else And(parts)  # whoosh counts a Not as a hit of 1.0

    trees = [tree(2) for _ in range(400)]
    differ = 0
    with index, stock.searcher(weighting=_Ours()) as searcher:
        expected = [{hit["id"]: hit.score for hit in searcher.search(asked, limit=None)} for asked in trees]
        for asked, stocks in zip(trees, expected, strict=True):
            ours = found(index, asked)
            assert ours.keys() == stocks.keys(), asked
            differ += sum(abs(ours[name] - score) > 1e-6 for name, score in stocks.items())
        lengths = {
            stored["id"]: searcher.doc_field_length(at, "text") or 0 for at, stored in searcher.ixreader.iter_docs()
        }
        assert lengths == {name: byte_to_length(length_to_byte(length)) for name, length in exact.items()}
        for view in index._views():
            rounded = [lengths[name] for name in view.segment.ids(view.live())]
            monkeypatch.setattr(view.segment.places("text"), "lengths", np.array(rounded), raising=False)
            vars(view).pop("norms", None)
        hits = 0
        for asked, stocks in zip(trees, expected, strict=True):
            ours = found(index, asked)
            assert all(abs(ours[name] - score) <= 1e-6 for name, score in stocks.items()), asked
            hits += len(ours)
    assert differ > 100
    assert hits > 10_000
