"""Plain text and source code in every encoding, in passages by line numbers.

Source: none; `detection.py` says how bytes become text.
Limits: of a file that begins as text and ends in binary data (a script with an archive behind it) only
    readable strings are taken; a line over 128 Ki characters is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexer.handler import Handler, Stream
from indexer.handlers._lines import FIELDS, encoding_facts, ends_in_binary, lines_of, passages, read_text, text_head
from indexer.handlers._runs import carve
from indexer.model import Fact, Field, Problem

_TYPES = {
    ".as": "text/x-actionscript",
    ".bat": "text/x-msdos-batch",
    ".c": "text/x-c",
    ".cc": "text/x-c++",
    ".cmd": "text/x-msdos-batch",
    ".cpp": "text/x-c++",
    ".cs": "text/x-csharp",
    ".css": "text/css",
    ".diff": "text/x-diff",
    ".go": "text/x-go",
    ".h": "text/x-c",
    ".hpp": "text/x-c++",
    ".ini": "text/x-ini",
    ".java": "text/x-java",
    ".js": "text/javascript",
    ".jsx": "text/javascript",
    ".lua": "text/x-lua",
    ".mel": "text/x-mel",
    ".md": "text/markdown",
    ".patch": "text/x-diff",
    ".php": "text/x-php",
    ".pl": "text/x-perl",
    ".ps1": "text/x-powershell",
    ".py": "text/x-python",
    ".rb": "text/x-ruby",
    ".rs": "text/x-rust",
    ".sh": "text/x-shellscript",
    ".sql": "text/x-sql",
    ".srt": "text/x-subrip",
    ".tex": "text/x-tex",
    ".toml": "text/x-toml",
    ".ts": "text/x-typescript",
    ".vtt": "text/vtt",
    ".yaml": "text/x-yaml",
    ".yml": "text/x-yaml",
}
_SHEBANG = re.compile(
    r"#![ \t]*\S*?(?:/env[ \t]+)?(python|bash|sh|zsh|ksh|perl|ruby|node|php|lua)[0-9.]*(?:[ \t]|\n|\Z)"
)
_SHEBANGS = {
    "python": "text/x-python",
    "perl": "text/x-perl",
    "ruby": "text/x-ruby",
    "node": "text/javascript",
    "php": "text/x-php",
    "lua": "text/x-lua",
}


class PlainText(Handler):
    name = "text"
    media_types = ("text/plain", *sorted(set(_TYPES.values())))
    suffixes = (".txt", ".log", ".conf", ".cfg", *sorted(_TYPES))
    fields = FIELDS
    reads = "text in any encoding, by line numbers"
    rank = 90

    def claims(self, stream: Stream) -> str | None:
        head = text_head(stream)
        if not head:
            return None
        if head.startswith("#!") and (match := _SHEBANG.match(head[:200])):
            return _SHEBANGS.get(match[1], "text/x-shellscript")
        return _TYPES.get(stream.suffix, "text/plain")

    def read(self, stream: Stream) -> Iterator[Fact]:
        if text_head(stream) and ends_in_binary(stream):
            yield from carve(stream)
            yield Problem("unsupported", "binary data follows the text", resolution="strings indexed")
            return
        reader, pieces = read_text(stream)
        lines = 0
        for text, number in passages(lines_of(pieces)):
            lines = number
            yield text
        yield from encoding_facts(reader)
        yield Field("text.lines", lines)
