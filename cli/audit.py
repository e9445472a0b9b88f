"""`archivore audit`, `verify` and `verify-export`: whether the log, the evidence and a file are what they were."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.console import note, say, say_json, say_table
from cli.options import CaseOption, JobsOption, JsonOption, PasswordsOption, open_case, read_passwords
from cli.progress import Reporter

DIFFERENT = 3
"""Exit code where something is not what it was."""

audit = typer.Typer(name="audit", help="Show and check the log of all that was done and asked.", no_args_is_help=True)


@audit.command("show")
def show(
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The newest records; 0: all.")] = 50,
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Show who did what and when, the oldest first.

    Example: archivore audit show -n 20
    """
    with open_case(case_path) as case:
        records = list(case.audit.records())
    if as_json:
        for record in records:
            say_json(record)
        return
    kept = records[-limit:] if limit else records
    rows = []
    for record in kept:
        frame = ("number", "at", "who", "version", "event", "previous", "digest")
        told = ", ".join(f"{name}: {value}" for name, value in record.items() if name not in frame and value != "")
        rows.append((record["number"], record["at"], record["who"], record["event"], told))
    say_table(("record", "at", "who", "event", "told"), rows, right=frozenset({0}))


@audit.command("verify")
def verify_log(as_json: JsonOption = False, case_path: CaseOption = None) -> None:
    """Check that no record was changed, removed or moved; print the newest digest, to be signed elsewhere.

    Example: archivore audit verify
    """
    with open_case(case_path) as case:
        breaks, count, newest = case.audit.check()
    if as_json:
        told = [{"line": each.line, "message": each.message} for each in breaks]
        say_json({"records": count, "newest": newest, "breaks": told})
    else:
        for each in breaks:
            say(f"line {each.line}: {each.message}")
        state = "broken" if breaks else "whole"
        say(f"{count:,} records, the chain is {state}; the newest digest is {newest}")
    if breaks:
        sys.exit(DIFFERENT)


def verify(
    only: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source; may come several times.")
    ] = None,
    passwords: PasswordsOption = None,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Compare all evidence with the catalog, digest by digest. Index and texts are checked too.

    Exits with 3 where anything differs, or could not be compared. Example: archivore verify
    """
    from cli.runs import check_evidence
    from search.verify import check_store

    with open_case(case_path) as case, Reporter() as reporter:
        check_store(case)
        same, differences = check_evidence(
            case, only, passwords=read_passwords(passwords), jobs=jobs, tell=reporter.tell
        )
        closed = sum(each.difference == "closed" for each in differences)
        different = len(differences) - closed
        chosen = {"sources": only} if only else {}
        case.record("verify", **chosen, same=same, different=different, closed=closed)
    if as_json:
        for each in differences:
            say_json(each.to_json())
        say_json({"same": same, "different": different, "closed": closed})
    else:
        if differences:
            say_table(
                ("difference", "item", "path", "sha256 was", "sha256 is"),
                [(each.difference, each.id[:8], each.path, each.was, each.now) for each in differences],
            )
        say(f"{same:,} items are what they were, {different:,} are not; index and texts are whole.")
    if closed:
        note(f"{closed:,} items are protected and could not be compared; give --passwords FILE.")
    if differences:
        sys.exit(DIFFERENT)


def verify_export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file or folder that `export` wrote.")],
    case_path: CaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that a file is one that this case wrote. Its digest stands in the audit log, and the log is whole.

    Exits with 3 where it is not. Example: archivore verify-export hits.csv
    """
    from search.exporting import digest_of

    digest = digest_of(path)
    with open_case(case_path) as case:
        breaks, _, newest = case.audit.check()
        record = next((each for each in case.audit.records() if each.get("sha256") == digest), None)
    if as_json:
        say_json({"sha256": digest, "record": record, "breaks": len(breaks), "newest": newest})
    elif record:
        say(f"{path}: export {record['export']}, written by {record['who']} at {record['at']}.")
        say(f"It is record {record['number']} of the audit log, with the digest {record['digest']}.")
    else:
        note(f"{path}: no export of this case has the SHA-256 {digest}.")
    if breaks:
        note("The audit log itself is broken: archivore audit verify")
    if breaks or not record:
        sys.exit(DIFFERENT)
