"""What can be searched: one row per field, and the values of one item that the index is given.

Fields that handlers yield (`exif.model`, `pdf.author`) and times of other kinds are searchable too,
under their own names; only the fields that every case has are listed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from indexer.model import CAUSES, LANGUAGES, Field, Item, Scalar, Status
from search.kinds import COARSE_TYPES, coarse_type

FieldType = Literal["text", "name", "keyword", "number", "date"]
"""How a field's values are kept and asked for.

text: words and phrases in running text. name: the same with words split, and the whole value.
keyword: the whole value. number, date: comparisons and ranges (a date also as year, month or day).
"""


class FieldRow(Struct, frozen=True):
    """A searchable field, as the documentation prints it."""

    name: str
    type: FieldType
    meaning: str
    example: str


CORE: tuple[FieldRow, ...] = (
    FieldRow("text", "text", "the text that was read from the item", "text:分镜"),
    FieldRow("name", "name", "the item's own name", "name:S01E05"),
    FieldRow("meta", "text", "what the item's fields say: authors, titles, layers, places of files", "meta:박미나"),
    FieldRow("path", "name", "the provenance path, from the source down", "path:*/daily/*.psd"),
    FieldRow("ext", "keyword", "the suffix of the name, without the dot", "ext:psd"),
    FieldRow("type", "keyword", "the kind of file, coarsely", "type:picture"),
    FieldRow("mime", "keyword", "the media type that the bytes were identified as", "mime:image/*"),
    FieldRow("source", "keyword", "the evidence source", "source:day1"),
    FieldRow("custodian", "keyword", "whom the source was taken from", "custodian:studio"),
    FieldRow("series", "keyword", "the series of snapshots that the source belongs to", "series:server"),
    FieldRow("size", "number", "bytes; kb, mb, gb are powers of 1024", "size:10kb..2mb"),
    FieldRow("date", "date", "any recorded time", "date:2024-01"),
    FieldRow("modified", "date", "when the content was last changed", "modified:>=2024-01-05"),
    FieldRow("accessed", "date", "when it was last read", "accessed:2024"),
    FieldRow("changed", "date", "when its metadata last changed", "changed:<2024-02"),
    FieldRow("born", "date", "when it was created", "born:2023-12..2024-01"),
    FieldRow("sent", "date", "when a message was sent", "sent:2024-01-05"),
    FieldRow("received", "date", "when a message arrived", "received:>2024-01-05T10:30"),
    FieldRow("taken", "date", "when a picture was taken", "taken:2024"),
    FieldRow("lang", "keyword", "a language of the text; zh-Hans and zh-Hant tell its script", "lang:ko"),
    FieldRow("problem", "keyword", "why the item was not fully read", "problem:encrypted"),
    FieldRow("status", "keyword", "read, partly-read or not-read", "status:not-read"),
    FieldRow("handler", "keyword", "what read the item", "handler:zip"),
    FieldRow("md5", "keyword", "MD5 of the bytes, in hex digits", "md5:d41d8cd98f00b204e9800998ecf8427e"),
    FieldRow("sha1", "keyword", "SHA-1 of the bytes, in hex digits", "sha1:da39a3ee*"),
    FieldRow("sha256", "keyword", "SHA-256 of the bytes, in hex digits", "sha256:e3b0c44298fc*"),
    FieldRow("id", "keyword", "the item's id", "id:0f3a*"),
    FieldRow("parent", "keyword", "the id of the container", "parent:0f3a*"),
    FieldRow("known", "keyword", "a hash set of known files that holds the bytes", "known:nsrl"),
    FieldRow("notable", "keyword", "a hash set of notable files that holds the bytes", "notable:*"),
    FieldRow("tag", "keyword", "a reviewer's tag", "tag:responsive"),
    FieldRow(
        "cluster", "keyword", "a cluster of near-duplicates that `similar --clusters` made", "cluster:picture-3f2a*"
    ),
    # What `archivore features` gathers from the texts.
    FieldRow("email", "keyword", "a mailbox named in the text", "email:*@studio.example"),
    FieldRow("url", "keyword", "a URL in the text, in part with *", "url:*studio.example/*"),
    FieldRow("domain", "keyword", "a host named in the text", "domain:*.kp"),
    FieldRow("ipv4", "keyword", "an IPv4 address in the text, or those of a network", "ipv4:175.45.176.0/22"),
    FieldRow("ipv6", "keyword", "an IPv6 address in the text", "ipv6:2001:db8::*"),
    FieldRow("mac", "keyword", "a hardware address in the text", "mac:00:1a:2b:*"),
    FieldRow("phone", "keyword", "a phone number in the text, with its country", "phone:+850*"),
    FieldRow("qq", "keyword", "a QQ number in the text", "qq:*"),
    FieldRow("wechat", "keyword", "a WeChat id in the text", "wechat:wxid_*"),
    FieldRow("resident", "keyword", "a Chinese resident id in the text", "resident:110105*"),
    FieldRow("credit", "keyword", "a Chinese social credit code in the text", "credit:*"),
    FieldRow("iban", "keyword", "a bank account in the text", "iban:DE*"),
    FieldRow("card", "keyword", "a payment card's number in the text", "card:62*"),
    FieldRow("bitcoin", "keyword", "a Bitcoin address in the text", "bitcoin:bc1*"),
    FieldRow("ethereum", "keyword", "an Ethereum address in the text", "ethereum:0x*"),
    FieldRow("tron", "keyword", "a Tron address in the text", "tron:*"),
    FieldRow("monero", "keyword", "a Monero address in the text", "monero:*"),
    FieldRow("user", "keyword", "an account whose folder the place or a path in the text goes through", "user:ann"),
    FieldRow("sid", "keyword", "a Windows security identifier in the text", "sid:S-1-5-21-*"),
    FieldRow("guid", "keyword", "a GUID in the text", "guid:6b29fc40-*"),
)
TYPES: dict[str, FieldType] = {row.name: row.type for row in CORE}
CLOSED: dict[str, tuple[str, ...]] = {"type": COARSE_TYPES, "problem": CAUSES, "status": get_args(Status)}
"""Fields with values of a closed list: another value is a slip, not an empty answer."""
META = "meta"
"""The field in which the words of other fields are found."""
DEFAULT_FIELDS = ("text", "name", META)
"""Where a term without a field is looked for."""
BOOSTS: dict[str, float] = {"name": 2.0}
"""How much more a term counts in a field than elsewhere."""
SORTS = ("score", "name", "path", "size", "date")
"""What hits can be sorted by; the date is the modified time, or where there is none the earliest of all."""
_OURS = frozenset({"container", "encryption", "name", "ocr", "picture", "text"})
"""What fields begin with that are told by us, or say again what stands in the name."""
_TECHNICAL = frozenset({
    "alternative", "attributes", "byte_order", "charset", "class_id", "codec", "coding", "compression", "confidence",
    "content-type", "content_type", "crc", "crc16", "crc32", "encoding", "flags", "form", "format", "kind",
    "language", "machine", "method", "mode", "packing", "recovery", "section", "suffix_mismatch", "version", "view",
})  # fmt: skip
"""What fields end with that tell how something was written, not what it says."""

KINDS: dict[str, str] = {"M": "modified", "A": "accessed", "C": "changed", "B": "born"}
"""Kinds of times that have a field of another name."""


def key(name: str) -> str:
    """A field's name as queries write it: folded, with `_` for what a name in a query cannot hold."""
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in name.casefold())


