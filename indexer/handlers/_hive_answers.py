"""What analysts ask of a registry: whose machine, which zone, which addresses, users, disks, programs.

Source: Microsoft Learn on the keys named below; the rest as seen in the registries of Windows 7 to 11.
Limits: a hive's own place in the registry is told by the keys that stand at its top.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from indexer.handlers._hive import Key, Value
from indexer.handlers._hive_words import readable, text_of
from indexer.handlers._windows import moment
from indexer.model import Fact, Field, Timestamp
from indexer.timestamps import from_filetime, from_unix

FIELDS: Final = {
    "registry.computer_name": "name of the machine",
    "registry.domain": "network domain of the machine, or the search list of its names",
    "registry.time_zone": "time zone that the machine was set to",
    "registry.utc_offset": "minutes from UTC to the machine's time, daylight saving included, when last set",
    "registry.os": "name, edition and build of Windows",
    "registry.owner": "registered owner or organisation",
    "registry.address": "network address of an interface, or of its gateway, name server, DHCP server",
    "registry.network": "name of a network that the machine was on",
    "registry.profile": "a user's security identifier and the folder of the profile",
    "registry.account": "name of a local account",
    "registry.usb_device": "a storage device that was attached: maker, product, serial number",
    "registry.volume": "name of a volume or device that was mounted",
    "registry.autostart": "a program that starts by itself: name and command",
    "registry.service": "a service outside of Windows' own folder: name and command",
    "registry.typed": "what a user typed: address, path, command, search",
    "registry.recent": "file or folder that a user opened",
    "registry.remote": "remote machine or share that a user connected to",
    "registry.program": "installed program, with its version and publisher",
    "registry.share": "folder that the machine shared",
}
_TEXTS: Final = {
    (r"control\computername\computername", "computername"): "computer_name",
    (r"control\computername\activecomputername", "computername"): "computer_name",
    (r"services\tcpip\parameters", "hostname"): "computer_name",
    (r"services\tcpip\parameters", "domain"): "domain",
    (r"services\tcpip\parameters", "searchlist"): "domain",
    (r"control\timezoneinformation", "timezonekeyname"): "time_zone",
    (r"control\timezoneinformation", "standardname"): "time_zone",
    (r"windows nt\currentversion", "registeredowner"): "owner",
    (r"windows nt\currentversion", "registeredorganization"): "owner",
}
_ADDRESSES: Final = frozenset(
    ("ipaddress", "dhcpipaddress", "defaultgateway", "dhcpdefaultgateway", "nameserver", "dhcpnameserver", "dhcpserver")
)
_RUN: Final = re.compile(r"\\currentversion\\(?:policies\\explorer\\)?run(?:once|onceex|services)?$")
_TYPED: Final = re.compile(
    r"\\(?:typedurls|typedpaths|runmru|wordwheelquery|acmru(?:\\[^\\]+)?|map network drive mru|"
    r"terminal server client\\default)$"
)
_OPENED: Final = re.compile(
    r"\\(?:recentdocs|opensavepidlmru|opensavemru|lastvisitedpidlmru|lastvisitedmru)(?:\\[^\\]*)?$|"
    r"\\(?:file mru|place mru|recent file list)$"
)
_DEVICE: Final = re.compile(r"\\enum\\(?:usbstor|scsi)\\[^\\]+\\[^\\]+$")
_SERVICE: Final = re.compile(r"^[^\\]+\\services\\([^\\]+)$")
_ADDRESS_OF: Final = re.compile(r"\\services\\tcpip6?\\parameters\\interfaces\\")
_UNINSTALL: Final = re.compile(r"\\currentversion\\uninstall\\[^\\]+$")
_ORDER: Final = frozenset(("mrulist", "mrulistex", "(default)", ""))


def answer(key: Key) -> Iterator[Fact]:
    """The facts that one key gives; nothing for most keys."""
    path = key.path.lower()
    last, _, leaf = path.rpartition("\\")
    pair = f"{last.rpartition(chr(92))[2]}\\{leaf}"
    values = {value.name.lower(): value for value in key.values}
    if leaf in ("computername", "activecomputername", "parameters", "timezoneinformation", "currentversion"):
        long_pair = "\\".join(path.split("\\")[-3:])
        for (place, name), meaning in _TEXTS.items():
            if place in (pair, long_pair) and name in values:
                yield from _field(meaning, text_of(values[name]))
    if leaf == "timezoneinformation" and (bias := values.get("activetimebias")) and len(bias.data) == 4:
        yield Field("registry.utc_offset", -int(struct.unpack("<i", bias.data)[0]))
    elif pair == r"control\windows" and "shutdowntime" in values:
        yield from _stamp("shutdown", values["shutdowntime"], "registry.ShutdownTime")
    elif pair == r"windows nt\currentversion":
        yield from _system(values)
    elif _ADDRESS_OF.search(path):
        for name in sorted(_ADDRESSES & values.keys()):
            for text in re.split(r"[ |,]+", text_of(values[name])):
                if text not in ("", "0.0.0.0", "::"):  # noqa: S104 - what stands where no address is set
                    yield Field("registry.address", text)
    elif "\\profilelist\\" in path and "profileimagepath" in values:
        yield from _field("profile", f"{key.path.rpartition(chr(92))[2]} {text_of(values['profileimagepath'])}")
    elif path.endswith("\\users\\names") or "\\users\\names\\" in path:
        yield from _field("account", key.path.rpartition("\\")[2] if leaf != "names" else "")
    elif _DEVICE.search(path):
        yield from _device(key, values)
    elif leaf == "mounteddevices" or "\\windows portable devices\\devices\\" in path:
        for value in key.values:
            text = text_of(value) or readable(value.data)
            yield from _field("volume", f"{value.name}: {text}" if text else "")
    elif _RUN.search(path) or pair == r"currentversion\winlogon":
        for value in key.values:
            if leaf != "winlogon" or value.name.lower() in ("shell", "userinit", "defaultusername"):
                yield from _field("autostart", f"{value.name}: {text_of(value)}" if text_of(value) else "")
    elif match := _SERVICE.search(path):
        command = text_of(values["imagepath"]) if "imagepath" in values else ""
        if command and not re.match(r"(?i)(?:\\systemroot\\|%systemroot%\\|\\\?\?\\c:\\windows\\)?system32\\", command):
            yield from _field("service", f"{key.path.split(chr(92))[-1]}: {command}" if match else "")
    else:
        yield from _of_users(key, path, leaf, values)


def _of_users(key: Key, path: str, leaf: str, values: dict[str, Value]) -> Iterator[Fact]:
    """What a user did: typed, opened, connected to; what was installed and shared."""
    if _TYPED.search(path):
        meaning = "remote" if leaf == "default" or leaf.startswith("map ") else "typed"
        for value in key.values:
            if value.name.lower() not in _ORDER:
                yield from _field(meaning, (text_of(value) or readable(value.data)).removesuffix("\\1"))
    elif _OPENED.search(path):
        for value in key.values:
            if value.name.lower() not in _ORDER:
                yield from _field("recent", text_of(value) or readable(value.data))
    elif "\\terminal server client\\servers\\" in path:
        hint = text_of(values["usernamehint"]) if "usernamehint" in values else ""
        yield from _field("remote", f"{key.path.rpartition(chr(92))[2]} {hint}".strip())
    elif "\\mountpoints2\\##" in path:
        yield from _field("remote", key.path.rpartition("\\")[2].replace("#", "\\"))
    elif re.search(r"(?:^|\\)network\\[a-z]$", path) and "remotepath" in values:
        yield from _field("remote", f"{leaf.upper()}: {text_of(values['remotepath'])}")
    elif "\\networklist\\profiles\\" in path and "profilename" in values:
        yield from _field("network", text_of(values["profilename"]))
    elif path.endswith("\\lanmanserver\\shares"):
        for value in key.values:
            yield from _field("share", f"{value.name}: {text_of(value)}")
    elif _UNINSTALL.search(path) and "displayname" in values:
        names = ("displayname", "displayversion", "publisher")
        yield from _field("program", " | ".join(filter(None, (text_of(values[n]) for n in names if n in values))))


def _system(values: dict[str, Value]) -> Iterator[Fact]:
    names = ("productname", "displayversion", "editionid", "csdversion", "currentbuild")
    told = " ".join(filter(None, (text_of(values[name]) for name in names if name in values)))
    yield from _field("os", told)
    date = values.get("installdate")
    if date and len(date.data) == 4 and (seconds := int.from_bytes(date.data, "little")):
        stamp = from_unix("installed", seconds, "registry.InstallDate")
        if stamp:
            yield stamp


def _device(key: Key, values: dict[str, Value]) -> Iterator[Fact]:
    """A device by its maker's words or its friendly name, and its serial number."""
    *_, bus, made, serial = key.path.split("\\")
    friendly = text_of(values["friendlyname"]) if "friendlyname" in values else ""
    yield from _field("usb_device" if bus.lower() == "usbstor" else "volume", f"{friendly or made} {serial}")


def _stamp(kind: str, value: Value, origin: str) -> Iterator[Timestamp]:
    if len(value.data) == 8 and (stamp := from_filetime(kind, int.from_bytes(value.data, "little"), origin)):
        yield stamp


def _field(meaning: str, text: str) -> Iterator[Field]:
    if text.strip():
        yield Field(f"registry.{meaning}", text.strip()[:1000])


def tell_account(key: Key) -> str:
    """The times that the account database keeps of one user, as a line; empty for other keys."""
    if not re.search(r"\\account\\users\\[0-9a-f]{8}$", key.path.lower()):
        return ""
    data = next((value.data for value in key.values if value.name.upper() == "F"), b"")
    if len(data) < 68:
        return ""
    words = (("last logon", 8), ("password set", 24), ("last wrong password", 40))
    told = [f"{word} {when}" for word, at in words if (when := moment(int.from_bytes(data[at : at + 8], "little")))]
    return ", ".join([*told, f"logons {int.from_bytes(data[66:68], 'little')}"])
