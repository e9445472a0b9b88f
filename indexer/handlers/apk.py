"""Programs for Android (APK): package, version, permissions, names by language, who signed it; all members.

Source: Android platform sources, ResourceTypes.h; Android developer guide, "App manifest"; "APK Signature Scheme
v2" and "v3" (source.android.com); JAR File Specification (signatures of version 1).
Limits: signatures are not verified; code (classes.dex) is a member.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _x509
from indexer.handlers._android import read_elements, read_table
from indexer.handlers._parts import Parts, read_directory
from indexer.handlers._signed_zip import block_facts, signer_facts
from indexer.handlers._zip_walk import walk
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_MANIFEST: Final = "AndroidManifest.xml"
_MOST: Final = 64 * MIB
_TOLD: Final = 2_000
_MANIFEST_FIELDS: Final = {
    ("manifest", "package"): "android.package",
    ("manifest", "versionName"): "android.version",
    ("manifest", "versionCode"): "android.version_code",
    ("manifest", "sharedUserId"): "android.shared_user",
    ("uses-sdk", "minSdkVersion"): "android.min_sdk",
    ("uses-sdk", "targetSdkVersion"): "android.target_sdk",
    ("uses-permission", "name"): "android.permission",
    ("application", "debuggable"): "android.debuggable",
    ("activity", "name"): "android.activity",
    ("service", "name"): "android.service",
    ("receiver", "name"): "android.receiver",
}


class Apk(Handler):
    name = "apk"
    media_types = ("application/vnd.android.package-archive",)
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".apk",)
    fields: ClassVar[dict[str, str]] = {
        **_x509.FIELDS,
        "android.package": "name of the package",
        "android.version": "version as people read it",
        "android.version_code": "version as the system compares it",
        "android.shared_user": "user that it shares with other packages",
        "android.min_sdk": "lowest version of the system that it runs on",
        "android.target_sdk": "version of the system that it was made for",
        "android.permission": "what it asks to be allowed",
        "android.debuggable": "whether it may be debugged",
        "android.label": "name that people see, with its language where it has one",
        "android.activity": "a screen",
        "android.service": "a part that runs unseen",
        "android.receiver": "a part that waits for messages",
        "signature.scheme": "scheme by which it is signed: v1, v2, v3",
    }
    reads = "package, version, permissions, names, signers; all members as zip"
    needs = ("lxml",)
    rank = 35
    container = True

    def claims(self, stream: Stream) -> str | None:
        directory = read_directory(stream)
        # A part of a program that is split holds a manifest and little else: there the name decides.
        mine = b"classes" in directory or b"resources.arsc" in directory or stream.suffix == ".apk"
        return self.media_types[0] if mine and _MANIFEST.encode() in directory else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            parts = Parts(stream)
        except EvidenceError:
            yield from walk(stream)  # which tells the damage
            return
        yield from _manifest(parts)
        yield from signer_facts(parts)
        yield from block_facts(stream)
        yield from walk(stream)


def _manifest(parts: Parts) -> Iterator[Fact]:
    data = parts.read(_MANIFEST, _MOST)
    label = ""
    told: dict[Field, None] = {}
    try:
        for element in read_elements(data):
            for name, value in element.values if element.opens else ():
                if (field := _MANIFEST_FIELDS.get((element.name, name))) and value and len(told) < _TOLD:
                    told.setdefault(Field(field, value))
                if (element.name, name) == ("application", "label"):
                    label = value
    except EvidenceError as error:
        yield Problem(error.cause, f"{_MANIFEST}: {error.message}", resolution="read as far as it goes")
    yield from told
    if label.startswith("@") and len(label) == 9:
        yield from _labels(parts, int(label[1:], 16))
    elif label:
        yield Field("android.label", label)


def _labels(parts: Parts, number: int) -> Iterator[Field]:
    try:
        for each in read_table(parts.read("resources.arsc", _MOST)):
            if each.number == number:
                yield Field("android.label", f"{each.text} ({each.place})" if each.place else each.text)
    except EvidenceError:
        pass  # the table is a member, which tells what is wrong with it
