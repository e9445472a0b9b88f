"""A file or a folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from indexer.errors import StoreError, UsageError, reason_of, refused


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """A path for a temporary file, renamed to `path` at the end; gone where anything fails.

    Raises:
        UsageError: it cannot be made there, or what is there is a link, a device or a folder.
        StoreError: the disk is full.
    """
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise UsageError(f"{path}: is no plain file, and would be replaced; choose another --output")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.open("xb").close()
    except OSError as error:
        raise refused(path, error, "choose another --output") from error
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: {reason_of(error)}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, *, encoding: str = "utf-8", newline: str | None = "\n") -> Iterator[IO[str]]:
    """A text file under a temporary name, renamed to `path` at the end; gone where anything fails.

    Raises:
        UsageError: it cannot be made there.
        StoreError: the disk is full.
    """
    with whole_path(path) as part, part.open("w", encoding=encoding, newline=newline) as file:
        yield file


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder under a temporary name, renamed to `path` at the end; gone where anything fails.

    Raises:
        UsageError: it cannot be made there, or something is there already.
        StoreError: the disk is full.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path}: is there already; this format makes a folder: choose another --output")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.mkdir()
    except OSError as error:
        raise refused(path, error, "choose another --output") from error
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: {reason_of(error)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
