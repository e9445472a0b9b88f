"""Write-ahead logs of SQLite, by themselves: how many frames and commits, and the text of their pages.

The database beside a log is read with the log applied; here stand older contents of pages too.

Source: the SQLite database file format, section 4 (the write-ahead log).
Limits: rows are not told as columns; a log whose pages are packed or encrypted by an extension has no text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, ClassVar, cast

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._sqlite_dead import read_pages
from indexer.handlers._sqlite_wal import MAGIC, page_size, read_log
from indexer.model import Fact, Field, Problem

_NO_TEXT = ("login data", "web data", "signons")
"""Names of databases of secrets: their pages are not shown."""


class SqliteLog(Handler):
    name = "sqlite-log"
    media_types = ("application/x-sqlite-wal",)
    signatures = tuple(Signature(magic) for magic in MAGIC)
    fields: ClassVar[dict[str, str]] = {
        "sqlite.page_size": "bytes of a page",
        "sqlite.log_frames": "frames that stand in the log, older ones too",
        "sqlite.log_valid": "frames of the log's present round, with good checksums",
        "sqlite.log_commits": "commits among them",
        "sqlite.log_pages": "pages that the commits replace",
        "sqlite.page_count": "pages of the database after the last commit",
        "sqlite.log_round": "how often the log began anew",
    }
    reads = "frames, commits, readable text of all pages, older ones too"
    rank = 40
    uses_name = True
    volumes = True
    volume_names = (r".+-wal",)

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if page_size(stream.head) else None

    def is_volume(self, stream: Stream) -> bool:
        return bool(page_size(stream.head))

    def read(self, stream: Stream) -> Iterator[Fact]:
        log = read_log(cast(BinaryIO, stream))
        if log is None:
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
