"""An index's folder: which segments a generation consists of.

    index.json       the newest generation        {"format": 3, "generation": g, "analysis": rules of the terms,
    previous.json    the one before                "segments": [{"name", "size", "head": CRC-32, "dead", "dead_crc"}],
                                                   "crc": CRC-32 of all this without itself}
    sG-N.seg         segment N of generation G (format.py); never changed
    sG-N.H.dead      bits of the documents that generation H deletes in it: ceil(documents / 8) bytes
    lock             held by the one writer

A commit writes and syncs segments and bits, keeps index.json as previous.json, puts the new index.json in its
place by rename and syncs the folder: whoever opens finds a whole generation, whenever the power fails. Files of
older generations go after that. A reader that is overtaken looks again.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import LockedError, StoreError, reason_of
from search.engine.format import DamageError, remove, sync_folder
from search.engine.question import View
from search.engine.read import Segment

Array = NDArray[Any]

FORMAT = 3
NEWEST, PREVIOUS = "index.json", "previous.json"
_TRIES = 5  # to read a generation that a writer is removing


@dataclass(slots=True)
class Part:
    """A segment in a generation."""

    view: View
    dead_name: str | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.view.segment.name


@dataclass(frozen=True, slots=True)
class Generation:
    """What one commit left behind; `fallen` says why it is not the newest."""

    number: int
    parts: tuple[Part, ...]
    stamp: tuple[int, ...]
    fallen: str = ""


def stamp_of(folder: Path) -> tuple[int, ...]:
    """What changes with every commit; cheap to ask."""
    try:
        told = os.stat(folder / NEWEST)
    except OSError:
        return ()
    return told.st_ino, told.st_mtime_ns, told.st_size


def load(folder: Path, analysis: str, known: Sequence[Segment] = ()) -> Generation:
    """The newest generation that is whole; segments that are open already are taken over.

    Raises:
        StoreError: there is none, or other rules or a newer version made it.
    """
    told: list[str] = []
    for name in (NEWEST, PREVIOUS):
        for attempt in range(_TRIES):
            stamp = stamp_of(folder)
            try:
                number, parts = _read(folder, name, analysis, {segment.name: segment for segment in known})
                return Generation(number, parts, stamp, "; ".join(told))
            except DamageError as error:
                told.append(str(error))
                break
            except FileNotFoundError as error:
                if stamp == stamp_of(folder) or attempt == _TRIES - 1:
                    told.append(f"{Path(error.filename).name} is missing")
                    break
            except OSError as error:
                raise StoreError(f"{folder}: {reason_of(error)}") from error
    raise DamageError(f"{folder} cannot be read ({'; '.join(told)}); build the index again from the case (reindex)")


def _read(folder: Path, name: str, analysis: str, known: dict[str, Segment]) -> tuple[int, tuple[Part, ...]]:
    raw = (folder / name).read_bytes()
    try:
        told = json.loads(raw)
        form = told["format"]
        if not isinstance(form, int):
            raise DamageError(f"{name} is damaged")
        if form > FORMAT:
            raise StoreError(
                f"{folder} was written by a newer version (format {form}, this one reads {FORMAT}); update"
            )
        if form < FORMAT or told["analysis"] != analysis:
            raise StoreError(f"{folder} was built by another version; build the index again from the case (reindex)")
        if told.pop("crc") != zlib.crc32(_plain(told)):
            raise DamageError(f"{name} is damaged")
        parts = tuple(_part(folder, entry, known) for entry in told["segments"])
        return int(told["generation"]), parts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamageError(f"{name} is damaged ({error})") from error


def _part(folder: Path, entry: dict[str, Any], known: dict[str, Segment]) -> Part:
    name = str(entry["name"])
    if Path(name).name != name:
        raise DamageError(f"{name!r} is no name of a segment")
    segment = known.get(name)
    if segment is None or segment.file.crc != entry["head"]:
        if (folder / name).stat().st_size != entry["size"]:
            raise DamageError(f"{name} is cut")
        segment = Segment(folder / name)
        if segment.file.crc != entry["head"]:
            raise DamageError(f"{name} is not the file that was written")
    dead = entry["dead"]
    if dead is None:
        return Part(View(segment))
    if Path(str(dead)).name != dead:
        raise DamageError(f"{dead!r} is no name of a file")
    raw = (folder / dead).read_bytes()
    if zlib.crc32(raw) != entry["dead_crc"] or len(raw) != -(-segment.count // 8):
        raise DamageError(f"{dead} is damaged")
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=segment.count, bitorder="little")
    return Part(View(segment, bits.view(np.bool_)), dead)


def _plain(told: dict[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def keep(folder: Path, number: int, analysis: str, parts: Sequence[Part]) -> None:
    """Make the parts the newest generation.

    Raises:
        OSError: the disk is full, or the like; the generation before stays.
    """
    entries: list[dict[str, Any]] = []
    for part in parts:
        entry: dict[str, Any] = {
            "name": part.name,
            "size": part.view.segment.file.size,
            "head": part.view.segment.file.crc,
            "dead": None,
            "dead_crc": 0,
        }
        if part.view.dead is not None:
            raw = np.packbits(part.view.dead, bitorder="little").tobytes()
            if part.dead_name is None:
                part.dead_name = f"{part.name.removesuffix('.seg')}.{number}.dead"
                _write(folder / part.dead_name, raw)
            entry |= {"dead": part.dead_name, "dead_crc": zlib.crc32(raw)}
        entries.append(entry)
    told = {"format": FORMAT, "generation": number, "analysis": analysis, "segments": entries}
    told["crc"] = zlib.crc32(_plain(told))
    _write(folder / "index.new", _plain(told) + b"\n")
    if (folder / NEWEST).exists():
        remove([folder / "previous.new"])
        os.link(folder / NEWEST, folder / "previous.new")
        os.replace(folder / "previous.new", folder / PREVIOUS)
    sync_folder(folder)
    os.replace(folder / "index.new", folder / NEWEST)
    sync_folder(folder)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def clean(folder: Path) -> None:
    """Remove what neither of the two kept generations names."""
    held = {NEWEST, PREVIOUS, "lock"}
    for name in (NEWEST, PREVIOUS):
        try:
            for entry in json.loads((folder / name).read_bytes())["segments"]:
                held |= {entry["name"], entry["dead"]}
        except (OSError, ValueError, KeyError, TypeError):
            if name == NEWEST:
                return
    remove(path for path in folder.iterdir() if path.name not in held and path.is_file())


def take_lock(folder: Path) -> IO[bytes]:
    """The lock of the one writer, until it is closed.

    Raises:
        LockedError: another has it.
    """
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise LockedError(f"{folder}: another process writes to this index") from error
    return file
