"""Where addresses are, by books that the analyst gives: nothing is ever looked up outside the case.

A book is an MMDB file (GeoLite2, DB-IP, IPinfo and others), kept as it is, or a CSV of ranges:

    cidr,country,city,network,kind          or   start,end,country,city,network,kind
    175.45.176.0/22,KP,,Star JV,                 without a line of names: start,end,country

Books lie in the case, in `addressbook/`; ranges as SQLite, so that millions of them need no memory. Of ranges that
overlap the narrower one counts. Books are asked in the order of their names, then the table of `addresses.toml`;
the first that says a thing decides it.

Source: MaxMind, MaxMind DB File Format Specification 2.0.
"""

from __future__ import annotations

import csv
import sqlite3
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from indexer.errors import StoreError, UsageError, reason_of

DEFAULT = Path(__file__).with_name("addresses.toml")
FOLDER = "addressbook"
_NAMES = ("country", "city", "network", "kind", "source")
_SCHEMA = """
CREATE TABLE ranges (
    first BLOB PRIMARY KEY, last BLOB NOT NULL, country TEXT NOT NULL, city TEXT NOT NULL, network TEXT NOT NULL,
    kind TEXT NOT NULL, source TEXT NOT NULL
) WITHOUT ROWID;
"""
_FLAGS = {
    "is_hosting_provider": "hosting", "hosting": "hosting", "is_anonymous_vpn": "VPN", "vpn": "VPN",
    "is_anonymous_proxy": "proxy", "is_public_proxy": "proxy", "proxy": "proxy", "is_residential_proxy": "proxy",
    "is_tor_exit_node": "Tor", "tor": "Tor", "is_satellite_provider": "satellite", "satellite": "satellite",
    "mobile": "mobile", "relay": "relay",
}  # fmt: skip
_LAST = (1 << 128) - 1
_MAPPED = 0xFFFF << 32


@dataclass(frozen=True, slots=True)
class Place:
    """What the books say of an address; empty where they say nothing."""

    country: str = ""
    city: str = ""
    network: str = ""
    kind: str = ""
    source: str = ""


_Range = tuple[int, int, Place]


class AddressBook:
    """The books of a case, and the default table.

    Raises:
        UsageError: a book needs a library that is not installed.
        StoreError: a book is damaged.
    """

    def __init__(self, case: Path) -> None:
        self.folder = case / FOLDER
        self.names = sorted(path.name for path in self.folder.glob("*") if path.suffix in (".sqlite", ".mmdb"))
        self._books = [(_Ranges if name.endswith(".sqlite") else _Mmdb)(self.folder / name) for name in self.names]
        self._default = list(_flatten(_from_toml(DEFAULT)))
        self.place = lru_cache(maxsize=1 << 18)(self._place)

    def close(self) -> None:
        """Closes all files."""
        for book in self._books:
            book.close()

    def _place(self, address: str) -> Place:
        """What is said of an address as a log has it; nothing of a name."""
        number = number_of(address)
        if number is None:
            return _NOWHERE
        found = [place for book in self._books if (place := book.at(number))]
        found += [place for first, last, place in self._default if first <= number <= last]
        if len(found) < 2:
            return found[0] if found else _NOWHERE
        held = {name: next((each for place in found if (each := getattr(place, name))), "") for name in _NAMES}
        held["source"] = "; ".join(dict.fromkeys(place.source for place in found if place.source))
        return Place(**held)


_NOWHERE = Place()


