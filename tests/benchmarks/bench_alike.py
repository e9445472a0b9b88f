"""Near-duplicates found and told apart: recall, precision, time and memory on a generated set.

    python tests/benchmarks/bench_alike.py [--pictures 1000] [--texts 1000] [--videos 100] [--many 1000000]

Pictures: drawn scenes (line art on white, flat shapes, lettering), each with ten edits: half and double size,
JPEG quality 30 and 10, cut by 5 %, brighter or darker, less or more contrast, lettering across the middle,
turned by one and by two degrees. Texts: of 40 to 1,500 words in Latin letters, Chinese and Korean, each with a
copy of which 10 % of the words are others. Recall: edits that are found from their original, and edits that are
clustered with it; precision: found that are edits. Videos: of four scenes, each with a copy of half the size and a
tenth of the bits, asked for by every scene as a picture of half the size and of quality 30, and by the copy.
`--many` is the number of signatures, mostly random, of the last part, which measures one question and all clusters
at that size. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from indexer.footage import footage
from indexer.likeness import likeness
from search.alike import FILE, LEAST, Alike
from search.case import Case
from search.engine.signatures import HASHES, PICTURE, Pictures, Texts, clusters, sign_text

_HAN = "的一是不了人我在有他这中大来上国修改画原动背景太暗请线条天空亮明交付检查通过期限摄影色镜头第话集"
_SIZES = ((640, 360), (480, 480), (360, 500), (800, 600))


def scene(chooser: random.Random) -> Image.Image:
    """A picture as an animation studio might have it."""
    width, height = chooser.choice(_SIZES)
    is_line_art = chooser.random() < 0.3
    ground = (255, 255, 255) if is_line_art else tuple(chooser.randrange(256) for _ in range(3))
    picture = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(picture)
    for _ in range(chooser.randrange(8, 30)):
        x, y = chooser.randrange(width), chooser.randrange(height)
        a, b = chooser.randrange(20, width // 2), chooser.randrange(20, height // 2)
        points = [(x + chooser.randrange(-a, a), y + chooser.randrange(-b, b)) for _ in range(4)]
        colour = tuple(chooser.randrange(256) for _ in range(3))
        box = (x - a // 2, y - b // 2, x + a // 2, y + b // 2)
        if is_line_art:
            pen.line(points, fill=(chooser.randrange(80),) * 3, width=chooser.randrange(2, 7))
        else:
            shape = chooser.choice((pen.ellipse, pen.rectangle, pen.polygon))
            shape(points if shape == pen.polygon else box, fill=colour)
    if chooser.random() < 0.4:
        place = (chooser.randrange(width // 2), chooser.randrange(height))
        pen.text(place, f"CUT {chooser.randrange(999):03}", fill=(0, 0, 0), font_size=chooser.randrange(12, 40))
    return picture


def edits(picture: Image.Image, chooser: random.Random) -> Iterator[tuple[str, bytes]]:
    """The ten edits, as files."""
    width, height = picture.size
    yield "half", _file(picture.resize((width // 2, height // 2)), "PNG")
    yield "double", _file(picture.resize((width * 2, height * 2)))
    yield "quality 30", _file(picture, quality=30)
    yield "quality 10", _file(picture, quality=10)
    x, y = (chooser.choice((0, 0.025, 0.05)) for _ in range(2))
    yield (
        "cut",
        _file(picture.crop((int(x * width), int(y * height), int((x + 0.95) * width), int((y + 0.95) * height)))),
    )
    yield "brightness", _file(ImageEnhance.Brightness(picture).enhance(chooser.choice((0.75, 1.25))))
    yield "contrast", _file(ImageEnhance.Contrast(picture).enhance(chooser.choice((0.7, 1.3))))
    written = picture.copy()
    place, size = (width * 0.1, height * 0.45), width // 10
    ImageDraw.Draw(written).text(place, "SAMPLE ONLY", "white", font_size=size, stroke_width=2, stroke_fill="gray")
    yield "lettering", _file(written)
    for degrees in (1, 2):
        turned = picture.rotate(chooser.choice((-degrees, degrees)), resample=Image.Resampling.BILINEAR)
        yield f"turned by {degrees}", _file(turned)


def _file(picture: Image.Image, kind: str = "JPEG", **options: int) -> bytes:
    body = io.BytesIO()
    picture.save(body, kind, **options)
    return body.getvalue()


def looked(number: int) -> list[tuple[str, bytes, float]]:
    """Likenesses of a scene and of its edits, each with the seconds that looking took."""
    chooser = random.Random(number)
    picture = scene(chooser)
    found = []
    for name, body in (("", _file(picture, "PNG")), *edits(picture, chooser)):
        start = time.process_time()
        found.append((name, likeness(io.BytesIO(body))[4:], time.process_time() - start))
    return found


def filmed(number: int) -> tuple[list[bytes], list[bytes], float]:
    """What is seen in a video and in its poor copy, likenesses of stills of it, and the seconds of looking at one."""
    chooser = random.Random(f"video {number}")
    scenes = [scene(chooser).resize((640, 360)) for _ in range(4)]
    films = (_film(scenes, "mp4", 1), _film(scenes, "matroska", 2))
    start = time.process_time()
    seen = [footage(io.BytesIO(body))[4:] for body in films]
    took = (time.process_time() - start) / 2
    stills = [likeness(io.BytesIO(_file(each.resize((320, 180)), quality=30)))[4:] for each in scenes]
    return seen, [each for each in stills if each], took


def _film(scenes: list[Image.Image], kind: str, smaller: int) -> bytes:
    """Three seconds of each scene, slowly moved to the right."""
    import av

    body = io.BytesIO()
    with av.open(body, "w", format=kind) as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 640 // smaller, 360 // smaller, "yuv420p"
        stream.bit_rate = 2_000_000 // (1 if smaller == 1 else 10)
        for each in scenes:
            for at in range(36):
                moved = Image.new("RGB", each.size)
                moved.paste(each, (at // 4, 0))
                small = moved.resize((stream.width, stream.height))
                container.mux(stream.encode(av.VideoFrame.from_image(small)))
        container.mux(stream.encode())
    return body.getvalue()


def judge_videos(count: int) -> None:
    """Prints how videos are found by stills and by poor copies of themselves."""
    size = 4 + PICTURE
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        told = list(pool.map(filmed, range(count), chunksize=4))
    moments = [[[body[at + 4 : at + size] for at in range(0, len(body), size)] for body in seen] for seen, _, _ in told]
    kept = Pictures(each for whole, _ in moments for each in whole)
    family = np.array([number for number, (whole, _) in enumerate(moments) for _ in whole])
    seconds = sum(took for _, _, took in told) / count
    print(f"{count:,} videos of 12 s: {len(family):,} moments; looked at in {1000 * seconds:.0f} ms of one core each")
    stills = [(number, [still]) for number, (_, each, _) in enumerate(told) for still in each]
    copies = [(number, copy) for number, (_, copy) in enumerate(moments)]
    for name, asked in (("a still", stills), ("a poor copy", copies)):
        right = found = 0
        for number, bodies in asked:
            hits = set(family[kept.likest(bodies)[0] >= LEAST["video"]].tolist())
            right += number in hits
            found += len(hits)
        print(f"videos by {name}: recall {right / len(asked):.4f}, precision {right / max(1, found):.4f}")


class Words:
    """Texts in three scripts."""

    def __init__(self, seed: int) -> None:
        self.chooser = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self.latin = ["".join(self.chooser.choices(letters, k=self.chooser.randint(2, 9))) for _ in range(4_000)]
        syllables = [chr(self.chooser.randrange(0xAC00, 0xD7A4)) for _ in range(400)]
        self.korean = ["".join(self.chooser.choices(syllables, k=self.chooser.randint(2, 4))) for _ in range(3_000)]

    def take(self, kind: int, count: int) -> list[str]:
        """Words of a kind; the first of a vocabulary are the most frequent."""
        if kind == 1:
            return ["".join(self.chooser.choices(_HAN, k=2)) for _ in range(count)]
        known = self.korean if kind else self.latin
        return [known[min(int(self.chooser.paretovariate(0.7)) - 1, len(known) - 1)] for _ in range(count)]

    def pair(self, number: int) -> tuple[str, str]:
        """A text, and the same with a tenth of its words changed."""
        kind = number % 3
        words = self.take(kind, self.chooser.choice((40, 120, 400, 1500)))
        others = self.take(kind, len(words))
        changed = [other if self.chooser.random() < 0.1 else word for word, other in zip(words, others, strict=True)]
        between = "" if kind == 1 else " "
        return between.join(words), between.join(changed)


def judge(name: str, kept: Texts | Pictures, bodies: list[bytes], families: list[int], least: float) -> None:
    """Prints recall and precision of questions and of clusters."""
    family = np.array(families)
    originals = [at for at, each in enumerate(families) if not at or families[at - 1] != each]
    found = right = due = 0
    for at in originals:
        hits = np.flatnonzero(kept.like(bodies[at]) >= least)
        hits = hits[hits != at]
        found += len(hits)
        right += int((family[hits] == family[at]).sum())
        due += int((family == family[at]).sum()) - 1
    print(f"{name}: questions: recall {right / due:.4f}, precision {right / max(1, found):.4f}")
    start = time.perf_counter()
    groups = list(clusters(kept, least))
    seconds = time.perf_counter() - start
    together = pairs = 0
    for group in groups:
        counts = np.unique(family[group], return_counts=True)[1]
        together += int((counts * (counts - 1) // 2).sum())
        pairs += len(group) * (len(group) - 1) // 2
    sizes = np.unique(family, return_counts=True)[1]
    due = int((sizes * (sizes - 1) // 2).sum())
    print(f"{name}: clusters: recall {together / due:.4f}, precision {together / max(1, pairs):.4f}, {seconds:.2f} s")


def measure_many(kind: str, count: int) -> None:
    """One question and all clusters among very many signatures, each tenth a changed copy of the one before.

    They are put into the store of a case, and asked for there by a process of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        with Case.create(Path(folder) / "case") as case, closing(Alike(case)):
            with sqlite3.connect(case.path / FILE) as store:
                columns, marks = ("key, body", "?, ?") if kind == "text" else ("key, body, problem", "?, ?, ''")
                store.executemany(f"INSERT INTO {kind}s ({columns}) VALUES ({marks})", _many(kind, count))
            store.close()
            path = case.path
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            print(alone.submit(_measure, kind, path).result())


