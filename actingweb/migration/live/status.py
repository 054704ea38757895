"""What a live migration has done, what is left, and whether it is safe to cut over."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from actingweb.migration.live.ownership import percent_of
from actingweb.migration.live.state import FROM_POSTGRESQL, Migration, State
from actingweb.migration.live.triggers import triggers_installed
from actingweb.migration.target.connection import Connection

__all__ = ["MAX_DIRTY", "RETENTION", "Gate", "Status", "TableStatus", "read_status", "work_done"]

RETENTION = timedelta(hours=24)
"""How long a stream keeps its records.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

MAX_DIRTY = 10_000
"""How many keys may be dirty when a cutover begins, so that the pause of writes stays short."""

_REJECTED = "rows were rejected and are not accepted by name"
_DIFFERENT = "differences were found by the last comparison: run `migrate validate --source dynamodb --repair`"
_UNSETTLED = "writes that reached the wrong side are not settled"
_ALMOST_GONE = 0.9
_REPLACED_WITHIN = timedelta(seconds=30)

_TABLES = """
SELECT tables.name, dynamodb_table, present, estimated_rows, scanned, read, written, applied, applied_back,
       compared_at, compared_differences,
       coalesce(forward.fresh, 0) AS dirty, coalesce(forward.rejects, 0) AS rejects,
       coalesce(forward.accepted, 0) AS accepted, forward.oldest AS oldest_dirty,
       coalesce(backward.fresh, 0) AS marks, coalesce(backward.rejects, 0) AS rejects_back,
       coalesce(backward.accepted, 0) AS accepted_back, backward.oldest AS oldest_mark,
       coalesce(streams.open, 0) AS open_shards, streams.oldest_unread, streams.read_at, streams.read_up_to,
       coalesce(missing.gaps, 0) AS gaps, coalesce(wrong.conflicts, 0) AS conflicts,
       coalesce(wrong.unsettled, 0) AS unsettled
FROM {state}.tables
LEFT JOIN (
    SELECT table_name, count(*) FILTER (WHERE reason IS NULL) AS fresh,
           count(*) FILTER (WHERE reason IS NOT NULL AND NOT accepted) AS rejects,
           count(*) FILTER (WHERE reason IS NOT NULL AND accepted) AS accepted,
           min(marked_at) FILTER (WHERE reason IS NULL) AS oldest
    FROM {state}.dirty GROUP BY table_name
) AS forward ON forward.table_name = tables.name
LEFT JOIN (
    SELECT table_name, count(*) FILTER (WHERE reason IS NULL) AS fresh,
           count(*) FILTER (WHERE reason IS NOT NULL AND NOT accepted) AS rejects,
           count(*) FILTER (WHERE reason IS NOT NULL AND accepted) AS accepted,
           min(marked_at) FILTER (WHERE reason IS NULL) AS oldest
    FROM {state}.marks GROUP BY table_name
) AS backward ON backward.table_name = tables.name
LEFT JOIN (
    SELECT table_name, count(*) FILTER (WHERE NOT finished) AS open,
           min(oldest_unread_at) FILTER (WHERE NOT finished) AS oldest_unread,
           min(coalesce(read_at, to_timestamp(0))) FILTER (WHERE NOT finished) AS read_at,
           min(coalesce(caught_up_at, to_timestamp(0))) FILTER (WHERE NOT finished) AS read_up_to
    FROM {state}.shards GROUP BY table_name
) AS streams ON streams.table_name = tables.name
LEFT JOIN (
    SELECT table_name, count(*) AS gaps FROM {state}.gaps WHERE closed_at IS NULL GROUP BY table_name
) AS missing ON missing.table_name = tables.name
LEFT JOIN (
    SELECT table_name, count(*) AS conflicts, count(*) FILTER (WHERE settled_at IS NULL) AS unsettled
    FROM {state}.conflicts GROUP BY table_name
) AS wrong ON wrong.table_name = tables.name
ORDER BY tables.name
"""
_NOW = "SELECT clock_timestamp()"
_WORKERS = "SELECT DISTINCT holder FROM {state}.leases WHERE name LIKE 'process %%' AND expires_at >= clock_timestamp()"
_RATES = """
SELECT at, "values" FROM {state}.samples WHERE at > clock_timestamp() - interval '5 minutes' ORDER BY at LIMIT 1
"""


