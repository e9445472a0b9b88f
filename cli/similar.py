"""`archivore similar`: what is nearly the same as an item, or as a picture from elsewhere."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.console import counted, note
from cli.options import CaseOption, JobsOption, JsonOption, PasswordsOption, open_case, read_passwords

if TYPE_CHECKING:
    from search.case import Case
    from search.clustering import Cluster


def similar(
    item_word: Annotated[str, typer.Argument(metavar="[ITEM]", help="An id, its first digits, or a path.")] = "",
    picture: Annotated[Path | None, typer.Option("--picture", help="What is like this picture instead.")] = None,
    clusters: Annotated[bool, typer.Option("--clusters", help="Everything that is like something else.")] = False,
    query: Annotated[str, typer.Option("--query", help="Clusters of these hits only.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="text, picture, video, with commas between.")
    ] = "text,picture,video",
    least: Annotated[
        float | None,
        typer.Option("--least", min=0.1, max=1.0, help="How alike; 0.5 of texts, 0.8 of pictures, 0.9 of videos."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    jobs: JobsOption = 0,
    passwords: PasswordsOption = None,
    output: OutputOption = None,
    form: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Find near-duplicate texts, pictures and videos. A few words changed; scaled, cut, recompressed; scenes.

    Clusters of the whole case are kept: then queries know them, cluster:ID, and `facets --by cluster`.

    Examples: archivore similar 3f2a91   archivore similar --picture poster.jpg   archivore similar --clusters
    """
    from cli.looks import look_at, look_at_file
    from cli.runs import limits_of
    from indexer.errors import UsageError
    from search.alike import KINDS, Alike, similar_to_picture
    from search.alike import similar as like
    from search.clustering import KINDS as JOINED
    from search.clustering import clusters_in, report_of_clusters

    kinds = [each.strip() for each in kind.split(",") if each.strip()]
    if not kinds or set(kinds) - set(KINDS):
        raise UsageError(f"--kind {kind}: there are {' and '.join(KINDS)}")
    if sum((bool(item_word), picture is not None, clusters)) != 1:
        raise UsageError("one of three: ITEM, --picture FILE, or --clusters")
    if picture:
        kinds = [each for each in kinds if each != "text"] or list(KINDS[1:])
    elif clusters:
        kinds = [each for each in kinds if each in JOINED] or list(JOINED)
    with open_case(case_path) as case, closing(Alike(case)) as alike:
        limits = limits_of(case)
        body = look_at_file(picture, limits) if picture else b""
        item = case.find(item_word) if item_word else None
        if "text" in kinds:
            alike.take_texts(lambda count: note(f"{count:,} texts signed"))
        if "picture" in kinds:
            look = look_at(case, read_passwords(passwords), limits, jobs)
            alike.take_pictures(look, lambda count: note(f"{count:,} pictures looked at"))
        if "video" in kinds:
            look = look_at(case, read_passwords(passwords), limits, jobs, film=True)
            alike.take_videos(look, lambda count: note(f"{count:,} videos looked at"))
        if picture:
            report = similar_to_picture(alike, picture, body, least, kinds)
        elif item:
            report = like(alike, item, kinds, least)
        else:
            found = clusters_in(alike, kinds, least)
            if not query and least is None:
                _keep(case, found, kinds)
            report = report_of_clusters(alike, found, query, kinds, least)
        give(report, as_json=as_json, output=output, kind=form, limit=limit)


def _keep(case: Case, found: list[Cluster], kinds: list[str]) -> None:
    """Keeps the clusters where the case can be written to just now."""
    from indexer.errors import LockedError
    from search.clustering import keep_clusters

    if not os.access(case.path, os.W_OK):
        note("This case cannot be written: queries and facets will not know these clusters.")
        return
    try:
        with open_case(case.path, write=True) as writing:
            count = keep_clusters(writing, found, kinds)
            writing.record("clusters", kinds=",".join(kinds), clusters=len(found), items=count)
    except LockedError as error:
        note(f"Queries and facets will not know these clusters: {error}")
        return
    note(f"{counted(len(found), 'cluster')} kept; {counted(count, 'item')} indexed anew.")
