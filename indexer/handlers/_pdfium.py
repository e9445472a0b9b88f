"""PDFium through its plain C interface: every handle is closed where it was opened.

Source: the public headers of PDFium (fpdfview.h, fpdf_text.h, fpdf_doc.h, fpdf_annot.h, fpdf_attachment.h).
The Python classes around it close their handles when they are collected, which is too late for us.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

IN_MEMORY = 16 * MIB
"""A document up to this size is handed over as bytes, which is quicker than through the file system."""
_STRING = 16 * MIB
_EVERYWHERE = 1e7
_WRONG_PASSWORD = 4
_ERRORS = {2: "the file cannot be read", 3: "no page tree or cross-reference could be found", 6: "no pages"}
_UNSUPPORTED_LOCK = 5


class WrongPasswordError(Exception):
    """The document wants a password, or another one."""


def load_pdfium() -> Any:
    """The raw bindings.

    Raises:
        EvidenceError: `missing-library`.
    """
    try:
        import pypdfium2.raw as pdfium
    except ImportError as error:
        raise EvidenceError("missing-library", "pypdfium2 is needed: pip install pypdfium2") from error
    return pdfium


@contextmanager
def open_document(pdfium: Any, stream: Stream, password: bytes | None = None, data: bytes = b"") -> Iterator[Any]:
    """The document's handle.

    Args:
        data: read instead of the stream, where it is not empty.

    Raises:
        WrongPasswordError: the password is not this one.
        EvidenceError: nothing of it can be loaded.
    """
    if data or stream.size <= IN_MEMORY:
        data = data or stream.at(0, stream.size)
        document = pdfium.FPDF_LoadMemDocument64(data, len(data), password)
        with _opened(pdfium, document):
            yield document
        del data
        return
    with stream.path() as path:
        document = pdfium.FPDF_LoadDocument(path.encode() + b"\0", password)
        with _opened(pdfium, document):
            yield document


@contextmanager
def _opened(pdfium: Any, document: Any) -> Iterator[None]:
    if not document:
        code = pdfium.FPDF_GetLastError()
        if code == _WRONG_PASSWORD:
            raise WrongPasswordError
        if code == _UNSUPPORTED_LOCK:
            raise EvidenceError("encrypted", "encrypted by a security handler that cannot be opened")
        raise EvidenceError("corrupt", _ERRORS.get(code, "no page can be loaded"))
    try:
        yield
    finally:
        pdfium.FPDF_CloseDocument(document)


@contextmanager
def closing_with(close: Callable[[Any], object], handle: Any) -> Iterator[Any]:
    """A handle that is closed by `close`; nothing is closed where it is null."""
    try:
        yield handle
    finally:
        if handle:
            close(handle)


def wide_string(call: Callable[..., int], *arguments: Any) -> str:
    """The UTF-16 text that a call writes into a buffer of the size it asks for; empty where there is none."""
    size = call(*arguments, None, 0)
    if not 2 < size <= _STRING:
        return ""
    buffer = ctypes.create_string_buffer(size)
    pointer_type = call.argtypes[len(arguments)]  # type: ignore[attr-defined]
    call(*arguments, ctypes.cast(buffer, pointer_type), size)
    return buffer.raw[:size].decode("utf-16-le", "replace").rstrip("\0")


def byte_string(call: Callable[..., int], *arguments: Any) -> bytes:
    """The same for bytes; a closing zero byte is left out."""
    size = call(*arguments, None, 0)
    if not 0 < size <= _STRING:
        return b""
    buffer = ctypes.create_string_buffer(size)
    pointer_type = call.argtypes[len(arguments)]  # type: ignore[attr-defined]
    call(*arguments, ctypes.cast(buffer, pointer_type), size)
    return buffer.raw[:size].rstrip(b"\0")


def page_text(pdfium: Any, page: Any) -> str:
    """All text of a page in reading order, what lies outside of the visible area included."""
    with closing_with(pdfium.FPDFText_ClosePage, pdfium.FPDFText_LoadPage(page)) as text_page:
        if not text_page:
            return ""
        area = (text_page, -_EVERYWHERE, _EVERYWHERE, _EVERYWHERE, -_EVERYWHERE)
        # Asking for the size works the whole text out; room for twice the characters spares that.
        room = 2 * max(0, pdfium.FPDFText_CountChars(text_page)) + 16
        buffer = (ctypes.c_ushort * room)()
        count = pdfium.FPDFText_GetBoundedText(*area, buffer, room)
        if count >= room:
            room = pdfium.FPDFText_GetBoundedText(*area, None, 0)
            buffer = (ctypes.c_ushort * room)()
            count = pdfium.FPDFText_GetBoundedText(*area, buffer, room)
        return bytes(memoryview(buffer)[: max(0, count)]).decode("utf-16-le", "replace").removesuffix("\0")


def attachment_file(pdfium: Any, attachment: Any) -> io.BytesIO:
    """The bytes of an embedded file.

    Raises:
        EvidenceError: it cannot be unpacked.
    """
    size = ctypes.c_ulong()
    if not pdfium.FPDFAttachment_GetFile(attachment, None, 0, size):
        raise EvidenceError("corrupt", "the embedded file has no data that can be read")
    buffer = ctypes.create_string_buffer(max(1, size.value))
    pdfium.FPDFAttachment_GetFile(attachment, buffer, size.value, size)
    return io.BytesIO(buffer.raw[: size.value])
