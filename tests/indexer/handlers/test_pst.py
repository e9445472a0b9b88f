"""Stores of Outlook: what another reader says of them, and what damage costs."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes

FIXTURES = Path(__file__).parents[3] / "fixtures" / "pst"
WHOLE = (FIXTURES / "unicode" / "input.pst").read_bytes()
SAMPLES = {"unicode": WHOLE, "ansi": (FIXTURES / "ansi" / "input.pst").read_bytes()}


@pytest.mark.skipif(not importlib.util.find_spec("pypff"), reason="the other reader is not installed")
@pytest.mark.parametrize("case", ["unicode", "high", "ansi"])
def test_another_reader_finds_the_same_messages(case: str) -> None:
    import pypff

    data = (FIXTURES / case / "input.pst").read_bytes()
    store = pypff.file()
    store.open_file_object(io.BytesIO(data))
    store.set_ascii_codepage("cp949")
    waiting, theirs = [store.root_folder], []
    while waiting:
        folder = waiting.pop()
        waiting += list(folder.sub_folders)
        theirs += [subject_of(message) for message in folder.sub_messages]
    ours = [
        field.value
        for item in crawl_bytes(data, "a.pst")
        if item.handler == "msg" and len(item.provenance.hops) == 2
        if not any(each.name == "mail.deleted" for each in item.fields)
        for field in item.fields
        if field.name == "mail.subject"
    ]
    assert sorted(ours, key=str) == sorted(theirs) != []


def subject_of(message: Any) -> str:
    """The subject, in the code page that the message names."""
    held = {entry.entry_type: entry.data for entry in message.get_record_set(0).entries}
    chinese = held.get(0x3FFD) == (936).to_bytes(4, "little")
    return str(held[0x37].decode("gbk")) if chinese else str(message.subject)


def test_the_same_store_gives_the_same_message_files() -> None:
    assert crawl_bytes(WHOLE, "a.pst") == crawl_bytes(WHOLE, "a.pst")


def test_a_value_that_is_lost_leaves_the_rest_of_the_message() -> None:
    # The attachment of 12000 bytes stands in two blocks and a list of them; the list is made unreadable.
    at = WHOLE.index(b"\1\1\2\0" + (12000).to_bytes(4, "little"))
    broken = bytearray(WHOLE)
    broken[at] = 9
    items = crawl_bytes(bytes(broken), "a.pst")
    message = next(item for item in items if item.name.startswith("Re: "))
    assert message.status == "partly-read"
    assert any("last line" in text.body for text in message.texts)
    assert any(item.name == "inner.txt" for item in items)


@settings(max_examples=60)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, len(SAMPLES["unicode"]) - 1), st.integers(1, 255))
def test_flipped_bits_never_crash(case: str, at: int, bits: int) -> None:
    whole = SAMPLES[case]
    broken = bytearray(whole)
    broken[at % len(whole)] ^= bits
    for item in crawl_bytes(bytes(broken), "a.pst"):
        assert all(problem.cause != "crash" for problem in item.problems)


@settings(max_examples=15)
@given(st.sampled_from(sorted(SAMPLES)), st.floats(0, 1))
def test_cuts_never_crash(case: str, share: float) -> None:
    whole = SAMPLES[case]
    for item in crawl_bytes(whole[: int(len(whole) * share)], "a.pst"):
        assert all(problem.cause != "crash" for problem in item.problems)


def test_a_message_of_too_many_properties_is_read_up_to_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.handlers._pst_message._STREAMS", 10)
    items = crawl_bytes(WHOLE, "a.pst")
    message = next(item for item in items if item.name.startswith("Re: "))
    assert [problem.cause for problem in message.problems] == ["limit"]
    assert any("last line" in text.body for text in message.texts)


def test_no_message_claims_more_than_the_store_has() -> None:
    at = WHOLE.index(b"\1\1\2\0" + (12000).to_bytes(4, "little"))
    broken = bytearray(WHOLE)
    broken[at + 4 : at + 8] = (1 << 31).to_bytes(4, "little")
    items = crawl_bytes(bytes(broken), "a.pst")
    message = next(item for item in items if item.name.startswith("Re: "))
    assert "corrupt" in {problem.cause for problem in message.problems}
    assert message.size is not None and message.size < 1 << 20
