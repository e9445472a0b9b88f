"""What one item gathers while its handler runs: bounded, cleaned, texts sent on in chunks; what its place tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Final

from indexer.escapes import READ, unescaped
from indexer.handler import Handler
from indexer.languages import languages_of
from indexer.limits import Limits
from indexer.mailfolders import maildir_folder
from indexer.model import LANGUAGES, Child, Field, Found, Problem, Provenance, Reading, Text, Timestamp, replace
from indexer.names import last_part, unsafe_reason
from indexer.places import Place

VERSION = 1
"""Rises when what is made of every handler's texts changes."""
TEXT_BATCH = 256 * 1024
"""Characters of text handed on at a time."""
TEXT_PIECE = 4 * 1024 * 1024
"""A longer run of text is cut, at white space, into pieces with the same locator."""
LANGUAGE_SAMPLE = 20_000
_HEADERS = "headers"
"""The passage of a mail that programs write, in English whatever its people speak."""
MESSAGE = "message/rfc822"
LOCATOR_CHARS = 500
FIELD_CHARS = 64 * 1024
"""A longer field value is cut, with a mark that says so: metadata is no place to hide a book."""

FIELDS: Final[Mapping[str, str]] = {
    "container.members": "how many members came out of it",
    "container.ratio": "how many times as large as itself its members are, where it is more than a hundred times",
    "encryption.password": "which of the candidates opened it, by the place where it stood",
    "encryption.tried": "how many passwords were tried on what stayed closed",
    "encryption.tried_from": "where they stood, and how many there",
    "encryption.untried": "how many were left when the time for them was over",
    "file.kind": "what it is beside a file: directory, symlink, unallocated space and the like",
    "file.link_target": "where a symbolic link leads",
    "file.mode": "rights of the file, as ls prints them",
    "file.skipped": "the list of known files for the sake of which it was not read",
    "file.suffix_mismatch": "the suffix of a name that the bytes contradict",
    "mail.folder": "folder the message lies in",
    "names.alternative": "another encoding that the members' names may be in",
    "names.codec": "the encoding that the members' names were decoded by",
    "names.confidence": "how sure that is, from 0 to 1",
    LANGUAGES: "a further language of the text",
}
"""What the walk itself says of items of every type."""


