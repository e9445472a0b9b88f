"""Sources walked and opened: read-only, never through a link, special files recorded and left shut.

Every step from the source's own folder down is taken with `O_NOFOLLOW` relative to the folder
before it, so that a link swapped in while we walk leads nowhere. `O_NOATIME` is used where the
kernel allows it (owner or root), so that even the access time of the evidence stays.

Source: open(2), O_NOATIME and O_NOFOLLOW; stat(2).
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, cast
from weakref import WeakSet

from msgspec import Struct

from indexer.errors import EvidenceError, UsageError, reason_of
from indexer.facts import clean
from indexer.model import Field, Hop, Problem, Provenance, Source, Timestamp, replace
from indexer.names import Decision, decode_names
from indexer.places import Place
from indexer.timestamps import from_unix
from indexer.volumes import Names, Span, is_bare

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "chardevice"),
    (stat.S_ISBLK, "blockdevice"),
)
_MOST_KEPT = 64


class Entry(Struct, frozen=True):
    """One thing that lies directly in a source; `relative` is its path there, in raw bytes."""

    place: Place
    relative: bytes
    kind: str
    size: int


def check_source(source: Source) -> None:
    """Makes sure that a source can be walked.

    Raises:
        UsageError: the path is missing, or is neither a folder nor a file.
    """
    try:
        mode = os.stat(source.path).st_mode
    except OSError as error:
        raise UsageError(f"{source.path}: {reason_of(error)}; give a folder or a file") from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise UsageError(f"{source.path}: neither a folder nor a file")


def list_source(source: Source) -> Iterator[Entry]:
    """Everything in a source, folders included, in the byte order of names within each folder."""
    if not os.path.isdir(source.path):
        folder, name = os.path.split(os.path.abspath(source.path))
        yield _entry(source, os.fsencode(name), os.stat(os.path.join(folder, name)), folder=None)
        return
    root = os.fsencode(source.path)
    only = [os.fsencode(each.strip("/")) for each in source.only] or [b""]
    for relative in sorted(set(only)):
        if relative:
            try:
                status = os.lstat(os.path.join(root, relative))
            except OSError as error:
                yield _missing(source, relative, error)
                continue
            descriptor = _open_below(root, os.path.dirname(relative), os.O_DIRECTORY)
            try:
                entry = _entry(source, relative, status, folder=descriptor)
            finally:
                os.close(descriptor)
            yield entry
            if entry.kind != "directory":
                continue
        yield from _list_folder(source, root, relative)


def place_of_root(source: Source, provenance: Provenance) -> Place:
    """The place of a file in a source, as the source tells of it now."""
    relative = provenance.hops[0].raw
    if not os.path.isdir(source.path):
        return _entry(source, relative, os.stat(source.path), folder=None).place
    try:
        descriptor = _open_below(os.fsencode(source.path), os.path.dirname(relative), os.O_DIRECTORY)
    except OSError as error:
        return _missing(source, relative, error).place
    try:
        status = os.stat(os.path.basename(relative), dir_fd=descriptor, follow_symlinks=False)
        entry = _entry(source, relative, status, folder=descriptor)
    except OSError as error:
        entry = _missing(source, relative, error)
    finally:
        os.close(descriptor)
    return replace(entry.place, provenance=provenance)


def _list_folder(source: Source, root: bytes, relative: bytes) -> Iterator[Entry]:
    pending = [relative]
    while pending:
        here = pending.pop()
        try:
            descriptor = _open_below(root, here, os.O_DIRECTORY)
        except OSError as error:
            yield _missing(source, here, error)
            continue
        try:
            names = sorted(os.fsencode(name) for name in os.listdir(descriptor))
            shown = _show_names(names)
            folders = []
            for name in names:
                path = os.path.join(here, name)
                try:
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                except OSError as error:
                    yield _missing(source, path, error)
                    continue
                entry = _entry(source, path, status, folder=descriptor, shown=shown.get(name))
                if entry.kind == "directory":
                    folders.append(path)
                yield entry
        finally:
            os.close(descriptor)
        pending += reversed(folders)


def open_evidence(source: Source, relative: bytes) -> BinaryIO:
    """A file of a source, opened for reading only; the caller closes it.

    Raises:
        EvidenceError: `unreadable`, where it cannot be opened, or is no longer a plain file.
    """
    try:
        if os.path.isdir(source.path):
            descriptor = _open_below(os.fsencode(source.path), relative, 0)
        else:
            descriptor = _open(os.fsencode(source.path), 0, None)
    except OSError as error:
        raise EvidenceError("unreadable", f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise EvidenceError("unreadable", "no longer a plain file")
    return os.fdopen(descriptor, "rb", buffering=1 << 17)


class Beside:
    """Opens the files that lie beside one in its folder, by their bare names, as evidence is opened.

    Close it after use; that closes every file it opened. Of those that nobody reads any more only the
    last few stay open until then: some folders have thousands. Where the source is a single file, its
    folder is looked at all the same: the volumes of a set are one thing that was received.
    """

    def __init__(self, source: Source, relative: bytes) -> None:
        self._source = source
        self._folder = os.path.dirname(relative)
        if not os.path.isdir(source.path):
            self._source = replace(source, path=os.path.dirname(os.path.abspath(source.path)))
        self._names: Names[bytes] | None = None
        self._lent: WeakSet[_Lent] = WeakSet()
        self._kept: deque[_Lent] = deque(maxlen=_MOST_KEPT)
        self._changed: list[Problem] = []

    def __call__(self, name: str) -> BinaryIO | None:
        """The file of this name, or one whose name differs in case only; None where there is none."""
        if self._names is None:
            self._names = self._list()
        raw = self._names.find(name) if is_bare(name) else None
        if raw is None:
            return None
        try:
            file = open_evidence(self._source, os.path.join(self._folder, raw))
        except EvidenceError:
            return None
        lent = _Lent(file, self._changed)
        self._lent.add(lent)
        self._kept.append(lent)
        return cast(BinaryIO, lent)

    def changed(self) -> Problem | None:
        """Whether a file that was opened changed since."""
        for lent in list(self._lent):
            lent.look()
        return next(iter(self._changed), None)

    def close(self) -> None:
        """Closes what was opened."""
        for lent in list(self._lent):
            lent.close()

    def _list(self) -> Names[bytes]:
        """What the folder holds, by names as the system decodes them and as they are shown."""
        names: Names[bytes] = Names()
        try:
            descriptor = _open_below(os.fsencode(self._source.path), self._folder, os.O_DIRECTORY)
        except OSError:
            return names
        try:
            raws = sorted(os.fsencode(name) for name in os.listdir(descriptor))
        finally:
            os.close(descriptor)
        for raw in raws:
            names.add(clean(raw.decode("utf-8", "replace")), raw)
        for raw, decision in _show_names(raws).items():
            names.add(clean(decision.names[0]), raw)
        return names


def watch(file: BinaryIO) -> _Watch:
    """A callable that tells, when called, whether `file` changed since now."""
    return _Watch(file)


class _Watch:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._before = self._state()

    def _state(self) -> tuple[int, ...]:
        status = os.fstat(self._file.fileno())
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def __call__(self) -> Problem | None:
        if self._state() == self._before:
            return None
        return Problem("changed", "the file changed while it was read", resolution="digests are of what was read")


class _Lent(Span):
    """A file beside another, open as long as somebody reads it; tells `changed` where it did."""

    def __init__(self, file: BinaryIO, changed: list[Problem]) -> None:
        super().__init__(file.fileno(), 0, file.seek(0, os.SEEK_END))
        self._file = file
        self._watch = watch(file)
        self._changed = changed

    def look(self) -> None:
        """Remembers it if the file changed meanwhile."""
        if not self.closed and (problem := self._watch()):
            self._changed.append(problem)

    def close(self) -> None:
        """Closes the file, at the latest when this is no longer referred to."""
        self.look()
        self._file.close()
        super().close()


def _open_below(root: bytes, relative: bytes, flags: int) -> int:
    """Opens `relative` step by step; only the root itself may be a link, it is the analyst's word."""
    parts = [part for part in relative.split(b"/") if part]
    descriptor = _open(root, os.O_DIRECTORY, None, follow=True)
    for number, part in enumerate(parts, 1):
        try:
            step = _open(part, flags if number == len(parts) else os.O_DIRECTORY, descriptor)
        finally:
            os.close(descriptor)
        descriptor = step
    return descriptor


