"""Whoosh without what it loads and nothing here calls: imported before anything of it.

Its `compat` asks for `urllib.request`, which brings http, email and ssl; its queries and analyzers ask for
word lists of English. Together these are a tenth of what a search costs. A function of the same name stands
in for each and loads the real one where it is called after all.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

_UNCALLED = {
    "urllib.request": "urlretrieve",
    "whoosh.lang.morph_en": "variations",
    "whoosh.lang.porter": "stem",
    "whoosh.lang.dmetaphone": "double_metaphone",
}


def _later(module: str, name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call


def _stand_in(module: str, name: str) -> ModuleType:
    made = ModuleType(module)
    setattr(made, name, _later(module, name))
    return made


_made = {module: _stand_in(module, name) for module, name in _UNCALLED.items() if module not in sys.modules}
sys.modules |= _made
try:
    import whoosh.analysis
    import whoosh.compat
    import whoosh.query  # noqa: F401 - all that ask for them
finally:
    for module in _made:
        del sys.modules[module]
