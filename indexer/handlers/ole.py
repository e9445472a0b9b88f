"""Compound files that no other handler knows: summary, macros, and every stream as a member.

Source: [MS-CFB]; [MS-OLEPS].
Limits: what the streams mean is not known: those of StarOffice 3 to 5, Works, Project, SolidWorks and
of equations are members as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, compound
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._vba import read_macros
from indexer.model import Fact

_TYPES = {
    "equation native": "application/vnd.ms-equation",
    "props9": "application/vnd.ms-project",
    "props12": "application/vnd.ms-project",
    "props14": "application/vnd.ms-project",
    "swdoccontentmgr": "application/sldworks",
    "quill": "application/x-mspublisher",
    "catalog": "application/vnd.ms-thumbnails",
    "mm": "application/vnd.ms-works",
    "matost": "application/vnd.ms-works",
    "starwriterdocument": "application/vnd.stardivision.writer",
    "starcalcdocument": "application/vnd.stardivision.calc",
    "stardrawdocument": "application/vnd.stardivision.draw",
    "stardrawdocument3": "application/vnd.stardivision.draw",
    "starmathdocument": "application/vnd.stardivision.math",
    "starchartdocument": "application/vnd.stardivision.chart",
}


class Ole(Handler):
    name = "ole"
    version = 2
    media_types = (
        "application/x-ole-storage",
        "application/CDFV2",
        "application/x-mspublisher",
        "application/vnd.ms-works",
        "application/vnd.ms-thumbnails",
        "application/vnd.ms-equation",
        "application/vnd.ms-project",
        "application/sldworks",
        "application/vnd.stardivision.writer",
        "application/vnd.stardivision.calc",
        "application/vnd.stardivision.draw",
        "application/vnd.stardivision.math",
        "application/vnd.stardivision.chart",
    )
    signatures = (Signature(MAGIC),)
    suffixes = (".ole", ".wps", ".msi", ".mpp", ".db", ".sdw", ".sdc", ".sda", ".sdd", ".smf")
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "summary; source of macros; every stream as a member, packaged files and objects as files of their own"
    rank = 45
    container = True

    def claims(self, stream: Stream) -> str | None:
        if not kind_of(stream):
            return None
        held = compound(stream)
        return next((kind for key, kind in _TYPES.items() if key in held.entries), self.media_types[0])

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        if held.fault:
            raise EvidenceError("corrupt", held.fault)
        yield from read_properties(held)
        taken: set[str] = set()
        yield from read_macros(held, taken)
        yield from members(held, lambda key: key in taken)
        yield from held.problems
