"""Items' own bytes beside an answer: re-opened from the evidence, checked, under names of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Protocol

from msgspec.structs import replace

from indexer.digests import Hasher
from indexer.errors import EvidenceError, StoreError, UsageError, reason_of, refused
from indexer.limits import Limits
from indexer.model import Hit, Item
from indexer.passwords import Password
from indexer.workers import Fetcher
from search.guesses import recall_passwords
from search.kinds import coarse_type
from search.report import Report

MANIFEST = "SHA256SUMS"
"""As `sha256sum --check` reads it."""
PROBLEMS = "not-copied.jsonl"
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}$")
_MADE = (1980, 1, 1, 0, 0, 0)


class _Target(Protocol):
    def put(self, name: str) -> IO[bytes]: ...


def copy_files(report: Report, output: Path, *, passwords: tuple[Password, ...], limits: Limits) -> tuple[int, int]:
    """Writes the bytes of every item of a report, and returns how many were written and how many could not be.

    Args:
        output: a new folder, or a new zip where it ends in `.zip`. Files are named by the items' ids, with the
            suffix of the item where that is plain.

    Raises:
        UsageError: the output exists or cannot be made.
        StoreError: the disk is full.
    """
    case = report.case
    sources = case.catalog.sources()
    known = (*passwords, *recall_passwords(case))
    lines: list[str] = []
    problems: list[str] = []
    copied = 0
    try:
        with _target(output) as target, closing(Fetcher(known, limits)) as fetcher:
            for item in _with_bytes(report):
                name = item.id + _suffix(item)
                problem = ""
                try:
                    pieces = fetcher.fetch(sources[item.provenance.source], item.provenance)
                    first = next(pieces, b"")  # before there is a file: what cannot be had leaves none
                    # What the item is recorded as: a file that is not that fails its check.
                    lines.append(f"{item.digests.sha256}  {name}\n" if item.digests else "")
                    hasher = Hasher()
                    with target.put(name) as file:
                        for data in chain((first,), pieces):
                            hasher.update(data)
                            file.write(data)
                    if hasher.digests() != item.digests:
                        problem = "the evidence gives other bytes now"
                except EvidenceError as error:
                    problem = f"{error.cause}: {error.message}"
                if problem:
                    problems.append(json.dumps({"id": item.id, "path": str(item.provenance), "problem": problem}))
                else:
                    copied += 1
            with target.put(MANIFEST) as file:
                file.writelines(line.encode("ascii") for line in lines)
            with target.put(PROBLEMS) as file:
                file.writelines(f"{line}\n".encode("ascii") for line in problems)
    except OSError as error:
        raise StoreError(f"{output}: {reason_of(error)}") from error
    case.record("files", export=report.colophon.id, output=str(output), files=len(lines), problems=len(problems))
    return copied, len(problems)


@contextmanager
def with_thumbnails(
    report: Report, *, passwords: tuple[Password, ...], limits: Limits, edge: int = 176
) -> Iterator[Report]:
    """The report with small pictures of what can be shown, made by a worker from the evidence."""
    sources = report.case.catalog.sources()
    known = (*passwords, *recall_passwords(report.case))
    with closing(Fetcher(known, limits)) as fetcher:

        def make(item: Item) -> bytes | None:
            if coarse_type(item.media_type) != "picture" or not sources[item.provenance.source].path:
                return None
            try:
                return b"".join(fetcher.fetch(sources[item.provenance.source], item.provenance, edge=edge))
            except EvidenceError:
                return None  # what cannot be drawn is still listed

        yield replace(report, thumbnail=make)


def _with_bytes(report: Report) -> Iterator[Item]:
    for row in report.items() if report.items else ():
        item = row.item if isinstance(row, Hit) else row
        if item.digests:
            yield item


def _suffix(item: Item) -> str:
    found = _SUFFIX.search(item.name.lower())
    return found[0] if found else ""


@contextmanager
def _target(output: Path) -> Iterator[_Target]:
    """Where files are put; it has its name only once all are there."""
    if output.exists():
        raise UsageError(f"{output}: exists already; choose another name")
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    packed = output.suffix.lower() == ".zip"
    try:
        if packed:
            part.open("xb").close()
        else:
            part.mkdir()
    except OSError as error:
        raise refused(output, error, "choose another name") from error
    try:
        if packed:
            with zipfile.ZipFile(part, "w") as archive:
                yield _Zip(archive)
        else:
            yield _Folder(part)
        part.rename(output)
    finally:
        if packed:
            part.unlink(missing_ok=True)
        else:
            shutil.rmtree(part, ignore_errors=True)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("xb")


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def put(self, name: str) -> IO[bytes]:
        return self._archive.open(zipfile.ZipInfo(name, _MADE), "w", force_zip64=True)
