"""Inside a worker process: takes jobs, walks them, and sends frames; holds no store and no network.

The process bounds itself before it touches evidence: address space, CPU time per item, no core
files, and it dies with its parent. What it cannot bound (a hang, memory outside its address space)
the parent ends, see `workers.py`.
"""

from __future__ import annotations

import ctypes
import gc
import io
import resource
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

from indexer import frames
from indexer.board import Board, sign
from indexer.crawl import Crawler
from indexer.errors import StoreError, reason_of
from indexer.facts import without_bytes
from indexer.footage import footage
from indexer.hashsets import HashSets
from indexer.identify import UNKNOWN
from indexer.likeness import likeness
from indexer.limits import Limits
from indexer.model import Found, Known, Problem, Provenance, Text
from indexer.packing import pack_texts
from indexer.places import Place, Task
from indexer.registry import all_handlers, handlers_in, in_order
from indexer.rendering import thumbnail
from indexer.reopen import members, reopen
from indexer.sieve import Sieve
from indexer.sources import Beside, open_evidence, watch
from indexer.volumes import Siblings, no_siblings

_PR_SET_PDEATHSIG = 1
_FEW = 64 * 1024
"""Bytes of a member that travel in the frame itself; more go through a file of the spool."""
_FILES = 4096
"""Descriptors: a set of volumes may have a thousand files."""
_CPU_GRACE = 30
"""Seconds of CPU beyond an item's allowance before the kernel ends the worker."""
_CPU_STEP = 5
"""Seconds by which a deadline moves before the kernel is told."""
_STEP = 0.25
"""Seconds by which a deadline moves before the board is told, and that frames wait at most while work goes on."""


