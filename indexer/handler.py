"""What a file type declares, and the one method it writes.

A handler is a declaration (name, version, media types, signatures, suffixes, field names) and a
generator, `read(stream)`, that yields facts. It registers nothing and keeps no state. What it
yielded before it failed is kept; a member it yields is walked before the generator goes on.
"""

from __future__ import annotations

import io
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO, ClassVar

from msgspec import Struct

from indexer.limits import KIB, Limits
from indexer.model import Fact
from indexer.passwords import Passwords
from indexer.volumes import Siblings, no_siblings

FALLBACK, OCR = "strings", "ocr"
"""The handlers for what no other handler reads, or what another could not read; for words drawn on pictures."""
HEAD = 16 * KIB
"""Bytes from the start that identification looks at."""
CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\f\r\x1b")
"""Control characters that stand in no text: what a binary format `holds`."""


class Signature(Struct, frozen=True):
    """Bytes that stand at a fixed offset of every file of a type."""

    magic: bytes
    offset: int = 0


class Stream(io.BufferedIOBase):
    """The bytes of one item: seekable, read-only, with what a handler may need to know beside them.

    Calls go straight to the file below, so that libraries pay nothing for the wrapping. Handlers
    need not close or rewind it. `name` is the item's own file name and must not be trusted; a
    handler whose facts depend on it says so with `uses_name`. `media_type` is what identification
    found, empty before it. `sibling(name)` opens another file of
    the same folder (the next volume of a set), seekable, or gives None; a handler that asks for it
    says so with `volumes`, and need not close it.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        name: str = "",
        limits: Limits | None = None,
        passwords: Passwords | None = None,
        scratch: str | None = None,
        siblings: Siblings = no_siblings,
    ) -> None:
        super().__init__()
        self.file = file
        self.name = name
        self.media_type = ""
        self.sibling = siblings
        self.limits = limits or Limits()
        self.passwords = passwords or Passwords()
        self.scratch = scratch
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        vars(self).update((call, getattr(file, call)) for call in ("read", "readinto", "seek", "tell"))

    @cached_property
    def head(self) -> bytes:
        """The first 16 KiB; the position is back at the start afterwards."""
        self.file.seek(0)
        head = self.file.read(HEAD)
        self.file.seek(0)
        return head

    @cached_property
    def suffix(self) -> str:
        """The lower-case suffix of the name with its dot, or an empty string."""
        return os.path.splitext(self.name)[1].lower()

    def readable(self) -> bool:
        """True, as io asks for it."""
        return True

    def seekable(self) -> bool:
        """True, as io asks for it."""
        return True

    def at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the item, none outside it."""
        if not 0 <= offset < self.size or length <= 0:
            return b""
        self.file.seek(offset)
        return self.file.read(length)

    @contextmanager
    def path(self) -> Iterator[str]:
        """A file-system path with exactly these bytes, for libraries and programs that want one.

        Where the item lies in a source, the path is a copy's, never the evidence's own. Open it
        read-only. Programs started with `subprocess` need `pass_fds=[int(path.rsplit("/", 1)[1])]`.
        """
        try:
            descriptor = self.file.fileno()
        except (OSError, AttributeError):
            descriptor = -1
        if descriptor >= 0 and self._is_ours(descriptor):
            yield f"/proc/self/fd/{descriptor}"
            return
        with tempfile.TemporaryFile(dir=self.scratch) as copy:
            self.file.seek(0)
            while chunk := self.file.read(1 << 20):
                copy.write(chunk)
            copy.flush()
            self.file.seek(0)
            yield f"/proc/self/fd/{copy.fileno()}"

    def _is_ours(self, descriptor: int) -> bool:
        """Whether the file lies in the spool: evidence opened by its path again would get a new access time."""
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        return target.endswith(" (deleted)") or bool(self.scratch and target.startswith(self.scratch + "/"))


class Handler(ABC):
    """One file type. See any file in `handlers/`; `.github/CONTRIBUTING.md` is the recipe.

    Attributes:
        name: short, lower case, unique: `zip`, `pdf`.
        version: rises when the output changes, so that `retry` can find what an older one made.
        media_types: every media type this handler answers to, the usual one first.
        signatures: bytes that mark the type; one match makes the handler a candidate.
        suffixes: with the dot, lower case; they never outrank bytes.
        holds: bytes of which every file of the type has at least one somewhere, where it declares no
            signature: an item that is seen whole and has none of them is not asked about.
        fields: field name -> meaning, for every field it yields (a name ending in `.*` is a family).
        reads: one line for the analyst's table of file types: what comes out.
        needs: what is optional at run time: importable modules, or `program:NAME`.
        rank: candidates are asked in this order; a type inside a type (docx in zip) stands lower.
        uses_name: whether what `read` yields depends on the item's own name.
        volumes: whether what `read` yields depends on files beside the item.
        volume_names: with `volumes`, patterns of the bare names that volumes have (in any case, from
            start to end): members so called wait until all their siblings are there.
        container: whether `read` yields members.
        follows: handlers after which this one reads the same bytes once more, where that is asked for.
        patience: how many times the usual seconds it may take.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    media_types: ClassVar[tuple[str, ...]]
    signatures: ClassVar[tuple[Signature, ...]] = ()
    suffixes: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[bytes] = b""
    fields: ClassVar[Mapping[str, str]] = {}
    reads: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    rank: ClassVar[int] = 50
    uses_name: ClassVar[bool] = False
    volumes: ClassVar[bool] = False
    volume_names: ClassVar[tuple[str, ...]] = ()
    container: ClassVar[bool] = False
    follows: ClassVar[tuple[str, ...]] = ()
    patience: ClassVar[int] = 1

    def claims(self, stream: Stream) -> str | None:
        """The media type if these bytes are this handler's, else None; asked of candidates only.

        Candidates are the handlers with a matching signature, and those that declare no signature
        but write this method (types known by content: mail, JSON, CSV). Must be fast, must not
        raise on any input, and may leave the position anywhere.
        """
        return self.media_types[0] if self.signatures else None

    def is_volume(self, stream: Stream) -> bool:
        """Whether these bytes are one volume of several; asked where `volumes` is set.

        Elsewhere `stream.sibling` gives nothing, and what is read may be shared with every copy of
        the same bytes. Asked before siblings are to be had; must be fast and must not raise.
        """
        return True

    @abstractmethod
    def read(self, stream: Stream) -> Iterator[Fact]:
        """Yields Text, Field, Timestamp, Problem and Child, in an order fixed by the bytes.

        Raises:
            EvidenceError: for trouble in the evidence; what was yielded before is kept.
        """
