"""`archivore names` and `rename-fields`: what names say, and the index after the patterns changed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.console import counted, note, say, say_evidence, say_json, say_table
from cli.options import CaseOption, JsonOption, open_case


def names(
    default: Annotated[bool, typer.Option("--default", help="Print the default patterns, to be changed.")] = False,
    try_on: Annotated[str, typer.Option("--try", metavar="PATH", help="Show what this path would give.")] = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List the patterns that make fields of names. A names.toml in the case folder replaces the default.

    Examples: archivore names --try 'S03E05/C034_v2_fix.psd'   archivore names --default > cases/studio/names.toml
    """
    from indexer.model import Hop
    from search.naming import DEFAULT, Naming

    if default:
        say_evidence(DEFAULT.read_text("utf-8").rstrip("\n"))
        return
    with open_case(case_path) as case:
        naming = Naming.of(case.path)
    if try_on:
        found = [(field.name, field.value) for field in naming.fields((Hop(b"", try_on),))]
        if as_json:
            say_json(dict(found))
        elif not found:
            note("The patterns say nothing of this name.")
            sys.exit(1)
        else:
            say_table(("field", "value"), found)
        return
    if as_json:
        for each in naming.patterns:
            say_json({"field": each.field, "kind": each.kind, "regex": each.regex, "value": each.value})
        return
    say(f"From {naming.path}:")
    say_table(
        ("field", "kind", "example", "regex"),
        [(each.field, each.kind, each.example, each.regex) for each in naming.patterns],
    )


def rename_fields(case_path: CaseOption = None) -> None:
    """Apply changed patterns of names.toml to all items. Nothing is read again from the evidence.

    Example: archivore rename-fields
    """
    from search.naming import Naming

    with open_case(case_path, write=True) as case:
        naming = Naming.of(case.path)
        count = case.rebuild_index()
        case.record("rename-fields", patterns=str(naming.path.name), items=count)
    say(f"Named {counted(count, 'item')} by the {counted(len(naming.patterns), 'pattern')} of {naming.path}.")
