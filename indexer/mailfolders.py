"""Names of mail folders as programs write them on disk.

Source: RFC 3501, section 5.1.3 (modified UTF-7); Maildir++ (S. Varshavchik): a folder is a directory whose
name begins with a dot, and further dots lead to folders inside it.
"""

from __future__ import annotations

import base64
import binascii
import re

_CODED = re.compile(r"&([A-Za-z0-9+,]{0,250})-")
_KEPT = ("cur", "new")
"""Where a Maildir keeps its messages; `tmp` holds what was never delivered."""


def decode_folder(name: str) -> str:
    """A folder's name out of modified UTF-7; empty where it is written plainly, or wrongly."""
    if not _CODED.search(name) or not name.isascii():
        return ""
    try:
        return _CODED.sub(lambda match: _from_utf7(match[1]), name)
    except (ValueError, binascii.Error):
        return ""


def _from_utf7(part: str) -> str:
    if not part:
        return "&"
    packed = part.replace(",", "/")
    return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-16-be")


def maildir_folder(path: str) -> str:
    """The folder of a message by its path, levels parted by slashes; empty where the path does not tell.

    >>> maildir_folder("home/dana/Maildir/.INBOX.&ahFfaQ-/cur/1700000000.M1P2.srv:2,S")
    'INBOX/樑彩'
    """
    *_, folder, state, _ = ["", "", *path.split("/")]
    if state not in _KEPT:
        return ""
    if len(folder) > 1 and folder.startswith("."):
        return "/".join(decode_folder(level) or level for level in folder[1:].split("."))
    return decode_folder(folder)