def _many(kind: str, count: int) -> Iterator[tuple[bytes, bytes]]:
    chooser = np.random.Generator(np.random.PCG64(7))
    for start in range(0, count, 10_000):
        size = min(10_000, count - start)
        copies = np.arange(0, size - 1, 10)
        if kind == "text":
            rows = chooser.integers(0, 1 << 16, (size, HASHES), dtype=np.uint16)
            changed = chooser.random((len(copies), HASHES)) < 0.32
            rows[copies + 1] = np.where(changed, rows[copies + 1], rows[copies])
        else:
            values = chooser.standard_normal((size, PICTURE), dtype=np.float32) * 36
            values[copies + 1] = values[copies] + chooser.standard_normal((len(copies), PICTURE)) * 12
            rows = np.clip(values, -127, 127).astype(np.int8)
        yield from (((start + at).to_bytes(32, "big"), row.tobytes()) for at, row in enumerate(rows))


def _measure(kind: str, path: Path) -> str:
    begun, start = _peak(), time.process_time()
    with Case(path) as case, closing(Alike(case)) as alike:
        held, kept = alike.load(kind)
    loaded = time.process_time() - start
    hits = int((kept.like(kept.rows[0].tobytes()) >= LEAST[kind]).sum())
    asked = time.process_time() - start - loaded
    groups = list(clusters(kept, LEAST[kind]))
    joined = time.process_time() - start - loaded - asked
    due = len(range(0, len(kept.rows) - 1, 10))
    assert held[due]
    right = sum(len(rows) == 2 and not rows[0] % 10 and rows[1] == rows[0] + 1 for rows in groups)
    pairs = sum(len(rows) * (len(rows) - 1) // 2 for rows in groups)
    return (
        f"{len(kept.rows):,} {kind}s: loaded {loaded:.1f} s; a question {asked:.2f} s ({hits} found); clusters "
        f"{joined:.1f} s of CPU; recall {right / due:.4f}, precision {right / max(1, pairs):.4f}; "
        f"peak {_peak():,} MiB, {begun} of them before"
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1_000)
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--many", type=int, default=1_000_000)
    asked = parser.parse_args()
    bodies: list[bytes] = []
    families: list[int] = []
    names: list[str] = []
    seconds = 0.0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, rows in enumerate(pool.map(looked, range(asked.pictures), chunksize=8)):
            for name, body, took in rows:
                if body:
                    bodies.append(body)
                    families.append(number)
                    names.append(name)
                seconds += took
    if bodies:
        print(f"{len(bodies):,} pictures: looked at in {1000 * seconds / len(bodies):.1f} ms of one core each")
        kept = Pictures(bodies)
        judge("pictures", kept, bodies, families, LEAST["picture"])
        first = dict(zip(reversed(families), reversed(range(len(families))), strict=True))
        for edit in dict.fromkeys(filter(None, names)):
            places = np.array([at for at, name in enumerate(names) if name == edit])
            shares = kept.between(np.array([first[families[at]] for at in places]), places)
            print(f"  {edit}: {(shares >= LEAST['picture']).mean():.4f} found; least {shares.min():.3f}")
    words = Words(3)
    texts = [text for number in range(asked.texts) for text in words.pair(number)]
    start = time.process_time()
    signed = [sign_text([text]) for text in texts]
    took = time.process_time() - start
    if texts:
        print(f"{len(texts):,} texts of {sum(map(len, texts)):,} characters: signed in {took:.1f} s of one core")
        judge("texts", Texts(signed), signed, [at // 2 for at in range(len(texts))], LEAST["text"])
    if asked.videos:
        judge_videos(asked.videos)
    print(f"peak {_peak():,} MiB")
    if asked.many:
        for kind in ("text", "picture"):
            measure_many(kind, asked.many)


if __name__ == "__main__":
    main()
