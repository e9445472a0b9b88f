"""Recorded times of every kind, turned into Timestamp values; each says what it does not know.

A time that cannot be (month 13, year 30828) gives None: no guess is kept as a fact.

Source: [MS-DOS] date and time words; FILETIME ([MS-DTYP] 2.3.3); HFS+ dates (Apple TN1150);
RFC 5322 section 3.3; Exif 2.32 (CIPA DC-008), tags 0x9003, 0x9010, 0x9290.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from indexer.model import Timestamp

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_FILETIME = datetime(1601, 1, 1, tzinfo=UTC)
_HFS = datetime(1904, 1, 1, tzinfo=UTC)
_EXIF = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


def from_dos(kind: str, date: int, time: int, origin: str) -> Timestamp | None:
    """A DOS date and time word: local wall clock of an unknown zone, in steps of 2 seconds."""
    try:
        at = datetime(
            1980 + (date >> 9),
            date >> 5 & 15,
            date & 31,
            time >> 11,
            time >> 5 & 63,
            (time & 31) * 2,
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return Timestamp(kind, at, origin, 2.0, zone_known=False)


def from_unix(
    kind: str, seconds: float, origin: str, *, nanoseconds: int = 0, resolution: float = 1.0
) -> Timestamp | None:
    """Seconds since 1970 in UTC; `nanoseconds` are added and cut to microseconds."""
    try:
        at = _UNIX + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    except (OverflowError, ValueError):
        return None
    return Timestamp(kind, at, origin, resolution)


def from_filetime(kind: str, ticks: int, origin: str) -> Timestamp | None:
    """Steps of 100 ns since 1601 in UTC; 0 and all ones mean that nothing was recorded."""
    if ticks <= 0 or ticks >= (1 << 63) - 1:
        return None
    try:
        at = _FILETIME + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None
    return Timestamp(kind, at, origin, 1e-7)


def from_hfs(kind: str, seconds: int, origin: str) -> Timestamp | None:
    """Seconds since 1904: UTC on HFS+ volumes; 0 means that nothing was recorded."""
    return Timestamp(kind, _HFS + timedelta(seconds=seconds), origin) if 0 < seconds < 1 << 32 else None


def from_rfc5322(kind: str, text: str, origin: str) -> Timestamp | None:
    """A mail date; `-0000` and a missing zone mean that the zone is not known."""
    try:
        at = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    known = at.tzinfo is not None
    try:
        return Timestamp(kind, at.astimezone(UTC) if known else at.replace(tzinfo=UTC), origin, 1.0, known)
    except (OverflowError, ValueError):
        return None


def from_exif(kind: str, text: str, origin: str, *, offset: str = "", subsecond: str = "") -> Timestamp | None:
    """An EXIF date (`2024:01:02 03:04:05`), with the offset and sub-second tags where they stand."""
    match = _EXIF.match(text.strip())
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction = (subsecond.strip() or match[7] or "")[:6]
    fraction = fraction if fraction.isdigit() else ""
    zone_match = _OFFSET.fullmatch(offset.strip())
    zone = UTC
    if zone_match:
        minutes = int(zone_match[2]) * 60 + int(zone_match[3])
        zone = timezone(timedelta(minutes=-minutes if zone_match[1] == "-" else minutes)) if minutes < 1440 else UTC
    try:
        at = datetime(year, month, day, hour, minute, second, int(fraction.ljust(6, "0") or 0), tzinfo=zone)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Timestamp(kind, at, origin, 10.0 ** -len(fraction) if fraction else 1.0, zone_match is not None)


def from_iso(kind: str, text: str, origin: str) -> Timestamp | None:
    """ISO 8601 / W3CDTF as in XML metadata, down to a bare year; no zone means that it is not known."""
    text = text.strip()
    resolution = 1.0
    if re.fullmatch(r"\d{4}", text):
        text, resolution = f"{text}-01-01", 366 * 86400.0
    elif re.fullmatch(r"\d{4}-\d\d", text):
        text, resolution = f"{text}-01", 31 * 86400.0
    elif re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        resolution = 86400.0
    elif fraction := re.search(r":\d\d\.(\d+)", text):
        resolution = 10.0 ** -min(len(fraction[1]), 9)
        text = re.sub(r"(:\d\d\.\d{1,6})\d*", r"\1", text)
    try:
        at = datetime.fromisoformat(text)
        known = at.tzinfo is not None
        return Timestamp(kind, at.astimezone(UTC) if known else at.replace(tzinfo=UTC), origin, resolution, known)
    except (ValueError, OverflowError):
        return None
