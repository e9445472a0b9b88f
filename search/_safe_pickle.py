"""Whoosh, taught to read only its own plain values from pickles.

Whoosh keeps its table of contents, its directories and its blocks of postings as pickles, and
unpickles them on opening: an index made by somebody else would run their code. Every place where
whoosh 2.7.4 reads a pickle is given a reader that knows the few classes an index of ours holds and
refuses all others. `index.py` installs it before anything is opened.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections import defaultdict
from types import SimpleNamespace
from typing import BinaryIO

import whoosh.codec.plaintext
import whoosh.codec.whoosh3
import whoosh.columns
import whoosh.filedb.filetables
import whoosh.filedb.structfile
import whoosh.formats
import whoosh.index
import whoosh.reading


def _encode(text: str, encoding: str) -> bytes:
    """How old pickles write bytes; `codecs.encode` itself would look up any codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the index encodes bytes as {encoding!r}")
    return text.encode("latin-1")


ALLOWED: dict[tuple[str, str], object] = {
    ("whoosh.codec.whoosh3", "W3Segment"): whoosh.codec.whoosh3.W3Segment,
    ("whoosh.codec.whoosh3", "W3Codec"): whoosh.codec.whoosh3.W3Codec,
    ("collections", "defaultdict"): defaultdict,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("copyreg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    **{(home, kind.__name__): kind for kind in (object, set, int, bytes) for home in ("__builtin__", "builtins")},
}
"""Everything that a pickle may name, and what it gets. Nothing is imported on its word."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"the index names {module}.{name}, which no index of ours does")
        return ALLOWED[module, name]


def load(file: BinaryIO) -> object:
    """The value of the pickle that the file stands at.

    Raises:
        pickle.UnpicklingError: it names something that our indexes do not hold.
    """
    return _Reader(file).load()


def loads(data: bytes) -> object:
    """The value of a pickle held in memory; see `load`."""
    return _Reader(io.BytesIO(data)).load()


def install() -> None:
    """Put the careful reader wherever whoosh reads a pickle."""
    for module in (whoosh.codec.whoosh3, whoosh.codec.plaintext, whoosh.columns, whoosh.formats):
        module.loads = loads
    whoosh.filedb.structfile.load_pickle = load
    # index.py calls pickle.loads and pickle.dumps by way of the module.
    whoosh.index.pickle = SimpleNamespace(loads=loads, dumps=pickle.dumps, PicklingError=pickle.PicklingError)
    whoosh.index.toc_loaders = {}  # readers of indexes older than ours
    for module in (whoosh.codec.whoosh3, whoosh.filedb.filetables, whoosh.columns, whoosh.reading):
        module.Exception = whoosh.index.IndexError  # they raise Exception itself where a file is damaged
