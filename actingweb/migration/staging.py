"""The rows of a source in temporary tables beside those of PostgreSQL, and what an import is known to have rejected."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, LiteralString

from psycopg import sql

from actingweb.migration.canonical import TableForm
from actingweb.migration.documents import content_of, corrected
from actingweb.migration.lookups import StagedClaims
from actingweb.migration.merge import REFUSED, column_names
from actingweb.migration.prepare import Pairs
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.tables import CLAIMS, CLAIMS_V1
from actingweb.migration.target import Connection, Target

__all__ = ["KnownRejects", "Staging", "key_of", "shown_key"]

_CREATE = "CREATE TEMP TABLE {staged} AS SELECT {columns} FROM {schema}.{table} WITH NO DATA"
_COPY = "COPY {staged} FROM STDIN"
_INDEX = "CREATE INDEX ON {staged} (id)"
_ANALYZE = "ANALYZE {staged}"
_DROP = "DROP TABLE {staged}"

_CREATE_REJECTED = "CREATE TEMP TABLE rejected_rows (digest bytea)"
_COPY_REJECTED = "COPY pg_temp.rejected_rows FROM STDIN"
_INDEX_REJECTED = "CREATE INDEX ON pg_temp.rejected_rows (digest)"
_KNOWN = "SELECT DISTINCT digest FROM pg_temp.rejected_rows WHERE digest = ANY(%(digests)s)"
_DROP_REJECTED = "DROP TABLE pg_temp.rejected_rows"


@dataclass(frozen=True)
class Staging:
    """A temporary table of the session, with the columns and types of one of the schema's tables.

    Its methods raise `psycopg.Error`.
    """

    target: Target
    connection: Connection
    form: TableForm

    @cached_property
    def name(self) -> sql.Identifier:
        """The temporary table."""
        return sql.Identifier("pg_temp", f"source_{self.form.name}")

    def create(self) -> None:
        """Make it, empty."""
        if self.form in CLAIMS:
            StagedClaims(self.form, self.name).create(self.connection, temporary=True)
        else:
            self._execute(_CREATE)

    def add(self, rows: Pairs) -> list[Reject]:
        """Add rows; return those that PostgreSQL refuses."""
        try:
            with self.connection.cursor() as cursor, cursor.copy(self._sql(_COPY)) as copy:
                for row, _ in rows:
                    copy.write_row(row)
        except REFUSED as error:
            refused = type(error).__name__
        else:
            return []
        if len(rows) == 1:
            return [Reject(rows[0][1], f"PostgreSQL refuses it: {refused}")]
        half = len(rows) // 2
        return self.add(rows[:half]) + self.add(rows[half:])

    def finish(self, *, looked_up: bool) -> None:
        """Let the planner know it, and let rows be found by `id` if they are to be `looked_up`."""
        if looked_up:
            self._execute(_INDEX)
        self._execute(_ANALYZE)

    def drop(self) -> None:
        """Remove it."""
        self._execute(_DROP)

    def _execute(self, statement: LiteralString) -> None:
        self.connection.execute(self._sql(statement))

    def _sql(self, statement: LiteralString) -> sql.Composed:
        columns = column_names(self.form.record.fields)
        return self.target.sql(statement, staged=self.name, table=sql.Identifier(self.form.table), columns=columns)


class KnownRejects:
    """The rows of a table that are in its reject file, if there is one. Its methods raise `psycopg.Error`."""

    def __init__(self, connection: Connection, form: TableForm, file: RejectFile | None) -> None:
        self._connection = connection
        self._form = form
        self._documents = file.documents() if file is not None and file.path.exists() else None

    def create(self) -> None:
        """Read the file."""
        if self._documents is None:
            return
        self._connection.execute(_CREATE_REJECTED)
        with self._connection.cursor() as cursor, cursor.copy(_COPY_REJECTED) as copy:
            for document, _ in self._documents:
                copy.write_row((_digest(self._form, document),))
        self._connection.execute(_INDEX_REJECTED)

    def count_documents(self, documents: Iterable[bytes]) -> int:
        """Return how many of the documents were rejected."""
        return self._count(_digest(self._form, document) for document in documents)

    def count_keys(self, keys: Iterable[dict[str, Any]]) -> int:
        """Return how many of the rows with these keys were rejected."""
        return self._count(map(_hashed, keys))

    def drop(self) -> None:
        """Forget them."""
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


def key_of(form: TableForm, document: bytes) -> dict[str, Any]:
    """Return the columns of the primary key, as far as a document has them."""
    content = content_of(document)
    if not isinstance(content, dict):
        return {}
    content = corrected(form.record, {name: content[name] for name in form.record.key if name in content})
    return {name: content[name] for name in form.record.key if name in content}


def shown_key(form: TableForm, key: dict[str, Any]) -> dict[str, Any]:
    """Return a key as reports show it: that of a claim of the first form holds the value that is claimed."""
    if form is not CLAIMS_V1:
        return key
    return {name: part for name, part in key.items() if name != "value"}


def _digest(form: TableForm, document: bytes) -> bytes:
    """Return what tells the row of a document from others: its key, or if that is not whole, its content."""
    key = key_of(form, document)
    if key.keys() | {"subtarget"} >= set(form.record.key):
        return _hashed(key)
    content = content_of(document)
    return _hashed(document.decode(errors="replace") if content is None else [content])


def _hashed(value: Any) -> bytes:
    if isinstance(value, dict):
        # An empty part of a key may be absent.
        value = {name: part for name, part in value.items() if part != ""}
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
