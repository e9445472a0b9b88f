"""A warm process that reads documents by one library: `python _reader.py NAME`.

Says whether the library is there, then answers each line of standard input, a JSON list of paths,
with what reading all of them took and how many characters each gave (-1 where it raised). Stands
alone, so that it runs under the Python of any environment; only `archivore` needs the source around it.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

Read = Callable[[str], int]


def archivore() -> Read:
    """The handler that identification chooses; members are not opened."""
    from indexer.errors import EvidenceError
    from indexer.handler import Stream
    from indexer.identify import Identifier
    from indexer.model import Text
    from indexer.registry import all_handlers

    identifier = Identifier(all_handlers())

    def read(path: str) -> int:
        with open(path, "rb") as file:
            stream = Stream(file, name=Path(path).name)
            handler = identifier.identify(stream).handler
            stream.seek(0)
            characters = 0
            with suppress(EvidenceError):  # what came before it counts
                for fact in handler.read(stream) if handler else ():
                    characters += len(fact.body) if isinstance(fact, Text) else 0
            return characters

    return read


def archivore_crawl() -> Read:
    """The whole walk, members and what is in them too; what only `strings` found does not count."""
    from crawling import ListOutlet
    from indexer.crawl import Crawler
    from indexer.handler import FALLBACK
    from indexer.model import Found, Hop, Provenance
    from indexer.places import Place
    from indexer.registry import all_handlers

    class Counter(ListOutlet):
        characters = 0

        def item(self, found: Found) -> None:
            texts = self.texts.pop(found.reading.key, []) if found.reading else []
            if found.reading and found.reading.handler != FALLBACK:
                self.characters += sum(len(text.body) for text in texts)

    def read(path: str) -> int:
        outlet = Counter()
        name = Path(path).name
        with open(path, "rb") as file:
            Crawler(all_handlers(), outlet).walk(Place(Provenance("bench", (Hop(name.encode(), name),))), file)
        return outlet.characters

    return read


def extractous() -> Read:
    from extractous import Extractor

    extractor = Extractor()
    extractor.set_extract_string_max_length(1 << 30)
    return lambda path: len(extractor.extract_file_to_string(path)[0])


def pypdf() -> Read:
    from pypdf import PdfReader

    return lambda path: sum(len(page.extract_text()) for page in PdfReader(path).pages)


def pdfminer() -> Read:
    from pdfminer.high_level import extract_text

    return lambda path: len(extract_text(path))


def pymupdf() -> Read:
    import pymupdf as library

    return lambda path: sum(len(page.get_text()) for page in library.open(path))


def python_docx() -> Read:
    from docx import Document

    return lambda path: sum(len(paragraph.text) for paragraph in Document(path).paragraphs)


def docx2txt() -> Read:
    from docx2txt import process

    return lambda path: len(process(path))


def openpyxl() -> Read:
    from openpyxl import load_workbook

    def read(path: str) -> int:
        book = load_workbook(path, read_only=True, data_only=True)
        rows = (row for sheet in book.worksheets for row in sheet.iter_rows(values_only=True))
        return _measure(rows)

    return read


def calamine() -> Read:
    from python_calamine import CalamineWorkbook

    def read(path: str) -> int:
        book = CalamineWorkbook.from_path(path)
        return _measure(row for name in book.sheet_names for row in book.get_sheet_by_name(name).to_python())

    return read


def xlrd() -> Read:
    from xlrd import open_workbook

    def read(path: str) -> int:
        return _measure(sheet.row_values(row) for sheet in open_workbook(path).sheets() for row in range(sheet.nrows))

    return read


def _measure(rows: Iterator[list[object]]) -> int:
    return sum(len(str(cell)) for row in rows for cell in row if cell not in (None, ""))


def python_pptx() -> Read:
    from pptx import Presentation

    def read(path: str) -> int:
        shapes = (shape for slide in Presentation(path).slides for shape in slide.shapes)
        return sum(len(shape.text_frame.text) for shape in shapes if shape.has_text_frame)

    return read


def odfpy() -> Read:
    from odf.opendocument import load
    from odf.teletype import extractText

    from odf.text import P

    return lambda path: sum(len(extractText(each)) for each in load(path).getElementsByType(P))


def striprtf() -> Read:
    from striprtf.striprtf import rtf_to_text

    return lambda path: len(rtf_to_text(Path(path).read_text("latin-1")))


def bs4() -> Read:
    from bs4 import BeautifulSoup

    return lambda path: len(BeautifulSoup(Path(path).read_bytes(), "lxml").get_text())


def html2text() -> Read:
    from html2text import HTML2Text

    return lambda path: len(HTML2Text().handle(Path(path).read_text("utf-8", "replace")))


def selectolax() -> Read:
    from selectolax.lexbor import LexborHTMLParser

    return lambda path: len(LexborHTMLParser(Path(path).read_bytes()).text())


def mailparser() -> Read:
    from mailparser import parse_from_file

    return lambda path: len(parse_from_file(path).body)


def email() -> Read:
    from email import policy
    from email.parser import BytesParser

    def read(path: str) -> int:
        with open(path, "rb") as file:
            message = BytesParser(policy=policy.default).parse(file)
        return sum(len(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text")

    return read


def ebooklib() -> Read:
    from bs4 import BeautifulSoup
    from ebooklib import ITEM_DOCUMENT, epub

    def read(path: str) -> int:
        pages = epub.read_epub(path).get_items_of_type(ITEM_DOCUMENT)
        return sum(len(BeautifulSoup(page.get_content(), "lxml").get_text()) for page in pages)

    return read


def psd_tools() -> Read:
    from psd_tools import PSDImage

    def read(path: str) -> int:
        layers = list(PSDImage.open(path).descendants())
        return sum(len(layer.name) + (len(layer.text) if layer.kind == "type" else 0) for layer in layers)

    return read


def extract_msg() -> Read:
    from extract_msg import openMsg

    return lambda path: len(openMsg(path).body or "")


def pyhwp() -> Read:
    from hwp5.hwp5txt import TextTransform
    from hwp5.xmlmodel import Hwp5File

    transform = TextTransform().transform_hwp5_to_text

    def read(path: str) -> int:
        out = io.BytesIO()
        transform(Hwp5File(path), out)
        return len(out.getvalue().decode("utf-8", "replace"))

    return read


def _program(*command: str) -> Callable[[], Read]:
    def make() -> Read:
        def read(path: str) -> int:
            words = [path if word == "{}" else word for word in command]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=120)
            return len(done.stdout.decode("utf-8", "replace"))

        subprocess.run([command[0], "-v"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return read

    return make


READERS: dict[str, Callable[[], Read]] = {
    "archivore": archivore,
    "archivore crawl": archivore_crawl,
    "extractous": extractous,
    "pdftotext": _program("pdftotext", "{}", "-"),
    "antiword": _program("antiword", "-m", "UTF-8", "{}"),
    "catdoc": _program("catdoc", "-d", "utf-8", "{}"),
    "pypdf": pypdf,
    "pdfminer.six": pdfminer,
    "pymupdf": pymupdf,
    "python-docx": python_docx,
    "docx2txt": docx2txt,
    "openpyxl": openpyxl,
    "python-calamine": calamine,
    "xlrd": xlrd,
    "python-pptx": python_pptx,
    "odfpy": odfpy,
    "striprtf": striprtf,
    "beautifulsoup4": bs4,
    "html2text": html2text,
    "selectolax": selectolax,
    "mail-parser": mailparser,
    "email": email,
    "ebooklib": ebooklib,
    "psd-tools": psd_tools,
    "extract-msg": extract_msg,
    "pyhwp": pyhwp,
}
DISTRIBUTIONS = sorted(set(READERS) - {"archivore", "archivore crawl", "pdftotext", "antiword", "catdoc", "email"})
"""What pip installs for them, by the same names."""


def answer(read: Read, paths: list[str]) -> dict[str, object]:
    """What reading all of them took, in seconds of both clocks, and the characters of each."""
    characters = []
    before, started = _processor(), time.perf_counter()
    for path in paths:
        try:
            characters.append(read(path))
        except Exception:  # noqa: BLE001 - whatever a library raises, it gave nothing
            characters.append(-1)
    return {"wall": time.perf_counter() - started, "cpu": _processor() - before, "characters": characters}


def _processor() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def main() -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # libraries print what they like
    try:
        read = READERS[sys.argv[1]]()
    except (ImportError, FileNotFoundError) as error:
        print(json.dumps(f"not installed: {error}"[:60]), file=out, flush=True)
        return
    print(json.dumps(""), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(read, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    here = Path(__file__).resolve()
    sys.path[0] = str(here.parents[1])  # not this folder
    sys.path.insert(1, str(here.parents[2]))
    main()
