"""Documents of drawing programs that are zip files: how they are told apart, XML within bounds.

Source: OpenRaster 0.0.6, file layout; APPNOTE.TXT 6.3.10, 4.3.7.
Limits: a document whose first member is not its mimetype is a plain zip file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from indexer.handler import Stream
from indexer.handlers._parts import Parts, load_lxml, read_directory
from indexer.limits import MIB
from indexer.model import Problem

XML_BYTES: Final = 64 * MIB
_NAME: Final = b"mimetype"


def mimetype(stream: Stream) -> bytes:
    """What the first member, named mimetype and stored plain, says; empty where there is none.

    A file without a directory is left to the reader of damaged zip files.
    """
    head = stream.head
    if (
        not read_directory(stream)
        or head[:4] != b"PK\3\4"
        or head[30:38] != _NAME
        or int.from_bytes(head[26:28], "little") != len(_NAME)
    ):
        return b""
    start = 38 + int.from_bytes(head[28:30], "little")
    length = int.from_bytes(head[18:22], "little") or int.from_bytes(head[22:26], "little")
    return head[start : start + min(length, 100)].strip()


def parse_part(parts: Parts, name: str) -> tuple[Any, list[Problem]]:
    """The root element of a part, or None, and what was wrong with it; names keep no namespace."""
    data = parts.read(name, XML_BYTES)
    if not data:
        return None, [] if name in parts else [Problem("corrupt", f"no {name}: what it would tell is not known")]
    etree = load_lxml()
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True, remove_comments=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        return None, [Problem("corrupt", f"{name}: {error}"[:300])]
    fatal = [entry for entry in parser.error_log if entry.level_name == "FATAL"]
    if not fatal:
        return root, []
    return root, [Problem("corrupt", f"{name}: {fatal[0].message.strip()}", resolution="read as far as it goes")]


def local(element: Any) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""


def walk(root: Any, inside: frozenset[str]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Elements in document order with those above them; only what `inside` names is gone into.

    lxml keeps documents nested no deeper than 256, so the tuples stay short.
    """
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(child, ()) for child in reversed(root)]
    while waiting:
        element, above = waiting.pop()
        yield element, above
        if local(element) in inside:
            waiting += [(child, (*above, element)) for child in reversed(element)]
