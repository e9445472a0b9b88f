"""The texts of a case: packed chunks by reading key, kept once however many items hold the bytes.

texts(key 16 bytes, number, body: zstd of msgpack [[locator, body], ...])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from indexer.model import Text
from indexer.packing import unpack_texts
from search.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS texts (
    key BLOB NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (key, number)
);
"""


class Texts:
    """The store of texts, one file of the case."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self._database = Database(path, _SCHEMA, write=write)

    def keep(self, key: str, number: int, body: bytes) -> None:
        """Keeps one packed chunk; the same chunk read again replaces itself."""
        self._database.write_soon("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (bytes.fromhex(key), number, body))

    def of(self, key: str, chunks: int) -> Iterator[Text]:
        """The texts of a reading, in order.

        Args:
            chunks: how many belong to the reading; further ones are left from an attempt that died.

        Raises:
            StoreError: a text is damaged.
        """
        if not chunks:
            return
        statement = "SELECT body FROM texts WHERE key = ? AND number < ? ORDER BY number"
        for (body,) in self._database.rows(statement, (bytes.fromhex(key), chunks)):
            yield from unpack_texts(body)

    def first_of(self, keys: Sequence[str]) -> dict[str, tuple[Text, ...]]:
        """The texts in the first chunk of each of a few hundred readings, by key.

        Raises:
            StoreError: a text is damaged.
        """
        rows = self._database.rows(
            f"SELECT key, body FROM texts WHERE number = 0 AND key IN ({', '.join('?' * len(keys))})",  # noqa: S608
            [bytes.fromhex(key) for key in keys],
        )
        return {key.hex(): unpack_texts(body) for key, body in rows}

    def commit(self) -> None:
        """Makes everything so far durable."""
        self._database.commit()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
