"""Windows installers (msi, msm, mst, msp): product, maker, codes, every table's rows as text, cabinets as members.

Source: [MS-CFB]; Windows SDK, "Windows Installer Database".
Limits: files in the cabinets bear the keys of the File table, which stands in the text; of a patch, the
transforms inside are members.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, Compound, Entry, compound
from indexer.handlers._msi_tables import POOL, Database, decode_name
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text

KINDS = {"000c1084": "installer", "000c1086": "patch", "000c1082": "transform"}
"""By the first part of the class, in lower case."""
PROPERTIES = {
    "ProductName": "msi.product",
    "Manufacturer": "msi.manufacturer",
    "ProductVersion": "msi.product_version",
    "ProductCode": "msi.product_code",
    "UpgradeCode": "msi.upgrade_code",
    "ProductLanguage": "msi.language",
}
MOST_TEXT = 8 * MIB
"""Characters of one table."""
SUMMARY = ("\x05SummaryInformation", "\x05DocumentSummaryInformation", "\x05DigitalSignature")


class Msi(Handler):
    name = "msi"
    version = 2
    media_types = ("application/x-msi", "application/x-ms-installer", "application/x-ole-installer")
    signatures = (Signature(MAGIC),)
    suffixes = (".msi", ".msm", ".msp", ".mst")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "msi.kind": "installer, patch or transform",
        "msi.product": "name of the product",
        "msi.manufacturer": "its maker",
        "msi.product_version": "its version",
        "msi.product_code": "identifier of this product",
        "msi.upgrade_code": "identifier that its versions share",
        "msi.language": "number of the language it is made for",
        "msi.code_page": "code page of its strings",
    }
    reads = "product, maker, codes; every table; cabinets and other streams as members"
    rank = 44
    container = True

    def claims(self, stream: Stream) -> str | None:
        if kind_of(stream) != "ole":
            return None
        held = compound(stream)
        named = any(decode_name(entry.name) == POOL for entry in held.root.children[:1000])
        return self.media_types[0] if _kind(held) or named else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        if held.fault:
            raise EvidenceError("corrupt", held.fault)
        if kind := _kind(held):
            yield Field("msi.kind", kind)
        yield from read_properties(held)
        database = Database(held)
        if database.code_page:
            yield Field("msi.code_page", database.code_page)
        for table, columns, rows in database.tables():
            lines = ["\t".join(columns)]
            size = 0
            for row in rows:
                if table == "Property" and len(row) > 1 and (name := PROPERTIES.get(str(row[0]))) and row[1]:
                    yield Field(name, str(row[1]))
                lines.append("\t".join(str(cell) for cell in row))
                size += len(lines[-1])
                if size > MOST_TEXT:
                    yield Problem("limit", f"text_chars: more than {MOST_TEXT} characters in the table {table}")
                    break
            yield Text("\n".join(lines), f"table {table}")
        if database.missing:
            yield Problem("corrupt", f"{database.missing} strings are not there")
        for name, entry in database.streams.items():
            if entry.children or database.understood(name) or entry.name in SUMMARY or not entry.size:
                continue
            yield _member(held, name, entry)
        plain = {entry.key for entry in held.root.children if not entry.children}
        yield from members(held, lambda key: key in plain)
        yield from held.problems


def _kind(held: Compound) -> str:
    return KINDS.get(held.root.class_id.lower().strip("{}").partition("-")[0], "")


def _member(held: Compound, name: str, entry: Entry) -> Child:
    shown = "".join(f"[{ord(char)}]" if ord(char) < 32 else char for char in name)
    return Child(shown, entry.name.encode("utf-16-le", "surrogatepass"), partial(_open, held, entry))


def _open(held: Compound, entry: Entry) -> BinaryIO:
    return open_chunks(held.pieces(entry))
