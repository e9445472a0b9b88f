"""Subtitles as text (SubRip, WebVTT, ASS and SSA, SAMI, MicroDVD, SubViewer, LRC): what is said, and when.

Source: SubRip as its program writes it; W3C WebVTT, section 4; SSA 4.00 and ASS 4.00+ script format; Microsoft
SAMI 1.0; MicroDVD and SubViewer 2.0 as their programs write them; LRC with its tags.
Limits: positions and effects are not read; MicroDVD counts pictures, so its places are numbers of pictures;
VobSub holds pictures and is left to the reader of MPEG streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import ClassVar, Final, NamedTuple

from indexer.handler import Handler, Stream
from indexer.handlers import _lines, _media, _refs
from indexer.handlers._lines import encoding_facts, lines_of, read_text, text_head
from indexer.handlers._markup import CLOSE, COMMENT, OPEN, TEXT, attributes, plain, tokens
from indexer.handlers._picture import FIELD_CHARS, held_member
from indexer.model import Fact, Field, Problem, Text

CUES: Final = 1_000_000
SPEAKERS: Final = 2_000
CUE_CHARS: Final = 64 << 10
_CLOCK: Final = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,:](\d{1,3})"
_STOP: Final = r"\d\d:\d\d:\d\d\.\d\d"
_SPAN: Final = re.compile(_CLOCK + r"\s{0,4}(?:-->|,)\s{0,4}" + _CLOCK)
_FRAMES: Final = re.compile(r"\{(\d{1,9})\}\{(\d{0,9})\}(.*)")
_LYRIC: Final = re.compile(r"\[(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
_LYRIC_TAG: Final = re.compile(r"\[([a-zA-Z#]{1,12}):(.{0,1000})\]\s*$")
_STYLING: Final = re.compile(
    r"\{\\[^}]{0,1000}\}|</?(?:[ibuscv]|font|ruby|rt|lang|c|v)\b[^>]{0,1000}>|<\d[\d:.]{0,20}>"
)
_VOICE: Final = re.compile(r"<v(?:\.[\w.]{1,80})?\s+([^>]{1,200})>")
_DRAWING: Final = re.compile(r"\{[^}]{0,1000}\\p[1-9]")
_LANGUAGE: Final = re.compile(r"lang\s{0,4}:\s{0,4}([\w-]{2,12})", re.IGNORECASE)
_START: Final = re.compile(rb"[\xef\xbb\xbf\xff\xfe\s]{0,200}(?:WEBVTT|[\[{<]|\d)")
_LRC_TAGS: Final = {"ti": "title", "ar": "artist", "al": "album", "au": "composer", "by": "encoded by", "re": "encoder"}
_SUFFIX: Final = {
    "subrip": "text/x-subrip", "webvtt": "text/vtt", "ass": "text/x-ssa", "sami": "text/x-sami",
    "microdvd": "text/x-microdvd", "subviewer": "text/x-subviewer", "lrc": "text/x-lrc",
}  # fmt: skip
_KINDS: Final = (
    ("webvtt", re.compile(r"WEBVTT(?=[ \t\n]|\Z)")),
    ("ass", re.compile(r"\[Script Info\]", re.IGNORECASE)),
    ("sami", re.compile(r"(?:<!--.{0,400}?-->\s*|<\?xml[^>]{0,200}>\s*)?<SAMI\b", re.IGNORECASE | re.DOTALL)),
    ("subrip", re.compile(r"(?:\d{1,9}[ \t]*\n\s{0,4})?" + _CLOCK + r" *--> *" + _CLOCK)),
    ("microdvd", re.compile(r"\{\d{1,9}\}\{\d{0,9}\}")),
    ("subviewer", re.compile(r"\[INFORMATION\]\s*\n\[(?:TITLE|AUTHOR)\]|" + _STOP + "," + _STOP + r"\s*\n")),
    ("lrc", re.compile(r"(?:\[(?:ti|ar|al|by|offset|length|re|ve):[^\]\n]{0,400}\]\s*\n)*+" + _LYRIC.pattern)),
)  # fmt: skip


class Cue(NamedTuple):
    """What is shown, from when to when in seconds; `place` stands in for a time where there is none."""

    text: str
    start: float
    end: float
    speaker: str = ""
    place: str = ""


class Subtitles(Handler):
    name = "subtitles"
    media_types = tuple(_SUFFIX.values())
    suffixes = (".srt", ".vtt", ".ass", ".ssa", ".smi", ".sami", ".sub", ".lrc")
    holds = b"[>{<,W"
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        **_lines.FIELDS,
        **_refs.FIELDS,
        "subtitles.format": "subrip, webvtt, ass, sami, microdvd, subviewer or lrc",
        "subtitles.cues": "passages that are shown",
        "subtitles.speaker": "who speaks, as the file names them",
        "subtitles.style": "name of a style",
        "subtitles.font": "font of a style",
    }
    reads = "what is said with its time, title, speakers, comments, styles, embedded fonts"
    rank = 61
    container = True

    def claims(self, stream: Stream) -> str | None:
        if b"\0" not in stream.head[:4] and not any(
            mark in stream.head[:4096] for mark in (b"[", b"-->", b"{", b"<", b"WEB", b",")
        ):
            return None
        kind = _kind(text_head(stream))
        return _SUFFIX[kind] if kind else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        kind = _kind(text_head(stream))
        reader, pieces = read_text(stream)
        if kind:
            yield Field("subtitles.format", kind)
        tags = _media.Tags()
        found = _sami(pieces, tags) if kind == "sami" else _READERS.get(kind, _blocks)(lines_of(pieces), tags)
        yield from _told(found)
        yield from tags.facts()
        yield from encoding_facts(reader)


def _kind(head: str) -> str:
    start = head[:8192].lstrip()
    return next((kind for kind, mark in _KINDS if mark.match(start)), "") if start else ""


def _told(found: Iterator[Cue | Fact]) -> Iterator[Fact]:
    """Cues as texts with their times; one that only repeats the one before is passed over."""
    count, end, last = 0, 0.0, ""
    speakers = _refs.Once("subtitles.speaker", SPEAKERS)
    for each in found:
        if not isinstance(each, Cue):
            yield each
            continue
        count += 1
        if count > CUES:
            yield Problem("limit", f"more than {CUES} passages", resolution="the first ones are kept")
            break
        end = max(end, each.end, each.start)
        yield from speakers.fields((each.speaker,))
        text = each.text.strip()[:CUE_CHARS]
        if text and text != last:
            said = f"{each.speaker}: {text}" if each.speaker else text
            yield Text(said, each.place or _media.clock(each.start))
        last = text
    yield Field("subtitles.cues", count)
    yield from _media.length(end)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _clean(text: str) -> str:
    return unescape(_STYLING.sub("", text))


def _blocks(lines: Iterator[str], tags: _media.Tags) -> Iterator[Cue | Fact]:
    """SubRip, WebVTT and SubViewer: a line of times, then text up to an empty line."""
    held: list[str] = []
    span: re.Match[str] | None = None
    before = ""
    for line in lines:
        line = line.strip()
        match = _SPAN.match(line)
        if match or not line:
            # A number above the times belongs to the next passage.
            if match and held and held[-1].isdecimal():
                held.pop()
            yield from _block(span, held)
            span, held = match, []
        elif line.startswith("[") and line.endswith("]") and span is None:
            before = line[1:-1].lower()
        elif before and line and span is None and before in ("title", "author", "source", "filepath"):
            tags.add(before, line)
            before = ""
        elif line.startswith(("[TITLE]", "[AUTHOR]", "[SOURCE]", "[FILEPATH]")):
            tags.add(line[1 : line.index("]")].lower(), line.partition("]")[2])
        elif sum(map(len, held)) < CUE_CHARS:
            held.append(line)
    yield from _block(span, held)


def _block(span: re.Match[str] | None, held: list[str]) -> Iterator[Cue | Fact]:
    if span:
        body = "\n".join(held).replace("[br]", "\n")
        voice = _VOICE.search(body)
        start, end = _seconds(*span.groups()[:4]), _seconds(*span.groups()[4:])
        yield Cue(_clean(body), start, end, voice[1].strip() if voice else "")
    elif held and not (len(held) == 1 and held[0].isdecimal()):
        text = "\n".join(held).removeprefix("WEBVTT").strip()
        if text:
            yield Text(text, "note" if text.startswith("NOTE") else "header")


def _script(lines: Iterator[str], tags: _media.Tags) -> Iterator[Cue | Fact]:
    """ASS and SSA: sections of lines; the events say themselves in which order their columns stand."""
    section, columns = "", ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    refs, styles, fonts = _refs.Once(), _refs.Once("subtitles.style", 5_000), _refs.Once("subtitles.font", 5_000)
    embedded: list[str] = []
    name = ""
    for line in lines:
        line = line.rstrip("\n")
        if line.startswith("[") and line.rstrip().endswith("]") and section not in ("fonts", "graphics"):
            section = line.strip()[1:-1].lower()
            continue
        if line.strip().lower() in ("[events]", "[fonts]", "[graphics]", "[v4+ styles]"):
            section = line.strip()[1:-1].lower()
            continue
        key, _, value = line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if section in ("fonts", "graphics"):
            if key in ("fontname", "filename"):
                yield from _decoded(name, embedded)
                name, embedded = value, []
            elif len(embedded) < 200_000:
                embedded.append(line.strip())
        elif key == "format" and section == "events":
            columns = [each.strip().lower() for each in value.split(",")]
        elif key in ("dialogue", "comment") and section == "events":
            parts = dict(zip(columns, value.split(",", len(columns) - 1), strict=False))
            yield from _event(parts, key)
        elif key == "style":
            yield from styles.fields(value.split(",")[:1])
            yield from fonts.fields(value.split(",")[1:2])
        elif section in ("script info", "aegisub project garbage") and value and not line.startswith((";", "!")):
            tags.add("comment" if key == "update details" else key, value)
            if key in ("video file", "audio file", "audio uri", "keyframes file", "timecodes file") and value[0] != "?":
                yield from refs.fields((value,))
    yield from _decoded(name, embedded)


def _event(parts: dict[str, str], kind: str) -> Iterator[Cue | Fact]:
    start, end = (re.fullmatch(_CLOCK, parts.get(each, "").strip()) for each in ("start", "end"))
    text = parts.get("text", "")
    if not start or not end or _DRAWING.search(text):
        return
    text = _clean(text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " "))
    speaker = (parts.get("name") or parts.get("actor") or "").strip()[:FIELD_CHARS]
    at = _seconds(*start.groups())
    yield Cue(text, at, _seconds(*end.groups()), speaker, f"comment {_media.clock(at)}" if kind == "comment" else "")


def _decoded(name: str, lines: list[str]) -> Iterator[Fact]:
    """A font or picture in the script: every character holds six bits, 33 above its value."""
    codes = [ord(each) - 33 & 63 for each in "".join(lines) if 33 <= ord(each) <= 96]
    if not codes:
        return
    held = bytearray()
    for at in range(0, len(codes), 4):
        group = codes[at : at + 4]
        bits = sum(code << 18 - 6 * place for place, code in enumerate(group))
        held += bits.to_bytes(3, "big")[: len(group) - 1]
    yield held_member(bytes(held), name or "embedded.bin", "attachment")


def _sami(pieces: Iterator[str], tags: _media.Tags) -> Iterator[Cue | Fact]:
    """SAMI: elements SYNC with a time in thousandths, below them P with a class for each language."""
    start, words, kept, inside = -1.0, "", "", ""
    shown: list[tuple[float, str]] = []
    languages = _refs.Once("media.language", 100)
    for kind, name, value in tokens(pieces, raw=frozenset(("style",))):
        if kind == OPEN and name == "sync":
            if start >= 0:
                shown.append((start, words))
            begun = {key.lower(): each for key, each in attributes(value)}.get("start", "")
            start, words = int(begun[:12]) / 1000 if begun[:12].isdecimal() else max(start, 0.0), ""
            if len(shown) > 1:
                yield Cue(plain(shown[0][1]), shown[0][0], shown[1][0])
                del shown[0]
        elif kind == OPEN and name in ("br", "p"):
            words += "\n"
        elif kind == OPEN:
            inside = name if name in ("title", "style") else inside
        elif kind == CLOSE and name in ("title", "style"):
            if inside == "title":
                tags.add("title", plain(kept).strip())
            else:
                yield from languages.fields(_LANGUAGE.findall(kept))
            inside, kept = "", ""
        elif kind == TEXT and inside:
            kept += value[: max(0, CUE_CHARS - len(kept))]
        elif kind == TEXT and start >= 0:
            words += value[: max(0, CUE_CHARS - len(words))]
        elif kind == COMMENT and inside != "style" and value.strip():
            yield from languages.fields(_LANGUAGE.findall(value))
            yield Text(value.strip(), "comment")
    for begun_at, said in [*shown, *([(start, words)] if start >= 0 else [])]:
        yield Cue(plain(said), begun_at, begun_at)


def _pictures(lines: Iterator[str], tags: _media.Tags) -> Iterator[Cue | Fact]:
    """MicroDVD: numbers of pictures in braces; the first passage may say how many there are a second."""
    rate = 0.0
    for line in lines:
        if match := _FRAMES.match(line):
            first, last, text = int(match[1]), int(match[2] or match[1]), match[3].strip()
            if not rate and first <= 1 and re.fullmatch(r"\d{2,3}([.,]\d{1,6})?", text):
                rate = float(text.replace(",", "."))
                yield Field("media.frame_rate", rate)
                continue
            said = re.sub(r"\{[a-zA-Z]:[^}]{0,200}\}", "", text).replace("|", "\n")
            place = "" if rate else f"picture {first}"
            yield Cue(said, first / rate if rate else 0, last / rate if rate else 0, "", place)


def _lyrics(lines: Iterator[str], tags: _media.Tags) -> Iterator[Cue | Fact]:
    """LRC: a time, or several, before each line of a song."""
    for line in lines:
        times = list(_LYRIC.finditer(line[:2000]))
        if times:
            text = _clean(line[times[-1].end() :])
            for match in times:
                at = int(match[1]) * 60 + int(match[2]) + (int(match[3]) / 10 ** len(match[3]) if match[3] else 0)
                yield Cue(text, at, at)
        elif tag := _LYRIC_TAG.match(line):
            tags.add(_LRC_TAGS.get(tag[1].lower(), tag[1]), tag[2].strip())


_READERS: Final = {
    "subrip": _blocks, "webvtt": _blocks, "subviewer": _blocks, "ass": _script, "microdvd": _pictures, "lrc": _lyrics,
}  # fmt: skip
