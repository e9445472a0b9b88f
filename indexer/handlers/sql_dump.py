"""Dumps of databases as SQL: rows by table with escapes undone, statements, who dumped what, when and where.

Source: MySQL 8.4 Reference Manual, 6.5.4 (mysqldump); PostgreSQL 17, pg_dump, COPY; sqlite.org/cli.html, section 10;
the heads that phpMyAdmin 5, Adminer 4, HeidiSQL 12, Navicat and mydumper write.
A script of statements is read in the same way where it begins to make or fill a table.
Limits: other SQL is plain text. Bytes that MySQL writes as strings (without `--hex-blob`) are text as it is
decoded; a statement over 16 Mi characters is told in parts, as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._lines import FIELDS, encoding_facts, lines_of, read_text, text_head
from indexer.handlers._rows import passages
from indexer.handlers._sql_rows import INSERT, NAME, as_row, bare, copied, files_in, names_in, rows_of
from indexer.handlers._sql_text import Splitter, Statement
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_iso

_MARKS: Final = (
    (re.compile(r"(?:/\*M?!\d+\\- [^\n]*\n)?-- (?:MySQL|MariaDB) dump "), "mysqldump"),
    (re.compile(r"--\s*\n-- PostgreSQL database (?:cluster )?dump\s*\n"), "pg_dump"),
    (re.compile(r"PRAGMA foreign_keys=O(?:FF|N);\s*\nBEGIN TRANSACTION;"), "sqlite3"),
    (re.compile(r"-- phpMyAdmin SQL Dump"), "phpMyAdmin"),
    (re.compile(r"-- Adminer [\d.]+ \S+ [^\n]*dump"), "Adminer"),
    (re.compile(r"-- -{20,}\n-- (?:Host|호스트|主机|主機|ホスト):[^\n]*\n(?:--[^\n]*\n){1,8}?-- HeidiSQL"), "HeidiSQL"),
    (re.compile(r"/\*\s*\n\s*Navicat [^\n]*Data Transfer"), "Navicat"),
    (re.compile(r"-- (?:MyDumper|mydumper)|/\*!40101 SET NAMES binary\*/;\s*\n"), "mydumper"),
    (re.compile(r"/\*\s*\nSQLyog "), "SQLyog"),
)
_FIRST: Final = re.compile(
    r"(?:\s++|--[^\n]*+\n|\#[^\n]*+\n|/\*.{0,4000}?\*/|(?:SET|USE|BEGIN|START|LOCK|ALTER|DELETE|TRUNCATE)\b[^;]{0,300}+;)*+"
    r"(?:CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[\w$.`\"\[\]]{1,200}\s*\(|"
    r"CREATE\s+(?:DATABASE|SCHEMA)\s[^;\n]{1,300};|DROP\s+TABLE\s+IF\s+EXISTS\s+[\w$.`\"\[\]]{1,200}\s*[;,]|"
    r"(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO\s+[\w$.`\"\[\]]{1,200}\s*(?:\([^()']{0,4000}\))?\s*VALUES\s*\()",
    re.IGNORECASE | re.DOTALL,
)
"""How a script begins that makes or fills a table."""
_SPARING: Final = ("pg_dump", "sqlite3")
"""Programs in whose strings a backslash stands for itself."""
_ESCAPES: Final = re.compile(r"`|(?<!\\)(?:\\\\)*\\'(?!\s*[,);])")
_ENDS: Final = {"mysqldump": "-- Dump completed", "pg_dump": "dump complete", "sqlite3": "COMMIT;"}
_FACTS: Final = (
    (
        "sql.host",
        re.compile(
            r"(?:-- (?:Host|호스트|主机|主機|ホスト)| Source Host +): ?(\S[^\n]{0,200}?)(?:[ \t]{1,20}Database:|\n)"
        ),
    ),
    ("sql.database", re.compile(r"(?:-- Host: .*\s|-- |-- Current )[Dd]atabase: ([^\n]{1,200})\n")),
    ("sql.database", re.compile(r" Source Schema +: (\S[^\n]{0,200})\n")),
    ("sql.server_version", re.compile(r"(?:-- Server version:?|-- Dumped from database version)\s+([^\n]{1,200})\n")),
    ("sql.server_version", re.compile(r" Source Server Version *: (\S[^\n]{0,200})\n")),
    ("sql.client_version", re.compile(r"-- (?:MySQL|MariaDB) dump ([^\n]{1,200})\n")),
    (
        "sql.client_version",
        re.compile(r"-- (?:Dumped by pg_dump version|version|HeidiSQL Version:)\s+([^\n]{1,200})\n"),
    ),
    ("sql.php_version", re.compile(r"-- PHP Version: ([^\n]{1,200})\n")),
)
_TIMES: Final = (
    ("started", re.compile(r"-- (?:Started on|Start time:) ([^\n]{10,60})\n")),
    ("completed", re.compile(r"-- (?:Completed on|Dump completed on) ([^\n]{10,60})\n")),
    ("completed", re.compile(r" Date: (\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)")),
)
_WHEN: Final = re.compile(r"(\d{4}-\d\d-\d\d)[ T]+(\d?\d:\d\d:\d\d)(?: (UTC|GMT|[+-]\d\d:?\d\d))?")
_EUROPEAN: Final = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d)")
_CREATE: Final = re.compile(rf"\s*CREATE\s+(?:UNLOGGED\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{NAME}\s*\(", re.IGNORECASE)
_COLUMN: Final = re.compile(r"[(,]\s*(`[^`\n]{1,200}`|\"[^\"\n]{1,200}\"|\w{1,200})\s+[\w(]")
_NO_COLUMN: Final = frozenset(("PRIMARY", "UNIQUE", "KEY", "CONSTRAINT", "FOREIGN", "CHECK", "FULLTEXT", "INDEX"))
_COPY: Final = re.compile(rf"\s*COPY\s+{NAME}\s*(\([^()]{{0,60000}}\))?\s+FROM\s+stdin", re.IGNORECASE)
_USE: Final = re.compile(rf"\s*(?:USE|\\connect)\s+{NAME}", re.IGNORECASE)
_TABLES: Final = 10_000
_COLUMNS: Final = 100_000
"""Characters of a table's definition that are searched for the names of its columns."""


