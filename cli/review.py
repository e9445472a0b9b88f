"""`archivore tag`, `note`, `save`, `saved` and `run`: what a reviewer decides, and queries worth keeping."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import counted, say, say_json, say_table
from cli.console import note as tell
from cli.options import CaseOption, JsonOption, open_case

if TYPE_CHECKING:
    from search.case import Case

ItemsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ITEM]...", help="Ids or paths; - reads one a line from stdin.")
]
QueryOption = Annotated[str, typer.Option("--query", "-q", help="Every item that answers this query.")]


def tag(
    name: Annotated[str, typer.Argument(metavar="TAG", help="responsive, privileged, notable, or any name.")] = "",
    items: ItemsArgument = None,
    query: QueryOption = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away.")] = False,
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Put a tag on items, with your name and the time. Without arguments, list the tags.

    Examples: archivore tag notable 3f2a91   archivore tag responsive --query 'path:*/daily/*'
    """
    from indexer.errors import UsageError

    if not name:
        _list_tags(case_path, as_json=as_json)
        return
    if not items and not query:
        raise UsageError("nothing to tag: give items, or --query")
    with open_case(case_path, write=True) as case:
        ids = _chosen(case, items or [], query)
        changed = (case.review.untag if remove else case.review.tag)(ids, name)
        case.commit()
        case.update_index()
        case.record("tag", tag=name, removed=remove, query=query, items=changed)
    done = "removed from" if remove else "put on"
    say(f"{name}: {done} {len(changed):,} of {counted(len(ids), 'item')}.")


def note(
    item_word: Annotated[str, typer.Argument(metavar="ITEM", help="An id, its first digits, or a path.")],
    text: Annotated[str, typer.Argument(help="What there is to say.")],
    case_path: CaseOption = None,
) -> None:
    """Write a note about an item, with your name and the time. `show` and exports have it.

    Example: archivore note 3f2a91 'same cut list as day 1, one line added'
    """
    with open_case(case_path, write=True) as case:
        item = case.find(item_word)
        case.review.note(item.id, text)
        case.commit()
        case.record("note", item=item.id, text=text)
    say(f"Noted on {item.id[:8]}.")


def save(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    query: Annotated[str, typer.Argument(help="The query; none with --remove.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Forget the query of this name.")] = False,
    case_path: CaseOption = None,
) -> None:
    """Keep a query under a name; `run NAME` asks it again.

    Example: archivore save retakes '修改 OR 수정 OR retake'
    """
    from indexer.errors import UsageError

    if not query and not remove:
        raise UsageError("nothing to save: give a name and a query")
    with open_case(case_path, write=True) as case:
        if remove:
            case.review.drop(name)
        else:
            case.parse(query)
            case.review.save(name, query)
        case.commit()
        case.record("save", name=name, query=query, removed=remove)
    say(f"{name}: {'forgotten' if remove else 'saved'}.")


def saved(as_json: JsonOption = False, case_path: CaseOption = None) -> None:
    """List the saved queries.

    Example: archivore saved
    """
    with open_case(case_path) as case:
        rows = list(case.review.saved())
    if as_json:
        for name, mark in rows:
            say_json({"name": name, "query": mark.text, "who": mark.who, "at": mark.at})
        return
    if not rows:
        tell("No query is saved; keep one with `archivore save NAME QUERY`.")
        sys.exit(1)
    say_table(("name", "query", "who", "at"), [(name, mark.text, mark.who, mark.at) for name, mark in rows])


def run(
    name: Annotated[str, typer.Argument(help="The name of a saved query.")],
    case_path: CaseOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Hits shown.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Ask a saved query again, as `search` does.

    Example: archivore run retakes
    """
    from cli.search import search

    with open_case(case_path) as case:
        query = case.review.saved_query(name)
    search(query, case_path=case_path, limit=limit, as_json=as_json)


def _list_tags(case_path: CaseOption, *, as_json: bool) -> None:
    with open_case(case_path) as case:
        counts = case.review.counts()
    if as_json:
        say_json(counts)
        return
    if not counts:
        tell("No item has a tag.")
        sys.exit(1)
    say_table(("tag", "items"), list(counts.items()), right=frozenset({1}))


def _chosen(case: Case, words: list[str], query: str) -> list[str]:
    """The ids of the items that are meant, each once, in the order given."""
    if words == ["-"]:
        words = [line.strip() for line in sys.stdin if line.strip()]
    ids = [case.find(word).id for word in words]
    if query:
        ids += case.index.ids(case.parse(query))
    return list(dict.fromkeys(ids))
