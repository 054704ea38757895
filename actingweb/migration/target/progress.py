"""The progress of a load, table by table, which is stored in the target beside the rows."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from actingweb.migration.batches import Batch
from actingweb.migration.errors import UsageError
from actingweb.migration.mapping import ACTORS, CLAIMS, LOOK_UPS, MAPPINGS
from actingweb.migration.rejects import RejectFile
from actingweb.migration.target.connection import Connection, Target, lift_timeouts

__all__ = ["Counts", "Progress", "begin", "discard", "finish", "has_rows", "is_unfinished", "restart"]

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
SET marks = %(checkpoints)s, rejects_bytes = %(rejects_bytes)s, read = read + %(read)s, written = written + %(written)s,
    skipped = skipped + %(skipped)s, rejected = rejected + %(rejected)s
WHERE table_name = %(table)s AND run = %(run)s
"""
_COMPLETE = "UPDATE {schema}.migration_progress SET loaded = true WHERE table_name = %(table)s AND run = %(run)s"
_FORGET = "DELETE FROM {schema}.migration_progress WHERE table_name = %(table)s AND run = %(run)s"
_WRITTEN = "SELECT table_name, written FROM {schema}.migration_progress FOR UPDATE"
_DELETE = "DELETE FROM {schema}.{table}"
_HAS_ROWS = "SELECT EXISTS (SELECT FROM {schema}.{table})"
_ANY = "SELECT EXISTS (SELECT FROM {schema}.migration_progress)"
_DROP = "DROP TABLE IF EXISTS {tables}"

# Rows of attributes need no actor.
_DELETED_WITH_ACTORS = {mapping.name for mapping in MAPPINGS if mapping.name != "attributes"} | {LOOK_UPS}


