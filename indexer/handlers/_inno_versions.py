"""Which parts the records of an installer of Inno Setup have, by the version that wrote them.

Source: Inno Setup 4 to 6, Projects/Src/Struct.pas (TSetupHeader, TSetupFileLocationEntry), as it changed over time.
"""

from __future__ import annotations

Version = tuple[int, ...]
EVER: Version = (0,)
NEVER: Version = (99,)
OLDEST: Version = (4, 0, 0)
BEYOND: Version = (6, 5, 0)
"""The first version whose records are not known here."""
WINDOWS = 20
"""Bytes that say which versions of Windows a record is for."""
STORED, ZLIB, BZIP2, LZMA1, LZMA2 = range(5)
METHODS = ("stored", "zlib", "bzip2", "LZMA", "LZMA2")
NOWHERE = 0xFFFFFFFF
WESTERN = 1252
LANGUAGE_PAGES = {
    **dict.fromkeys((0x05, 0x0E, 0x15, 0x18, 0x1A, 0x1B, 0x1C, 0x24), 1250),
    **dict.fromkeys((0x02, 0x19, 0x22, 0x23, 0x2F, 0xC1A), 1251),
    **dict.fromkeys((0x01, 0x20, 0x29), 1256),
    **dict.fromkeys((0x25, 0x26, 0x27), 1257),
    **dict.fromkeys((0x404, 0xC04, 0x1404), 950),
    **{0x04: 936, 0x08: 1253, 0x0D: 1255, 0x11: 932, 0x12: 949, 0x1E: 874, 0x1F: 1254, 0x2A: 1258},
}
"""Code pages by the number of a language, where it has one of its own, else by its lowest ten bits."""
LICENCES = ("=license", "=before", "=after")

STRINGS = (
    ("product", EVER, NEVER),
    ("product_version_name", EVER, NEVER),
    ("id", EVER, NEVER),
    ("copyright", EVER, NEVER),
    ("maker", EVER, NEVER),
    ("address", EVER, NEVER),
    ("support_phone", (5, 1, 13), NEVER),
    ("support_address", EVER, NEVER),
    ("updates_address", EVER, NEVER),
    ("product_version", EVER, NEVER),
    ("folder", EVER, NEVER),
    ("group", EVER, NEVER),
    ("file_name", EVER, NEVER),
    ("=license", EVER, (5, 2, 5)),
    ("=before", EVER, (5, 2, 5)),
    ("=after", EVER, (5, 2, 5)),
    ("uninstall_folder", EVER, NEVER),
    ("uninstall_name", EVER, NEVER),
    ("uninstall_icon", EVER, NEVER),
    ("mutex", EVER, NEVER),
    ("user", EVER, NEVER),
    ("organisation", EVER, NEVER),
    ("serial", EVER, NEVER),
    ("=code", EVER, (5, 2, 5)),
    ("readme", (4, 2, 4), NEVER),
    ("contact", (4, 2, 4), NEVER),
    ("comments", (4, 2, 4), NEVER),
    ("modify", (4, 2, 4), NEVER),
    ("uninstall_key", (5, 3, 8), NEVER),
    ("uninstallable", (5, 3, 10), NEVER),
    ("closes", (5, 5, 0), NEVER),
    ("setup_mutex", (5, 5, 6), NEVER),
    ("changes_environment", (5, 6, 1), NEVER),
    ("changes_associations", (5, 6, 1), NEVER),
    ("processors", (6, 3, 0), NEVER),
    ("processors_64", (6, 3, 0), NEVER),
    ("closes_not", (6, 4, 3), NEVER),
    ("=license", (5, 2, 5), NEVER),
    ("=before", (5, 2, 5), NEVER),
    ("=after", (5, 2, 5), NEVER),
    ("=signature", (5, 2, 1), (5, 3, 10)),
    ("=code", (5, 2, 5), NEVER),
)
"""Name, first version, version that dropped it; what begins with `=` is bytes, never UTF-16."""

COUNTS = (
    ("languages", EVER),
    ("messages", (4, 2, 1)),
    ("permissions", (4, 1, 0)),
    ("types", EVER),
    ("components", EVER),
    ("tasks", EVER),
    ("folders", EVER),
    ("files", EVER),
    ("places", EVER),
    ("icons", EVER),
    ("ini", EVER),
    ("registry", EVER),
    ("deletes", EVER),
    ("uninstall_deletes", EVER),
    ("runs", EVER),
    ("uninstall_runs", EVER),
)

