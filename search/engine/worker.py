"""Segments built by other processes.

The parent starts `python -m search.engine.worker` once for each part of the work and writes one line of JSON to it:

    {"reader": "module:function", "argument": text, "ids": [...], "files": "folder/sG-N", "characters": n,
     "paths": where modules are looked for besides}

The child asks `function(argument, ids)` for the documents, from whatever store it opens itself: no document
crosses a pipe. For each segment it writes it answers one line, and at last an empty one:

    {"file": path, "dead": [numbers of documents that a later one of the same id replaced]}

A line with `error` ends it. What it wrote is named by no generation until the parent commits.

Large segments are merged by such a process too, so that what it held is all given back; it is told

    {"merge": [[file of a segment, its deleted documents as bits in Base64], ...], "file": path, "paths": ...}
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from indexer.errors import ArchivoreError, StoreError, reason_of
from search.engine.build import Builder
from search.schema import Document

if TYPE_CHECKING:
    from search.engine.question import View


def documents_of(reader: str, argument: str, ids: Sequence[str]) -> Iterable[Document]:
    """The documents that a reader, `module:function`, gives."""
    module, _, name = reader.partition(":")
    found: Iterable[Document] = getattr(importlib.import_module(module), name)(argument, ids)
    return found


def work(orders: IO[str], answers: IO[str]) -> None:
    """Do one part of the work, as the module says."""
    told = json.loads(orders.readline())
    sys.path += [entry for entry in told["paths"] if entry not in sys.path]
    try:
        for path, dead in _merge(told) if "merge" in told else _build(told):
            answers.write(json.dumps({"file": str(path), "dead": dead}) + "\n")
            answers.flush()
    except (ArchivoreError, OSError) as error:
        answers.write(json.dumps({"error": reason_of(error)}) + "\n")
    else:
        answers.write("\n")
    answers.flush()


def _build(told: dict[str, Any]) -> Iterator[tuple[Path, list[int]]]:
    builder, made = Builder(told["characters"]), 0
    for document in chain(documents_of(told["reader"], told["argument"], told["ids"]), (None,)):
        if document:
            builder.add(document)
        if builder.full or (builder.count and not document):
            path = Path(f"{told['files']}-{made}.seg")
            builder.write(path)
            yield path, builder.dead
            builder, made = Builder(told["characters"]), made + 1


def _merge(told: dict[str, Any]) -> Iterator[tuple[Path, list[int]]]:
    from search.engine.merge import merge  # with what questions are asked of: nothing that builds needs it
    from search.engine.question import View
    from search.engine.read import Segment

    views: list[View] = []
    for file, dead in told["merge"]:
        segment = Segment(Path(file))
        bits = np.unpackbits(np.frombuffer(b64decode(dead), np.uint8), count=segment.count)
        views.append(View(segment, bits.view(np.bool_)))
    merge(views, Path(told["file"]))
    yield Path(told["file"]), []


def build_beside(
    reader: str, argument: str, parts: Sequence[Sequence[str]], files: Sequence[Path], characters: int
) -> Iterator[tuple[Path, list[int]]]:
    """The segments that processes of their own make of the parts, as they come; each with its dead documents.

    Raises:
        StoreError: a process failed; the others are stopped.
    """
    orders: list[dict[str, object]] = []
    for ids, path in zip(parts, files, strict=True):
        told: dict[str, object] = {"reader": reader, "argument": argument, "ids": list(ids), "files": str(path)}
        orders.append(told | {"characters": characters})
    return _beside(orders)


def merge_beside(views: Sequence[View], path: Path) -> None:
    """Merges segments in a process of its own; see `merge`.

    Raises:
        StoreError: it failed.
    """
    parts: list[tuple[str, str]] = []
    for view in views:
        dead = np.zeros(view.count, bool) if view.dead is None else view.dead
        parts.append((str(view.segment.file.path), b64encode(np.packbits(dead).tobytes()).decode()))
    for _ in _beside([{"merge": parts, "file": str(path)}]):
        pass


def _beside(orders: Sequence[dict[str, object]]) -> Iterator[tuple[Path, list[int]]]:
    """What processes answer, one for each of the orders, as it comes."""
    running: list[subprocess.Popen[str]] = []
    try:
        for _ in orders:
            child = subprocess.Popen(
                # -I: nothing is imported from the folder one stands in
                [sys.executable, "-I", "-m", "search.engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                process_group=0,  # Ctrl-C is the parent's to handle, which ends this one
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # nothing here is for its threads, which spin
            )
            running.append(child)
        paths = [entry for entry in sys.path if entry]
        for child, told in zip(running, orders, strict=True):  # none is heard before it has started
            assert child.stdin is not None
            child.stdin.write(json.dumps(told | {"paths": paths}) + "\n")
            child.stdin.close()
        for child in running:
            yield from _answers(child)
    finally:
        for child in running:
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _answers(child: subprocess.Popen[str]) -> Iterator[tuple[Path, list[int]]]:
    assert child.stdout is not None
    for line in child.stdout:
        if line == "\n":
            return
        told = json.loads(line)
        if "error" in told:
            raise StoreError(f"building the index: {told['error']}")
        yield Path(told["file"]), told["dead"]
    raise StoreError("building the index: a process ended before its work was done")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # where the parent is gone, there is nothing to say
    gc.set_threshold(100_000, 20, 100)  # what is gathered holds no cycles, and there is much of it
    work(sys.stdin, sys.stdout)
    gc.freeze()  # what still stands goes with the process, and need not be looked through before
