"""Recall and precision of the search by brute force, on the parallel texts of the outside corpus.

Every query is a random substring of two to eight Chinese, Japanese or Korean characters of a text,
and is answered twice: by the index, and by looking at every passage. Run from the repository:

    python tests/outside/recall_measure.py CORPUS/udhr [queries per language]
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from opencc import OpenCC

from search import analysis
from search.index import Index
from search.query import parse
from search.schema import Document

LANGUAGES = ("cmn_hans", "cmn_hant", "jpn", "kor")
OURS = """\
第3话S01E05分镜修改稿，cut012需要重画。背景用BG_03，动画部2024年1月确认。
제3화 원화 수정: 컷012의 배경을 BG_03으로 바꿀것. 動画部 확인필요.
第3話の絵コンテ修正、カット012を描き直し。ﾊｲｹｲはBG_03、작화감독チェック待ち。
스튜디오ジブリ風の背景を第十二集までに完成させる。原画マンは李英姬さん。
工作日志：今天收到客户发来的修改意见，人物的眼睛太大，请按设定稿修正。
"""
TRADITIONAL = OpenCC("s2t")
CJK = re.compile(
    "[\u3005\u3007\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]+"
)


def passages(folder: Path) -> dict[str, tuple[str, str]]:
    """Id to language and text: one item a paragraph."""
    found = {}
    for language in (*LANGUAGES, "eng", "rus"):
        lines = (folder / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        found |= {f"{language}.{number:03}": (language, line) for number, line in enumerate(lines) if line.strip()}
    return found | {f"own.{number:03}": ("own", line) for number, line in enumerate(OURS.splitlines())}


def seen(text: str) -> str:
    """The text as the truth sees it: composed, of one width, simplified, character by character."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(analysis._simplified(char) if "\u3400" <= char <= "\u9fff" else char for char in text)


def substrings(texts: list[str], count: int, low: int, high: int, seed: int) -> list[str]:
    choose = random.Random(seed)
    runs = [run for text in texts for run in CJK.findall(text) if len(run) >= low]
    found = []
    for run in choose.choices(runs, weights=[len(run) for run in runs], k=count):
        length = choose.randint(low, min(high, len(run)))
        start = choose.randint(0, len(run) - length)
        found.append(run[start : start + length])
    return found


def measure(
    index: Index, truth: dict[str, str], queries: list[str], change: Callable[[str], str] = str
) -> tuple[float, float, float]:
    """Recall, precision and milliseconds a query; `change` is what is done to the query's spelling."""
    right = wanted = given = 0
    started = time.perf_counter()
    answers = [set(index.ids(parse("text:" + change(query)))) for query in queries]
    spent = time.perf_counter() - started
    for query, answer in zip(queries, answers, strict=True):
        expected = {name for name, text in truth.items() if seen(query) in text}
        right += len(expected & answer)
        wanted += len(expected)
        given += len(answer)
    return right / wanted, right / given, spent * 1000 / len(queries)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def to_traditional(text: str) -> str:
    return str(TRADITIONAL.convert(text))


def main() -> int:
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    texts = passages(folder)
    truth = {name: seen(text) for name, (_, text) in texts.items()}
    worst = 1.0
    with tempfile.TemporaryDirectory() as scratch:
        for form in ("NFC", "NFD"):
            with Index.create(Path(scratch) / form) as index:
                index.add(Document(name, (unicodedata.normalize(form, text),)) for name, (_, text) in texts.items())
                index.commit()
                for language in (*LANGUAGES, "own"):
                    own = [text for name, text in texts.values() if name == language]
                    rounds = [
                        ("2 to 8 characters", substrings(own, count, 2, 8, 1), str),
                        ("one character", substrings(own, count, 1, 1, 2), str),
                        ("query decomposed", substrings(own, count, 2, 8, 3), nfd),
                    ]
                    if language == "cmn_hans":
                        rounds.append(("query in traditional", substrings(own, count, 2, 8, 4), to_traditional))
                    for what, queries, change in rounds:
                        recall, precision, spent = measure(index, truth, queries, change)
                        worst = min(worst, recall)
                        print(
                            f"{form} {language:9} {what:21} n={len(queries)} recall {recall:.4f}"
                            f" precision {precision:.4f} {spent:.2f} ms a query"
                        )
    return 0 if worst == 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
