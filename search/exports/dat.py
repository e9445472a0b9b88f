"""Load files for review platforms: a folder with a Concordance DAT, an Opticon OPT, and each item's text.

    load.dat            one line an item: þ around every value, U+0014 between them, ® for line ends inside
    load.opt            one line a picture: key, volume, path, Y, no box, no folder, one page
    TEXT/0001/KEY.txt   the texts, UTF-8
    IMAGES/0001/KEY.jpg small pictures, where they could be had

Keys are given in order: families (a message and all that is in it) stand together, by the path of the outermost
message; BEGATTACH and ENDATTACH are the first and the last key of an item's family, empty where it has none.
Several values of a field are parted by `; `. Times are ISO 8601, with `Z` where their zone is known. What no
terminal may get is made visible, as are þ and ® in values; the exact values are in the JSON lines export.

Source: Concordance delimited load files (U+0014, U+00FE, U+00AE), with the byte order mark of UTF-8; Opticon.
Limits: no native files: `export --with-files` writes those, under their ids (ITEMID).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO

from indexer.errors import StoreError
from indexer.model import Item, print_time
from search.exports._file import whole_folder
from search.exports._order import item_of, spilling
from search.families import Families
from search.kinds import coarse_type
from search.report import Report
from search.sanitise import storable, visible, visible_text

_VOLUME = "VOL001"
_BETWEEN, _AROUND, _LINE = "\x14", "þ", "®"
_FIELDS = {
    "FROM": "mail.from",
    "TO": "mail.to",
    "CC": "mail.cc",
    "BCC": "mail.bcc",
    "SUBJECT": "mail.subject",
}
_TIMES = {"DATECREATED": "B", "DATEMODIFIED": "M", "DATEACCESSED": "A", "DATESENT": "sent", "DATERECEIVED": "received"}
_HEAD = (
    "BEGDOC", "ENDDOC", "BEGATTACH", "ENDATTACH", "PARENTID", "ITEMID", "SOURCE", "CUSTODIAN", "SERIES", "FILENAME",
    "FILEEXT", "FILEPATH", "FILESIZE", "FILETYPE", "MIMETYPE", "LANGUAGE", *_TIMES, *_FIELDS, "MD5HASH", "SHA1HASH",
    "SHA256HASH", "STATUS", "PROBLEMS", "TAGS", "NOTES", "METADATA", "TEXTPATH",
)  # fmt: skip
_EACH = 1000
"""Files of one folder."""
_ORDER = "CREATE TABLE items (family TEXT, place TEXT, path TEXT, id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;"


def write(path: Path, report: Report) -> int:
    """Writes the folder and returns how many items are in the load file."""
    with whole_folder(path) as folder, spilling(_ORDER) as database:
        _number(report, database)
        sources = report.case.catalog.sources()
        names = {name: (source.custodian, source.series) for name, source in sources.items()}
        count = 0
        with (
            (folder / "load.dat").open("w", encoding="utf-8-sig", newline="") as dat,
            (folder / "load.opt").open("w", encoding="utf-8", newline="") as opt,
        ):
            _put(dat, _HEAD)
            for family in _families(database):
                for number, identity in family:
                    item = report.case.catalog.item(identity)
                    if item is None:
                        raise StoreError(f"{identity}: the case changed while it was exported; export it again")
                    attached = (family[0][0], family[-1][0]) if len(family) > 1 else None
                    text = _write_text(folder, report, item, number)
                    _put(dat, _values(report, item, number, attached, _parent(database, item), names, text))
                    _picture(folder, report, item, number, opt)
                    count += 1
    return count


def _number(report: Report, database: sqlite3.Connection) -> None:
    """Gives every item its number, families together."""
    families = Families(report.case)
    paths: dict[str, str] = {}
    for row in report.items() if report.items else ():
        item = item_of(row)
        family = families(item.provenance)
        if family not in paths:
            head = report.case.catalog.item(family)
            paths = {family: storable(str(head.provenance)) if head else ""}
        values = (family, paths[family], storable(str(item.provenance)), item.id)
        database.execute("INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, 0)", values)
    database.execute(
        "UPDATE items SET number = ranked.rank FROM "
        "(SELECT id, row_number() OVER (ORDER BY place, family, path, id) AS rank FROM items) AS ranked "
        "WHERE items.id = ranked.id"
    )
    database.execute("CREATE INDEX by_number ON items (number)")


def _families(database: sqlite3.Connection) -> Iterator[list[tuple[int, str]]]:
    rows = database.execute("SELECT family, number, id FROM items ORDER BY number")
    for _, family in groupby(rows, key=lambda row: str(row[0])):
        yield [(number, identity) for _, number, identity in family]


def _parent(database: sqlite3.Connection, item: Item) -> str:
    above = item.provenance.parent
    row = database.execute("SELECT number FROM items WHERE id = ?", (above.id,)).fetchone() if above else None
    return _key(row[0]) if row else ""


def _key(number: int) -> str:
    return f"ARC{number:08}"


def _values(
    report: Report,
    item: Item,
    number: int,
    attached: tuple[int, int] | None,
    parent: str,
    names: dict[str, tuple[str, str]],
    text: str,
) -> Iterator[str]:
    fields: dict[str, list[str]] = {}
    for field in item.fields:
        fields.setdefault(field.name, []).append(str(field.value))
    stem, dot, suffix = item.name.rpartition(".")
    digests = item.digests
    review = report.case.review
    yield from (_key(number), _key(number))
    yield from (map(_key, attached) if attached else ("", ""))
    yield from (parent, item.id, item.provenance.source, *names[item.provenance.source])
    yield from (item.name, suffix if dot and stem else "", str(item.provenance))
    yield from ("" if item.size is None else str(item.size), coarse_type(item.media_type), item.media_type)
    yield item.language
    for kind in _TIMES.values():
        stamps = (each for each in item.timestamps if each.kind == kind)
        first = next(stamps, None)
        yield "" if first is None else print_time(first.moment)
    for name in _FIELDS.values():
        yield "; ".join(fields.get(name, ()))
    yield from ((digests.md5, digests.sha1, digests.sha256) if digests else ("", "", ""))
    yield item.status
    yield "; ".join(f"{problem.cause}: {problem.message}" for problem in item.problems)
    yield "; ".join(mark.text for mark in review.tags_of(item.id))
    yield "\n".join(f"{mark.text} ({mark.who}, {mark.at})" for mark in review.notes_of(item.id))
    yield json.dumps({name: fields[name] for name in sorted(fields)}, ensure_ascii=True) if fields else ""
    yield text


def _put(file: IO[str], values: Iterable[str]) -> None:
    file.write(_BETWEEN.join(f"{_AROUND}{_cell(value)}{_AROUND}" for value in values) + "\r\n")


def _cell(value: str) -> str:
    shown = visible_text(value.replace("\r\n", "\n").replace(_AROUND, "\\xfe").replace(_LINE, "\\xae"))
    return shown.replace("\n", _LINE)


def _place(folder: Path, kind: str, number: int, suffix: str) -> tuple[Path, str]:
    """A new file for an item, and its path as load files write it."""
    part = f"{(number - 1) // _EACH + 1:04}"
    (folder / kind / part).mkdir(parents=True, exist_ok=True)
    name = f"{_key(number)}.{suffix}"
    return folder / kind / part / name, f"{kind}\\{part}\\{name}"


def _write_text(folder: Path, report: Report, item: Item, number: int) -> str:
    held = report.case.catalog.with_reading(item.id)
    reading = held[1] if held else None
    if reading is None or not reading.chunks:
        return ""
    path, name = _place(folder, "TEXT", number, "txt")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text in report.case.texts.of(reading.key, reading.chunks):
            if text.locator:
                file.write(f"[{visible(text.locator)}]\n")
            file.write(visible_text(text.body) + "\n")
    return name


def _picture(folder: Path, report: Report, item: Item, number: int, opt: IO[str]) -> None:
    picture = report.thumbnail(item) if report.thumbnail and item.digests else None
    if picture:
        path, name = _place(folder, "IMAGES", number, "jpg")
        path.write_bytes(picture)
        opt.write(f"{_key(number)},{_VOLUME},{name},Y,,,1\r\n")
