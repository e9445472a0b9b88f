r"""Query text to a tree of whoosh.query objects.

Grammar, loosest first; AND, OR and NOT are written in capitals:

    query     = all { "OR" all }
    all       = one { [ "AND" ] one }                  terms side by side must all be there
    one       = { "NOT" | "-" } ( "(" query ")" | [ field ":" ] value )
    value     = "(" query ")"                          the field counts for everything inside
              | '"' words '"' [ "~" number ]           a phrase; ~5: in any order, at most 5 words between
              | word [ "~" [ "1" | "2" ] ]             ~: up to that many letters differ (words only)
              | ( ">" | ">=" | "<" | "<=" ) value      numbers and dates
              | [ value ] ".." [ value ]               both ends included
              | "=" word-or-phrase                     the field's whole value, not words in it
              | "*"                                    the item has this field
    one      |= "sounds:" word-or-phrase               a name, as it may be written in other scripts
    word      = characters up to white space, a parenthesis or a quote; "\" makes the next of * ? " ( ) : ~ \ plain

What stands without a field is looked for in the text, in the name and in what other fields say (`meta`).
A word of several parts (`kim@mail.example`, `cut_012.psd`, 第3话) is a phrase of them.

Chinese, Japanese and Korean: a word is found wherever its characters stand together; one character
finds every text that holds it.

Wildcards: `*` any characters, `?` one. Words: inside the word (`c?t*`). Chinese, Japanese and Korean:
between characters `?` stands for at most one, `*` for at most ten characters or words (第*话), at the
ends they change nothing. Names, paths and other fields: the pattern is also tried on the whole value
(`name:*.psd`), and only there if it holds punctuation. Inside quotes they are plain characters.

Names: `sounds:Pyongyang` finds the name itself and what sounds like it among the words that the case holds: 평양
and 平壤, other spellings in Latin letters (Korean by Revised Romanisation, McCune-Reischauer and the ways of
Pyongyang, Chinese as pinyin, Japanese by Hepburn), kana. What was asked for is told beside the answer; nothing
is expanded unless it is asked for. The name is in one script; syllables may be parted in quotes ("Kim Jong Un").

Sizes: 10kb, 1.5mb, 2gb (powers of 1024). Dates in UTC: 2024, 2024-01, 2024-01-05, 2024-01-05T10:30,
with seconds, Z or +09:00 if wanted; each means the whole of its year, month, day, minute or second.

The tree's vocabulary, all that an engine must know (fields are those of `schema`, or dynamic ones):
And, Or, Not; Every(field) has the field, Every() all; Term, Prefix, Wildcard (`analysis.glob`),
FuzzyTerm (first character fixed); Phrase(words, slop=1); Sequence(parts, slop, ordered=True): each part
begins 1 to `slop` positions after the end of the one before; NumericRange (dates: microseconds since
1970). A field name that begins with `=` (`WHOLE`) means the whole value as one term.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import permutations
from typing import NoReturn

from indexer.errors import QueryError
from search import _phrases, analysis, schema, sounds
from search._phrases import ANY, STAR
from search.tree import And, Every, FuzzyTerm, Not, NumericRange, Or, Query, Term, Wildcard
from search.units import date_span, number_of

LONGEST_QUERY = 64 * 1024
DEEPEST = 100
MOST_TERMS = 20_000
WIDEST = 100
"""The most words that may stand between the words of a proximity query."""
SOUNDS = "sounds"
"""Before a name that is looked for as it sounds."""
WHOLE = "="
"""Before a field's name: the whole value as one term."""

_ESCAPABLE = '*?"():~\\'
_QUOTES = {'"': '"', "“": "”"}
_FIELD = re.compile(r"([^\W\d][\w.\-]+):(?![/\\])")
_TILDE = re.compile(r"~\d{0,4}(?=[\s)]|$)")  # elsewhere it is a plain character
_DISTANCE = re.compile(r"~(\d{0,4})")


def parse(text: str, fields: Mapping[str, schema.FieldType] | None = None, words: sounds.Words | None = None) -> Query:
    """The tree that the query text means.

    Args:
        text: what the analyst wrote.
        fields: the fields that this case has beside those of `schema.CORE`, with their types; None
            takes every dotted name for a field.
        words: what the case is made of, for names as they sound.

    Raises:
        QueryError: it means nothing; the error holds the column.
    """
    return _Parser(text, fields, words).parse()


