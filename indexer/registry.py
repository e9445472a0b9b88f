"""Every public module in `handlers/` is a file type: dropping a file there is all there is to do."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType

from indexer import handlers
from indexer.handler import Handler


def _declared(module: ModuleType) -> list[Handler]:
    return [
        value()
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__  # asked first: an abstract class is slow to know its heirs
        and issubclass(value, Handler)
        and not value.__name__.startswith("_")
    ]


@cache
def all_handlers() -> tuple[Handler, ...]:
    """One instance of every handler, sorted by rank and name."""
    found: list[Handler] = []
    for entry in pkgutil.iter_modules(handlers.__path__):
        if not entry.name.startswith("_"):
            found += _declared(importlib.import_module(f"{handlers.__name__}.{entry.name}"))
    return in_order(found)


def handlers_in(path: str) -> list[Handler]:
    """The handlers that the Python file at `path` declares; for tests, never for evidence."""
    spec = importlib.util.spec_from_file_location("handlers_under_test", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return _declared(module)


def in_order(found: Sequence[Handler]) -> tuple[Handler, ...]:
    """Handlers in the order in which they are asked; names must be unique."""
    names = [handler.name for handler in found]
    if len(set(names)) != len(names):
        raise ValueError(f"two handlers share a name: {sorted(names)}")
    return tuple(sorted(found, key=lambda handler: (handler.rank, handler.name)))
