"""Programs for iPhones (IPA): name, version, team, devices they may run on, who bought them; all members.

Source: Apple, "Bundle Resources: Information Property List"; TN3125, "Inside Code Signing: Provisioning Profiles".
Limits: signatures are not verified; programs inside the program (extensions, watch apps) are members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._parts import Parts, read_directory
from indexer.handlers._plist import BINARY, BinaryList, List, Map, read_xml
from indexer.handlers._zip_walk import walk
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

_APP: Final = re.compile(r"payload/[^/]+\.app/(info\.plist|embedded\.mobileprovision)\Z")
_STORE: Final = "itunesmetadata.plist"
_MOST: Final = 16 * MIB
_DEVICES: Final = 10_000
_INFO: Final = {
    "CFBundleIdentifier": "ios.bundle",
    "CFBundleDisplayName": "ios.label",
    "CFBundleName": "ios.name",
    "CFBundleShortVersionString": "ios.version",
    "CFBundleVersion": "ios.build",
    "MinimumOSVersion": "ios.minimum",
    "DTSDKName": "ios.sdk",
    "BuildMachineOSBuild": "ios.build_machine",
}
_PROFILE: Final = {
    "Name": "ios.profile",
    "UUID": "ios.profile_id",
    "TeamName": "ios.team",
    "TeamIdentifier": "ios.team_id",
    "AppIDName": "ios.app_id_name",
    "ProvisionedDevices": "ios.device",
}
_SOLD: Final = {"appleId": "ios.apple_id", "userName": "ios.buyer", "artistName": "ios.seller", "itemName": "ios.item"}
_TIMES: Final = {"CreationDate": "B", "ExpirationDate": "valid_until", "purchaseDate": "bought"}


class Ipa(Handler):
    name = "ipa"
    media_types = ("application/x-ios-app",)
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".ipa",)
    fields: ClassVar[dict[str, str]] = {
        "ios.bundle": "name of the bundle",
        "ios.label": "name that people see",
        "ios.name": "short name",
        "ios.version": "version as people read it",
        "ios.build": "version as the system compares it",
        "ios.minimum": "lowest version of the system that it runs on",
        "ios.sdk": "kit that it was made with",
        "ios.build_machine": "version of the system that it was made on",
        "ios.profile": "name of the profile by which it may run",
        "ios.profile_id": "number of that profile",
        "ios.team": "team that made it",
        "ios.team_id": "number of that team",
        "ios.app_id_name": "name of the program to the team",
        "ios.device": "number of a device that it may run on",
        "ios.apple_id": "account that bought it",
        "ios.buyer": "name of who bought it",
        "ios.seller": "who sells it",
        "ios.item": "name in the shop",
    }
    reads = "bundle, version, team, devices, buyer; all members as zip"
    needs = ("lxml",)
    rank = 36
    container = True

    def claims(self, stream: Stream) -> str | None:
        directory = read_directory(stream)
        return self.media_types[0] if b"Payload/" in directory and b".app/Info.plist" in directory else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            parts = Parts(stream)
        except EvidenceError:
            yield from walk(stream)  # which tells the damage
            return
        for name in parts.names:
            if match := _APP.match(name):
                yield from _tell(parts, name, _INFO if match[1].startswith("info") else _PROFILE)
        if _STORE in parts:
            yield from _tell(parts, _STORE, _SOLD)
        yield from walk(stream)


def _tell(parts: Parts, name: str, wanted: dict[str, str]) -> Iterator[Fact]:
    data = parts.read(name, _MOST)
    try:
        if data.startswith(BINARY):
            top = BinaryList(data).top()
        else:
            begin, end = data.find(b"<?xml"), data.rfind(b"</plist>")
            top, _ = read_xml(iter((data[max(begin, 0) : end + 8] if end > 0 else data[max(begin, 0) :],)))
    except EvidenceError as error:
        yield Problem(error.cause, f"{name}: {error.message}", resolution="a member")
        return
    for key, ref in top.pairs if isinstance(top, Map) else ():
        if field := wanted.get(key):
            value = ref()
            values = [each() for each in value.items[:_DEVICES]] if isinstance(value, List) else [value]
            yield from (Field(field, each) for each in values if isinstance(each, str | int) and each != "")
        elif kind := _TIMES.get(key):
            at = ref()
            if isinstance(at, datetime):
                yield Timestamp(kind, at, f"plist.{key}")
