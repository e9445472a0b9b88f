"""`archivore status`: what the case holds."""

from __future__ import annotations

from cli.console import say, say_card, say_json, say_table, size_of
from cli.options import CaseOption, JsonOption, open_case


def status(case_path: CaseOption = None, as_json: JsonOption = False) -> None:
    """Show sources, items, problems and runs of the case. Counts balance: found = read + partly read + not read.

    Example: archivore status --case cases/studio
    """
    from indexer.model import print_time
    from search.folder import ABOUT, about_of

    with open_case(case_path) as case:
        items, size = case.catalog.totals()
        by_status = case.catalog.counts("status")
        by_source = case.catalog.counts("source")
        by_cause = case.catalog.counts("cause")
        open_roots = sum(case.catalog.journal.open_roots().values())
        runs = case.catalog.runs()
        sources = case.catalog.sources()
        stale = case.catalog.is_stale(1)
        name, about = case.name, about_of(case.settings)
        case.record("answer", command="status", rows=items)
    if as_json:
        say_json(
            {
                "case": name,
                **about,
                "items": items,
                "bytes": size,
                "status": by_status,
                "problems": by_cause,
                "sources": {
                    label: {"path": source.path, "custodian": source.custodian, "items": by_source.get(label, 0)}
                    for label, source in sources.items()
                },
                "runs": len(runs),
                "unfinished": open_roots,
                "indexed": not stale,
            }
        )
        return
    balance = " + ".join(f"{by_status.get(each, 0):,} {each}" for each in ("read", "partly-read", "not-read"))
    say_card(
        [
            ("case", name),
            *((ABOUT[key], value) for key, value in about.items()),
            ("items", f"{items:,} found = {balance}"),
            ("size", size_of(size)),
            ("last run", print_time(runs[-1].started) if runs else "none yet"),
            ("unfinished", f"{open_roots:,} files: run the same ingest again" if open_roots else "nothing"),
            ("index", "behind: run archivore reindex" if stale else "up to date"),
        ]
    )
    if sources:
        say()
        rows = [
            (label, source.custodian, source.series, f"{by_source.get(label, 0):,}", source.path)
            for label, source in sources.items()
        ]
        say_table(("source", "custodian", "series", "items", "path"), rows, right=frozenset({3}))
    if by_cause:
        say()
        say_table(
            ("problem", "items"), [(cause, f"{count:,}") for cause, count in by_cause.items()], right=frozenset({1})
        )
