"""mtree lists: every file that a tree held, with the size, times and digests it had.

The files themselves are elsewhere; their names and digests are evidence all the same.

Source: mtree(5) of FreeBSD and NetBSD.
Limits: a list without the line `#mtree` is known by its first entries, which must be paths in folders with
a type; `optional`, `nochange` and `ignore` are told as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FIELDS, FILE, Names
from indexer.limits import KIB
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_unix

MARK = re.compile(rb"#mtree(?: v\d+(?:\.\d+)*)?[ \t]*\r?(?:\n|\Z)")
KINDS = {"dir": "directory", "link": "symlink", "block": "block-device", "char": "character-device"}
KINDS |= {"file": FILE, "fifo": "fifo", "socket": "socket"}
ESCAPE = re.compile(rb"\\(?:([0-3][0-7]{2})|([abfnrstv\\#]))")
ESCAPES = dict(zip(b"abfnrstv\\#", b"\a\b\f\n\r \t\v\\#", strict=True))
ENTRY = re.compile(rb"\.(?:/\S*)?[ \t]+(?:[a-z0-9]+=\S+[ \t]+){0,20}type=(?:file|dir|link|block|char|fifo|socket)\s")
SURE = 2
"""Entries that must be a list's where no line says that it is one."""
MOST_LINE = 64 * KIB
LINES = 200


class MtreeList(Handler):
    name = "mtree"
    version = 2
    media_types = ("text/x-mtree",)
    signatures = (Signature(b"#mtree"), Signature(b"#"), Signature(b"./"), Signature(b". "))
    suffixes = (".mtree",)
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "mtree.*": "a keyword of the list, such as mtree.size, mtree.sha256digest, mtree.uname, mtree.flags",
    }
    reads = "each file of the list as a member without bytes, with its recorded size, times and digests; the text"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if MARK.match(stream.head) or _is_unmarked(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        paths = [path for path, _ in _walk(stream) if path]
        names = Names(paths)
        yield from names.fields()
        del paths
        body: list[str] = []
        for number, line in enumerate(_lines(stream), 1):
            body.append(names.decode(line.rstrip(b"\r\n")))
            if len(body) == LINES:
                yield Text("\n".join(body), f"line {number - LINES + 1}")
                body = []
        if body:
            yield Text("\n".join(body), f"line {number - len(body) + 1}")
        for path, words in _walk(stream):
            if path:
                yield _child(path, words, names)
            else:
                yield Problem("corrupt", f"line {words['line']}: no entry of a list", resolution="kept as text")


def _is_unmarked(head: bytes) -> bool:
    """Whether the first entries are a list's, with nothing but comments in front of them."""
    lines = [line for line in head.split(b"\n")[:-1] if line.strip() and not line.startswith(b"#")]
    return len(lines) >= SURE and all(ENTRY.match(line) for line in lines[:SURE])


def _lines(stream: Stream) -> Iterator[bytes]:
    stream.seek(0)
    while line := stream.file.readline(MOST_LINE):
        yield line


def _entries(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without comments; a line that ends with a backslash goes on in the next."""
    held = b""
    for number, line in enumerate(_lines(stream), 1):
        text = (held + line).strip()
        if text.endswith(b"\\") and len(text) < MOST_LINE:
            held = text[:-1]
            continue
        held = b""
        if text and not text.startswith(b"#"):
            yield number, text


def _walk(stream: Stream) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Paths with their keywords; an empty path where a line makes no sense, with its number."""
    folder: list[bytes] = []
    defaults: dict[str, str] = {}
    for number, text in _entries(stream):
        first, *rest = text.split()
        words = _words(rest)
        if first == b"/set":
            defaults.update(words)
        elif first == b"/unset":
            for key in [*defaults] if b"all" in rest else list(words):
                defaults.pop(key, None)
        elif first == b"..":
            if folder:
                folder.pop()
            else:
                yield b"", {"line": str(number)}
        else:
            name = ESCAPE.sub(_unescape, first)
            words = {**defaults, **words}
            if b"/" in first:
                yield name, words
                continue
            yield b"/".join((*folder, name)), words
            if words.get("type") == "dir" and len(folder) < 1000:
                folder.append(name)


def _words(parts: list[bytes]) -> dict[str, str]:
    words: dict[str, str] = {}
    for part in parts:
        key, _, value = part.partition(b"=")
        name = re.sub(r"[^a-z0-9]+", "_", key.decode("ascii", "replace").lower())[:40].strip("_")
        if name:
            words[name] = Names((value,)).decode(ESCAPE.sub(_unescape, value))
    return words


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) if match[1] else ESCAPES[match[2][0]]])


def _child(path: bytes, words: dict[str, str], names: Names) -> Child:
    kind = KINDS.get(words.get("type", "file"), FILE)
    fields = [Field("file.kind", "listed-file" if kind == FILE else kind)]
    stamps: list[Timestamp] = []
    for key, value in words.items():
        if key == "link":
            fields.append(Field("file.link_target", value))
        elif key == "mode" and re.fullmatch(r"[0-7]{1,7}", value):
            fields.append(Field("file.mode", f"{int(value, 8) & 0o7777:04o}"))
        elif key == "time" and re.fullmatch(r"-?\d{1,15}(?:\.\d{1,9})?", value):
            seconds, _, fraction = value.partition(".")
            stamp = from_unix("M", int(seconds), "mtree.time", nanoseconds=int(fraction or 0))
            stamps += [stamp] if stamp else []
        elif key != "type":
            fields.append(Field(f"mtree.{key}", value))
    return Child(names.decode(path), path, None, timestamps=tuple(stamps), fields=tuple(fields))
