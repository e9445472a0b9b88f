"""Logs and rollback journals of SQLite, by themselves: frames, commits, and the rows and text of their pages.

The database beside a write-ahead log is read with the log applied; here stand older contents of pages too.
A rollback journal holds pages as they were before the last change.

Source: the SQLite database file format, sections 3 (the rollback journal) and 4 (the write-ahead log).
Limits: rows are told without the names of their columns; a journal that was closed by zeros in its head is not
    known; pages that are packed or encrypted by an extension have no text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, cast

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._sqlite_dead import read_pages
from indexer.handlers._sqlite_wal import MAGIC, page_size, read_log
from indexer.model import Fact, Field, Problem

_JOURNAL: Final = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_NO_TEXT = ("login data", "web data", "signons")
"""Names of databases of secrets: their pages are not shown."""


class SqliteLog(Handler):
    name = "sqlite-log"
    media_types = ("application/x-sqlite-wal", "application/x-sqlite-journal")
    signatures = (*(Signature(magic) for magic in MAGIC), Signature(_JOURNAL))
    fields: ClassVar[dict[str, str]] = {
        "sqlite.page_size": "bytes of a page",
        "sqlite.log_frames": "frames or pages that stand in the log, older ones too",
        "sqlite.log_valid": "frames of the log's present round, with good checksums",
        "sqlite.log_commits": "commits among them",
        "sqlite.log_pages": "pages that the commits replace",
        "sqlite.page_count": "pages of the database after the last commit, or before it in a rollback journal",
        "sqlite.log_round": "how often the log began anew",
    }
    reads = "frames, commits, rows and readable text of all pages, older ones too"
    rank = 40
    uses_name = True
    volumes = True
    volume_names = (r".+-wal",)

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_JOURNAL):
            return self.media_types[1] if _journal_shape(stream) else None
        return self.media_types[0] if page_size(stream.head) else None

    def is_volume(self, stream: Stream) -> bool:
        return bool(page_size(stream.head))

    def read(self, stream: Stream) -> Iterator[Fact]:
        log = read_log(cast(BinaryIO, stream))
        if log is None:
            yield from _read_journal(stream)
            return
        yield Field("sqlite.page_size", log.page)
        yield Field("sqlite.log_round", int.from_bytes(stream.head[12:16], "big"))
        yield Field("sqlite.log_frames", log.frames)
        yield Field("sqlite.log_valid", log.valid)
        yield Field("sqlite.log_commits", log.commits)
        yield Field("sqlite.log_pages", len(log.committed))
        yield Field("sqlite.page_count", log.size)
        over = (stream.size - 32) % (log.page + 24)
        if over:
            yield Problem("truncated", f"the last frame has {over} bytes only", resolution="read up to there")
        if stream.name.lower().startswith(_NO_TEXT):
            return
        newest = sorted(log.committed.items())
        yield from read_pages(((number, stream.at(at, log.page)) for number, at in newest), "committed")
        yield from read_pages(((number, stream.at(at, log.page)) for number, at in log.stale), "older")


def _journal_shape(stream: Stream) -> tuple[int, int]:
    """Where the pages of a rollback journal begin, and how large one is; nothing where that cannot be."""
    sector, page = (int.from_bytes(stream.head[at : at + 4], "big") for at in (20, 24))
    fits = 28 <= sector <= 1 << 16 and 512 <= page <= 1 << 16 and not page & (page - 1)
    return (sector, page) if fits else (0, 0)


def _read_journal(stream: Stream) -> Iterator[Fact]:
    sector, page = _journal_shape(stream)
    if not page:
        return
    yield Field("sqlite.page_size", page)
    yield Field("sqlite.page_count", int.from_bytes(stream.head[16:20], "big"))
    places = range(sector, stream.size - page - 3, page + 8)
    yield Field("sqlite.log_frames", len(places))
    if not stream.name.lower().startswith(_NO_TEXT):
        pages = ((int.from_bytes(stream.at(at, 4), "big"), stream.at(at + 4, page)) for at in places)
        yield from read_pages(pages, "before the last change")