class _Ranges:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {reason_of(error)}") from error

    def at(self, number: int) -> Place | None:
        key = number.to_bytes(16, "big")
        try:
            row = self._connection.execute(
                "SELECT last, country, city, network, kind, source FROM ranges WHERE first <= ? "
                "ORDER BY first DESC LIMIT 1",
                (key,),
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {reason_of(error)}") from error
        return Place(*row[1:]) if row and row[0] >= key else None

    def close(self) -> None:
        self._connection.close()


class _Mmdb:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader, self._error = open_mmdb(path)

    def at(self, number: int) -> Place | None:
        v4 = number >> 32 == _MAPPED >> 32
        address = IPv4Address(number & 0xFFFFFFFF) if v4 else IPv6Address(number)
        try:
            if not v4 and self._reader.metadata().ip_version == 4:
                return None
            record = self._reader.get(address)
        except (self._error, ValueError, UnicodeDecodeError) as error:
            raise StoreError(f"{self._path}: {reason_of(error)}") from error
        return place_in(record, self._path.stem) if isinstance(record, dict) else None

    def close(self) -> None:
        self._reader.close()


def open_mmdb(path: Path) -> tuple[Any, type[Exception]]:
    """A reader of an MMDB file, and what it raises where the file is damaged.

    Raises:
        UsageError: the library is missing, or the file is none.
    """
    try:
        import maxminddb
    except ImportError as error:
        raise UsageError(
            "MMDB files need maxminddb: pip install 'archivore[logs]'; a CSV of ranges does not"
        ) from error
    try:
        return maxminddb.open_database(str(path), maxminddb.MODE_AUTO), maxminddb.InvalidDatabaseError
    except (maxminddb.InvalidDatabaseError, OSError, ValueError) as error:
        raise UsageError(f"{path}: {reason_of(error)}") from error


def place_in(record: dict[str, Any], source: str) -> Place:
    """What a record of an MMDB says, nested as MaxMind has it or flat as others do."""
    country = record.get("country") or record.get("registered_country") or record.get("country_code")
    if isinstance(country, dict):
        country = country.get("iso_code") or _english(country)
    number = record.get("autonomous_system_number") or record.get("asn") or ""
    network = (
        record.get("autonomous_system_organization") or record.get("as_name") or record.get("isp") or record.get("org")
    )
    traits = record.get("traits")
    flags = {**record, **(traits if isinstance(traits, dict) else {})}
    kinds = [word for name, word in _FLAGS.items() if flags.get(name) in (True, 1, "true", "1")]
    number = f"AS{number}" if str(number).isdecimal() else str(number)
    return Place(
        str(record.get("country_code") or country or ""),
        _english(record.get("city")),
        ", ".join(part for part in (str(network or ""), number) if part),
        ", ".join(dict.fromkeys(kinds)),
        source,
    )


def _english(value: object) -> str:
    if isinstance(value, dict):
        names = value.get("names")
        value = names.get("en") or next(iter(names.values()), "") if isinstance(names, dict) else ""
    return str(value or "")


def number_of(address: str) -> int | None:
    """An address as a number of 128 bits, IPv4 as ::ffff:0:0/96; None where it is none."""
    try:
        value = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return int(value) + (_MAPPED if value.version == 4 else 0)


def add_book(case: Path, path: Path, name: str) -> int:
    """Takes a book into the case under a name; one of the same name is replaced. Returns how many ranges it has.

    Raises:
        UsageError: it is neither an MMDB nor a CSV of ranges; the message names the line.
        StoreError: the disk is full.
    """
    folder = case / FOLDER
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - (1 << 17)))
            is_mmdb = b"\xab\xcd\xefMaxMind.com" in file.read()
    except OSError as error:
        raise UsageError(f"{path}: {reason_of(error)}; a book is an MMDB or a CSV of ranges in UTF-8") from error
    try:
        folder.mkdir(exist_ok=True)
        part = folder / "part"
        part.unlink(missing_ok=True)
        if is_mmdb:
            reader, _ = open_mmdb(path)
            count = int(reader.metadata().node_count)
            reader.close()
            part.write_bytes(path.read_bytes())
        else:
            count = _write_ranges(part, path, name)
        remove_book(case, name)
        part.replace(folder / (name + (".mmdb" if is_mmdb else ".sqlite")))
    except OSError as error:
        raise StoreError(f"{folder}: {reason_of(error)}") from error
    except sqlite3.Error as error:
        raise StoreError(f"{folder}: {reason_of(error)}") from error
    return count


def remove_book(case: Path, name: str) -> bool:
    """Takes a book out of the case; tells whether there was one."""
    held = [path for suffix in (".sqlite", ".mmdb") if (path := case / FOLDER / (name + suffix)).exists()]
    for path in held:
        path.unlink()
    return bool(held)


