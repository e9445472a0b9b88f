"""Tables of cron: what a machine does at which times.

Known by its lines alone: each must be a comment, a setting, or a schedule with a command.

Source: crontab(5) of cron and cronie.
Limits: whether a table has a column of users depends on where it lies, so that a command is told with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._lines import encoding_facts, lines_of, passages, read_text, text_head
from indexer.model import Fact, Field

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS = "sun|mon|tue|wed|thu|fri|sat"


def _column(value: str) -> str:
    """A list of numbers or ranges, each with a step; `*` for all."""
    part = rf"(?:\*|(?:{value})(?:-(?:{value}))?)(?:/\d{{1,2}})?"
    return rf"{part}(?:,{part}){{0,60}}"


_COLUMNS: Final = (
    r"[0-5]?\d",
    r"[01]?\d|2[0-3]",
    r"0?[1-9]|[12]\d|3[01]",
    rf"0?[1-9]|1[0-2]|{_MONTHS}",
    rf"[0-7]|{_DAYS}",
)
_JOB: Final = re.compile(
    r"[ \t]*-?((?:"
    + r"[ \t]+".join(map(_column, _COLUMNS))
    + r")|@(?:reboot|yearly|annually|monthly|weekly|daily|midnight|hourly))[ \t]+([^\s=][^\n]{1,8000})\Z",
    re.IGNORECASE,
)
_SETTING: Final = re.compile(r"[ \t]*[A-Za-z_]\w{0,60}[ \t]*=[^\n]*\Z")
_FIRST: Final = re.compile(
    rb"(?:[ \t]*#[^\n]*\n|[ \t\r]*\n){0,400}[ \t]*-?(?:[\d*,/-]+[ \t]|@[a-z]+[ \t]|[A-Za-z_]\w{0,60}[ \t]*=)"
)
"""A quick look: the first line that is no comment begins as a schedule or a setting."""
_MOST: Final = 5_000


class Crontab(Handler):
    name = "crontab"
    media_types = ("text/x-crontab",)
    holds = b"*@"
    fields: ClassVar[dict[str, str]] = {
        "cron.job": "when and what: the schedule and the command",
        "text.*": "how the text was read",
    }
    reads = "schedule and command of every job; the whole text"
    rank = 68

    def claims(self, stream: Stream) -> str | None:
        if b"\0" in stream.head[:2048] or not _FIRST.match(stream.head):
            return None
        lines = text_head(stream).split("\n")
        if stream.size > len(stream.head):
            lines.pop()
        jobs = 0
        for line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if match := _JOB.match(line):
                jobs += "*" in match[1] or "@" in match[1]
            elif not _SETTING.match(line):
                return None
        return self.media_types[0] if jobs else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader, pieces = read_text(stream)
        count = 0
        for text, _ in passages(lines_of(pieces)):
            yield text
            for line in text.body.split("\n"):
                if count < _MOST and (match := _JOB.match(line)):
                    count += 1
                    yield Field("cron.job", f"{' '.join(match[1].split())} | {match[2].strip()}")
        yield from encoding_facts(reader)
