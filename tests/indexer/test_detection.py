"""Encodings: known texts in every code page, hostile bytes, big files in pieces."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import dprk
from indexer.charsets import find_codec
from indexer.decoding import TextReader, decode, decode_as
from indexer.detection import detect

KOREAN = "컷 12번의 배경이 너무 어둡다. 밤하늘을 조금 더 밝게 칠해 주세요. 담당은 미술부입니다."
CHINESE = "第十二个镜头的背景太暗了,请把夜空画得亮一些,星期五以前交回来。"
TRADITIONAL = "第十二個鏡頭的背景太暗了,請把夜空畫得亮一些,星期五以前交回來。"
JAPANESE = "カット12の背景が暗すぎます。夜空をもう少し明るくして、金曜日までに再提出してください。"
RUSSIAN = "В двенадцатой сцене слишком тёмный фон, сделайте ночное небо светлее и пришлите до пятницы."
GREEK = "Στη δωδέκατη σκηνή το φόντο είναι πολύ σκοτεινό, κάντε τον ουρανό πιο φωτεινό."
HEBREW = "בסצנה השתים עשרה הרקע כהה מדי, נא להבהיר את שמי הלילה ולשלוח עד יום שישי."
ARABIC = "خلفية المشهد الثاني عشر مظلمة جدا، الرجاء تفتيح سماء الليل وإرسالها قبل يوم الجمعة."
THAI = "ฉากหลังของฉากที่สิบสองมืดเกินไป กรุณาทำให้ท้องฟ้าสว่างขึ้นและส่งก่อนวันศุกร์"

TEXTS = [
    *((KOREAN, codec) for codec in ("cp949", "euc_kr", "johab", "iso2022_kr", "kps9566", "utf-16-le", "utf-16-be")),
    *((CHINESE, codec) for codec in ("gb18030", "gbk", "gb2312", "hz", "utf-16-le", "utf-16-be", "utf-32-le")),
    *((TRADITIONAL, codec) for codec in ("big5", "big5hkscs", "cp950", "gb18030", "utf-16-be")),
    *((JAPANESE, codec) for codec in ("cp932", "shift_jis", "euc_jp", "iso2022_jp", "utf-16-le", "utf-32-be")),
    *((RUSSIAN, codec) for codec in ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic", "cp855", "utf-16-le")),
    *((GREEK, codec) for codec in ("cp1253", "iso8859_7")),
    (HEBREW, "cp1255"),
    (ARABIC, "cp1256"),
    (THAI, "tis_620"),
]


@pytest.mark.parametrize(("text", "codec"), TEXTS, ids=lambda value: value if len(value) < 20 else "")
def test_text_comes_back_from_its_code_page(text: str, codec: str) -> None:
    found = decode(text.encode(codec))
    assert found.text == text
    assert found.lossy == 0
    assert found.confidence > 0.6


@pytest.mark.parametrize(
    ("text", "codec"), [each for each in TEXTS if not each[1].startswith(("utf", "hz", "iso2022"))], ids=str
)
def test_damage_is_counted_and_the_rest_is_read(text: str, codec: str) -> None:
    data = (text + "\n").encode(codec) * 4 + b"\x80\xff\n" + (text + "\n").encode(codec) * 4
    found = decode(data)
    assert found.text.count(text) == 8


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_mark_is_followed_and_taken_off(codec: str) -> None:
    assert decode(KOREAN.encode(codec)).text == KOREAN


def test_plain_cases() -> None:
    assert detect(b"").codec == "ascii"
    assert detect(b"plain words").codec == "ascii"
    assert detect(KOREAN.encode()).codec == "utf-8"
    assert detect(KOREAN.encode()[:-1]).codec == "utf-8"
    assert detect(b"S\0c\0e\0n\0e\0").codec == "utf-16-le"


@pytest.mark.parametrize("records", [b"\0aaa\n", b"\0abbvie\n", b"\0act\n\0cut.act\n", b"\0gal\n", b"\0le\0la\0"])
def test_short_records_of_letters_are_no_han(records: bytes) -> None:
    assert not detect(records).codec.startswith("utf-16")


@pytest.mark.parametrize(
    "text", ["修改", "第 3 集", "ひらがな", "한국", "abc 修改", "上一集\n", "は、まだ描いていない"]
)
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_short_texts_of_wide_letters_are_told_without_a_mark(text: str, codec: str) -> None:
    assert detect(text.encode(codec)).codec == codec


def test_damaged_utf_8_stays_utf_8() -> None:
    data = KOREAN.encode()
    found = decode(data[:30] + b"\xff\xfe" + data[30:])
    assert found.codec == "utf-8"
    assert found.lossy == 2
    assert found.text.replace("\ufffd", "") == KOREAN


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("/* le cinéma de minuit */", "cp1252"),
        ("Grüße", "cp1252"),
        ("© 2004 Lantern Pictures", "cp1252"),
        ("kept at 50 °C", "cp1252"),
        ("the artist was André", "cp1252"),
        ("“salt road” – scene 3", "cp1252"),
        ("l'uscita è chiusa", "cp1252"),
        ("привет", "koi8_r"),
        ("фонарь", "cp1251"),
        ("cut 34: 수정", "cp949"),
        ("cut 34: 修改", "gb18030"),
        ("cut 34: 修正", "cp932"),
    ],
    ids=lambda value: value if len(value) < 9 else "",
)
def test_a_few_foreign_letters_in_a_plain_text_are_enough(text: str, codec: str) -> None:
    assert decode(text.encode(codec)).text == text


def test_half_a_character_at_the_end_is_no_proof_of_a_code_page() -> None:
    assert decode("the street, ten years on\n等".encode()[:-1]).codec == "utf-8"
    assert decode("A road of salt, 원화".encode()[:-1]).codec == "utf-8"


def test_declared_codec_is_followed_where_bytes_agree() -> None:
    accents = "Größe"
    assert decode(accents.encode("cp850"), "cp850").text == accents
    assert decode("～".encode("cp932") + b"\n", "shift_jis").codec == "shift_jis"
    assert decode("①番".encode("cp932"), "shift_jis").text == "①番"
    page = b'<?xml version="1.0" encoding="gb2312"?><a>' + "镕—·".encode("gbk") + b"</a>"
    assert decode(page).codec == "gb18030"


def test_declared_codec_is_not_followed_against_the_bytes() -> None:
    assert decode(KOREAN.encode("cp949"), "iso-8859-1").text == KOREAN
    assert decode(CHINESE.encode("gb18030"), "cp949").text == CHINESE
    assert decode(KOREAN.encode(), "cp949").text == KOREAN


@pytest.mark.parametrize(
    "name", ["zlib", "rot13", "hex", "idna", "unicode_escape", "no such", "a" * 99, "\u212a", "../x", ""]
)
def test_codecs_that_are_no_charsets_cannot_be_named(name: str) -> None:
    assert find_codec(name) == ""


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("EUC-KR", "euc_kr"),
        ("ks_c_5601-1987", "cp949"),
        ("x-sjis", "shift_jis"),
        ("KOI8-R", "koi8_r"),
        ("UTF-8", "utf-8"),
    ],
)
def test_labels_of_the_web_are_known(label: str, codec: str) -> None:
    assert find_codec(label) == codec


def test_random_bytes_are_not_believed() -> None:
    noise = bytes((index * 167 + index * index * 31) % 224 + 32 for index in range(4096))
    assert detect(noise).confidence < 0.5


@settings(max_examples=60)
@given(st.binary(max_size=400), st.sampled_from(["", "cp949", "utf-16", "iso-2022-jp", "utf-7", "nonsense"]))
def test_any_bytes_decode(data: bytes, declared: str) -> None:
    found = decode(data, declared)
    assert isinstance(found.text, str)
    assert 0.0 <= found.confidence <= 1.0
    assert 0 <= found.lossy <= len(data)
    assert "\ufffd" not in found.text or found.lossy or "\ufffd".encode(found.codec, "ignore") in data


@settings(max_examples=40)
@given(st.sampled_from(TEXTS), st.integers(1, 40))
def test_pieces_give_the_same_text_as_the_whole(pair: tuple[str, str], chunk: int) -> None:
    text, codec = pair
    data = (text + "\n").encode(codec)
    # Detection sees the first piece that is not ASCII, so the pieces stay long enough to know.
    reader = TextReader(io.BytesIO(data * 3), chunk=len(data) + chunk)
    assert "".join(reader) == decode_as(data * 3, reader.detection.codec)[0]
    assert reader.lossy == 0


def test_late_foreign_words_decide_for_a_long_ascii_log() -> None:
    data = b"GET /reel/3 200\n" * 10_000 + (KOREAN + "\n").encode("cp949") * 3
    reader = TextReader(io.BytesIO(data), chunk=4096)
    assert "".join(reader).endswith(KOREAN + "\n")
    assert reader.detection.codec == "cp949"


@settings(max_examples=60)
@given(st.binary(max_size=60))
def test_kps_9566_never_loses_ascii(data: bytes) -> None:
    text, used = dprk.decode(data, "replace")
    assert used == len(data)
    assert len(text) <= len(data)
    decoder = dprk.codecs.getincrementaldecoder(dprk.NAME)("replace")
    pieces = [decoder.decode(data[index : index + 1]) for index in range(len(data))]
    assert "".join(pieces) + decoder.decode(b"", True) == text


def test_kps_9566_round_trip() -> None:
    assert KOREAN.encode(dprk.NAME).decode(dprk.NAME) == KOREAN
    with pytest.raises(UnicodeEncodeError):
        "\U0001f600".encode(dprk.NAME)
    assert b"\xb0\x21a".decode(dprk.NAME, "replace") == "\ufffd!a"
