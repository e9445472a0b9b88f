"""Records read in bulk give what the parser gives, however the XML is bent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers import _sheet_rows, _skim
from indexer.handlers._sheet_rows import SheetRows
from indexer.handlers._skim import Skim
from indexer.handlers.docx import Docx
from indexer.handlers.xls import Xls
from indexer.handlers.xlsx import Xlsx
from indexer.model import Child, Fact, Problem, Text

# ruff: noqa: E501
SPACE = "http://schemas.openxmlformats.org"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
ROWS = (
    '<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="B{n}" t="s"><v>1</v></c><c r="C{n}" s="1"><v>44562.5</v></c></row>',
    '<row r="{n}" spans="1:3"><c r="A{n}" t="s"><v>0</v></c><c r="D{n}" t="s"><v>7</v></c><c r="BZ{n}"><v>1.5</v></c></row>',
    '<row r="{n}"><c r="A{n}" t="str"><f>B1&amp;"x"</f><v>a &lt; b</v></c><c r="B{n}" s="2"><v>1234.5</v></c></row>',
    '<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>종이</t></is></c><c r="C{n}" t="b"><v>1</v></c><c r="B{n}" s="0"/></row>',
    '<row r="{n}"/>',
    '<row><c t="n"><v>5</v></c><c><f t="shared" si="0"/><v>1E-3</v></c></row>',
    "\n<!-- a note --><row r='{n}'><c r='A{n}'><v>1</v></c></row>\r\n",
    '<row r="{n}"><c r="A{n}" t="inlineStr"><is><r><t>rich</t></r><r><t>er</t></r></is></c></row>',
    '<row r="{n}"><c r="A{n}"><v>&#51;</v></c><c r="B{n}"><v><![CDATA[4]]></v></c></row>',
)
ALIKE = (
    *ROWS[:3],
    '<row r="{n}" ht="12"><c r="A{n}"><v>0.{n}0</v></c><c r="B{n}" s="1"/><c r="C{n}"><v>-{n}</v></c></row>',
    '<row r="{n}"><c r="A{n}"><v>-00{n}.5</v></c><c r="B{n}"><v>1.{n}E-12</v></c><c r="C{n}"><v>7</v></c></row>\n',
    '<row r="{n}"><c r="A{n}" t="s"><v>{n}</v></c><c r="B{n}" s="2"><v>0.{n}</v></c><c r="C{n}" t="e"><v>#N/A</v></c></row>',
    '<row r="{n}"><c r="A{n}" s="1"></c><c r="B{n}"><v>{n}</v></c><c r="C{n}" t="str"><v>a&amp;{n}</v></c></row>',
    '<row r="0"><c r="C1"><v>{n}</v></c><c r="B1" t="s"><v>0</v></c></row>',
    '<row r="{n}"><c r="B{n}" s="1"/><c r="C{n}"/></row>',
)
"""Rows whose like follow one another."""
VALUES = (
    "",
    "nan",
    "1e300",
    "1E5",
    "12345678901234567890.5",
    " 4 ",
    "-",
    "0000000001",
    "٣",
    "1_0",
    "-007",
    "&lt;",
    "1.50",
)
STRINGS = (
    "<si><t>lantern</t></si>",
    '<si><t xml:space="preserve"> two\nlines </t></si>',
    "<si><t>ink &amp; paint</t></si>",
    "<si><r><t>ri</t></r><r><t>ch</t></r><rPh><t>guide</t></rPh></si>",
    "<si/>",
    "<si><t/></si>",
)
PARAGRAPHS = (
    '<w:p w:rsidR="00A1"><w:pPr><w:pStyle w:val="a"/><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr>'
    '<w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">cut </w:t></w:r><w:proofErr w:type="x"/><w:r><w:t>12</w:t></w:r></w:p>',
    "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c &gt; d</w:t></w:r></w:p>",
    "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r></w:p>",
    '<w:p><w:ins w:id="1" w:author="Ha"><w:r><w:t>new</w:t></w:r></w:ins><w:del w:author="Yun"><w:r><w:delText>old</w:delText></w:r></w:del></w:p>',
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>one</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>two</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
    "<w:p><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></w:pict><w:t>around</w:t></w:r></w:p>",
    "<mc:AlternateContent><mc:Choice><w:p><w:r><w:t>same</w:t></w:r></w:p></mc:Choice>"
    "<mc:Fallback><w:p><w:r><w:t>same</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>",
    "<w:p/>",
    '<q xmlns:w="elsewhere"><w:p><w:r><w:t>foreign</w:t></w:r></w:p></q>',
    "<w:p>\r\n<w:r><w:t>\u4f5c\u753b</w:t></w:r></w:p>",
)


def packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def workbook(rows: str, strings: str) -> dict[str, bytes]:
    space = f'xmlns="{SPACE}/spreadsheetml/2006/main"'
    styles = '<numFmts><numFmt numFmtId="170" formatCode="0.00%"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/></cellXfs>'
    parts = {
        "xl/workbook.xml": f"<workbook {space}><sheets/></workbook>",
        "xl/styles.xml": f"<styleSheet {space}>{styles}</styleSheet>",
        "xl/sharedStrings.xml": f"{HEAD}<sst {space}>{strings}</sst>",
        "xl/worksheet1.xml": f"{HEAD}<worksheet {space}><sheetData>{rows}</sheetData></worksheet>",
    }
    return {name: text.encode() for name, text in parts.items()}


def document(body: str) -> dict[str, bytes]:
    spaces = f'xmlns:w="{SPACE}/wordprocessingml/2006/main" xmlns:mc="{SPACE}/markup-compatibility/2006"'
    return {"word/document.xml": f"{HEAD}<w:document {spaces}><w:body>{body}</w:body></w:document>".encode()}


def facts(handler: Handler, data: bytes) -> list[object]:
    found: list[object] = []
    try:
        for fact in handler.read(Stream(io.BytesIO(data))):
            found.append((fact.name, fact.fields) if isinstance(fact, Child) else fact)
    except EvidenceError as error:
        found.append((error.cause, error.message))
    return found


def straight(skim: Skim, pieces: Iterable[bytes]) -> Iterator[bytes]:
    return iter(pieces)


def assert_same(handler: Handler, parts: dict[str, bytes], step: int) -> None:
    data = packed(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_skim, "_STEP", step)
        quick = facts(handler, data)
        patch.setattr(Skim, "pieces", straight)
        careful = facts(handler, data)
    # Of broken XML the parser loses more than we do, but both say that it is broken.
    if any(isinstance(fact, Problem) for fact in careful):
        assert any(isinstance(fact, Problem) for fact in quick)
    else:
        assert quick == careful


bends = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from([*"<>/\"'&;= x9\n\r\t", "</v>", "</w:t>", "\x01", "]]>"])),
    max_size=2,
)


def bent(text: str, changes: list[tuple[int, str]]) -> str:
    for place, piece in changes:
        at = place % max(1, len(text))
        text = text[:at] + piece + text[at + (place % 3) :]
    return text


@given(
    st.lists(st.sampled_from(ROWS), max_size=8),
    st.lists(st.sampled_from(STRINGS), max_size=5),
    bends,
    st.integers(1, 700),
)
@settings(max_examples=150)
def test_rows_and_strings(rows: list[str], strings: list[str], changes: list[tuple[int, str]], step: int) -> None:
    numbered = "".join(row.replace("{n}", str(number)) for number, row in enumerate(rows, 1))
    assert_same(Xlsx(), workbook(bent(numbered, changes), bent("".join(strings), changes[:1])), step)


@given(
    st.lists(st.tuples(st.sampled_from(ALIKE), st.integers(1, 6)), max_size=6),
    st.lists(st.sampled_from(STRINGS[:3]), max_size=5),
    st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(VALUES)), max_size=3),
    bends,
    st.integers(1, 3000),
)
@settings(max_examples=200)
def test_rows_of_one_shape(
    runs: list[tuple[str, int]],
    strings: list[str],
    values: list[tuple[int, str]],
    changes: list[tuple[int, str]],
    step: int,
) -> None:
    rows = chain.from_iterable([row] * count for row, count in runs)
    cut = "".join(row.replace("{n}", str(number)) for number, row in enumerate(rows, 1)).split("<v>")
    for place, value in values:
        if place % len(cut):
            cut[place % len(cut)] = value + "</v>" + cut[place % len(cut)].partition("</v>")[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sheet_rows, "_RUN", 1)
        assert_same(Xlsx(), workbook(bent("<v>".join(cut), changes), "".join(strings)), step)


def test_rows_of_one_shape_are_read_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    careful = SheetRows._read_row

    def counted(rows: SheetRows, record: str, ready: list[Fact]) -> bool:
        read.append(record)
        return careful(rows, record, ready)

    monkeypatch.setattr(SheetRows, "_read_row", counted)
    rows = "".join(ALIKE[3 + n // 100].replace("{n}", str(n)) for n in range(1, 200))
    assert len([fact for fact in facts(Xlsx(), packed(workbook(rows, ""))) if isinstance(fact, Text)]) >= 199
    assert len(read) < 30


@given(st.lists(st.sampled_from(PARAGRAPHS), max_size=8), bends, st.integers(1, 700))
@settings(max_examples=150)
def test_paragraphs(paragraphs: list[str], changes: list[tuple[int, str]], step: int) -> None:
    assert_same(Docx(), document(bent("".join(paragraphs), changes)), step)


@pytest.mark.parametrize(
    "handler, parts",
    [
        (Xlsx(), workbook("".join(ROWS[0].replace("{n}", str(n)) for n in range(1, 200)), STRINGS[0] * 100)),
        (Docx(), document(PARAGRAPHS[0] * 200)),
    ],
)
def test_plain_records_do_not_reach_the_parser(
    handler: Handler, parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[int] = []
    pieces = Skim.pieces

    def counted(skim: Skim, given: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces(skim, given):
            passed.append(len(piece))
            yield piece

    monkeypatch.setattr(Skim, "pieces", counted)
    assert facts(handler, packed(parts))
    assert sum(passed) < sum(map(len, chain(parts.values()))) / 10


@pytest.mark.parametrize(
    "head", ['<?xml version="1.0" encoding="UTF-16"?>', "<!DOCTYPE w [<!ENTITY e 'x'>]>", "<!-- -->"]
)
def test_a_head_that_is_not_plain_leaves_all_to_the_parser(head: str) -> None:
    parts = document(PARAGRAPHS[0] * 5)
    parts["word/document.xml"] = head.encode() + parts["word/document.xml"].removeprefix(HEAD.encode())
    assert_same(Docx(), parts, 1)


BOOK = (Path(__file__).parents[3] / "fixtures" / "xls" / "whole" / "input.xls").read_bytes()


@given(st.lists(st.tuples(st.integers(0, len(BOOK) - 1), st.integers(0, 255)), max_size=3))
@settings(max_examples=60)
def test_cells_of_old_workbooks(flips: list[tuple[int, int]]) -> None:
    data = bytearray(BOOK)
    for place, value in flips:
        data[place] = value
    quick = facts(Xls(), bytes(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.handlers._biff_cells._ROWS", 1)
        assert quick == facts(Xls(), bytes(data))
