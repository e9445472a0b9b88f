"""What is counted by columns, against the items one by one."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from cli.runs import ingest_sources, limits_of
from indexer.model import Source, print_time
from search.answers import matching
from search.case import Case
from search.engine.columns import NEVER, columns_of, distinct, moment_of
from search.families import Families
from search.timeline import STEPS, Step, histogram
from search.watchlist import date_of


def mail(subject: str, *attached: tuple[str, bytes]) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "lead@studio.example", "a@studio.example", subject
    message["Date"] = "Tue, 2 Apr 2024 05:41:03 +0900"
    message.set_content("수정 부탁")
    for name, body in attached:
        kind = ("message", "rfc822") if name.endswith(".eml") else ("application", "octet-stream")
        if kind[0] == "message":
            inner = EmailMessage()
            inner.set_content(body.decode())
            message.add_attachment(inner, filename=name)
        else:
            message.add_attachment(body, maintype=kind[0], subtype=kind[1], filename=name)
    return message.as_bytes()


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("columns")
    sources = []
    for name in ("day1", "day2"):
        (folder / name).mkdir()
        (folder / name / "same.txt").write_text("수정 동화")
        (folder / name / "empty.txt").write_bytes(b"")
        (folder / name / "m.eml").write_bytes(mail("cuts", ("cut.txt", b"C012"), ("inner.eml", b"again")))
        with zipfile.ZipFile(folder / name / "z.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("in/", (2024, 3, 1, 12, 0, 0)), b"")
            archive.writestr(zipfile.ZipInfo("in/m.eml", (2024, 3, 2, 23, 30, 2)), mail(name, ("a.txt", b"C013")))
        sources.append(Source(name, str(folder / name)))
    with Case.create(folder / "case") as made:
        ingest_sources(made, sources, limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


def test_columns_say_what_the_items_say(case: Case) -> None:
    columns = columns_of(case.catalog)
    family_of = Families(case)
    items = list(case.catalog.items())
    assert len(columns.ids) == len(items) > 15
    ids = [item.id for item, _ in items]
    contents: dict[str, set[int]] = {}
    for row, (item, reading) in enumerate(items):
        assert columns.id(row) == item.id
        assert columns.sources[columns.source[row]] == item.provenance.source
        assert columns.id(columns.family[row]) == family_of(item.provenance)
        at = int(columns.at[row])
        assert (None if at == NEVER else moment_of(at)) == date_of(item)
        contents.setdefault(item.digests.sha256 if item.digests else item.id, set()).add(int(columns.content[row]))
        assert (columns.reading[row] < 0) == (reading is None)
    assert all(len(held) == 1 for held in contents.values())
    assert len(set.union(*contents.values())) == len(contents)
    assert sum(columns.family[row] != row for row in range(len(ids))) >= 6
    assert any(columns.at == NEVER) or all(item.timestamps for item, _ in items)
    raw = bytes.fromhex("".join(reversed(ids)))
    assert columns.find(raw + bytes(15) + b"\1").tolist() == [*reversed(range(len(ids))), -1]


def test_rows_are_found_by_their_readings(case: Case) -> None:
    columns = columns_of(case.catalog)
    wanted = distinct(columns.reading[columns.reading >= 0], len(columns.readings))[::2]
    rows, which = columns.sharing(wanted)
    found = sorted(zip(rows.tolist(), wanted[which].tolist(), strict=True))
    assert found == [(row, key) for row, key in enumerate(columns.reading.tolist()) if key in set(wanted.tolist())]


def test_a_case_of_nothing_has_empty_columns(tmp_path: Path) -> None:
    with Case.create(tmp_path / "case") as empty:
        columns = columns_of(empty.catalog)
        assert len(columns.ids) == 0
        assert columns.find(bytes(16)).tolist() == [-1]
        assert histogram(empty, "", "day") == {}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("query", ["", "name:m", "수정", "nowhere"])
def test_times_are_counted_by_every_step(case: Case, query: str, step: Step) -> None:
    stamps = [stamp for item in matching(case, query) for stamp in item.timestamps]
    counts = Counter(print_time(stamp.at)[: STEPS[step]] for stamp in stamps)
    found = histogram(case, query, step)
    assert list(found.items()) == sorted(counts.items())
    assert bool(found) == (query != "nowhere")
