"""`archivore ingest`: walks sources into the case."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import counted, note, say, size_of
from cli.options import (
    CaseOption,
    GuessOption,
    JobsOption,
    OcrOption,
    PasswordsOption,
    check_ocr,
    open_case,
    read_passwords,
)
from cli.progress import Reporter


def ingest(
    sources: Annotated[list[Path] | None, typer.Argument(help="Folders or files, as received.")] = None,
    case_path: CaseOption = None,
    label: Annotated[str, typer.Option("--label", help="What the source is called in every path.")] = "",
    custodian: Annotated[str, typer.Option("--custodian", help="Whose it was.")] = "",
    acquired: Annotated[str, typer.Option("--acquired", help="When it was taken, ISO 8601.")] = "",
    series: Annotated[str, typer.Option("--series", help="Ties the snapshots of one server together.")] = "",
    zone: Annotated[
        str,
        typer.Option(
            "--zone", help="The zone its clocks ran in, such as Asia/Seoul: kept with the source, no time is changed."
        ),
    ] = "",
    manifest: Annotated[Path | None, typer.Option("--manifest", help="A TOML file of [[source]] tables.")] = None,
    passwords: PasswordsOption = None,
    guess: GuessOption = False,
    ocr: OcrOption = False,
    jobs: JobsOption = 0,
    limit: Annotated[list[str] | None, typer.Option("--limit", help="NAME=VALUE, such as depth=12.")] = None,
    skip_known: Annotated[
        bool, typer.Option("--skip-known", help="Hash and name what a known hash set holds, and read no further.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where anything was not fully read.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Progress as JSON lines on stderr.")] = False,
) -> None:
    """Walk sources into the case: unpack, read, keep, index. The same command again goes on where it stopped.

    Example: archivore ingest seized/day1 --label day1 --series nk-server --passwords words.txt
    """
    from cli.manifest import read_manifest, source_of
    from cli.runs import guess_passwords, ingest_sources, limits_of, not_looked_at
    from indexer.errors import UsageError

    paths = sources or []
    described = [
        source_of(path, label, custodian=custodian, acquired=acquired, series=series, zone=zone, alone=len(paths) == 1)
        for path in paths
    ]
    described += read_manifest(manifest) if manifest else []
    if not described:
        raise UsageError("nothing to ingest: give folders or files, or --manifest FILE")
    check_ocr(wanted=ocr)
    with open_case(case_path, write=True) as case:
        with Reporter(as_json=events) as reporter:
            options: dict[str, Any] = {
                "limits": limits_of(case, tuple(limit or ())),
                "passwords": read_passwords(passwords),
                "ocr": ocr,
                "jobs": jobs,
                "tell": reporter.tell,
                "indexed": reporter.indexed,
            }
            counts = ingest_sources(case, described, skip_known=skip_known, **options)
            protected = opened = 0
            if guess:
                protected, opened, _ = guess_passwords(
                    case, lambda: list(case.catalog.with_problem("encrypted")), **options
                )
        unseen = len(not_looked_at(case)) if ocr else 0
        by_status = case.catalog.counts("status")
        closed = case.catalog.counts("cause").get("encrypted", 0)
        items, total = case.catalog.totals()
    read_now = f"{counted(counts['items'], 'item')} read now ({size_of(counts['bytes'])})"
    say(f"{read_now}; the case holds {items:,} ({size_of(total)}):")
    say("  " + ", ".join(f"{by_status.get(each, 0):,} {each}" for each in ("read", "partly-read", "not-read")))
    if protected:
        say(f"Passwords found in the case opened {opened:,} of {protected:,} protected items.")
    unread = sum(count for status, count in by_status.items() if status != "read")
    if unread:
        note("What kept items from being fully read: archivore problems")
    if options["passwords"] and not counts["items"] and closed:
        note("What was read before stays as it was: archivore retry --cause encrypted --passwords FILE")
    if unseen:
        note(f"In {counted(unseen, 'file')} read before, drawn words were not looked for: archivore retry --ocr")
    if strict and unread:
        sys.exit(1)
