"""Moving the boundary: actors change hands, in either direction, when nothing of them is under way any more.

1. `begin` stores the boundary that is moved to. The load balancer then holds the requests of the moving actors back.
2. `fence` notes the moment from which on nobody writes them.
3. `step` waits until every write from before has arrived on the other side, and then moves the boundary.

All of that is in the state schema: another process can go on, or `abort`, at any time. Until the boundary is moved the
owners are the same as before.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from psycopg import sql

from actingweb.migration.live import dirty, marks
from actingweb.migration.live.keys import MARKER, RowKey
from actingweb.migration.live.markers import remove_markers, write_markers
from actingweb.migration.live.ownership import Ownership, boundary_of, percent_of, read_ownership
from actingweb.migration.live.state import SYNCING, StateError
from actingweb.migration.live.triggers import triggers_installed
from actingweb.migration.live.worker import Worker
from actingweb.migration.mapping import CLAIMS, CLAIMS_V2, PROPERTIES
from actingweb.migration.target.connection import Connection, lift_timeouts
from actingweb.migration.target.staging import LOOKUP_KEY

__all__ = ["Moved", "Progress", "Share"]

_BEGAN, _FENCED, _MOVED, _ABORTED = "share begun", "share fenced", "share moved", "share aborted"

_SET_TARGET = "UPDATE {state}.migration SET moving_to = %(to)s"
_MOVE = "UPDATE {state}.migration SET boundary = %(boundary)s, moving_to = NULL, system_owner = %(owner)s"
_NOT_READY = """
SELECT 'the scan of ' || name || ' is not finished' FROM {state}.tables WHERE present AND NOT scanned
UNION ALL SELECT 'records of the stream of ' || table_name || ' are missing (' || reason || '): compare it first'
FROM {state}.gaps WHERE closed_at IS NULL
LIMIT 1
"""
_FENCE = """
SELECT min(at), (array_agg(details->>'transaction' ORDER BY id DESC))[1]::bigint FROM {state}.audit
WHERE event = %(fenced)s AND id > (SELECT max(id) FROM {state}.audit WHERE event = %(begun)s)
"""
_TRANSACTION = "SELECT txid_current()"
_OLD_TRANSACTIONS = "SELECT txid_snapshot_xmin(txid_current_snapshot()) <= %(transaction)s, clock_timestamp()"
_PAUSE = "SELECT extract(epoch FROM clock_timestamp() - %(since)s)::float"
_UNREAD_SHARDS = """
SELECT shard.table_name, stored.dynamodb_table, count(*) FROM {state}.shards AS shard
JOIN {state}.tables AS stored ON stored.name = shard.table_name
WHERE NOT finished AND (marker IS NULL OR NOT starts_with(marker, %(marker)s)) GROUP BY 1, 2 ORDER BY 1
"""
_NOW = "SELECT clock_timestamp()"
_OPEN_SHARDS = "SELECT stream_arn, shard_id, position, caught_up_at FROM {state}.shards WHERE NOT finished"
_WAITING = """
SELECT hash, count(*), count(reason) FROM {state}.{marks}
WHERE (reason IS NULL OR NOT accepted) AND table_name <> ALL(%(claims)s) GROUP BY hash
"""
_WAITING_CLAIMS = """
SELECT count(*) FROM {state}.{marks}
WHERE reason IS NULL AND table_name = ANY(%(claims)s) AND marked_at <= %(before)s
"""

_CLAIMS = [mapping.name for mapping in CLAIMS]
_LOOK_UPS = "SELECT lookup_key, actor_id FROM {schema}.property_lookup"
_LOOK_UPS_AT_ONCE = 10_000
_WITHOUT_LOOK_UP = """
name = ANY({names}) AND value <> ''
AND NOT EXISTS (SELECT FROM {schema}.property_lookup AS look_up WHERE look_up.lookup_key = {lookup_key})
"""
_MARKERS_PER_SHARD = 4
_MOST_MARKERS = 100
_MARKER_PAUSE = 1.0


@dataclass(frozen=True)
class Moved:
    """The boundary was moved.

    Attributes:
        percent: the share that PostgreSQL has now.
        pause: for how many seconds the requests of the moving actors were held back.
    """

    percent: Decimal
    pause: float


@dataclass(frozen=True)
class Progress:
    """What is waited for.

    Attributes:
        shards: of streams that were not read up to the fence.
        transactions: whether a transaction runs that is older than the fence.
        rows: of moving actors that are to be made equal, rejects among them.
        claims: the look-up rows that are to be made equal.
        rejects: those of `rows` that were rejected, which is seldom mended by waiting.
    """

    shards: int = 0
    transactions: bool = False
    rows: int = 0
    claims: int = 0
    rejects: int = 0

    @property
    def done(self) -> bool:
        """Whether nothing is waited for."""
        return self == Progress()


@dataclass
class Share(Worker):
    """Moves the boundary. Its methods raise `SourceError`, `TargetError` and `StateError`.

    Attributes:
        by: who does it, for the audit trail.
        phases: in which phases of the migration it may be done.
        moved_phase: the phase that begins when the boundary is moved; None to keep the present one.
        quiet_seconds: for how long every open shard has to be read without a record, where no marker may be written to
            DynamoDB. A record that comes later is not waited for: compare both sides afterwards.
    """

    by: str = "unknown"
    phases: tuple[str, ...] = (SYNCING,)
    moved_phase: str | None = None
    quiet_seconds: float | None = None
    _marker: str = field(default="", init=False, repr=False)
    _marked_at: float = field(default=0.0, init=False, repr=False)
    _read_at: Any = field(default=None, init=False, repr=False)
    _positions: dict[tuple[str, str], str | None] | None = field(default=None, init=False, repr=False)
    _quiet_since: Any = field(default=None, init=False, repr=False)

    def begin(self, percent: Decimal) -> Ownership:
        """Begin to move the boundary, or go on with a move to the same one; return who owns what until it is moved.

        Raise `UsageError` for a share that nginx cannot have, `StateError` if the migration is not ready for it.
        """
        boundary = boundary_of(percent)
        with self.connected() as connection:
            remove_markers(self.state, connection, self.requests)
        with self.connected() as connection, self._exclusive(connection):
            ownership = self._check(connection, boundary)
            if ownership.moving_to is None:
                connection.execute(self.state.sql(_SET_TARGET), {"to": boundary})
                shares = {"from": str(percent_of(ownership.boundary)), "to": str(percent)}
                self.state.audit(connection, self.by, _BEGAN, shares)
            return Ownership(ownership.boundary, boundary, ownership.system_owner)

    def rejects(self, percent: Decimal) -> int:
        """Return how many rows of the actors that would move were rejected and are not accepted."""
        with self.connected() as connection:
            ownership = replace(read_ownership(self.state, connection), moving_to=boundary_of(percent))
            return self._waiting(connection, ownership).rejects

    def fence(self) -> None:
        """Note that from now on nobody writes rows of the moving actors. It may be noted again after a failure."""
        self._marker, self._read_at, self._positions = f"{MARKER}{uuid4().hex}-", None, None
        with self.connected() as connection, connection.transaction():
            ((transaction,),) = connection.execute(_TRANSACTION)
            self.state.audit(connection, self.by, _FENCED, {"transaction": str(transaction)})

    def step(self, *, move: bool = True) -> Moved | Progress:
        """Move the boundary if nothing of the moving actors is under way; return that, or what is waited for.

        Unless `move` is given, return a `Progress` that is done instead of moving it.
        """
        with self.connected() as connection:
            ownership = read_ownership(self.state, connection)
            since, transaction = self._fenced(connection, ownership)
            progress = self._progress(connection, ownership, transaction)
            if not (progress.done and move):
                return progress
            with self._exclusive(connection):
                if read_ownership(self.state, connection) != ownership:
                    raise StateError("somebody else has ended the move of the share")
                self._require_ready(connection)
                progress = self._progress(connection, ownership, transaction)
                if not progress.done:
                    return progress
                moved = self._move(connection, ownership, since)
            self._mark_unclaimed(connection, ownership)
            return moved

    def _mark_unclaimed(self, connection: Connection, before: Ownership) -> None:
        """Let the look-ups of values that nobody claims follow the rule of the side that has taken over.

        PostgreSQL has rows for values that nobody had claimed in DynamoDB, which has to find them too from now on. In
        DynamoDB nobody may claim a value that was given up in PostgreSQL; then its row names the smallest id.
        """
        with connection.transaction():
            if before.moves_to_postgresql:
                with connection.cursor("look_ups") as cursor:
                    cursor.execute(self.state.sql(_LOOK_UPS))
                    while rows := cursor.fetchmany(_LOOK_UPS_AT_ONCE):
                        moved = [RowKey(CLAIMS_V2.name, key) for key, actor_id in rows if before.is_moving(actor_id)]
                        marks.append(self.state, connection, moved)
            else:
                names = list(self.state.read(connection).indexed_properties)
                without = self.state.sql(_WITHOUT_LOOK_UP, names=sql.Literal(names), lookup_key=LOOKUP_KEY)
                dirty.mark_rows(self.state, connection, PROPERTIES, without)

    def abort(self) -> None:
        """End a move without moving the boundary; nothing happens if there is none."""
        with self.connected() as connection, self._exclusive(connection):
            if read_ownership(self.state, connection).moving_to is not None:
                connection.execute(self.state.sql(_SET_TARGET), {"to": None})
                self.state.audit(connection, self.by, _ABORTED, {})

    @contextmanager
    def _exclusive(self, connection: Connection) -> Iterator[None]:
        """Begin a transaction in which no applier works."""
        with connection.transaction():
            lift_timeouts(connection)
            self.state.lock_appliers(connection, exclusive=True)
            yield

    def _check(self, connection: Connection, boundary: int) -> Ownership:
        """Return who owns what. Raise `StateError` if the boundary cannot be moved now."""
        migration, ownership = self.state.read(connection), read_ownership(self.state, connection)
        if migration.phase not in self.phases:
            allowed = " or ".join(self.phases)
            raise StateError(f"the owners change while a migration is {allowed}; this one is {migration.phase}")
        if ownership.moving_to not in (None, boundary):
            percent = percent_of(ownership.moving_to)
            raise StateError(f"a move to {percent} % is under way: let it end, or end it by --abort")
        if ownership.boundary == boundary:
            raise StateError(f"the share is {percent_of(boundary)} % already")
        if not triggers_installed(self.state, connection):
            raise StateError("the triggers are not installed, so no change in PostgreSQL would be seen")
        self._require_ready(connection)
        return ownership

    def _require_ready(self, connection: Connection) -> None:
        """Raise `StateError` if a scan is not finished, or changes are missing."""
        obstacle = connection.execute(self.state.sql(_NOT_READY)).fetchone()
        if obstacle is not None:
            raise StateError(str(obstacle[0]))

    def _fenced(self, connection: Connection, ownership: Ownership) -> tuple[Any, int]:
        """Return since when the moving actors are held back, and a transaction from after the fence."""
        events = {"fenced": _FENCED, "begun": _BEGAN}
        ((since, transaction),) = connection.execute(self.state.sql(_FENCE), events)
        if ownership.moving_to is None:
            raise StateError("no share is being moved, or another command has ended that: see `migrate status`")
        if since is None or not self._marker:
            raise StateError("the requests of the moving actors are not held back yet")
        return since, transaction

    def _progress(self, connection: Connection, ownership: Ownership, transaction: int) -> Progress:
        if ownership.moves_to_postgresql:
            if shards := self._unread_shards(connection):
                return Progress(shards=shards)
        else:
            ((running, now),) = connection.execute(_OLD_TRANSACTIONS, {"transaction": transaction})
            if running:
                return Progress(transactions=True)
            self._read_at = self._read_at or now
        return self._waiting(connection, ownership)

    def _waiting(self, connection: Connection, ownership: Ownership) -> Progress:
        """Return what is not yet equal on the side that takes over."""
        marks = sql.Identifier("dirty" if ownership.moves_to_postgresql else "marks")
        values = {"claims": _CLAIMS, "before": self._read_at}
        rows = rejects = 0
        for hash_, waiting, rejected in connection.execute(self.state.sql(_WAITING, marks=marks), values):
            if ownership.is_moving(RowKey.of_stored("", hash_, "").hash):
                rows, rejects = rows + waiting, rejects + rejected
        ((claims,),) = connection.execute(self.state.sql(_WAITING_CLAIMS, marks=marks), values)
        return Progress(rows=rows, claims=claims, rejects=rejects)

    def _unread_shards(self, connection: Connection) -> int:
        """Return how many shards were not read up to the fence, after writing markers for them.

        A marker shows that its shard was read so far, and the keys say by chance which shard gets it.
        """
        if self._read_at is not None:
            return 0
        if self.quiet_seconds is not None:
            return self._noisy_shards(connection, timedelta(seconds=self.quiet_seconds))
        unread = connection.execute(self.state.sql(_UNREAD_SHARDS), {"marker": self._marker}).fetchall()
        if not unread:
            ((self._read_at,),) = connection.execute(_NOW)
        elif time.monotonic() - self._marked_at >= _MARKER_PAUSE:
            for name, table, shards in unread:
                count = min(shards * _MARKERS_PER_SHARD, _MOST_MARKERS)
                hashes = [f"{self._marker}{uuid4().hex}" for _ in range(count)]
                write_markers(self.state, connection, self.requests, name, table, hashes)
            self._marked_at = time.monotonic()
        return sum(shards for _, _, shards in unread)

    def _noisy_shards(self, connection: Connection, quiet: timedelta) -> int:
        """Return how many shards were not read for so long without a record of any. Nothing is written."""
        shards = connection.execute(self.state.sql(_OPEN_SHARDS)).fetchall()
        ((now,),) = connection.execute(_NOW)
        positions = {(arn, shard): position for arn, shard, position, _ in shards}
        if positions != self._positions:
            self._positions, self._quiet_since = positions, now
        noisy: int = sum(read_up_to is None or read_up_to < self._quiet_since + quiet for *_, read_up_to in shards)
        if not noisy:
            self._read_at = now
        return noisy

    def _move(self, connection: Connection, ownership: Ownership, since: Any) -> Moved:
        moved = ownership.moved(ownership.moving_to or 0)
        values = {"boundary": moved.boundary, "owner": moved.system_owner}
        connection.execute(self.state.sql(_MOVE), values)
        # What has to be equal depends on who owns it.
        self.state.forget_comparison(connection)
        if self.moved_phase is not None:
            self.state.set_phase(connection, self.moved_phase, self.by)
        ((pause,),) = connection.execute(_PAUSE, {"since": since})
        done = Moved(percent_of(moved.boundary), pause)
        self.state.audit(connection, self.by, _MOVED, {"share": str(done.percent), "pause": round(pause, 3)})
        return done
