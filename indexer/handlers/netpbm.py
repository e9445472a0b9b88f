"""Pictures of the Netpbm family (PBM, PGM, PPM, PAM, PFM): shape, comments, pictures in a row.

Source: Netpbm manual: pbm(5), pgm(5), ppm(5), pam(5); PFM as Debevec describes it.
Limits: no pixel is decoded; pictures after the first are counted where the first is not written as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Problem

FRAMES: Final = 100_000
_MODES: Final = {
    b"P1": "1", b"P2": "L", b"P3": "RGB", b"P4": "1", b"P5": "L", b"P6": "RGB", b"PF": "RGB", b"Pf": "L",
}  # fmt: skip
_TUPLES: Final = {"BLACKANDWHITE": "1", "GRAYSCALE": "L", "GRAYSCALE_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}
_GAP: Final = rb"(?:\s|#[^\n]{0,2000}+\n)++"
_HEAD: Final = re.compile(
    rb"(P[1-6Ff])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?:" + _GAP + rb"(-?[\d.]{1,12}))?"
)
_PAM: Final = re.compile(rb"P7\n((?:[^\n]{0,2000}\n){1,100}?)ENDHDR\n")
_COMMENT: Final = re.compile(rb"#([^\n]{0,2000})")


class Netpbm(Handler):
    name = "netpbm"
    media_types = (
        "image/x-portable-anymap", "image/x-portable-bitmap", "image/x-portable-graymap", "image/x-portable-pixmap",
        "image/x-portable-arbitrarymap", "image/x-portable-floatmap",
    )  # fmt: skip
    signatures = tuple(Signature(b"P" + bytes((kind,))) for kind in b"1234567Ff")
    suffixes = (".pnm", ".pbm", ".pgm", ".ppm", ".pam", ".pfm")
    fields: ClassVar[dict[str, str]] = {**_picture.FIELDS, "netpbm.comment": "comment in the header"}
    reads = "dimensions, comments, pictures in a row"
    rank = 60

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if _PAM.match(head):
            return "image/x-portable-arbitrarymap"
        match = _HEAD.match(head)
        if not match or (match[1] not in (b"P1", b"P4") and not match[4]):
            return None
        kinds = {b"1": "bitmap", b"4": "bitmap", b"2": "graymap", b"5": "graymap", b"3": "pixmap", b"6": "pixmap"}
        return f"image/x-portable-{kinds.get(match[1][1:], 'floatmap')}"

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.head
        pam = _PAM.match(head)
        if pam:
            words = dict(line.split(None, 1) for line in pam[1].split(b"\n") if len(line.split(None, 1)) == 2)
            width, height, parts, most = (_number(words.get(key)) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
            mode = _TUPLES.get(words.get(b"TUPLTYPE", b"").strip().decode("latin-1"), "")
            start, room = pam.end(), width * height * parts * (2 if most > 255 else 1)
            comments = [line[1:] for line in pam[1].split(b"\n") if line.startswith(b"#")]
        elif match := _HEAD.match(head):
            width, height, mode = int(match[2]), int(match[3]), _MODES[match[1]]
            kind, most = match[1], _number(match[4])
            # A bitmap has no largest value: what looks like one may be its first pixels.
            stop = match.end(3) if kind in (b"P1", b"P4") else match.end()
            start, room = stop + 1, _room(kind, width, height, most)
            comments = _COMMENT.findall(head[:stop])
            most = 1 if mode == "1" else most
        else:
            yield Problem("corrupt", "the header has no dimensions")
            return
        frames = 1
        if room and start + room <= stream.size:
            whole = start + room
            # Pictures in a row mostly have the same header; another one ends the count.
            while frames < FRAMES and stream.at(whole, start) == head[:start]:
                frames += 1
                whole += start + room
        bits = 32 if head[:2] in (b"PF", b"Pf") else most.bit_length()
        yield from _picture.shape(width, height, mode, bits, frames)
        for comment in comments[:100]:
            yield from _picture.said("netpbm.comment", _picture.read_text(comment), "comment")
        if room and start + room > stream.size:
            yield Problem("truncated", f"the picture ends at {start + room}, the file at {stream.size}")


def _number(data: bytes | None) -> int:
    return int(data) if data and data.strip().isdigit() and len(data) < 12 else 0


def _room(kind: bytes, width: int, height: int, most: int) -> int:
    """Bytes of the pixels; 0 where they are written as text."""
    if kind in (b"P1", b"P2", b"P3"):
        return 0
    if kind == b"P4":
        return (width + 7) // 8 * height
    parts = 3 if kind in (b"P6", b"PF") else 1
    return width * height * parts * (4 if kind in (b"PF", b"Pf") else 2 if most > 255 else 1)
