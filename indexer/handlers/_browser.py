"""What browsers keep in SQLite, as events one a line: visits, downloads, cookies, forms, bookmarks.

A database is known by its tables alone. Columns that a version does not have are left out.

Source: the schemas that Chromium (components/history, net/extras, components/password_manager and
webdata), Firefox (toolkit/components/places, netwerk/cookie, satchel) and Safari create; macOS Launch Services.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from indexer.handlers._moments import APPLE, CHROME, UNIX, Moments, moment, print_moment, tell_lines
from indexer.model import Fact, Field

FIELDS: Final = {
    "browser.program": "family of browser that the database is of",
    "browser.event": "kind of event that is told of, and how many there are",
}
SECRETS: Final[Mapping[str, frozenset[str]]] = {
    "logins": frozenset(("password_value", "form_data", "possible_username_pairs")),
    "password_notes": frozenset(("value",)),
    "cookies": frozenset(("encrypted_value",)),
    "credit_cards": frozenset(("card_number_encrypted",)),
    "local_stored_cvc": frozenset(("value_encrypted",)),
    "server_stored_cvc": frozenset(("value_encrypted",)),
    "token_service": frozenset(("encrypted_token",)),
    "unmasked_credit_cards": frozenset(("card_number_encrypted",)),
}
"""Columns that hold secrets: their size is told, never what stands in them."""
_LONGEST: Final = 4_000
_UNITS: Final = {
    "chrome": (1e-6, CHROME),
    "us": (1e-6, UNIX),
    "ms": (1e-3, UNIX),
    "s": (1.0, UNIX),
    "apple": (1.0, APPLE),
}
_LINKS: Final = (
    *("link", "typed", "bookmark", "subframe", "manual subframe", "generated", "start page", "form", "reload"),
    *("keyword", "keyword generated"),
)
_VISITS: Final = ("", "link", "typed", "bookmark", "embed", "redirect", "redirect", "download", "framed link", "reload")
_STATES: Final = ("in progress", "complete", "cancelled", "", "interrupted")
_WORDS: Final = {"link": _LINKS, "visit": _VISITS, "state": _STATES}

Ask = Callable[[str], Iterator[tuple[object, ...]]]
Columns = Callable[[str], Collection[str]]


class _Shape(NamedTuple):
    """One kind of event.

    Attributes:
        tables: the first has the events, in the order of its keys; others come with what joins them.
        columns: `label unit=table.column`; the first is when it happened.
    """

    program: str
    event: str
    tables: tuple[tuple[str, str], ...]
    columns: str


_SHAPES: Final = (
    _Shape(
        "Chromium",
        "visit",
        (("visits", ""), ("urls", "urls.id = visits.url")),
        "chrome=visits.visit_time url=urls.url title=urls.title visits=urls.visit_count typed=urls.typed_count "
        "by/link=visits.transition",
    ),
    _Shape(
        "Chromium",
        "search",
        (("keyword_search_terms", ""), ("urls", "urls.id = keyword_search_terms.url_id")),
        "chrome=urls.last_visit_time term=keyword_search_terms.term url=urls.url",
    ),
    _Shape(
        "Chromium",
        "download",
        (("downloads", ""),),
        "chrome=downloads.start_time path=downloads.target_path page=downloads.tab_url from=downloads.referrer "
        "bytes=downloads.total_bytes type=downloads.mime_type state/state=downloads.state "
        "ended@chrome=downloads.end_time opened@chrome=downloads.last_access_time program=downloads.by_ext_name",
    ),
    _Shape(
        "Chromium",
        "download address",
        (("downloads_url_chains", ""), ("downloads", "downloads.id = downloads_url_chains.id")),
        "chrome=downloads.start_time url=downloads_url_chains.url path=downloads.target_path",
    ),
    _Shape(
        "Chromium",
        "typed",
        (("omni_box_shortcuts", ""),),
        "chrome=omni_box_shortcuts.last_access_time text=omni_box_shortcuts.text url=omni_box_shortcuts.url "
        "title=omni_box_shortcuts.contents times=omni_box_shortcuts.number_of_hits",
    ),
    _Shape(
        "Chromium",
        "cookie",
        (("cookies", ""),),
        "chrome=cookies.creation_utc host=cookies.host_key name=cookies.name path=cookies.path "
        "used@chrome=cookies.last_access_utc expires@chrome=cookies.expires_utc",
    ),
    _Shape(
        "Chromium",
        "login",
        (("logins", ""),),
        "chrome=logins.date_created url=logins.origin_url form=logins.action_url user=logins.username_value "
        "realm=logins.signon_realm times=logins.times_used used@chrome=logins.date_last_used "
        "changed@chrome=logins.date_password_modified",
    ),
    _Shape(
        "Chromium",
        "form entry",
        (("autofill", ""),),
        "s=autofill.date_created field=autofill.name value=autofill.value times=autofill.count "
        "used@s=autofill.date_last_used",
    ),
    _Shape(
        "Firefox",
        "visit",
        (("moz_historyvisits", ""), ("moz_places", "moz_places.id = moz_historyvisits.place_id")),
        "us=moz_historyvisits.visit_date url=moz_places.url title=moz_places.title visits=moz_places.visit_count "
        "by/visit=moz_historyvisits.visit_type",
    ),
    _Shape(
        "Firefox",
        "bookmark",
        (("moz_bookmarks", ""), ("moz_places", "moz_places.id = moz_bookmarks.fk")),
        "us=moz_bookmarks.dateAdded title=moz_bookmarks.title url=moz_places.url changed@us=moz_bookmarks.lastModified",
    ),
    _Shape(
        "Firefox",
        "download",
        (("moz_annos", ""), ("moz_places", "moz_places.id = moz_annos.place_id")),
        "us=moz_annos.dateAdded note=moz_annos.content url=moz_places.url",
    ),
    _Shape(
        "Firefox",
        "download",
        (("moz_downloads", ""),),
        "us=moz_downloads.startTime path=moz_downloads.target url=moz_downloads.source name=moz_downloads.name "
        "from=moz_downloads.referrer type=moz_downloads.mimeType ended@us=moz_downloads.endTime",
    ),
    _Shape(
        "Firefox",
        "cookie",
        (("moz_cookies", ""),),
        "us=moz_cookies.creationTime host=moz_cookies.host name=moz_cookies.name path=moz_cookies.path "
        "used@us=moz_cookies.lastAccessed expires@s=moz_cookies.expiry",
    ),
    _Shape(
        "Firefox",
        "form entry",
        (("moz_formhistory", ""),),
        "us=moz_formhistory.firstUsed field=moz_formhistory.fieldname value=moz_formhistory.value "
        "times=moz_formhistory.timesUsed used@us=moz_formhistory.lastUsed",
    ),
    _Shape(
        "Safari",
        "visit",
        (("history_visits", ""), ("history_items", "history_items.id = history_visits.history_item")),
        "apple=history_visits.visit_time url=history_items.url title=history_visits.title "
        "visits=history_items.visit_count",
    ),
    _Shape(
        "macOS quarantine",
        "download",
        (("LSQuarantineEvent", ""),),
        "apple=LSQuarantineEvent.LSQuarantineTimeStamp url=LSQuarantineEvent.LSQuarantineDataURLString "
        "from=LSQuarantineEvent.LSQuarantineOriginURLString program=LSQuarantineEvent.LSQuarantineAgentName "
        "sender=LSQuarantineEvent.LSQuarantineSenderAddress title=LSQuarantineEvent.LSQuarantineOriginTitle",
    ),
)


def tell_browser(
    tables: Collection[str], columns_of: Columns, ask: Ask, show: Callable[[object], str]
) -> Iterator[Fact]:
    """The events of every shape whose tables are there.

    Args:
        tables: names of real tables.
        columns_of: the columns of a table; none where they cannot be read.
        ask: the rows of a query, behind their keys, as far as they can be read.
        show: a value as text.
    """
    programs: dict[str, None] = {}
    for shape in _SHAPES:
        if not all(name in tables for name, _ in shape.tables):
            continue
        have = {f"{name}.{column}" for name, _ in shape.tables for column in columns_of(name)}
        wanted = [each.split("=") for each in shape.columns.split(" ")]
        labels = [(label, column) for label, column in wanted if column in have]
        if not labels or labels[0][1] != wanted[0][1] or len(labels) < 2:
            continue
        if not all(side in have for _, on in shape.tables if on for side in on.split(" = ")):
            continue
        first, *joined = shape.tables
        rest = "".join(f" CROSS JOIN {name} ON {on}" for name, on in joined)
        chosen = ", ".join(column for _, column in labels)
        query = f"SELECT {first[0]}.rowid, {chosen} FROM {first[0]} NOT INDEXED{rest}"  # noqa: S608 - names of ours
        events = _Events(shape.event, [label for label, _ in labels], show)
        yield from tell_lines(events.tell(ask(query)), f"{shape.event} events")
        if events.count:
            programs[shape.program] = None
            yield Field("browser.event", f"{shape.event}: {events.count}")
            yield from events.moments.stamps(shape.event.replace(" ", "_"), f"browser.{labels[0][1]}", 1e-6)
    yield from (Field("browser.program", program) for program in programs)


class _Events:
    """The events of one shape, counted while they are told."""

    def __init__(self, event: str, labels: Sequence[str], show: Callable[[object], str]) -> None:
        self.count = 0
        self.moments = Moments()
        self._event = event
        self._labels = labels
        self._show = show

    def tell(self, rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
        """A line for every row."""
        for when, *values in rows:
            at = _time(when, self._labels[0])
            self.count += 1
            self.moments.add(at)
            told = map(self._part, self._labels[1:], values)
            yield " | ".join((print_moment(at) or "(no time)", self._event, *filter(None, told)))

    def _part(self, label: str, value: object) -> str:
        name, _, unit = label.partition("@")
        name, _, words = name.partition("/")
        if unit:
            text = print_moment(_time(value, unit))
        elif words:
            number = value & 0xFF if isinstance(value, int) else -1
            text = _WORDS[words][number] if 0 <= number < len(_WORDS[words]) else ""
        else:
            text = " ".join(self._show(value)[:_LONGEST].split())
        return text and (text if name in ("url", "title") else f"{name}={text}")


def _time(value: object, unit: str) -> datetime | None:
    size, epoch = _UNITS[unit]
    return moment(value, size, epoch)
