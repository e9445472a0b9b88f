"""The house rules as tests: what a reviewer would otherwise have to look for in every change."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from build import all_cases
from indexer import registry
from indexer.facts import FIELDS
from indexer.handler import Handler

TOP = Path(__file__).parents[1]
ROOMS = ("indexer", "search", "cli")
SOURCES = sorted(path for room in ROOMS for path in (TOP / room).rglob("*.py"))
HANDLER_FILES = sorted((TOP / "indexer" / "handlers").glob("*.py"))
LONGEST = 450
TOP_LEVEL = {
    ".ci",
    ".gitattributes",
    ".github",
    ".gitignore",
    "LICENSE",
    "Makefile",
    "README.md",
    "cli",
    "fixtures",
    "indexer",
    "pyproject.toml",
    "search",
    "tests",
}
BANNED_WORDS = {
    "base",
    "common",
    "helper",
    "helpers",
    "info",
    "manager",
    "misc",
    "mixin",
    "processor",
    "support",
    "util",
    "utils",
}
FENCES = {
    "indexer/crawl.py": "the fence: trouble in the evidence becomes a Problem on its item",
}
"""Where an `except Exception` stands that does not raise again, and why; nowhere else."""
PICKLE_READERS: dict[str, str] = {}
"""Who may know pickle, and why."""
START_UP = {
    "av",
    "chardet",
    "exifread",
    "google",
    "kps9566",
    "lxml",
    "numpy",
    "opencc",
    "p7z",
    "PIL",
    "py7zr",
    "pypdfium2",
}
START_UP |= {"duckdb", "magic", "maxminddb", "phonenumbers", "pillow_heif", "pure_magic_rs", "re2", "whoosh"}
"""What must not be loaded before a command needs it."""
SEARCH_MAY_KNOW = {
    "VERSION",
    "errors",
    "escapes",
    "footage",
    "likeness",
    "limits",
    "model",
    "hashsets",
    "languages",
    "names",
    "packing",
    "passwords",
    "places",
    "timestamps",
}
"""Modules of the indexer that hold values, or the analyst's own lists, and touch no evidence."""


def relative(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def tracked() -> tuple[str, ...]:
    """What git tracks; where this is no repository, every file that is there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=False)
    if listed.returncode == 0:
        return tuple(name.decode("utf-8", "surrogateescape") for name in listed.stdout.split(b"\0") if name)
    return tuple(relative(path) for path in TOP.rglob("*") if path.is_file())


def imported(body: Iterator[ast.AST]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def at_import(module: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: all but the bodies of functions and of TYPE_CHECKING."""
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


# -- handlers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", registry.all_handlers(), ids=lambda handler: handler.name)
def test_a_handler_declares_all_of_itself(handler: Handler) -> None:
    module = sys.modules[type(handler).__module__]
    docstring = module.__doc__ or ""
    assert re.search(r"^Source: \S", docstring, re.MULTILINE), "the specification it follows"
    assert re.search(r"^Limits: \S", docstring, re.MULTILINE), "what it does not read"
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", handler.name)
    assert handler.version >= 1
    assert handler.reads.strip(), "a line for the table of file types"
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in handler.suffixes)
    assert all("/" in media_type for media_type in handler.media_types)
    asks = type(handler).claims is not Handler.claims
    assert all((mark.magic or asks) and mark.offset >= 0 for mark in handler.signatures)
    for name, meaning in handler.fields.items():
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?", name), name
        assert meaning.strip(), name


def test_every_field_that_a_handler_names_is_declared_by_some_handler() -> None:
    declared = {name for handler in registry.all_handlers() for name in handler.fields} | FIELDS.keys()
    families = tuple(name[:-1] for name in declared if name.endswith(".*"))
    for path in HANDLER_FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field" and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    assert name.value in declared or str(name.value).startswith(families), (path, name.value)


def test_handler_names_and_signatures_are_unique_enough_to_tell_apart() -> None:
    names = [handler.name for handler in registry.all_handlers()]
    assert len(names) == len(set(names))
    claimed: dict[tuple[bytes, int], list[Handler]] = {}
    for handler in registry.all_handlers():
        for mark in handler.signatures:
            claimed.setdefault((mark.magic, mark.offset), []).append(handler)
    for mark, handlers in claimed.items():
        blind = [handler.name for handler in handlers if type(handler).claims is Handler.claims]
        assert len(blind) <= 1, f"{blind} cannot be told apart by {mark}"


def test_there_is_one_handler_in_each_public_module() -> None:
    modules = [type(handler).__module__ for handler in registry.all_handlers()]
    assert len(modules) == len(set(modules))
    public = {path.stem for path in HANDLER_FILES if not path.stem.startswith("_")}
    assert {name.rsplit(".", 1)[1] for name in modules} == public