class Facts:
    """What one item has gathered so far, within the limits."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.fields: list[Field] = []
        self.timestamps: list[Timestamp] = []
        self.sample = ""
        self.chars = 0
        self.chunks = 0
        self.members = 0
        self.has_content = False
        self.full = False
        self._waiting: list[Text] = []
        self._waiting_chars = 0

    def reading(self, key: str, handler: Handler) -> Reading:
        """Everything gathered, as one value; the texts went ahead of it."""
        language, others = languages_of(self.sample)
        return Reading(
            key=key,
            handler=handler.name,
            version=handler.version,
            language=language,
            has_content=self.has_content,
            members=self.members,
            chunks=self.chunks,
            chars=self.chars,
            fields=(*self.fields, *(Field(LANGUAGES, each) for each in others)),
            timestamps=tuple(self.timestamps),
            problems=tuple(dict.fromkeys(self.problems)),
        )

    @property
    def failed(self) -> bool:
        """Whether something kept the handler from reading on."""
        return any(problem.cause not in ("unsafe-name", "lossy-text") for problem in self.problems)

    def add(self, fact: Field | Timestamp, limits: Limits) -> None:
        """Keeps a piece of metadata."""
        if isinstance(fact, Field):
            self.fields.append(clean_field(fact))
        else:
            self.timestamps.append(fact)
        self._count(limits)

    def add_problem(self, problem: Problem, limits: Limits, handler: str) -> None:
        """Keeps a problem, signed by the handler that met it."""
        self.problems.append(
            Problem(problem.cause, clean(problem.message), problem.handler or handler, problem.resolution)
        )
        self._count(limits)

    def _count(self, limits: Limits) -> None:
        if len(self.fields) + len(self.timestamps) + len(self.problems) >= limits.facts and not self.full:
            self.full = True
            self.problems.append(Problem("limit", f"facts: more than {limits.facts}", resolution="stopped there"))

    def add_text(self, text: Text, limits: Limits, send: Callable[[list[Text]], None]) -> None:
        """Keeps text, and what stands in escapes in it; whenever enough waits, it is given to `send`."""
        self._keep(text, limits, send)
        if words := unescaped(text.body):
            self._keep(Text("\n".join(words), text.locator + READ), limits, send)

    def _keep(self, text: Text, limits: Limits, send: Callable[[list[Text]], None]) -> None:
        body = clean(text.body)
        room = limits.text_chars - self.chars
        if len(body) > room:
            body, self.full = body[:room], True
            message = f"text_chars: more than {limits.text_chars} characters"
            self.problems.append(Problem("limit", message, resolution="stopped there"))
        if not body.strip():
            return
        self.has_content = True
        self.chars += len(body)
        if len(self.sample) < LANGUAGE_SAMPLE and text.locator != _HEADERS:
            self.sample += body[: LANGUAGE_SAMPLE - len(self.sample)] + "\n"
        for piece in _pieces(body):
            self._waiting.append(Text(piece, clean(text.locator[:LOCATOR_CHARS])))
            self._waiting_chars += len(piece)
            if self._waiting_chars >= TEXT_BATCH:
                self.flush(send)

    def flush(self, send: Callable[[list[Text]], None]) -> None:
        """Gives what text still waits to `send`."""
        if self._waiting:
            send(self._waiting)
            self._waiting, self._waiting_chars = [], 0


def clean(text: str) -> str:
    """Text that every store and encoder takes: lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean_field(entry: Field) -> Field:
    """A field that every store and encoder takes: clean text, 64-bit numbers, no NaN."""
    value, name = entry.value, clean(entry.name[:LOCATOR_CHARS])
    if isinstance(value, str):
        if len(value) <= FIELD_CHARS and value.isascii() and name is entry.name:
            return entry
        value = clean(value)
        over = len(value) - FIELD_CHARS
        return Field(name, f"{value[:FIELD_CHARS]} [cut: {over} more characters]" if over > 0 else value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return Field(name, str(value))
    if isinstance(value, float) and not isfinite(value):
        return Field(name, str(value))
    return entry if name is entry.name else Field(name, value)


def without_bytes(place: Place, media_type: str, *problems: Problem) -> Found:
    """An item with what its place alone tells: a folder, a link, a special file, what was not opened."""
    return Found(
        provenance=place.provenance,
        name=last_part(place.provenance.hops[-1].name),
        size=None,
        media_type=media_type,
        fields=tuple(place.fields),
        timestamps=tuple(place.timestamps),
        problems=problems_at(place, problems),
    )


def kind_of(child: Child) -> str:
    """The media type of a member without bytes, from the `file.kind` its container gave; empty without one."""
    kind = next((str(each.value) for each in child.fields if each.name == "file.kind"), "")
    return f"inode/{kind}" if kind else ""


def fields_at(place: Place, media_type: str) -> list[Field]:
    """What its container told of an item, and the folder that a message lies in by its path."""
    folder = maildir_folder(place.provenance.hops[-1].name) if media_type == MESSAGE else ""
    told = [clean_field(Field("mail.folder", folder))] if folder else []
    return [*place.fields, *(field for field in told if field not in place.fields)]


def problems_at(place: Place, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """What its container told of an item, what went wrong on the way to it, and what its name would do."""
    unsafe = unsafe_reason(place.provenance.hops[-1].name)
    told = (Problem("unsafe-name", f"the name {unsafe}", resolution="kept as data"),) if unsafe else ()
    return tuple(dict.fromkeys((*place.problems, *problems, *told)))


def place_of(child: Child, provenance: Provenance, ancestors: tuple[str, ...]) -> Place:
    """The place of a member, with what its container tells of it."""
    fields = tuple(map(clean_field, child.fields))
    problems = tuple(replace(problem, message=clean(problem.message)) for problem in child.problems)
    return Place(provenance, child.timestamps, fields, problems, ancestors)


def _pieces(body: str) -> Iterator[str]:
    start = 0
    while len(body) - start > TEXT_PIECE:
        cut = max(body.rfind(" ", start, start + TEXT_PIECE), body.rfind("\n", start, start + TEXT_PIECE))
        end = cut + 1 if cut > start else start + TEXT_PIECE
        yield body[start:end]
        start = end
    yield body[start:]
