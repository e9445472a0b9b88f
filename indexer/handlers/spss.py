"""Data sets of SPSS: rows with the words that values stand for, columns, documents, program, when written.

Source: GNU PSPP developers' guide, "System File Format", "Portable File Format", "Encrypted File Wrappers".
Limits: formats beyond dates and times; values that are declared missing are shown as they stand. Encrypted files are
told as such. System files and portable files in EBCDIC are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import label
from indexer.handlers._rows import one_line, passages
from indexer.handlers._spss import MAGICS, Dictionary, SystemFile, Value, Variable, show
from indexer.handlers._spss_portable import TAG, PortableFile
from indexer.handlers._survey import SAMPLE, Texts, with_label
from indexer.model import Fact, Field, Problem, Timestamp

_LOCKED: Final = b"\x1c" + bytes(7) + b"ENCRYPTEDSAV"
_PORTABLE: Final = b"ASCII SPSS PORT FILE"
_PLACES: Final = (456, 461, 466)
"""Where the mark of a portable file stands: its five lines before end with nothing, with one byte, with two."""


class Spss(Handler):
    name = "spss"
    media_types = ("application/x-spss-sav", "application/x-spss-por")
    signatures = (
        *(Signature(magic) for magic in MAGICS),
        Signature(_LOCKED),
        Signature(_PORTABLE, 40),
        *(Signature(TAG, place) for place in _PLACES),
    )
    suffixes = (".sav", ".zsav", ".por")
    fields: ClassVar[dict[str, str]] = {
        "spss.program": "program that wrote the file, with its system",
        "spss.release": "release of the program, or of the portable format",
        "spss.label": "label of the data set",
        "spss.author": "who or what a portable file was written for",
        "spss.rows": "number of rows that were read",
        "spss.column": "name of a column, with its label",
        "spss.codec": "encoding that the texts were read by",
        "spss.byte_order": "order of the bytes: little or big",
        "spss.packing": "how the rows are packed: none, codes, zlib, portable",
        "spss.weight": "column that rows are weighted by",
    }
    reads = "rows with labels of values, columns, documents, attributes, program, when written"
    rank = 30

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_LOCKED):
            return self.media_types[0]
        if stream.head.startswith(MAGICS):
            layout = stream.head[64:68]
            sound = len(layout) < 4 or sorted(layout) in ([0, 0, 0, 2], [0, 0, 0, 3])
            return self.media_types[0] if sound else None
        return self.media_types[1] if TAG in stream.head[:512] else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(_LOCKED):
            raise EvidenceError("encrypted", "the data set is locked with a password")
        file = SystemFile(stream) if stream.head.startswith(MAGICS) else PortableFile(stream)
        fault: EvidenceError | None = None
        first: list[list[Value]] = []
        rows = file.rows()
        try:
            file.describe()
            first += islice(rows, 200)
        except EvidenceError as error:
            fault = error
        held = file.held
        texts = Texts(_sample(held, first), held.codec)
        yield from _describe(held, texts)
        table = _Table(held, texts)
        for variable, labels in zip(held.variables, table.labels, strict=True):
            lines = (f"{value}\t{one_line(words)}" for value, words in labels.items())
            yield from passages(lines, f"value labels of {label(texts.read(variable.name))},")
        faults = [fault] if fault else []
        heading = "\t".join(texts.read(variable.name) for variable in held.variables)
        yield from passages(table.lines(first, rows, faults), "rows", heading=heading)
        yield Field("spss.rows", table.told)
        if texts.lossy:
            yield Problem("lossy-text", f"{texts.lossy} bytes are not {texts.codec}", resolution="shown as U+FFFD")
        yield from (Problem(error.cause, error.message, resolution="read up to there") for error in faults)
        if not faults and table.told < held.rows:
            yield Problem("truncated", f"{table.told} of {held.rows} rows are here", resolution="kept them")


def _sample(held: Dictionary, first: list[list[Value]]) -> Iterator[bytes]:
    """Names, labels, documents and the texts of the first rows."""
    yield held.label
    left = SAMPLE
    for variable in held.variables:
        yield from (variable.name, variable.label)
        for words in variable.labels.values():
            left -= len(words)
            if left > 0:
                yield words
    yield from held.documents[:1000]
    left = SAMPLE
    for row in first:
        for value in row:
            if isinstance(value, bytes) and left > 0:
                left -= len(value)
                yield value


def _describe(held: Dictionary, texts: Texts) -> Iterator[Fact]:
    if held.created:
        yield Timestamp("B", held.created, "spss.header", zone_known=False)
    for name, value in (("program", held.program), ("label", held.label), ("author", held.author)):
        if text := texts.read(value).strip():
            yield Field(f"spss.{name}", text)
    for name, word in (("release", held.release), ("byte_order", held.byte_order), ("packing", held.packing)):
        if word:
            yield Field(f"spss.{name}", word)
    if held.weight:
        yield Field("spss.weight", texts.read(held.weight))
    for variable in held.variables:
        yield Field("spss.column", texts.read(variable.name) + label(texts.read(variable.label), bracketed=True))
    yield Field("spss.codec", texts.codec)
    yield from passages((texts.read(line) for line in held.documents), "documents")
    for about, remark in held.remarks:
        lines = (texts.read(line).strip() for line in remark.splitlines())
        yield from passages((line for line in lines if line), about)


class _Table:
    """Rows as lines; counts what it told."""

    def __init__(self, held: Dictionary, texts: Texts) -> None:
        self._variables, self._texts = held.variables, texts
        self.told = 0
        self.labels: list[dict[str, str]] = [
            {self._plain(value, variable): texts.read(words) for value, words in variable.labels.items()}
            for variable in held.variables
        ]

    def _plain(self, value: Value, variable: Variable) -> str:
        if isinstance(value, bytes):
            return one_line(self._texts.read(value.replace(b"\0", b" ")))
        return "" if value is None else show(value, variable.form)

    def lines(
        self, first: list[list[Value]], rest: Iterator[list[Value]], faults: list[EvidenceError]
    ) -> Iterator[str]:
        """Every row as one line; what goes wrong in the middle is put to the faults."""
        for row in first:
            yield self._line(row)
        try:
            for row in rest:
                yield self._line(row)
        except EvidenceError as error:
            faults.append(error)

    def _line(self, row: list[Value]) -> str:
        self.told += 1
        shown = map(self._plain, row, self._variables)
        return "\t".join(map(with_label, shown, self.labels)).rstrip("\t")