def speaks(name: str) -> bool:
    """Whether a field holds words of the evidence, which `meta` finds; others tell how it was written or read.

    >>> speaks("pdf.author"), speaks("zip.method"), speaks("name.cut")
    (True, False, False)
    """
    return name not in TYPES and name.partition(".")[0] not in _OURS and name.rpartition(".")[2] not in _TECHNICAL


class Document(Struct, frozen=True):
    """What the index is given of one item; plain values, so that it knows nothing of the case.

    `texts` are the passages in order, gone through once; a phrase never reaches from one into the next. `fields` holds
    the keyword fields of `CORE` under their names, and whatever handlers yielded under theirs.
    `times` holds the kind as the item holds it (`M`, `sent`) and an aware datetime.
    """

    id: str
    texts: Iterable[str] = ()
    name: str = ""
    path: str = ""
    size: int | None = None
    fields: tuple[tuple[str, Scalar], ...] = ()
    times: tuple[tuple[str, datetime], ...] = ()


def document_of(
    item: Item,
    texts: Iterable[str] | None = None,
    *,
    custodian: str = "",
    series: str = "",
    tags: Iterable[str] = (),
    derived: Iterable[Field] = (),
) -> Document:
    """The item as the index wants it; what the item does not know of its source is given beside it.

    Args:
        texts: the passages, where the item comes without them.
        derived: fields that are made of the item when it is indexed, such as what its name says.
    """
    ids = item.provenance.ids()
    stem, dot, suffix = item.name.rpartition(".")
    pairs: list[tuple[str, Scalar]] = [
        ("ext", suffix if dot and stem else ""),
        ("type", coarse_type(item.media_type)),
        ("mime", item.media_type),
        ("source", item.provenance.source),
        ("custodian", custodian),
        ("series", series),
        ("lang", item.language),
        ("status", item.status),
        ("handler", item.handler),
        ("parent", ids[-2].hex() if len(ids) > 1 else ""),
    ]
    if item.digests:
        pairs += [("md5", item.digests.md5), ("sha1", item.digests.sha1), ("sha256", item.digests.sha256)]
    pairs += [("problem", cause) for cause in dict.fromkeys(problem.cause for problem in item.problems)]
    pairs += [("lang", each.value) for each in item.fields if each.name == LANGUAGES]
    pairs += [("tag", tag) for tag in tags]
    pairs = [pair for pair in pairs if pair[1] != ""]
    pairs += [(each.name, each.value) for each in item.fields]
    pairs += [(each.name, each.value) for each in derived]
    return Document(
        id=ids[-1].hex(),
        texts=tuple(text.body for text in item.texts) if texts is None else texts,
        name=item.name,
        path=str(item.provenance),
        size=item.size,
        fields=tuple(pairs),
        times=tuple((stamp.kind, stamp.at) for stamp in item.timestamps),
    )
