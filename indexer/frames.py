"""What the process that writes the case and its workers say to each other.

A frame is a length (4 bytes, little-endian) and a msgpack of one of the tagged values below. Nothing
is ever pickled: a worker that reads hostile bytes can say no more than these values can hold.

    parent -> worker   Hello once, then Jobs, Fetches and Looks, and an Answer to each Ask
    worker -> parent   Ready ahead of its first job's; Texts, Item, Ask, Spilled while a job runs, Done after it;
                       Pieces, or Failed; Broken where our own store fails, and nothing after it
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec

from indexer.errors import StoreError
from indexer.limits import Limits
from indexer.model import Found, Hop, Known, Problem, Provenance, Source, Spent
from indexer.passwords import Password
from indexer.places import Avoided, Place

LONGEST = 1 << 28
"""A longer frame is no frame of ours: one text chunk has a few MiB at the most."""
_GATHERED = 64 * 1024
"""Bytes after which gathered frames are sent."""


class Hello(msgspec.Struct, tag=True, frozen=True):
    """The first frame: everything that stays the same for a worker's life.

    `skip` is the file of hash sets whose known content is not read further; empty where all is read. With `ocr`
    words drawn on pictures are read.
    """

    limits: Limits
    passwords: tuple[Password, ...]
    handler_files: tuple[str, ...]
    scratch: str
    skip: str = ""
    ocr: bool = False


class Job(msgspec.Struct, tag=True, frozen=True):
    """One root, or one spooled or re-opened member, to be walked.

    `spooled` is the spool file that holds the bytes, `held` the bytes themselves where they are few;
    without either they are opened in the source, and where the place has more than one hop, found
    again inside its containers. `passwords` are tried behind those of the run.
    """

    number: int
    place: Place
    source: Source
    spooled: str = ""
    held: bytes | None = None
    done: dict[str, Spent] = {}
    avoid: dict[str, Avoided] = {}
    alone: bool = False
    passwords: tuple[Password, ...] = ()

    @property
    def is_spilled(self) -> bool:
        """Whether another worker took the bytes out of a container for this job."""
        return bool(self.spooled) or self.held is not None


class Fetch(msgspec.Struct, tag=True, frozen=True):
    """Sends the bytes of one item, found again by its provenance.

    With `edge` it is a small JPEG of it instead, with `look` what it looks like; `film`: as a video.
    """

    provenance: Provenance
    source: Source
    edge: int = 0
    look: bool = False
    film: bool = False


class Look(msgspec.Struct, tag=True, frozen=True):
    """Tells what pictures in one container look like: a Looked for each that is found, and a Piece without bytes.

    With `film` they are looked at as videos.
    """

    container: Provenance
    source: Source
    wanted: tuple[Hop, ...]
    film: bool = False


class Answer(msgspec.Struct, tag=True, frozen=True):
    """Whether the content asked for is known."""

    known: Known | None


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Ahead of everything that a worker found: the versions of its handlers by their names."""

    versions: dict[str, str]


class Texts(msgspec.Struct, tag=True, frozen=True):
    """One chunk of a reading's texts, packed."""

    key: str
    number: int
    body: bytes


class Item(msgspec.Struct, tag=True, frozen=True):
    """A finished item."""

    found: Found


class Ask(msgspec.Struct, tag=True, frozen=True):
    """Is this reading known? The worker waits for the Answer."""

    key: str


class Spilled(msgspec.Struct, tag=True, frozen=True):
    """A member left for an idle worker: in a file of the spool, or here where its bytes are few."""

    place: Place
    size: int
    path: str = ""
    held: bytes | None = None


class Done(msgspec.Struct, tag=True, frozen=True):
    """The job with this number is finished; every frame of it went before."""

    number: int


class Piece(msgspec.Struct, tag=True, frozen=True):
    """The next bytes of what was to be fetched; empty at the end."""

    data: bytes


class Failed(msgspec.Struct, tag=True, frozen=True):
    """What was to be fetched is not to be had."""

    problem: Problem


class Broken(msgspec.Struct, tag=True, frozen=True):
    """Our own store fails in the worker, such as a spool on a full disk: no trouble of the evidence."""

    message: str


class Looked(msgspec.Struct, tag=True, frozen=True):
    """What one picture or video looks like, or why that cannot be told."""

    hop: Hop
    body: bytes = b""
    problem: Problem | None = None


ToWorker = Hello | Job | Fetch | Look | Answer
FromWorker = Ready | Texts | Item | Ask | Spilled | Done | Piece | Failed | Broken | Looked

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)


class Outbox:
    """Frames on their way out, gathered: many small ones cost one call, and wake the reader once."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._held = bytearray()

    def add(self, frame: ToWorker | FromWorker) -> None:
        """Takes a frame; sends all of them where they have become many."""
        start = len(self._held)
        self._held += bytes(4)
        _encoder.encode_into(frame, self._held, start + 4)
        self._held[start : start + 4] = (len(self._held) - start - 4).to_bytes(4, "little")
        if len(self._held) >= _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Sends what was taken, waiting until it is out."""
        if self._held:
            self._channel.sendall(self._held)
            self._held.clear()


def send(channel: socket.socket, frame: ToWorker | FromWorker) -> None:
    """Sends one frame, waiting until it is out."""
    outbox = Outbox(channel)
    outbox.add(frame)
    outbox.flush()


def receive(channel: socket.socket) -> ToWorker | None:
    """The next frame in a worker; None where the parent is gone."""
    head = _exactly(channel, 4)
    body = _exactly(channel, int.from_bytes(head, "little")) if head else b""
    return _to_worker.decode(body) if body else None


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = channel.recv(min(size, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Inbox:
    """Frames from one worker, taken apart as bytes come in; never blocks."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._held = bytearray()

    def frames(self) -> Iterator[FromWorker]:
        """Every whole frame that has arrived.

        Raises:
            EOFError: the worker closed its end.
            StoreError: what came is no frame.
        """
        try:
            part = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise EOFError from error
        if not part:
            raise EOFError
        self._held += part
        start, end = 0, len(self._held)
        with memoryview(self._held) as view:
            while end - start >= 4:
                size = int.from_bytes(view[start : start + 4], "little")
                if size > LONGEST:
                    raise StoreError(f"a worker sent a frame of {size} bytes")
                if end - start - 4 < size:
                    break
                try:
                    yield _from_worker.decode(view[start + 4 : start + 4 + size])
                except msgspec.DecodeError as error:
                    raise StoreError(f"a worker sent what is no frame: {error}") from error
                start += 4 + size
        del self._held[:start]
