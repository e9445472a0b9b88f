"""Address books: the default table, CSV in its forms, overlaps against a plain search, MMDB, and what is none."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import UsageError
from search.addressbook import AddressBook, Place, _flatten, add_book, books_of, place_in, remove_book


@pytest.fixture
def book(tmp_path: Path) -> Iterator[AddressBook]:
    with closing(AddressBook(tmp_path)) as made:
        yield made


def of(folder: Path, address: str) -> Place:
    with closing(AddressBook(folder)) as book:
        return book.place(address)


def test_the_default_table_tells_its_sources(book: AddressBook) -> None:
    for address in ("175.45.176.0", "175.45.179.255", "::ffff:175.45.178.1", "[::ffff:175.45.178.1]"):
        place = book.place(address)
        assert (place.country, "Star" in place.network, "APNIC" in place.source) == ("KP", True, True)
    assert book.place("210.52.109.9").kind == book.place("77.94.35.9").kind == "North Korea, reported"
    for address in ("175.45.175.255", "175.45.180.0", "2001:db8::1", "name.example", "", "-", "1.2.3", "1.2.3.4.5"):
        assert book.place(address) == Place()


@pytest.mark.parametrize(
    "text",
    [
        "cidr,country,city,network,kind\n203.0.113.0/24,AA,X,Net,VPN\n",
        "\ufeffstart,end,country,city,network,kind\n203.0.113.0,203.0.113.255,AA,X,Net,VPN\n",
        "kind,cidr,network,city,country,more\nVPN,203.0.113.0/24,Net,X,AA,1\n",
    ],
)
def test_books_of_ranges(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert add_book(tmp_path, tmp_path / "a.csv", "mine") == 1
    assert of(tmp_path, "203.0.113.9") == Place("AA", "X", "Net", "VPN", "mine")
    assert of(tmp_path, "203.0.114.0") == Place()
    assert [(name, form) for name, form, _ in books_of(tmp_path)] == [("mine", "ranges")]
    assert remove_book(tmp_path, "mine")
    assert not remove_book(tmp_path, "mine")


def test_books_without_names_and_with_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"3405803776","3405804031",AA\n2001:db8::,2001:db8::ffff,BB\n')
    assert add_book(tmp_path, tmp_path / "a.csv", "lite") == 2
    assert of(tmp_path, "203.0.113.9").country == "AA"
    assert of(tmp_path, "2001:db8::5").country == "BB"


def test_the_analysts_word_comes_first_and_gaps_are_filled(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("cidr,country,network\n210.52.109.0/24,KP,\n")
    add_book(tmp_path, tmp_path / "a.csv", "mine")
    place = of(tmp_path, "210.52.109.1")
    assert (place.country, place.kind) == ("KP", "North Korea, reported")
    assert place.source.startswith("mine; ")
    assert "Korea Posts" in place.network


@pytest.mark.parametrize(
    "text", ["", "name,value\nx,y\n", "cidr,country\n1.2.3.4/99,AA\n", "start,end\n9.9.9.9,1.1.1.1\n"]
)
def test_what_is_no_book_changes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "good.csv").write_text("cidr,country\n203.0.113.0/24,AA\n")
    add_book(tmp_path, tmp_path / "good.csv", "mine")
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(UsageError, match=r"bad\.csv"):
        add_book(tmp_path, tmp_path / "bad.csv", "mine")
    assert of(tmp_path, "203.0.113.1").country == "AA"
    with pytest.raises(UsageError):
        add_book(tmp_path, tmp_path / "missing.csv", "mine")
    (tmp_path / "bad.mmdb").write_bytes(b"\xff" * 99 + b"\xab\xcd\xefMaxMind.com" + b"\xff" * 9)
    with pytest.raises(UsageError):
        add_book(tmp_path, tmp_path / "bad.mmdb", "mine")


calmly = settings(max_examples=60)
networks = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 63)), max_size=12)


@calmly
@given(networks)
def test_of_ranges_inside_one_another_the_inner_one_counts(rows: list[tuple[int, int]]) -> None:
    ranges = []
    for number, (bits, at) in enumerate(rows):
        first = at >> bits << bits
        ranges.append((first, first + (1 << bits) - 1, Place(str(number))))
    ordered = sorted(ranges, key=lambda row: (row[0], -row[1]))
    found: dict[int, str] = {}
    for first, last, place in _flatten(ordered):
        for each in range(first, last + 1):
            assert each not in found
            found[each] = place.country
    for each in range(64):
        held = [row for row in ordered if row[0] <= each <= row[1]]
        want = {row[1] - row[0] for row in held}
        if held:
            first, last, _ = ranges[int(found[each])]
            assert last - first == min(want)
        else:
            assert each not in found


@calmly
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12))
def test_ranges_that_cross_leave_nothing_out_and_nothing_twice(rows: list[tuple[int, int]]) -> None:
    ordered = sorted(((min(row), max(row), Place()) for row in rows), key=lambda row: (row[0], -row[1]))
    found = [each for first, last, _ in _flatten(ordered) for each in range(first, last + 1)]
    assert len(found) == len(set(found))
    assert set(found) == {each for first, last, _ in ordered for each in range(first, last + 1)}


# -- MMDB, written by the specification: a tree of 24-bit records, then data -----------------------


def encode(value: object) -> bytes:
    if isinstance(value, dict):
        return bytes([0xE0 | len(value)]) + b"".join(encode(key) + encode(each) for key, each in value.items())
    if isinstance(value, bool):
        return bytes([value, 7])
    if isinstance(value, int):
        return bytes([0xC4]) + struct.pack(">I", value)
    if isinstance(value, bytes):  # a number of that many bytes
        return bytes([0xA0 | len(value)] if len(value) < 3 else [len(value), 2]) + value
    if isinstance(value, list):
        return bytes([len(value), 4]) + b"".join(map(encode, value))
    data = str(value).encode()
    return (bytes([0x40 | len(data)]) if len(data) < 29 else bytes([0x5D, len(data) - 29])) + data


def mmdb(network: str, record: dict[str, object]) -> bytes:
    """A database with one network in it."""
    net = ipaddress.ip_network(network)
    bits = f"{int(net.network_address):0{net.max_prefixlen}b}"[: net.prefixlen]
    nodes = b""
    for number, bit in enumerate(bits):
        onward = number + 1 if number + 1 < len(bits) else len(bits) + 16
        pair = (len(bits), onward) if bit == "1" else (onward, len(bits))
        nodes += b"".join(each.to_bytes(3, "big") for each in pair)
    meta = {
        "node_count": len(bits), "record_size": b"\0\x18", "ip_version": bytes([0, net.version]),
        "database_type": "Test",
        "languages": ["en"], "binary_format_major_version": b"\0\2",
        "binary_format_minor_version": b"\0\0", "build_epoch": bytes(7) + b"\1",
        "description": {"en": "test"},
    }  # fmt: skip
    return nodes + bytes(16) + encode(record) + b"\xab\xcd\xefMaxMind.com" + encode(meta)


def test_an_mmdb_is_asked(tmp_path: Path) -> None:
    record = {"country": {"iso_code": "AA"}, "city": {"names": {"en": "Xia"}}, "traits": {"is_anonymous_vpn": True},
              "autonomous_system_organization": "Net", "autonomous_system_number": 64500}  # fmt: skip
    (tmp_path / "a.mmdb").write_bytes(mmdb("203.0.113.0/24", record))
    assert add_book(tmp_path, tmp_path / "a.mmdb", "geo") == 24
    assert of(tmp_path, "203.0.113.9") == Place("AA", "Xia", "Net, AS64500", "VPN", "geo")
    assert of(tmp_path, "203.0.114.9") == of(tmp_path, "2001:db8::1") == Place()
    (tmp_path / "b.mmdb").write_bytes(mmdb("2001:db8::/32", {"country": "BB"}))
    add_book(tmp_path, tmp_path / "b.mmdb", "geo6")
    assert of(tmp_path, "2001:db8::1").country == "BB"
    assert of(tmp_path, "203.0.113.9").country == "AA"


def test_records_of_other_makers() -> None:
    flat = {"country": "Xland", "country_code": "XX", "asn": "AS64500", "as_name": "Net", "hosting": "true", "vpn": 0}
    assert place_in(flat, "s") == Place("XX", "", "Net, AS64500", "hosting", "s")
    assert place_in({}, "s") == Place(source="s")
