"""Words drawn on pictures: how much of them is read, and what a picture costs.

    python tests/benchmarks/bench_ocr.py [--pictures 40] [--edge 1200]

Each picture holds one line in one of four languages, in a size and a colour of its own, on a plain ground that a few
lines cross, as on the layout of a cut; or columns of it that are written from top to bottom, the first to the right;
or a line that is turned by 90 degrees. Letters are those of the system's Noto Sans CJK (apt install fonts-noto-cjk).
The likeness is that of what was drawn and what was read, white space left out: 1 where they are the same, of several
columns also their order; beside it that of Tesseract alone, all four of its models together, where the system has
them. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import random
import time
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, features

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
ROWS = (
    ("zh", ""), ("ko", ""), ("ja", ""), ("en", ""),
    ("zh", "a column"), ("ko", "a column"), ("ja", "a column"),
    ("zh", "three columns"), ("ko", "three columns"), ("ja", "three columns"),
    ("zh", "turned"), ("en", "turned"),
)  # fmt: skip
_COLUMNS = {"a column": 1, "three columns": 3}
_TESSERACT = "chi_sim+kor+jpn+eng"


def picture(chooser: random.Random, words: list[str], way: str, face: int, edge: int) -> Image.Image:
    """Words on a ground that other lines cross."""
    size = edge, edge * 2 // 3
    made = Image.new("RGB", size, chooser.choice(((255, 255, 255), (240, 235, 220), (200, 220, 240))))
    pen = ImageDraw.Draw(made)
    for _ in range(8):
        pen.line([chooser.randrange(size[each % 2]) for each in range(4)], fill=(120, 120, 120), width=2)
    em = chooser.choice((22, 28, 36, 48))
    font = ImageFont.truetype(FONT, em, index=face)
    across, down = chooser.randrange(edge // 20, edge // 4), chooser.randrange(edge // 10, edge // 2)
    ink = chooser.choice(((0, 0, 0), (200, 0, 0), (0, 0, 160)))
    if not way:
        pen.text((across, down), words[0], font=font, fill=ink)
    elif way == "turned":
        line = Image.new("L", (round(font.getlength(words[0])), round(em * 1.5)))
        ImageDraw.Draw(line).text((0, 0), words[0], font=font, fill=255)
        line = line.transpose(Image.Transpose.ROTATE_270)
        made.paste(Image.new("RGB", line.size, ink), (across, edge // 40), line)
    else:
        for number, column in enumerate(reversed(words)):
            write_down(pen, (across + round(1.6 * em * number), edge // 40), column, font, ink)
    return made


def write_down(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    words: str,
    font: ImageFont.FreeTypeFont,
    ink: tuple[int, int, int],
) -> None:
    """Words from top to bottom, in the forms that letters have there, where Pillow can."""
    if features.check("raqm"):
        pen.text(place, words, font=font, fill=ink, direction="ttb")
    else:
        for number, letter in enumerate(words):
            pen.text((place[0], place[1] + number * font.size), letter, font=font, fill=ink)


def likeness(drawn: list[str], lines: list[str]) -> float:
    """Of the line that is most like it; of several columns that of all lines together."""
    bare = "".join("".join(drawn).split())
    read = ["".join(line.split()) for line in lines]
    read = ["".join(read)] if len(drawn) > 1 else read
    return max((SequenceMatcher(None, bare, line).ratio() for line in read), default=0.0)


def tesseract() -> Any:
    """Tesseract with all four models; None where one is missing."""
    import tesserocr

    try:
        return tesserocr.PyTessBaseAPI(path=korean_data(), lang=_TESSERACT, psm=tesserocr.PSM.SPARSE_TEXT)
    except RuntimeError:
        return None


def measure(engine: Engine, other: Any, count: int, edge: int) -> None:
    """Prints a row for each language."""
    print("| drawn | pictures | likeness | cpu a picture | Tesseract alone | its cpu |")
    print("|---|---|---|---|---|---|")
    for language, way in ROWS:
        face, lines = WORDS[language]
        chooser = random.Random(12)
        ours, theirs, our_cpu, their_cpu = 0.0, 0.0, 0.0, 0.0
        for number in range(count):
            words = [lines[(number + each) % len(lines)] for each in range(_COLUMNS.get(way, 1))]
            made = picture(chooser, words, way, face, edge)
            start = time.process_time()
            ours += likeness(words, [line.text for line in engine.read(made)])
            our_cpu += time.process_time() - start
            if other is not None:
                start = time.process_time()
                other.SetImage(made)
                theirs += likeness(words, other.GetUTF8Text().splitlines())
                their_cpu += time.process_time() - start
        row = f"| {language} {way} | {count} | {ours / count:.2f} | {our_cpu / count:.2f} s |"
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
