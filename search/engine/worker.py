"""Segments built by other processes.

The parent starts `python -m search.engine.worker` once for each part of the work and writes one line of JSON to it:

    {"reader": "module:function", "argument": text, "ids": [...], "files": "folder/sG-N", "characters": n,
     "paths": where modules are looked for besides}

The child asks `function(argument, ids)` for the documents, from whatever store it opens itself: no document
crosses a pipe. For each segment it writes it answers one line, and at last an empty one:

    {"file": path, "dead": [numbers of documents that a later one of the same id replaced]}

A line with `error` ends it. What it wrote is named by no generation until the parent commits.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from indexer.errors import ArchivoreError, StoreError
from search.engine.build import Builder
from search.schema import Document


def documents_of(reader: str, argument: str, ids: Sequence[str]) -> Iterable[Document]:
    """The documents that a reader, `module:function`, gives."""
    module, _, name = reader.partition(":")
    found: Iterable[Document] = getattr(importlib.import_module(module), name)(argument, ids)
    return found


def work(orders: IO[str], answers: IO[str]) -> None:
    """Do one part of the work, as the module says."""
    told = json.loads(orders.readline())
    made = 0

    def write(builder: Builder) -> None:
        nonlocal made
        path = Path(f"{told['files']}-{made}.seg")
        made += 1
        builder.write(path)
        answers.write(json.dumps({"file": str(path), "dead": builder.dead}) + "\n")
        answers.flush()

    sys.path += [entry for entry in told["paths"] if entry not in sys.path]
    try:
        builder = Builder(told["characters"])
        for document in documents_of(told["reader"], told["argument"], told["ids"]):
            builder.add(document)
            if builder.full:
                write(builder)
                builder = Builder(told["characters"])
        if builder.count:
            write(builder)
    except (ArchivoreError, OSError) as error:
        answers.write(json.dumps({"error": str(error)}) + "\n")
    else:
        answers.write("\n")
    answers.flush()


def build_beside(
    reader: str, argument: str, parts: Sequence[Sequence[str]], files: Sequence[Path], characters: int
) -> Iterator[tuple[Path, list[int]]]:
    """The segments that processes of their own make of the parts, as they come; each with its dead documents.

    Raises:
        StoreError: a process failed; the others are stopped.
    """
    running: list[subprocess.Popen[str]] = []
    try:
        for _ in parts:
            child = subprocess.Popen(
                # -I: nothing is imported from the folder one stands in
                [sys.executable, "-I", "-m", "search.engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # nothing here is for its threads, which spin
            )
            running.append(child)
        for child, ids, path in zip(running, parts, files, strict=True):  # none is heard before it has started
            told: dict[str, object] = {"reader": reader, "argument": argument, "ids": list(ids), "files": str(path)}
            told |= {"characters": characters, "paths": [entry for entry in sys.path if entry]}
            assert child.stdin is not None
            child.stdin.write(json.dumps(told) + "\n")
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
    gc.set_threshold(100_000, 20, 100)  # what is gathered holds no cycles, and there is much of it
    work(sys.stdin, sys.stdout)
    gc.freeze()  # what still stands goes with the process, and need not be looked through before
