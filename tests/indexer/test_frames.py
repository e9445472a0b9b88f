"""Frames between parent and worker: gathered on the way out, whole on the way in."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from indexer import frames
from indexer.errors import StoreError


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _hear(inbox: frames.Inbox) -> list[frames.FromWorker]:
    return list(inbox.frames())


def test_frames_wait_until_they_are_flushed(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    outbox, inbox = frames.Outbox(theirs), frames.Inbox(ours)
    said: list[frames.FromWorker] = [frames.Texts("00" * 16, 0, b"body"), frames.Done(7), frames.Piece(b"")]
    for frame in said:
        outbox.add(frame)
    assert _hear(inbox) == []
    outbox.flush()
    assert _hear(inbox) == said
    outbox.flush()
    assert _hear(inbox) == []


def test_many_frames_go_out_by_themselves(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    outbox, inbox = frames.Outbox(theirs), frames.Inbox(ours)
    piece = frames.Piece(bytes(40_000))
    outbox.add(piece)
    assert _hear(inbox) == []
    outbox.add(piece)
    assert _hear(inbox) == [piece, piece]


def test_a_frame_may_come_byte_by_byte(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    frames.send(theirs, frames.Done(1))
    frames.send(theirs, frames.Done(2))
    data = ours.recv(1000)
    inbox = frames.Inbox(ours)
    heard: list[frames.FromWorker] = []
    for byte in data:
        theirs.send(bytes((byte,)))
        heard += _hear(inbox)
    assert heard == [frames.Done(1), frames.Done(2)]


@pytest.mark.parametrize("data", [b"\x03\0\0\0abc", b"\xff\xff\xff\xff"], ids=["no frame", "too long"])
def test_what_is_no_frame_stops_the_run(ends: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = ends
    theirs.send(data)
    with pytest.raises(StoreError):
        _hear(frames.Inbox(ours))
