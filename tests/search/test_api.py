"""What a script may do: the names of the package, with types, on the tour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.errors import QueryError
from indexer.model import Source
from search import Case

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
