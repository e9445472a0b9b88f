"""Sources from the command line and from a manifest file.

[[source]]
path = "seized/day1"           # a folder or a file; relative to the manifest
paths = ["www", "mail/x.pst"]  # optional: only these, inside the folder
label = "day1"                 # optional, like the rest
custodian = "Kim"
acquired = "2024-01-03T09:00:00+09:00"
series = "nk-server"
zone = "Asia/Pyongyang"
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from indexer.errors import UsageError, reason_of
from indexer.model import Source

_KEYS = {"path", "paths", "label", "custodian", "acquired", "series", "zone"}


def source_of(
    path: Path,
    label: str = "",
    *,
    custodian: str = "",
    acquired: str = "",
    series: str = "",
    zone: str = "",
    only: tuple[str, ...] = (),
    alone: bool = True,
) -> Source:
    """One source as described.

    Args:
        alone: whether the label is for this source only; else it is put before the path's own name.

    Raises:
        UsageError: a time or a zone cannot be understood, or the label cannot stand in a path.
    """
    own = path.resolve().name or "root"
    name = (label if alone else f"{label}-{own}") if label else own
    if ":" in name or "!/" in name:
        raise UsageError(f"{name}: a label holds no `:` and no `!/`; choose one with --label")
    try:
        at = datetime.fromisoformat(acquired) if acquired else None
        ZoneInfo(zone or "UTC")
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise UsageError(f"{acquired} {zone}: times are ISO 8601, zones are names such as Asia/Seoul") from error
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(zone or "UTC"))
    return Source(name, str(path.resolve()), custodian, at and at.astimezone(UTC), series, zone, only)


def read_manifest(path: Path) -> list[Source]:
    """The sources that a manifest lists.

    Raises:
        UsageError: the file cannot be read or understood; the message says where.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get("source", [])
    except OSError as error:
        raise UsageError(f"{path}: {reason_of(error)}; a manifest is a TOML file of [[source]] tables") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {reason_of(error)}; a manifest is a TOML file of [[source]] tables") from error
    if not tables:
        raise UsageError(f"{path}: there is nothing to ingest in it; a manifest is a TOML file of [[source]] tables")
    sources = []
    for number, table in enumerate(tables, 1):
        if unknown := set(table) - _KEYS:
            raise UsageError(f"{path}: source {number}: unknown key {sorted(unknown)[0]}; known are {sorted(_KEYS)}")
        if "path" not in table:
            raise UsageError(f"{path}: source {number}: `path` is missing")
        words = {key: str(table.get(key, "")) for key in _KEYS}
        sources.append(
            source_of(
                path.parent / words["path"],
                words["label"],
                custodian=words["custodian"],
                acquired=words["acquired"],
                series=words["series"],
                zone=words["zone"],
                only=tuple(str(each) for each in table.get("paths", ())),
            )
        )
    return sources
