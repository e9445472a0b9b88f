"""Keys derived side by side are those that hashlib derives; without the compiled part, hashlib does."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.handlers import _ciphers
from indexer.handlers._ciphers import FOUR_KEYS, WinzipAes

compiled = pytest.mark.skipif(FOUR_KEYS is None, reason="built without a compiler")


@compiled
@given(st.binary(max_size=64), st.binary(max_size=51), st.integers(1, 9), st.integers(0, 80))
def test_both_derive_the_same(password: bytes, salt: bytes, rounds: int, length: int) -> None:
    expected = hashlib.pbkdf2_hmac("sha1", password, salt, rounds, length) if length else b""
    assert FOUR_KEYS.derive(password, salt, rounds, length) == expected


@compiled
@pytest.mark.parametrize("sizes", [(65, 16, 1, 66), (8, 52, 1, 66), (8, 16, 0, 66), (8, 16, 1, 81), (8, 16, 1, -1)])
def test_what_does_not_fit_is_refused(sizes: tuple[int, int, int, int]) -> None:
    password, salt, rounds, length = sizes
    with pytest.raises(ValueError, match="four blocks"):
        FOUR_KEYS.derive(bytes(password), bytes(salt), rounds, length)


@pytest.mark.parametrize("strength", [1, 2, 3])
@pytest.mark.parametrize("password", [b"lantern", b"a longer one than a block of the hash has room for" * 2])
def test_members_have_the_same_keys_without_it(password: bytes, strength: int, monkeypatch: pytest.MonkeyPatch) -> None:
    salt = bytes(range(WinzipAes.salt_length(strength)))
    here = WinzipAes(password, salt, strength)
    monkeypatch.setattr(_ciphers, "FOUR_KEYS", None)
    _ciphers._derive.cache_clear()
    there = WinzipAes(password, salt, strength)
    assert vars(here) == vars(there)