@dataclass(frozen=True)
class TableStatus:
    """One table, as both sides and the state know it; ages are in seconds.

    Attributes:
        estimated_rows: how many items DynamoDB reports; None if the table does not exist.
        read, written: items that the scan has read, and rows that it has written.
        applied, applied_back: changes that were applied to PostgreSQL, and to DynamoDB.
        dirty, marks: keys that are to be made equal in PostgreSQL, and changes that are to be applied to DynamoDB.
        rejects, rejects_back: rows that the other side cannot hold, without those that were `accepted` by name.
        unread_age: how old the oldest record is that is known and not read, of 24 hours.
        silence: for how long a shard has not been asked for records.
        read_up_to: the moment up to which all shards were read; None if there are none.
        gaps: how often records were lost and no comparison has found what they told.
        conflicts, unsettled: writes that reached the wrong side, and those of them that nobody has settled.
    """

    name: str
    dynamodb_table: str | None
    present: bool
    estimated_rows: int | None
    scanned: bool
    read: int
    written: int
    applied: int
    applied_back: int
    compared_at: datetime | None
    compared_differences: int | None
    dirty: int
    rejects: int
    accepted: int
    dirty_age: float | None
    marks: int
    rejects_back: int
    accepted_back: int
    mark_age: float | None
    open_shards: int
    unread_age: float | None
    silence: float | None
    read_up_to: datetime | None
    gaps: int
    conflicts: int
    unsettled: int

    @property
    def lag(self) -> float:
        """For how many seconds the oldest pending change has been waiting; 0.0 if there is none."""
        return max(self.dirty_age or 0.0, self.mark_age or 0.0, self.unread_age or 0.0)