class SqlDump(Handler):
    name = "sql-dump"
    media_types = ("application/sql", "text/x-sql")
    suffixes = (".sql", ".dump", ".dmp", ".bak")
    holds = b"-;*"
    fields: ClassVar[dict[str, str]] = {
        **FIELDS,
        "sql.program": "program that wrote the dump",
        "sql.client_version": "its version",
        "sql.server_version": "version of the server that was dumped",
        "sql.host": "host that was dumped",
        "sql.php_version": "version of PHP that the program ran by",
        "sql.database": "name of a database",
        "sql.table": "name of a table",
        "sql.rows": "number of rows in the whole dump",
    }
    reads = "rows by table, statements, files among the values; server, host, databases and times from the head"
    rank = 62
    version = 2
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = text_head(stream)
        return self.media_types[0] if _program(head) or _FIRST.match(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = text_head(stream)
        program = _program(head)
        if program:
            yield Field("sql.program", program)
        reader, pieces = read_text(stream)
        # Of programs we do not know: MySQL's quotes, or a quote behind a backslash inside a value, tell its escapes.
        dump = _Dump(lines_of(pieces), program, program in _SPARING if program else not _ESCAPES.search(head))
        for label, group in groupby(dump.events(), key=lambda event: event[0]):
            if not label:
                for _, fact in group:
                    if not isinstance(fact, str):
                        yield fact
                continue
            yield from dump.table(label, (fact for _, fact in group))
        yield Field("sql.rows", dump.total)
        if dump.problem:
            yield dump.problem
        yield from encoding_facts(reader)


def _program(head: str) -> str:
    start = head[:2000].lstrip()
    return next((program for mark, program in _MARKS if mark.match(start)), "")


class _Dump:
    """One dump; `events` gives facts, and rows with the label of their table."""

    def __init__(self, lines: Iterable[str], program: str, sparing: bool) -> None:
        self._program = program
        self._sparing = sparing
        self._splitter = Splitter(lines, backslashes=not sparing)
        self._columns: dict[str, tuple[str, ...]] = {}
        self._counts: dict[str, int] = {}
        self._told: set[tuple[str, str]] = set()
        self._files: list[Child] = []
        self.total = 0
        self.problem: Problem | None = None

    def table(self, label: str, rows: Iterable[Fact | str]) -> Iterator[Fact]:
        """Passages of rows that stand together, and the files among their values."""
        heading = "\t".join(self._columns.get(label, ()))
        done = self._counts.get(label, 0)
        number = done

        def counted() -> Iterator[str]:
            nonlocal number
            for row in rows:
                if isinstance(row, str):
                    number += 1
                    yield row

        for text in passages(counted(), f"table {label}, rows", heading=heading, first=done + 1):
            yield text
            yield from self._files
            self._files = []
        self.total += number - done
        if len(self._counts) < _TABLES:
            self._counts[label] = number

    def events(self) -> Iterator[tuple[str, Fact | str]]:
        """Rows with their table's name, and other facts with none."""
        ended = False
        held: list[Statement] = []
        for each in self._splitter.statements():
            text = each.text
            mark = _ENDS.get(self._program, "")
            ended = ended or not mark or (mark in text[:200])
            if each.comment:
                held.append(each)
                if len(held) >= 100:
                    yield from self._comments(held)
                    held = []
                continue
            yield from self._comments(held)
            held = []
            if match := INSERT.match(text):
                yield from self._inserted(match, text, each.line)
            elif match := _COPY.match(text):
                name = self._name(match[1], match[2])
                yield from self._fresh("sql.table", name)
                yield from self._copied(name)
            else:
                yield from self._other(each)
            if not each.whole and len(text) < 1 << 20:
                self.problem = Problem("truncated", f"the statement of line {each.line} breaks off", resolution="kept")
        yield from self._comments(held)
        if not ended and not self.problem:
            self.problem = Problem("truncated", "the dump has no end mark", resolution="read up to there")

    def _comments(self, held: list[Statement]) -> Iterator[tuple[str, Fact | str]]:
        if not held:
            return
        whole = "".join(each.text for each in held)
        yield from self._head(whole)
        words = "".join(each.text for each in held if each.text.strip("-# \t\r\n"))
        if words:
            yield "", Text(words, _lines(held[0].line, held[-1].line))

    def _head(self, text: str) -> Iterator[tuple[str, Fact | str]]:
        for name, pattern in _FACTS:
            if match := pattern.search(text):
                yield from self._fresh(name, match[1].strip().strip("`"))
        for kind, pattern in _TIMES:
            if (match := pattern.search(text)) and (stamp := _time(kind, match[1])):
                yield "", stamp

    def _other(self, each: Statement) -> Iterator[tuple[str, Fact | str]]:
        text = each.text
        if match := _CREATE.match(text):
            columns = [column.strip('`"') for column in _COLUMN.findall(text[match.end() - 1 : match.end() + _COLUMNS])]
            name = bare(match[1])
            if len(self._columns) < _TABLES:
                self._columns[name] = tuple(one for one in columns if one.upper() not in _NO_COLUMN)
            yield from self._fresh("sql.table", name)
        elif match := _USE.match(text):
            yield from self._fresh("sql.database", bare(match[1]))
        yield "", Text(text, _lines(each.line, each.line + text.count("\n") - text.endswith("\n")))

    def _inserted(self, match: re.Match[str], text: str, line: int) -> Iterator[tuple[str, Fact | str]]:
        name = self._name(match[1], match[2])
        yield from self._fresh("sql.table", name)
        some = False
        for number, values in enumerate(rows_of(text, match.end(), backslashes=not self._sparing), 1):
            some = True
            self._files += files_in(values, self._columns.get(name, ()), f"{name}, line {line}, row {number}")
            yield name, as_row(values)
        if not some:
            yield "", Text(text, _lines(line, line + text.count("\n") - text.endswith("\n")))

    def _copied(self, name: str) -> Iterator[tuple[str, Fact | str]]:
        for line in self._splitter.raw():
            if line.rstrip("\r\n") == "\\.":
                return
            values = copied(line)
            self._files += files_in(values, self._columns.get(name, ()), f"{name}, line {self._splitter.line}")
            yield name, as_row(values)
        self.problem = Problem("truncated", f"the rows of {name} break off", resolution="read up to there")

    def _name(self, raw: str, listed: str | None) -> str:
        name = bare(raw)
        if listed and len(self._columns) < _TABLES:
            self._columns[name] = names_in(listed)
        return name

    def _fresh(self, name: str, value: str) -> Iterator[tuple[str, Fact | str]]:
        """A field, where it was not told before."""
        if value and (name, value) not in self._told and len(self._told) < _TABLES:
            self._told.add((name, value))
            yield "", Field(name, value)


def _lines(first: int, last: int) -> str:
    return f"line {first}" if last <= first else f"lines {first}-{last}"


def _time(kind: str, text: str) -> Timestamp | None:
    if match := _EUROPEAN.match(text):
        return from_iso(kind, f"{match[3]}-{match[2]}-{match[1]}T{match[4]}", "sql.comment")
    match = _WHEN.match(text.strip())
    if not match:
        return None
    zone = {"UTC": "+00:00", "GMT": "+00:00", None: ""}.get(match[3], match[3])
    return from_iso(kind, f"{match[1]}T{match[2].zfill(8)}{zone}", "sql.comment")
