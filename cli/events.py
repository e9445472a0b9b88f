"""`archivore events`, `logins`, `sessions`, `addresses`, `touched`: what access logs tell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.console import note
from cli.options import CaseOption, JsonOption, open_case

User = Annotated[str, typer.Option("--user", help="By a user; * and ? stand for anything.")]
Address = Annotated[str, typer.Option("--address", help="From an address, a network such as 175.45.176.0/22, or 175.*")]
Country = Annotated[str, typer.Option("--country", help="From a country, by its code in the address books.")]
Network = Annotated[str, typer.Option("--network", help="From networks or kinds whose names hold this: VPN, unicom.")]
Action = Annotated[str, typer.Option("--action", help="GET, download, 'login*' ...")]
Path_ = Annotated[str, typer.Option("--path", help="Of a path; * and ? stand for anything.")]
Status = Annotated[str, typer.Option("--status", help="With a status: 404, '4*', failed.")]
Since = Annotated[str, typer.Option("--since", help="From this time on: 2024-04, 2024-04-02T10:30; UTC.")]
Until = Annotated[str, typer.Option("--until", help="Up to the end of this time; UTC.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")]


def events(
    user: User = "",
    address: Address = "",
    country: Country = "",
    network: Network = "",
    action: Action = "",
    path: Path_ = "",
    status: Status = "",
    since: Since = "",
    until: Until = "",
    logs: Annotated[bool, typer.Option("--logs", help="The logs instead: formats, counts, what was not read.")] = False,
    limit: Limit = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List what logs recorded, the earliest first. Web, FTP, SSH, Samba, cloud, Windows, journals, changes on NTFS.

    Examples: archivore events --user kimd --since 2024-04-02   archivore events --country KP -o kp.xlsx
    """
    from search.events import ask
    from search.events.choose import Choice

    with open_case(case_path) as case:
        if logs:
            report = ask.logs(case, tell=tell_read)
        else:
            choice = Choice(user, address, country, network, action, path, status, since, until)
            few = 0 if as_json or output is not None or not limit else limit + 1
            report = ask.events(case, choice, limit=few, tell=tell_read)
        give(report, as_json=as_json, output=output, kind=kind, limit=limit)


def logins(
    user: User = "",
    address: Address = "",
    country: Country = "",
    network: Network = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List who came in from where. Logins, failed logins, requests under a name: first, last and count.

    Example: archivore logins --user pak
    """
    from search.events import ask
    from search.events.choose import Choice

    with open_case(case_path) as case:
        choice = Choice(user, address, country, network, since=since, until=until)
        give(ask.logins(case, choice, tell=tell_read), as_json=as_json, output=output, kind=kind, limit=limit)


def sessions(
    gap: Annotated[str, typer.Option("--gap", help="A longer pause ends a session: 30m, 2h, 90s.")] = "30m",
    user: User = "",
    address: Address = "",
    country: Country = "",
    network: Network = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List the sessions of each address. From when to when, how many events, paths and bytes.

    Example: archivore sessions --gap 1h --country KP
    """
    from search.events import ask
    from search.events.choose import Choice

    with open_case(case_path) as case:
        choice = Choice(user, address, country, network, since=since, until=until)
        give(
            ask.sessions(case, choice, gap=gap, tell=tell_read), as_json=as_json, output=output, kind=kind, limit=limit
        )


def addresses(
    user: User = "",
    address: Address = "",
    country: Country = "",
    network: Network = "",
    path: Path_ = "",
    status: Status = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Count the events of each address. With where it is, by the address books of the case.

    Example: archivore addresses --network VPN
    """
    from search.events import ask
    from search.events.choose import Choice

    with open_case(case_path) as case:
        choice = Choice(user, address, country, network, path=path, status=status, since=since, until=until)
        give(ask.addresses(case, choice, tell=tell_read), as_json=as_json, output=output, kind=kind, limit=limit)


def touched(
    path: Annotated[str, typer.Argument(help="An item, a path or a name as logs have it; * and ? too.")],
    user: User = "",
    address: Address = "",
    country: Country = "",
    network: Network = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List who touched a file. And which item of the case that file is, by path and size.

    Example: archivore touched 'S03E05_C034*'
    """
    from search.events.choose import Choice
    from search.events.touching import touched as ask

    with open_case(case_path) as case:
        choice = Choice(user, address, country, network, since=since, until=until)
        give(ask(case, path, choice, tell=tell_read), as_json=as_json, output=output, kind=kind, limit=limit)


def tell_read(path: str, count: int) -> None:
    """Says that a log was read."""
    note(f"Read {path}: {count:,} events.")


def addressbook(
    path: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="MMDB, or CSV of ranges; the list else.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call it; the file's name else.")] = "",
    remove: Annotated[str, typer.Option("--remove", metavar="NAME", help="Take a book out of the case.")] = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Keep a table of addresses in the case. Countries, cities, networks, hosting and VPN; nothing is looked up
    online.

    Example: archivore addressbook GeoLite2-City.mmdb
    """
    from cli.console import say, say_json, say_table
    from indexer.errors import UsageError
    from search.addressbook import add_book, books_of, remove_book
    from search.review import checked_name

    with open_case(case_path, write=bool(path or remove)) as case:
        if remove:
            if not remove_book(case.path, remove):
                raise UsageError(f"{remove}: no such address book; `archivore addressbook` lists them")
            case.record("addressbook", name=remove, removed=True)
            say(f"{remove}: forgotten.")
        if path:
            label = checked_name(name or path.stem)
            count = add_book(case.path, path, label)
            case.record("addressbook", name=label, origin=str(path), ranges=count)
            say(f"{label}: {count:,} ranges.")
        if path or remove:
            return
        rows = books_of(case.path)
    if as_json:
        for book, form, size in rows:
            say_json({"name": book, "form": form, "bytes": size})
        return
    say_table(("name", "form", "bytes"), [*rows, ("(built in)", "search/addresses.toml", "")], right=frozenset({2}))
