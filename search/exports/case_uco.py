"""CASE/UCO as JSON-LD: what was found, where, and by whose action, for other tools of forensics.

    File                  one an item: FileFacet (name, path, times), ContentDataFacet (size, media type, hashes)
    ObservableRelationship  Contained_Within, from a member to the container around it, where both are here
    ProvenanceRecord      one a source (exhibit, digest over its files), and one for the answer with all its items
    InvestigativeAction   the question: command, query and options, by Archivore as the tool, from the sources' records
                          to the answer's

Ids are UUIDv5 of the item's id, so that the same case gives the same graph. Containers around an item that do not
answer themselves are named as places (a path without facets of content), so that no member hangs in the air.

Source: CASE 1.4 and UCO 1.4 ontologies. JSON is ASCII; a lone surrogate in a name is U+FFFD, as RDF has none.
Limits: a time whose zone is not known is left out; texts and metadata fields are in the JSON lines export.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from indexer.model import Item, print_time
from search.exports._file import whole_file
from search.exports._order import item_of, spilling
from search.report import Report
from search.sanitise import storable

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:archivore:case")
_CONTEXT = {
    "kb": "urn:archivore:kb:",
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_TIMES = {"B": "observableCreatedTime", "M": "modifiedTime", "A": "accessedTime", "C": "metadataChangeTime"}
_SCHEMA = "CREATE TABLE items (number INTEGER PRIMARY KEY, id TEXT UNIQUE, chosen INTEGER);"

Node = dict[str, Any]


def write(path: Path, report: Report) -> int:
    """Writes the graph and returns how many items answer."""
    count = 0
    with whole_file(path) as file, spilling(_SCHEMA) as database:
        for row in report.items() if report.items else ():
            item = item_of(row)
            database.execute(
                "INSERT INTO items (id, chosen) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET chosen = 1", (item.id,)
            )
            for above in item.provenance.above():
                database.execute("INSERT OR IGNORE INTO items (id, chosen) VALUES (?, 0)", (above,))
            count += 1
        file.write(f'{{"@context": {json.dumps(_CONTEXT, indent=1)},\n"@graph": [')
        for number, node in enumerate(_nodes(report, database)):
            file.write("\n" if not number else ",\n")
            file.write(json.dumps(node, ensure_ascii=True, allow_nan=False))
        _put_results(file, report, database)
        file.write("\n]}\n")
    return count


def _nodes(report: Report, database: sqlite3.Connection) -> Iterator[Node]:
    """Everything but the record that lists the answer."""
    yield from _action(report)
    for identity, chosen in database.execute("SELECT id, chosen FROM items ORDER BY number"):
        item = report.case.catalog.item(identity)
        if item is None:
            continue
        yield _file(item) if chosen else _place(item)
        parent = item.provenance.parent
        if parent:
            yield {
                "@id": _id("relationship", f"{item.id} in {parent.id}"),
                "@type": "uco-observable:ObservableRelationship",
                "uco-core:source": {"@id": _id("file", item.id)},
                "uco-core:target": {"@id": _id("file", parent.id)},
                "uco-core:kindOfRelationship": "Contained_Within",
                "uco-core:isDirectional": True,
            }


def _action(report: Report) -> Iterator[Node]:
    """The sources, the tool, and what was asked."""
    colophon = report.colophon
    tool = _id("tool", colophon.version)
    records = []
    for source in colophon.sources:
        told = "; ".join(f"{name}: {value}" for name, value in source.items() if value and name != "name")
        records.append({"@id": _id("source", f"{colophon.case} {source['name']}")})
        yield {
            **records[-1],
            "@type": "case-investigation:ProvenanceRecord",
            "uco-core:name": storable(str(source["name"])),
            "uco-core:description": storable(told),
            "case-investigation:exhibitNumber": storable(str(source["name"])),
        }
    yield {
        "@id": tool,
        "@type": "uco-tool:Tool",
        "uco-core:name": "Archivore",
        "uco-tool:version": colophon.version,
    }
    options = ", ".join(f"{name}: {value}" for name, value in colophon.options.items())
    asked = f"query: {colophon.query or '(every item)'}" + (f"; {options}" if options else "")
    yield {
        "@id": _id("action", colophon.id),
        "@type": "case-investigation:InvestigativeAction",
        "uco-core:name": colophon.command,
        "uco-core:description": storable(f"Case {colophon.case}; {asked}; export {colophon.id}"),
        "uco-action:instrument": {"@id": tool},
        **({"uco-action:object": records} if records else {}),
        "uco-action:result": {"@id": _id("answer", colophon.id)},
    }


def _put_results(file: IO[str], report: Report, database: sqlite3.Connection) -> None:
    """Writes the record of the answer, item by item: it may list millions."""
    head = {
        "@id": _id("answer", report.colophon.id),
        "@type": "case-investigation:ProvenanceRecord",
        "uco-core:name": f"Export {report.colophon.id}",
        "case-investigation:exhibitNumber": report.colophon.id,
    }
    file.write(",\n" + json.dumps(head)[:-1])
    first = True
    for (identity,) in database.execute("SELECT id FROM items WHERE chosen ORDER BY number"):
        file.write(', "uco-core:object": [\n' if first else ",\n")
        file.write(json.dumps({"@id": _id("file", identity)}))
        first = False
    file.write("}" if first else "]}")


def _place(item: Item) -> Node:
    """A container around what answers: where it is, and no more."""
    return {
        "@id": _id("file", item.id),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [_file_facet(item)],
    }


def _file(item: Item) -> Node:
    node = _place(item)
    if item.digests or item.size is not None:
        facet: Node = {"@id": _id("content", item.id), "@type": "uco-observable:ContentDataFacet"}
        if item.media_type:
            facet["uco-observable:mimeType"] = storable(item.media_type)
        if item.size is not None:
            facet["uco-observable:sizeInBytes"] = item.size
        if item.digests:
            digests = {"MD5": item.digests.md5, "SHA1": item.digests.sha1, "SHA256": item.digests.sha256}
            facet["uco-observable:hash"] = [_hash(item.id, name, digest) for name, digest in digests.items()]
        node["uco-core:hasFacet"].append(facet)
    return node


def _hash(identity: str, name: str, digest: str) -> Node:
    return {
        "@id": _id("hash", f"{identity} {name}"),
        "@type": "uco-types:Hash",
        "uco-types:hashMethod": name,
        "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": digest.upper()},
    }


def _file_facet(item: Item) -> Node:
    stem, dot, suffix = item.name.rpartition(".")
    facet: Node = {
        "@id": _id("facet", item.id),
        "@type": "uco-observable:FileFacet",
        "uco-observable:fileName": storable(item.name),
        "uco-observable:filePath": storable(str(item.provenance)),
        "uco-observable:isDirectory": item.media_type == "inode/directory",
    }
    if dot and stem and suffix:
        facet["uco-observable:extension"] = storable(suffix)
    if item.size is not None:
        facet["uco-observable:sizeInBytes"] = item.size
    for kind, name in _TIMES.items():
        known = (stamp.at for stamp in item.timestamps if stamp.kind == kind and stamp.zone_known)
        if first := next(known, None):
            facet[f"uco-observable:{name}"] = {"@type": "xsd:dateTime", "@value": print_time(first)}
    return facet


def _id(kind: str, text: str) -> str:
    return f"kb:{kind}-{uuid.uuid5(_NAMESPACE, storable(f'{kind} {text}'))}"
