"""Two figures for the detection of encodings, over a folder of outside texts.

    python tests/outside/encodings_measure.py CORPUS_FOLDER

1. `CORPUS/encodings/<codec>[-<language>]/*`: our text against `bytes.decode(codec)`.
2. `CORPUS/udhr/*.txt` re-encoded by every code page that can hold them, in cuts of 200 bytes
   (a code page that lacks up to 1 % of the characters is used without those).

Texts are compared character by character, a byte order mark at the start left out of both. Where
another codec than the folder's gives the identical text, that is a success. A file that its own
folder's codec cannot decode strictly is compared with errors="replace" and listed.
"""

from __future__ import annotations

import codecs
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from indexer.decoding import decode  # noqa: E402

CUT = 200
CODECS = ("cp949", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "utf-16-le", "utf-16-be")
MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


def codec_of(folder: str) -> str:
    for name in (folder, folder.rsplit("-", 1)[0]):
        try:
            return codecs.lookup(name).name
        except LookupError:
            continue
    return ""


def cuts(text: str, codec: str) -> Iterator[tuple[bytes, str]]:
    """Pieces of at most 200 encoded bytes that end between characters."""
    piece, size = "", 0
    for char in text:
        length = len(char.encode(codec))
        if size + length > CUT:
            yield piece.encode(codec), piece
            piece, size = "", 0
        piece += char
        size += length


def check_files(folder: Path, rows: dict[str, list[int]]) -> None:
    for path in sorted(each for each in folder.glob("*/*") if each.is_file()):
        codec = codec_of(path.parent.name)
        if not codec:
            print(f"no codec: {path.parent.name}")
            continue
        data = path.read_bytes()
        try:
            want = data.decode(codec)
        except UnicodeDecodeError as error:
            print(f"not strictly {codec}: {path.parent.name}/{path.name}: {error.reason}")
            want = data.decode(codec, "replace")
        ours = decode(data)
        same = ours.text.lstrip("\ufeff") == want.lstrip("\ufeff")
        rows[path.parent.name][0] += same
        rows[path.parent.name][1] += 1
        if not same:
            print(f"wrong: {path.parent.name}/{path.name}: {ours.codec} {ours.confidence} {ours.alternatives}")


def check_cuts(folder: Path, rows: dict[str, list[int]], *, verbose: bool) -> None:
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text("utf-8").removeprefix("\ufeff")
        for codec in CODECS:
            try:
                text.encode(codec)
                held = text
            except UnicodeEncodeError:
                held = text.encode(codec, "ignore").decode(codec)
                if len(held) < 0.99 * len(text):
                    continue
            for mark in {b"", MARKS.get(codec, b"")}:
                row = rows[f"{path.stem} {codec}{' bom' if mark else ''}"]
                for data, want in cuts(held, codec):
                    ours = decode(mark + data)
                    row[0] += ours.text == want
                    row[1] += 1
                    if ours.text != want and verbose:
                        print(f"wrong: {path.stem} {codec}: {ours.codec} {ours.confidence} {want[:60]!r}")


def print_rows(title: str, rows: dict[str, list[int]]) -> None:
    print(f"\n{title}")
    for name, (good, total) in sorted(rows.items()):
        print(f"  {name:32}{good:6}/{total:<6}{100 * good / total:7.2f} %")
    good, total = (sum(row[index] for row in rows.values()) for index in (0, 1))
    print(f"  {'all':32}{good:6}/{total:<6}{100 * good / max(1, total):7.2f} %")


def main() -> None:
    corpus = Path(sys.argv[1])
    verbose = "-v" in sys.argv
    started = time.perf_counter()
    files: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    pieces: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    check_files(corpus / "encodings", files)
    check_cuts(corpus / "udhr", pieces, verbose=verbose)
    print_rows("files whose text is exactly the folder's", files)
    print_rows("cuts of 200 bytes", pieces)
    print(f"\n{time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
