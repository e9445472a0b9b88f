"""Writing from top to bottom: columns laid down as lines, their characters side by side, and the order of columns.

RapidOCR reads columns that are turned, Tesseract does not: it is shown the column as a line. Characters of Chinese,
Japanese and Korean fill squares, so the column is cut where cells of about its own width end on as little ink as can
be; blank rows between cells cost nothing.

Limits: ground and ink must differ clearly; writing that leans is cut askew.
"""

from __future__ import annotations

from itertools import accumulate, chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image


class Line(NamedTuple):
    """What one line says, and how sure the machine is, 0 to 1."""

    text: str
    confidence: float


_TALL: Final = 1.5
"""Times its width that a column is high; lower ones are single characters."""
_ALIKE: Final = 1.8
"""Times its width that a piece of the same column is wide."""
_APART: Final = 1.5
"""Widths between columns that belong together."""
_NARROWEST: Final = 8
"""Pixels; no character that is narrower can be read."""
_MOST_CELLS: Final = 100
_FILLED: Final = (0.92, 0.78, 0.6)
"""Shares of its square that the widest character of a column takes: Chinese; Hangul; letters and digits."""
_CROSSING: Final = 0.15
"""Share of the fullest row of points from top to bottom, below which a line crosses that is no writing."""
_STEPS: Final = 24
"""Rows that a square has where it is looked for cuts."""
_LEAST, _MOST = 13, 30
"""Rows that a cell may have."""
_BLANK: Final = 6
"""Of 255, how much of a row is ink where it counts as none: a thin line may cross."""
_CONTRAST: Final = 24
"""Of 255, between ground and ink, below which there is nothing to cut."""
_EACH: Final = 0.08
"""What each cell costs, so that parts of a character stay together."""
_STRICT: Final = 1.5
"""What a cell that is half as high again as a square costs, in rows full of ink cut through, times four."""


class Piece(NamedTuple):
    """Where writing stands, in pixels, and what it says."""

    left: float
    top: float
    right: float
    bottom: float
    lines: list[Line]

    @property
    def is_tall(self) -> bool:
        """Whether it is higher than one character is."""
        return self.bottom - self.top >= _TALL * (self.right - self.left)

    @property
    def width(self) -> float:
        """From its left to its right."""
        return self.right - self.left


def in_order(pieces: list[Piece]) -> list[Line]:
    """The lines of pieces that are in the order of lines; columns side by side from right to left, each in one line."""
    held = [piece for piece in pieces if piece.lines]
    columns = _columns(held) if any(piece.is_tall for piece in held) else []
    if not columns:
        return [line for piece in held for line in piece.lines]
    blocks: list[list[list[Piece]]] = []
    for column in sorted(columns, key=lambda each: -each[0].right):
        beside = next((block for block in blocks if any(_are_beside(each, column) for each in block)), None)
        if beside is None:
            blocks.append([column])
        else:
            beside.append(column)
    starts = {min(map(held.index, chain(*block))): block for block in blocks}
    taken = {id(piece) for column in columns for piece in column}
    lines: list[Line] = []
    for number, piece in enumerate(held):
        lines += map(_joined, starts.get(number, ()))
        lines += piece.lines if id(piece) not in taken else ()
    return lines


