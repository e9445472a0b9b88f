"""PDF: what the golden fixtures cannot show: claims, damage of every kind, handles, speed of refusal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _pdf_raw, _pdfium
from indexer.handlers.pdf import Pdf, _time
from indexer.handlers.strings import Strings
from indexer.model import Item

FIXTURES = Path(__file__).parents[3] / "fixtures" / "pdf"
EVERYTHING = (FIXTURES / "everything" / "input.pdf").read_bytes()
HANDLERS = (Pdf(), Strings())


def read(data: bytes, *passwords: str) -> Item:
    return crawl_bytes(data, "input.pdf", handlers=HANDLERS, passwords=passwords)[0]


@pytest.mark.parametrize(
    ("data", "claimed"),
    [
        (b"%PDF-1.7\nanything", True),
        (b"\xef\xbb\xbf%PDF-1.4\n", True),
        (b"\0\0\0mail header\0%PDF-2.0\nstartxref\n0\n%%EOF", True),
        (b"a.pdf" + bytes(507) + b"%PDF-2.0\nstartxref\n0\n%%EOF" + bytes(1024), False),
        (b"\r\n%PDF-1.4\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4\nstartxref\n0\n%%EOF", True),
        (b"the mark %PDF-1.7 begins a file of this type\n", False),
        (b"%PDF-x", False),
        (b"x" * 1100 + b"%PDF-1.7\n", False),
        (b"", False),
        (b"%PDF", False),
    ],
)
def test_claims_a_header_but_no_text_that_mentions_one(data: bytes, claimed: bool) -> None:
    assert (Pdf().claims(Stream(io.BytesIO(data))) is not None) is claimed


def test_password_is_found_by_its_line_and_never_kept() -> None:
    data = (FIXTURES / "password" / "input.pdf").read_bytes()
    item = read(data, "wrong", "kite")
    assert [text.body for text in item.texts] == ["opened with a password"]
    assert ("encryption.password", "line 2") in [(field.name, field.value) for field in item.fields]
    assert "kite" not in str([field.value for field in item.fields])
    refused = read(data, "wrong")
    assert [(each.cause, each.message) for each in refused.problems] == [("encrypted", "a password is needed; 1 tried")]


def test_a_file_too_large_for_memory_gives_the_same_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(EVERYTHING)
    monkeypatch.setattr(_pdfium, "IN_MEMORY", 10)
    assert read(EVERYTHING) == expected


def test_marks_across_the_steps_of_the_pass_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (FIXTURES / "revisions" / "input.pdf").read_bytes()
    for step in (1, 2, 3, 5, 7, 64):
        monkeypatch.setattr(_pdf_raw, "_STEP", step)
        assert _pdf_raw.scan(Stream(io.BytesIO(data))).revisions == 2
        assert len(_pdf_raw.scan(Stream(io.BytesIO(EVERYTHING))).packets) == 1


def test_every_handle_is_closed() -> None:
    import pypdfium2.raw as pdfium

    opened: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            value = getattr(pdfium, name)
            pairs = {
                "FPDF_LoadMemDocument64": 1,
                "FPDF_CloseDocument": -1,
                "FPDF_LoadPage": 1,
                "FPDF_ClosePage": -1,
                "FPDFText_LoadPage": 1,
                "FPDFText_ClosePage": -1,
                "FPDFPage_GetAnnot": 1,
                "FPDFPage_CloseAnnot": -1,
                "FPDFDOC_InitFormFillEnvironment": 1,
                "FPDFDOC_ExitFormFillEnvironment": -1,
            }
            if name not in pairs:
                return value

            def call(*arguments: object) -> object:
                result = value(*arguments)
                if pairs[name] < 0 or result:
                    opened.append(name)
                return result

            call.argtypes = value.argtypes  # type: ignore[attr-defined]
            return call

    from indexer.handlers import pdf

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "load_pdfium", Counting)
        generator = Pdf().read(Stream(io.BytesIO(EVERYTHING)))
        for _ in range(30):
            next(generator)
        generator.close()
        list(Pdf().read(Stream(io.BytesIO(EVERYTHING))))
    assert opened.count("FPDF_LoadMemDocument64") == 2
    for start, end in (
        ("FPDF_LoadMemDocument64", "FPDF_CloseDocument"),
        ("FPDF_LoadPage", "FPDF_ClosePage"),
        ("FPDFText_LoadPage", "FPDFText_ClosePage"),
        ("FPDFPage_GetAnnot", "FPDFPage_CloseAnnot"),
        ("FPDFDOC_InitFormFillEnvironment", "FPDFDOC_ExitFormFillEnvironment"),
    ):
        assert opened.count(start) == opened.count(end) > 0, start


@pytest.mark.parametrize(
    ("text", "at", "resolution", "zone_known"),
    [
        ("D:20240228101112+09'00'", "2024-02-28T01:11:12+00:00", 1.0, True),
        ("D:20240228101112-0330", "2024-02-28T13:41:12+00:00", 1.0, True),
        ("20240228101112Z", "2024-02-28T10:11:12+00:00", 1.0, True),
        ("D:20240228101112", "2024-02-28T10:11:12+00:00", 1.0, False),
        ("D:202402281011", "2024-02-28T10:11:00+00:00", 60.0, False),
        ("D:2024022810", "2024-02-28T10:00:00+00:00", 3600.0, False),
        ("D:20240228", "2024-02-28T00:00:00+00:00", 86400.0, False),
        ("D:2024", "2024-01-01T00:00:00+00:00", 366 * 86400.0, False),
    ],
)
def test_dates_say_what_they_do_not_know(text: str, at: str, resolution: float, zone_known: bool) -> None:
    (stamp,) = _time("B", text, "x")
    assert (stamp.at.isoformat(), stamp.resolution, stamp.zone_known) == (at, resolution, zone_known)


@pytest.mark.parametrize("text", ["", "yesterday", "D:20241301", "D:20240228256199", "D:20240228101112+99'99'"])
def test_a_date_that_cannot_be_is_none(text: str) -> None:
    assert _time("B", text, "x") == []


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9, 0.97])
def test_a_transfer_that_broke_off_keeps_its_first_page(share: float) -> None:
    item = read(EVERYTHING[: int(len(EVERYTHING) * share)])
    assert any("Harbour Lights" in text.body and text.locator == "page 1" for text in item.texts), share
    assert {problem.cause for problem in item.problems} >= {"truncated"}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(EVERYTHING) - 1), st.integers(0, 255)), max_size=12), st.integers(0, 3))
def test_damage_never_leaves_the_crawl(flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(EVERYTHING)
    for place, value in flips:
        data[place] = value
    for item in crawl_bytes(bytes(data[: len(data) * (4 - cut) // 4]), handlers=HANDLERS):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


@pytest.mark.parametrize(
    "unit",
    [b"1 0 obj<<>>stream\n", b"1 0 obj<</Length 9>>%\nstream\nendobj\n", b"endstream 1 0 obj<<>>stream\n"],
)
def test_very_many_streams_without_an_end_are_refused_before_they_are_looked_for(unit: bytes) -> None:
    item = read(b"%PDF-1.4\n1 0 obj\n(kite festival)\nendobj\n" + unit * 60_000)
    assert [each.cause for each in item.problems] == ["truncated", "limit"]
    assert "kite festival" in item.texts[0].body


def test_streams_that_end_are_gone_over_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = b"1 0 obj<<>>stream\nstream stream\nendstream\nendobj\n" * 100
    assert len(ended) < _pdf_raw.count_searched(ended) < 2 * len(ended)
    assert _pdf_raw.count_searched(b"The stream of an obj, a stream, and a stream.") == 2 * 21
    assert _pdf_raw.count_searched(EVERYTHING) < 2 * len(EVERYTHING)
    monkeypatch.setattr(_pdf_raw, "IN_MEMORY", 10)
    monkeypatch.setattr(_pdf_raw, "_SEARCHED", 0)
    path = tmp_path / "input.pdf"
    path.write_bytes(b"1 0 obj<<>>stream\n" * 100)
    with path.open("rb") as file, pytest.raises(EvidenceError, match="without an end"):
        _pdf_raw.check_streams(Stream(file))
    path.write_bytes(ended)
    with path.open("rb") as file:
        _pdf_raw.check_streams(Stream(file))


@pytest.mark.parametrize("case", ["illustrator", "illustrator-zstd"])
def test_damaged_private_data_never_end_a_reading(case: str) -> None:
    data = (FIXTURES / case / "input.ai").read_bytes()
    assert read(data).media_type == "application/illustrator"
    for at in range(0, len(data), 397):
        for damaged in (data[:at], data[:at] + bytes((data[at] ^ 0x41,)) + data[at + 1 :]):
            assert not [problem for problem in read(damaged).problems if problem.cause == "crash"], at
