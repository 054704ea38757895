"""How far each table of a source has been loaded, kept in the target beside the rows."""

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from actingweb.migration.batches import Batch
from actingweb.migration.errors import UsageError
from actingweb.migration.target import Connection, Target

__all__ = ["Counts", "Progress", "begin", "finish"]

_CREATE = """
CREATE TABLE IF NOT EXISTS {schema}.migration_progress (
    source text, table_name text, stream integer, mark jsonb, done boolean NOT NULL,
    read bigint NOT NULL, written bigint NOT NULL, skipped bigint NOT NULL, rejected bigint NOT NULL,
    rejects_bytes bigint NOT NULL, PRIMARY KEY (source, table_name, stream))
"""
_OTHER = "SELECT min(source) FROM {schema}.migration_progress WHERE source <> %(source)s"
_SELECT = """
SELECT stream, mark, done, read, written, skipped, rejected, rejects_bytes
FROM {schema}.migration_progress WHERE source = %(source)s AND table_name = %(table)s
"""
_RECORD = """
INSERT INTO {schema}.migration_progress AS stored
VALUES (%(source)s, %(table)s, %(stream)s, %(mark)s, %(done)s,
        %(read)s, %(written)s, %(skipped)s, %(rejected)s, %(rejects_bytes)s)
ON CONFLICT (source, table_name, stream) DO UPDATE
SET mark = excluded.mark, done = excluded.done, rejects_bytes = excluded.rejects_bytes,
    read = stored.read + excluded.read, written = stored.written + excluded.written,
    skipped = stored.skipped + excluded.skipped, rejected = stored.rejected + excluded.rejected
"""
_FORGET = "DELETE FROM {schema}.migration_progress WHERE source = %(source)s AND table_name = %(table)s"
_DROP = "DROP TABLE IF EXISTS {schema}.migration_progress"


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


def begin(target: Target, connection: Connection, source: str) -> None:
    """Make room for the progress of `source`. Raise `UsageError` if another source's load is unfinished."""
    connection.execute(target.sql(_CREATE))
    other = connection.execute(target.sql(_OTHER), {"source": source}).fetchone()
    if other is not None and other[0] is not None:
        raise UsageError(
            f"an unfinished load of {other[0]} is in schema {target.schema}: finish it with the same input, "
            f"or DROP TABLE migration_progress if its rows may stay as they are"
        )


def finish(target: Target, connection: Connection) -> None:
    """Forget all progress, which nothing needs once everything is loaded."""
    connection.execute(target.sql(_DROP))


class Progress:
    """The progress of one table.

    Attributes:
        counts: what the run and the runs it continues did.
        rejects_bytes: how much of the reject file belongs to completed batches.
    """

    def __init__(self, target: Target, connection: Connection, source: str, table: str) -> None:
        self._target = target
        self._connection = connection
        self._key = {"source": source, "table": table}
        self._marks: dict[int, Any] = {}
        self._done: set[int] = set()
        self.counts = Counts()
        self.rejects_bytes = 0
        for stream, mark, done, *counts, size in connection.execute(target.sql(_SELECT), self._key):
            self._marks[stream] = mark
            self._done.update([stream] if done else [])
            self.counts.add(Counts(*counts))
            self.rejects_bytes = max(self.rejects_bytes, size)

    def mark(self, stream: int = 0) -> Any:
        """Return from where a stream goes on, None for its start."""
        return self._marks.get(stream)

    def done(self, stream: int = 0) -> bool:
        """Tell whether a stream is loaded."""
        return stream in self._done

    def record(self, batch: Batch, counts: Counts, rejects_bytes: int) -> None:
        """Store that a batch is loaded, in the transaction that loads it."""
        values = {"stream": batch.stream, "mark": Jsonb(batch.mark), "done": batch.last, "rejects_bytes": rejects_bytes}
        self._connection.execute(self._target.sql(_RECORD), self._key | values | vars(counts))

    def forget(self) -> None:
        """Store that nothing of the table is loaded."""
        self._connection.execute(self._target.sql(_FORGET), self._key)