@pytest.mark.parametrize("path", HANDLER_FILES, ids=lambda path: path.stem)
def test_handlers_import_libraries_late_and_one_another_never(path: Path) -> None:
    for name in imported(at_import(tree(path))):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names or top in ("indexer", "msgspec"), f"{name} belongs inside read()"
    for name in imported(iter(ast.walk(tree(path)))):
        if name.startswith("indexer.handlers."):
            assert name.split(".")[2].startswith("_"), f"{name}: what two file types share stands in a _name.py"


# -- rooms -------------------------------------------------------------------------------------


def test_search_knows_the_indexers_values_only() -> None:
    for path in sorted((TOP / "search").rglob("*.py")):
        for name in imported(iter(ast.walk(tree(path)))):
            parts = name.split(".")
            if parts[0] == "indexer" and len(parts) > 1:
                assert parts[1] in SEARCH_MAY_KNOW, f"{relative(path)} imports {name}"


def test_the_command_starts_without_loading_the_libraries() -> None:
    if not (TOP / "cli" / "main.py").exists():
        pytest.skip("there is no command yet")
    code = "import cli.main, sys; cli.main.app_for([]); print(*sorted({name.split('.')[0] for name in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True)
    assert not START_UP & set(out.stdout.split())


def test_the_top_holds_only_what_is_listed() -> None:
    assert {name.split("/")[0] for name in tracked()} <= TOP_LEVEL


# -- fixtures ----------------------------------------------------------------------------------


def test_fixtures_are_what_build_writes_and_the_same_each_time() -> None:
    # Not compared with the bytes on disk: another zlib packs the same content into other bytes.
    first = {(folder, case.name): case.files for folder, case in all_cases()}
    assert first == {(folder, case.name): case.files for folder, case in all_cases()}
    written = {f"{folder}/{name}/{file}" for (folder, name), files in first.items() for file in files}
    written = {path.replace("/./", "/") for path in written}
    inputs = {name.removeprefix("fixtures/") for name in tracked() if name.startswith("fixtures/")}
    left_over = {name for name in inputs if re.search(r"/(input[^/]*|passwords\.txt|day\d/.*)$", name)} - written
    assert not left_over


# -- every source file -------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_module_shadows_the_standard_library(path: Path) -> None:
    name = path.parent.name if path.name == "__init__.py" else path.stem
    assert name not in sys.stdlib_module_names


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_names_say_what_a_thing_is(path: Path) -> None:
    names = [path.stem, path.parent.name]
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names += [node.name for node in ast.walk(tree(path)) if isinstance(node, kinds)]
    for name in names:
        words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}
        assert not words & BANNED_WORDS, name


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_nothing_runs_what_evidence_says(path: Path) -> None:
    for name in imported(iter(ast.walk(tree(path)))):
        unsafe = name.split(".")[0] in {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
        assert not unsafe or name == "pickle.UnpicklingError" or relative(path) in PICKLE_READERS, name
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in {"eval", "exec", "yaml.load", "os.system", "os.popen"}, called
        assert not called.endswith((".extractall", ".extract_all")), f"{called}: nothing is extracted by its name"
        for keyword in node.keywords:
            assert not (keyword.arg == "shell" and ast.unparse(keyword.value) != "False"), called
            assert not (keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"), called


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_one_file_prints(path: Path) -> None:
    if relative(path) == "cli/console.py":
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"print", "sys.stdout.write", "sys.stderr.write", "typer.echo"}


def broad_excepts(path: Path) -> list[int]:
    """The lines that catch everything and do not end in a bare `raise`."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = {ast.unparse(each) for each in ast.walk(node.type)} if node.type else {"Exception"}
            if caught & {"Exception", "BaseException"} and ast.unparse(node.body[-1]) != "raise":
                found.append(node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            if {ast.unparse(each) for each in node.args} & {"Exception", "BaseException"}:
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_there_is_one_fence(path: Path) -> None:
    found = broad_excepts(path)
    assert len(found) == (relative(path) in FENCES), f"lines {found}"


def test_nothing_names_a_machine() -> None:
    # Put together here, so that this file does not hold what it looks for.
    marks = re.compile("|".join(["/" + "work/", "/" + "farm/", "/" + "root/", r"\.\./" + "shared"]).encode())
    for name in tracked():
        path = TOP / name
        if path.is_file() and not path.is_symlink() and b"\0" not in (data := path.read_bytes()):
            assert not marks.search(data), name


def test_the_rules_themselves_can_fail(tmp_path: Path) -> None:
    module = ast.parse("import lxml.etree\ndef f():\n    import PIL\n")
    assert list(imported(at_import(module))) == ["lxml.etree"]
    assert "PIL" in list(imported(iter(ast.walk(module))))
    assert inspect.isabstract(Handler)
    broad = tmp_path / "broad.py"
    broad.write_text(
        "try:\n    pass\nexcept (OSError, Exception):\n    pass\nwith suppress(BaseException):\n    pass\n"
        "try:\n    pass\nexcept BaseException:\n    tidy()\n    raise\n"
    )
    assert broad_excepts(broad) == [3, 5]