NUMBERS = (
    (WINDOWS, EVER, NEVER),  # versions of Windows
    (8, EVER, (6, 4, 0, 1)),  # two background colours
    (4, EVER, (5, 5, 7)),  # colour behind the image
    (4, EVER, (5, 0, 4)),  # colour behind the small image
    (9, (6, 0, 0), NEVER),  # style and size of the window
    (1, (5, 5, 7), NEVER),  # alpha channel of the images
)
PASSWORDS = ((4, EVER, (4, 2, 0)), (16, (4, 2, 0), (5, 3, 9)), (20, (5, 3, 9), (6, 4, 0)), (4, (6, 4, 0), NEVER))
SALTS = ((8, (4, 2, 2), (6, 4, 0)), (44, (6, 4, 0), NEVER))
MODES = (
    (8, EVER, NEVER),  # disk space
    (-4, EVER, NEVER),  # slices for each disk
    (1, EVER, (5, 0, 0)),  # how much is shown
    (1, EVER, NEVER),  # log of the uninstaller
    (1, EVER, (5, 0, 0)),  # style of the uninstaller
    (2, EVER, NEVER),  # whether the folder may exist; privileges
    (1, (5, 7, 0), NEVER),  # privileges that may be chosen
    (2, (4, 0, 10), NEVER),  # choice of the language
    (-1, (4, 1, 5), NEVER),  # compression
    (2, (5, 1, 0), (6, 3, 0)),  # processors
    (8, (5, 2, 1), (5, 3, 10)),  # signature of the uninstaller
    (2, (5, 3, 3), NEVER),  # pages that are left out
    (4, (5, 3, 6), (5, 5, 0)),  # size that is shown
    (8, (5, 5, 0), NEVER),
)
OPTIONS = (
    (1, EVER, NEVER),
    (1, EVER, (5, 3, 10)),
    (1, EVER, NEVER),
    (2, EVER, (5, 3, 3)),
    (3, EVER, NEVER),
    (4, EVER, (6, 4, 0, 1)),
    (1, EVER, NEVER),
    (1, EVER, (4, 1, 2)),
    ("password", EVER, NEVER),
    (2, EVER, NEVER),
    (1, EVER, (5, 6, 1)),
    (1, EVER, (5, 3, 8)),
    (1, EVER, NEVER),
    (1, EVER, (6, 4, 0, 1)),
    (11, EVER, NEVER),
    ("bzip", EVER, (4, 1, 5)),
    (6, EVER, NEVER),
    (1, EVER, (4, 0, 10)),
    (1, (4, 0, 1), (4, 0, 10)),
    (1, (4, 0, 9), NEVER),
    (1, (4, 1, 3), NEVER),
    (2, (4, 1, 8), NEVER),
    ("encrypted", (4, 2, 2), NEVER),
    (1, (5, 0, 4), (5, 6, 1)),
    ("narrow", (5, 1, 7), NEVER),
    (1, (5, 1, 13), NEVER),
    (1, (5, 2, 1), NEVER),
    (1, (5, 3, 8), NEVER),
    (1, (5, 3, 9), NEVER),
    (3, (5, 5, 0), NEVER),
    (1, (5, 5, 7), NEVER),
    (3, (6, 0, 0), NEVER),
    (1, (6, 3, 0), NEVER),
)
"""Bits of the header's options in their order: how many, or the name of one that is read here."""
FILE_BITS = (20, (4, 0, 5), (4, 1, 8), (4, 2, 1), (4, 2, 5), (5, 0, 3), (5, 1, 0), (5, 1, 2), (5, 1, 2)) + (
    ((5, 2, 0),) * 3 + ((5, 2, 5),)
)
RUN_BITS = (7, (5, 1, 10), (5, 1, 10), (5, 2, 0), (6, 1, 0), (6, 3, 0))
REGISTRY_BITS = (10, (5, 1, 0), (5, 1, 0))
PLACE_FLAGS = (
    ("version", EVER, NEVER),
    ("no version", EVER, (6, 4, 3)),
    ("bzipped", EVER, (4, 0, 1)),
    ("utc", (4, 0, 10), NEVER),
    ("uninstaller", (4, 1, 0), (6, 4, 3)),
    ("filtered", (4, 1, 8), NEVER),
    ("touched", (4, 2, 0), (6, 4, 3)),
    ("encrypted", (4, 2, 2), NEVER),
    ("compressed", (4, 2, 5), NEVER),
    ("new chunk", (5, 1, 13), (6, 4, 3)),
    ("signed", (5, 5, 7), (6, 3, 0)),
    ("signed once", (5, 5, 7), (6, 3, 0)),
)
DIGESTS = (
    ("adler32", 4, EVER, (4, 0, 1)),
    ("crc32", 4, (4, 0, 1), (4, 2, 0)),
    ("md5", 16, (4, 2, 0), (5, 3, 9)),
    ("sha1", 20, (5, 3, 9), (6, 4, 0)),
    ("sha256", 32, (6, 4, 0), NEVER),
)
HIVES = ("HKCR", "HKCU", "HKLM", "HKU", "HKPD", "HKCC", "HKDD")
VALUES = ("", "string", "expandable string", "number", "bytes", "strings", "long number")
BINARY = 4
UNINSTALLER = 1
"""A file that setup makes of itself."""


def set_size(bits: int) -> int:
    """Bytes that Delphi needs for a set: never three."""
    size = (bits + 7) // 8
    return 4 if size == 3 else size
