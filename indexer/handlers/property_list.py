"""Property lists of Apple, in bytes or XML: every value with its path, a line each; files kept in them.

Archives of objects (NSKeyedArchiver) are told as what was archived. Web archives give their pages.

Source: Apple, CFBinaryPList.c and the property list DTD 1.0; NSKeyedArchiver as Foundation writes it.
Limits: the older form with braces (OpenStep) is plain text; lists over 256 MiB are not read; of data that is
    no file only readable text is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._lines import text_head
from indexer.handlers._moments import print_moment, tell_lines
from indexer.handlers._plist import BINARY, BinaryList, List, Map, Ref, Uid, constant, read_xml, unfold
from indexer.handlers._runs import find_runs
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp

_TYPES: Final = ("application/x-bplist", "application/x-plist")
_XML: Final = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*)?(?:<!DOCTYPE\s+plist\b|<plist\b)", re.S
)
_MOST: Final = 256 * MIB
_VALUES: Final = 1_000_000
_DEPTH: Final = 200
_STAMPS: Final = 5_000
_FILE: Final = (
    *(b"bplist0", b"<?xml", b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"%PDF", b"II*\0", b"MM\0*", b"PK\3\4"),
    *(b"{\\rtf", b"SQLite format 3\0", b"\x1f\x8b\x08", b"icns", b"OggS", b"ID3", b"-----BEGIN "),
)
_SHOWN: Final = 2_000
_CHILDREN: Final = 10_000


class PropertyList(Handler):
    name = "plist"
    media_types = _TYPES
    signatures = (Signature(BINARY), Signature(b"<"), Signature(b"\xef\xbb\xbf<"), Signature(b"\xff\xfe<\0"))
    suffixes = (".plist", ".webarchive", ".webhistory", ".webbookmark", ".webloc", ".strings", ".mobileconfig", ".sfl2")
    fields: ClassVar[dict[str, str]] = {
        "plist.form": "binary or xml",
        "plist.archiver": "program that archived objects in it",
        "plist.key": "name of a value at the top",
        "plist.values": "number of values that are told",
        "plist.path": "where in the list a file was kept",
        "url.address": "address that a web shortcut opens",
    }
    reads = "every value with its path, dates, archived objects unfolded; files kept in it"
    rank = 60
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(BINARY):
            return _TYPES[0]
        near = b"plist" in stream.head[:4096] or b"p\0l\0i\0s\0t" in stream.head[:4096]
        return _TYPES[1] if near and _XML.match(text_head(stream)[:4096]) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.size > _MOST:
            raise EvidenceError("limit", f"a property list of more than {_MOST} bytes")
        binary: BinaryList | None = None
        if stream.head.startswith(BINARY):
            yield Field("plist.form", "binary")
            binary = BinaryList(stream.at(0, stream.size))
            top = binary.top()
        else:
            yield Field("plist.form", "xml")
            top, fault = read_xml(_pieces(stream))
            if fault:
                yield Problem("corrupt", f"xml: {fault}", resolution="read as far as it goes")
        if isinstance(top, Map):
            if (inner := unfold(top)) is not None:
                yield Field("plist.archiver", str(top.get("$archiver"))[:200])
                top = inner
            if isinstance(top, Map):
                yield from (Field("plist.key", name) for name, _ in top.pairs[:200])
                if isinstance(url := top.get("URL"), str) and len(top.pairs) == 1:
                    yield Field("url.address", url)
        walk = _Walk()
        for text in tell_lines(walk.lines(constant(top)), "values"):
            yield text
            yield from walk.children()
        yield from walk.children()
        yield Field("plist.values", walk.count)
        yield from walk.stamps
        yield from walk.problems
        if binary and binary.damaged:
            yield Problem("corrupt", f"{binary.damaged} values point nowhere", resolution="left out")


class _Walk:
    """A walk over all values, in order, each with its path; circles are cut."""

    def __init__(self) -> None:
        self.count = 0
        self.stamps: list[Timestamp] = []
        self.problems: list[Problem] = []
        self._children: list[Child] = []
        self._offered = 0

    def children(self) -> Iterator[Child]:
        """The files met since this was asked for last."""
        found, self._children = self._children, []
        yield from found

    def lines(self, top: Ref) -> Iterator[str]:
        """`path: value` for every plain value."""
        waiting: list[tuple[str, str, Ref, tuple[int, ...]]] = [("", "", top, ())]
        visited = 0
        while waiting:
            path, key, ref, above = waiting.pop()
            visited += 1
            if visited > _VALUES:
                self.problems.append(Problem("limit", f"more than {_VALUES} values", resolution="stopped there"))
                return
            value = ref()
            if not isinstance(value, List | Map):
                if value is not None:
                    yield self._tell(path, key, value)
                continue
            if (value.ident and value.ident in above) or len(above) >= _DEPTH:
                yield f"{path}: [the same again]"
                continue
            inside = (*above, value.ident)
            if isinstance(value, Map):
                prefix = f"{path}." if path else ""
                waiting += [(f"{prefix}{name}"[:_SHOWN], name, each, inside) for name, each in reversed(value.pairs)]
            else:
                numbered = list(enumerate(value.items))
                waiting += [(f"{path}[{number}]"[:_SHOWN], key, each, inside) for number, each in reversed(numbered)]

    def _tell(self, path: str, key: str, value: object) -> str:
        self.count += 1
        if isinstance(value, datetime):
            if len(self.stamps) < _STAMPS:
                self.stamps.append(Timestamp("recorded", value, f"plist.{key[:80]}"))
            told = print_moment(value)
        elif isinstance(value, bytes):
            told = self._data(path, key, value)
        elif isinstance(value, Uid):
            told = f"object {value.number}"
        elif isinstance(value, bool):
            told = "yes" if value else "no"
        else:
            told = str(value)
        return f"{path}: {told}" if path else told

    def _data(self, path: str, key: str, value: bytes) -> str:
        is_file = value.startswith(_FILE) or value[4:8] == b"ftyp" or key == "WebResourceData"
        if is_file and len(value) > 8 and self._offered < _CHILDREN:
            self._offered += 1
            fields = (Field("plist.path", path),)
            raw = path.encode("utf-8", "surrogatepass")
            self._children.append(Child(path or "data", raw or b"data", partial(BytesIO, value), fields=fields))
            return f"({len(value)} bytes, a file)"
        if len(value) <= 32:
            return f"x'{value.hex()}'"
        runs = (value[run.start : run.end].decode(run.codec, "replace").strip() for run in find_runs(value[:MIB]))
        readable = " | ".join(run for run in runs if run)
        return f"({len(value)} bytes) {readable}".strip()


def _pieces(stream: Stream) -> Iterator[bytes]:
    stream.seek(0)
    while piece := stream.read(64 * 1024):
        yield piece
