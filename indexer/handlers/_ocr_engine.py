"""Lines of writing on a picture, found and read by machine.

RapidOCR finds the lines in any script and reads Chinese, Japanese, English and other Latin ones. Its model knows no
Hangul, and says so by reading next to nothing; each line is shown to Tesseract's Korean model too, where the system
has it, and what that is surer of counts. Boxes that are higher than wide it turns, and reads Chinese and Japanese so;
where it is in doubt, the column is laid down as a line too.

Source: PaddleOCR, PP-OCRv6 (models in RapidOCR's wheel); Tesseract 5. Both were measured on lines of four languages:
on lines without Hangul the Korean model was never sure above 50, on those with it seldom below 70.
"""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from indexer.errors import EvidenceError
from indexer.handlers._ocr_columns import Line, Piece, in_order, laid_down

if TYPE_CHECKING:
    from PIL.Image import Image

PARTS: Final = ("rapidocr", "onnxruntime", "tesserocr")
INSTALL: Final = "pip install 'archivore[ocr]'"
KOREAN: Final = "tesseract-ocr-kor"
"""The system's package of the Korean model."""
_DATA: Final = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
_SURE, _LIKELY = 0.6, 0.5
"""From where on the Korean model is believed; from where on if the other is in doubt."""
_DOUBT, _WORTH = 0.97, 0.9
"""Below which the other reading is in doubt; from where on it is worth keeping beside the Korean one."""
_LEAST, _LEAST_ALONE = 0.5, 0.8
"""From where on the other is believed; and any reading of a single character, which specks are taken for."""
_WIDE, _NARROW = 1.0, 0.55
"""How wide a character is to the height of its line, which has some ground above and below."""
_EDGE = 10
"""Pixels of ground that Tesseract wants around a line."""
_MOST_LINES = 1000


def missing_parts() -> list[str]:
    """What has to be installed before anything can be read."""
    return [name for name in PARTS if find_spec(name) is None]


def korean_data() -> str:
    """The folder of the system's Korean model; empty where there is none."""
    return next((folder for folder in _DATA if Path(folder, "kor.traineddata").is_file()), "")


@cache
def load_engine() -> Engine:
    """The engine, which takes a second to load.

    Raises:
        EvidenceError: missing-library.
    """
    os.environ["OMP_THREAD_LIMIT"] = "1"  # as many workers as cores are at work already
    try:
        import rapidocr
        import tesserocr
        from rapidocr.inference_engine.onnxruntime.main import ONNXRuntimeError
        from rapidocr.utils.process_img import get_rotate_crop_image
    except ImportError as error:
        raise EvidenceError("missing-library", f"reading what is drawn needs {error.name}: {INSTALL}") from error
    held = Path(rapidocr.__file__).parent / "models"
    models = {part: next(held.glob(f"*_{part}_*.onnx"), None) for part in ("det", "cls", "rec")}
    if None in models.values():  # it would fetch them
        raise EvidenceError("missing-library", f"RapidOCR came without its models: {INSTALL}")
    settings: dict[str, Any] = {f"{part.title()}.model_path": str(path) for part, path in models.items()}
    threads = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
    reader = rapidocr.RapidOCR(params={**settings, **threads, "Global.log_level": "critical"})
    return Engine(reader, get_rotate_crop_image, ONNXRuntimeError, tesserocr)


