"""Words drawn on pictures: how much of them is read, and what a picture costs.

    python tests/benchmarks/bench_ocr.py [--pictures 40] [--edge 1200]

Each picture holds one line in one of four languages, in a size and a colour of its own, on a plain ground that a few
lines cross, as on the layout of a cut. Letters are those of the system's Noto Sans CJK (apt install fonts-noto-cjk).
The likeness is that of what was drawn and what was read, white space left out: 1 where they are the same; beside it
that of Tesseract alone, all four of its models together, where the system has them. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import random
import time
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from indexer.handlers._ocr_engine import Engine, korean_data, load_engine

FONT = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
WORDS = {
    "zh": (2, "头发甩动要更夸张 口型与台词不符 眼睛高光偏左 灯笼颜色请改成红色 背景阴影删除 重画第三帧".split()),
    "ko": (
        1,
        [
            "등불의 색을 더 밝게",
            "입 모양이 대사와 맞지 않음",
            "배경 그림자 삭제",
            "C034 수정 필요",
            "다시 그릴 것 (2차)",
        ],
    ),
    "ja": (0, ["目のハイライトを右に", "背景のランプを消す", "口パク修正", "セル重ね確認 C12"]),
    "en": (0, ["Eye highlight: move right", "S03E05 C034 retake", "hair swing x3"]),
}
_TESSERACT = "chi_sim+kor+jpn+eng"


def picture(chooser: random.Random, words: str, face: int, edge: int) -> Image.Image:
    """A line of words on a ground that other lines cross."""
    size = edge, edge * 2 // 3
    made = Image.new("RGB", size, chooser.choice(((255, 255, 255), (240, 235, 220), (200, 220, 240))))
    pen = ImageDraw.Draw(made)
    for _ in range(8):
        pen.line([chooser.randrange(size[each % 2]) for each in range(4)], fill=(120, 120, 120), width=2)
    font = ImageFont.truetype(FONT, chooser.choice((22, 28, 36, 48)), index=face)
    place = chooser.randrange(edge // 20, edge // 4), chooser.randrange(edge // 10, edge // 2)
    pen.text(place, words, font=font, fill=chooser.choice(((0, 0, 0), (200, 0, 0), (0, 0, 160))))
    return made


def likeness(drawn: str, lines: list[str]) -> float:
    """Of the line that is most like it."""
    bare = "".join(drawn.split())
    return max((SequenceMatcher(None, bare, "".join(line.split())).ratio() for line in lines), default=0.0)


def tesseract() -> Any:
    """Tesseract with all four models; None where one is missing."""
    import tesserocr

    try:
        return tesserocr.PyTessBaseAPI(path=korean_data(), lang=_TESSERACT, psm=tesserocr.PSM.SPARSE_TEXT)
    except RuntimeError:
        return None


def measure(engine: Engine, other: Any, count: int, edge: int) -> None:
    """Prints a row for each language."""
    chooser = random.Random(12)
    print("| drawn | pictures | likeness | cpu a picture | Tesseract alone | its cpu |")
    print("|---|---|---|---|---|---|")
    for language, (face, lines) in WORDS.items():
        ours, theirs, our_cpu, their_cpu = 0.0, 0.0, 0.0, 0.0
        for number in range(count):
            words = lines[number % len(lines)]
            made = picture(chooser, words, face, edge)
            start = time.process_time()
            ours += likeness(words, [line.text for line in engine.read(made)])
            our_cpu += time.process_time() - start
            if other is not None:
                start = time.process_time()
                other.SetImage(made)
                theirs += likeness(words, other.GetUTF8Text().splitlines())
                their_cpu += time.process_time() - start
        row = f"| {language} | {count} | {ours / count:.2f} | {our_cpu / count:.2f} s |"
        print(row, f"{theirs / count:.2f} | {their_cpu / count:.2f} s |" if other is not None else "not installed | |")


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--edge", type=int, default=1200)
    options = parser.parse_args()
    if not FONT.is_file():
        print("no letters to draw with: apt install fonts-noto-cjk")
        return
    engine = load_engine()
    print(engine.name)
    measure(engine, tesseract(), options.pictures, options.edge)


if __name__ == "__main__":
    main()
