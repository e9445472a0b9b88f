"""Member names: raw bytes kept, encoding decided per archive, safe to show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf

from msgspec import Struct

from indexer.charsets import EASTERN_CODECS, find_codec
from indexer.detection import alternatives_of, confidence_of, nats_by, rank_names, unicode_nats
from indexer.errors import UsageError
from indexer.model import Field

_NAME_BYTES = 1024
"""Bytes of one name that vote; a name of 65 000 bytes is an attack, not evidence."""
_EVIDENCE_BYTES = 4096
_CLEARLY = 8.0
"""Nats by which UTF-8 must be the likelier reading of a single name among others."""
_ELSEWHERE = 12.0
"""Nats by which another encoding must read a single name better than that of all together."""
_PLAUSIBLE = -7.0
"""Nats a byte that is not ASCII: names as likely as this are not doubted."""
_FEW_BYTES = 4
"""Not in ASCII: fewer say nothing of an encoding."""
_ASCII = bytes(range(128))
_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_DRIVE = re.compile(r"^[A-Za-z]:")


def unsafe_reason(name: str) -> str:
    """Why a member's name would be dangerous to extract by, or an empty string."""
    if ".." in name and ".." in name.replace("\\", "/").split("/"):
        return "leads out of its folder"
    if name[:1] in ("/", "\\"):
        return "is an absolute path"
    if _DRIVE.match(name):
        return "names a drive"
    if _CONTROLS.search(name):
        return "holds control characters"
    if _OVERRIDES.search(name):
        return "holds direction overrides"
    return ""


def last_part(name: str) -> str:
    """The last component of a path with either kind of slash; the whole where there is none."""
    return name.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or name


class Decision(Struct, frozen=True):
    """How the names of one container were decoded: together, so that they vote."""

    names: tuple[str, ...]
    codec: str
    confidence: float
    alternatives: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()
    """Of each name, where not all were read alike."""

    def alone(self, number: int) -> Decision:
        """What was decided on one of the names."""
        codec = self.codecs[number] if self.codecs else self.codec
        others = dict.fromkeys((self.codec, *self.alternatives))
        return Decision((self.names[number],), codec, self.confidence, tuple(each for each in others if each != codec))

    def fields(self) -> tuple[Field, ...]:
        """The decision as fields of the container; empty where every name was plain ASCII."""
        if self.codec == "ascii":
            return ()
        return (
            Field("names.codec", self.codec),
            Field("names.confidence", round(self.confidence, 3)),
            *(Field("names.alternative", codec) for codec in self.alternatives),
        )


def decode_names(raws: Sequence[bytes], *, declared: str = "") -> Decision:
    """All names of one container, decoded by the one codec that fits them best.

    Every distinct part of a path votes once; ASCII parts prove nothing and have no vote. A name
    that the winner cannot read, or that is clearly UTF-8 among others, is read as UTF-8: archives
    that two programs wrote to hold both. A name that makes little sense so, and far more in another
    encoding, is read by that: people of several countries filled one folder.

    Args:
        raws: names as the container holds them, all of unknown encoding.
        declared: a codec that the container names; followed where every name decodes by it.
    """
    if all(raw.isascii() for raw in raws):
        return Decision(tuple(raw.decode("ascii") for raw in raws), "ascii", 1.0)
    if (codec := find_codec(declared)) and (names := _read_all(raws, codec)) is not None:
        return Decision(names, codec, 1.0)
    evidence = _evidence(raws)
    ranked = rank_names(evidence)
    best = ranked[0]
    codecs: tuple[str, ...] = ()
    if best.codec == "utf-8":
        names = tuple(raw.decode("utf-8", "replace") for raw in raws)
    else:
        codecs = tuple(_codec_of(raw, best.codec) for raw in raws)
        names = tuple(_read_one(raw, codec) for raw, codec in zip(raws, codecs, strict=True))
    others = dict.fromkeys((*codecs, *alternatives_of(ranked, best.codec)))
    others.pop(best.codec, None)
    return Decision(names, best.codec, confidence_of(ranked), tuple(others), codecs if len(set(codecs)) > 1 else ())


def decode_as(raws: Sequence[bytes], codec: str) -> Decision:
    """The same names by a codec of the analyst's choice; what does not decode becomes U+FFFD.

    Raises:
        UsageError: if there is no such codec.
    """
    known = find_codec(codec)
    if not known:
        raise UsageError(f"no such encoding: {codec!r}; try utf-8, cp949, gb18030, big5, cp932, cp866, koi8-r")
    return Decision(tuple(raw.decode(known, "replace") for raw in raws), known, 1.0)


def _read_all(raws: Sequence[bytes], codec: str) -> tuple[str, ...] | None:
    try:
        return tuple(raw.decode(codec) for raw in raws)
    except UnicodeDecodeError:
        return None


def _evidence(raws: Sequence[bytes]) -> bytes:
    """Distinct parts that are not ASCII, one a line; a slash is never half of a character.

    Where some are valid UTF-8 and others are not, only the others are in doubt.
    """
    parts: dict[bytes, None] = {}
    size = 0
    for raw in raws:
        if raw.isascii():
            continue
        for part in raw[:_NAME_BYTES].split(b"/"):
            if part not in parts and not part.isascii():
                parts[part] = None
                size += len(part) + 1
        if size > _EVIDENCE_BYTES:
            break
    doubtful = [part for part in parts if _read_all([part], "utf-8") is None]
    return b"\n".join(doubtful or parts)[:_EVIDENCE_BYTES]


def _codec_of(raw: bytes, together: str) -> str:
    """The codec of all names together, or the one that alone reads this name far better.

    Letters of one byte, capitals above all, look like characters of two: where such an encoding won, all follow.
    """
    name = raw[:_NAME_BYTES]
    high = len(name.translate(None, _ASCII))
    if high < _FEW_BYTES or together not in EASTERN_CODECS or nats_by(name, together) >= _PLAUSIBLE * high:
        return together
    ranked = rank_names(name)
    own = next((each.nats for each in ranked if each.codec == together), -inf)
    return ranked[0].codec if ranked[0].nats > own + _ELSEWHERE else together


def _read_one(raw: bytes, codec: str) -> str:
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        text = ""
    if raw.isascii():
        return text
    try:
        other = raw.decode("utf-8")
    except UnicodeDecodeError:
        return text or raw.decode(codec, "replace")
    return other if not text or unicode_nats(other[:256]) > unicode_nats(text[:256]) + _CLEARLY else text
