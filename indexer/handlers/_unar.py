"""The program `unar`: unpacks one member's data, out of an archive of that member alone.

It is optional: a handler makes a small archive with a name of its own around the packed bytes, so that
no name of the evidence reaches the program; it writes to its standard output and to no file. It does not
tell of trouble by its exit code: the handler checks size and checksum.

Source: unar(1) of The Unarchiver 1.10.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing

from indexer.errors import StoreError
from indexer.handlers._programs import run_program

NEEDS = "program:unar"
OPTIONS = ("-quiet", "-no-recursion", "-no-directory", "-forks", "skip", "-output-directory", "-", "--")


def unpack(archive: Iterable[bytes], size: int, scratch: str | None) -> Iterator[bytes]:
    """What the program gives for an archive of one member, and no more than `size` bytes of it.

    Args:
        archive: its bytes, in pieces.
        scratch: the folder for them, where they lie under no name.

    Raises:
        EvidenceError: missing-library.
        StoreError: the folder cannot be written.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        try:
            file.writelines(archive)
            file.flush()
        except OSError as error:
            raise StoreError(f"{scratch}: the scratch folder cannot be written: {error.strerror}") from error
        descriptor = file.fileno()
        with closing(run_program("unar", [*OPTIONS, f"/proc/self/fd/{descriptor}"], descriptor)) as chunks:
            for chunk in chunks:
                yield chunk[:size]
                size -= len(chunk)
                if size <= 0:
                    return
