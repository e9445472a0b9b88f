"""Zip archives: every member that the directory or the data themselves show, and what lies between.

Source: APPNOTE.TXT 6.3.10 (PKWARE); Info-ZIP extra fields (extrafld.txt); WinZip AE-1/AE-2.
Limits: PKWARE's strong encryption and encrypted directories, the methods tokenize, dcl-implode, cmpsc,
terse, lz77, mp3, jpeg and wavpack are named but not read. A split archive is read in its last volume
(.zip), in its first where that is missing; the volumes of one on old floppy disks, which bear one name,
are read one by one. Where no compiler was at hand when this was installed, small AES members take twice
as long as other programs need: deriving the key of each by OpenSSL is nearly all of it.

Members come out in the order in which they stand in the file. Where two headers of one member
disagree, both views come out, the second with the field `zip.view`. Ranges that belong to nothing are
members named `[before the archive]`, `[between members @0x..]`, `[inside member @0x..]` (after the end
mark of compressed data) and `[after the archive]`, with `file.kind` `slack`.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.handler import CONTROLS, Handler, Signature, Stream
from indexer.handlers._zip_records import END, LOCAL, find_archive
from indexer.handlers._zip_set import NAMES, find_set, is_later_volume, is_volume
from indexer.handlers._zip_walk import walk
from indexer.model import Fact

TRAIL = 1024
"""Bytes that may follow an archive which stands behind unknown bytes."""


class ZipArchive(Handler):
    name = "zip"
    version = 2
    media_types = ("application/zip", "application/x-zip-compressed", "application/java-archive")
    signatures = (
        Signature(LOCAL),
        Signature(END),
        Signature(b"PK\x07\x08"),
        Signature(b"PK00PK\x03\x04"),
        # an archive may follow anything: programs, scripts, pictures; the bytes at the end decide
        Signature(b""),
    )
    suffixes = (".zip", ".zipx", ".jar", ".war", ".ear", ".apk", ".xpi", ".cbz", ".kmz", ".ipa", ".z01")
    holds = CONTROLS
    fields = {
        "zip.comment": "comment of the archive, or of one member",
        "zip.sfx": "true where the archive stands behind a program or a script",
        "zip.ambiguous": "what two views of the archive, or of one member, disagree on",
        "zip.method": "compression method of the member",
        "zip.made_by": "version and system of the program that wrote the member",
        "zip.view": "where a member was found, if not in directory and data alike",
        "zip.volume": "number of the volume of a split archive, from 1",
        "archive.volume": "number of the volume of a set, from 1",
        "archive.volumes": "volumes that were joined",
        "archive.part_of": "name of the volume in which the whole set is read",
        "zip.same_data_as": "name of the member that has the same packed bytes",
        "zip.offset": "where the bytes that belong to nothing begin in the archive",
        "file.kind": "directory, symlink, fifo, socket, a device, alias (a second name), or slack",
        "file.link_target": "where a symbolic link or a second name points",
        "file.mode": "Unix permissions, in octal",
        "file.uid": "Unix user number",
        "file.gid": "Unix group number",
        "archive.size": "recorded size of a member that could not be opened",
        "archive.crc32": "recorded checksum of a member that could not be opened",
        "encryption.method": "how the member is encrypted",
        "encryption.password": "line of the password that opened the member",
        "names.*": "how member names were decoded; a second name by the Unicode path extra",
    }
    reads = "members by directory and by data, all methods, with passwords, split archives, slack, times, comments"
    needs = ("p7z", "inflate64", "pyppmd", "backports.zstd", "Cryptodome")
    rank = 50
    volumes = True
    volume_names = NAMES
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:8]
        if head.startswith((LOCAL, END)) or head in (b"PK\x07\x08" + LOCAL, b"PK00" + LOCAL):
            return self.media_types[0]
        archive = find_archive(stream, stream.size) if stream.size > 76 else None
        if archive is None or not archive.members:
            return self.media_types[0] if is_later_volume(stream) else None
        # what ends before the table of a PDF does lies in one of its streams
        if head.startswith(b"%PDF-") and b"startxref" in stream.at(archive.end, TRAIL):
            return None
        # a signature may follow a program; behind anything else the archive must end the file, or nearly
        if stream.size - archive.end > TRAIL and not head.startswith((b"MZ", b"\x7fELF", b"#!")):
            return None
        return self.media_types[0]

    def is_volume(self, stream: Stream) -> bool:
        return is_volume(stream)

    def read(self, stream: Stream) -> Iterator[Fact]:
        found = find_set(stream)
        yield from found.facts()
        if not found.part_of:
            yield from walk(found.stream, found.starts)
