"""The names of what contacts and calendars say, whichever program kept them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONTACT: Final[Mapping[str, str]] = {
    "contact.name": "name of a person or a group in an address book",
    "contact.email": "mail address of a contact",
    "contact.phone": "telephone number of a contact",
    "contact.company": "where a contact works",
    "contact.title": "what a contact does there",
    "contact.address": "postal address of a contact",
    "contact.url": "web address of a contact",
    "contact.messenger": "address of a contact in a chat program",
}
CALENDAR: Final[Mapping[str, str]] = {
    "calendar.kind": "event, todo, journal, freebusy",
    "calendar.summary": "what an entry is about",
    "calendar.location": "where it takes place",
    "calendar.organizer": "who called for it",
    "calendar.attendee": "who is asked to come: name, address, answer",
    "calendar.status": "status of an entry: confirmed, cancelled, completed, ...",
    "calendar.rule": "how an entry repeats",
    "calendar.alarm": "when a program reminds of it",
    "calendar.uid": "name by which programs know the entry",
    "calendar.url": "address of the entry",
    "calendar.zone": "name of the time zone its times are in",
    "calendar.method": "what the calendar asks for: request, reply, cancel, publish",
    "calendar.attachment": "address of a file that an entry points to",
}
