"""HEIC pictures opened for looking at; Pillow decodes AVIF by itself, but nothing that is coded in HEVC.

pillow-heif is the wheel that is kept up (2026-11); its lighter sister pi-heif has the same decoder without an
encoder, ended with 1.4, and is taken where it alone is there. Neither is made known to Pillow.

Source: ISO/IEC 23008-12:2022, annex B (brands); pillow-heif, HeifImageFile, options; libheif, security limits.
Limits: the primary picture is shown, turned as its item says; sequences without one are not.
"""

from __future__ import annotations

import io
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from indexer.errors import EvidenceError

if TYPE_CHECKING:
    from PIL.Image import Image

LIBRARIES: Final = ("pillow_heif", "pi_heif")
INSTALL: Final = "pip install 'archivore[heic]'"
MOST_BYTES: Final = 256 << 20
"""Of a file; it is held whole."""
_HEVC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY: Final = frozenset({b"mif1", b"mif2", b"msf1"})
_AV1: Final = frozenset({b"avif", b"avis"})
_HEAD: Final = 256


def is_heic(head: bytes) -> bool:
    """Whether the first bytes of a file say that it is HEIF, and not AVIF."""
    size = int.from_bytes(head[:4], "big")
    brands = {head[at : at + 4] for at in (8, *range(16, min(max(size, 16), _HEAD), 4))}
    known = head[8:12] in _HEVC | _ANY
    return head[4:8] == b"ftyp" and known and (not brands & _AV1 or head[8:12] in _HEVC)


def heic_library() -> str:
    """The library that decodes; empty where there is none."""
    return next((name for name in LIBRARIES if find_spec(name)), "")


def open_heic(file: BinaryIO) -> Image:
    """The picture, not decoded yet; decoding it raises what Pillow raises.

    Raises:
        EvidenceError: missing-library; limit.
        SyntaxError: it is damaged.
    """
    try:
        library: Any = import_module(heic_library() or LIBRARIES[0])
    except ImportError as error:
        message = f"looking at pictures in HEIC needs pillow-heif: {INSTALL}"
        raise EvidenceError("missing-library", message) from error
    # As many workers as cores are at work already; and only the picture itself is shown.
    library.options.DECODE_THREADS = 1
    library.options.THUMBNAILS = library.options.DEPTH_IMAGES = library.options.AUX_IMAGES = False
    file.seek(0)
    held = file.read(MOST_BYTES + 1)
    if len(held) > MOST_BYTES:
        raise EvidenceError("limit", f"HEIC pictures of more than {MOST_BYTES >> 20} MiB are not decoded")
    picture: Image = library.HeifImageFile(io.BytesIO(held))
    return picture
