"""A zip file as facts: fields of the archive, one child for every member and every stray range.

Source: APPNOTE.TXT 6.3.10. The order of the file decides the order of the children.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._zip_content import Key, Member, as_file, open_member, raw_pieces
from indexer.handlers._zip_facts import differences, fields_of, kind_of, settled_name, timestamps_of, unicode_extra
from indexer.handlers._zip_keys import Keyring
from indexer.handlers._zip_layout import Layout, Slack, Spot
from indexer.handlers._zip_records import AES, MASKED, METHODS, STREAMED, STRONG, UTF8, Header, method_name
from indexer.model import Child, Fact, Field, Problem
from indexer.names import decode_names

FEW = 8
"""A stray range up to this length is taken for padding."""
LINK_LIMIT = 1 << 16
TOLD = 32
"""Disagreements told one by one; the rest are counted."""
UNREAD = frozenset({7, 10, 16, 18, 19, 94, 96, 97})
STRENGTHS = {1: "AES-128", 2: "AES-192", 3: "AES-256"}


def walk(stream: Stream, starts: tuple[int, ...] = ()) -> Iterator[Fact]:
    """Every fact of one zip file.

    Args:
        starts: where each volume of a split archive begins in the stream, -1 for a missing one.

    Raises:
        EvidenceError: corrupt, where nothing in it is a zip record.
    """
    return _Walk(stream, starts).facts()


class _Walk:
    def __init__(self, stream: Stream, starts: tuple[int, ...]) -> None:
        self._stream = stream
        self._layout = Layout(stream, starts)
        self._split = bool(starts)
        self._keys = Keyring(stream)
        self._names: dict[bytes, str] = {}
        self._codec = ""
        self._overlapping = 0
        self._overlaps = 0
        self._told = 0
        self._last = ""

    def facts(self) -> Iterator[Fact]:
        layout = self._layout
        yield from self._settle()
        if layout.archives and self._stream.head.startswith((b"MZ", b"\x7fELF", b"#!")):
            yield Field("zip.sfx", True)
        for archive, counted in zip(layout.archives, layout.counted, strict=True):
            if archive.disk and not self._split:
                yield Field("zip.volume", archive.disk + 1)
            if archive.members != counted & 0xFFFF and archive.members != counted:
                yield from self._tell(f"members: {archive.members} by the end record, {counted} in the directory")
        members = 0
        for found in layout.spots():
            if isinstance(found, Slack):
                yield from self._slack(found, first=not members)
                continue
            members += 1
            yield from self._member(found)
        if self._told > TOLD:
            yield Field("zip.ambiguous", f"{self._told - TOLD} more")
        if self._overlaps:
            yield Problem("corrupt", f"{self._overlaps} members overlap others", resolution="each range is read once")
        yield from (Field("zip.comment", self._text(comment)) for comment in layout.comments if comment)
        if not layout.comments:
            if not members:
                raise EvidenceError("corrupt", "no member and no directory of a zip archive in it")
            yield Problem("truncated", "no end record", resolution="members found by their own headers")

    # -- names -----------------------------------------------------------------------------------

    def _settle(self) -> Iterator[Field]:
        """Decides all names together that do not say themselves how they are encoded.

        Names found later, in ranges that no directory covers, follow that decision where they can.
        """
        unsettled = self._layout.unsettled
        waiting = [raw for raw in unsettled if raw not in self._names]
        unsettled.clear()
        if self._codec:
            self._names.update((raw, self._text(raw)) for raw in waiting)
        elif waiting:
            decision = decode_names(waiting)
            self._codec = decision.codec
            self._names.update(zip(waiting, decision.names, strict=True))
            yield from decision.fields()

    def _name(self, header: Header) -> str:
        name = settled_name(header)
        if name is None:
            name = self._names.get(header.raw)
        return name if name is not None else self._text(header.raw)

    def _text(self, raw: bytes) -> str:
        """A comment or a link's target; like the names, where that can be."""
        for codec in ("utf-8", self._codec):
            try:
                return raw.decode(codec)
            except (UnicodeDecodeError, LookupError):
                continue
        return decode_names((raw,)).names[0]

    # -- members ---------------------------------------------------------------------------------

    def _member(self, spot: Spot) -> Iterator[Fact]:
        header = spot.central or spot.local
        if header is None:
            return
        if not header.raw.isascii():
            yield from self._settle()
        name = self._name(header)
        fields = [*fields_of(header.method, header, central=spot.central is not None)]
        if header.flags & UTF8 and 0x7075 in header.extra:
            second = unicode_extra(header, 0x7075, header.raw)
            if second is not None and second != name:
                fields.append(Field("names.unicode_path", second))
        if header.comment:
            comment = unicode_extra(header, 0x6375, header.comment)
            fields.append(Field("zip.comment", self._text(header.comment) if comment is None else comment))
        if spot.local is None:
            yield self._absent(spot, header, name, fields)
            return
        if spot.central is None and self._layout.archives:
            fields.append(Field("zip.view", "data alone: in no directory"))
        yield from self._present(spot, header, spot.local, name, fields)
        if spot.central is not None:
            yield from self._compare(spot, spot.central, spot.local, name)

    def _absent(self, spot: Spot, header: Header, name: str, fields: list[Field]) -> Child:
        """A member of the directory whose data are not here."""
        if kind := kind_of(header):
            fields.append(Field("file.kind", kind))
        fields += [Field("zip.view", "directory alone: no data"), *_recorded(header)]
        if spot.elsewhere:
            problem = Problem(
                "truncated", f"the data are not in this file (volume {header.disk + 1}, offset 0x{header.offset:x})"
            )
        else:
            problem = Problem("corrupt", f"no local header at 0x{spot.position:x}")
        return Child(name, header.raw, None, timestamps_of(header, None), tuple(fields), (problem,))

    def _present(self, spot: Spot, header: Header, local: Header, name: str, fields: list[Field]) -> Iterator[Fact]:
        member = _member_of(spot, header, local, name)
        problems: list[Problem] = []
        key = self._key(member, fields, problems)
        if spot.overlaps:
            self._overlaps += 1
        if spot.overlaps or spot.rival:
            problems += self._overlap(spot)
        kind = kind_of(header)
        timestamps = timestamps_of(header, local)
        if kind == "directory" and (spot.end - spot.start > 2 or header.size) and not member.encryption:
            kind = ""
        if kind == "symlink" and not problems:
            target = self._target(member, key)
            if target is None:
                kind = ""
            else:
                fields.append(Field("file.link_target", target))
        if kind:
            fields.append(Field("file.kind", kind))
        if spot.twin and not kind:
            fields.append(Field("zip.same_data_as", self._last))
        if any(each.cause in ("encrypted", "unsupported") for each in problems):
            fields += _recorded(header)
        openable = not kind and not problems
        opening = partial(open_member, self._stream, member, key) if openable else None
        yield Child(name, header.raw, opening, timestamps, tuple(fields), tuple(problems))
        self._last = self._last if spot.twin else name
        if openable and member.leftover and not member.encryption:
            yield from self._slack(Slack(spot.end - member.leftover, spot.end), inside=True)

    def _key(self, member: Member, fields: list[Field], problems: list[Problem]) -> Key | None:
        """The key of an encrypted member; adds what is known and what is wrong."""
        if member.encryption:
            fields.append(Field("encryption.method", member.encryption))
        if member.header.flags & (STRONG | MASKED) and member.encryption:
            problems.append(Problem("encrypted", "PKWARE strong encryption is not read"))
            return None
        if member.method in UNREAD or member.method not in METHODS:
            message = f"compression method {member.method} ({method_name(member.method)}) is not read"
            problems.append(Problem("unsupported", message))
            return None
        if not member.encryption:
            return None
        try:
            key, proven = self._keys.find(member)
        except EvidenceError as error:
            problems.append(error.problem("zip"))
            return None
        if key is None:
            tried = len(self._stream.passwords)
            problems.append(Problem("encrypted", f"{member.encryption}: none of {tried} passwords opens it"))
            return None
        if proven:
            fields.append(key.password.field())
        else:
            member.doubt = f"; the password of {key.password.origin} fits, without proof"
        return key

    def _overlap(self, spot: Spot) -> Iterator[Problem]:
        """Lets overlapping members read no more than the file's own length in all."""
        packed = spot.end - spot.start
        if spot.twin:
            yield Problem("limit", f"same packed bytes as {self._last!r}", resolution="read once, there")
        elif self._overlapping + packed > self._stream.size:
            yield Problem("limit", "overlaps other members", resolution="not opened: its bytes were read with them")
        else:
            self._overlapping += packed

    def _target(self, member: Member, key: Key | None) -> str | None:
        """What a symbolic link points to; None where its bytes are no path."""
        if member.size is None or member.size > LINK_LIMIT:
            return None
        try:
            with open_member(self._stream, member, key) as source:
                data = b""
                while len(data) <= LINK_LIMIT and (chunk := source.read(LINK_LIMIT + 1)):
                    data += chunk
        except EvidenceError:
            return None
        return self._text(data) if 0 < len(data) <= LINK_LIMIT else None

    def _compare(self, spot: Spot, central: Header, local: Header, name: str) -> Iterator[Fact]:
        """The second view of a member whose two headers disagree."""
        if central.flags & MASKED or spot.twin:
            return
        found = differences(central, local, streamed=bool(local.flags & STREAMED))
        if not found:
            return
        for each in found:
            yield from self._tell(f"{name!r} @0x{spot.position:x}: {each}")
        label = Field("zip.view", "local header")
        if central.raw != local.raw:
            self._layout.unsettled.setdefault(local.raw)
            yield from self._settle()
        other = self._name(local)
        fields = (*fields_of(local.method, local, central=False), label)
        end = local.end + local.packed
        rival = not local.flags & STREAMED and (end != spot.end or local.method != central.method)
        if rival and local.packed and not (central.flags | local.flags) & 1:
            view = Spot(spot.position, None, local, spot.start, crc=local.crc, size=local.size, rival=True)
            view.missing = max(0, end - self._stream.size)
            view.end = max(view.start, end - view.missing)
            yield from self._present(view, local, local, other, [label, *fields[:-1]])
        elif central.raw != local.raw:
            fields = (*fields, Field("file.kind", "alias"), Field("file.link_target", name))
            yield Child(other, local.raw, None, timestamps_of(local, local), fields)

    def _tell(self, what: str) -> Iterator[Field]:
        self._told += 1
        if self._told <= TOLD:
            yield Field("zip.ambiguous", what)

    # -- what belongs to nothing -----------------------------------------------------------------

    def _slack(self, slack: Slack, *, first: bool = False, inside: bool = False) -> Iterator[Child]:
        start, end = slack
        if end - start <= FEW or end - start == self._stream.size:
            return
        if not any(piece.strip(b"\0") for piece in raw_pieces(self._stream, start, end)):
            return
        if inside:
            name = f"[inside member @0x{start:x}]"
        elif first:
            name = "[before the archive]"
        elif end == self._stream.size:
            name = "[after the archive]"
        else:
            name = f"[between members @0x{start:x}]"
        fields = (Field("file.kind", "slack"), Field("zip.offset", start))
        yield Child(name, name.encode(), lambda: as_file(raw_pieces(self._stream, start, end)), (), fields)


def _member_of(spot: Spot, header: Header, local: Header, name: str) -> Member:
    member = Member(header, name, spot.start, spot.end, header.method, spot.crc, spot.size)
    member.missing, member.exact = spot.missing, spot.exact
    if not header.flags & 1:
        return member
    member.encryption = "ZipCrypto"
    if header.flags & STRONG or 0x17 in header.extra:
        member.encryption = "PKWARE strong encryption"
        member.header.flags |= STRONG
    elif header.method == AES:
        payload = header.extra.get(0x9901) or local.extra.get(0x9901, b"")
        if len(payload) >= 7 and payload[4] in STRENGTHS:
            member.strength = payload[4]
            member.encryption = STRENGTHS[member.strength]
            member.method = int.from_bytes(payload[5:7], "little")
            if payload[:2] == b"\x02\x00":
                member.crc = None
    return member


def _recorded(header: Header) -> list[Field]:
    return [Field("archive.size", header.size), Field("archive.crc32", f"{header.crc:08x}")]