@dataclass
class Counts:
    """What became of the rows of a table; `read` = `written` + `skipped` + `rejected`."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add other counts to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def begin(target: Target, connection: Connection, identities: dict[str, str]) -> bool:
    """Create the table of progress if it does not exist; tell whether the load continues an interrupted one.

    `identities` has a text for each table that identifies its content in the source. Raise `UsageError` if the
    interrupted load was of other content.
    """
    if not is_unfinished(target, connection):
        connection.execute(target.sql(_CREATE))
    stored = connection.execute(target.sql(_IDENTITIES)).fetchall()
    for table, source, identity in stored:
        if identities.get(table) != identity:
            change = f"{table} has changed since" if table in identities else f"{table} belongs to it"
            raise UsageError(
                f'schema "{target.schema}" contains an unfinished {source}, and {change}: continue it with the '
                "original source and tables, or start again with --restart, which deletes the rows that it has loaded "
                "unless --skip-duplicates keeps them"
            )
    return bool(stored)


def restart(target: Target, connection: Connection, *, keep_rows: bool) -> dict[str, int]:
    """Forget an unfinished load, if there is one, and delete the rows of the tables that it has begun.

    Return how many rows of each table were deleted; none are with `keep_rows`. Raise `UsageError`, with nothing
    deleted, if that would delete rows which the load did not write.
    """
    if not is_unfinished(target, connection):
        return {}
    with connection.transaction():
        lift_timeouts(connection)
        loaded = dict(connection.execute(target.sql(_WRITTEN)).fetchall())
        deleted = {} if keep_rows else _delete_rows(target, connection, loaded)
        finish(target, connection)
    return deleted


def _delete_rows(target: Target, connection: Connection, loaded: dict[str, int]) -> dict[str, int]:
    """Delete the rows of the tables in `loaded`, which has how many of them a load wrote."""
    if ACTORS.name in loaded:
        for name in _DELETED_WITH_ACTORS - loaded.keys():
            _require_own(name, not has_rows(target, connection, name))
    deleted = {}
    for mapping in reversed(MAPPINGS):
        if (written := loaded.get(mapping.name)) is not None:
            count = connection.execute(target.sql(_DELETE, table=sql.Identifier(mapping.name))).rowcount
            _require_own(mapping.name, count <= written)
            deleted[mapping.name] = count
    return deleted


def _require_own(table: str, own: bool) -> None:
    if not own:
        raise UsageError(
            f"{table} has rows that the unfinished load did not write, so --restart deletes nothing: add "
            "--skip-duplicates to keep all rows, or empty the tables by hand"
        )


def has_rows(target: Target, connection: Connection, table: str) -> bool:
    """Tell whether a table of the schema has rows."""
    return connection.execute(target.sql(_HAS_ROWS, table=sql.Identifier(table))).fetchone() == (True,)


def is_unfinished(target: Target, connection: Connection) -> bool:
    """Tell whether the schema contains an unfinished load."""
    return connection.execute(_EXISTS, {"schema": target.schema}).fetchone() == (True,)


def discard(target: Target, connection: Connection) -> None:
    """Drop the table of progress if it is empty."""
    if connection.execute(target.sql(_ANY)).fetchone() == (False,):
        finish(target, connection)


def finish(target: Target, connection: Connection) -> None:
    """Drop the progress of all tables, and the staged claims, which are not needed once everything is loaded."""
    names = [TABLE, *(mapping.table for mapping in CLAIMS)]
    tables = sql.SQL(", ").join(sql.Identifier(target.schema, name) for name in names)
    connection.execute(target.sql(_DROP, tables=tables))


class Progress:
    """The progress of one table.

    Creating an instance takes the table over from any other process that loads it, which fails at its next batch.

    Methods raise `psycopg.Error`; the constructor also `UsageError` if the rejects of the interrupted run are missing.

    Attributes:
        counts: what this run, and the runs that it continues, did.
        loaded: whether the whole table is loaded.
    """

    def __init__(
        self, target: Target, connection: Connection, table: str, source: str, identity: str, rejects: RejectFile
    ) -> None:
        self._target = target
        self._connection = connection
        self._key = {"table": table, "run": uuid4().hex}
        self._checkpoints: dict[int, tuple[Any, bool]] = {}
        self.counts = Counts()
        self.loaded = False
        with connection.transaction():
            lift_timeouts(connection)
            # Waits for a transaction of a killed process that the server may still be executing.
            stored = connection.execute(target.sql(_SELECT), self._key).fetchone()
            if stored is None:
                rejects.set_aside()
                connection.execute(target.sql(_INSERT), self._key | {"source": source, "identity": identity})
            else:
                checkpoints, self.loaded, size, *counts = stored
                self._checkpoints = {stream: (checkpoint, done) for stream, checkpoint, done in checkpoints}
                self.counts = Counts(*counts)
                connection.execute(target.sql(_TAKE_OVER), self._key)
                if rejects.size < size:
                    raise UsageError(
                        f"{rejects.path} lacks rows that the interrupted load rejected: name the same --rejects-dir"
                    )
                rejects.cut(size)

    @property
    def begun(self) -> bool:
        """Whether a part of the table is loaded."""
        return self.loaded or bool(self._checkpoints)

    def checkpoint(self, stream: int = 0) -> Any:
        """Return where a stream continues; None for its start."""
        return self._checkpoints.get(stream, (None, False))[0]

    def done(self, stream: int = 0) -> bool:
        """Tell whether the whole stream is loaded."""
        return self._checkpoints.get(stream, (None, False))[1]

    def lock(self) -> None:
        """Lock the progress until the transaction ends. Raise `UsageError` if another process has taken it over."""
        if self._connection.execute(self._target.sql(_LOCK), self._key).fetchone() is None:
            raise UsageError(
                "another process has started to load into the same schema; it continues, and this one stops"
            )

    def record(self, batch: Batch, counts: Counts, rejects_bytes: int) -> None:
        """Record a loaded batch, in the transaction that loads it and holds the lock."""
        self._checkpoints[batch.stream] = (batch.checkpoint, batch.last)
        checkpoints = Jsonb([[stream, *position] for stream, position in self._checkpoints.items()])
        values = {"checkpoints": checkpoints, "rejects_bytes": rejects_bytes}
        self._connection.execute(self._target.sql(_RECORD), self._key | values | vars(counts))

    def complete(self) -> None:
        """Record that the whole table is loaded."""
        self._connection.execute(self._target.sql(_COMPLETE), self._key)

    def forget(self) -> None:
        """Record that nothing of the table is loaded."""
        self._connection.execute(self._target.sql(_FORGET), self._key)
