"""The program `unar`: unpacks one member's data, out of an archive of that member alone, in a process of its own.

It is optional: a handler makes a small archive with a name of its own around the packed bytes, so that
no name of the evidence reaches the program; it writes to its standard output and to no file. It does not
tell of trouble by its exit code: the handler checks size and checksum.

Source: unar(1) of The Unarchiver 1.10.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterable

from indexer.errors import EvidenceError, StoreError

NEEDS = "program:unar"
PIECE = 256 * 1024
OPTIONS = ("-quiet", "-no-recursion", "-no-directory", "-forks", "skip", "-output-directory", "-", "--")


def unpack(archive: Iterable[bytes], size: int, scratch: str | None) -> Generator[bytes, None, None]:
    """What the program gives for an archive of one member, and no more than `size` bytes of it.

    Args:
        archive: its bytes, in pieces.
        scratch: the folder for them, where they lie under no name.

    Raises:
        EvidenceError: missing-library.
        StoreError: the folder cannot be written.
    """
    program = shutil.which("unar")
    if program is None:
        raise EvidenceError("missing-library", "unar, for this method: apt install unar")
    with tempfile.TemporaryFile(dir=scratch) as file:
        try:
            file.writelines(archive)
            file.flush()
        except OSError as error:
            raise StoreError(f"{scratch}: the scratch folder cannot be written: {error.strerror}") from error
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list of our own
                [program, *OPTIONS, f"/proc/self/fd/{file.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[file.fileno()],
                start_new_session=True,
                env={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PATH": os.defpath},
            )
        except OSError as error:
            raise EvidenceError("missing-library", f"unar cannot be started: {error.strerror}") from error
        try:
            while process.stdout and size > 0 and (chunk := process.stdout.read(min(size, PIECE))):
                size -= len(chunk)
                yield chunk
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout:
                process.stdout.close()
            process.wait()
