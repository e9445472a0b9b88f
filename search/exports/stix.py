"""STIX 2.1: one bundle of observables, for platforms that exchange what was seen.

Every item with bytes or a name is a `file` with its hashes, size, media type and times, in its `directory` (the
path as provenance prints it); folders are directories. A container's `contains_refs` name its members that are in
the answer, and any file's the addresses and accounts that its text names, where `archivore features` gathered them:
email-addr, url, domain-name, ipv4-addr, ipv6-addr, mac-addr and user-account. Other features have no object of
STIX; they are in the features table. Ids are made of what an object says (UUIDv5), so that equal ones are one.

Source: STIX version 2.1 (OASIS), sections 2.9 (deterministic ids) and 6 (observables); RFC 8785.
Limits: a time whose zone is not known is left out, as STIX has none without; JSON is ASCII, and a lone surrogate
in a name is U+FFFD.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from indexer.model import Item, print_time
from search.exports._file import whole_file
from search.exports._order import Seen, item_of, spilling
from search.featuring import Features
from search.report import Report
from search.sanitise import storable

_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
_VALUES = {
    "email": "email-addr",
    "domain": "domain-name",
    "ipv4": "ipv4-addr",
    "ipv6": "ipv6-addr",
    "mac": "mac-addr",
}
_ACCOUNTS = {
    "user": ("account_login", ""),
    "sid": ("user_id", ""),
    "qq": ("user_id", "qq"),
    "wechat": ("user_id", "wechat"),
}
_TIMES = {"B": "ctime", "M": "mtime", "A": "atime"}
_AUTHORITY = re.compile(r"[a-z]+://[^/?#]*")
_LONE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FOLDER = "inode/directory"

Made = dict[str, Any]


def write(path: Path, report: Report) -> int:
    """Writes the bundle and returns how many items are in it."""
    count = 0
    features = report.case.open_features()
    try:
        with whole_file(path) as file, spilling("CREATE TABLE chosen (id TEXT PRIMARY KEY) WITHOUT ROWID;") as database:
            for row in report.items() if report.items else ():
                database.execute("INSERT OR IGNORE INTO chosen VALUES (?)", (item_of(row).id,))
            # A bundle's id has the form of a random one; the same answer has the same all the same.
            bundle = uuid.UUID(bytes=hashlib.sha256(report.colophon.id.encode()).digest()[:16], version=4)
            file.write(f'{{"type": "bundle", "id": "bundle--{bundle}", "objects": [')
            put = _Out(file, Seen(database))
            for (identity,) in database.execute("SELECT id FROM chosen"):
                item = report.case.catalog.item(identity)
                if item is not None:
                    _put_item(put, report, database, features, item)
                    count += 1
            file.write("\n]}\n")
    finally:
        if features:
            features.close()
    return count


class _Out:
    """Objects as they are written, each once."""

    def __init__(self, file: IO[str], seen: Seen) -> None:
        self._file = file
        self._seen = seen
        self._first = True

    def put(self, made: Made) -> str:
        """Writes an object where it was not yet, and returns its id."""
        if self._seen.add(made["id"]):
            self._file.write("\n" if self._first else ",\n")
            self._file.write(json.dumps(made, ensure_ascii=True, allow_nan=False))
            self._first = False
        return str(made["id"])


def _put_item(out: _Out, report: Report, database: sqlite3.Connection, features: Features | None, item: Item) -> None:
    if item.media_type == _FOLDER:
        out.put(_directory(str(item.provenance)))
        return
    folder = _directory(_split(item)[0])
    out.put(folder)
    made = _file(item)
    if item.size is not None:
        made["size"] = item.size
    if item.digests and item.media_type:
        made["mime_type"] = item.media_type
    for kind, name in _TIMES.items():
        known = (stamp.at for stamp in item.timestamps if stamp.kind == kind and stamp.zone_known)
        if first := next(known, None):
            made[name] = print_time(first)
    inside = [*_members(report, database, item), *(out.put(each) for each in _named(report, features, item))]
    if inside:
        made["contains_refs"] = inside
    out.put(made)


def _members(report: Report, database: sqlite3.Connection, item: Item) -> Iterator[str]:
    """The ids of an item's own members in the answer."""
    for member in report.case.catalog.children(item.id):
        if database.execute("SELECT 1 FROM chosen WHERE id = ?", (member.id,)).fetchone():
            is_folder = member.media_type == _FOLDER
            yield str((_directory(str(member.provenance)) if is_folder else _file(member))["id"])


def _named(report: Report, features: Features | None, item: Item) -> Iterator[Made]:
    """The observables that an item's text names."""
    held = report.case.catalog.with_reading(item.id) if features else None
    reading = held[1] if held else None
    if features is None or reading is None:
        return
    for field in features.fields_of([reading.key])[0].get(reading.key, ()):
        value = str(field.value)
        if field.name == "url":
            yield _made("url", {"value": _uri(value)})
        elif field.name in _VALUES:
            yield _made(_VALUES[field.name], {"value": value})
        elif field.name in _ACCOUNTS:
            name, kind = _ACCOUNTS[field.name]
            yield _made("user-account", {name: value} | ({"account_type": kind} if kind else {}))


def _uri(value: str) -> str:
    """A URL as RFC 3986 takes it: brackets behind the host, a second # and lone percent signs are escaped.

    >>> _uri("http://[::1]/a[1]#b#100%")
    'http://[::1]/a%5B1%5D#b%23100%25'
    """
    match = _AUTHORITY.match(value)
    end = match.end() if match else 0
    path, mark, fragment = value[end:].partition("#")
    tail = path + mark + fragment.replace("#", "%23")
    return value[:end] + _LONE.sub("%25", tail.replace("[", "%5B").replace("]", "%5D"))


def _split(item: Item) -> tuple[str, str]:
    """The folder that an item lies in, to its end, and its name there."""
    place = str(item.provenance)
    last = str(item.provenance.hops[-1]).rpartition("/")[2]
    return place[: len(place) - len(last)].rstrip("/") or "/", last


def _directory(path: str) -> Made:
    return _made("directory", {"path": storable(path)})


def _file(item: Item) -> Made:
    folder, name = _split(item)
    says: Made = {}
    if item.digests:
        digests = item.digests
        says["hashes"] = {"MD5": digests.md5, "SHA-1": digests.sha1, "SHA-256": digests.sha256}
    says["name"] = storable(name) or item.id
    says["parent_directory_ref"] = _directory(folder)["id"]
    return _made("file", says)


def _made(kind: str, says: Made) -> Made:
    """An object with its id: made of all that is said here, of several hashes of the first alone."""
    telling = {**says, "hashes": {"MD5": says["hashes"]["MD5"]}} if "hashes" in says else says
    canonical = json.dumps(telling, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(_NAMESPACE, canonical)}", **says}
