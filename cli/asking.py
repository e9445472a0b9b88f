"""A command whose query may begin with a minus: `-draft` leaves out, and is no option."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

ASKS = ("query", "pattern")
"""Arguments that may begin so."""
_NUMBER = re.compile(r"-n\d+")


class Asking(TyperCommand):
    """What stands behind one minus is an option only where the command has it, by itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words, with those that are no options behind all that are."""
        if not any(each.name in ASKS and each.param_type_name == "argument" for each in self.params):
            return super().parse_args(ctx, args)
        takes = {name: each for each in self.get_params(ctx) for name in each.opts if name.startswith("-")}
        options: list[str] = []
        plain: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                plain += words
            elif not word.startswith("-") or word == "-":
                plain.append(word)
            elif word.startswith("--") or word in takes or _NUMBER.fullmatch(word):
                options.append(word)
                held = takes.get(word)
                if held is not None and not getattr(held, "is_flag", False):
                    value = next(words, None)
                    if value is None:  # typer says what is missing
                        return super().parse_args(ctx, args)
                    options.append(value)
            else:
                plain.append(word)
        return super().parse_args(ctx, [*options, "--", *plain])
