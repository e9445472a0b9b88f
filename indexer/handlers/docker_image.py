"""What describes an image of a container: names, layers in their order, who built it when by which commands.

Reads the small files of an image, wherever they lie (in a tar of `docker save`, in a folder): manifest.json,
the configuration, and index and manifests of the OCI layout. The layers are tars of their own.

Source: OCI Image Format Specification 1.1 (index, manifest, config); Docker Image Specification 1.2.
Limits: layers are not laid over one another: what a later layer deletes is still a member of the earlier one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers._json_words import parse_json
from indexer.handlers._lines import lines_of, read_text, text_head
from indexer.handlers._lines import passages as text_passages
from indexer.handlers._rows import one_line, passages
from indexer.limits import MIB
from indexer.model import Fact, Field
from indexer.timestamps import from_iso

_SAVED: Final = re.compile(r'\s*\[\s*\{\s*"(?:Config|RepoTags|Layers)"\s*:')
_CONFIG: Final = re.compile(r'\s*\{\s*"(?:architecture|created|config|author|container|variant|id|docker_version)"\s*:')
_OCI: Final = re.compile(r'\s*\{\s*"(?:schemaVersion|mediaType)"\s*:')
_MOST: Final = 32 * MIB
_VALUES: Final = 200_000
_TOLD: Final = 2_000
_RUN: Final = (
    ("User", "docker.user"),
    ("WorkingDir", "docker.folder"),
    ("Env", "docker.env"),
    ("Entrypoint", "docker.entrypoint"),
    ("Cmd", "docker.command"),
    ("ExposedPorts", "docker.port"),
    ("Volumes", "docker.volume"),
)
_TOP: Final = (
    ("author", "docker.author"),
    ("architecture", "docker.architecture"),
    ("os", "docker.os"),
    ("docker_version", "docker.version"),
)


class DockerImage(Handler):
    name = "docker-image"
    version = 2
    media_types = (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/x-docker-manifest",
    )
    holds = b"{"
    fields: ClassVar[dict[str, str]] = {
        "docker.tag": "name of the image with its tag",
        "docker.config": "file or digest of the configuration",
        "docker.layer": "file or digest of a layer, from the lowest up",
        "docker.manifest": "digest of a manifest",
        "docker.author": "who made it",
        "docker.architecture": "processor that it runs on",
        "docker.os": "system that it runs on",
        "docker.version": "version of the program that built it",
        "docker.user": "user that it runs as",
        "docker.folder": "folder that it starts in",
        "docker.env": "variable that is set in it",
        "docker.entrypoint": "program that it starts",
        "docker.command": "what is given to that program",
        "docker.port": "port that it listens at",
        "docker.volume": "folder that lies outside",
        "docker.label": "label with its value",
    }
    reads = "names, layers in order, build commands with times, variables, labels; every value with its path"
    rank = 70

    def claims(self, stream: Stream) -> str | None:
        if stream.head.lstrip()[:1] not in (b"{", b"["):
            return None
        head = text_head(stream)
        if _SAVED.match(head) and '"Layers"' in head:
            return self.media_types[3]
        if _CONFIG.match(head) and ('"rootfs"' in head or '"history"' in head) and '"os"' in head + _tail(stream):
            return self.media_types[0]
        if _OCI.match(head) and '"digest"' in head:
            if '"layers"' in head and '"config"' in head:
                return self.media_types[1]
            return self.media_types[2] if '"manifests"' in head else None
        return None

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            value = parse_json(stream.at(0, min(stream.size, _MOST)))
        except EvidenceError as error:
            _, pieces = read_text(stream)
            yield from (text for text, _ in text_passages(lines_of(pieces)))
            yield error.problem("", "read as text")
            return
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from _described(each)
        yield from passages(_lines(value), "values")


def _tail(stream: Stream) -> str:
    return stream.at(max(0, stream.size - 65536), 65536).decode("utf-8", "replace")


def _described(top: dict[str, Any]) -> Iterator[Fact]:
    for name in _strings(top.get("RepoTags")):
        yield Field("docker.tag", name)
    if isinstance(config := top.get("Config"), str):
        yield Field("docker.config", config)
    for name in _strings(top.get("Layers")):
        yield Field("docker.layer", name)
    for key, field in (("layers", "docker.layer"), ("manifests", "docker.manifest")):
        for each in _maps(top.get(key)):
            if isinstance(digest := each.get("digest"), str):
                yield Field(field, digest)
            yield from _annotated(each)
    yield from _annotated(top)
    if top.get("layers") and isinstance(config := top.get("config"), dict):
        yield from (Field("docker.config", config["digest"]) for _ in range(isinstance(config.get("digest"), str)))
        return
    for key, field in _TOP:
        if isinstance(text := top.get(key), str) and text:
            yield Field(field, text)
    if isinstance(created := top.get("created"), str) and (stamp := from_iso("B", created, "docker.created")):
        yield stamp
    if isinstance(run := top.get("config"), dict):
        for key, field in _RUN:
            held = run.get(key)
            for text in [held] if isinstance(held, str) else _strings(held):
                yield from (Field(field, text) for _ in range(bool(text)))
        labels = run.get("Labels")
        for key, text in list(labels.items())[:_TOLD] if isinstance(labels, dict) else ():
            yield Field("docker.label", f"{key}={text}")
    if isinstance(rootfs := top.get("rootfs"), dict):
        yield from (Field("docker.layer", digest) for digest in _strings(rootfs.get("diff_ids")))
    history = _maps(top.get("history"))
    yield from passages(map(_step, history), "history")
    for each in history:
        if isinstance(at := each.get("created"), str) and (stamp := from_iso("layer built", at, "docker.history")):
            yield stamp


def _annotated(top: dict[str, Any]) -> Iterator[Fact]:
    notes = top.get("annotations")
    for key, text in list(notes.items())[:_TOLD] if isinstance(notes, dict) else ():
        if not isinstance(text, str):
            continue
        if key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
            yield Field("docker.tag", text)
        elif key == "org.opencontainers.image.created" and (stamp := from_iso("B", text, "oci.annotation")):
            yield stamp


def _step(each: dict[str, Any]) -> str:
    words = [each.get(key) for key in ("created", "author", "created_by", "comment")]
    return "\t".join(one_line(word) for word in words if isinstance(word, str) and word)


def _strings(value: Any) -> list[str]:
    """The strings of a list, or the names of an object."""
    found = list(value) if isinstance(value, list | dict) else []
    return [each for each in found[:_TOLD] if isinstance(each, str)]


def _maps(value: Any) -> list[dict[str, Any]]:
    return [each for each in value[:_TOLD] if isinstance(each, dict)] if isinstance(value, list) else []


def _lines(value: Any) -> Iterator[str]:
    """Every value with the keys that lead to it."""
    waiting: list[tuple[str, Any]] = [("$", value)]
    for _ in range(_VALUES):
        if not waiting:
            return
        path, held = waiting.pop()
        if isinstance(held, dict):
            waiting += reversed([(f"{path}.{key}", each) for key, each in held.items()])
        elif isinstance(held, list):
            waiting += reversed([(f"{path}[{number}]", each) for number, each in enumerate(held)])
        else:
            yield f"{path}: {one_line(held) if isinstance(held, str) else json.dumps(held)}"