class _Parser:
    def __init__(
        self, text: str, fields: Mapping[str, schema.FieldType] | None, words: sounds.Words | None = None
    ) -> None:
        self.text = text
        self.words = words
        self.at = 0
        self.terms = 0
        self.depth = 0
        self.any_field = fields is None
        self.fields: dict[str, schema.FieldType] = {**(fields or {}), **schema.TYPES}

    def fail(self, message: str, column: int | None = None) -> NoReturn:
        raise QueryError(message, self.text, min(self.at if column is None else column, len(self.text)))

    def parse(self) -> Query:
        if len(self.text) > LONGEST_QUERY:
            self.fail(f"the query is longer than {LONGEST_QUERY} characters", LONGEST_QUERY)
        self.skip()
        if self.at == len(self.text):
            self.fail("the query is empty")
        tree = self.any_of(())
        if self.at < len(self.text):
            self.fail("this closing parenthesis has no opening one")
        return tree

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def keyword(self, word: str) -> bool:
        """Whether `word` stands here alone; if so, it is taken."""
        end = self.at + len(word)
        after = self.text[end : end + 1]
        if self.text.startswith(word, self.at) and (not after or after.isspace() or after in '()"'):
            self.at = end
            self.skip()
            return True
        return False

    def any_of(self, fields: tuple[str, ...]) -> Query:
        found = [self.all_of(fields)]
        while self.keyword("OR"):
            found.append(self.all_of(fields))
        return _join(Or, found)

    def all_of(self, fields: tuple[str, ...]) -> Query:
        found = [self.one(fields)]
        while True:
            self.skip()
            if self.keyword("AND"):
                found.append(self.one(fields))
                continue
            if self.at == len(self.text) or self.peek() == ")":
                break
            before = self.at
            if self.keyword("OR"):
                self.at = before
                break
            found.append(self.one(fields))
        return _join(And, found)

    def one(self, fields: tuple[str, ...]) -> Query:
        negative = False
        while True:
            before = self.at
            if self.keyword("NOT"):
                negative = not negative
            elif self.peek() == "-" and self.text[self.at + 1 : self.at + 2].strip():
                self.at += 1
                negative = not negative
            else:
                break
        for word in ("AND", "OR"):
            if self.keyword(word):
                self.fail(f"{word} needs a term before it; write it in quotes to search for the word", before)
        if self.at == len(self.text) or self.peek() == ")":
            self.fail("a term is missing here")
        found = self.group(fields) if self.peek() == "(" else self.fielded(fields)
        self.skip()
        return Not(found) if negative else found

    def group(self, fields: tuple[str, ...]) -> Query:
        start = self.at
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"parentheses are nested deeper than {DEEPEST}")
        self.at += 1
        self.skip()
        found = self.any_of(fields)
        if self.peek() != ")":
            self.fail("this parenthesis is never closed", start)
        self.at += 1
        self.depth -= 1
        return found

    def fielded(self, fields: tuple[str, ...]) -> Query:
        match = _FIELD.match(self.text, self.at)
        if match:
            name = schema.key(match[1])
            if name == SOUNDS:
                self.at = match.end()
                return self.sounding(fields or schema.DEFAULT_FIELDS)
            if name in self.fields or match[1].isascii():
                self.check_field(name, match.start())
                self.at = match.end()
                if self.at == len(self.text) or self.peek().isspace() or self.peek() == ")":
                    self.fail(f"the field {name} needs a value, or * for any")
                fields = (name,)
                if self.peek() == "(":
                    return self.group(fields)
        return self.value(fields)

    def sounding(self, fields: tuple[str, ...]) -> Query:
        start = self.at
        word = self.quoted() if self.peek() in _QUOTES and self.peek() else self.word()
        if not sounds.is_name(word):
            self.fail("sounds: needs a name in one script: Latin letters, Hangul, Han characters or kana", start)
        if self.words is None:
            self.fail("sounds: asks what the case holds, and there is no case here", start)
        forms, over = sounds.forms(word, self.words)
        found = sounds.Sounds([self.phrase(field, form, start) for form in (word, *forms) for field in fields])
        found.note = sounds.note_of(word, forms, over=over)
        return found

    def check_field(self, name: str, column: int) -> None:
        if name in self.fields or (self.any_field and "." in name):
            return
        near = get_close_matches(name, (*self.fields, SOUNDS), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "write it in quotes if it is not meant as a field"
        lacks = "no item of this case has a field" if "." in name and not self.any_field else "there is no field"
        self.fail(f"{lacks} {name}; {hint}", column)

    def value(self, fields: tuple[str, ...]) -> Query:
        start = self.at
        operator = ""
        if fields:
            for sign in (">=", "<=", ">", "<", "="):
                if self.text.startswith(sign, self.at):
                    operator = sign
                    self.at += len(sign)
                    break
        quoted = self.peek() in _QUOTES and self.peek() != ""
        word = self.quoted() if quoted else self.word()
        if not word:
            self.fail("a value is missing here")
        number = self.tilde() if self.peek() == "~" else None
        if word == STAR and not operator:
            return self.count(Every(*fields))
        found = [
            self.build(field, word, operator, quoted=quoted, tilde=number, column=start)
            for field in fields or schema.DEFAULT_FIELDS
        ]
        return _join(Or, found)

    def quoted(self) -> str:
        start = self.at
        closing = _QUOTES[self.peek()]
        self.at += 1
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in (closing, "\\"):
                self.at += 1
                char = self.text[self.at]
            elif char == closing:
                self.at += 1
                return "".join(out).replace(STAR, " ").replace(ANY, " ")
            out.append(char)
            self.at += 1
        self.fail("this quote is never closed", start)

    def word(self) -> str:
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if char == "\\" and following and (following in _ESCAPABLE or following.isspace()):
                self.at += 1
                out.append(following)
            elif char.isspace() or char in "()" or char in _QUOTES or _TILDE.match(self.text, self.at):
                break
            else:
                out.append({"*": STAR, "?": ANY, STAR: " ", ANY: " "}.get(char, char))
            self.at += 1
        return "".join(out)

    def tilde(self) -> int:
        """The number after `~`; -1 where none stands."""
        match = _DISTANCE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return int(match[1]) if match[1] else -1

    def build(self, field: str, word: str, operator: str, *, quoted: bool, tilde: int | None, column: int) -> Query:
        """The tree for one value in one field."""
        kind = self.fields.get(field, "name")
        if kind in ("number", "date"):
            return self.count(self.range(field, kind, word, operator, column))
        if operator in ("<", "<=", ">", ">="):
            if kind != "name" or field in schema.TYPES:
                self.fail(f"{field} is not a number or a date and cannot be compared", column)
            return self.count(self.range(field, "number", word, operator, column))
        if operator == "=" or kind == "keyword":
            if tilde is not None:
                self.fail("~ is for words of a text", column)
            self.check_value(field, word, column)
            return self.count(self.whole_value(field, word, column))
        if tilde is not None:
            found = self.near(field, word, tilde, column) if quoted else self.fuzzy(field, word, tilde, column)
        elif STAR in word or ANY in word:
            found = self.pattern(field, word, column)
        else:
            found = self.phrase(field, word, column)
            if kind == "name" and field not in schema.TYPES and not quoted:
                found = self.or_number(field, word, found, column)
        return found

    def check_value(self, field: str, word: str, column: int) -> None:
        values = schema.CLOSED.get(field)
        if values and not {STAR, ANY} & set(word) and word.casefold() not in values:
            finer = f"; one format is asked for as handler:{word} or ext:{word}" if field == "type" else ""
            self.fail(f"{field} is one of {', '.join(values)}{finer}", column)

    def count(self, node: Query, terms: int = 1) -> Query:
        self.terms += terms
        if self.terms > MOST_TERMS:
            self.fail(f"the query holds more than {MOST_TERMS} terms")
        return node

    def phrase(self, field: str, text: str, column: int) -> Query:
        steps = analysis.elements(text, split=field != "text")
        if not steps:
            self.fail("there is nothing in this that could be found: no letter, no digit", column)
        return self.count(_phrases.phrase(field, steps), len(steps))

    def near(self, field: str, text: str, distance: int, column: int) -> Query:
        distance = 0 if distance < 0 else distance
        if distance > WIDEST:
            self.fail(f"~ reaches over at most {WIDEST} words", column)
        parts = [self.phrase(field, part, column) for part in text.split() if analysis.elements(part)]
        if not parts:
            self.fail("there is nothing in this that could be found: no letter, no digit", column)
        if len(parts) == 1:
            return parts[0]
        if len(parts) > 4:
            self.fail("~ takes at most four words", column)
        return Or([_phrases.chain(list(order), [distance] * (len(order) - 1)) for order in permutations(parts)])

    def fuzzy(self, field: str, word: str, distance: int, column: int) -> Query:
        steps = analysis.elements(word)
        if STAR in word or ANY in word or len(steps) != 1 or steps[0].is_run:
            self.fail("~ after a word is for one plain word of letters and digits", column)
        if distance not in (-1, 0, 1, 2):
            self.fail("~ after a word is at most 2", column)
        if distance == 0:
            return self.phrase(field, word, column)
        return self.count(FuzzyTerm(field, steps[0].term, maxdist=max(1, distance), prefixlength=1))

    def whole_value(self, field: str, word: str, column: int) -> Query:
        name = field if self.fields.get(field) == "keyword" else WHOLE + field
        if field == "ipv4" and "/" in word:
            parts = _phrases.network(word)
            if not parts:
                self.fail("a network is written as 175.45.176.0/22", column)
            return Or([Wildcard(name, _phrases.whole_pattern(part)) for part in parts])
        if STAR in word or ANY in word:
            return Wildcard(name, _phrases.whole_pattern(word))
        value = analysis.whole(word)
        if not value:
            self.fail("there is nothing in this that could be found", column)
        return Term(name, value)

    def pattern(self, field: str, word: str, column: int) -> Query:
        """A word with wildcards: in the terms, and for names on the whole value as well."""
        parts = re.split(f"([{STAR}{ANY}])", word)
        folded = [part if part in (STAR, ANY) else analysis.fold(part).text for part in parts]
        if schema.TYPES.get(field) == "text":
            return self.steps(field, folded, column)
        found: Query = self.count(Wildcard(WHOLE + field, _phrases.whole_pattern(word)))
        if field == "path" and word.startswith(f"{STAR}/"):  # the highest folder stands behind the source's colon
            highest = Wildcard(WHOLE + field, _phrases.whole_pattern(f"{STAR}:{word[2:]}"))
            found = Or([found, self.count(highest)])
        if any(char.isspace() for part in folded for char in part) or not "".join(folded).strip(STAR + ANY):
            return found
        return Or([self.steps(field, folded, column), found])

    def steps(self, field: str, folded: list[str], column: int) -> Query:
        found = _phrases.steps(field, "".join(folded))
        if found is None:
            self.fail("wildcards alone find nothing; field:* finds the items that have the field", column)
        return self.count(found)

    def or_number(self, field: str, word: str, found: Query, column: int) -> Query:
        """A dynamic field's value as text, or as the number or the range that it reads as."""
        ends = word.split("..") if ".." in word else [word]
        if len(ends) > 2 or not any(ends) or any(number_of(end) is None for end in ends if end):
            return found
        numeric = self.count(self.range(field, "number", word, "", column))
        return numeric if ".." in word else Or([numeric, found])

    def range(self, field: str, kind: str, word: str, operator: str, column: int) -> Query:
        """A comparison, a range or a single value as one NumericRange."""
        low: tuple[float, bool] | None = None
        high: tuple[float, bool] | None = None
        if ".." in word and not operator:
            first, _, last = word.partition("..")
            if not first and not last:
                self.fail("a range needs at least one end", column)
            low = self.bounds(kind, first, column)[0] if first else None
            high = self.bounds(kind, last, column)[1] if last else None
        else:
            start, end = self.bounds(kind, word, column)
            if operator in ("", "="):
                low, high = start, end
            elif operator == ">=":
                low = start
            elif operator == "<=":
                high = end
            elif operator == "<":
                high = (start[0], True)
            else:  # after the whole of the unit
                low = (end[0], not end[1])
        if low and high and (low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1]))):
            self.fail("the range ends before it begins", column)
        return NumericRange(
            field,
            low[0] if low else None,
            high[0] if high else None,
            startexcl=bool(low and low[1]),
            endexcl=bool(high and high[1]),
        )

    def bounds(self, kind: str, word: str, column: int) -> tuple[tuple[float, bool], tuple[float, bool]]:
        """First and last value that the word covers, each with whether it is itself left out."""
        if kind == "number":
            number = number_of(word.strip())
            if number is None:
                self.fail("a number is needed here, like 100, 1.5mb or 10kb..2mb", column)
            return (number, False), (number, False)
        span = date_span(word.strip())
        if span is None:
            self.fail("a date is needed here, like 2024, 2024-01, 2024-01-05 or 2024-01-05T10:30", column)
        return (span[0], False), (span[1], True)


def _join(kind: type[Query], parts: list[Query]) -> Query:
    """The parts joined; nested joins of the same kind become one."""
    flat: list[Query] = []
    for part in parts:
        flat.extend(part.subqueries if type(part) is kind else [part])
    return flat[0] if len(flat) == 1 else kind(flat)