def _write_ranges(part: Path, path: Path, name: str) -> int:
    connection = sqlite3.connect(part, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.executescript(
            "CREATE TEMP TABLE taken (first BLOB, last BLOB, country TEXT, city TEXT, network TEXT, kind TEXT);"
            + _SCHEMA
        )
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO temp.taken VALUES (?, ?, ?, ?, ?, ?)", _from_csv(path))
        rows = connection.execute("SELECT * FROM temp.taken ORDER BY first, last DESC, rowid")
        ranges = (
            (int.from_bytes(row[0]), int.from_bytes(row[1]), Place(row[2], row[3], row[4], row[5], name))
            for row in rows
        )
        connection.executemany(
            "INSERT OR REPLACE INTO ranges VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    first.to_bytes(16),
                    last.to_bytes(16),
                    place.country,
                    place.city,
                    place.network,
                    place.kind,
                    place.source,
                )
                for first, last, place in _flatten(ranges)
            ),
        )
        (count,) = connection.execute("SELECT count(*) FROM temp.taken").fetchone()
        connection.execute("COMMIT")
    finally:
        connection.close()
    if not count:
        raise UsageError(f"{path}: no line of it is a range of addresses")
    return int(count)


def _flatten(ranges: Iterable[_Range]) -> Iterator[_Range]:
    """Ranges that do not overlap, of ranges sorted by their beginnings, wider ones first: the narrower wins."""
    open_: list[_Range] = []
    at = 0
    for first, last, place in ranges:
        while open_ and open_[-1][1] < first:
            yield from _piece(at, open_[-1])
            at = max(at, open_.pop()[1] + 1)
        if open_:
            yield from _piece(at, (0, first - 1, open_[-1][2]))
        at = first
        # What ends sooner lies on top; of two that cross, the one that ends later goes on behind the other.
        place_at = len(open_)
        while place_at and open_[place_at - 1][1] < last:
            place_at -= 1
        open_.insert(place_at, (first, last, place))
    while open_:
        yield from _piece(at, open_[-1])
        at = max(at, open_.pop()[1] + 1)


def _piece(at: int, held: _Range) -> Iterator[_Range]:
    if at <= held[1]:
        yield at, held[1], held[2]


def _from_toml(path: Path) -> list[_Range]:
    rows = tomllib.loads(path.read_text("utf-8"))["range"]
    ranges = [(*_bounds([row["cidr"]]), Place(*(str(row.get(name, "")) for name in _NAMES))) for row in rows]
    return sorted(ranges, key=lambda row: (row[0], -row[1]))


def _from_csv(path: Path) -> Iterator[tuple[bytes | str, ...]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            head = next(reader, [])
            names = [name.strip().lower() for name in head]
            if not {"cidr", "start", "first"} & set(names):
                names = ["start", "end", "country", "city", "network", "kind"]
                yield _row(path, reader.line_num, names, head)
            for row in reader:
                if row:
                    yield _row(path, reader.line_num, names, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: {reason_of(error)}; a book is an MMDB or a CSV of ranges in UTF-8") from error


def _row(path: Path, number: int, names: list[str], row: list[str]) -> tuple[bytes | str, ...]:
    held = dict(zip(names, (cell.strip() for cell in row), strict=False))
    try:
        first, last = _bounds([held["cidr"]] if held.get("cidr") else [held[name] for name in names[:2]])
    except (ValueError, KeyError, TypeError) as error:
        message = "give cidr, or start and end, then country, city, network, kind"
        raise UsageError(f"{path}, line {number}: no range of addresses; {message}") from error
    return (first.to_bytes(16), last.to_bytes(16), *(held.get(name, "") for name in _NAMES[:4]))


def _bounds(cells: list[str]) -> tuple[int, int]:
    if len(cells) == 1:
        network = ip_network(cells[0], strict=False)
        shift = _MAPPED if network.version == 4 else 0
        return int(network[0]) + shift, int(network[-1]) + shift
    # Some write IPv4 as plain numbers.
    values = [_MAPPED + int(cell) if cell.isdecimal() and int(cell) >> 32 == 0 else number_of(cell) for cell in cells]
    first, last = values
    if first is None or last is None or last < first or last > _LAST:
        raise ValueError
    return first, last


def books_of(case: Path) -> list[tuple[str, str, int]]:
    """Name, form and size in bytes of each book."""
    paths = sorted((case / FOLDER).glob("*")) if (case / FOLDER).is_dir() else []
    return [
        (path.stem, "MMDB" if path.suffix == ".mmdb" else "ranges", path.stat().st_size)
        for path in paths
        if path.suffix in (".sqlite", ".mmdb")
    ]
