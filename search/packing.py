"""A case in one file, for another machine: packed whole or a query's part of it, and opened again.

    case.zip
      pack.json         format, case and what is said of it, colophon, and the SHA-256 of everything else here
      catalog.sqlite    the rows of the items that go along, with the containers around them
      texts.sqlite      their texts
      audit.jsonl       the audit log, which goes on where the pack is opened
      files/<id>        where asked for, their bytes, with SHA256SUMS

Nothing in a pack is trusted: names are checked against those above, digests against pack.json, and the
tables of a foreign database are read only where they are declared exactly as ours; their rows go into new
databases. The index is never carried, it is built again. Paths of the other machine stay as words in the
colophon: a source has no place here until one is given.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from indexer.errors import StoreError, UsageError, reason_of, refused
from search.answers import matching
from search.case import Case
from search.database import reading_uri
from search.exports._file import whole_path
from search.folder import about_of, whole_or_gone
from search.report import colophon_of

FORMAT = 1
"""Rises when an older Archivore could not open the file any more."""
MANIFEST = "pack.json"
FILES = "files"
_NAME = re.compile(
    r"(catalog\.sqlite|texts\.sqlite|audit\.jsonl|files/([0-9a-f]{32}(\.[a-z0-9]{1,8})?|SHA256SUMS|not-copied\.jsonl))"
)
_MADE = (1980, 1, 1, 0, 0, 0)
_LONGEST_MANIFEST = 256 << 20
_CHOSEN = {
    "items": "id IN (SELECT id FROM chosen)",
    "problems": "id IN (SELECT id FROM chosen)",
    "tags": "id IN (SELECT id FROM chosen)",
    "notes": "id IN (SELECT id FROM chosen)",
    "texts": "key IN (SELECT id FROM chosen)",
    "readings": "key IN (SELECT reading FROM main.items)",
    "roots": "0",  # a part must not look complete
}
"""Which rows go along with a part of a case; those of other tables all do."""
_LEFT_OUT = frozenset(("stale", "pending"))
"""What only a running case needs."""


def pack(case: Case, output: Path, query: str = "", files: Path | None = None) -> int:
    """Writes the case, or what answers a query, with the containers around it; returns the number of items.

    Args:
        files: a folder with their bytes under their ids, to go along.

    Raises:
        UsageError: the output cannot be made.
        QueryError: the query cannot be understood.
        StoreError: the disk is full, or the case damaged.
    """
    chosen = {each for item in matching(case, query) for each in item.provenance.ids()} if query else None
    with scratch_beside(output) as scratch, _storing(output):
        ids = None if chosen is None else sorted(chosen)
        readings = _copy(case.path / "catalog.sqlite", scratch / "catalog.sqlite", ids)
        _copy(case.path / "texts.sqlite", scratch / "texts.sqlite", readings)
        members = {each: scratch / each for each in ("catalog.sqlite", "texts.sqlite")}
        if case.audit.path.exists():
            members["audit.jsonl"] = case.audit.path
        if files is not None:
            members |= {f"{FILES}/{each.name}": each for each in sorted(files.iterdir())}
        colophon = colophon_of(case, "pack", query, files=files is not None)
        digests = {each: _digest(path) for each, path in members.items()}
        named = {"case": case.name, **about_of(case.settings)}
        head = {"format": FORMAT, **named, "colophon": colophon.to_json(), "sha256": digests}
        with whole_path(output) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST, _MADE), json.dumps(head, ensure_ascii=True, indent=1))
            for each, path in members.items():
                _add(archive, each, path)
    return case.catalog.totals()[0] if chosen is None else len(chosen)


def open_pack(path: Path, folder: Path, evidence: Mapping[str, str] | None = None) -> int:
    """Makes a case of a packed one in a new folder, and returns the number of its items.

    Args:
        evidence: where sources lie on this machine, by their names.

    Raises:
        UsageError: no pack, one of a newer format, or the folder holds something.
        StoreError: the pack is damaged, or the disk is full.
    """
    with (
        _opened(path) as (archive, head),
        _storing(folder),
        whole_or_gone(folder),
        Case.create(folder, str(head["case"]), about_of(head)) as case,
    ):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            _bring(archive, head, Path(name), folder)
        sources = case.catalog.sources()
        if unknown := sorted(set(evidence or {}) - set(sources)):
            raise UsageError(
                f"{unknown[0]}: no source of this pack; --evidence takes NAME=PATH for {', '.join(sources)}"
            )
        for source in sources.values():
            case.catalog.keep_source(replace(source, path=(evidence or {}).get(source.name, "")))
        case.catalog.make_all_stale()
        case.commit()
        case.update_index()
        case.record("open-pack", sha256=_digest(path), pack=path.name)
        return case.catalog.totals()[0]


def _bring(archive: zipfile.ZipFile, head: Mapping[str, object], scratch: Path, folder: Path) -> None:
    """Brings what is in a pack into an empty case."""
    _unpack(archive, head, scratch)
    for name in ("catalog.sqlite", "texts.sqlite"):
        _adopt(folder / name, scratch / name)
    for name in ("audit.jsonl", FILES):
        if (scratch / name).exists():
            (scratch / name).replace(folder / name)


def _tables(database: sqlite3.Connection, schema: str) -> dict[str, str]:
    """The tables of a database and how each is declared."""
    rows = database.execute(f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'table'")  # noqa: S608
    return {name: sql for name, sql in rows if not name.startswith("sqlite_")}


def _copy(old: Path, new: Path, chosen: list[bytes] | None) -> list[bytes] | None:
    """Copies rows into a new database: all, or those of some items or readings; returns the readings copied."""
    with closing(sqlite3.connect(new.absolute().as_uri(), uri=True, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=OFF")
        database.execute("ATTACH ? AS old", (reading_uri(old),))
        database.execute("CREATE TEMP TABLE chosen (id BLOB PRIMARY KEY) WITHOUT ROWID")
        database.execute("BEGIN")
        database.executemany("INSERT INTO chosen VALUES (?)", ((each,) for each in chosen or ()))
        tables = _tables(database, "old")
        for name, declared in sorted(tables.items(), key=lambda pair: pair[0] == "readings"):
            database.execute(declared)
            if name in _LEFT_OUT:
                continue
            where = f" WHERE {_CHOSEN[name]}" if chosen is not None and name in _CHOSEN else ""
            database.execute(f"INSERT INTO main.{name} SELECT * FROM old.{name}{where}")  # noqa: S608
        readings = None
        if chosen is not None and "readings" in tables:
            database.execute(
                "UPDATE main.readings SET item = (SELECT id FROM main.items WHERE reading = readings.key LIMIT 1)"
            )
            readings = [key for (key,) in database.execute("SELECT key FROM main.readings ORDER BY key")]
        database.execute("COMMIT")
    return readings


def _adopt(ours: Path, foreign: Path) -> None:
    """Copies every row of a foreign database whose tables are declared as ours are."""
    with closing(sqlite3.connect(ours, isolation_level=None)) as database:
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("ATTACH ? AS foreign_one", (str(foreign),))
        held, brought = _tables(database, "main"), _tables(database, "foreign_one")
        if held != brought:
            raise StoreError(f"{foreign.name}: its tables are not those of this version; update both, and pack again")
        database.execute("BEGIN")
        for name in held:
            database.execute(f"INSERT INTO main.{name} SELECT * FROM foreign_one.{name}")  # noqa: S608
        database.execute("COMMIT")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, object]]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise refused(path, error, "give a file that `archivore pack` wrote") from error
    try:
        with file, zipfile.ZipFile(file) as archive:
            if archive.getinfo(MANIFEST).file_size > _LONGEST_MANIFEST:
                raise StoreError(f"{path}: {MANIFEST} is too long")
            head = json.loads(archive.read(MANIFEST))
            if not isinstance(head, dict) or not isinstance(head.get("format"), int):
                raise StoreError(f"{path}: {MANIFEST} is damaged")
            if head["format"] > FORMAT:
                raise UsageError(f"{path}: packed by a newer Archivore; update first")
            yield archive, head
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise UsageError(f"{path}: not a case that `archivore pack` wrote, or damaged on its way") from error


@contextmanager
def scratch_beside(output: Path) -> Iterator[Path]:
    """A folder for what a pack is made of, on the disk that must have room for it; gone afterwards.

    Raises:
        UsageError: nothing can be made there.
        StoreError: the disk is full.
    """
    try:
        scratch = tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix="pack-", suffix=".part")
    except OSError as error:
        raise refused(output, error, "choose another --output") from error
    with scratch as name:
        yield Path(name)


def _unpack(archive: zipfile.ZipFile, head: Mapping[str, object], folder: Path) -> None:
    """Writes the members under their names, which are ours, and checks them against their digests."""
    digests = head["sha256"]
    names = [each for each in archive.namelist() if each != MANIFEST]
    if not isinstance(digests, dict) or sorted(names) != sorted(digests):
        raise StoreError("the pack does not hold what it says it holds")
    for name in names:
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} has no place in a pack")
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        hasher = hashlib.sha256()
        with archive.open(name) as member, target.open("xb") as file:
            while data := member.read(1 << 20):
                hasher.update(data)
                file.write(data)
        if hasher.hexdigest() != digests[name]:
            raise StoreError(f"{name}: is not what was packed (SHA-256 differs)")


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = zipfile.ZipInfo(name, _MADE)
    info.compress_type = zipfile.ZIP_DEFLATED
    with path.open("rb") as file, archive.open(info, "w", force_zip64=True) as member:
        while data := file.read(1 << 20):
            member.write(data)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: {reason_of(error)}") from error
