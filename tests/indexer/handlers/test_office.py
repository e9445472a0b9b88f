"""Office packages: what the golden fixtures cannot show: claims, bounds, number formats, damage."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers import _parts, xlsx
from indexer.handlers._cells import column_name, format_kind, position, row_texts, show_date, show_number
from indexer.handlers._numberformat import show
from indexer.handlers._ooxml import MAIN_TYPES, claimed
from indexer.handlers.docx import Docx
from indexer.handlers.excel_xml import ExcelXml
from indexer.handlers.flat_office import FlatOffice
from indexer.handlers.pptx import Pptx
from indexer.handlers.strings import Strings
from indexer.handlers.vsdx import Vsdx
from indexer.handlers.word_xml import WordXml
from indexer.handlers.xlsb import Xlsb
from indexer.handlers.xlsx import Xlsx
from indexer.model import Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
HANDLERS = (Docx(), Pptx(), Xlsb(), Xlsx(), Vsdx(), Strings())
SAMPLES = {
    "docx": (FIXTURES / "docx/everything/input.docx").read_bytes(),
    "xlsx": (FIXTURES / "xlsx/everything/input.xlsx").read_bytes(),
    "pptx": (FIXTURES / "pptx/everything/input.pptx").read_bytes(),
    "xlsb": (FIXTURES / "xlsb/everything/input.xlsb").read_bytes(),
}


def made_by(folder: str) -> ModuleType:
    import build

    sys.modules.setdefault("build", build)
    spec = importlib.util.spec_from_file_location(f"made_{folder}", FIXTURES / folder / "make.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(data: bytes, name: str = "input.bin") -> Item:
    return crawl_bytes(data, name, handlers=HANDLERS)[0]


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_package_is_claimed_by_one_handler(name: str) -> None:
    stream = Stream(io.BytesIO(SAMPLES[name]))
    assert [handler.name for handler in HANDLERS if handler.signatures and handler.claims(stream)] == [name]


@pytest.mark.parametrize("main", MAIN_TYPES)
def test_the_media_type_is_that_of_the_main_part(main: str) -> None:
    text = f'<Types><Override PartName="/x/main.xml" ContentType="application/{main}.main+xml"/></Types>'
    stream = Stream(io.BytesIO(zipped({"[Content_Types].xml": text.encode()})))
    handler = next(each for each in HANDLERS if each.name == MAIN_TYPES[main])
    found = handler.claims(stream)
    assert found in handler.media_types
    assert found is not None
    assert found.lower().startswith("application/" + main.removesuffix("template"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4",
        b"PK\5\6" + bytes(18),
        SAMPLES["docx"][:-200],
        SAMPLES["docx"][:3000],
        zipped({"a.txt": b"plain"}),
        zipped({"[Content_Types].xml": b"<Types/>", "nothing.xml": b""}),
        zipped({"readme.txt": b"[Content_Types].xml word/document.xml"}),
    ],
)
def test_an_ordinary_or_broken_zip_is_not_claimed(data: bytes) -> None:
    stream = Stream(io.BytesIO(data))
    assert [handler.claims(stream) for handler in HANDLERS[:5]] == [None] * 5


def test_a_package_whose_types_are_unreadable_is_known_by_its_parts() -> None:
    data = zipped({"[Content_Types].xml": b"not xml", "word/document.xml": b"<w/>"})
    assert claimed(Stream(io.BytesIO(data)), "docx")


def test_a_name_as_long_as_the_file_does_not_swell_the_locators() -> None:
    made = made_by("xlsx")
    parts = made.small('<row><c t="str"><v>x</v></c></row>' * 50)
    parts["xl/workbook.xml"] = str(parts["xl/workbook.xml"]).replace("Plan", "Plan" * 50_000)
    item = read(made.package(parts))
    assert len(item.texts) == 50
    assert max(len(text.locator) for text in item.texts) < 300


def test_names_of_any_digits_keep_their_order() -> None:
    made = made_by("docx")
    names = [f"word/header{number}.xml" for number in ("10", "9", "²", "٣", "7" * 6000)]
    parts = {
        **made.small(""),
        **{name: made.document(made.paragraph(made.run(name[:14])), "hdr", "") for name in names},
    }
    item = read(made.package(parts))
    assert not [problem for problem in item.problems if problem.cause == "crash"]
    assert [text.locator for text in item.texts][:2] == ["header 9", "header 10"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=40)), max_size=30), st.binary(max_size=20))
def test_records_of_any_kind_never_leave_the_crawl(records: list[tuple[int, bytes]], rest: bytes) -> None:
    made = made_by("xlsb")
    data = b"".join(made.record(kind, body) for kind, body in records) + rest
    parts = {**made.parts(), "xl/worksheets/sheet1.bin": data, "xl/styles.bin": data, "xl/comments1.bin": data}
    for item in crawl_bytes(made.package(parts), handlers=HANDLERS):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


def test_an_ordinary_zip_costs_little_to_refuse() -> None:
    data = zipped({f"cels/ep12/cut_{number:05}.tga": b"x" for number in range(300)})
    best = 1.0
    for _ in range(20):
        stream = Stream(io.BytesIO(data))
        started = time.perf_counter()
        for handler in HANDLERS[:5]:
            handler.claims(stream)
        best = min(best, time.perf_counter() - started)
    assert best < 0.001


def test_shared_strings_beyond_the_bound_are_told_and_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "STRING_CHARS", 120)
    item = read(SAMPLES["xlsx"])
    assert [problem.cause for problem in item.problems] == ["limit"]
    assert ("shared string", "two lines") in [(text.locator, text.body) for text in item.texts]


def test_xml_that_grows_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "PENDING_CHARS", 1000)
    item = read(SAMPLES["docx"])
    assert item.status == "read"
    entities = "<!DOCTYPE w [" + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lantern"}">' for n in range(8))
    body = f"{entities}]><w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body><w:p><w:r><w:t>first</w:t></w:r></w:p><w:p><w:r><w:t>&e7;</w:t></w:r></w:p></w:body></w:document>"
    made = made_by("docx")
    parts = {**made.small(""), "word/document.xml": body}
    item = read(made.package(parts))
    assert {problem.cause for problem in item.problems} <= {"limit", "corrupt"}
    assert item.problems
    assert sum(len(text.body) for text in item.texts) < 5_000_000


def test_an_outside_entity_is_never_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("must stay outside")
    made = made_by("docx")
    body = (
        f'<!DOCTYPE w [<!ENTITY e SYSTEM "file://{secret}">]><w:document '
        "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body><w:p><w:r><w:t>before&e;after</w:t></w:r></w:p></w:body></w:document>"
    )
    item = read(made.package({**made.small(""), "word/document.xml": body}))
    assert [text.body for text in item.texts] == ["beforeafter"]


def test_rows_do_not_pile_up() -> None:
    import tracemalloc

    made = made_by("xlsx")
    row = "".join(f'<c r="{chr(65 + n)}1"><v>{n}</v></c>' for n in range(20))
    data = made.package(made.small(f"<row>{row}</row>" * 800))
    tracemalloc.start()
    count = sum(1 for _ in Xlsx().read(Stream(io.BytesIO(data))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 800
    assert peak < 5_000_000


def test_every_part_is_read_or_a_member() -> None:
    made = made_by("docx")
    parts = {**made.EVERYTHING, "word/unheard-of.xml": "<x/>", "junk/": "", "junk/a.bin": b"\0"}
    items = crawl_bytes(made.package(parts), handlers=HANDLERS)
    assert [item.provenance.hops[-1].name for item in items[1:]] == [
        "junk/a.bin",
        "word/media/image1.png",
        "word/unheard-of.xml",
    ]


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1599.99, "#,##0.00", "1,599.99"),
        (-1599.99, '"$"#,##0.00_);[Red]\\("$"#,##0.00\\)', "($1,599.99)"),
        (198356388, "0.00E+00", "1.98E+08"),
        (0.025, "0.00%", "2.50%"),
        (2.5, "# ?/?", "2 1/2"),
        (2.75, "# ?/8", "2 6/8"),
        (1234567, "#,##0,", "1,235"),
        (8005551122, "(000) 000-0000", "(800) 555-1122"),
        (39219.18, "d-mmm-yy", "17-May-07"),
        (39219.18125, "[$-409]dddd, mmmm dd, yyyy h:mm AM/PM", "Thursday, May 17, 2007 4:21 AM"),
        (1.5, "[h]:mm:ss", "36:00:00"),
        (45350, 'yyyy"年"m"月"d"日"', "2024年2月28日"),
        (19.99, '# "dollars and" .00 "cents"', "19 dollars and .99 cents"),
        (-0.001, "0.00", "0.00"),
        (5, "[>3]0;0", ""),
        (5, "General", ""),
        (5, "@", ""),
        (1e300, "0.00", ""),
        (-1, "d-mmm-yy", ""),
    ],
)
def test_numbers_are_shown_as_the_sheet_shows_them(value: float, code: str, shown: str) -> None:
    assert show(value, code) == shown


@given(st.floats(), st.text('0#?.,%/E+-;@[]"\\_*ymdhs年$AMP/General<=1 ', max_size=20))
@settings(max_examples=150)
def test_no_format_raises(value: float, code: str) -> None:
    show(value, code)
    format_kind(0, code)


@given(st.integers(0, 16383), st.integers(1, 1048576))
@settings(max_examples=50)
def test_places_come_back(column: int, row: int) -> None:
    assert position(f"{column_name(column)}{row}") == (column, row)


def test_serial_numbers_become_dates() -> None:
    assert show_date(45350.75, "date") == "2024-02-28 18:00:00"
    assert show_date(43888, "date", from_1904=True) == "2024-02-28"
    assert show_date(59, "date") == "1900-02-28"
    assert show_date(61, "date") == "1900-03-01"
    assert show_date(1e300, "date") == ""
    assert [show_number(text) for text in ("2.5000000000000001E-2", "1E3", "-7", "x", "1e400", "1.5E-8")] == [
        "0.025",
        "1000",
        "-7",
        "x",
        "1e400",
        "0.000000015",
    ]


def test_a_row_with_a_wide_gap_is_two_texts() -> None:
    texts = list(row_texts("S", 7, [(0, "a"), (2, "c"), (500, "far")]))
    assert [(text.locator, text.body) for text in texts] == [("S!A7:C7", "a\t\tc"), ("S!SG7", "far")]


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=40)
@given(data=st.data())
def test_damage_never_leaves_the_crawl(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=8)
    ):
        damaged[place] = value
    del damaged[data.draw(st.integers(len(damaged) // 2, len(damaged))) :]
    for item in crawl_bytes(bytes(damaged), handlers=HANDLERS):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


@pytest.mark.parametrize("name", ["docx", "pptx", "xlsx"])
@settings(max_examples=40)
@given(data=st.data())
def test_damaged_xml_never_leaves_the_crawl(name: str, data: st.DataObject) -> None:
    """The zip is whole, its XML is not: tags lost, doubled and moved."""
    made = made_by(name)
    parts = dict(made.EVERYTHING)
    part = data.draw(st.sampled_from([key for key in parts if key.endswith((".xml", ".rels"))]))
    pieces = str(parts[part]).split("<")
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(1, max(1, len(pieces) - 1)))
        action = data.draw(st.sampled_from(("drop", "double", "swap")))
        if action == "drop" and len(pieces) > 2:
            del pieces[min(place, len(pieces) - 1)]
        elif action == "double":
            pieces.insert(place, pieces[min(place, len(pieces) - 1)])
        else:
            pieces[min(place, len(pieces) - 1)], pieces[-1] = pieces[-1], pieces[min(place, len(pieces) - 1)]
    parts[part] = "<".join(pieces)
    for item in crawl_bytes(made.package(parts), handlers=HANDLERS):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


@pytest.mark.parametrize(
    ("folder", "handler"), [("word-xml", WordXml), ("excel-xml", ExcelXml), ("flat-office", FlatOffice)]
)
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_xml_of_office_is_told_and_never_a_crash(
    folder: str, handler: type[Handler], data: st.DataObject
) -> None:
    name = "document" if folder == "flat-office" else "everything"
    whole = bytearray((Path(__file__).parents[3] / "fixtures" / folder / name / "input.xml").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    items = crawl_bytes(cut, "input.xml", handlers=(handler(), Docx(), Strings()))
    assert "crash" not in {problem.cause for item in items for problem in item.problems}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_an_ampersand_in_an_attribute_is_itself_wherever_the_file_is_cut(step: int) -> None:
    data = b'<a b="R&amp;D &lt;1&gt;"><c d="1&amp;2" e="&amp;#38;"/>plain<c d="no reference"/><c d="&#38;"/></a>'
    events = _parts.XmlReader({}).events(data[at : at + step] for at in range(0, len(data), step))
    found = [attributes for kind, _, attributes in events if kind == _parts.START]
    assert found == [{"b": "R&D <1>"}, {"d": "1&2", "e": "&#38;"}, {"d": "no reference"}, {"d": "&"}]


@pytest.mark.parametrize("step", [100, 5000, 1 << 20])
def test_tags_without_an_end_are_kept_from_the_parser(step: int) -> None:
    data = b"<r><b>said</b>" + b"<a" * 30_000 + b"></r>"
    events = _parts.XmlReader({}).events(data[at : at + step] for at in range(0, len(data), step))
    with pytest.raises(EvidenceError, match="without an end"):
        list(events)


def test_a_long_text_between_tags_is_no_such_thing() -> None:
    text = "x < y " * 20 + "z" * 200_000
    pieces = (b"<r><![CDATA[", text.encode(), b"]]></r>")
    assert "".join(text for kind, text, _ in _parts.XmlReader({}).events(pieces) if kind == _parts.DATA) == text


def scrambled(font: bytes, key: str) -> bytes:
    mask = bytes.fromhex(key.replace("-", ""))[::-1] * 2
    return bytes(byte ^ turned for byte, turned in zip(font, mask, strict=False)) + font[32:]


@pytest.mark.parametrize(
    ("document", "place", "added"),
    [
        ("xps/whole/input.xps", "Resources/8D3F0A11-52C7-4E0B-9A41-0C5D6E7F8091.odttf", {}),
        (
            "docx/everything/input.docx",
            "word/fonts/font1.odttf",
            {
                "word/fontTable.xml": b'<w:fonts xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
                b' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><w:font w:name="Kumo">'
                b'<w:embedBold r:id="rId7" w:fontKey="{8D3F0A11-52C7-4E0B-9A41-0C5D6E7F8091}"/></w:font></w:fonts>',
                "word/_rels/fontTable.xml.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
                b'relationships"><Relationship Id="rId7" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
                b'relationships/font" Target="fonts/font1.odttf"/></Relationships>',
            },
        ),
    ],
)
def test_a_scrambled_font_is_made_plain(document: str, place: str, added: dict[str, bytes]) -> None:
    font = (FIXTURES / "font/names/input.ttf").read_bytes()
    with zipfile.ZipFile(FIXTURES / document) as held:
        parts = {name: held.read(name) for name in held.namelist()} | added
    parts[place] = scrambled(font, "8D3F0A11-52C7-4E0B-9A41-0C5D6E7F8091")
    item = next(item for item in crawl_bytes(zipped(parts)) if str(item.provenance).endswith(".odttf"))
    assert item.handler == "font"
    assert item.digests.sha256 == hashlib.sha256(font).hexdigest()
