"""The audit log of a case: who did what, when, with which answer; each record seals the one before.

    audit.jsonl   one JSON object a line, ASCII, appended only:
    {"number": 7, "at": "2024-01-05T10:00:00Z", "who": "ann@lab", "version": "0.1.0", "event": "export",
     ... what the event tells ..., "previous": <digest of record 6>, "digest": <SHA-256 of all of the above>}

`digest` is taken over the record's JSON without `digest`, keys in the order written, no spaces. Changing,
removing or moving a record breaks the chain behind it; only records cut off at the end leave a chain that
is whole, so that the newest digest (`archivore audit verify` prints it) is what one signs elsewhere.
Writers take turns by a lock on the file. A line torn by a kill is no record: the next writer drops it
and tells so in its own record.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from indexer import VERSION
from indexer.errors import StoreError, reason_of
from indexer.model import print_time

Record = dict[str, Any]
FIRST = "0" * 64
"""What stands for the digest before the first record."""
_STEP = 1 << 16


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the chain does not hold; `line` counts from 1."""

    line: int
    message: str


class Audit:
    """The log of one case. Reading needs no lock; nothing is written before the first record."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, **values: object) -> Record:
        """Adds one record, durable when this returns, and returns it.

        Raises:
            StoreError: it cannot be written, or its last record cannot be read.
        """
        try:
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                last, torn = _last_record(file)
                record: Record = {
                    "number": last["number"] + 1 if last else 1,
                    "at": print_time(datetime.now(UTC)),
                    "who": reviewer(),
                    "version": VERSION,
                    "event": event,
                    **values,
                    **({"torn_bytes_dropped": torn} if torn else {}),
                    "previous": last["digest"] if last else FIRST,
                }
                record["digest"] = _digest(record)
                file.write(_line(record) + b"\n")
                file.flush()
                os.fsync(file.fileno())
                return record
        except OSError as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.path}: its last line is no record; see `archivore audit verify`") from error

    def records(self) -> Iterator[Record]:
        """Every record, the oldest first; lines that are none are passed over (`check` names them)."""
        for _, line in self._lines():
            record = _parse(line)
            if record:
                yield record

    def check(self) -> tuple[list[Break], int, str]:
        """Where the chain is broken, how many records there are, and the newest digest."""
        breaks: list[Break] = []
        previous, number, newest = FIRST, 0, FIRST
        for at, line in self._lines():
            record = _parse(line)
            if record is None:
                breaks.append(Break(at, "not a record"))
                continue
            newest = str(record["digest"])
            if _digest({name: value for name, value in record.items() if name != "digest"}) != newest:
                breaks.append(Break(at, f"record {record['number']} was changed"))
            if record["previous"] != previous or record["number"] != number + 1:
                breaks.append(Break(at, f"record {record['number']} does not follow record {number}"))
            previous, number = newest, record["number"]
        return breaks, number, newest

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as file:
                yield from enumerate(file, 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error


def reviewer() -> str:
    """Who works on the case: ARCHIVORE_REVIEWER where it is set, else the account and the machine."""
    named = os.environ.get("ARCHIVORE_REVIEWER")
    if named:
        return named
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = str(os.getuid())
    return f"{account}@{os.uname().nodename}"


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=str).encode("ascii")


def _digest(record: Record) -> str:
    return hashlib.sha256(_line(record)).hexdigest()


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and line.endswith(b"\n") and isinstance(record.get("number"), int)
    return record if whole and {"digest", "previous"} <= record.keys() else None


def _last_record(file: IO[bytes]) -> tuple[Record | None, int]:
    """The last whole record, and how many bytes of a torn line behind it were dropped."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and tail.count(b"\n") < 2 + (not tail.endswith(b"\n")):
        start = max(0, start - _STEP)
        file.seek(start)
        tail = file.read(end - start)
    torn = len(tail) - (tail.rfind(b"\n") + 1)
    if torn:
        file.truncate(end - torn)
        tail = tail[:-torn]
    if not tail:
        return None, torn
    record = _parse(tail[tail.rfind(b"\n", 0, -1) + 1 :])
    if record is None:
        raise ValueError("no record")
    return record, torn
