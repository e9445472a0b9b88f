"""Optional programs of this machine: what they print, in a process of their own that ends when nobody reads on.

A program gets an argument list of ours, nothing to read from, few variables, and the evidence as an open
file without a name.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Sequence

from indexer.errors import EvidenceError

PIECE = 256 * 1024


def run_program(name: str, arguments: Sequence[str], descriptor: int) -> Generator[bytes, None, int]:
    """What the program prints, chunk by chunk as it is asked for; returns how it ended.

    Args:
        name: of the program, which is that of its Debian package too.
        descriptor: a file that the arguments name as `/proc/self/fd/N`.

    Raises:
        EvidenceError: missing-library.
    """
    program = shutil.which(name)
    if program is None:
        raise EvidenceError("missing-library", f"the program {name}: apt install {name}")
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list of our own
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,
            env={"LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent", "PATH": os.defpath},
        )
    except OSError as error:
        raise EvidenceError("missing-library", f"{name} cannot be started: {error.strerror}") from error
    try:
        while process.stdout and (chunk := os.read(process.stdout.fileno(), PIECE)):
            yield chunk
        return process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout:
            process.stdout.close()
        process.wait()