def _open(path: bytes, flags: int, folder: int | None, *, follow: bool = False) -> int:
    flags |= os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        return os.open(path, flags | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        return os.open(path, flags, dir_fd=folder)


def _show_names(names: list[bytes]) -> dict[bytes, Decision]:
    """For the names of one folder that are not UTF-8: how all of them together are best decoded."""
    foreign = [name for name in names if not _is_utf8(name)]
    if not foreign:
        return {}
    decision = decode_names(foreign)
    return {name: decision.alone(number) for number, name in enumerate(foreign)}


def _stamp(kind: str, at: int, origin: str) -> Timestamp | None:
    """A time in nanoseconds; one without a fraction may come from a system that keeps none."""
    seconds, rest = divmod(at, 10**9)
    return from_unix(kind, seconds, origin, nanoseconds=rest, resolution=1e-9 if rest else 1.0)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _entry(
    source: Source,
    relative: bytes,
    status: os.stat_result,
    *,
    folder: int | None,
    shown: Decision | None = None,
) -> Entry:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "special")
    stamps = (
        _stamp("M", status.st_mtime_ns, "fs.mtime"),
        _stamp("A", status.st_atime_ns, "fs.atime"),
        _stamp("C", status.st_ctime_ns, "fs.ctime"),
    )
    fields = [Field("file.mode", stat.filemode(status.st_mode))]
    if kind != "file":
        fields.append(Field("file.kind", kind))
    if kind == "symlink" and folder is not None:
        target = os.readlink(os.path.basename(relative), dir_fd=folder)
        fields.append(Field("file.link_target", os.fsencode(target).decode("utf-8", "replace")))
    if shown:
        fields += shown.fields()
    timestamps: tuple[Timestamp, ...] = tuple(stamp for stamp in stamps if stamp)
    above = os.path.dirname(relative).decode("utf-8", "replace")
    name = f"{above}/{shown.names[0]}".lstrip("/") if shown else relative.decode("utf-8", "replace")
    place = Place(Provenance(source.name, (Hop(relative, clean(name)),)), timestamps, tuple(fields))
    return Entry(place, relative, kind, status.st_size)


def _missing(source: Source, relative: bytes, error: OSError) -> Entry:
    problem = Problem("unreadable", f"cannot be listed: {error.strerror}")
    raw = relative or b"."
    place = Place(Provenance(source.name, (Hop(raw, raw.decode("utf-8", "replace")),)), problems=(problem,))
    return Entry(place, relative, "unreadable", 0)
