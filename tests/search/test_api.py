"""What a script may do: the names of the package, with types, on the tour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.errors import QueryError
from indexer.model import Source
from search import Case
from search.answers import matching
from search.features import features
from search.featuring import update

TOUR = Path(__file__).parent.parent.parent / "fixtures" / "tour"


def test_a_case_is_asked_from_python(tmp_path: Path) -> None:
    with Case.create(tmp_path / "case", "studio") as made:
        ingest_sources(
            made,
            [Source("day1", str(TOUR / "day1"))],
            limits=limits_of(made),
            passwords=(),
            jobs=1,
            tell=lambda _: None,
        )
    with Case(str(tmp_path / "case")) as case:
        answer = case.search("수정 OR 修改", limit=3)
        assert len(answer.hits) == 3 < answer.total
        assert answer.hits[0].highlights[0].spans
        assert case.facets("lang:ko", ["ext"])["ext"]["txt"]
        written = case.export(tmp_path / "hits.jsonl", "수정")
        rows = [json.loads(line) for line in (tmp_path / "hits.jsonl").read_text().splitlines()]
        assert written.rows == len(rows) == case.search("수정").total
        assert sum(1 for _ in case.items()) == case.catalog.totals()[0]
        with pytest.raises(QueryError):
            case.search('"open')


def test_every_way_of_asking_takes_every_query(tmp_path: Path) -> None:
    """Names are looked for as they sound among the words of the case: whoever parses needs the case."""
    (tmp_path / "day1").mkdir()
    (tmp_path / "day1" / "a.txt").write_text("평양 lead@studio.example\n")
    with Case.create(tmp_path / "case") as case:
        source = Source("day1", str(tmp_path / "day1"))
        ingest_sources(case, [source], limits=limits_of(case), passwords=(), jobs=1, tell=lambda _: None)
        query = "sounds:Pyongyang"
        assert case.search(query).total == 1
        assert case.facets(query, ["ext"]) == {"ext": {"txt": 1}}
        assert [item.name for item in matching(case, query)] == ["a.txt"]
        update(case)
        assert [row.exact["value"] for row in features(case, query, types=["email"]).sheets[0].rows()]
