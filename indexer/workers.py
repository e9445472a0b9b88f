"""The worker processes, seen from the parent: started, heard, watched, ended and replaced.

A worker is one long-lived `python -I` with a socket and a board. It is killed when the board's
deadline passes (`timeout`) or its memory outgrows the limit (`memory`); when it dies by itself, the
signal or exit code tells why (`crash`). In every case the board names the item it was reading.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from msgspec import Struct

from indexer import frames
from indexer.board import Board
from indexer.errors import EvidenceError, StoreError
from indexer.handler import OCR
from indexer.limits import Limits
from indexer.model import Cause, Hop, Problem, Provenance, Source
from indexer.passwords import Password
from indexer.sieve import Sieve

_START = "import gc, sys; gc.disable(); from indexer.worker import serve; serve(*map(int, sys.argv[1:]))"
"""What is imported stays: nothing is to be collected before there is evidence."""
_GRACE = 2.0
"""Seconds past a deadline before the parent acts: the crawler's own checks come first."""
_WATCH = 0.25
"""Seconds between two looks at every worker's clock and memory."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Death(Struct, frozen=True):
    """The end of a worker: which item it was reading (empty between items), why it ended, and
    whether drawn words were all that it still looked for."""

    item: str
    path: str
    problem: Problem
    drawn: bool


class Worker:
    """One process. `jobs` are the numbers of the jobs it has, the one in work first; `weight`, what they weigh."""

    def __init__(self, hello: frames.Hello, sieve: Sieve) -> None:
        self.board = Board()
        self.jobs: deque[int] = deque()
        self.weight = 0
        self.channel, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        with theirs:
            ours = (theirs.fileno(), self.board.descriptor, sieve.descriptor)
            command = [sys.executable, "-I", "-c", _START, *map(str, ours)]
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=ours,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                process_group=0,
            )
        self.inbox = frames.Inbox(self.channel)
        self._ended: tuple[Cause, str] | None = None
        self.tell(hello)

    def give(self, job: frames.Job, weight: int) -> None:
        """Hands over a job; jobs are done in the order given."""
        self.jobs.append(job.number)
        self.weight += weight
        self.tell(job)

    def had(self, weight: int) -> None:
        """The first of its jobs is done."""
        self.jobs.popleft()
        self.weight -= weight

    def tell(self, frame: frames.ToWorker) -> None:
        """Sends a frame; a worker that has just died does not hear it, and its death is heard later."""
        with suppress(ConnectionError):
            frames.send(self.channel, frame)

    def look(self, now: float, memory: int) -> None:
        """Ends the process where its time or its memory has run out; its death is heard later."""
        deadline = self.board.deadline
        if deadline and now > deadline + _GRACE:
            self._end("timeout", f"no sign of life within its time ({now - deadline:.0f} s over)")
        elif self._resident() > memory:
            self._end("memory", f"memory: more than {memory} bytes were used")

    def death(self) -> Death:
        """Waits for the process to end and tells how it did."""
        try:
            code = self.process.wait(timeout=2)  # its end of the channel is closed: it is about to end
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        item, path = self.board.item
        cause, message = self._ended or _told_by(code)
        if drawn := self.board.drawn:
            return Death(item, path, Problem(cause, message, OCR, "read without the words drawn on it"), drawn)
        return Death(item, path, Problem(cause, message), drawn)

    def last_words(self) -> str:
        """The end of what the process wrote to stderr."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        return self._log.read().decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Ends the process if it still runs and lets go of everything."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.channel.close()
        self.board.close()
        self._log.close()

    def _end(self, cause: Cause, message: str) -> None:
        if self._ended is None:
            self._ended = (cause, message)
            self.process.kill()

    def _resident(self) -> int:
        try:
            with open(f"/proc/{self.process.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0  # it just ended


def _told_by(code: int) -> tuple[Cause, str]:
    if code == -signal.SIGXCPU:
        return "timeout", "used up its CPU time"
    if code == -signal.SIGKILL:
        return "memory", "killed from outside, as the kernel does when memory runs out"
    if code < 0:
        return "crash", f"the reader was ended by {signal.Signals(-code).name}"
    return "crash", f"the reader ended itself with exit code {code}"


class Pool:
    """As many workers as there are jobs to do at once; a dead one is replaced where it stood."""

    def __init__(self, hello: frames.Hello, count: int) -> None:
        self._hello = hello
        self.sieve = Sieve()
        self._selector = selectors.DefaultSelector()
        self._looked = 0.0
        self._silent_deaths = 0
        self.workers: list[Worker] = []
        for _ in range(count):
            self._start()

    def hear(self, seconds: float) -> list[tuple[Worker, frames.FromWorker | Death]]:
        """What workers said within `seconds`, deaths included; a dead worker is already replaced.

        Raises:
            StoreError: workers die before they can work; their last words are in the message.
        """
        heard: list[tuple[Worker, frames.FromWorker | Death]] = []
        for key, _ in self._selector.select(seconds):
            worker: Worker = key.data
            try:
                heard += [(worker, frame) for frame in worker.inbox.frames()]
                self._silent_deaths = 0
            except EOFError:
                heard.append((worker, self._bury(worker)))
        now = time.monotonic()
        if now - self._looked > _WATCH:
            self._looked = now
            for worker in self.workers:
                worker.look(now, self._hello.limits.memory)
        return heard

    def replace(self, worker: Worker) -> None:
        """Kills a worker and puts a new one in its place, with no death to be heard of."""
        self._selector.unregister(worker.channel)
        self.workers.remove(worker)
        worker.close()
        self._start()

    def close(self) -> None:
        """Ends all workers."""
        for worker in self.workers:
            worker.close()
        self._selector.close()
        self.sieve.close()

    def _start(self) -> None:
        worker = Worker(self._hello, self.sieve)
        self.workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _bury(self, worker: Worker) -> Death:
        death = worker.death()
        if not death.item:
            self._silent_deaths += 1
            if self._silent_deaths > len(self.workers) + 2:
                raise StoreError(f"worker processes end before they can work: {worker.last_words()}")
        self.replace(worker)
        return death


class Fetcher:
    """Gives the bytes of items, found again in the evidence by a worker of its own. Close it after use."""

    def __init__(self, passwords: tuple[Password, ...] = (), limits: Limits | None = None) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="archivore-")
        self._sieve = Sieve()
        self._limits = limits or Limits()
        self._hello = frames.Hello(self._limits, passwords, (), self._scratch.name)
        self._worker: Worker | None = None

    def fetch(
        self, source: Source, provenance: Provenance, *, edge: int = 0, look: bool = False, film: bool = False
    ) -> Iterator[bytes]:
        """The bytes of one item, in pieces.

        Args:
            edge: gives a small JPEG of a picture instead, neither side longer than so many pixels.
            look: gives what `indexer.likeness` makes of a picture instead; `film`: what `indexer.footage` makes.

        Raises:
            EvidenceError: they are not to be had any more, or the worker died of them.
            StoreError: there is no room to unpack them.
        """
        for frame in self._ask(frames.Fetch(provenance, source, edge, look, film)):
            if isinstance(frame, frames.Piece):
                yield frame.data

    def look(
        self, source: Source, container: Provenance, wanted: tuple[Hop, ...], *, film: bool = False
    ) -> Iterator[frames.Looked]:
        """What pictures, or videos, in one container look like, as far as they are found in it.

        Raises:
            EvidenceError: the rest are not to be had, or the worker died of one of them.
            StoreError: there is no room to unpack them.
        """
        for frame in self._ask(frames.Look(container, source, wanted, film)):
            if isinstance(frame, frames.Looked):
                yield frame

    def _ask(self, order: frames.ToWorker) -> Iterator[frames.FromWorker]:
        """What the worker says to an order, up to the end."""
        worker = self._worker = self._worker or Worker(self._hello, self._sieve)
        whole = False
        try:
            worker.tell(order)
            while True:
                if not select.select([worker.channel], [], [], self._limits.allowance(0))[0]:
                    raise EvidenceError("timeout", f"gave nothing for {self._limits.allowance(0):.0f} s")
                for frame in list(worker.inbox.frames()):
                    whole = isinstance(frame, frames.Failed) or (isinstance(frame, frames.Piece) and not frame.data)
                    if isinstance(frame, frames.Broken):
                        raise StoreError(frame.message)
                    if isinstance(frame, frames.Failed):
                        raise EvidenceError(frame.problem.cause, frame.problem.message)
                    if whole:
                        return
                    yield frame
        except EOFError as error:
            problem = worker.death().problem
            raise EvidenceError(problem.cause, problem.message) from error
        finally:
            if not whole:  # what is still on its way must not be taken for another item's
                worker.close()
                self._worker = None

    def close(self) -> None:
        """Ends the worker."""
        if self._worker:
            self._worker.close()
            self._worker = None
        self._sieve.close()
        self._scratch.cleanup()
