"""What stands behind a self-extracting program of 7-Zip's before its archive: the settings, and the archive.

Source: 7-Zip 26, "7zSD.sfx" (the block between ;!@Install@! and ;!@InstallEnd@!).
Limits: archives that follow a program directly are found without this; settings are text, not fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import open_slice
from indexer.limits import KIB
from indexer.model import Child, Fact, Text

BEGIN, END = b";!@Install@!", b";!@InstallEnd@!"
ARCHIVE = b"7z\xbc\xaf\x27\x1c"
MOST_SETTINGS = 512 * KIB


class SelfExtracting(Handler):
    name = "sfx-settings"
    media_types = ("application/x-7z-sfx-settings",)
    signatures = (Signature(BEGIN), Signature(b"\xef\xbb\xbf" + BEGIN))
    suffixes = ()
    fields: ClassVar[Mapping[str, str]] = {}
    reads = "settings of a self-extracting program, as text, and the archive behind them"
    rank = 56
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, MOST_SETTINGS)
        end = data.find(END)
        start = data.find(ARCHIVE, max(end, 0))
        settings = data[: end + len(END) if end >= 0 else max(start, 0)]
        yield Text(decode(settings).text.replace("\r\n", "\n"), "settings")
        if start < 0:
            raise EvidenceError("truncated", "no archive follows the settings")
        yield Child("[archive]", b"[archive]", open_slice(stream, start, stream.size - start))
