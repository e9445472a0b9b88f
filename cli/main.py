"""The `archivore` command: one file per subcommand, and the only catch of our errors.

Exit codes: 0 done, 1 nothing found (or `--strict` met a problem), 2 the analyst can mend it,
3 our own store failed, 130 and 143 stopped by a signal; the same command goes on from there.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.asking import Asking
from cli.console import UnreadError, flush, note, open_streams, say, say_caret, say_error
from indexer import VERSION
from indexer.errors import ArchivoreError, Interrupted, QueryError, StoreError, reason_of

COMMANDS = {
    "Take evidence in": ("new.new", "ingest.ingest", "status.status", "problems.problems", "retry.retry"),
    "Search": (
        "search.search",
        "grep.grep",
        "facets.facets",
        "features.features",
        "timeline.timeline",
        "watch.watch",
        "similar.similar",
        "pairs.pairs",
    ),
    "Who came, and did what": (
        "events.events",
        "events.logins",
        "events.sessions",
        "events.addresses",
        "events.touched",
        "events.addressbook",
    ),
    "What changed": ("snapshots.diff", "snapshots.series", "sequences.sequences"),
    "Look at items": ("show.show", "tree.tree", "text.text", "extract.extract"),
    "Review": ("review.tag", "review.note", "review.save", "review.saved", "review.run"),
    "Report and prove": (
        "export.export",
        "audit.verify_export",
        "audit.verify",
        "audit.audit",
        "pack.pack",
        "pack.open_pack",
    ),
    "Keep a case": ("reindex.reindex", "naming.names", "naming.rename_fields", "hashset.hashset"),
    "Learn": ("demo.demo", "doctor.doctor", "formats.formats", "fields.fields"),
}
"""The commands by what they are for, in the order of the help: a module of this folder and a function, or a family."""
PLACES = tuple(place for places in COMMANDS.values() for place in places)


def app_for(words: list[str]) -> typer.Typer:
    """The command line with the command that is asked for; with all of them where help is, or a word is wrong."""
    app = typer.Typer(
        name="archivore",
        cls=_Commands,
        help="Opens what was seized, reads what is in it, and finds it again.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_about)  # with it, a single command keeps its name
    asked = words[0].replace("-", "_") if words else ""
    for place in [place for place in PLACES if place.endswith(f".{asked}")] or PLACES:
        module, _, name = place.partition(".")
        command = getattr(import_module(f"cli.{module}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command)
        else:
            app.command(cls=Asking)(command)
    return app


def _tell_version(asked: bool) -> None:
    if asked:
        say(f"archivore {VERSION}")
        raise typer.Exit


_VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Say which version this is.")
]


def _about(_version: _VersionOption = False) -> None:
    """What can be asked without a command."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which is to leave no more behind than Ctrl-C does."""


class _Commands(TyperGroup):
    """Commands that are shown by what they are for, and say so when they are stopped."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes each heading with its commands; one column for all of them."""
        width = max(map(len, self.commands))
        for heading, places in COMMANDS.items():
            commands = [self.commands[place.partition(".")[2].replace("_", "-")] for place in places]
            with formatter.section(heading):
                room = formatter.width - width - 6
                formatter.write_dl([(f"{each.name:<{width}}", each.get_short_help_str(room)) for each in commands])

    def invoke(self, ctx: Any) -> Any:
        """Runs a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            number = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
            raise Interrupted("Stopped; the same command can be given again.", number) from error


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def run() -> None:
    """Runs the command line and exits with its code."""
    open_streams()
    signal.signal(signal.SIGTERM, _terminate)
    # numpy is used for arrays, not for algebra: its threads would only cost their start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(20_000, 20, 50)  # little of what a command makes holds cycles, and there is much of it
    try:
        try:
            code = _run(sys.argv[1:])
            flush(sys.stdout)
        except StoreError as error:  # of the output itself
            say_error(str(error))
            code = error.exit_code
    except UnreadError:
        code = 0
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    finally:
        if "duckdb" not in sys.modules:  # it would tell of each thing of its own that still stands
            gc.freeze()  # what still stands goes with the process, and need not be looked through before
    sys.exit(code)


def _run(words: list[str]) -> int:
    """The exit code of a command line."""
    if words and words[0].partition("=")[0] == "--case":  # it may stand before the command too
        _, found, path = words.pop(0).partition("=")
        os.environ["ARCHIVORE_CASE"] = path if found or not words else words.pop(0)
    try:
        app_for(words)(words)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except QueryError as error:
        say_caret(str(error), error.query, error.column)
        return error.exit_code
    except Interrupted as error:
        note(str(error))
        return 128 + error.signal_number
    except ArchivoreError as error:
        say_error(str(error))
        return error.exit_code
    except OSError as error:  # of a file of ours that nobody had a word for
        say_error(f"{error.filename or 'the system'}: {reason_of(error)}")
        return StoreError.exit_code
    return 0
