"""Bencoded values, read without recursion, down to the byte at which they break.

Source: BEP 3, bencoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Value = int | bytes | list["Value"] | dict[bytes, "Value"]

DEEPEST: Final = 64
_LENGTH: Final = re.compile(rb"(\d{1,10}):")
_NUMBER: Final = re.compile(rb"i(-?\d{1,20})e")


class Bencoded:
    """A bencoded dictionary and where the values of its outermost keys stand.

    Attributes:
        root: what could be read.
        spans: by outermost key: the first byte of its value and the one behind it; whole values alone.
        fault: what ended it before its end; empty where nothing did.
        end: the byte behind what was read.
    """

    def __init__(self, data: bytes) -> None:
        self.root: dict[bytes, Value] = {}
        self.spans: dict[bytes, tuple[int, int]] = {}
        self.fault = ""
        self.end = 1
        self._read(data)

    def _read(self, data: bytes) -> None:
        stack: list[list[Value] | dict[bytes, Value]] = [self.root]
        keys: list[bytes | None] = [None]
        begin = at = 1
        while stack:
            self.end = at
            if at >= len(data):
                self.fault = f"breaks off at {at} with {len(stack)} values open"
                return
            top, mark = stack[-1], data[at : at + 1]
            if mark == b"e":
                stack.pop()
                keys.pop()
                at += 1
                if len(stack) == 1 and keys[0] is not None:
                    self.spans[keys[0]] = begin, at
                    keys[0] = None
                continue
            value: Value
            if mark in (b"d", b"l"):
                value = {} if mark == b"d" else []
                behind = at + 1
            elif match := _NUMBER.match(data, at):
                value, behind = int(match[1]), match.end()
            elif match := _LENGTH.match(data, at):
                behind = match.end() + int(match[1])
                value = data[match.end() : behind]
                if behind > len(data):
                    self.fault = f"a string of {match[1].decode()} bytes at {at} breaks off"
                    return
            else:
                self.fault = f"no bencoded value at {at}"
                return
            if isinstance(top, dict) and keys[-1] is None:
                if not isinstance(value, bytes):
                    self.fault = f"a key at {at} that is no string"
                    return
                keys[-1] = value
                begin = behind if len(stack) == 1 else begin
                at = behind
                continue
            if isinstance(top, dict):
                key = keys[-1] or b""
                top.setdefault(key, value)
                if mark not in (b"d", b"l"):
                    if len(stack) == 1:
                        self.spans[key] = begin, behind
                    keys[-1] = None
                elif len(stack) > 1:
                    keys[-1] = None
            else:
                top.append(value)
            if mark in (b"d", b"l"):
                if len(stack) >= DEEPEST:
                    self.fault = f"nested deeper than {DEEPEST}"
                    return
                stack.append(value if isinstance(value, list | dict) else [])
                keys.append(None)
            at = behind
        self.end = at


def strings(value: Value) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Every number and string with the keys that lead to it."""
    waiting: list[tuple[tuple[str, ...], Value]] = [((), value)]
    while waiting:
        path, held = waiting.pop()
        if isinstance(held, dict):
            named = [((*path, key.decode("utf-8", "replace")), each) for key, each in held.items()]
            waiting += reversed(named)
        elif isinstance(held, list):
            waiting += [(path, each) for each in reversed(held)]
        else:
            yield path, held
