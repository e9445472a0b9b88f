"""Items kept and found again: the case folder, its index, queries, answers and exports.

From Python:

    from search import Case

    with Case("cases/studio") as case:
        for hit in case.search("수정 OR 修改", limit=5).hits:
            print(hit.item.provenance, hit.highlights[0].text)
        print(case.facets("lang:ko", ["ext", "name.episode"]))
        case.export("notes.xlsx", "type:document")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.case import Case as Case

__all__ = ["Case"]


def __getattr__(name: str) -> object:
    """`Case`, imported when it is first asked for: every module of the package would wait for it else."""
    if name == "Case":
        from search.case import Case

        return Case
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
