"""`archivore reindex`: the index built anew."""

from __future__ import annotations

from cli.console import counted, say
from cli.options import CaseOption, open_case


def reindex(case_path: CaseOption = None) -> None:
    """Build the index anew, without the evidence.

    Example: archivore reindex --case cases/studio
    """
    with open_case(case_path, write=True) as case:
        count = case.rebuild_index()
        case.record("reindexed", items=count)
    say(f"Indexed {counted(count, 'item')}.")
