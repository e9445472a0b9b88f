"""Old Excel sheets: rows that are read together give what each gives alone."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from indexer.handlers._biff import rks
from indexer.handlers._biff_cells import PlainCells
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._hidden_lines import Hidden
from indexer.model import Text

STRINGS = ("첫째", "second", "")
NO_NUMBER = b"\0\0\0\0\0\0\xff\xff"
CELLS = {
    "text": (0xFD, struct.pack("<I", 1)),
    "empty text": (0xFD, struct.pack("<I", 2)),
    "lost text": (0xFD, struct.pack("<I", 9)),
    "packed": (0x27E, struct.pack("<I", 25 << 2 | 3)),
    "number": (0x203, struct.pack("<d", 1e300)),
    "no number": (0x203, struct.pack("<d", float("nan"))),
    "result": (0x06, struct.pack("<d", 42.5) + bytes(9)),
    "blank": (0x201, b""),
}
SHOWN = {
    "text": "second",
    "packed": "0.25",
    "number": "1e+300",
    "no number": "nan",
    "result": "42.5",
}
ROW = st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4)


def record(number: int, data: bytes) -> bytes:
    return struct.pack("<HH", number, len(data)) + data


def cell(row: int, column: int, kind: str) -> bytes:
    number, value = CELLS[kind]
    return record(number, struct.pack("<HHH", row, column, 0) + value)


def read(data: bytes) -> tuple[list[Text], int]:
    cells, row = PlainCells(data, STRINGS, Styles()), Row()
    texts = list(cells.read("S", row, 0, Hidden("S")))
    return [*texts, *row.end("S")], cells.at


@given(st.lists(st.tuples(ROW, st.integers(1, 90)), min_size=1, max_size=4))
def test_rows_of_one_shape_and_others_give_every_cell(blocks: list[tuple[list[str], int]]) -> None:
    rows = [kinds for kinds, count in blocks for _ in range(count)]
    data = b"".join(cell(number, place, kind) for number, kinds in enumerate(rows) for place, kind in enumerate(kinds))
    texts, end = read(data + record(0x0A, b""))
    assert end == len(data)
    wanted = [(number + 1, [SHOWN[kind] for kind in kinds if kind in SHOWN]) for number, kinds in enumerate(rows)]
    found = [(int(text.locator.split("!")[1].split(":")[0][1:]), text.body.split("\t")) for text in texts]
    assert [(number, [word for word in words if word]) for number, words in found] == [row for row in wanted if row[1]]


def test_many_numbers_in_one_record_have_columns_of_their_own() -> None:
    body = b"".join(
        record(0xBD, struct.pack("<HHHIHIH", row, 3, 0, row << 2 | 2, 0, 7 << 2 | 2, 4)) for row in range(40)
    )
    texts, _ = read(body)
    assert [(text.locator, text.body) for text in texts] == [
        (f"S!D{row + 1}:E{row + 1}", f"{row}\t7") for row in range(40)
    ]


def test_a_result_that_is_no_number_ends_what_is_plain() -> None:
    results = [struct.pack("<d", 1.5)] * 10 + [NO_NUMBER] + [struct.pack("<d", 2.5)]
    body = [record(0x06, struct.pack("<HHH", row, 0, 0) + value + bytes(6)) for row, value in enumerate(results)]
    texts, end = read(b"".join(body))
    assert [text.body for text in texts] == ["1.5"] * 10
    assert end == len(b"".join(body[:10]))


def test_a_cell_that_is_cut_is_left() -> None:
    whole = b"".join(cell(row, 0, "number") for row in range(5))
    texts, end = read(whole + cell(5, 0, "number")[:-1])
    assert [text.body for text in texts] == ["1e+300"] * 5
    assert end == len(whole)


def test_a_row_that_comes_again_goes_on_where_it_stood() -> None:
    texts, _ = read(cell(0, 0, "text") + cell(0, 1, "packed") + record(0x208, bytes(16)) + cell(0, 2, "text"))
    assert [(text.locator, text.body) for text in texts] == [("S!A1:C1", "second\t0.25\tsecond")]


def test_hidden_lines_are_told_as_runs() -> None:
    hidden = Hidden("S")
    for first, last in ((7, 7), (3, 4), (5, 5), (3, 3), (9, 2)):
        hidden.add_rows(first, last)
    hidden.add_columns(26, 27)
    for row in range(100, 1000, 2):
        hidden.add_rows(row, row)
    columns, rows = (str(field.value) for field in hidden.facts())
    assert columns == "S!AA:AB"
    assert rows.startswith("S!3:5, 7:7, 100:100, ")
    assert rows.endswith("494:494 and 252 more runs")


def test_packed_numbers_of_one_kind_are_what_they_are_among_others() -> None:
    numbers = [314 << 2 | 3, (1 << 29) - 1 << 2 | 3, 0x80000003, 0xFFFFFFFF, 7 << 2 | 2, 0x3FF00000, 0x40590001]
    assert [rks([number])[0] for number in numbers] == rks(numbers)
    assert rks(numbers) == [3.14, 5368709.11, -5368709.12, -0.01, 7, 1.0, 1.0]
