"""Pictures of a PDF file that become files by what is put around their data: fax (TIFF) and JBIG2.

Source: ISO 32000-2, 7.4.6 (CCITTFaxDecode), 7.4.7 (JBIG2Decode); TIFF Revision 6.0, sections 10, 11;
ITU-T T.88, 7.2 (segments) and annex D.4 (files).
Limits: fax data whose rows neither begin at whole bytes nor have marks between them, or begin there in group 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.errors import EvidenceError
from indexer.handlers._pdf_filters import Filter
from indexer.handlers._pdf_samples import LONG, Shape, Tag, tiff_head

_JBIG2: Final = b"\x97JB2\r\n\x1a\n\x01\0\0\0\x01"
"""In the order of their making; one page."""
_JBIG2_END: Final = bytes.fromhex("fffffffd 31 00 01 00000000 fffffffe 33 00 00 00000000")
"""The end of the page and of the file, which a PDF leaves out."""
_COLUMNS: Final = 1728
_ROWS_WITHOUT_MARK: Final = 1 << 21
"""The first four bytes are less where a mark of eleven zeros begins them."""


def jbig2(pieces: Iterator[bytes], shared: bytes) -> Iterator[bytes]:
    """A file of one page."""
    yield _JBIG2 + shared
    yield from pieces
    yield _JBIG2_END


def fax(pieces: Iterator[bytes], size: int, coding: Filter, shape: Shape) -> Iterator[bytes]:
    """A TIFF with the data as its one strip.

    Args:
        size: bytes of the data.

    Raises:
        EvidenceError: `unsupported`, TIFF has no name for such a coding.
    """
    first = next(pieces, b"")
    compression, tags = _named(coding, first)
    # In a TIFF, what is coded as white are zeros; in a PDF it is shown as white unless BlackIs1 is said.
    white_is_zero = not coding.number("BlackIs1", 0)
    width, height = coding.number("Columns", _COLUMNS), coding.number("Rows", 0) or shape.height
    if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
        raise EvidenceError("corrupt", f"a fax of {width} x {height} pixels")
    yield tiff_head(width, height, (1,), compression, white_is_zero == shape.inverted, size, tags) + first
    yield from pieces


def _named(coding: Filter, first: bytes) -> tuple[int, list[Tag]]:
    kind, is_aligned = coding.number("K", 0), coding.number("EncodedByteAlign", 0)
    if kind < 0 and not is_aligned:
        return 4, [(293, LONG, (0,))]
    if kind > 0 or (kind == 0 and int.from_bytes(first[:4].ljust(4, b"\xff"), "big") < _ROWS_WITHOUT_MARK):
        return 3, [(292, LONG, ((kind > 0) | (4 if is_aligned else 0),))]
    if kind == 0 and is_aligned:
        return 2, []
    raise EvidenceError("unsupported", "fax data of a kind that TIFF has no name for")
