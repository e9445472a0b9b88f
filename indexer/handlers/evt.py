"""Event logs of Windows NT to 2003 (.evt): every record with its time, source, number, user and texts.

Source: [MS-EVEN] 2.2 as far as records show it; the file as documented by libevt (header, ring of records).
Limits: messages are not put together from the programs' resource files; a log over 512 MiB is read up to
    there; times of the first 50,000 records are timestamps, all stand in the text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._event_words import name_event, tell_logon
from indexer.handlers._runs import find_runs
from indexer.handlers._windows import sid, wide_at
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, print_time
from indexer.timestamps import from_unix

_MARK: Final = b"LfLe"
_HEAD: Final = 48
_WHOLE: Final = 512 * MIB
_TIMES: Final = 50_000
_NAMES: Final = 1000
_TYPES: Final = {1: "error", 2: "warning", 4: "information", 8: "audit success", 16: "audit failure"}
_LOGON: Final = ("TargetUserName", "TargetDomainName", "LogonId", "LogonType", "", "", "WorkstationName")
_FAILED: Final = ("TargetUserName", "TargetDomainName", "LogonType", "", "", "WorkstationName")
_KEYS: Final = {
    528: (*_LOGON, *[""] * 6, "IpAddress"),
    540: (*_LOGON, *[""] * 6, "IpAddress"),
    538: _LOGON[:4],
    529: (*_FAILED, *[""] * 5, "IpAddress"),
    530: (*_FAILED, *[""] * 5, "IpAddress"),
    531: (*_FAILED, *[""] * 5, "IpAddress"),
}
"""What the texts of a record mean, by their place, for logons in the security log."""


class Evt(Handler):
    name = "evt"
    media_types = ("application/x-ms-evt",)
    signatures = (Signature(b"\x30\0\0\0LfLe"),)
    suffixes = (".evt",)
    fields: ClassVar[dict[str, str]] = {
        "evt.computer": "machine that an event was recorded on",
        "evt.source": "program that reported events",
        "evt.user": "security identifier of the user on whose behalf an event was recorded",
        "evt.records": "records that were read",
        "evt.dirty": "the log was not closed cleanly",
    }
    reads = "records with time, source, number, user, texts; logons in words"
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, _WHOLE)
        if len(data) < _HEAD:
            raise EvidenceError("truncated", "the header is not whole")
        if struct.unpack_from("<I", data, 36)[0] & 1:
            yield Field("evt.dirty", True)
        names: dict[tuple[str, str], None] = {}
        count = 0
        times: list[int] = []
        at = data.find(_MARK, _HEAD)
        while at >= 0:
            start = at - 4
            size = int.from_bytes(data[start:at], "little")
            record = data[start : start + size]
            if len(record) < size and start + size <= len(data) + len(data) - _HEAD:
                # The log is a ring: what does not fit at its end goes on behind the header.
                record += data[_HEAD : _HEAD + size - len(record)]
            if 56 <= size <= len(record) and record[-4:] == record[:4]:
                count += 1
                text, seconds = _tell(record, names)
                yield text
                times.append(seconds)
                if count <= _TIMES and (stamp := from_unix("logged", seconds, "evt.record")):
                    yield stamp
                at = data.find(_MARK, max(at + 4, start + size))
            else:
                following = data.find(_MARK, at + 4)
                if size not in (_HEAD, 40):
                    message = f"the record at {start} is not whole"
                    yield Problem("corrupt", message, resolution="strings indexed instead")
                    yield from _strings(data[start : following if following >= 0 else start + 65536], start)
                at = following
        for kind, value in names:
            yield Field(f"evt.{kind}", value)
        yield Field("evt.records", count)
        for kind, pick in (("first_logged", min), ("last_logged", max)):
            if times and (stamp := from_unix(kind, pick(times), "evt.record")):
                yield stamp


def _strings(data: bytes, at: int) -> Iterator[Text]:
    words = [data[run.start : run.end].decode(run.codec, "replace") for run in find_runs(data)]
    if words:
        yield Text("\n".join(words), f"strings of the record at {at}")


def _tell(record: bytes, names: dict[tuple[str, str], None]) -> tuple[Text, int]:
    """One record as text, and when it was logged; sources, machines and users go to `names`."""
    number, seconds, _, event, kind, texts = struct.unpack_from("<IIIIHH", record, 8)
    texts_at, sid_size, sid_at, data_size, data_at = struct.unpack_from("<5I", record, 36)
    source = wide_at(record, 56)
    computer = wide_at(record, 58 + 2 * len(source))
    user = sid(record[sid_at : sid_at + sid_size]) if sid_size else ""
    for name, value in (("source", source), ("computer", computer), ("user", user)):
        if value and len(names) < _NAMES:
            names[name, value] = None
    values: list[str] = []
    for _ in range(texts):
        if texts_at >= len(record) - 4:
            break
        values.append(wide_at(record, texts_at))
        texts_at += len(values[-1].encode("utf-16-le", "surrogatepass")) + 2
    code = event & 0xFFFF
    keys = _KEYS.get(code, ()) if source == "Security" else ()
    pairs = [(keys[place] if place < len(keys) else "", value) for place, value in enumerate(values)]
    name = name_event(source, code)
    stamp = from_unix("", seconds, "")
    when = print_time(stamp.at) if stamp else ""
    first = (when, f"event {code}" + f" ({name})" * bool(name), source, _TYPES.get(kind, ""), computer, user)
    lines = [" | ".join(part for part in first if part), tell_logon(name, pairs)]
    lines += [f"{key}: {value}" if key else value for key, value in pairs]
    if data_size and (raw := record[data_at : data_at + min(data_size, 64)]):
        lines.append(f"data: {raw.hex(' ')}")
    return Text("\n".join(line for line in lines if line), f"record {number}"), seconds
