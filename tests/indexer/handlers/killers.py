"""Handlers that misbehave on demand, so that every promise of the workers can be tested.

A body is `KILL:<what>` and a newline; anything after it is ignored. `LIST:` and a newline begin a
well-behaved container: 4 bytes of length (big endian) and a body, again and again; a line of text
(`text: ...`) is a body that is read as text. Loaded by path with `indexer.registry.handlers_in`:

    hang    spin    eat     segfault  exit    abort   raise   quit    recurse  leak
    flood   (text without end)         breed   (children without end)
    drip    (one fact a tenth of a second, without end)
    huge    (one text of 300 million characters)
    stall   (a member whose stream never gives a byte)
    mirror  (a member that is the container itself)

Source: none; formats of our own.
Limits: none; that is the point.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import BinaryIO

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.model import Child, Fact, Field, Text

LIST = b"LIST:\n"
TEXT = b"text: "


def pack(bodies: Sequence[bytes]) -> bytes:
    """A `LIST:` container that holds `bodies`, named 0, 1, 2 ..."""
    return LIST + b"".join(struct.pack(">I", len(body)) + body for body in bodies)


def kill(what: str, salt: object = "") -> bytes:
    """A body that does `what`; `salt` makes its digest unlike that of its brothers."""
    return f"KILL:{what}\n{salt}".encode()


def line(text: str) -> bytes:
    """A harmless body that is read as `text`."""
    return TEXT + text.encode()


class Lines(Handler):
    name = "lines"
    media_types = ("text/x-test-line",)
    signatures = (Signature(TEXT),)
    reads = "one line of text"

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Text(stream.read().removeprefix(TEXT).decode("utf-8", "replace"), "line 1")


class Listing(Handler):
    name = "listing"
    media_types = ("application/x-test-list",)
    signatures = (Signature(LIST),)
    fields = {"listing.bodies": "how many members the list holds"}  # noqa: RUF012 - declared as in Handler
    reads = "members one after another"
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        offset, number = len(LIST), 0
        while offset < stream.size:
            head = stream.at(offset, 4)
            if len(head) < 4:
                raise EvidenceError("truncated", "a length is cut")
            length = int.from_bytes(head, "big")
            if offset + 4 + length > stream.size:
                raise EvidenceError("truncated", f"member {number} is cut")
            start = offset + 4

            def open_member(start: int = start, length: int = length) -> BinaryIO:
                return io.BytesIO(stream.at(start, length))

            yield Child(str(number), str(number).encode(), open_member)
            offset, number = start + length, number + 1
        yield Field("listing.bodies", number)


class _Killer(Handler):
    """What all killers share: a signature made of their name, and a line of text before the deed."""

    reads = "nothing for long"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.media_types = (f"application/x-test-{cls.name}",)
        cls.signatures = (Signature(f"KILL:{cls.name}\n".encode()),)

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Text(f"before {self.name}", "before")
        yield from self.misbehave(stream) or ()

    def misbehave(self, stream: Stream) -> Iterator[Fact] | None:
        raise NotImplementedError


class Hang(_Killer):
    name = "hang"

    def misbehave(self, stream: Stream) -> None:
        while True:
            time.sleep(3600)


class Spin(_Killer):
    name = "spin"

    def misbehave(self, stream: Stream) -> None:
        # One call into C without end: no signal handler and no other thread of Python gets a turn.
        deque(repeat(None), maxlen=0)


class Eat(_Killer):
    name = "eat"

    def misbehave(self, stream: Stream) -> None:
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(1) * (64 << 20)))


class Segfault(_Killer):
    name = "segfault"

    def misbehave(self, stream: Stream) -> None:
        ctypes.string_at(0)


class Exit(_Killer):
    name = "exit"

    def misbehave(self, stream: Stream) -> None:
        os._exit(3)


class Abort(_Killer):
    name = "abort"

    def misbehave(self, stream: Stream) -> None:
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.abort()


class Raise(_Killer):
    name = "raise"

    def misbehave(self, stream: Stream) -> None:
        raise ZeroDivisionError("an exception that no handler of ours would let out")


class Quit(_Killer):
    name = "quit"

    def misbehave(self, stream: Stream) -> None:
        raise SystemExit(4)


class Recurse(_Killer):
    name = "recurse"

    def misbehave(self, stream: Stream) -> None:
        self.misbehave(stream)


class Leak(_Killer):
    name = "leak"

    def misbehave(self, stream: Stream) -> None:
        held = []
        while True:
            held.append(os.dup(0))


class Flood(_Killer):
    name = "flood"

    def misbehave(self, stream: Stream) -> Iterator[Fact]:
        number = 0
        while True:
            yield Text(f"{number} and so on " * 4096, f"line {number}")
            number += 1


class Breed(_Killer):
    name = "breed"
    container = True

    def misbehave(self, stream: Stream) -> Iterator[Fact]:
        number = 0
        while True:
            body = line(f"child {number}")
            yield Child(f"child {number}", b"child %d" % number, lambda body=body: io.BytesIO(body))
            number += 1


class Drip(_Killer):
    name = "drip"

    def misbehave(self, stream: Stream) -> Iterator[Fact]:
        number = 0
        while True:
            time.sleep(0.1)
            yield Text(f"drop {number}", f"line {number}")
            number += 1


class Huge(_Killer):
    name = "huge"

    def misbehave(self, stream: Stream) -> Iterator[Fact]:
        yield Text("far too much " * 23_100_000, "all of it")


class Stall(_Killer):
    name = "stall"
    container = True

    def misbehave(self, stream: Stream) -> Iterator[Fact]:
        yield Child("never", b"never", _Never)


class Mirror(_Killer):
    name = "mirror"
    container = True

    def misbehave(self, stream: Stream) -> Iterator[Fact]:
        yield Child("itself", b"itself", lambda: io.BytesIO(stream.at(0, stream.size)))


class _Never(io.RawIOBase):
    """A stream that never gives a byte and never ends."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        while True:
            time.sleep(3600)
