"""Scheduled tasks of Windows Vista and later, in XML: commands, triggers, accounts, authors.

Source: [MS-TSCH] 2.5 (the XML task definition language).
Limits: none known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers import _refs
from indexer.handlers._parts import DATA, END, START, XmlReader
from indexer.model import Fact, Problem, Text
from indexer.timestamps import from_iso

_SPACE: Final = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_FIELDS: Final = {
    "Author": "author",
    "Description": "comment",
    "URI": "path",
    "Source": "source",
    "UserId": "user",
    "GroupId": "user",
    "RunLevel": "run_level",
    "LogonType": "logon_type",
    "Command": "command",
    "Arguments": "arguments",
    "WorkingDirectory": "working_dir",
    "ClassId": "class_id",
    "Hidden": "hidden",
    "Enabled": "enabled",
}
_TIMES: Final = {"Date": "registered", "StartBoundary": "starts", "EndBoundary": "ends"}
_PIECE: Final = 64 * 1024
_LINES: Final = 20_000
_STEPS: Final = 16
"""Elements named before a value; a task has six at most."""


class ScheduledTask(Handler):
    name = "task"
    media_types = ("application/x-ms-task+xml",)
    holds = b"<"
    fields: ClassVar[dict[str, str]] = {
        "task.author": "who made the task",
        "task.comment": "description of the task",
        "task.path": "name of the task with its folders",
        "task.source": "program or package that the task came with",
        "task.user": "account or group that the task runs as, or waits for",
        "task.run_level": "whether it runs with the highest rights",
        "task.logon_type": "how the account is logged on",
        "task.command": "program that the task starts",
        "task.arguments": "arguments of the program",
        "task.working_dir": "folder that the program starts in",
        "task.class_id": "class of the handler that the task calls",
        "task.hidden": "true where the task is hidden",
        "task.enabled": "whether the task, or one of its triggers, is enabled",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "commands, arguments, accounts, triggers, author, dates"
    rank = 61

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:4096].replace(b"\0", b"")
        return self.media_types[0] if b"<Task" in head and _SPACE.encode() in head else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader = XmlReader({_SPACE: "t"})
        once = {name: _refs.Once(f"task.{name}", 200) for name in _FIELDS.values()}
        refers = _refs.Once(most=200)
        path: list[str] = []
        lines: list[str] = []
        held = ""
        for kind, value, attributes in reader.events(_pieces(stream)):
            if kind == START:
                path.append(value.removeprefix("t:"))
                held = ""
                room = _LINES - len(lines) if len(path) > 1 else 0
                shown = [f"{_place(path)} {key}: {text}" for key, text in attributes.items()]
                lines += shown[:room]
            elif kind == DATA:
                held += value
            elif kind == END:
                name, text = (path[-1] if path else ""), held.strip()
                if text and len(lines) < _LINES:
                    lines.append(f"{_place(path)}: {text}")
                if text and name in _FIELDS:
                    yield from once[_FIELDS[name]].fields((text,))
                if name == "Command":
                    yield from refers.fields((text,))
                if name in _TIMES and (stamp := from_iso(_TIMES[name], text, f"task.{name}")):
                    yield stamp
                held = ""
                del path[-1:]
        if lines:
            yield Text("\n".join(lines), "task")
        if reader.fault:
            yield Problem("corrupt", reader.fault, resolution="read up to there")


def _place(path: list[str]) -> str:
    """Where an element stands below the root, as far as real tasks go down."""
    return "/".join(name[:60] for name in path[1:_STEPS])


def _pieces(stream: Stream) -> Iterator[bytes]:
    at = 0
    while piece := stream.at(at, _PIECE):
        yield piece
        at += len(piece)
