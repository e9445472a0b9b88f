"""Bytes -> media type and handler. Bytes decide; a suffix never outranks them.

Order: declared signatures and content rules of our handlers (microseconds), then python-magic, the
identifier of record (0.4 ms: more than all the rest of a small file, which is why it comes second),
then pure-magic where no libmagic can be loaded. Text that nobody claims is `text/plain`.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from indexer.handler import Handler, Stream

UNKNOWN = "application/octet-stream"
EMPTY = "inode/x-empty"
_WEAK = {"application/zlib", "application/x-matlab-data", "image/x-tga"}
"""Types that python-magic tells by a few bytes; our handlers, who look at more of them, were asked before it."""
_BEARS_NO_SUFFIX = {UNKNOWN, EMPTY, "multipart/appledouble"}
"""What is no type, and what has the name of the file that it belongs to."""
_PROMISES_NOTHING = {"", ".bin", ".dat", ".obj", ".tmp"}
_IN_TEXTS = bytes(sorted({*b"\t\n\f\r\x1a\x1b", *range(32, 256)}))
"""Bytes that texts of any encoding are made of; hardly a file of another type has no others ..."""
_BLANK = b"\xff" * 8
"""... but one that was overwritten."""
_MOST_SETS = 4096
"""Sets of telling bytes whose handlers are remembered."""


class Identity(NamedTuple):
    """What the bytes are: `handler` is None where no handler reads this type."""

    media_type: str
    handler: Handler | None


class _Rule(NamedTuple):
    """A handler that is asked, where it declares marks about items that begin so; `order` is its turn."""

    order: int
    handler: Handler
    starts: tuple[bytes, ...] = ()

    def is_marked_by_a_word(self, head: bytes) -> bool:
        """Whether the mark at the start is letters and digits: a note about Blender may begin so too."""
        return all(start.isalnum() and len(start) > 2 for start in self.starts if head.startswith(start))


class Identifier:
    """Knows the declarations of a set of handlers; stateless after construction.

    Args:
        handlers: in the order in which candidates are asked.
    """

    def __init__(self, handlers: Sequence[Handler]) -> None:
        self._handlers = tuple(handlers)
        self._by_type: dict[str, Handler] = {}
        self._types_of_suffix: dict[str, set[str]] = {}
        for handler in self._handlers:
            for media_type in handler.media_types:
                self._by_type.setdefault(media_type, handler)
            for suffix in handler.suffixes:
                self._types_of_suffix.setdefault(suffix, set()).update(handler.media_types)
        self._marked: dict[int, list[_Rule]] = {}
        """Those with a mark at the start, by its first byte."""
        self._inside: dict[tuple[int, int], dict[bytes, list[_Rule]]] = {}
        """Where marks further inside begin and end; by the mark: whose it is."""
        self._unmarked: list[_Rule] = []
        """Those known by content alone, and by the telling bytes that an item has those to ask."""
        self._unmarked_by_bytes: dict[frozenset[int], tuple[_Rule, ...]] = {}
        for order, handler in enumerate(self._handlers):
            starts = tuple(mark.magic for mark in handler.signatures if not mark.offset)
            if b"" in starts or (not handler.signatures and type(handler).claims is not Handler.claims):
                self._unmarked.append(_Rule(order, handler))
            else:
                for first in {start[0] for start in starts}:
                    self._marked.setdefault(first, []).append(_Rule(order, handler, starts))
            for mark in handler.signatures:
                if mark.offset:
                    marks = self._inside.setdefault((mark.offset, mark.offset + len(mark.magic)), {})
                    marks.setdefault(mark.magic, []).append(_Rule(order, handler))
        telling = {byte for rule in self._unmarked for byte in rule.handler.holds}
        self._telling = frozenset(telling)
        self._silent = bytes(sorted(set(range(256)) - telling))

    def identify(self, stream: Stream) -> Identity:
        """What `stream` holds; leaves the position at the start."""
        if not stream.size:
            return Identity(EMPTY, None)
        identity = self._claimed(stream)
        if identity is None:
            media_type = libmagic()(stream.head) if stream.head.strip(b"\0") else UNKNOWN
            identity = (
                Identity(UNKNOWN, None) if media_type in _WEAK else Identity(media_type, self._by_type.get(media_type))
            )
        stream.seek(0)
        return identity

    def _claimed(self, stream: Stream) -> Identity | None:
        head = stream.head
        marked = [rule for rule in self._marked.get(head[0], ()) if head.startswith(rule.starts)]
        if marked and not head.translate(None, _IN_TEXTS) and _BLANK not in head:
            marked = [rule for rule in marked if not rule.is_marked_by_a_word(head)]
        for (begin, end), marks in self._inside.items():
            if held := marks.get(head[begin:end]):
                marked += held
        asked = self._asked(head, whole=stream.size == len(head))
        if marked:
            asked = sorted((*asked, *marked), key=lambda rule: rule.order)
        for rule in asked:
            if media_type := rule.handler.claims(stream):
                return Identity(media_type, rule.handler)
        return None

    def _asked(self, head: bytes, *, whole: bool) -> Sequence[_Rule]:
        """Who is asked although it declares no mark; of an item seen whole, the bytes it has tell who need not be."""
        held = frozenset(head.translate(None, self._silent)) if whole else self._telling
        rules = self._unmarked_by_bytes.get(held)
        if rules is None:
            if len(self._unmarked_by_bytes) > _MOST_SETS:
                self._unmarked_by_bytes.clear()
            rules = self._unmarked_by_bytes[held] = tuple(
                rule for rule in self._unmarked if not rule.handler.holds or not held.isdisjoint(rule.handler.holds)
            )
        return rules

    def contradicts(self, name: str, identity: Identity) -> bool:
        """Whether the suffix of `name` promises a type that the bytes are not."""
        suffix = os.path.splitext(name)[1].lower()
        if identity.media_type in _BEARS_NO_SUFFIX or suffix in _PROMISES_NOTHING:
            return False
        promised = self._types_of_suffix.get(suffix)
        if promised is None:
            guessed = mimetypes.types_map.get(suffix)
            promised = {guessed} if guessed else None
        if promised is None or identity.media_type in promised:
            return False
        handler = identity.handler
        if handler is not None and suffix in handler.suffixes:
            return False
        return not (_is_textual(identity.media_type) and any(_is_textual(each) for each in promised))


def _is_textual(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type.endswith(("xml", "json", "javascript", "x-sh", "sql"))


def magic_version() -> str:
    """Which library identifies what no declaration knows, for the record of a run."""
    try:
        import magic

        number: int = magic.version()  # type: ignore[no-untyped-call]
        return f"libmagic {number / 100:.2f}"
    except (ImportError, OSError, NotImplementedError):
        from importlib.metadata import version  # costs every command its start

        return f"pure-magic-rs {version('pure-magic-rs')}"


@cache
def libmagic() -> Callable[[bytes], str]:
    """A function from the first bytes to a media type, by the best library that loads."""
    try:
        import magic

        ask = magic.Magic(mime=True)

        def of(head: bytes) -> str:
            try:
                return str(ask.from_buffer(head))
            except magic.MagicException:  # its own limits: bytes that send it in circles
                return UNKNOWN

        return of
    except (ImportError, OSError):
        import pure_magic_rs

        database = pure_magic_rs.MagicDb()
        return lambda head: str(database.best_magic_buffer(head).mime_type)