def serve(channel_descriptor: int, board_descriptor: int, sieve_descriptor: int) -> None:
    """Works until the parent closes the channel."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    channel = socket.socket(fileno=channel_descriptor)
    hello = frames.receive(channel)
    if not isinstance(hello, frames.Hello):
        return
    _bound(hello.limits)
    handlers = list(all_handlers())
    for path in hello.handler_files:
        handlers += handlers_in(path)
    gc.freeze()  # what is declared once is not looked through for every few thousand values
    gc.set_threshold(10_000, 20, 50)
    gc.enable()
    outlet = _Outlet(channel, Board(board_descriptor), Sieve(sieve_descriptor), hello)
    skip = HashSets(Path(hello.skip)) if hello.skip else None
    crawler = Crawler(in_order(handlers), outlet, hello.limits, hello.passwords, hello.scratch, skip, ocr=hello.ocr)
    outlet.ready({handler.name: str(handler.version) for handler in handlers})
    try:
        while frame := outlet.next_order():
            if isinstance(frame, frames.Job):
                _work(crawler, outlet, frame)
                outlet.rest(frame.number)
            elif isinstance(frame, frames.Fetch):
                _fetch(crawler, channel, frame)
            elif isinstance(frame, frames.Look):
                _look(crawler, channel, frame)
    except StoreError as error:
        outlet.give_up(str(error))


def _bound(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))


def _work(crawler: Crawler, outlet: _Outlet, job: frames.Job) -> None:
    task = Task(job.done, job.avoid, job.alone)
    crawler.offer(job.passwords)
    avoided = task.avoided_at(job.place)
    if avoided and avoided.deaths > 1:
        outlet.item(without_bytes(job.place, UNKNOWN, avoided.problem))
        return
    outlet.enter(job.place.provenance, time.monotonic() + crawler.limits.seconds)
    with ExitStack() as stack:
        recheck: Callable[[], Problem | None] = lambda: None  # noqa: E731 - a default, not a function of its own
        place = job.place
        siblings: Siblings = no_siblings
        if job.held is not None:
            file: BinaryIO = io.BytesIO(job.held)
        elif job.spooled:
            file = stack.enter_context(Path(job.spooled).open("rb"))
        else:
            opened = crawler.fence(_open, crawler, job, stack)
            if isinstance(opened, Problem):
                outlet.item(without_bytes(job.place, UNKNOWN, opened))
                return
            place, file, siblings, recheck = opened
        crawler.walk(place, file, task, recheck, siblings)


def _open(
    crawler: Crawler, job: frames.Job, stack: ExitStack
) -> tuple[Place, BinaryIO, Siblings, Callable[[], Problem | None]]:
    if len(job.place.provenance.hops) > 1:
        return (*stack.enter_context(reopen(job.source, job.place.provenance, crawler)), lambda: None)
    raw = job.place.provenance.hops[0].raw
    file = stack.enter_context(open_evidence(job.source, raw))
    beside = stack.enter_context(closing(Beside(job.source, raw)))
    state = watch(file)
    return job.place, file, beside, lambda: state() or beside.changed()


def _fetch(crawler: Crawler, channel: socket.socket, fetch: frames.Fetch) -> None:
    def pieces() -> None:
        with reopen(fetch.source, fetch.provenance, crawler) as (_, file, _):
            if fetch.edge:
                file = io.BytesIO(thumbnail(file, fetch.edge))
            elif fetch.look:
                file = io.BytesIO(footage(file) if fetch.film else likeness(file))
            file.seek(0)
            while data := file.read(1 << 20):
                frames.send(channel, frames.Piece(data))

    problem = crawler.fence(pieces)
    frames.send(channel, frames.Failed(problem) if isinstance(problem, Problem) else frames.Piece(b""))


def _look(crawler: Crawler, channel: socket.socket, order: frames.Look) -> None:
    look = footage if order.film else likeness

    def each() -> None:
        for hop, held in members(order.source, order.container, order.wanted, crawler):
            body = held if isinstance(held, Problem) else crawler.fence(look, held)
            told = frames.Looked(hop, problem=body) if isinstance(body, Problem) else frames.Looked(hop, body)
            frames.send(channel, told)

    problem = crawler.fence(each)
    frames.send(channel, frames.Failed(problem) if isinstance(problem, Problem) else frames.Piece(b""))


class _Outlet:
    """Sends what the crawler finds, and keeps the board up to date."""

    def __init__(self, channel: socket.socket, board: Board, sieve: Sieve, hello: frames.Hello) -> None:
        self._channel = channel
        self._outbox = frames.Outbox(channel)
        self._board = board
        self._sieve = sieve
        self._scratch = hello.scratch
        self._stack: list[bytes] = []
        self._orders: deque[frames.ToWorker] = deque()
        self._spilled = 0
        self._read = self._entered = 0
        self._deadline = self._cpu_deadline = self._sent = 0.0

    def ready(self, versions: dict[str, str]) -> None:
        """Said together with the first findings: a worker that dies before them was not ready."""
        self._outbox.add(frames.Ready(versions))

    def enter(self, provenance: Provenance, deadline: float) -> None:
        self._stack.append(sign(provenance.id, str(provenance)))
        self._board.show(self._stack[-1])
        self._entered += 1
        self._board.read = (self._read, self._entered)
        self.tick(deadline)

    def leave(self) -> None:
        self._stack.pop()
        if self._stack:
            self._board.show(self._stack[-1])

    def tick(self, deadline: float) -> None:
        now = time.monotonic()
        if now - self._sent > _STEP:
            self._outbox.flush()
            self._sent = now
        if abs(deadline - self._deadline) < _STEP:
            return
        self._board.deadline = self._deadline = deadline
        if abs(deadline - self._cpu_deadline) > _CPU_STEP:
            allowed = int(time.process_time() + deadline - now) + _CPU_GRACE
            resource.setrlimit(resource.RLIMIT_CPU, (max(allowed, 1), resource.RLIM_INFINITY))
            self._cpu_deadline = deadline

    def drawn(self) -> None:
        self._board.drawn = True

    def rest(self, number: int) -> None:
        """After a job: nothing is being read, nothing is due; its last frames go out."""
        self._stack.clear()
        self._board.item = ("", "")
        self._board.read = (self._read, self._entered)
        self._board.deadline = self._deadline = 0.0
        self._outbox.add(frames.Done(number))
        self._outbox.flush()

    def give_up(self, message: str) -> None:
        """The last frame, before the process ends."""
        self._outbox.add(frames.Broken(message))
        self._outbox.flush()

    def known(self, key: str) -> Known | None:
        if not self._sieve.may_hold(key):
            return None
        self._outbox.add(frames.Ask(key))
        self._outbox.flush()
        while frame := frames.receive(self._channel):
            if isinstance(frame, frames.Answer):
                return frame.known
            self._orders.append(frame)  # a job sent ahead, before the question was heard
        return None

    def next_order(self) -> frames.ToWorker | None:
        """What to do next; None where the parent is gone."""
        return self._orders.popleft() if self._orders else frames.receive(self._channel)

    def text(self, key: str, number: int, texts: Sequence[Text]) -> None:
        self._outbox.add(frames.Texts(key, number, pack_texts(texts)))

    def item(self, found: Found) -> None:
        self._read += found.size or 0
        if found.reading:
            self._sieve.add(found.reading.key)
        self._outbox.add(frames.Item(found))

    def spill(self, place: Place, held: BinaryIO, size: int) -> bool:
        if not self._board.wanted:
            return False
        if size <= _FEW:
            self._outbox.add(frames.Spilled(place, size, held=held.read()))
            self._outbox.flush()
            return True
        self._spilled += 1
        path = Path(self._scratch) / f"{place.provenance.id}-{self._spilled}"
        try:
            with path.open("xb") as file:
                while chunk := held.read(1 << 20):
                    file.write(chunk)
        except OSError as error:
            raise StoreError(f"{self._scratch}: the spool cannot be written: {reason_of(error)}") from error
        self._outbox.add(frames.Spilled(place, size, str(path)))
        self._outbox.flush()
        return True
