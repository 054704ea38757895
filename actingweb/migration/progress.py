"""How far each table of a source has been loaded, kept in the target beside the rows."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from actingweb.migration.batches import Batch
from actingweb.migration.errors import UsageError
from actingweb.migration.rejects import RejectFile
from actingweb.migration.tables import CLAIMS
from actingweb.migration.target import Connection, Target, lift_timeouts

__all__ = ["Counts", "Progress", "begin", "discard", "finish", "is_unfinished"]

TABLE = "migration_progress"

_CREATE = """
CREATE TABLE IF NOT EXISTS {schema}.migration_progress (
    table_name text PRIMARY KEY, source text NOT NULL, identity text NOT NULL, run text NOT NULL,
    marks jsonb NOT NULL DEFAULT '[]', loaded boolean NOT NULL DEFAULT false,
    read bigint NOT NULL DEFAULT 0, written bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0, rejected bigint NOT NULL DEFAULT 0, rejects_bytes bigint NOT NULL DEFAULT 0)
"""
_EXISTS = "SELECT to_regclass(format('%%I.migration_progress', %(schema)s::text)) IS NOT NULL"
_IDENTITIES = "SELECT table_name, source, identity FROM {schema}.migration_progress ORDER BY table_name"
_SELECT = """
SELECT marks, loaded, rejects_bytes, read, written, skipped, rejected
FROM {schema}.migration_progress WHERE table_name = %(table)s FOR UPDATE
"""
_INSERT = """
INSERT INTO {schema}.migration_progress (table_name, source, identity, run)
VALUES (%(table)s, %(source)s, %(identity)s, %(run)s)
"""
_TAKE_OVER = "UPDATE {schema}.migration_progress SET run = %(run)s WHERE table_name = %(table)s"
_LOCK = "SELECT FROM {schema}.migration_progress WHERE table_name = %(table)s AND run = %(run)s FOR UPDATE"
_RECORD = """
UPDATE {schema}.migration_progress
SET marks = %(marks)s, rejects_bytes = %(rejects_bytes)s, read = read + %(read)s, written = written + %(written)s,
    skipped = skipped + %(skipped)s, rejected = rejected + %(rejected)s
WHERE table_name = %(table)s AND run = %(run)s
"""
_COMPLETE = "UPDATE {schema}.migration_progress SET loaded = true WHERE table_name = %(table)s AND run = %(run)s"
_FORGET = "DELETE FROM {schema}.migration_progress WHERE table_name = %(table)s AND run = %(run)s"
_ANY = "SELECT EXISTS (SELECT FROM {schema}.migration_progress)"
_DROP = "DROP TABLE IF EXISTS {tables}"


@dataclass
class Counts:
    """What became of the rows of a table: `read` = `written` + `skipped` + `rejected`."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of another part."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def begin(target: Target, connection: Connection, identities: dict[str, str]) -> bool:
    """Make room for the progress of a load; tell whether it continues one that was interrupted.

    `identities` tell the content of each table in the source from any other. Raise `UsageError` if an unfinished load
    is of another content.
    """
    if not is_unfinished(target, connection):
        connection.execute(target.sql(_CREATE))
    stored = connection.execute(target.sql(_IDENTITIES)).fetchall()
    for table, source, identity in stored:
        if identities.get(table) != identity:
            raise UsageError(
                f'an unfinished {source} is in schema "{target.schema}", and {table} is not the same now: finish it '
                f"with what it began with, or, if the rows it loaded may stay, DROP TABLE {TABLE}"
            )
    return bool(stored)


def is_unfinished(target: Target, connection: Connection) -> bool:
    """Tell whether the schema has progress of an unfinished load."""
    return connection.execute(_EXISTS, {"schema": target.schema}).fetchone() == (True,)


def discard(target: Target, connection: Connection) -> None:
    """Forget the progress if there is none of any table."""
    if connection.execute(target.sql(_ANY)).fetchone() == (False,):
        finish(target, connection)


def finish(target: Target, connection: Connection) -> None:
    """Forget all progress, and the staged claims, which nothing needs once everything is loaded."""
    names = [TABLE, *(form.table for form in CLAIMS)]
    tables = sql.SQL(", ").join(sql.Identifier(target.schema, name) for name in names)
    connection.execute(target.sql(_DROP, tables=tables))


class Progress:
    """The progress of one table, taken over from any process that works on it: that one fails at its next batch.

    Raises `psycopg.Error`, and `UsageError` at first if the rejects of an interrupted run are somewhere else.

    Attributes:
        counts: what this run and the runs it continues did.
        loaded: whether the table is loaded whole.
    """

    def __init__(
        self, target: Target, connection: Connection, table: str, source: str, identity: str, rejects: RejectFile
    ) -> None:
        self._target = target
        self._connection = connection
        self._key = {"table": table, "run": uuid4().hex}
        self._marks: dict[int, tuple[Any, bool]] = {}
        self.counts = Counts()
        self.loaded = False
        with connection.transaction():
            lift_timeouts(connection)
            # Waits for what a killed process may still have in work on the server.
            stored = connection.execute(target.sql(_SELECT), self._key).fetchone()
            if stored is None:
                rejects.set_aside()
                connection.execute(target.sql(_INSERT), self._key | {"source": source, "identity": identity})
            else:
                marks, self.loaded, size, *counts = stored
                self._marks = {stream: (mark, done) for stream, mark, done in marks}
                self.counts = Counts(*counts)
                connection.execute(target.sql(_TAKE_OVER), self._key)
                if rejects.size < size:
                    raise UsageError(
                        f"{rejects.path} lacks rows that the interrupted load rejected: name the same --rejects-dir"
                    )
                rejects.cut(size)

    @property
    def begun(self) -> bool:
        """Whether anything of the table is loaded."""
        return self.loaded or bool(self._marks)

    def mark(self, stream: int = 0) -> Any:
        """Return from where a stream goes on, None for its start."""
        return self._marks.get(stream, (None, False))[0]

    def done(self, stream: int = 0) -> bool:
        """Tell whether a stream is loaded."""
        return self._marks.get(stream, (None, False))[1]

    def lock(self) -> None:
        """Keep others off the table until the transaction ends. Raise `UsageError` if another process has it."""
        if self._connection.execute(self._target.sql(_LOCK), self._key).fetchone() is None:
            raise UsageError("another process has begun to load into the same schema, and goes on alone")

    def record(self, batch: Batch, counts: Counts, rejects_bytes: int) -> None:
        """Store that a batch is loaded, in the locked transaction that loads it."""
        self._marks[batch.stream] = (batch.mark, batch.last)
        marks = Jsonb([[stream, *mark] for stream, mark in self._marks.items()])
        values = {"marks": marks, "rejects_bytes": rejects_bytes}
        self._connection.execute(self._target.sql(_RECORD), self._key | values | vars(counts))

    def complete(self) -> None:
        """Store that the table is loaded whole."""
        self._connection.execute(self._target.sql(_COMPLETE), self._key)

    def forget(self) -> None:
        """Store that nothing of the table is loaded."""
        self._connection.execute(self._target.sql(_FORGET), self._key)
