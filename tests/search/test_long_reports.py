"""Reports of any length: PDFs set in parts and joined, workbooks whose tables go on in the next sheet."""

from __future__ import annotations

import ctypes
import io
import re
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pypdfium2
import pytest
from lxml import etree
from pypdfium2 import raw

from cli.runs import ingest_sources, limits_of
from indexer.errors import StoreError
from indexer.model import Highlight, Source
from search.case import Case
from search.exporting import export, report_of
from search.exports import pdf, xlsx
from search.exports._joining import Joined, count_pages
from search.exports.html_report import marked
from search.timeline import timeline

typst = pytest.importorskip("typst")

ITEMS = 25


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("long")
    (folder / "evidence").mkdir()
    for number in range(ITEMS):
        (folder / "evidence" / f"cut{number:03}.txt").write_text(f"원화 수정 cut {number} 修改 #set text(red) \\(")
    (folder / "evidence" / "bad.zip").write_bytes(b"PK\x03\x04 cut off")
    with Case.create(folder / "case", "Studio (day (1)) \\") as made:
        source = Source("s", str(folder / "evidence"))
        ingest_sources(made, [source], limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


def pages_of(document: pypdfium2.PdfDocument) -> list[str]:
    return [document[at].get_textpage().get_text_bounded().replace("\r\n", "\n") for at in range(len(document))]


def outline_of(document: pypdfium2.PdfDocument) -> list[tuple[str, int]]:
    return [(each.get_title(), each.get_dest().get_index()) for each in document.get_toc()]


def test_no_cell_of_a_table_lies_over_its_neighbour(case: Case, tmp_path: Path) -> None:
    export(timeline(case), "pdf", tmp_path / "t.pdf")
    text = pypdfium2.PdfDocument(tmp_path / "t.pdf")[1].get_textpage()
    lines: dict[int, set[tuple[float, float]]] = {}
    for at in range(text.count_chars()):
        left, bottom, right, _ = text.get_charbox(at, loose=True)
        lines.setdefault(round(bottom), set()).add((left, right))
    assert len(lines) > ITEMS
    for line in map(sorted, lines.values()):
        assert [round(before - left) for (_, before), (left, _) in pairwise(line) if left < before - 1] == []


def test_where_a_long_word_may_break_nothing_of_it_is_lost(case: Case, tmp_path: Path) -> None:
    word = "0123456789abcdef" * 4
    both = f"2024-04-02T10:30:00.123456Z {word}"
    assert pdf._laid(both).replace("\u200b", "") == both
    assert max(map(len, pdf._laid(word).split("\u200b"))) == 16
    assert pdf._laid("2024-04-02T10:30:00Z") == "2024-04-02T\u200b10:30:00Z"
    assert pdf._laid("S03E05_C034.png") == "S03E05_C034.png"
    export(report_of(case, "수정"), "pdf", tmp_path / "r.pdf")
    told = "".join(pages_of(pypdfium2.PdfDocument(tmp_path / "r.pdf")))
    assert "\u200b" not in told
    assert str(case.path.parent / "evidence") in told.replace("\n", "")


def test_a_tab_in_a_passage_is_a_space() -> None:
    passage = Highlight("body", "cut\tretake\r\nlate", ((4, 10),))
    assert marked(passage) == [(False, "cut "), (True, "retake"), (False, " late")]


def test_a_report_that_fits_is_one_piece(case: Case, tmp_path: Path) -> None:
    assert export(report_of(case, "수정"), "pdf", tmp_path / "r.pdf").rows == ITEMS
    document = pypdfium2.PdfDocument(tmp_path / "r.pdf")
    pages = pages_of(document)
    assert [page.rstrip().endswith(f"{at} / {len(pages)}") for at, page in enumerate(pages, 1)] == [True] * len(pages)
    assert document.is_tagged()
    assert "pages" not in pages[0]


@pytest.mark.parametrize("query", ["수정", ""])
def test_a_long_report_is_set_in_parts_and_has_every_hit_once(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(pdf, "MOST_ROWS", 10)
    written = export(report_of(case, query), "pdf", tmp_path / "r.pdf")
    again = export(report_of(case, query), "pdf", tmp_path / "again.pdf")
    assert written.sha256 == again.sha256
    document = pypdfium2.PdfDocument(tmp_path / "r.pdf")
    pages = pages_of(document)
    ids = re.findall(r"^id ([0-9a-f]{32})", "\n".join(pages), re.MULTILINE)
    items = [item.id for item in case.items() if not query or item.name.startswith("cut")]
    assert ids == items
    assert written.rows == len(items)
    assert [page.rstrip().rpartition(" ")[2].rpartition("\n")[2] for page in pages] == [
        str(at) for at in range(1, len(pages) + 1)
    ]
    assert f"pages {len(pages)}\n" in pages[0]
    assert "bad.zip" in pages[-1]
    name = "Hits" if query else "Items"
    headings = outline_of(document)
    assert [title for title, _ in headings] == [
        "What they are", name, f"{name}, from 11", f"{name}, from 21", "What was not fully read in this case",
    ]  # fmt: skip
    assert all(title in pages[at] for title, at in headings)
    assert document.get_metadata_dict()["Title"] == "Studio (day (1)) \\"
    assert f"<xmpTPg:NPages>{len(pages)}<" in (tmp_path / "r.pdf").read_bytes().decode("latin-1")
    if query:
        assert "#set text(red) \\(" in "".join(pages)


def test_a_hit_longer_than_a_page_goes_on_over_its_end(case: Case, tmp_path: Path) -> None:
    item = next(item for item in case.items() if item.name == "cut007.txt")
    for number in range(6):
        case.review.note(item.id, "retake " * 500 + f"end{number}")
    case.commit()
    export(report_of(case, "name:cut007"), "pdf", tmp_path / "n.pdf")
    pages = pages_of(pypdfium2.PdfDocument(tmp_path / "n.pdf"))
    assert [f"end{number}" in "".join(pages) for number in range(6)] == [True] * 6
    assert sum("retake" in page for page in pages) > 1


def test_other_answers_go_on_in_parts_too(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MOST_CHARS", 2_000)
    written = export(timeline(case), "pdf", tmp_path / "t.pdf")
    pages = pages_of(pypdfium2.PdfDocument(tmp_path / "t.pdf"))
    text = "".join(pages)
    assert written.rows > ITEMS
    assert len(re.findall(r"fs\.mtime", text.replace("\n", ""))) == ITEMS + 1
    assert text.count("timeline, from ") >= 3
    assert export(report_of(case, "ext:none"), "pdf", tmp_path / "n.pdf").rows == 0


def test_a_report_that_cannot_be_set_says_so_and_leaves_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = report_of(case, "수정")
    monkeypatch.setattr(pdf, "_front", lambda _: None)
    monkeypatch.setattr(pdf, "_sections", lambda _: [pdf._Section({"kind": "table", "name": "t"}, ())])
    with pytest.raises(StoreError, match="typst could not set"):
        export(broken, "pdf", tmp_path / "r.pdf")
    assert not list(tmp_path.iterdir())


# -- joining -----------------------------------------------------------------------------------

PART = """
#set document(title: "A (b (c)) \\\\ 7 0 R")
= Part {0} (of (3)) 5 0 R
#link("https://cut.example/(a)/{0}")[out]
#link(<last>)[on]
#pagebreak()
second {0}
#pagebreak()
third {0} <last>
"""


def made(number: int) -> bytes:
    told = typst.compile(PART.format(number).encode(), timestamp=0, pdf_tags=False)
    assert isinstance(told, bytes)
    return told


def links_of(document: pypdfium2.PdfDocument, at: int) -> list[str]:
    """Where the links of a page lead: addresses, and pages by their index."""
    page = document[at]  # gone with its links where nothing holds it
    found, position, link = [], ctypes.c_int(0), raw.FPDF_LINK()
    while raw.FPDFLink_Enumerate(page.raw, ctypes.byref(position), ctypes.byref(link)):
        if target := raw.FPDFLink_GetDest(document.raw, link):
            found.append(str(raw.FPDFDest_GetDestPageIndex(document.raw, target)))
        else:
            action = raw.FPDFLink_GetAction(link)
            room = ctypes.create_string_buffer(200)
            raw.FPDFAction_GetURIPath(document.raw, action, room, 200)
            found.append(room.value.decode())
    return sorted(found)


def test_joined_pages_keep_their_links_and_stand_in_order() -> None:
    parts = [made(number) for number in range(4)]
    out = io.BytesIO()
    joined = Joined(out)
    for number in range(1, 131):
        assert joined.add(parts[number % 3 + 1]) == 3
    joined.add(parts[0], first=True)
    joined.end()
    document = pypdfium2.PdfDocument(out.getvalue())
    assert len(document) == 131 * 3
    numbers = [0, *(number % 3 + 1 for number in range(1, 131))]
    for at in (0, 1, 64, 65, 130):
        assert links_of(document, 3 * at) == [str(3 * at + 2), f"https://cut.example/(a)/{numbers[at]}"]
        assert document[3 * at + 1].get_textpage().get_text_bounded() == f"second {numbers[at]}"
    assert outline_of(document) == [(f"Part {each} (of (3)) 5 0 R", 3 * at) for at, each in enumerate(numbers)]
    assert document.get_metadata_dict()["Title"] == "A (b (c)) \\ 7 0 R"


def test_what_typst_did_not_write_is_refused() -> None:
    whole = made(1)
    for broken in (b"", b"%PDF-1.7\n", whole[:-30], whole.replace(b"\nxref\n", b"\nxxxx\n"), b"x" + whole):
        with pytest.raises(StoreError):
            Joined(io.BytesIO()).add(broken, first=True)
    assert count_pages(whole) == 3


# -- workbooks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [4, 13, 26, 100])
def test_a_table_goes_on_in_the_next_sheet(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(xlsx, "ROWS", rows)
    assert export(report_of(case), "xlsx", tmp_path / "b.xlsx").rows == ITEMS + 1
    with zipfile.ZipFile(tmp_path / "b.xlsx") as book:
        names = re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode())
        pages = -(-(ITEMS + 1) // rows)
        items = [f"items {at + 1}" if at else "items" for at in range(pages)]
        assert [name for name in names if name.startswith("items")] == items
        found = []
        for name in items:
            sheet = etree.fromstring(book.read(f"xl/worksheets/sheet{names.index(name) + 1}.xml"))
            lines = sheet.findall(".//{*}row")
            assert len(lines) <= rows + 1
            assert "".join(lines[0][0].itertext()) == "id"
            assert sheet.find("{*}autoFilter").get("ref").endswith(str(len(lines)))
            found += ["".join(line[0].itertext()) for line in lines[1:]]
    assert found == [item.id for item in case.items()]
