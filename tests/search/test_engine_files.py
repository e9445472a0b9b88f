"""What the index's files survive: kills, damage, other versions, readers and writers at the same time."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whoosh.query import Regex

from indexer.errors import QueryError, StoreError
from search.engine import merge, write
from search.engine.codes import before
from search.engine.format import MAGIC, File, Writer
from search.engine.layout import FieldWriter
from search.engine.question import Limits
from search.index import Index
from search.query import parse
from search.schema import Document
from search.tree import And, Not, Or, Prefix, Query, Term, Wildcard

QUERIES = ("w1 OR w*", '"w1 w2"', "*w*", "size:>3", "name:n* -w3", "tag:*")


def document(number: int, word: str = "w1 w2 w3 动画") -> Document:
    fields = (("tag", f"t{number % 5}"),)
    return Document(f"{number:032x}", (f"{word} n{number}", "w4"), f"n{number}.txt", f"s:n{number}.txt", number, fields)


def filled(folder: Path, commits: int = 3, each: int = 40) -> Index:
    index = Index.create(folder)
    for commit in range(commits):
        index.add(document(number) for number in range(commit * each, (commit + 1) * each))
        index.commit()
    return index


def answers(index: Index) -> list[object]:
    return [index.search(parse(text), limit=500) for text in QUERIES]


def test_opening_and_searching_never_unpickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "i").close()

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a pickle is read")

    for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler"):
        monkeypatch.setattr(pickle, name, fail)
    with Index.open(tmp_path / "i") as index:
        assert len(index) == 120
        assert answers(index)
        assert index.facets(parse("*"), ["tag"])
        index.add([document(500)])
        index.commit()
        assert index.reader().doc_count() == 121


def test_no_flipped_bit_is_believed(tmp_path: Path) -> None:
    """Whatever is damaged: the answer is the same, or the damage is told; `verify` finds all of it."""
    with filled(tmp_path / "i") as index:
        index.delete([f"{3:032x}"])
        index.commit()
        expected = answers(index)
    files = [path for path in (tmp_path / "i").iterdir() if path.suffix in (".seg", ".dead", ".json")]
    files = [path for path in files if path.name != "previous.json"]
    choose = random.Random(5)
    told = 0
    for turn in range(200):
        path = choose.choice(files)
        good = path.read_bytes()
        bad = bytearray(good)
        if turn % 4:
            bad[choose.randrange(len(bad))] ^= 1 << choose.randrange(8)
        else:
            bad = bad[: choose.randrange(len(bad))]
        path.write_bytes(bad)
        try:
            with Index.open(tmp_path / "i") as index:
                if not index.fallen:
                    assert answers(index) == expected
        except StoreError as error:
            assert "reindex" in str(error) or "damaged" in str(error)
            told += 1
        if bad != good:
            with pytest.raises(StoreError), Index.open(tmp_path / "i") as index:
                index.verify()
        path.write_bytes(good)
    assert told > 20
    with Index.open(tmp_path / "i") as index:
        index.verify()
        assert answers(index) == expected


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"format":3}', b"\xff"])
def test_a_torn_manifest_falls_back_one_generation(tmp_path: Path, content: bytes) -> None:
    with filled(tmp_path / "i") as index:
        index.add([document(999)])
        index.commit()
    (tmp_path / "i" / "index.json").write_bytes(content)
    with Index.open(tmp_path / "i") as index:
        assert len(index) == 120
        assert "index.json" in index.fallen
        with pytest.raises(StoreError, match="reindex"):
            index.add([document(1000)])
        index.rebuild(document(number) for number in range(7))
        assert (len(index), index.fallen) == (7, "")
    (tmp_path / "i" / "index.json").write_bytes(content)
    (tmp_path / "i" / "previous.json").write_bytes(b"")
    with pytest.raises(StoreError, match="reindex"):
        Index.open(tmp_path / "i")


def test_a_lost_segment_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "i").close()
    (tmp_path / "i" / "s2-0.seg").unlink()
    with pytest.raises(StoreError, match=r"s2-0\.seg is missing.*reindex"):
        Index.open(tmp_path / "i")


def test_a_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    filled(tmp_path / "i").close()
    from search.engine import store

    path = tmp_path / "i" / "index.json"
    told = json.loads(path.read_text())
    told.pop("crc")
    told["segments"][0]["name"] = "../elsewhere.seg"
    told["crc"] = store.zlib.crc32(store._plain(told))
    path.write_text(json.dumps(told))
    (tmp_path / "i" / "previous.json").unlink()
    with pytest.raises(StoreError, match="no name of a segment"):
        Index.open(tmp_path / "i")


def test_a_segment_of_a_newer_format_is_refused_in_words(tmp_path: Path) -> None:
    with filled(tmp_path / "i", 1):
        pass
    path = next((tmp_path / "i").glob("*.seg"))
    path.write_bytes(path.read_bytes().replace(b'{"format":2', b'{"format":9'))
    with pytest.raises(StoreError, match="newer version"):
        File(path)
    assert path.read_bytes().startswith(MAGIC)


def test_a_kill_leaves_a_whole_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty kills and more at random moments of adding, merging and committing."""
    monkeypatch.setattr(write, "_SAME", 3)  # merge often
    folder = tmp_path / "i"
    Index.create(folder).close()
    choose = random.Random(9)
    each = 15
    seen: list[int] = []
    while len(seen) < 60 or seen[-1] <= 5:  # where others want the processor too, less is done in the same time
        with Index.open(folder) as index:
            done = len(index) // each
        child = os.fork()
        if not child:
            try:
                with Index.open(folder) as index:
                    for batch in range(done, done + 1000):
                        index.add(
                            document(number, f"batch{batch}") for number in range(batch * each, (batch + 1) * each)
                        )
                        index.commit()
            finally:
                os._exit(1)
        time.sleep(choose.random() * 0.12)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with Index.open(folder) as index:
            assert not index.fallen
            assert len(index) % each == 0
            index.verify()
            batches = len(index) // each
            assert batches >= done
            for batch in {0, batches // 2, batches - 1, batches} - {-1}:
                total, _ = index.search(Term("text", f"batch{batch}"))
                assert total == (each if batch < batches else 0)
            seen.append(batches)
    with Index.open(folder) as index:
        index.add([document(10**6)])
        index.commit()
    left = {path.name for path in folder.iterdir()}
    assert len([name for name in left if name.endswith(".seg")]) < 20, "what kills left behind is removed"


def test_a_merge_in_a_process_of_its_own_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for most in (write._LARGE, 0):
        monkeypatch.setattr(write, "_LARGE", most)
        folder = tmp_path / str(most)
        with filled(folder, 5) as index:
            index.delete(f"{number:032x}" for number in (3, 4, 50))
            index.add([document(5), *(document(number) for number in range(700, 740))])
            index.commit()
            (segment,) = json.loads((folder / "index.json").read_bytes())["segments"]
            index.verify()
        made.append((folder / segment["name"]).read_bytes())
    assert made[0] == made[1]
    assert len(made[0]) > 1000


def test_a_merge_holds_little_where_segments_have_nothing_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def noted(*values: Any) -> Any:
        made = stretch(*values)
        held.append(len(made[-1]))
        return made

    stretch = merge._stretch
    monkeypatch.setattr(merge, "_stretch", noted)
    monkeypatch.setattr(merge, "_BATCH", 60)
    monkeypatch.setattr(write, "_SAME", 2)
    with Index.create(tmp_path / "i") as index:
        for number, (char, terms, times) in enumerate((("w", 300, 1), ("动", 100, 9))):  # the second has fewer terms
            text = " ".join(f"{char}{chr(0x4E00 + at) if number else at}" for at in range(terms) for _ in range(times))
            index.add([Document(f"{number:032x}", [text])])
            index.commit()
        assert len(index) == 2
    assert sum(held) > 300 + 2 * 900
    assert max(held) <= 2 * 60


def test_damage_met_by_a_merge_in_a_process_of_its_own_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_LARGE", 0)
    with filled(tmp_path / "i", 5) as index:
        path = next((tmp_path / "i").glob("*.seg"))
        raw = bytearray(path.read_bytes())
        raw[200] ^= 1
        path.write_bytes(raw)
        index.add(document(number) for number in range(700, 740))
        with pytest.raises(StoreError, match=f"building the index: {path.name} is damaged"):
            index.commit()


@given(st.data())
def test_lists_come_in_any_parts(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    universe = 300
    lists = data.draw(st.lists(st.sets(st.integers(0, universe - 1), min_size=1, max_size=9), max_size=200))
    counts = np.array([len(each) for each in lists], np.int64)
    values = np.array([number for each in lists for number in sorted(each)], np.uint32)
    terms = [f"t{number:04}\n".encode() for number in range(len(lists))]
    blob, sizes = np.frombuffer(b"".join(terms), np.uint8), np.full(len(lists), 6)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(lists)))) | {0, len(lists)})
    made = []
    for step in ("whole", "parts"):
        path = tmp_path_factory.mktemp("lists") / step
        with Writer(path) as writer:
            out = FieldWriter(writer, "text", universe)
            if step == "whole":
                out.add_all(blob, sizes, counts, counts, values)
            else:
                ends = before(np.append(counts, 0))
                for start, end in pairwise(cuts):
                    out.add_lists(counts[start:end], values[ends[start] : ends[end]])
                out.add(blob, sizes, counts, counts)
                out.finish()
            writer.finish({})
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_readers_see_the_newest_commit_while_one_writes(tmp_path: Path) -> None:
    with filled(tmp_path / "i", 1) as writer, Index.open(tmp_path / "i") as reader:
        for number in range(200, 230):
            writer.add([document(number)])
            assert len(reader) == 40 + number - 200
            writer.commit()
            assert len(reader) == 41 + number - 200
            assert reader.search(Term("text", f"n{number}"))[0] == 1
        writer.add([document(200, "replaced")])
        writer.delete([f"{201:032x}"])
        assert reader.search(Term("text", "replaced"))[0] == 0
        writer.commit()
        assert reader.search(Term("text", "replaced"))[0] == 1
        assert len(reader) == 69
        assert len(list((tmp_path / "i").glob("*.seg"))) < 20, "segments are merged"


