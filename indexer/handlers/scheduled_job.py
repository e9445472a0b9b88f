"""Scheduled tasks of Windows NT to 2003 (.job): program, arguments, folder, author, comment, last run.

Source: [MS-TSCH] 2.4 (the .JOB file format).
Limits: triggers are counted, not told; the account that the task runs as is not in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._windows import guid, wide
from indexer.model import Fact, Field, Problem, Text, Timestamp

_NAMES: Final = ("command", "arguments", "working_dir", "author", "comment")
_PRODUCTS: Final = frozenset((0x400, 0x500, 0x501, 0x600, 0x601, 0x602, 0x603, 0xA00))
_WHOLE: Final = 1 << 20


class ScheduledJob(Handler):
    name = "job"
    media_types = ("application/x-ms-job",)
    signatures = (Signature(b"\1\0", 2),)
    suffixes = (".job",)
    fields: ClassVar[dict[str, str]] = {
        "task.command": "program that the task starts",
        "task.arguments": "arguments of the program",
        "task.working_dir": "folder that the program starts in",
        "task.author": "who made the task",
        "task.comment": "comment of the task",
        "task.id": "identifier of the task",
        "task.triggers": "number of triggers",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "program, arguments, folder, author, comment, last run"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:72]
        known = len(head) == 72 and int.from_bytes(head[:2], "little") in _PRODUCTS
        return self.media_types[0] if known and int.from_bytes(head[20:22], "little") == 70 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, _WHOLE)
        yield Field("task.id", guid(data[4:20]))
        year, month, _, day, hour, minute, second, part = struct.unpack_from("<8H", data, 52)
        try:
            at = datetime(year, month, day, hour, minute, second, min(part, 999) * 1000, tzinfo=UTC)
            yield Timestamp("executed", at, "job.last_run", 0.001, zone_known=False)
        except ValueError:
            pass  # never run: all numbers are zero
        place = 70
        lines = []
        for name in _NAMES:
            size = 2 * int.from_bytes(data[place : place + 2], "little")
            text = wide(data[place + 2 : place + 2 + size])
            place += 2 + size
            if text:
                yield Field(f"task.{name}", text)
                lines.append(f"{name.replace('_', ' ')}: {text}")
            if text and name == "command":
                yield Field("refers_to", text)
        if place > len(data):
            yield Problem("truncated", f"{place - len(data)} bytes are missing", resolution="read up to there")
        triggers = int.from_bytes(data[22:24], "little")
        if 70 < triggers + 2 <= len(data):
            yield Field("task.triggers", int.from_bytes(data[triggers : triggers + 2], "little"))
        if lines:
            yield Text("\n".join(lines), "task")
