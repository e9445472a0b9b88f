"""Outlook's stores: every folder, and every message as the message file that Outlook would save.

A folder is a member without bytes. A message is a member whose bytes are put together from its
properties (`mail.synthesised`), with its recipients, its attachments and the messages inside it. The
password of a store guards nothing: it is only a checksum that programs ask for, and is told as a field.

Source: [MS-PST] 2.2 to 2.5 (stores of Outlook 97 to 2010); stores of Outlook 2013 and later.
Limits: search folders are not read (they hold no messages of their own); pages and blocks that no tree names any more
are not looked for; stores whose own file is encrypted (WIP) cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar, NamedTuple

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._pst_message import SUBJECT, Names, message_file, plain_subject
from indexer.handlers._pst_nodes import MAGIC, Node, Store
from indexer.handlers._pst_tables import Value, properties, row_numbers
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_filetime

_STORE, _NAME, _CLASS, _PASSWORD = 0x21, 0x3001, 0x3613, 0x67FF
_FOLDER, _MESSAGE, _HIDDEN, _CONTENTS, _HIDDEN_CONTENTS = 2, 4, 8, 14, 15
_CLIENTS = {b"SM": "PST", b"SO": "OST", b"AB": "PAB"}
_CIPHERS = {0: "none", 1: "compressible", 2: "high", 16: "WIP"}
_NAME_CHARS = 120
_DEPTH = 256


class _Folder(NamedTuple):
    parent: int
    name: Value
    kind: str
    stamps: tuple[Timestamp, ...]


class Pst(Handler):
    name = "pst"
    media_types = ("application/vnd.ms-outlook-pst",)
    signatures = (Signature(MAGIC),)
    suffixes = (".pst", ".ost", ".pab")
    fields: ClassVar[Mapping[str, str]] = {
        "pst.client": "what kind of store: PST, OST (a copy of a mailbox on a server), PAB (addresses)",
        "pst.format": "form of the store: ANSI, Unicode, Unicode with pages of 4 KiB",
        "pst.encryption": "how its blocks are hidden: none, compressible, high; none of them needs a key",
        "pst.name": "name of the store",
        "pst.password_crc": "checksum of a password that Outlook asks for; the store can be read without it",
        "pst.folder_class": "what a folder is for: notes, appointments, contacts, ...",
        "pst.node": "number of the folder or the message in the store",
        "pst.hidden": "a message that programs keep for themselves (settings, forms, views)",
        "mail.folder": "folder the message lies in",
        "mail.synthesised": "the bytes are a message file put together from the store's properties",
        "mail.deleted": "no folder lists the message any more",
        "file.kind": "directory, for a folder",
    }
    reads = "every folder and message, messages that no folder lists, with attachments and messages inside"
    rank = 26
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[8:10] in _CLIENTS else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        store = Store(stream)
        yield Field("pst.client", _CLIENTS.get(store.client, "unknown"))
        yield Field("pst.format", store.form)
        yield Field("pst.encryption", _CIPHERS.get(store.crypt, str(store.crypt)))
        if store.crypt not in (0, 1, 2):
            raise EvidenceError("encrypted", f"blocks are hidden in a way ({store.crypt}) that needs a key")
        if store.declared_size > stream.size:
            message = f"{stream.size} of {store.declared_size} bytes are there"
            yield Problem("truncated", message, resolution="read as far as it goes")
        yield from _describe(store)
        problems: list[Problem] = []
        folders = dict(_folders(store, problems))
        paths = _paths(folders)
        for number, folder in folders.items():
            if paths[number]:
                yield _folder(number, folder, paths[number])
        names = Names(store)
        told: set[int] = set()
        unsure: set[int] = set()
        for number, path in paths.items():
            for kind in (_CONTENTS, _HIDDEN_CONTENTS):
                met = len(problems) + store.faults
                for node in _listed(store, number & ~31 | kind, problems):
                    if node.number not in told:
                        told.add(node.number)
                        yield _message(store, node, names, path)
                if len(problems) + store.faults > met:
                    unsure.add(number)
        for node in store.nodes():
            if node.kind in (_MESSAGE, _HIDDEN) and node.number not in told:
                # Where a table could not be read, nobody knows what it would have listed.
                deleted = node.parent in paths and node.parent not in unsure
                yield _message(store, node, names, paths.get(node.parent, ""), deleted=deleted)
        yield from dict.fromkeys(problems + store.problems)


def _describe(store: Store) -> Iterator[Field]:
    try:
        node = store.node(_STORE)
        held = properties(store, node, []) if node else {}
    except EvidenceError:
        return
    if name := _text(held.get(_NAME)):
        yield Field("pst.name", name)
    crc = int.from_bytes(held[_PASSWORD].data, "little") if _PASSWORD in held else 0
    # All ones stand in stores of a server's mailbox and mean that there is none.
    if crc not in (0, 0xFFFFFFFF):
        yield Field("pst.password_crc", f"{crc:08x}")


def _folders(store: Store, problems: list[Problem]) -> Iterator[tuple[int, _Folder]]:
    for node in store.nodes():
        if node.kind != _FOLDER:
            continue
        try:
            held = properties(store, node, [])
        except EvidenceError as error:
            problems.append(Problem(error.cause, error.message, resolution="the folder is shown by its number"))
            held = {}
        stamps = []
        for number, kind in ((0x3007, "B"), (0x3008, "M")):
            ticks = int.from_bytes(held[number].data, "little") if number in held else 0
            if stamp := from_filetime(kind, ticks, f"pst.{number:04x}"):
                stamps.append(stamp)
        name = held.get(_NAME, Value(0x1F, f"folder {node.number:#x}".encode("utf-16-le")))
        yield node.number, _Folder(node.parent, name, _text(held.get(_CLASS)), tuple(stamps))


def _paths(folders: Mapping[int, _Folder]) -> dict[int, str]:
    """Where each folder stands; names in a code page are judged together, for alone they say too little."""
    bare = b"\n".join(folder.name.data for folder in folders.values() if folder.name.kind == 0x1E)
    codec = decode(bare).codec
    paths = {}
    for number in folders:
        parts: list[str] = []
        seen: set[int] = set()
        at = number
        while at in folders and at not in seen and len(seen) < _DEPTH:
            seen.add(at)
            parts.append(_shown(_text(folders[at].name, codec)))
            at = folders[at].parent
        paths[number] = "/".join(part for part in reversed(parts) if part)
    return paths


def _text(value: Value | None, codec: str = "") -> str:
    if value is None or value.node or value.kind not in (0x1E, 0x1F):
        return ""
    data = value.data
    if value.kind == 0x1F:
        return data[: len(data) & ~1].decode("utf-16-le", "replace").strip("\0")
    return (data.decode(codec, "replace") if codec else decode(data).text).strip("\0")


def _shown(name: str) -> str:
    """A name that can stand in a path: a slash in it parts nothing."""
    return "".join("_" if char in "/\\" or ord(char) < 32 else char for char in name).strip()


def _folder(number: int, folder: _Folder, path: str) -> Child:
    fields = [Field("file.kind", "directory"), Field("pst.node", f"{number:#x}")]
    if folder.kind:
        fields.append(Field("pst.folder_class", folder.kind))
    return Child(path, f"{number:#x}".encode(), None, folder.stamps, tuple(fields))


def _listed(store: Store, number: int, problems: list[Problem]) -> Iterator[Node]:
    """The messages that a folder's table of contents names."""
    try:
        table = store.node(number)
        if table is None and number & 31 == _CONTENTS:
            raise EvidenceError("corrupt", f"a folder has no table {number:#x} of its contents")
        for row in row_numbers(store, table) if table else ():
            node = store.node(row)
            if node is None:
                message = f"table {number:#x} names a message {row:#x} that is not there"
                problems.append(Problem("corrupt", message, resolution="left out"))
            else:
                yield node
    except EvidenceError as error:
        problems.append(Problem(error.cause, error.message, resolution="messages are found without the table"))


def _message(store: Store, node: Node, names: Names, path: str, *, deleted: bool = False) -> Child:
    try:
        held = properties(store, node, [])
    except EvidenceError:
        # The same trouble comes again when the member is opened, and is told there.
        held = {}
    subject = held.get(SUBJECT)
    shown = _shown(_text(Value(subject.kind, plain_subject(subject)))) if subject and not subject.node else ""
    name = f"{shown[:_NAME_CHARS].strip() or f'message {node.number:#x}'}.msg"
    fields = [Field("mail.synthesised", True), Field("pst.node", f"{node.number:#x}")]
    if path:
        fields.append(Field("mail.folder", path))
    if node.kind == _HIDDEN:
        fields.append(Field("pst.hidden", True))
    if deleted:
        fields.append(Field("mail.deleted", True))
    shown_path = f"{path}/{name}" if path else name
    opening = partial(_open, store, node, names)
    return Child(shown_path, f"{node.number:#x}".encode(), opening, fields=tuple(fields))


def _open(store: Store, node: Node, names: Names) -> BinaryIO:
    return open_chunks(message_file(store, node, names))