class Engine:
    """RapidOCR and, where its data is there, Tesseract's Korean model."""

    def __init__(self, reader: Any, crop: Any, refusal: type[Exception], tesserocr: Any) -> None:
        from importlib.metadata import version

        self._reader, self._crop, self._refusal = reader, crop, refusal
        self.name = f"RapidOCR {version('rapidocr')}"
        self._korean: list[Any] = []
        if data := korean_data():
            self.name += f", Tesseract {tesserocr.tesseract_version().split()[1]} kor"
            languages = ["kor"] + ["kor+eng"] * Path(data, "eng.traineddata").is_file()
            line = tesserocr.PSM.SINGLE_LINE
            self._korean = [tesserocr.PyTessBaseAPI(path=data, lang=each, psm=line) for each in languages]

    def read(self, picture: Image) -> list[Line]:
        """The lines of a picture in RGB, from top to bottom.

        Raises:
            EvidenceError: memory.
        """
        try:
            return self._read(picture)
        except self._refusal as error:
            raise EvidenceError("memory", "looking for drawn words takes more memory than a worker has") from error

    def _read(self, picture: Image) -> list[Line]:
        pixels = self._reader.load_img(picture)
        boxes = self._reader(pixels, use_det=True, use_cls=False, use_rec=False).boxes
        boxes = [] if boxes is None else boxes[:_MOST_LINES]
        found = [(box, self._crop(pixels, box.astype("float32"))) for box in boxes]
        found = [(box, line) for box, line in found if min(line.shape[:2]) > 1]
        pieces: list[Piece] = []
        for (box, line), other in zip(found, self._recognise([line for _, line in found]), strict=True):
            across, down = [float(x) for x, _ in box], [float(y) for _, y in box]
            piece = Piece(min(across), min(down), max(across), max(down), self._choose(line, other))
            # What is higher than wide was turned, so that lines on their side stand upright.
            if piece.is_tall and line.shape[1] > line.shape[0] and not _is_surely(other, line):
                piece = piece._replace(lines=self._read_column(line, piece.lines))
            pieces.append(piece._replace(lines=[each for each in piece.lines if _is_writing(each)]))
        return in_order(pieces)

    def _recognise(self, lines: list[Any]) -> list[Line]:
        if not lines:
            return []
        answer = self._reader.recognize_txt(lines)
        return [Line(text.strip(), float(score)) for text, score in zip(answer.txts, answer.scores, strict=True)]

    def _read_column(self, turned: Any, before: list[Line]) -> list[Line]:
        """What a column says when its characters are laid side by side, or what it said before, if that is surer."""
        from PIL import Image

        upright = turned[::-1].swapaxes(0, 1)
        if (shown := laid_down(Image.fromarray(upright[:, :, ::-1].copy()))) is None:
            return before
        line = self._reader.load_img(shown)
        best, *others = self._choose(line, self._recognise([line])[0])
        read = [best, *(each for each in others if len(each.text) > 2)]  # less is a part of a character
        if _sureness(best) > _sureness(before[0]):
            return read
        # Of what the same model says of both it is as sure where it left a character out.
        is_surer = before[0].confidence < _WORTH <= best.confidence and len(best.text) >= len(before[0].text)
        return read if is_surer else before

    def _choose(self, line: Any, other: Line) -> list[Line]:
        if other.confidence >= _WORTH and _fills(other.text, line):
            return [other]
        korean = max((self._read_korean(model, line) for model in self._korean), key=_sureness, default=Line("", 0))
        needed = _LIKELY if other.confidence < _DOUBT else _SURE
        if _sureness(korean) >= needed:
            # Of a line in two scripts each reads its own part.
            return [korean] + [other] * (other.confidence >= _WORTH and other.text not in korean.text)
        return [other]

    def _read_korean(self, model: Any, line: Any) -> Line:
        from PIL import Image

        ground = tuple(int(part) for part in line[0, 0])
        height, width = line.shape[:2]
        shown = Image.new("RGB", (width + 2 * _EDGE, height + 2 * _EDGE), ground[::-1])
        shown.paste(Image.fromarray(line[:, :, ::-1].copy()), (_EDGE, _EDGE))
        model.SetImage(shown)
        text = unicodedata.normalize("NFC", model.GetUTF8Text()).strip()
        return Line(" ".join(text.split()), model.MeanTextConf() / 100)


def _fills(text: str, line: Any) -> bool:
    """Whether a reading is as long as the line it was read from; one that left a part out is not."""
    height, width = line.shape[:2]
    return bool(sum(_WIDE if ord(char) > 0x2E80 else _NARROW for char in text) * height >= width)


def _is_surely(reading: Line, line: Any) -> bool:
    return reading.confidence >= _DOUBT and _fills(reading.text, line)


def _is_writing(line: Line) -> bool:
    count = sum(map(str.isalnum, line.text))
    return count > 0 and line.confidence >= (_LEAST if count > 1 else _LEAST_ALONE)


def _sureness(line: Line) -> float:
    """How sure a reading of Korean is: not at all where it holds no Hangul."""
    letters = [char for char in line.text if char.isalpha()]
    hangul = sum("가" <= char <= "힣" for char in letters)
    return line.confidence if 2 * hangul >= len(letters) > 0 else 0.0
