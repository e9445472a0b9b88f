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

from indexer.handler import Handler, Signature, Stream

UNKNOWN = "application/octet-stream"
EMPTY = "inode/x-empty"


class Identity(NamedTuple):
    """What the bytes are: `handler` is None where no handler reads this type."""

    media_type: str
    handler: Handler | None


class _Rule(NamedTuple):
    """A handler that is asked about items that begin in one of these ways; `order` is its turn."""

    order: int
    handler: Handler
    prefixes: tuple[bytes, ...]

    @classmethod
    def of(cls, order: int, handler: Handler) -> _Rule:
        marks = handler.signatures or (Signature(b""),)  # none declared: asked about everything
        return cls(order, handler, tuple(mark.magic for mark in marks if not mark.offset))

    def may_begin(self, start: bytes) -> bool:
        """Whether an item of the handler's may begin with these few bytes."""
        return any(start.startswith(prefix[: len(start)]) for prefix in self.prefixes)


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
        rules = tuple(_Rule.of(order, handler) for order, handler in enumerate(self._handlers) if _is_asked(handler))
        self._all_rules = rules
        self._rules: dict[bytes, tuple[_Rule, ...]] = {}
        """By the first two bytes of an item, as they come: the few rules that may hold."""
        self._inside: dict[tuple[int, int], dict[bytes, list[_Rule]]] = {}
        """Where marks further inside begin and end; by the mark: whose it is."""
        for rule in rules:
            for mark in rule.handler.signatures:
                if mark.offset:
                    marks = self._inside.setdefault((mark.offset, mark.offset + len(mark.magic)), {})
                    marks.setdefault(mark.magic, []).append(rule._replace(prefixes=(b"",)))

    def identify(self, stream: Stream) -> Identity:
        """What `stream` holds; leaves the position at the start."""
        if not stream.size:
            return Identity(EMPTY, None)
        identity = self._claimed(stream)
        if identity is None:
            media_type = libmagic()(stream.head) if stream.head.strip(b"\0") else UNKNOWN
            identity = Identity(media_type, self._by_type.get(media_type))
        stream.seek(0)
        return identity

    def _claimed(self, stream: Stream) -> Identity | None:
        head = stream.head
        start = head[:2]
        rules: Sequence[_Rule] | None = self._rules.get(start)
        if rules is None:
            rules = self._rules[start] = tuple(rule for rule in self._all_rules if rule.may_begin(start))
        marked = [rule for (start, end), marks in self._inside.items() for rule in marks.get(head[start:end], ())]
        if marked:
            rules = sorted((*rules, *marked), key=lambda rule: rule.order)
        for _, handler, prefixes in rules:
            if head.startswith(prefixes) and (media_type := handler.claims(stream)):
                return Identity(media_type, handler)
        return None

    def contradicts(self, name: str, identity: Identity) -> bool:
        """Whether the suffix of `name` promises a type that the bytes are not."""
        suffix = os.path.splitext(name)[1].lower()
        if identity.media_type in (UNKNOWN, EMPTY) or not suffix:
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


def _is_asked(handler: Handler) -> bool:
    return bool(handler.signatures) or type(handler).claims is not Handler.claims


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
        return lambda head: str(ask.from_buffer(head))
    except (ImportError, OSError):
        import pure_magic_rs

        database = pure_magic_rs.MagicDb()
        return lambda head: str(database.best_magic_buffer(head).mime_type)
