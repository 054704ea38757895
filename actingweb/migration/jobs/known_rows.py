"""Rows whose differences are known: those that an import has rejected, and those that somebody has accepted."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from psycopg import sql

from actingweb.migration.documents import content_of, corrected, key_of
from actingweb.migration.errors import UsageError
from actingweb.migration.mapping import ALL, LOOK_UPS, TableMapping
from actingweb.migration.rejects import RejectFile
from actingweb.migration.target.connection import Connection

__all__ = ["AcceptedRows", "Known", "KnownRows", "rejected_digests"]

_CREATE = "CREATE TEMP TABLE {} (digest bytea)"
_COPY = "COPY {} FROM STDIN"
_INDEX = "CREATE INDEX ON {} (digest)"
_KNOWN = "SELECT DISTINCT digest FROM {} WHERE digest = ANY(%(digests)s)"
_DROP = "DROP TABLE {}"
_NAMES = {mapping.name: mapping for mapping in ALL}


class KnownRows:
    """Some rows of a table, in a temporary table. Its methods raise `psycopg.Error`."""

    def __init__(self, connection: Connection, name: str, mapping: TableMapping) -> None:
        self._connection = connection
        self._table = sql.Identifier("pg_temp", name)
        self._mapping = mapping
        self._exists = False

    def create(self, digests: Iterable[bytes]) -> None:
        """Store the rows; there is no table if there are none."""
        iterator = iter(digests)
        first = next(iterator, None)
        if first is None:
            return
        self._exists = True
        self._connection.execute(self._sql(_CREATE))
        with self._connection.cursor() as cursor, cursor.copy(self._sql(_COPY)) as copy:
            copy.write_row((first,))
            for digest in iterator:
                copy.write_row((digest,))
        self._connection.execute(self._sql(_INDEX))

    def has_documents(self, documents: Iterable[bytes]) -> list[bool]:
        """Tell for each document whether it is one of the rows."""
        return self._has([_digest(self._mapping, document) for document in documents])

    def has_keys(self, keys: Iterable[dict[str, Any]]) -> list[bool]:
        """Tell for each key whether it is that of one of the rows."""
        return self._has(list(map(_hashed, keys)))

    def drop(self) -> None:
        """Drop the temporary table."""
        if self._exists:
            self._connection.execute(self._sql(_DROP))

    def _has(self, digests: list[bytes]) -> list[bool]:
        if not self._exists:
            return [False] * len(digests)
        found: set[bytes] = set()
        iterator = iter(digests)
        while some := list(islice(iterator, 1000)):
            found |= {digest for (digest,) in self._connection.execute(self._sql(_KNOWN), {"digests": some})}
        return [digest in found for digest in digests]

    def _sql(self, statement: str) -> sql.Composed:
        return sql.SQL(statement).format(self._table)


@dataclass(frozen=True)
class Known:
    """The rows of a table that an import has rejected, and those that are accepted."""

    rejected: KnownRows
    accepted: KnownRows

    @classmethod
    def of(cls, connection: Connection, mapping: TableMapping) -> "Known":
        """Return both, empty."""
        return cls(*(KnownRows(connection, name, mapping) for name in ("rejected_rows", "accepted_rows")))

    def drop(self) -> None:
        """Drop the temporary tables."""
        self.rejected.drop()
        self.accepted.drop()


def rejected_digests(file: RejectFile) -> Iterator[bytes]:
    """Yield the digests of the rows of a reject file, if there is one. Raise `SourceError` if it is malformed."""
    if file.path.exists():
        for rejected in file.documents():
            yield _digest(file.mapping, rejected.document)


@dataclass(frozen=True)
class AcceptedRows:
    """Rows that are not to be moved.

    Attributes:
        paths: reject files, directories of them, and files of lines with `table` and `key`, as reports have them.
    """

    paths: tuple[Path, ...] = ()

    def digests(self, mapping: TableMapping) -> Iterator[bytes]:
        """Yield the digests of the rows of a table. Raise `UsageError` naming the line for one that names no row."""
        for place, fields in self._lines(mapping.name):
            yield _accepted_digest(mapping, place, fields)

    def claims(self, mapping: TableMapping) -> Iterator[bytes]:
        """Yield the documents, or the keys, of the accepted claims of a table."""
        for _, fields in self._lines(mapping.name):
            yield json.dumps(fields.get("document", fields.get("key"))).encode()

    def look_up_keys(self) -> Iterator[str]:
        """Yield the look-up keys of accepted look-up rows."""
        for _, fields in self._lines(LOOK_UPS):
            yield fields["key"]["lookup_key"]

    def named(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield the place, the table and the key of each line: that of its document if it has one.

        Raise `UsageError` for a file that cannot be read, or a line of it that names no row.
        """
        for table in (*_NAMES, LOOK_UPS):
            for place, fields in self._lines(table):
                document = fields.get("document", fields.get("key"))
                yield place, table, document if isinstance(document, dict) else fields.get("key") or {}

    def check(self) -> None:
        """Raise `UsageError` if a file cannot be read, or a line of it names no row."""
        for mapping in ALL if self.paths else ():
            for _ in self.digests(mapping):
                pass

    def _lines(self, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the place and the fields of each line about a table."""
        for path in self._files():
            try:
                with path.open("rb") as file:
                    for number, line in enumerate(file, 1):
                        fields = _fields(f"{path}, line {number}", line)
                        if fields["table"] == table:
                            yield f"{path}, line {number}", fields
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}") from None

    def _files(self) -> Iterator[Path]:
        for path in self.paths:
            if path.is_dir():
                yield from (found for mapping in ALL if (found := RejectFile(path, mapping).path).is_file())
            else:
                yield path


def _fields(place: str, line: bytes) -> dict[str, Any]:
    content = content_of(line)
    fields: dict[str, Any] = content if isinstance(content, dict) else {}
    table, key = fields.get("table"), fields.get("key") or {}
    if table not in (*_NAMES, LOOK_UPS) or not isinstance(key, dict):
        raise UsageError(f"{place}: this is not a JSON object with the `table` and the `key` of a row")
    if table == LOOK_UPS and not isinstance(key.get("lookup_key"), str):
        raise UsageError(f"{place}: the key has no lookup_key")
    return fields


def _accepted_digest(mapping: TableMapping, place: str, fields: dict[str, Any]) -> bytes:
    if "document" in fields:
        document = fields["document"]
        return _digest(mapping, (document if isinstance(document, str) else json.dumps(document)).encode())
    key = fields.get("key")
    if not isinstance(key, dict) or not _is_whole(mapping, key):
        raise UsageError(f"{place}: the key is incomplete; take the row's line from the reject file")
    return _hashed(corrected(mapping.record, {name: key[name] for name in mapping.record.key if name in key}))


def _is_whole(mapping: TableMapping, key: dict[str, Any]) -> bool:
    # An empty part of a key may be absent.
    return key.keys() | {"subtarget"} >= set(mapping.record.key)


def _digest(mapping: TableMapping, document: bytes) -> bytes:
    """Return a digest that identifies a document: of its key or, if the key is incomplete, of its content."""
    key = key_of(mapping.record, document)
    if _is_whole(mapping, key):
        return _hashed(key)
    content = content_of(document)
    return _hashed(document.decode(errors="replace") if content is None else [content])


def _hashed(value: Any) -> bytes:
    if isinstance(value, dict):
        # An empty part of a key may be absent from the document.
        value = {name: part for name, part in value.items() if part != ""}
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