def test_rebuild_is_beside_until_it_is_done(tmp_path: Path) -> None:
    with filled(tmp_path / "i", 2) as index, Index.open(tmp_path / "i") as reader:

        def slowly() -> Iterator[Document]:
            for number in range(10):
                assert len(reader) == 80
                yield document(number, "fresh")

        assert index.rebuild(slowly()) == 10
        assert (len(reader), reader.search(Term("text", "fresh"))[0]) == (10, 10)


# -- facets, sorting, pages


def test_facets_count_all_hits_of_a_query(tmp_path: Path) -> None:
    with filled(tmp_path / "i") as index:
        assert index.facets(parse("w1"), ["tag", "ext"]) == {
            "tag": {f"t{number}": 24 for number in range(5)},
            "ext": {},
        }
        assert index.facets(parse("n7 OR n12 OR n13"), ["tag"]) == {"tag": {"t2": 2, "t3": 1}}
        index.delete([f"{7:032x}"])
        index.commit()
        assert index.facets(parse("n7 OR n12 OR n13"), ["tag"]) == {"tag": {"t2": 1, "t3": 1}}


@pytest.mark.parametrize("sort", ["score", "name", "path", "size", "tag"])
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_follow_each_other_whatever_is_added(tmp_path: Path, sort: str, reverse: bool) -> None:
    with filled(tmp_path / "i") as index:
        whole = list(index.ids(parse("w*"), sort=sort, reverse=reverse))
        assert len(whole) == 120
        got: list[str] = []
        after = ""
        while True:
            page = index.page(parse("w*"), limit=17, sort=sort, reverse=reverse, after=after)
            if not page.hits:
                break
            got += [name for name, _ in page.hits]
            after = page.after
        assert got == whole
        with pytest.raises(QueryError):
            index.page(parse("w*"), after="nonsense")


