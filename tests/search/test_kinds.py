"""Kinds of files: every type that is read has one."""

from __future__ import annotations

import pytest

from indexer.registry import all_handlers
from search.kinds import OTHER, coarse_type


@pytest.mark.parametrize(
    ("media_type", "coarse"),
    [
        ("application/zip", "archive"),
        ("image/vnd.adobe.photoshop", "picture"),
        ("message/rfc822", "mail"),
        ("text/plain", "text"),
        ("text/html", "web"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "table"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"),
        ("video/mp4", "video"),
        ("application/x-nobody-knows", "other"),
        ("", "other"),
    ],
)
def test_coarse_type(media_type: str, coarse: str) -> None:
    assert coarse_type(media_type) == coarse


def test_every_type_that_is_read_has_a_kind() -> None:
    for handler in all_handlers():
        for media_type in handler.media_types:
            assert coarse_type(media_type) != OTHER, (handler.name, media_type)
