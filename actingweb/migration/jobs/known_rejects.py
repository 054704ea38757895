"""The rows that an import is known to have rejected."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from actingweb.migration.documents import content_of, key_of
from actingweb.migration.mapping import TableMapping
from actingweb.migration.rejects import RejectFile
from actingweb.migration.target.connection import Connection

__all__ = ["KnownRejects"]

_CREATE_REJECTED = "CREATE TEMP TABLE rejected_rows (digest bytea)"
_COPY_REJECTED = "COPY pg_temp.rejected_rows FROM STDIN"
_INDEX_REJECTED = "CREATE INDEX ON pg_temp.rejected_rows (digest)"
_KNOWN = "SELECT DISTINCT digest FROM pg_temp.rejected_rows WHERE digest = ANY(%(digests)s)"
_DROP_REJECTED = "DROP TABLE pg_temp.rejected_rows"


class KnownRejects:
    """The rows of a table that are in its reject file, if it has one. Its methods raise `psycopg.Error`."""

    def __init__(self, connection: Connection, mapping: TableMapping, file: RejectFile | None) -> None:
        self._connection = connection
        self._mapping = mapping
        self._documents = file.documents() if file is not None and file.path.exists() else None

    def create(self) -> None:
        """Read the file into a temporary table."""
        if self._documents is None:
            return
        self._connection.execute(_CREATE_REJECTED)
        with self._connection.cursor() as cursor, cursor.copy(_COPY_REJECTED) as copy:
            for document, _ in self._documents:
                copy.write_row((_digest(self._mapping, document),))
        self._connection.execute(_INDEX_REJECTED)

    def count_documents(self, documents: Iterable[bytes]) -> int:
        """Return how many of the documents were rejected."""
        return self._count(_digest(self._mapping, document) for document in documents)

    def count_keys(self, keys: Iterable[dict[str, Any]]) -> int:
        """Return how many of the rows with these keys were rejected."""
        return self._count(map(_hashed, keys))

    def drop(self) -> None:
        """Drop the temporary table."""
        if self._documents is not None:
            self._connection.execute(_DROP_REJECTED)

    def _count(self, digests: Iterator[bytes]) -> int:
        if self._documents is None:
            return 0
        count = 0
        while some := list(islice(digests, 1000)):
            known = {digest for (digest,) in self._connection.execute(_KNOWN, {"digests": some})}
            count += sum(digest in known for digest in some)
        return count


def _digest(mapping: TableMapping, document: bytes) -> bytes:
    """Return a digest that identifies a document: of its key or, if the key is incomplete, of its content."""
    key = key_of(mapping.record, document)
    if key.keys() | {"subtarget"} >= set(mapping.record.key):
        return _hashed(key)
    content = content_of(document)
    return _hashed(document.decode(errors="replace") if content is None else [content])


def _hashed(value: Any) -> bytes:
    if isinstance(value, dict):
        # An empty part of a key may be absent from the document.
        value = {name: part for name, part in value.items() if part != ""}
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
