"""Small settings files of Windows: web shortcuts, zone marks of downloads, remote desktop files, error reports.

Source: Microsoft Learn ("Supported RDP properties"; "Internet Shortcuts"); [MS-FSCC] 5.6.1 (Zone.Identifier);
Windows Error Reporting reports (Report.wer) and desktop.ini as Windows 7 to 11 write them.
Limits: passwords in remote desktop files stay encrypted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._lines import encoding_facts, lines_of, passages, read_text, text_head
from indexer.model import Fact, Field
from indexer.timestamps import from_filetime

_URL, _ZONE, _RDP, _WER, _FOLDER = (
    "application/x-mswinurl",
    "text/x-zone-identifier",
    "application/x-rdp",
    "text/x-windows-error-report",
    "text/x-desktop-ini",
)
_SECTIONS: Final = {
    "[internetshortcut": _URL,
    "[zonetransfer]": _ZONE,
    "[.shellclassinfo]": _FOLDER,
}
_RDP_LINE: Final = re.compile(r"^(?:full address:s|screen mode id:i|session bpp:i|alternate full address:s):", re.M)
_LINE: Final = re.compile(r"([^=:\n]{1,120}?)(?::[sib]:|=)([^\n]{0,4000})")
_FIELDS: Final = {
    (_URL, "url"): "url.address",
    (_URL, "baseurl"): "url.address",
    (_URL, "iconfile"): "url.icon",
    (_URL, "workingdirectory"): "url.working_dir",
    (_ZONE, "zoneid"): "zone.id",
    (_ZONE, "referrerurl"): "zone.referrer",
    (_ZONE, "hosturl"): "zone.host",
    (_ZONE, "hostipaddress"): "zone.address",
    (_ZONE, "lastwriterpackagefamilyname"): "zone.program",
    (_RDP, "full address"): "rdp.address",
    (_RDP, "alternate full address"): "rdp.address",
    (_RDP, "username"): "rdp.user",
    (_RDP, "domain"): "rdp.domain",
    (_RDP, "gatewayhostname"): "rdp.gateway",
    (_RDP, "alternate shell"): "rdp.program",
    (_RDP, "remoteapplicationprogram"): "rdp.program",
    (_RDP, "shell working directory"): "rdp.working_dir",
    (_RDP, "drivestoredirect"): "rdp.drives",
    (_WER, "eventtype"): "wer.event",
    (_WER, "appname"): "wer.program_name",
    (_WER, "apppath"): "wer.program",
    (_WER, "originalfilename"): "wer.original_filename",
    (_WER, "friendlyeventname"): "wer.event_name",
    (_WER, "reportdescription"): "wer.description",
    (_FOLDER, "localizedresourcename"): "folder.name",
    (_FOLDER, "iconresource"): "folder.icon",
    (_FOLDER, "iconfile"): "folder.icon",
    (_FOLDER, "infotip"): "folder.tip",
}
_PATHS: Final = frozenset(("url.address", "zone.referrer", "zone.host", "rdp.program", "wer.program"))
_ZONES: Final = {"0": "this machine", "1": "local network", "2": "trusted", "3": "internet", "4": "restricted"}
_FILETIMES: Final = {(_WER, "eventtime"): "failed", (_WER, "uploadtime"): "uploaded"}
_MOST: Final = 2_000


class WindowsIni(Handler):
    name = "windows-ini"
    media_types = (_URL, _ZONE, _RDP, _WER, _FOLDER)
    suffixes = (".url", ".website", ".rdp", ".wer")
    holds = b"[=:"
    fields: ClassVar[dict[str, str]] = {
        "url.address": "address that a web shortcut opens",
        "url.icon": "file or address of its icon",
        "url.working_dir": "folder that it starts in",
        "zone.id": "where a file came from: 3 is the internet",
        "zone.referrer": "page that the file was linked from",
        "zone.host": "address that the file was fetched from",
        "zone.address": "network address that the file was fetched from",
        "zone.program": "program that wrote the file",
        "rdp.address": "machine that a remote desktop file connects to",
        "rdp.user": "user that it logs on as",
        "rdp.domain": "domain of that user",
        "rdp.gateway": "gateway that it goes through",
        "rdp.program": "program that it starts there",
        "rdp.working_dir": "folder of that program",
        "rdp.drives": "drives of this machine that the other may use",
        "wer.event": "kind of failure that an error report is about",
        "wer.event_name": "the same in words",
        "wer.program": "path of the program that failed",
        "wer.program_name": "name of the program that failed",
        "wer.original_filename": "file name that the program was built under",
        "wer.description": "what happened, in words",
        "folder.name": "name that a folder is shown with",
        "folder.icon": "icon that a folder is shown with",
        "folder.tip": "comment that a folder is shown with",
        "refers_to": "path or name of another file that this one uses",
        "text.*": "how the text was read",
    }
    reads = "addresses, users, programs, zones, times; the whole text"
    rank = 63

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:4096]
        start = head[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
        begins = start[:1] == b"[" or start[:8].lower() == b"version=" or b"\0" in start[:8]
        if not begins and b":i:" not in head and b":s:" not in head:
            return None
        return _kind(text_head(stream)[:4096])

    def read(self, stream: Stream) -> Iterator[Fact]:
        kind = _kind(text_head(stream)[:4096]) or _URL
        yield from _values(kind, text_head(stream))
        reader, pieces = read_text(stream)
        for text, _ in passages(lines_of(pieces)):
            yield text
        yield from encoding_facts(reader)


def _kind(text: str) -> str | None:
    """Which of these files a text is, by its first section or its first lines."""
    first = text.lstrip()[:200].lower()
    for mark, kind in _SECTIONS.items():
        if first.startswith(mark):
            return kind
    if first.startswith(("[{000214a0", "[default]")) and "[internetshortcut" in text.lower():
        return _URL
    if first.startswith("version=1\n") and "\neventtype=" in first:
        return _WER
    return _RDP if _RDP_LINE.search(text) else None


def _values(kind: str, text: str) -> Iterator[Fact]:
    count = 0
    signature = ""
    for match in _LINE.finditer(text):
        key, value = match[1].strip().lower(), match[2].strip()
        name = _FIELDS.get((kind, key))
        if name and value and count < _MOST:
            count += 1
            told = f"{value} ({_ZONES[value]})" if name == "zone.id" and value in _ZONES else value
            yield Field(name, told)
            if name in _PATHS:
                yield Field("refers_to", value)
        elif (kind, key) in _FILETIMES and value.isdecimal() and len(value) < 20:
            if stamp := from_filetime(_FILETIMES[kind, key], int(value), f"wer.{match[1].strip()}"):
                yield stamp
        elif kind == _URL and key == "modified" and len(signature := value) >= 16:
            yield from _modified(signature)


def _modified(value: str) -> Iterator[Fact]:
    """When a web shortcut was last used: a FILETIME in hex, byte by byte."""
    try:
        ticks = int.from_bytes(bytes.fromhex(value[:16]), "little")
    except ValueError:
        return
    if stamp := from_filetime("M", ticks, "url.Modified"):
        yield stamp