@dataclass(frozen=True)
class Gate:
    """Whether it is safe to cut over, and if not, why."""

    reasons: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    @property
    def line(self) -> str:
        """The verdict in one line."""
        return "safe to cut over: yes" if self.is_open else f"safe to cut over: no, because {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Status:
    """A live migration at one moment, by the clock of the PostgreSQL server.

    Attributes:
        processes: how many `sync` processes are at work.
        rate: rows and changes a second, over the last minutes; None if it is not known yet.
        has_triggers: whether every change in PostgreSQL is marked.
    """

    at: datetime
    migration: Migration
    tables: tuple[TableStatus, ...]
    processes: int
    rate: float | None
    has_triggers: bool = True

    @property
    def share(self) -> float:
        """The percentage of the actors that PostgreSQL owns."""
        return float(percent_of(self.migration.boundary))

    @property
    def retention_used(self) -> float:
        """The share of the 24 hours that the oldest unread record is old."""
        oldest = max((table.unread_age or 0.0 for table in self.tables), default=0.0)
        return oldest / RETENTION.total_seconds()

    @property
    def scanned(self) -> float:
        """The share of the rows that have been scanned, as far as their number is known."""
        expected = sum(max(table.estimated_rows or 0, table.read) for table in self.tables)
        read = sum(max(table.estimated_rows or 0, table.read) if table.scanned else table.read for table in self.tables)
        return read / expected if expected else 1.0

    @property
    def seconds_left(self) -> float | None:
        """In how many seconds the scan will be done at the present rate; None if that is not known."""
        left = sum(max((table.estimated_rows or 0) - table.read, 0) for table in self.tables if not table.scanned)
        return left / self.rate if self.rate else None

    @property
    def stalled(self) -> str | None:
        """Why changes are not being followed; None if they are."""
        if not self.processes:
            return "no `migrate sync` is running"
        silent = [table.name for table in self.tables if (table.silence or 0.0) > _REPLACED_WITHIN.total_seconds()]
        return f"the streams of {', '.join(silent)} are not read" if silent else None

    def gate(self, max_dirty: int = MAX_DIRTY, *, moving: bool = False) -> Gate:
        """Return whether it is safe to cut over, with at most `max_dirty` changes still to be applied.

        `moving` says that actors may be on the move, as after a cutover that was interrupted.
        """
        return Gate(tuple(self._reasons(max_dirty, moving=moving)))

    def asdict(self) -> dict[str, Any]:
        """Return all of it as `--json` prints it."""
        gate = self.gate()
        return {
            "at": self.at,
            "direction": self.migration.direction,
            "phase": self.migration.phase,
            "started_at": self.migration.started_at,
            "share": self.share,
            "moving": self.migration.moving_to is not None,
            "system_owner": self.migration.system_owner,
            "processes": self.processes,
            "rate": self.rate,
            "scanned": self.scanned,
            "seconds_left": self.seconds_left,
            "retention_used": self.retention_used,
            "tables": [asdict(table) | {"lag": table.lag} for table in self.tables],
            "safe": gate.is_open,
            "reasons": list(gate.reasons),
        }

    def _reasons(self, max_dirty: int, *, moving: bool) -> Iterator[str]:
        if self.stalled:
            yield self.stalled
        if self.migration.moving_to is not None and not moving:
            yield "actors are being moved: let `migrate share` finish"
        yield from self._unfinished(max_dirty)
        yield from self.faults()
        if self.retention_used > _ALMOST_GONE:
            yield f"{self.retention_used:.0%} of the 24 hours for which streams keep their records are used"

    def _unfinished(self, max_dirty: int) -> Iterator[str]:
        """Yield what passes when `sync` goes on."""
        unscanned = [table.name for table in self.tables if table.present and not table.scanned]
        if unscanned and self.migration.direction != FROM_POSTGRESQL:
            yield f"the scan of {', '.join(unscanned)} is not done"
        pending = sum(table.dirty + table.marks for table in self.tables)
        if pending > max_dirty:
            yield f"{pending:,} changes are waiting, more than {max_dirty:,}"

    def faults(self) -> Iterator[str]:
        """Yield what does not pass by itself."""
        gaps = [table.name for table in self.tables if table.gaps]
        if gaps:
            yield f"changes of {', '.join(gaps)} may be missing: run `migrate validate --source dynamodb --repair`"
        faults = [
            (sum(table.rejects + table.rejects_back for table in self.tables), _REJECTED),
            (sum(table.compared_differences or 0 for table in self.tables), _DIFFERENT),
            (sum(table.unsettled for table in self.tables), _UNSETTLED),
        ]
        yield from (f"{count:,} {text}" for count, text in faults if count)
        if self.migration.boundary and not self.has_triggers:
            yield "triggers are missing or disabled, so changes in PostgreSQL are not seen"


def read_status(state: State, connection: Connection) -> Status:
    """Return the status of the migration. Raise `StateError` if there is none, and `psycopg.Error`."""
    with connection.transaction():
        migration = state.read(connection)
        ((now,),) = connection.execute(_NOW)
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(state.sql(_TABLES)).fetchall()
        processes = len(connection.execute(state.sql(_WORKERS)).fetchall())
        earlier = connection.execute(state.sql(_RATES)).fetchone()
        has_triggers = triggers_installed(state, connection)
    tables = tuple(_table(row, now) for row in found)
    return Status(now, migration, tables, processes, _rate(tables, now, earlier), has_triggers)


def work_done(tables: tuple[TableStatus, ...]) -> int:
    """Return the number of rows scanned and changes applied so far."""
    return sum(table.read + table.applied + table.applied_back for table in tables)


def _table(row: dict[str, Any], now: datetime) -> TableStatus:
    moments = {"dirty_age": "oldest_dirty", "mark_age": "oldest_mark", "unread_age": "oldest_unread"}
    moments["silence"] = "read_at"
    for name, column in moments.items():
        row[name] = _age(row.pop(column), now)
    return TableStatus(**row)


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max((now - moment).total_seconds(), 0.0)


def _rate(
    tables: tuple[TableStatus, ...], now: datetime, earlier: tuple[datetime, dict[str, Any]] | None
) -> float | None:
    if earlier is None:
        return None
    at, values = earlier
    seconds = (now - at).total_seconds()
    return max(work_done(tables) - int(values.get("done", 0)), 0) / seconds if seconds > 1 else None
