"""Captured network traffic (pcap, pcapng): hosts, conversations, names asked for, requests, first and last packet.

Source: IETF drafts opsawg-pcap and opsawg-pcapng; see `_packets.py` for what is inside.
Limits: streams are not put together: of each packet what it says at its begin is told; wireless links, tunnels
and later fragments are counted, not read. Hosts and conversations beyond 100 000 are counted, not named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._capture import CLASSIC, NEW, Note, Packet, read_records
from indexer.handlers._packets import Datagram, protocol_name, read_datagram, read_words
from indexer.handlers._rows import one_line, passages
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_unix

_KEPT: Final = 100_000
_TOLD: Final = 5_000
_NOTES: Final = {
    "comment": "capture.comment",
    "hardware": "capture.hardware",
    "os": "capture.os",
    "application": "capture.application",
    "interface": "capture.interface",
    "name": "capture.name",
}
_WORDS: Final = {"dns": "capture.dns", "http": "capture.http_host", "tls": "capture.tls_name"}


class NetworkCapture(Handler):
    name = "pcap"
    media_types = ("application/vnd.tcpdump.pcap", "application/x-pcapng")
    signatures = (*(Signature(magic) for magic in CLASSIC), Signature(NEW))
    suffixes = (".pcap", ".pcapng", ".cap")
    fields: ClassVar[dict[str, str]] = {
        "capture.packets": "number of packets",
        "capture.bytes": "bytes of all packets together, as far as they were kept",
        "capture.other": "packets of another protocol than IP, or of a link that is not read",
        "capture.host": "address that sent or got packets",
        "capture.dns": "name that was asked for",
        "capture.http_host": "server that was asked by HTTP",
        "capture.tls_name": "server that was asked by TLS",
        "capture.name": "name of a host, as the capturing machine knew it",
        "capture.comment": "comment",
        "capture.hardware": "machine that captured",
        "capture.os": "system of that machine",
        "capture.application": "program that captured",
        "capture.interface": "name of a network interface",
    }
    reads = "hosts, conversations with times, names asked by DNS and TLS, heads of HTTP requests, comments"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(NEW):
            return self.media_types[1] if head[8:12] in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d") else None
        return self.media_types[0] if len(head) >= 24 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        traffic = _Traffic(stream)
        yield from passages(traffic.words(), "words", heading="packet\ttime\tfrom\tto\tkind\twords")
        yield from traffic.facts()


class _Flow:
    """What two ends said to one another."""

    __slots__ = ("bytes", "first", "last", "packets")

    def __init__(self, time: int) -> None:
        self.packets = self.bytes = 0
        self.first = self.last = time


class _Traffic:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._packets = self._bytes = self._other = 0
        self._first = self._last = -1
        self._flows: dict[tuple[str, str, int, int], _Flow] = {}
        self._hosts: dict[str, int] = {}
        self._notes: dict[Field, None] = {}
        self._fault: Problem | None = None

    def words(self) -> Iterator[str]:
        """A line for every packet that says something; the rest is counted."""
        try:
            for record in read_records(self._stream):
                if isinstance(record, Note):
                    self._note(_NOTES[record.name], record.text)
                elif datagram := self._count(record):
                    said = read_words(datagram) if datagram.body else None
                    if said:
                        for name in said.names:
                            self._note(_WORDS[said.kind], name)
                        ends = f"{_end(datagram.source, datagram.from_port)}\t{_end(datagram.target, datagram.to_port)}"
                        yield f"{self._packets}\t{_clock(record.time)}\t{ends}\t{said.kind}\t{one_line(said.text)}"
        except EvidenceError as error:
            self._fault = error.problem("", "read up to there")

    def _note(self, name: str, text: str) -> None:
        if text and len(self._notes) < _TOLD:
            self._notes.setdefault(Field(name, text))

    def _count(self, packet: Packet) -> Datagram | None:
        self._packets += 1
        size = len(packet.data)
        self._bytes += size
        if packet.time > 0:
            self._first = packet.time if self._first < 0 else min(self._first, packet.time)
            self._last = max(self._last, packet.time)
        datagram = read_datagram(packet.link, packet.data)
        if datagram is None:
            self._other += 1
            return None
        source, target, protocol, from_port, to_port, _ = datagram
        for host in (source, target):
            if host in self._hosts or len(self._hosts) < _KEPT:
                self._hosts[host] = self._hosts.get(host, 0) + 1
        # The side with the smaller port is the one that serves.
        served = from_port and (not to_port or from_port < to_port)
        key = (target, source, protocol, from_port) if served else (source, target, protocol, to_port)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= _KEPT:
                return datagram
            flow = self._flows[key] = _Flow(packet.time)
        flow.packets += 1
        flow.bytes += size
        flow.last = packet.time
        return datagram

    def facts(self) -> Iterator[Fact]:
        """What was counted."""
        yield Field("capture.packets", self._packets)
        yield Field("capture.bytes", self._bytes)
        if self._other:
            yield Field("capture.other", self._other)
        yield from self._notes
        for host in sorted(self._hosts, key=lambda each: (-self._hosts[each], each))[:_TOLD]:
            yield Field("capture.host", host)
        flows = (
            f"{one}\t{_end(other, port)}\t{protocol_name(protocol)}\t{flow.packets}\t{flow.bytes}"
            f"\t{_clock(flow.first)}\t{_clock(flow.last)}"
            for (one, other, protocol, port), flow in self._flows.items()
        )
        yield from passages(flows, "conversations", heading="from\tto\tprotocol\tpackets\tbytes\tfirst\tlast")
        for kind, time in (("first packet", self._first), ("last packet", self._last)):
            if time >= 0 and (
                stamp := from_unix(kind, time // 10**9, "capture.packet", nanoseconds=time % 10**9, resolution=1e-6)
            ):
                yield stamp
        if self._fault:
            yield self._fault


def _end(host: str, port: int) -> str:
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _clock(nanoseconds: int) -> str:
    if nanoseconds < 0:
        return ""
    stamp = from_unix("", nanoseconds // 10**9, "", nanoseconds=nanoseconds % 10**9)
    return f"{stamp.at:%Y-%m-%d %H:%M:%S.%f}Z" if stamp else str(nanoseconds)
