from __future__ import annotations

from datetime import UTC, datetime

import pytest

from indexer.model import Digests, Field, Hop, Item, Problem, Provenance, Text, Timestamp
from search import schema
from search.query import parse


@pytest.mark.parametrize("row", schema.CORE, ids=lambda row: row.name)
def test_every_example_is_a_query(row: schema.FieldRow) -> None:
    assert row.example.startswith(f"{row.name}:")
    assert row.meaning
    parse(row.example, {})


def test_names_are_said_once() -> None:
    assert len(schema.TYPES) == len(schema.CORE)
    assert set(schema.DEFAULT_FIELDS) <= set(schema.TYPES)
    assert set(schema.KINDS.values()) <= set(schema.TYPES)


def test_key_is_what_a_query_can_hold() -> None:
    assert schema.key("Office.Custom.My Prop:1\0") == "office.custom.my_prop_1_"


def test_an_item_becomes_a_document() -> None:
    item = Item(
        Provenance("day1", (Hop(b"a.zip", "a.zip"), Hop(b"S01.PSD", "S01.PSD"))),
        "S01.PSD",
        12,
        "image/vnd.adobe.photoshop",
        Digests("m" * 32, "a" * 40, "b" * 64),
        "psd",
        "zh",
        (Text("第3话", 'layer "notes"'),),
        (Field("psd.width", 1920),),
        (Timestamp("M", datetime(2024, 1, 5, tzinfo=UTC), "zip.dos"),),
        (Problem("truncated", "x"), Problem("truncated", "y")),
        "partly-read",
    )
    document = schema.document_of(item, custodian="studio", tags=["responsive"])
    assert document.id == item.id
    assert document.texts == ("第3话",)
    assert document.path == "day1:a.zip!/S01.PSD"
    fields = dict(document.fields)
    assert fields["ext"] == "PSD"
    assert fields["type"] == "picture"
    assert fields["custodian"] == "studio"
    assert fields["psd.width"] == 1920
    assert fields["tag"] == "responsive"
    assert fields["parent"] == item.provenance.parent.id  # type: ignore[union-attr]
    assert [value for name, value in document.fields if name == "problem"] == ["truncated"]
    assert document.times == (("M", datetime(2024, 1, 5, tzinfo=UTC)),)
    assert "series" not in fields
