"""Passwords that lie in the case itself: drawn from what stands near a protected item.

Whoever packs an archive writes its password down beside it: in a text of the same folder, in the mail
that carries it, in its comment or its name. Candidates come from there, the nearest first:

    1  its own comment and name, and what can be read inside it
    2  the message that carries it; texts in its folder: first those called like passwords, then short ones
    3  texts called like passwords, or that say one, elsewhere in the same container
    ...the same for each container around it, from the inside out
    4  the same from anywhere in the same source; messages that name the item come first
    5  from other sources, only where nothing at all was found before

The order depends on paths and lines alone. A candidate carries where it stands, and never goes into
the case itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from indexer.model import Hop, Item, Provenance, Reading, Text
from indexer.passwords import Password
from search.case import Case

_WORDS = (
    "passwords?|passwd|passcode|passphrase|pass|pwd|pw|密码|密碼|口令|解压码|解壓碼|提取码|비밀번호|비번|암호|패스워드|"
    "パスワード|パス|暗証番号|пароль|contraseña|mot de passe|kennwort|passwort"
)
_NAMED = re.compile(rf"(?:^|[^a-z])(?:{_WORDS})(?:$|[^a-z])", re.IGNORECASE)
_LINE = re.compile(r"lines? (\d+)(?:-\d+)?")
_SAID = re.compile(
    rf"(?<![a-z])(?:{_WORDS})[ \t]{{0,4}}"
    r"(?:is\b|was\b|은|는|이|가|は|が|为|為|是|:|：|=|＝|->|→|-|\()?[ \t]{0,4}[:：=]?[ \t]{0,4}"
    r"(?P<value>\S[^\r\n]{0,127})?",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"""["'`“‘「『《<(（【\[]([^"'`”’」』》>)）】\]]+)["'`”’」』》>)）】\]]""")
_BEHIND = re.compile(r"[\s,，、。;；)）\]】]")
_EDGES = " \t\"'`“”‘’「」『』《》<>()[]（）【】,，.。;；!！"
_SHORT = 2_000
"""Characters of a text whose every line may be a password."""
_LONGEST = 64 * 1024
"""Characters of a text that is looked through for a word that says one."""
_LINES = 200
_MOST_CHARS = 64
_MOST_VALUES = 50
_MOST_HINTS = 5_000
"""Texts of one source that are looked at."""
_MESSAGES = ("message/", "application/vnd.ms-outlook", "application/vnd.ms-tnef")


@dataclass(frozen=True, slots=True)
class _Hint:
    """A text that may hold a password; `named` if it is called so, `short` if every line may be one."""

    item: Item
    reading: Reading
    named: bool
    short: bool
    message: bool

    @property
    def order(self) -> tuple[bool, bool, str, str]:
        """Those called like passwords first, then messages, then by their path."""
        return (not self.named, not self.message, str(self.item.provenance), self.item.id)


class Guesses:
    """The candidates of a case, gathered once and asked for item by item.

    Args:
        most: candidates for one item; more are never tried.
    """

    def __init__(self, case: Case, most: int = 1_000) -> None:
        self._case = case
        self._most = most
        self._by_container: dict[tuple[str, str], list[_Hint]] = defaultdict(list)
        self._by_source: dict[str, list[_Hint]] = defaultdict(list)
        self._read: dict[str, tuple[Password, ...]] = {}
        for item, reading in case.catalog.items():
            hint = _hint(item, reading)
            if hint and (hint.named or len(self._by_source[item.provenance.source]) < _MOST_HINTS):
                self._by_source[item.provenance.source].append(hint)
                self._by_container[_container(item.provenance)].append(hint)
        for hints in (*self._by_source.values(), *self._by_container.values()):
            hints.sort(key=lambda hint: hint.order)

    def of(self, item: Item) -> tuple[Password, ...]:
        """The candidates for a protected item, the nearest first, each once."""
        found: dict[str, Password] = {}
        for each in self._near(item):
            found.setdefault(each.text, each)
            if len(found) >= self._most:
                break
        if not any("found in" in each.origin for each in found.values()):
            for source in sorted(self._by_source):
                for each in self._said(self._by_source[source]):
                    found.setdefault(each.text, each)
        return tuple(found.values())[: self._most]

    def _near(self, item: Item) -> Iterator[Password]:
        source, hops = item.provenance.source, item.provenance.hops
        yield from self._all(self._by_container[(source, item.id)])
        for depth in range(len(hops), 0, -1):
            place = Provenance(source, hops[:depth])
            around = self._case.catalog.with_reading(place.id)
            if around:
                yield from _of_labels(around[0])
            if place.parent and (held := self._case.catalog.with_reading(place.parent.id)):
                carrier = _hint(*held)
                if carrier and carrier.message:
                    yield from self._candidates(carrier, whole=False)
            folder = _folder(hops[depth - 1])
            beside = self._by_container[_container(place)]
            yield from self._all(hint for hint in beside if _folder(hint.item.provenance.hops[depth - 1]) == folder)
            yield from self._said(beside)
        name = hops[-1].name.replace("\\", "/").rpartition("/")[2].casefold()
        rest = self._by_source[source]
        yield from self._said(hint for hint in rest if hint.message and self._names(hint, name))
        yield from self._said(rest)

    def _all(self, hints: Iterable[_Hint]) -> Iterator[Password]:
        for hint in hints:
            yield from self._candidates(hint, whole=hint.named or hint.short)

    def _said(self, hints: Iterable[_Hint]) -> Iterator[Password]:
        for hint in hints:
            yield from self._candidates(hint, whole=hint.named)

    def _names(self, hint: _Hint, name: str) -> bool:
        return any(name in text.body[:_LONGEST].casefold() for text in self._texts(hint))

    def _candidates(self, hint: _Hint, *, whole: bool) -> tuple[Password, ...]:
        key = f"{hint.item.id}{whole}"
        if key not in self._read:
            origin = f"found in {hint.item.provenance}"
            self._read[key] = tuple(_from_texts(self._texts(hint), origin, whole=whole))
        return self._read[key]

    def _texts(self, hint: _Hint) -> Iterator[Text]:
        return self._case.texts.of(hint.reading.key, min(hint.reading.chunks, 1))


def recall_passwords(case: Case, item: Item | None = None) -> tuple[Password, ...]:
    """The guessed passwords that opened an item and what it lies in, or anything at all, looked up again.

    They are not stored, but the case tells where they stand.
    """
    if not any(run.options.get("guessed") for run in case.catalog.runs()):
        return ()
    opened: Iterable[Item | None] = (each for each, _ in case.catalog.items())
    if item:
        opened = map(case.catalog.item, _line_of(item))
    found: dict[str, Password] = {}
    guesses: Guesses | None = None
    for each in opened:
        wanted = {entry.value for entry in each.fields if entry.name == "encryption.password"} if each else set()
        if not each or all(str(value).startswith("line ") for value in wanted):
            continue
        guesses = guesses or Guesses(case)
        parent = case.catalog.item(each.provenance.parent.id) if each.provenance.parent else None
        for candidate in (*guesses.of(each), *(guesses.of(parent) if parent else ())):
            if candidate.origin in wanted:
                found.setdefault(candidate.text, candidate)
    return tuple(found.values())


def _line_of(item: Item) -> Iterator[str]:
    for depth in range(len(item.provenance.hops), 0, -1):
        yield Provenance(item.provenance.source, item.provenance.hops[:depth]).id


def _hint(item: Item, reading: Reading | None) -> _Hint | None:
    """An item as a text that may hold a password, or None."""
    if reading is None or not reading.chars:
        return None
    message = item.media_type.startswith(_MESSAGES)
    named = bool(_NAMED.search(item.name))
    short = reading.chars <= _SHORT and item.media_type.startswith("text/")
    if not (named or message or short):
        return None
    return _Hint(item, reading, named and reading.chars <= _LONGEST, short, message)


def _container(place: Provenance) -> tuple[str, str]:
    return place.source, place.parent.id if place.parent else ""


def _folder(hop: Hop) -> str:
    return hop.name.replace("\\", "/").rpartition("/")[0]


def _of_labels(item: Item) -> Iterator[Password]:
    """What an item's comments and its name say."""
    for field in item.fields:
        if field.name.endswith("comment") and isinstance(field.value, str):
            text = Text(field.value[:_SHORT])
            yield from _from_texts((text,), f"found in the comment of {item.provenance}", whole=True)
    name = item.provenance.hops[-1].name.replace("\\", "/").rpartition("/")[2]
    stem = name.partition(".")[0] or name
    origin = f"its own name, {item.provenance}"
    for value in (*_said_in(name.rpartition(".")[0] or name), stem, *re.split(r"[\s_()\[\]{}=,+-]+", stem)):
        yield from _password(value, origin)


def _from_texts(texts: Iterable[Text], origin: str, *, whole: bool) -> Iterator[Password]:
    """Passwords that a text says, then, of a text that may be nothing else, its lines and words."""
    said: list[Password] = []
    others: list[Password] = []
    left = _LONGEST
    for text in texts:
        lines = text.body[:left].splitlines()
        left -= len(text.body)
        where = origin if not text.locator or _LINE.fullmatch(text.locator) else f"{origin} ({text.locator})"
        waiting = False
        for number, line in enumerate(lines, _first_line(text)):
            at = f"{where}, line {number}"
            values = _said_in(line)
            for value in values:
                said += _password(value, at)
            if waiting and line.strip():
                said += _password(line, at)
            waiting = (waiting and not line.strip()) or values == [""]
            if whole and number <= _LINES:
                for value in (line, *line.split()):
                    others += _password(value, at)
        if left <= 0:
            break
    yield from said
    yield from others


def _first_line(text: Text) -> int:
    match = _LINE.fullmatch(text.locator)
    return int(match[1]) if match else 1


def _said_in(line: str) -> list[str]:
    """The values behind words for a password; an empty one where the line ends there."""
    values: dict[str, None] = {}
    at = 0
    while len(values) < _MOST_VALUES and (match := _SAID.search(line, at)):
        rest = (match["value"] or "").strip()
        quoted = _QUOTED.match(rest)
        first = rest.split()[0] if rest else ""
        values |= dict.fromkeys((*([quoted[1]] if quoted else []), rest, first, _BEHIND.split(rest)[0]))
        at = match.start("value") if match["value"] else match.end()
    return list(values)


def _password(value: str, origin: str) -> Iterator[Password]:
    for each in dict.fromkeys((value.strip(), value.strip(_EDGES))):
        if 1 < len(each) <= _MOST_CHARS and each.isprintable():
            yield Password(each, origin)
