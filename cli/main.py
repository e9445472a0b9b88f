"""The `archivore` command: one file per subcommand, and the only catch of our errors.

Exit codes: 0 done, 1 nothing found (or `--strict` met a problem), 2 the analyst can mend it,
3 our own store failed, 130 and 143 stopped by a signal; the same command goes on from there.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from cli.asking import Asking
from cli.console import note, say, say_caret, say_error, use_utf8
from indexer import VERSION
from indexer.errors import ArchivoreError, Interrupted, QueryError

COMMANDS = (
    "new.new",
    "ingest.ingest",
    "status.status",
    "search.search",
    "grep.grep",
    "facets.facets",
    "features.features",
    "timeline.timeline",
    "watch.watch",
    "similar.similar",
    "pairs.pairs",
    "events.events",
    "events.logins",
    "events.sessions",
    "events.addresses",
    "events.touched",
    "events.addressbook",
    "snapshots.diff",
    "snapshots.series",
    "sequences.sequences",
    "show.show",
    "tree.tree",
    "text.text",
    "extract.extract",
    "export.export",
    "review.tag",
    "review.note",
    "review.save",
    "review.saved",
    "review.run",
    "audit.verify",
    "audit.verify_export",
    "pack.pack",
    "pack.open_pack",
    "problems.problems",
    "retry.retry",
    "reindex.reindex",
    "formats.formats",
    "fields.fields",
    "naming.names",
    "naming.rename_fields",
    "doctor.doctor",
    "demo.demo",
    "audit.audit",
    "hashset.hashset",
)
"""Where each is, in the order of the help: a module of this folder and a function, or a family of commands."""


def app_for(words: list[str]) -> typer.Typer:
    """The command line with the command that is asked for; with all of them where help is, or a word is wrong."""
    app = typer.Typer(
        name="archivore",
        help="Opens what was seized, reads what is in it, and finds it again.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_about)  # with it, a single command keeps its name
    asked = words[0].replace("-", "_") if words else ""
    for place in [place for place in COMMANDS if place.endswith(f".{asked}")] or COMMANDS:
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


def run() -> None:
    """Runs the command line and exits with its code."""
    use_utf8()
    # numpy is used for arrays, not for algebra: its threads would only cost their start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(20_000, 20, 50)  # little of what a command makes holds cycles, and there is much of it
    try:
        app_for(sys.argv[1:])()
    except QueryError as error:
        say_caret(str(error), error.query, error.column)
        sys.exit(error.exit_code)
    except Interrupted as error:
        note(str(error))
        sys.exit(128 + error.signal_number)
    except ArchivoreError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough; nothing may be flushed after it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if "duckdb" not in sys.modules:  # it would tell of each thing of its own that still stands
            gc.freeze()  # what still stands goes with the process, and need not be looked through before
