"""Images of optical discs sector by sector, as `.bin` with `.cue`, `.img` with `.ccd`, `.mdf` and `.nrg` hold them.

A sector of 2,352 bytes has a mark, its address and its mode before 2,048 bytes of data, and what corrects errors
behind them; programs may keep 96 or 16 bytes of subchannels too. Each track of data is given as the plain image it is.
What a Video CD shows fills sectors to 2,324 bytes: such a row is given whole, as a member of its own as well.

Source: ECMA-130, 14 and 20 to 22; for mode 2 the System Description CD-ROM XA, whose subheaders tell the form.
Limits: sound is not given, its length is told; what corrects errors is not looked at, nor are subchannels, nor the
sheets beside the image (`.cue`, `.ccd`, `.mds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import BinaryIO, ClassVar, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._streams import open_chunks, open_slice
from indexer.model import Child, Fact, Field, Problem

_MARK = b"\0" + b"\xff" * 10 + b"\0"
_RAW = (2352, 2448, 2368)
"""Bytes of a sector, without and with subchannels."""
_BARE = 2336
"""Of a sector of mode 2 without its mark and address."""
_DATA, _FILM = 2048, 2324
_VOLUME = 16
"""The sector of a plain image in which `CD001` stands."""
_PREGAP = 150
"""Sectors that some images have before the first."""
_SECOND = 75
"""Sectors of a second."""
_NERO = (b"NER5", b"NERO")
"""What stands at the end of an image by Nero, behind its account of the tracks."""
_AT_ONCE = 512
_MOST_RUNS = 1000
_SOUND, _PLAIN, _FORM_2 = 0, 1, 2


class _Run(NamedTuple):
    """Neighbouring sectors of one kind, from `start` up to `end`."""

    kind: int
    start: int
    end: int


class DiscSectors(Handler):
    name = "disc-sectors"
    media_types = ("application/x-disc-sectors",)
    suffixes = (".bin", ".img", ".mdf", ".nrg")
    fields: ClassVar[Mapping[str, str]] = {
        "disc.sector_size": "bytes that the image keeps of a sector",
        "disc.sound_seconds": "how long the sound on the disc is",
    }
    reads = "tracks of data as plain images, films of Video CDs; how much sound there is"
    rank = 40
    holds = CONTROLS
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _sector_size(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        size = _sector_size(stream)
        yield Field("disc.sector_size", size)
        count, left = divmod(stream.size, size)
        if left and not any(mark in stream.at(stream.size - 12, 12) for mark in _NERO):
            yield Problem("truncated", f"the last sector ends after {left} bytes", resolution="kept so far")
            count += 1
        runs = [_Run(_PLAIN, 0, count)] if size <= _BARE else list(_runs(stream, size, count))
        if sound := sum(run.end - run.start for run in runs if run.kind == _SOUND):
            yield Field("disc.sound_seconds", sound // _SECOND)
        number = films = 0
        for run in runs:
            if run.kind == _PLAIN:
                number, films = number + 1, 0
                name = f"[data {number}]"
            elif run.kind == _FORM_2:
                films += 1
                name = f"[data {number}, film {films}]"
            else:
                continue
            yield Child(name, name.encode(), partial(_open, stream, size, run))


def _sector_size(stream: Stream) -> int:
    """Bytes of a sector of the image; 0 where it is none."""
    head = stream.head
    if head.startswith(_MARK):
        return next((size for size in _RAW if head[15:16] in (b"\1", b"\2") and stream.at(size, 12) == _MARK), 0)
    if head[:4] == head[4:8] and stream.at(_VOLUME * _BARE + 9, 5) == b"CD001":
        return _BARE
    if not any(head[:64]) and stream.at((_PREGAP + _VOLUME) * _DATA + 1, 5) == b"CD001":
        return _DATA
    return 0


def _kinds(stream: Stream, size: int, count: int) -> Iterator[int]:
    for at in range(0, count, _AT_ONCE):
        piece = stream.at(at * size, min(_AT_ONCE, count - at) * size)
        for start in range(0, len(piece), size):
            head = piece[start : start + 19]
            if head[:12] != _MARK:
                yield _SOUND
            else:
                yield _FORM_2 if head[15:16] == b"\2" and head[18:] and head[18] & 0x20 else _PLAIN


def _runs(stream: Stream, size: int, count: int) -> Iterator[_Run]:
    """Rows of data and of sound, and behind those of data the films in them; sectors that a scratch took are data."""
    found: list[_Run] = []
    films: list[_Run] = []
    at = 0
    for kind, group in groupby(_kinds(stream, size, count)):
        run = _Run(kind, at, at := at + sum(1 for _ in group))
        if kind == _FORM_2 and run.end - run.start >= _SECOND:
            films.append(run)
        is_sound = kind == _SOUND and (run.end - run.start >= _SECOND or not found)
        kind = _SOUND if is_sound else _PLAIN
        if found and (found[-1].kind == kind or (run.kind == _SOUND and not is_sound)):
            found[-1] = found[-1]._replace(end=at)
        else:
            found.append(_Run(kind, run.start, at))
        if len(found) + len(films) > _MOST_RUNS:
            raise EvidenceError("limit", f"more than {_MOST_RUNS} rows of sectors")
    for run in found:
        yield run
        yield from (film for film in films if run.start <= film.start < run.end)


def _open(stream: Stream, size: int, run: _Run) -> BinaryIO:
    volume = (run.start + _PREGAP + _VOLUME) * size
    if run.kind == _PLAIN and _payload(stream.at(volume, size), size, _PLAIN)[1:6] == b"CD001":
        run = run._replace(start=run.start + _PREGAP)
    if size == _DATA:
        return open_slice(stream, run.start * size, (run.end - run.start) * size)()
    return open_chunks(_unwrap(stream, size, run))


def _unwrap(stream: Stream, size: int, run: _Run) -> Iterator[bytes]:
    for at in range(run.start, run.end, _AT_ONCE):
        piece = stream.at(at * size, min(_AT_ONCE, run.end - at) * size)
        sectors = (piece[start : start + size] for start in range(0, len(piece), size))
        yield b"".join([_payload(sector, size, run.kind) for sector in sectors])


def _payload(sector: bytes, size: int, kind: int) -> bytes:
    """What a sector holds; zeros where it is damaged."""
    if size <= _BARE:
        start = size - _DATA and 8
    elif sector[:12] == _MARK:
        start = 24 if sector[15:16] == b"\2" else 16
    else:
        return bytes(_DATA)
    return sector[start : start + (_FILM if kind == _FORM_2 else _DATA)]