# -- limits


def test_a_capped_answer_says_so(tmp_path: Path) -> None:
    with filled(tmp_path / "i") as index:
        assert index.search(Wildcard("text", "n*?"))[0] == 120
        assert index.notes == ()
        index.limits = Limits(terms=10)
        assert 10 <= index.search(Wildcard("text", "n*?"))[0] < 120
        assert "more than 10 terms" in index.notes[0]


def nested(depth: int) -> Query:
    tree: Query = Term("text", "w1")
    for _ in range(depth):
        tree = And([tree, Not(Term("text", "w9"))])
    return tree


@pytest.mark.parametrize(
    "tree",
    [
        Wildcard("text", "*a*"),
        Wildcard("text", "*" + "a*" * 60 + "b"),
        Or([Term("text", f"n{number}") for number in range(20_000)]),
        Or([Prefix("text", f"n{number}") for number in range(2_000)]),
        Regex("text", "(a+)+$"),
        Regex("text", "(n|n)*x"),
        nested(100),
    ],
)
def test_costly_queries_end_soon(tmp_path: Path, tree: Query) -> None:
    with Index.create(tmp_path / "i") as index:
        index.add(document(number, "a" * 100 + f"a{number}") for number in range(2000))
        index.commit()
        start = time.monotonic()
        index.search(tree)
        assert time.monotonic() - start < 2


def test_too_deep_and_too_long_are_told(tmp_path: Path) -> None:
    with filled(tmp_path / "i") as index:
        with pytest.raises(QueryError, match="nested deeper"):
            index.search(nested(3000))
        with pytest.raises(QueryError, match="nested deeper"):
            parse("(" * 3000 + "a" + ")" * 3000)
        with pytest.raises(QueryError, match="cannot be understood"):
            index.search(Regex("text", "(("))
        index.limits = Limits(seconds=0)
        with pytest.raises(QueryError, match="takes longer"):
            index.search(parse("w1"))


# -- other processes


def made_beside(argument: str, ids: list[str]) -> Iterator[Document]:
    for each in ids:
        if argument == "fail":
            raise StoreError("the case could not be read")
        yield document(int(each, 16))


def test_other_processes_build_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_WORTH", 10)
    ids = [f"{number:032x}" for number in range(120)]
    with filled(tmp_path / "i") as one, filled(tmp_path / "j", 1) as other:
        assert other.add_beside("test_engine_files:made_beside", "", ids, processes=2) == 120
        assert len(other) == 40
        other.commit()
        assert (len(other), answers(other)) == (120, answers(one))
        with pytest.raises(StoreError, match="could not be read"):
            other.add_beside("test_engine_files:made_beside", "fail", ids, processes=2)
        assert other.add_beside("test_engine_files:made_beside", "", ids[:3], processes=1) == 3
        other.commit()
        assert answers(other) == answers(one)
