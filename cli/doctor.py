"""`archivore doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import sys

from cli.console import say_json, say_table
from cli.options import JsonOption
from indexer import VERSION


def doctor(as_json: JsonOption = False) -> None:
    """Check this machine: libraries, programs, limits. Says how to get what is missing.

    Example: archivore doctor
    """
    rows = _checks()
    if as_json:
        for name, state, advice in rows:
            say_json({"check": name, "state": state, "advice": advice})
        return
    say_table(("check", "state", "advice"), rows)


def _checks() -> list[tuple[str, str, str]]:
    from indexer.handlers._ocr_engine import KOREAN, korean_data
    from indexer.heic import INSTALL, LIBRARIES, heic_library
    from indexer.identify import magic_version
    from indexer.registry import all_handlers

    magic = magic_version()
    advice = "" if magic.startswith("libmagic") else "apt install libmagic1 (optional; the built-in rules answer)"
    rows = [
        ("archivore", VERSION, ""),
        ("python", sys.version.split()[0], ""),
        ("file types", magic, advice),
        ("cores", str(len(os.sched_getaffinity(0))), ""),
        ("O_NOATIME", "yes" if os.geteuid() == 0 else "for own files", "" if os.geteuid() == 0 else _ATIME),
    ]
    compiled = _module("search.engine._kernel")
    rows.append(("index kernel", "compiled" if compiled else "none", "" if compiled else _COMPILER))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        rows.append(("address space", f"{soft >> 20} MiB", "ulimit -v unlimited: workers bound themselves"))
    needed: dict[str, list[str]] = {}
    for handler in all_handlers():
        for need in handler.needs:
            needed.setdefault(need, []).append(handler.name)
    for need, types in sorted(needed.items()):
        kind, _, name = need.rpartition(":")
        if shutil.which(name) if kind == "program" else _module(name):
            rows.append((name, "present", ""))
        else:
            how = f"apt install {name}" if kind == "program" else f"pip install {name.split('.')[0]}"
            rows.append((name, "missing", f"{how}, to read {', '.join(types)}"))
    for name, use in (("duckdb", "to ask the events of logs"), ("maxminddb", "for address books in MMDB")):
        advice = "" if _module(name) else f"pip install 'archivore[logs]', {use}"
        rows.append((name, "missing" if advice else "present", advice))
    found = heic_library()
    advice = "" if found else f"{INSTALL}, to look at pictures in HEIC"
    rows.append((found or LIBRARIES[0], "present" if found else "missing", advice))
    found = korean_data()
    rows.append(
        ("drawn Korean", "present" if found else "missing", "" if found else f"apt install {KOREAN}, for --ocr")
    )
    return [*rows, _printing()]


def _printing() -> tuple[str, str, str]:
    """Whether reports can be set as PDF, with Chinese, Japanese and Korean letters in them."""
    try:
        import typst
    except ImportError:
        return "typst", "missing", "pip install 'archivore[pdf]', to export pdf"
    families = {font.family for font in typst.Fonts().fonts()}
    if any(mark in family for family in families for mark in _CJK):
        return "typst", "present, with CJK fonts", ""
    return "typst", "present, no CJK fonts", "apt install fonts-noto-cjk, or pdf shows boxes for them"


_CJK = ("CJK", "Nanum", "WenQuanYi", "Source Han", "Malgun", "Gothic")


_COMPILER = "install gcc, then archivore again: the index is built three times as fast (optional)"
_ATIME = "mount evidence read-only, so that access times stay as they are"


def _module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
