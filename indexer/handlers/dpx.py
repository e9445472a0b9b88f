"""DPX and Cineon pictures of film scanners and renderers: shape, makers, projects, times, file names.

Source: SMPTE 268M-2003 (DPX), clauses 5 to 8; Kodak Cineon image file format 4.5.
Limits: no pixel is decoded; user data behind the headers is told by its name only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _refs
from indexer.handlers._picture import FIELD_CHARS, read_text, shared_codec
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_exif

_UNSET: Final = 0xFFFFFFFF
_DPX: Final = (
    ("dpx.file_name", 36, 100), ("dpx.creator", 160, 100), ("dpx.project", 260, 200), ("dpx.copyright", 460, 200),
    ("dpx.source_file", 1432, 100), ("dpx.device", 1556, 32), ("dpx.device_serial", 1588, 32),
    ("dpx.frame_id", 1756, 32), ("dpx.slate", 1788, 100), ("dpx.user_data", 2048, 32),
)  # fmt: skip
_CINEON: Final = (
    ("dpx.file_name", 32, 100), ("dpx.source_file", 692, 100), ("dpx.device", 828, 64), ("dpx.device_serial", 924, 32),
)  # fmt: skip
_TIMES: Final = (("B", 136, "dpx.created"), ("taken", 1532, "dpx.source"))


class Dpx(Handler):
    name = "dpx"
    version = 2
    media_types = ("image/x-dpx", "image/x-cineon")
    signatures = (
        Signature(b"SDPX"),
        Signature(b"XPDS"),
        Signature(b"\x80\x2a\x5f\xd7"),
        Signature(b"\xd7\x5f\x2a\x80"),
    )
    suffixes = (".dpx", ".cin")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_refs.FIELDS,
        "dpx.file_name": "name under which it was written",
        "dpx.creator": "program or person that wrote it",
        "dpx.project": "name of the project",
        "dpx.copyright": "copyright notice",
        "dpx.source_file": "file that it was made from",
        "dpx.device": "scanner or camera",
        "dpx.device_serial": "serial number of the device",
        "dpx.frame_id": "attribute of the frame",
        "dpx.slate": "what stood on the slate",
        "dpx.user_data": "whose data stand behind the headers",
        "dpx.frame": "number of the frame in its sequence",
        "dpx.frame_rate": "frames a second",
    }
    reads = "dimensions, makers, project, slate, times, names of files"

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0 if stream.head[:4] in (b"SDPX", b"XPDS") else 1]

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 2080)
        is_dpx = head[:4] in (b"SDPX", b"XPDS")
        order = ">" if head[:4] in (b"SDPX", b"\x80\x2a\x5f\xd7") else "<"
        if len(head) < (2048 if is_dpx else 1024):
            raise EvidenceError("truncated", "the headers are cut off")
        if is_dpx:
            width, height = struct.unpack_from(order + "II", head, 772)
            yield from _picture.shape(width, height, bits=head[803])
            (frame,) = struct.unpack_from(order + "I", head, 1712)
            (rate,) = struct.unpack_from(order + "f", head, 1724)
            if frame != _UNSET:
                yield Field("dpx.frame", frame)
            if 0 < rate < 10_000:
                yield Field("dpx.frame_rate", round(rate, 3))
        else:
            width, height = struct.unpack_from(order + "II", head, 200)
            yield from _picture.shape(width, height, bits=head[198])
        yield from _texts(head, _DPX if is_dpx else _CINEON)
        if is_dpx:
            yield from _times(head)
        (size,) = struct.unpack_from(order + "I", head, 16 if is_dpx else 20)
        if size != _UNSET and size > stream.size:
            yield Problem("truncated", f"the header tells of {size} bytes, there are {stream.size}")


def _texts(head: bytes, places: tuple[tuple[str, int, int], ...]) -> Iterator[Fact]:
    raws = [(name, head[start : start + size].split(b"\0")[0].strip(b"\xff")) for name, start, size in places]
    codec = shared_codec(raw for _, raw in raws)
    paths, words = _refs.Once(), []
    for name, raw in raws:
        if text := read_text(raw, codec):
            yield Field(name, text[:FIELD_CHARS])
            words.append(text)
            if name == "dpx.source_file" or _refs.is_path(text):
                yield from paths.fields((text,))
    if words:
        yield Text("\n".join(dict.fromkeys(words)), "header")


def _times(head: bytes) -> Iterator[Fact]:
    """Year:month:day:hour:minute:second and, in some files, the zone."""
    for kind, start, origin in _TIMES:
        text = head[start : start + 24].split(b"\0")[0].decode("latin-1")
        date, zone = f"{text[:10]} {text[11:19]}", text[19:].strip()
        offset = f"{zone[0]}{zone[1:3]}:{zone[3:5] or '00'}" if zone[:1] in ("+", "-") and zone[1:].isdigit() else ""
        if stamp := from_exif(kind, date, origin, offset=offset):
            yield stamp
