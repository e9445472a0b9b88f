"""The folder of a case: where it is, its settings and their format, and the lock of its one writer."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from indexer import VERSION
from indexer.errors import LockedError, StoreError, UsageError, reason_of
from indexer.model import print_time
from search.sanitise import storable

FORMAT = 2
"""Rises when an older Archivore could not read the folder any more. 2: tags and notes; an audit log."""
SETTINGS = "case.toml"
ABOUT = {"number": "case number", "examiner": "examiner", "organisation": "organisation"}
"""What the settings may say of the investigation, and how covers name it."""
_PART = "case.toml.part"
"""The settings while they are written: all that a kill can leave in a folder that is no case yet."""


def find_case(start: Path) -> Path:
    """The case folder that `start` stands in, looked for upwards.

    Raises:
        UsageError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / SETTINGS).is_file():
            return folder
    raise UsageError("no case here: give --case PATH, set ARCHIVORE_CASE, or make one with `archivore new PATH`")


def is_free(path: Path) -> bool:
    """Whether a case may be made here: in a new folder, in an empty one, or where making one was cut off."""
    return not path.exists() or (path.is_dir() and all(entry.name == _PART for entry in path.iterdir()))


@contextmanager
def whole_or_gone(folder: Path) -> Iterator[None]:
    """Leaves a folder that was free as it was, where what is made in it does not become whole.

    What another process makes there at the same time, and has locked, is its own.
    """
    was_free, was_there = is_free(folder), folder.exists()
    try:
        yield
    except BaseException as error:
        if was_free and not isinstance(error, LockedError):
            shutil.rmtree(folder, ignore_errors=True)
            if was_there:
                folder.mkdir(exist_ok=True)
        raise


def new_settings(path: Path, name: str, about: Mapping[str, str]) -> None:
    """Writes the settings of a new case; from here on there is one, and what it lacks is made when it is opened."""
    said = (f"{'' if about.get(key) else '# '}{key} = {_quoted(about.get(key, ''))}\n" for key in ABOUT)
    settings = (
        f"format = {FORMAT}\n"
        f"name = {_quoted(name or path.resolve().name)}\n"
        f"{''.join(said)}"
        f'created = "{print_time(datetime.now(UTC).replace(microsecond=0))}"\n'
        f'version = "{VERSION}"\n\n'
        "[limits]\n# depth = 24\n"
    )
    part = path / _PART
    part.write_text(settings, "utf-8")
    part.replace(path / SETTINGS)


def _quoted(text: str) -> str:
    # JSON writes what TOML's basic strings hold, but for DEL; bytes that are no UTF-8 become question marks.
    return json.dumps(storable(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def about_of(settings: Mapping[str, object]) -> dict[str, str]:
    """What the settings say of the investigation, by the names of `ABOUT`."""
    return {key: str(settings[key]) for key in ABOUT if settings.get(key)}


def read_settings(path: Path, *, write: bool) -> dict[str, object]:
    """The settings of a case.

    Raises:
        UsageError: there is no case here.
        StoreError: they are damaged, of a newer format, or of an older one that must be written once.
    """
    try:
        settings = tomllib.loads((path / SETTINGS).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path}: no case here; make one with `archivore new {path}`") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StoreError(
            f"{path / SETTINGS}: it is damaged ({reason_of(error)}); put it right, or put back a copy"
        ) from error
    made = settings.get("format")
    if not isinstance(made, int) or "name" not in settings:
        raise StoreError(f"{path / SETTINGS}: `format` or `name` is missing")
    if made > FORMAT:
        raise StoreError(f"{path}: made by a newer Archivore (format {made}, this one reads {FORMAT}); update first")
    if made < FORMAT and not write:
        raise StoreError(
            f"{path}: made by an older Archivore (format {made}); `archivore reindex` brings it up to date"
        )
    return settings


def raise_format(settings: Path) -> None:
    """Writes the new format into `case.toml`; the tables that are new are made when the catalog is opened."""
    text = re.sub(r"(?m)^format = \d+", f"format = {FORMAT}", settings.read_text("utf-8"), count=1)
    part = settings.with_name(settings.name + ".part")
    part.write_text(text, "utf-8")
    part.replace(settings)


def take_lock(path: Path) -> IO[str]:
    """The lock of the one writer, held until the file is closed.

    Raises:
        LockedError: another process holds it; the message names that.
    """
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        told = "this command writes to the case; copy it to where it can be written"
        raise StoreError(f"{path.parent}: {reason_of(error)}; {told}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise LockedError(f"{path.parent}: {holder} is writing to this case; wait for it, or stop it") from error
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {os.uname().nodename}, since {print_time(datetime.now(UTC))}")
    file.flush()
    return file
