"""GRIB messages of editions 1 and 2: weather centre, reference time, parameters.

Source: WMO Manual on Codes, volume I.2, FM 92 GRIB editions 1 and 2: sections 0, 1 and (edition 2) 4.
Limits: fields are not decoded; parameters are told by their numbers and, the commonest, by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.model import Fact, Problem, Text, Timestamp

MESSAGES: Final = 1_000_000
_CENTRES: Final = {
    7: "US National Weather Service, NCEP", 34: "Japanese Meteorological Agency, Tokyo", 38: "Beijing", 40: "Seoul",
    54: "Montreal", 74: "UK Met Office, Exeter", 78: "Offenbach", 85: "Toulouse", 98: "ECMWF", 1: "Melbourne",
    4: "Moscow", 28: "New Delhi", 59: "NOAA Forecast Systems Laboratory",
}  # fmt: skip
_PARAMETERS: Final = {
    (0, 0, 0): "temperature", (0, 0, 6): "dew point temperature", (0, 1, 0): "specific humidity",
    (0, 1, 1): "relative humidity", (0, 1, 8): "total precipitation", (0, 2, 2): "u-component of wind",
    (0, 2, 3): "v-component of wind", (0, 3, 0): "pressure", (0, 3, 1): "pressure reduced to mean sea level",
    (0, 3, 5): "geopotential height", (0, 6, 1): "total cloud cover",
}  # fmt: skip
_OLD: Final = {
    1: "pressure", 2: "pressure reduced to mean sea level", 7: "geopotential height", 11: "temperature",
    17: "dew point temperature", 33: "u-component of wind", 34: "v-component of wind", 52: "relative humidity",
    61: "total precipitation", 71: "total cloud cover",
}  # fmt: skip


class Grib(Handler):
    name = "grib"
    media_types = ("application/x-grib",)
    signatures = (Signature(b"GRIB"),)
    suffixes = (".grib", ".grb", ".grib2", ".grb2")
    fields: ClassVar[dict[str, str]] = {
        "grib.edition": "edition of the code",
        "grib.centre": "centre that made the data, by number and name",
        "grib.parameter": "what the field is of: discipline, category and number, with the name of common ones",
    }
    reads = "weather centre, reference times, parameters"

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[7:8] in (b"\1", b"\2") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        once = {name: _refs.Once(f"grib.{name}") for name in ("edition", "centre", "parameter")}
        times: dict[datetime, None] = {}
        position, said = 0, dict[str, None]()
        for _ in range(MESSAGES):
            head = stream.at(position, 64)
            if head[:4] != b"GRIB" or len(head) < 36:
                if position < stream.size:
                    yield Problem("truncated" if len(head) < 36 else "corrupt", f"no message at {position}")
                break
            edition = head[7]
            if edition == 2:
                length, centre = int.from_bytes(head[8:16], "big"), int.from_bytes(head[21:23], "big")
                at = _moment(int.from_bytes(head[28:30], "big"), head[30:35])
                shown = [_parameter(stream, position, length, head[6])]
            elif edition == 1:
                length, centre, at = (
                    int.from_bytes(head[4:7], "big"),
                    head[12],
                    _moment((head[32] - 1) * 100 + head[20], head[21:25]),
                )
                shown = [f"{head[16]} {_OLD.get(head[16], '')}".strip()]
            else:
                yield Problem("corrupt", f"a message of edition {edition} at {position}")
                break
            yield from once["edition"].fields((str(edition),))
            yield from once["centre"].fields((f"{centre} {_CENTRES.get(centre, '')}",))
            yield from once["parameter"].fields(shown)
            said.update(dict.fromkeys((_CENTRES.get(centre, ""), *shown)))
            if at and at not in times and len(times) < 1000:
                times[at] = None
                yield Timestamp("reference", at, "grib.reference")
            if length < 20:
                yield Problem("corrupt", f"the message at {position} has {length} bytes")
                break
            if position + length > stream.size:
                yield Problem("truncated", f"the message at {position} ends after the file")
            position += length
            while position < stream.size and stream.at(position, 1) in (b"\0", b"\n", b"\r"):
                position += 1
        if words := [word for word in said if word]:
            yield Text("\n".join(words), "parameters")


def _moment(year: int, rest: bytes) -> datetime | None:
    """The reference time; in edition 1 the hundredth year ends its century."""
    month, day, hour, minute, second = (*rest, 0)[:5]
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _parameter(stream: Stream, start: int, length: int, discipline: int) -> str:
    """Discipline, category and number of the first field."""
    place = start + 16
    for _ in range(8):
        head = stream.at(place, 11)
        if len(head) < 11 or place >= start + length:
            break
        if head[4] == 4:
            key = (discipline, head[9], head[10])
            return f"{'.'.join(map(str, key))} {_PARAMETERS.get(key, '')}".strip()
        place += max(5, int.from_bytes(head[:4], "big"))
    return str(discipline)