def _columns(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces one below the other, of which one at least is tall: between words the rows are blank."""
    columns: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda each: each.top):
        if piece.width > _TALL * (piece.bottom - piece.top):
            continue
        above = next((column for column in columns if _is_below(column[-1], piece)), None)
        if above is None:
            columns.append([piece])
        else:
            above.append(piece)
    return [column for column in columns if any(piece.is_tall for piece in column)]


def _is_below(upper: Piece, lower: Piece) -> bool:
    narrow, wide = sorted((upper.width, lower.width))
    shared = min(upper.right, lower.right) - max(upper.left, lower.left)
    return wide <= _ALIKE * narrow and shared >= narrow / 2 and -narrow <= lower.top - upper.bottom <= wide


def _are_beside(right: list[Piece], left: list[Piece]) -> bool:
    begin, end = max(right[0].top, left[0].top), min(right[-1].bottom, left[-1].bottom)
    least = min(column[-1].bottom - column[0].top for column in (right, left))
    widest = max(piece.width for piece in chain(right, left))
    return 2 * (end - begin) >= least and right[0].left - left[0].right <= _APART * widest


def _joined(column: list[Piece]) -> Line:
    lines = [line for piece in column for line in piece.lines]
    count = sum(len(line.text) for line in lines)
    sureness = sum(line.confidence * len(line.text) for line in lines) / max(1, count)
    return Line(" ".join(line.text for line in lines), sureness)


def laid_down(column: Image) -> Image | None:
    """A column in RGB, upright, with some ground around it, as a line; None where it is none."""
    from PIL import Image

    if column.height < _TALL * column.width or column.width < _NARROWEST:
        return None
    ground, ink = _ink(column)
    across = ink.resize((ink.width, 1), Image.Resampling.BOX).tobytes()
    filled = [at for at, share in enumerate(across) if share > _CROSSING * max(across)]
    wide = filled[-1] + 1 - filled[0] if filled else 0
    if not wide or column.height > _MOST_CELLS * wide:
        return None
    core = ink.crop((filled[0], 0, filled[-1] + 1, ink.height))
    found = min((_cells(core, max(4.0, wide / share)) for share in _FILLED), key=itemgetter(0))[1]
    high = max((bottom - top for top, bottom in found), default=0)
    space = max(1, round(high / 12))
    left, right = max(0, filled[0] - space), min(ink.width, filled[-1] + 1 + space)
    line = Image.new("RGB", (len(found) * (right - left + 6 * space) + 8 * space, high + 4 * space), ground)
    at, before = 4 * space, column.height
    for top, bottom in found:
        if inner := ink.crop((left, top, right, bottom)).getbbox():
            shown = column.crop((left + inner[0], top, left + inner[2], bottom))
            at += min(4 * space, max(0, top - before))
            line.paste(shown, (at, (line.height - shown.height) // 2))
            at += shown.width + 2 * space
            before = bottom
    return line.crop((0, 0, at + 2 * space, line.height)) if found else None


def _ink(column: Image) -> tuple[tuple[int, ...], Image]:
    """The colour of the ground, and where something else is, white on black."""
    from PIL import Image, ImageChops

    ground = tuple(_share(band.histogram(), 0.5) for band in column.split())
    apart = ImageChops.difference(column, Image.new("RGB", column.size, ground))
    red, green, blue = apart.split()
    strength = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    least = max(_CONTRAST, 0.4 * _share(strength.histogram(), 0.98))
    return ground, strength.point([255 * (value > least) for value in range(256)])


def _share(histogram: list[int], share: float) -> int:
    """The value that this share of the pixels does not exceed."""
    wanted = share * sum(histogram)
    return next(value for value, count in enumerate(accumulate(histogram)) if count >= wanted)


def _cells(ink: Image, square: float) -> tuple[float, list[tuple[int, int]]]:
    """What it costs to cut there; and where characters begin and end, from top to bottom."""
    from PIL import Image

    scale = _STEPS / square
    count = max(_LEAST, round(ink.height * scale))
    rows = ink.resize((1, count), Image.Resampling.BOX).tobytes()
    held = [0, *accumulate(rows)]
    cuts = [min(rows[at - 1 : at + 1], default=0) / 255 if 0 < at < count else 0.0 for at in range(count + 1)]
    # The cheapest way to come to each row, and where its last cell began; a blank row is stepped over.
    cost, came = [0.0], [0]
    for end in range(1, count + 1):
        row = rows[end - 1]
        best, begin = cost[end - 1] + (0.0 if row <= _BLANK else 0.1 + row / 255), end - 1
        for start in range(max(0, end - _MOST), end - _LEAST + 1):
            if held[end] > held[start]:
                odd = (end - start - _STEPS) / _STEPS
                tried = cost[start] + cuts[start] + cuts[end] + _STRICT * odd * odd + _EACH
                if tried < best:
                    best, begin = tried, start
        cost.append(best)
        came.append(begin)
    found, at = [], count
    while at:
        if at - came[at] > 1:
            found.append((round(came[at] / scale), min(ink.height, round(at / scale))))
        at = came[at]
    return cost[count] - _EACH * len(found), found[::-1]
