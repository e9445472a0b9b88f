"""Mail and mailboxes: what goldens cannot show."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._mail import decode_value, parameter, split_headers, split_value
from indexer.handlers._mime import DEPTH, Part, Pieces, Walk, decoded, open_part
from indexer.handlers.eml import Eml
from indexer.handlers.mbox import Mbox, split
from indexer.model import Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
SAMPLES = {path.parent.name: path.read_bytes() for path in sorted(FIXTURES.glob("eml/*/input.*"))}
FULL = SAMPLES["full"]
MAILBOX = (FIXTURES / "mbox" / "quoted" / "input.mbox").read_bytes()


def texts(items: list[Item]) -> str:
    return "\n".join(text.body for item in items for text in item.texts)


def causes(items: list[Item]) -> set[str]:
    return {problem.cause for item in items for problem in item.problems}


@pytest.mark.parametrize(
    "head",
    [
        b"#include <stdio.h>\n// Subject: a parser\nint main(void) { return 0; }\n",
        b"Subject: the only header\n\ntext",
        b"import os\n# From: me\n# To: you\n",
        b"Date: 2019-01-01\nContent-Type: text/html\n\nan answer of a web server",
        b"name: build\non: push\njobs:\n  test:\n    steps: []\n",
        b"\0\0\0\0From: a\nTo: b\n",
        b"",
        b"From",
        b"\xff\xd8\xff\xe0" + bytes(range(256)),
    ],
)
def test_what_is_not_mail_is_not_claimed(head: bytes) -> None:
    assert Eml().claims(Stream(io.BytesIO(head))) is None


@pytest.mark.parametrize(
    "head",
    [
        b"Received: from a by b; Mon, 3 Jun 2019 09:00:00 +0900\n\nbody",
        b"\xef\xbb\xbfFrom: a@b\r\nTo: c@d\r\n\r\nbody",
        b"Subject: \xbd\xc3\xc7\xe8\nFrom: a@b\n\nbody",
        b"X-Odd: 1\nMIME-Version: 1.0\nContent-Type: text/plain\n\nbody",
    ],
)
def test_what_is_mail_is_claimed(head: bytes) -> None:
    assert Eml().claims(Stream(io.BytesIO(head))) == "message/rfc822"


def test_thousands_of_multiparts_inside_one_another_are_read_without_recursion() -> None:
    depth = 3000
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n" % (n, n) for n in range(depth))
    items = crawl_bytes(b"From: a@b\nTo: c@d\n" + opening + b"\nthe innermost word\n", "deep.eml")
    assert [item.handler for item in items] == ["eml"]
    assert causes(items) == {"limit", "truncated"}
    assert "the innermost word" in texts(items)
    assert f"boundary=n{DEPTH + 1}" in texts(items)


def test_nested_messages_end_at_the_crawlers_depth() -> None:
    message = b"From: a@b\nTo: c@d\n\nthe innermost word"
    for _ in range(40):
        message = b"From: a@b\nTo: c@d\nContent-Type: message/rfc822\n\n" + message
    assert "limit" in causes(crawl_bytes(message, "nested.eml"))


def test_a_boundary_across_the_windows_edge_is_found() -> None:
    for shift in range(-8, 9):
        head = b"From: a@b\nTo: c@d\nContent-Type: multipart/mixed; boundary=edge\n\n--edge\n\n"
        filler = b"x" * 70 + b"\n"
        body = filler * ((1 << 20) // len(filler) + 1)
        data = head + body[: (1 << 20) - len(head) + shift] + b"\n--edge\n\nsecond\n--edge--\n"
        walk = Walk(Stream(io.BytesIO(data)), 0, len(data))
        assert [part.number for part in walk.parts() if part.role == "part"] == ["1", "2"]
        assert walk.unclosed == 0


def coded(body: bytes, coding: str) -> Part:
    return Part("1", "part", 0, len(body), "image/png", {}, [("content-transfer-encoding", coding.encode())])


@given(st.binary(max_size=300), st.integers(1, 90))
@settings(max_examples=60)
def test_base64_comes_back_however_it_is_folded(data: bytes, width: int) -> None:
    body = base64.b64encode(data)
    folded = b"\r\n".join(body[at : at + width] for at in range(0, len(body), width))
    assert b"".join(decoded(Stream(io.BytesIO(folded)), coded(folded, "base64"))) == data


def test_broken_base64_gives_every_byte_and_then_the_problem() -> None:
    body = b"c2NlbmUg*MTIgY3V0IDM"
    stream = open_part(Stream(io.BytesIO(body)), coded(body, "base64"))
    got = b""
    with pytest.raises(EvidenceError, match="1 bytes outside"):
        while piece := stream.read(4):
            got += piece
    assert got == b"scene 12 cut 3"


def test_base64_glued_from_padded_pieces() -> None:
    body = b"c2NlbmU=\nIDEy\nIA==Y3V0"
    assert b"".join(decoded(Stream(io.BytesIO(body)), coded(body, "base64"))) == b"scene 12 cut"


@given(st.binary(max_size=400))
@settings(max_examples=60)
def test_no_transfer_encoding_raises_anything_but_evidence_errors(data: bytes) -> None:
    for coding in ("base64", "quoted-printable", "x-uuencode", "8bit"):
        pieces = Pieces(decoded(Stream(io.BytesIO(data)), coded(data, coding)))
        try:
            while pieces.read(64):
                pass
        except EvidenceError as error:
            assert error.cause in ("corrupt", "truncated")


@pytest.mark.parametrize("codec", ["cp949", "gb18030", "shift_jis", "utf-8"])
def test_encoded_words_cut_inside_a_character(codec: str) -> None:
    text = "원화 수정" if codec == "cp949" else "原画修正"
    raw = text.encode(codec)
    words = b" ".join(
        b"=?" + codec.encode() + b"?B?" + base64.b64encode(raw[at : at + 3]) + b"?=" for at in (0, 3, 6, 9)
    )
    assert decode_value(b"Re: " + words) == "Re: " + text


def test_parameters_in_continuations_keep_their_charset() -> None:
    head, held = split_value(
        b"attachment; filename*0*=euc-kr''%BF%F8%C8; filename*1*=%AD; filename*2=\"; 1.png\"; size=3"
    )
    assert head == "attachment"
    assert parameter(held, "filename") == ("원화; 1.png", "원화; 1.png".encode("euc-kr"))
    assert held["size"] == b"3"


def test_headers_fold_unfold_and_end() -> None:
    message = b"Subject: one\r\n\ttwo\r\nFrom:a\r\n\r\nbody: text"
    headers, end = split_headers(message)
    assert headers == [("subject", b"one two"), ("from", b"a")]
    assert message[end:] == b"body: text"


def messages(data: bytes) -> list[bytes]:
    return [data[each.start : each.end] for each in split(Stream(io.BytesIO(data)))]


def test_a_mailbox_gives_back_its_messages_byte_for_byte() -> None:
    bodies = [b"Subject: %d\n\n%s\n" % (n, b"line of text\n" * n) for n in range(60)]
    envelope = b"From a@b Mon Jun  3 09:00:00 2019\n"
    assert messages(b"".join(envelope + body + b"\n" for body in bodies)) == bodies


def test_messages_larger_than_the_window() -> None:
    bodies = [b"Subject: %d\n\n" % n + b"x" * 79 * (60_000 + n) + b"\n" for n in range(3)]
    envelope = b"From a@b Mon Jun  3 09:00:00 2019\n"
    assert messages(b"".join(envelope + body + b"\n" for body in bodies)) == bodies


def test_an_envelope_needs_a_date_and_a_header() -> None:
    assert Mbox().claims(Stream(io.BytesIO(b"From here to there\nSubject: x\n"))) is None
    assert Mbox().claims(Stream(io.BytesIO(b"From a@b Mon Jun  3 09:00:00 2019\nplain words\n"))) is None
    assert Mbox().claims(Stream(io.BytesIO(b"From a@b Mon Jun  3 09:00:00 2019\nSubject: x\n"))) == "application/mbox"


@pytest.mark.parametrize(
    "line", [b"\nFrom ", b"\nFrom a mon ", b"\nFrom a Mon Jun 3 09:00", b"--", b"\n--\n", b"=?a?b?"]
)
def test_repeated_marks_take_linear_time(line: bytes) -> None:
    data = b"From a@b Mon Jun  3 09:00:00 2019\nSubject: x\nTo: y\n\n" + line * (400_000 // len(line))
    assert len(crawl_bytes(data, "m.mbox")) == 2


@given(st.sampled_from(sorted(SAMPLES)), st.data())
@settings(max_examples=80)
def test_damaged_mail_is_never_a_crash(name: str, data: st.DataObject) -> None:
    sample = bytearray(SAMPLES[name])
    for at in data.draw(st.lists(st.integers(0, len(sample) - 1), max_size=6)):
        sample[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(sample)))
    for handler in (Eml(), Mbox()):
        handler.claims(Stream(io.BytesIO(bytes(sample[:cut]))))
    items = crawl_bytes(bytes(sample[:cut]), "m.eml")
    assert "crash" not in causes(items)
    # Identification may say anything of damaged bytes; the reader itself must stand them too.
    facts = list(Eml().read(Stream(io.BytesIO(bytes(sample[:cut])))))
    assert facts


@given(st.data())
@settings(max_examples=60)
def test_damaged_mailboxes_are_never_a_crash(data: st.DataObject) -> None:
    sample = bytearray(MAILBOX)
    for at in data.draw(st.lists(st.integers(0, len(sample) - 1), max_size=6)):
        sample[at] = data.draw(st.integers(0, 255))
    assert "crash" not in causes(crawl_bytes(bytes(sample), "m.mbox"))
    places = [(each.start, each.end) for each in split(Stream(io.BytesIO(bytes(sample))))]
    assert places == sorted(places)
    assert all(start <= end <= len(sample) for start, end in places)


def test_a_mail_is_in_the_language_of_its_body() -> None:
    letters = "내일 아침까지 컷 12의 배경을 다시 그려서 보내 주십시오. 등불의 색은 더 밝게 합니다."
    head = "".join(f"X-Note-{number}: the mail was passed on by the gateway of the studio\r\n" for number in range(9))
    mail = f"From: pak@example.org\r\nTo: kim@example.org\r\nSubject: cut 12\r\n{head}"
    mail += f"Content-Type: text/plain; charset=utf-8\r\n\r\n{letters}\r\n"
    assert crawl_bytes(mail.encode(), "note.eml")[0].language == "ko"
