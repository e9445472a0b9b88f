"""Whether a tree holds what other programs got out of an archive, and why a file of theirs may be no evidence.

Every rule looks at the other programs' output and at the archive itself; what Archivore says of the archive
decides nothing. A file that a rule names is counted apart, with its reason, and never as held.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

PROGRAMS = ("bsdtar", "7zz")
CUT = -25
"""How a program ends that met the limit on a file's size under which both were run (SIGXFSZ)."""
LIMIT = 64 << 20
NEAR = 1 << 20
"""A program that writes in pieces stops up to so much before the limit."""

Row = dict[str, Any]
Outcome = Literal["held", "ours goes on", "no evidence", "missed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    text: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file that a program wrote; `zeros` where it holds nothing else, or nothing."""

    program: str
    failed: bool
    name: str
    size: int
    digest: str

    @property
    def zeros(self) -> bool:
        return self.digest == zeros(self.size)


def zeros(size: int) -> str:
    """The digest of so many zeros; of a file too large to be made of them by chance, none."""
    return hashlib.sha256(bytes(size)).hexdigest() if size < 1 << 22 else ""


def files_of(row: Row, program: str) -> list[Wanted]:
    """What a program got out of an archive, links and special files left out.

    A program that failed leaves files of the right size that hold nothing but zeros, or no byte at
    all: it did not read them, so nobody has to have them.
    """
    code = row[program]["rc"]
    entries = (entry for entry in row[program]["files"] if isinstance(entry[1], int) and len(entry) > 2)
    files = [Wanted(program, bool(code), entry[0], entry[1], entry[2]) for entry in entries]
    return [file for file in files if not (file.failed and file.zeros)]


def wanted_of(row: Row) -> list[Wanted]:
    """The set that a verdict asks for: the program's that read it, else the larger of both."""
    first, second = (files_of(row, program) for program in PROGRAMS)
    if row["verdict"] in ("only-bsdtar", "only-7zz"):
        return first if row["verdict"] == "only-bsdtar" else second
    return max(first, second, key=lambda files: (len(files), sum(file.size for file in files)))


def missing_of(wanted: Iterable[Wanted], ours: Counter[str]) -> list[Wanted]:
    """The files that are not among our digests, each digest counted as often as it comes."""
    left = Counter(ours)
    missing = []
    for file in wanted:
        if left[file.digest]:
            left[file.digest] -= 1
        else:
            missing.append(file)
    return missing


def judge_missing(row: Row, data: bytes, missing: list[Wanted], proven: dict[str, str]) -> Verdict:
    """What is to be thought of files that we have not.

    Args:
        proven: digest of a file of theirs -> `goes on`, where it is the beginning of a member of ours,
            or `padded`, where it is a member of ours and zeros behind it.
    """
    outcomes: dict[Outcome, list[str]] = {}
    rules = Rules(row, data)
    for file in missing:
        if proven.get(file.digest) == "goes on":
            outcomes.setdefault("ours goes on", []).append(f"{file.name}: ours begins with its {file.size} bytes")
        elif reason := rules.reason(file, padded=proven.get(file.digest) == "padded"):
            outcomes.setdefault("no evidence", []).append(f"{file.name}: {reason}")
        else:
            outcomes.setdefault("missed", []).append(f"{file.name}, {file.size} bytes")
    order: tuple[Outcome, ...] = ("missed", "no evidence", "ours goes on")
    worst = next((outcome for outcome in order if outcome in outcomes), "held")
    told = [f"{text} ({outcome})" for outcome in order for text in outcomes.get(outcome, ())[:3]]
    return Verdict(worst, f"{len(missing)} files: " + "; ".join(told))


def judge_nothing(row: Row, data: bytes, texts: Iterator[tuple[str, str]]) -> Verdict:
    """What is to be thought of silence about an archive out of which no program got anything.

    Args:
        texts: our text of the item and the codec that we name for it.
    """
    if not any(row[program]["rc"] for program in PROGRAMS):
        return Verdict("no evidence", "both programs find it whole and empty")
    for text, codec in texts:
        if is_printable(data) and text and fold_lines(text.encode(codec, "replace")) == fold_lines(data):
            return Verdict("held" if data.isascii() else "no evidence", "no archive: printable text, kept whole")
    return Verdict("missed", "no problem told")


def is_printable(data: bytes) -> bool:
    """Whether no byte is a control character, but for white space."""
    return not re.search(rb"[^\t\n\f\r\x20-\x7e\x80-\xff]", data)


def fold_lines(data: bytes) -> bytes:
    return b"".join(data.split())


class Rules:
    """The rules for one archive."""

    def __init__(self, row: Row, data: bytes) -> None:
        self.row = row
        self.data = data
        self._tar: dict[str, tarfile.TarInfo] | None = None

    def reason(self, file: Wanted, *, padded: bool) -> str:
        """Why a file is no evidence; an empty string where it is."""
        if self.row[file.program]["rc"] == CUT and LIMIT - NEAR < file.size <= LIMIT:
            return f"cut by {file.program} at the limit of 64 MiB under which it was run"
        if padded and file.failed:
            return f"what is here of it, filled up with zeros by {file.program}, which failed"
        if self._are_only_zeros(file.program):
            return f"{file.program} wrote nothing but zeros, and the other program failed: no byte is the archive's"
        if self._is_symbol_listing(file):
            return f"a table of symbols as {file.program} prints it; the archive holds another form"
        if self.data.startswith(b"PK") and file.failed and self._swallows(file):
            return f"all bytes to the end of the archive, records of other members among them, by {file.program}"
        spelled = (file.name.encode(), file.name.replace("/", "\\").encode())
        if self._is_volume() and not any(name in self.data for name in spelled):
            return f"in another volume, which lay beside this one when {file.program} was run, and does not here"
        member = self._tar_members().get(file.name) or self._tar_members().get(pax_name(file.name))
        if member is None:
            return ""
        if not (member.isreg() or member.islnk() or member.issym() or member.isdir()):
            return f"a {tar_kind(member)}, which has no bytes, written by {file.program} as a file"
        size = int(member.pax_headers.get("GNU.sparse.realsize", member.size))
        if member.issparse() and file.size != size:
            return f"a sparse file of {size} bytes as it lies in the archive, not unfolded by {file.program}"
        return ""

    def _are_only_zeros(self, program: str) -> bool:
        other = next(each for each in PROGRAMS if each != program)
        return bool(self.row[other]["rc"]) and all(
            Wanted(program, False, *entry).zeros for entry in self.row[program]["files"] if isinstance(entry[1], int)
        )

    def _is_volume(self) -> bool:
        return bool(re.search(r"\.(?:z\d\d|part\d+\.rar|r\d\d|\d{3})$", self.row["path"]))

    def _is_symbol_listing(self, file: Wanted) -> bool:
        numbered = re.fullmatch(r"\d+\.txt", file.name)
        stored = any(entry[0] == file.name for entry in self.row["bsdtar"]["files"])
        return bool(numbered) and self.data.startswith(b"!<arch>\n") and file.program == "7zz" and not stored

    def _swallows(self, file: Wanted) -> bool:
        tail = self.data[-file.size :] if file.size else b""
        return b"PK\x01\x02" in tail and hashlib.sha256(tail).hexdigest() == file.digest

    def _tar_members(self) -> dict[str, tarfile.TarInfo]:
        """Members by name as a third reader of tar knows them; the first of a name that is special counts."""
        if self._tar is None:
            self._tar = {}
            try:
                with tarfile.open(fileobj=io.BytesIO(self.data), mode="r:") as archive:
                    for member in archive:
                        held = self._tar.get(member.name)
                        if held is None or held.isreg():
                            self._tar[member.name] = member
            except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError):
                pass  # what was read until then counts
        return self._tar


def pax_name(name: str) -> str:
    """The name of a sparse file whose header stands in a folder made up for those who cannot read it."""
    return re.sub(r"(^|/)GNUSparseFile\.\d+/", r"\1", name)


def tar_kind(member: tarfile.TarInfo) -> str:
    kinds = {tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "fifo", b"V": "volume label"}
    return kinds.get(member.type, f"special file of type {member.type!r}")
