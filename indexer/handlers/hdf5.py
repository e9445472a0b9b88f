"""HDF5 files, with what is kept in them: netCDF-4, MATLAB 7.3, Alembic of old: groups, datasets, attributes, texts.

Source: HDF5 File Format Specification 3.0; see `_hdf5.py`, `_hdf5_heaps.py` and `_hdf5_values.py`.
Limits: numbers of datasets are not read, nor texts in chunks that a newer index lists; texts of one dataset are
read up to 16 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._hdf5 import MARK, OBJECTS, STARTS, Found, Hdf5
from indexer.handlers._picture import FIELD_CHARS
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_unix

GROUP: Final = 256 << 10
TEXTS: Final = 64 * MIB
_QUIET: Final = frozenset(("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates"))


class Hdf5File(Handler):
    name = "hdf5"
    media_types = ("application/x-hdf5", "application/x-hdf", "application/netcdf")
    signatures = tuple(Signature(MARK, start) for start in STARTS)
    suffixes = (".h5", ".hdf5", ".he5", ".hdf", ".nc", ".nc4", ".mat", ".abc")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "hdf5.attribute.*": "attribute of the whole file, by its own name",
        "hdf5.group": "path of a group",
        "hdf5.dataset": "path of a dataset with its type and shape",
        "hdf5.made_by": "program that says so in front of the data: MATLAB with its platform and time",
    }
    reads = "groups, datasets with type and shape, attributes, texts, files it links to"

    def read(self, stream: Stream) -> Iterator[Fact]:
        start = next((each for each in STARTS if stream.at(each, 8) == MARK), 0)
        if start and (said := stream.at(0, 116).split(b"\0")[0].decode("latin-1").strip()):
            yield Field("hdf5.made_by", said[:FIELD_CHARS])
        held = Hdf5(stream, start)
        lines = _Lines()
        try:
            yield from _walk(held, lines)
        finally:
            rest = lines.rest()
        yield from rest


class _Lines:
    """Lines of text, given in groups."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._size = self.all = 0

    def add(self, line: str) -> Iterator[Text]:
        """One line more."""
        self._held.append(line)
        self._size += len(line) + 1
        self.all += len(line) + 1
        if self._size > GROUP:
            yield from self.rest()

    def rest(self) -> list[Text]:
        """The lines that wait."""
        found = [Text("\n".join(self._held), "values")] if self._held else []
        self._held, self._size = [], 0
        return found


def _walk(held: Hdf5, lines: _Lines) -> Iterator[Fact]:
    waiting, seen = [(held.root, "")], set[int]()
    groups, datasets, paths = _refs.Once("hdf5.group"), _refs.Once("hdf5.dataset"), _refs.Once()
    bad = 0
    while waiting:
        address, path = waiting.pop()
        if address in seen:
            continue
        if len(seen) >= OBJECTS:
            yield Problem("limit", f"more than {OBJECTS} objects", resolution="read up to there")
            return
        seen.add(address)
        try:
            found = held.header(address)
        except EvidenceError as error:
            bad += 1
            if bad == 1:
                yield Problem(error.cause, f"{path or '/'}: {error.message}")
            continue
        yield from _times(found, path)
        is_text = yield from _attributes(held, found, path, lines, paths)
        if kind := held.dataset(found):
            shape = " x ".join(map(str, kind.shape))
            yield from datasets.fields((f"{path or '/'} {kind.name}{f' ({shape})' if shape else ''}",))
            wide = is_text and kind.name == "integer" and kind.size == 2
            if (wide or kind.name in ("string", "text")) and lines.all < TEXTS:
                data = held.content(found)
                texts = [data.decode("utf-16-le", "replace")] if wide else held.strings(kind, data)
                if kind.name == "string" and kind.size == 1:
                    texts = _joined(data, kind.shape)
                for text in texts:
                    if text and (line := text.strip("\0 ")):
                        yield from paths.fields((line,) if _refs.is_path(line) else ())
                        yield from lines.add(line)
            continue
        yield from groups.fields((path,) if path else ())
        inner = []
        for link in held.links(found):
            if link.file:
                yield from paths.fields((link.file,))
            elif link.target:
                yield from lines.add(f"{path}/{link.name} -> {link.target}")
            else:
                inner.append((link.address, f"{path}/{link.name}"))
        waiting += reversed(inner)
    for message in held.unread:
        yield Problem("unsupported", message)


def _joined(data: bytes, shape: tuple[int, ...]) -> Iterator[str]:
    """Rows of single characters as the texts they make."""
    width = shape[-1] if shape and shape[-1] else len(data)
    for place in range(0, len(data), width):
        yield data[place : place + width].decode("utf-8", "replace")


def _times(found: Found, path: str) -> Iterator[Fact]:
    """When an object was made and changed, where the file records it; of the root alone, or of an old dataset."""
    if path:
        return
    for kind, seconds in zip("AMCB", found.times, strict=False):
        stamp = from_unix(kind, seconds, "hdf5.header") if seconds else None
        if stamp:
            yield stamp


def _attributes(held: Hdf5, found: Found, path: str, lines: _Lines, paths: _refs.Once) -> Generator[Fact, None, bool]:
    """The attributes of an object; returns whether MATLAB says that its numbers are characters."""
    is_text = False
    for name, kind, data in held.attributes(found):
        if name in _QUIET or name.startswith("_Nc"):
            continue
        said = ", ".join(text for text in held.strings(kind, data) if text)
        is_text = is_text or (name == "MATLAB_class" and said == "char")
        if not said:
            continue
        if not path and re.fullmatch(r"\w{1,80}", name):
            yield Field(f"hdf5.attribute.{name.lower()}", said[:FIELD_CHARS])
        yield from paths.fields((said,) if _refs.is_path(said) else ())
        yield from lines.add(f"{path}@{name} = {said}")
    return is_text
