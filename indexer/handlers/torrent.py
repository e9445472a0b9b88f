"""Torrents: what is shared, which files and how large, by which trackers, made when and by what program.

Source: BEP 3 (metainfo), BEP 12 (tracker tiers), BEP 17 and 19 (web seeds), BEP 27 (private), BEP 52 (version 2).
Limits: hashes of pieces are not told; of the files in which clients remember their work (resume.dat, fastresume)
the values are told as they stand. More than 64 MiB are not read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._bencode import Bencoded, Value, strings
from indexer.handlers._rows import one_line, passages
from indexer.limits import MIB
from indexer.model import Cause, Fact, Field, Problem, Text
from indexer.names import decode_names
from indexer.timestamps import from_unix

_MOST: Final = 64 * MIB
_FILES: Final = 1_000_000
_KEY: Final = re.compile(
    rb"d(?:8:announce|13:announce-list|\d+:azureus_properties|18:azureus_private_.{0,4}|7:comment|13:comment\.utf-8"
    rb"|10:created by|13:creation date|8:encoding|4:info|5:nodes|8:url-list|9:httpseeds|9:publisher)"
)
_REST: Final = (b"10:.fileguard", b"11:file-format", b"9:qBt-")
_HASHES: Final = (b"pieces", b"pieces root", b"piece layers", b"peers", b"peers6", b"banned_peers", b"have")
_TOLD: Final = {b"created by": "created_by", b"encoding": "encoding", b"publisher": "publisher"}


class Torrent(Handler):
    name = "torrent"
    media_types = ("application/x-bittorrent", "application/x-bittorrent-resume")
    signatures = (Signature(b"d"),)
    suffixes = (".torrent", ".fastresume", ".dat.old")
    fields: ClassVar[dict[str, str]] = {
        "torrent.name": "name of the file or of the folder that is shared",
        "torrent.infohash": "digest by which clients know it, version 1 (SHA-1)",
        "torrent.infohash_v2": "digest by which clients know it, version 2 (SHA-256)",
        "torrent.tracker": "address of a tracker",
        "torrent.web_seed": "address of a server that has the files",
        "torrent.node": "host and port of a first node of the distributed table",
        "torrent.comment": "comment",
        "torrent.created_by": "program that made it",
        "torrent.encoding": "encoding of its names, as it says",
        "torrent.publisher": "publisher",
        "torrent.source": "site that it was made for",
        "torrent.private": "true where clients may ask its trackers alone",
        "torrent.files": "number of files",
        "torrent.size": "bytes of all files together",
        "torrent.piece_length": "bytes of one piece",
        "names.*": "how the names were decoded",
    }
    reads = "name, files with sizes, trackers, when and by what it was made, info hashes; values of resume files"
    rank = 45

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if _KEY.match(head) and (b"4:info" in head or len(head) < stream.size):
            return self.media_types[0]
        known = any(head.startswith(mark, 1) for mark in _REST) or b"22:libtorrent resume file" in head
        return self.media_types[1] if known and head[1:2].isdigit() else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        found = Bencoded(data)
        root = found.root
        info = root.get(b"info")
        if isinstance(info, dict):
            yield from _about(root, info)
            if span := found.spans.get(b"info"):
                whole = data[slice(*span)]
                if b"pieces" in info:
                    yield Field("torrent.infohash", hashlib.sha1(whole, usedforsecurity=False).hexdigest())
                if info.get(b"meta version") == 2:
                    yield Field("torrent.infohash_v2", hashlib.sha256(whole).hexdigest())
            yield from _files(info)
        else:
            yield from passages(_values(root), "values")
        if found.fault:
            cause: Cause = "truncated" if "breaks off" in found.fault else "corrupt"
            yield Problem("limit" if stream.size > _MOST else cause, found.fault, resolution="read up to there")
        elif found.end < stream.size:
            yield Problem("corrupt", f"{stream.size - found.end} bytes behind the end", resolution="not read")


def _about(root: dict[bytes, Value], info: dict[bytes, Value]) -> Iterator[Fact]:
    declared = _text(root.get(b"encoding"))
    trackers = [root.get(b"announce"), *_flat(root.get(b"announce-list"))]
    for address in dict.fromkeys(_text(each) for each in trackers):
        yield from (Field("torrent.tracker", address) for _ in range(bool(address)))
    for address in dict.fromkeys(_text(each) for key in (b"url-list", b"httpseeds") for each in _flat(root.get(key))):
        yield Field("torrent.web_seed", address)
    nodes = root.get(b"nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, list) and len(node) == 2 and isinstance(node[0], bytes):
            yield Field("torrent.node", f"{_text(node[0])}:{node[1] if isinstance(node[1], int) else ''}")
    for key, name in _TOLD.items():
        if value := _text(root.get(key)):
            yield Field(f"torrent.{name}", value)
    comment = root.get(b"comment.utf-8") or root.get(b"comment")
    if isinstance(comment, bytes) and comment:
        text = decode_names((comment,), declared=declared).names[0]
        yield Field("torrent.comment", text)
        yield Text(text, "comment")
    if source := _text(info.get(b"source")):
        yield Field("torrent.source", source)
    if info.get(b"private") == 1:
        yield Field("torrent.private", True)
    if isinstance(size := info.get(b"piece length"), int):
        yield Field("torrent.piece_length", size)
    made = root.get(b"creation date")
    if isinstance(made, int) and made > 0 and (stamp := from_unix("B", made, "torrent.creation_date")):
        yield stamp


def _files(info: dict[bytes, Value]) -> Iterator[Fact]:
    """The shared name, and the list of files in the order in which they are shared."""
    unicode = info.get(b"name.utf-8")
    raw = unicode if isinstance(unicode, bytes) else info.get(b"name", b"")
    listed = list(_listed(info))
    shared = raw if isinstance(raw, bytes) else b""
    if not listed and isinstance(length := info.get(b"length"), int):
        listed = [(shared, length)]
    paths = [path for path, _ in listed]
    decided = decode_names([shared, *paths])
    yield from decided.fields()
    if shared:
        yield Field("torrent.name", decided.names[0])
        yield Text(decided.names[0], "name")
    yield Field("torrent.files", len(listed))
    yield Field("torrent.size", sum(size for _, size in listed))
    rows = (f"{one_line(name)}\t{size}" for name, (_, size) in zip(decided.names[1:], listed, strict=True))
    yield from passages(rows, "files")
    if len(listed) >= _FILES:
        yield Problem("limit", f"more than {_FILES} files", resolution="the first ones are told")


def _listed(info: dict[bytes, Value]) -> Iterator[tuple[bytes, int]]:
    files = info.get(b"files")
    if isinstance(files, list):
        for each in files[:_FILES]:
            if isinstance(each, dict):
                path = each.get(b"path.utf-8") or each.get(b"path")
                steps = [step for step in path if isinstance(step, bytes)] if isinstance(path, list) else []
                size = each.get(b"length")
                yield b"/".join(steps), size if isinstance(size, int) else 0
        return
    waiting: list[tuple[bytes, Value]] = [(b"", info.get(b"file tree", {}))]
    told = 0
    while waiting and told < _FILES:
        path, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        leaf = node.get(b"")
        if isinstance(leaf, dict):
            size = leaf.get(b"length")
            yield path, size if isinstance(size, int) else 0
            told += 1
        below = [(path + b"/" + key if path else key, each) for key, each in node.items() if key]
        waiting += reversed(below)


def _values(root: dict[bytes, Value]) -> Iterator[str]:
    for path, value in strings(root):
        if isinstance(value, bytes):
            if path and path[-1].encode() in _HASHES:
                continue
            try:
                shown = value.decode()
            except UnicodeDecodeError:
                shown = value.hex() if len(value) <= 32 else f"[{len(value)} bytes]"
        else:
            shown = str(value)
        yield f"{'.'.join(path)}: {one_line(shown)}"


def _flat(value: Value | None) -> list[Value]:
    """The strings of a string, of a list, or of a list of lists."""
    if isinstance(value, list):
        return [each for part in value for each in (part if isinstance(part, list) else [part])]
    return [] if value is None else [value]


def _text(value: Value | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
