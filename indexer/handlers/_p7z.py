"""The 7-Zip program of the p7z wheel: lists and unpacks many formats, in a process of its own.

It is told nothing but an argument list, reads nothing from a terminal, writes no file, and is killed
with its process group when the reader stops. Times are asked for in UTC.

Source: 7-Zip 26 manual, command line ("l", "x", switches -slt, -so, -p, -scc, -spd).
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
from collections.abc import Generator, Iterator, Sequence
from functools import cache

from indexer.errors import EvidenceError

PIECE = 256 * 1024
MOST_LINE = 128 * 1024
MOST_ERRORS = 32 * 1024
Record = dict[str, str]


@cache
def program() -> str:
    """The path of the program in the wheel, and of no other: what it gives must not depend on this machine.

    Raises:
        EvidenceError: missing-library.
    """
    try:
        import p7z
    except ImportError as error:
        raise EvidenceError("missing-library", "7-Zip: pip install p7z") from error
    path = os.path.join(os.path.dirname(str(p7z.__file__)), "_vendor", "7zz")
    if not os.access(path, os.X_OK):
        raise EvidenceError("missing-library", "7-Zip: this p7z has no program for this machine")
    return path


def list_members(path: str, *, kind: str = "", password: str = "") -> Iterator[Record]:
    """What `l -slt` prints, one record at a time: first the archive's own, then the members in their order.

    Args:
        path: as `Stream.path` gives it.
        kind: the 7-Zip name of the format, so that nothing else is tried.

    Raises:
        EvidenceError: after the last good record, where 7-Zip met trouble.
    """
    record: Record = {}
    listing = False
    for line in _lines(_run(path, ["l", "-slt", "-sccUTF-8"], kind, password)):
        if line in ("--", "----------"):
            listing = True
            if line != "--":
                yield record
            record = {}
        elif not line:
            # The first record ends at the rule below it; the blank line there says nothing.
            if "Path" in record and "Type" not in record:
                yield record
                record = {}
        elif listing:
            key, equals, value = line.partition(" =")
            if equals and key not in record:
                record[key] = value.removeprefix(" ")
    if "Path" in record and "Type" not in record:
        yield record


def stream_members(
    path: str, *, kind: str = "", password: str = "", names: Sequence[str] = ()
) -> Generator[bytes, None, None]:
    """The bytes of all members one after another, in the order of the archive.

    Args:
        names: only these members, taken literally.

    Raises:
        EvidenceError: after the last byte, where 7-Zip met trouble.
    """
    yield from _run(path, ["x", "-so", "-y", "-spd"], kind, password, names)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:MOST_LINE]
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


def _run(
    path: str, command: list[str], kind: str, password: str, names: Sequence[str] = ()
) -> Generator[bytes, None, None]:
    """What the program prints, chunk by chunk as it is asked for."""
    # -p stands there even when empty: the program would ask for a password otherwise.
    arguments = [program(), *command, "-mmt1", "-bd", f"-p{password}", *([f"-t{kind}"] if kind else []), "--", path]
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own
        [*arguments, *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
        pass_fds=[int(path.rsplit("/", 1)[1])] if path.startswith("/proc/self/fd/") else [],
        start_new_session=True,
    )
    errors = bytearray()
    try:
        with selectors.DefaultSelector() as ready:
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                for key, _ in ready.select():
                    data = os.read(key.fd, PIECE)
                    if not data:
                        ready.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        yield data
                    elif len(errors) < MOST_ERRORS:
                        errors += data
        if process.wait():
            raise _trouble(errors.decode("utf-8", "replace"), process.returncode)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


_TROUBLE = (
    (r"Wrong password|encrypted archive", "encrypted", "no password fits"),
    (r"Missing volume", "truncated", "a volume of the set is missing"),
    (r"Unsupported Method|not supported", "unsupported", "it does not have the method"),
    (r"Unexpected end", "truncated", "the archive ends too early"),
    (r"allocate|memory", "memory", "it was refused the memory it asked for"),
    (r"Cannot open|Can not open|Is not archive|Headers Error", "corrupt", "this does not open"),
    (r"CRC Failed", "corrupt", "a CRC does not fit the content"),
    (r"Data Error", "corrupt", "the data do not decode"),
)


def _trouble(printed: str, code: int) -> EvidenceError:
    for pattern, cause, message in _TROUBLE:
        if re.search(pattern, printed):
            return EvidenceError(cause, f"7-Zip: {message}")  # type: ignore[arg-type]
    return EvidenceError("corrupt", f"7-Zip ended with code {code}")
