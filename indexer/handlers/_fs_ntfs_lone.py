"""The master file table of an NTFS volume that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.handlers._fs_ntfs_records import Record, Table
from indexer.handlers._fs_parts import Run, Volume


class LoneTable(Table):
    """A table that was taken out of its volume.

    Args:
        size: bytes of a record.
    """

    is_alone = True

    def __init__(self, volume: Volume, size: int) -> None:
        self.volume = volume
        self.size = size
        self.count = volume.size // size
        self._runs = [Run(0, volume.size)]
        self._further: dict[int, list[int]] | None = None

    def _place(self, runs: tuple[tuple[int, int], ...]) -> list[Run]:
        return []

    def _parts(self, record: Record) -> Iterator[int]:
        """The records that name this one as their first: a long list lies in clusters, which are not here."""
        if self._further is None:
            self._further = {}
            for number, raw in self.raws():
                if base := int.from_bytes(raw[32:40], "little"):
                    self._further.setdefault(base, []).append(number)
        # The number rises when a record is let go, and not in the parts that still name it.
        for sequence in (record.sequence, *(() if record.in_use else (record.sequence - 1,))):
            yield from self._further.get(record.number | (sequence & 0xFFFF) << 48, ())
