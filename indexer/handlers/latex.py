"""LaTeX sources: the words without the commands, title and authors, sections, comments, files that are used.

Source: L. Lamport, "LaTeX: A Document Preparation System", 2nd edition, appendix C; D. Knuth, "The TeXbook",
chapters 7 and 8.
Limits: nothing is expanded: macros of the author's own give their arguments, not what they stand for;
mathematics stays as it is written; numbers, references and citations are not worked out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Stream
from indexer.handlers._lines import encoding_facts, passages, read_text, text_head
from indexer.model import Fact, Field, Text

_START = re.compile(r"^[^\S\n]*+\\(?:(?:documentclass|documentstyle|input tex)\b|begin\{document\})", re.MULTILINE)
_TOKEN = re.compile(
    r"(?<!\\)%(?P<comment>[^\n]*)"
    r"|\\begin\{(?P<raw>verbatim|lstlisting|comment)\*?\}(?P<inside>.*?)\\end\{(?P=raw)\*?\}"
    r"|\\(?P<accent>[`'^\"~=.]|[uvHcdbr](?=[\s{]))\s*(?:\{(?P<letter>\\?[A-Za-z])\}|(?P<bare>\\?[A-Za-z]))"
    r"|\\(?P<name>[A-Za-z@]+)\*?|\\(?P<sign>[^A-Za-z])|(?P<brace>[{}])|(?P<tie>~|---?|``|''|&)",
    re.DOTALL,
)
_ARGUMENT = re.compile(r"\s*+\{((?:[^{}]++|\{[^{}]*+\})*+)\}")
_OPTION = re.compile(r"[ \t]*\[[^\[\]\n]{0,1000}\]")
_DROPPED_WORDS = """
begin end label ref eqref pageref cite citep citet usepackage documentclass documentstyle bibliographystyle
vspace hspace setlength addtolength setcounter newcounter pagestyle thispagestyle newcommand renewcommand
def input include includegraphics bibliography addbibresource graphicspath hypersetup geometry nocite index
color fontsize newenvironment theoremstyle newtheorem RequirePackage
"""
"""Commands whose argument nobody sees."""
_DROPPED = frozenset(_DROPPED_WORDS.split())
_WITH_COLUMNS = frozenset(("tabular", "tabularx", "array", "longtable", "minipage", "multicols", "thebibliography"))
_FILES = frozenset(("input", "include", "includegraphics", "bibliography", "addbibresource", "lstinputlisting"))
_KEPT = {"title": "latex.title", "author": "latex.author", "date": "latex.date", "documentclass": "latex.class"}
_KEPT |= {"url": "latex.link", "href": "latex.link"}
_LETTERS = {"ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "aa": "å", "AA": "Å", "l": "ł"}
_LETTERS |= {"L": "Ł", "i": "ı", "j": "ȷ", "ldots": "…", "dots": "…", "textbackslash": "\\", "S": "§", "copyright": "©"}
_LETTERS |= {"par": "\n", "item": "\n- ", "newline": "\n", "LaTeX": "LaTeX", "TeX": "TeX", "quad": " ", "P": "¶"}
_ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307"}
_ACCENTS |= {"u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "d": "\u0323", "b": "\u0331", "r": "\u030a"}
_SIGNS = {
    "\\": "\n",
    " ": " ",
    ",": " ",
    ";": " ",
    "!": "",
    "-": "",
    "/": "",
    "\n": " ",
    "(": "",
    ")": "",
    "[": "\n",
    "]": "\n",
}
_TIES = {"~": " ", "--": "–", "---": "—", "``": "“", "''": "”", "&": "\t"}
_MOST = 64 << 20


class Latex(Handler):
    name = "latex"
    media_types = ("text/x-tex", "application/x-tex", "application/x-latex")
    suffixes = (".tex", ".latex", ".ltx")
    holds = b"\\"
    fields: ClassVar[Mapping[str, str]] = {
        "latex.title": "title",
        "latex.author": "authors, as they are written",
        "latex.date": "date, as it is written",
        "latex.class": "class of the document",
        "latex.link": "target of a link",
        "refers_to": "file that the source takes in",
        "text.codec": "how the bytes were decoded",
        "text.confidence": "how sure the encoding is, from 0 to 1",
    }
    reads = "text without commands, comments, title, authors, links, files that are taken in"
    rank = 66

    def claims(self, stream: Stream) -> str | None:
        head = text_head(stream)
        return self.media_types[0] if "\\" in head and _START.search(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader, pieces = read_text(stream)
        source, size = [], 0
        for piece in pieces:
            source.append(piece)
            size += len(piece)
            if size > _MOST:
                break
        comments: list[str] = []
        words: list[str] = []
        found: dict[Field, None] = {}
        _strip("".join(source), words, comments, found)
        yield from found
        text = re.sub(r"[ \t]*\n[ \t]*(?:\n[ \t]*)+", "\n\n", "".join(words)).strip()
        for passage, _ in passages(line + "\n" for line in text.split("\n")):
            yield Text(passage.body, passage.locator.replace("lines", "text lines"))
        if comments:
            yield Text("\n".join(comments), "comments")
        yield from encoding_facts(reader)


def _strip(source: str, words: list[str], comments: list[str], found: dict[Field, None]) -> None:
    """Takes the commands out: words to `words`, what stands behind `%` to `comments`, fields to `found`."""
    at = 0
    while token := _TOKEN.search(source, at):
        words.append(source[at : token.start()])
        at = token.end()
        if token["comment"] is not None:
            if comment := token["comment"].strip(" %\t-=*"):
                comments.append(comment)
        elif token["raw"]:
            (comments if token["raw"] == "comment" else words).append(token["inside"])
        elif token["accent"]:
            letter = (token["letter"] or token["bare"]).lstrip("\\")
            words.append(unicodedata.normalize("NFC", letter + _ACCENTS[token["accent"]]))
        elif token["name"]:
            at = _command(source, at, token["name"], words, found)
        elif token["sign"]:
            words.append(_SIGNS.get(token["sign"], token["sign"]))
        elif token["tie"]:
            words.append(_TIES.get(token["tie"], token["tie"]))
    words.append(source[at:])


def _command(source: str, at: int, name: str, words: list[str], found: dict[Field, None]) -> int:
    """What a command leaves in the text; gives where the text goes on."""
    if name in _LETTERS:
        words.append(_LETTERS[name])
        return at + (source[at : at + 1] == " ")
    while option := _OPTION.match(source, at):
        at = option.end()
    argument = _ARGUMENT.match(source, at)
    if argument and name in _FILES:
        found.update((Field("refers_to", part.strip()), None) for part in argument[1].split(",") if part.strip())
    if argument and name in _KEPT and (value := _short(argument[1])):
        found[Field(_KEPT[name], value)] = None
    if argument and name == "begin" and argument[1].rstrip("*") in _WITH_COLUMNS:
        argument = _ARGUMENT.match(source, argument.end()) or argument
    if name in _DROPPED or name == "href":
        return argument.end() if argument else at
    if name in ("thanks", "footnote", "and"):
        words.append(" ")
    if argument and name.endswith(("section", "chapter", "paragraph", "part", "title", "caption")):
        words.append("\n")
    return at


def _short(text: str) -> str:
    """A field's value on one line, its own commands taken out."""
    words: list[str] = []
    _strip(text.replace("\\and", ", ").replace("\\\\", ", "), words, [], {})
    return " ".join("".join(words).split()).replace(" ,", ",").strip(", ")
