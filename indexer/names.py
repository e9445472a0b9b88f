"""Member names: raw bytes kept, encoding decided per archive, safe to show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.model import Field

_DRIVE = re.compile(r"^[A-Za-z]:")


def unsafe_reason(name: str) -> str:
    """Why a member's name would be dangerous to extract by, or an empty string."""
    parts = re.split(r"[/\\]", name)
    if ".." in parts:
        return "leads out of its folder"
    if name[:1] in ("/", "\\"):
        return "is an absolute path"
    if _DRIVE.match(name):
        return "names a drive"
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        return "holds control characters"
    if any(0x202A <= ord(char) <= 0x202E or 0x2066 <= ord(char) <= 0x2069 for char in name):
        return "holds direction overrides"
    return ""


def last_part(name: str) -> str:
    """The last component of a path with either kind of slash; the whole where there is none."""
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] or name


@dataclass(frozen=True, slots=True)
class Decision:
    """How the names of one container were decoded: together, so that they vote."""

    names: tuple[str, ...]
    codec: str
    confidence: float
    alternatives: tuple[str, ...] = ()

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

    Args:
        raws: names as the container holds them, all of unknown encoding.
        declared: a codec that the container names; followed where every name decodes by it.
    """
    try:
        return Decision(tuple(raw.decode(declared or "utf-8") for raw in raws), declared or "utf-8", 1.0)
    except (UnicodeDecodeError, LookupError):
        return Decision(tuple(raw.decode("cp437") for raw in raws), "cp437", 0.1)
