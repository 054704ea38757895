"""The commands of the live migration: from options to the engine, and from its state to the outcome."""

import getpass
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Event
from typing import Any

from actingweb.db.settings import Settings
from actingweb.migration.batches import Batch
from actingweb.migration.cli.live_display import LiveDisplay, table_rows
from actingweb.migration.cli.options import PostgresFlags, read_settings, target_of
from actingweb.migration.cli.results import Outcome
from actingweb.migration.cli.serve import Monitor, address_of, serving
from actingweb.migration.cli.sources import DynamoDBFlags
from actingweb.migration.errors import ExitCode, MigrationError
from actingweb.migration.live.compare import LiveComparison
from actingweb.migration.live.compare_changes import ChangesComparison
from actingweb.migration.live.cutover import Comparisons
from actingweb.migration.live.dynamodb import DynamoDB
from actingweb.migration.live.finish import finish
from actingweb.migration.live.prepare import Preparation, prepare
from actingweb.migration.live.rejects import LiveReject, read_rejects
from actingweb.migration.live.state import Migration, State, StateError
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.live.sync import Sync, Workers
from actingweb.migration.live.way_back import WayBack, prepare_from_postgresql
from actingweb.migration.mapping import TableMapping
from actingweb.migration.source.endpoint import Endpoint, RetryLimits
from actingweb.migration.source.scan import DynamoDBSource
from actingweb.migration.target.connection import target_errors

__all__ = [
    "Session",
    "finish_migration",
    "live_session",
    "prepare_migration",
    "prepare_way_back",
    "require_no_migration",
    "say",
    "serve_status",
    "show_status",
    "sync_sides",
]

_REQUESTS_AT_ONCE = 32
_SEGMENTS = 4
# The engine itself repeats what fails; a request that hangs longer would hide that from the status.
_RETRY_LIMITS = RetryLimits(throttled=60.0, failed=10.0)
_REFRESH_SECONDS = 1.0
_UNDER_WAY = (
    "a live migration of this schema is under way, from the tables of prefix {!r}: {} only with --source dynamodb and "
    "that prefix, or end the migration by `migrate finish`"
)


@dataclass(frozen=True)
class Session:
    """Both sides of a migration, as the options and the stored state name them.

    Attributes:
        profile: the profile of the AWS configuration; None for the default profile.
    """

    flags: PostgresFlags
    profile: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings of the environment. Raise `UsageError`."""
        return read_settings()

    @cached_property
    def state(self) -> State:
        """The state schema. Raise `UsageError`."""
        return State(target_of(self.settings, self.flags))

    @cached_property
    def by(self) -> str:
        """Who runs the command, for the audit trail."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            # As in a container, whose user has a number only.
            user = str(os.getuid())
        return f"{user}@{socket.gethostname()}"

    def comparison(self, source: DynamoDBFlags | None = None, **options: Any) -> LiveComparison:
        """Return the comparison of both sides. Raise `StateError` if there is no migration.

        `source` says how to read DynamoDB; `options` are those of the comparison.
        """
        with closing(self.state.connect()) as connection, target_errors():
            migration = self.state.read(connection)
        segments, rcu = (_SEGMENTS, None) if source is None else (source.segments, source.rcu)
        tables = DynamoDBSource(migration.prefix, migration.region, migration.endpoint, self.profile, segments, rcu)

        def items_of(mapping: TableMapping) -> Iterable[Batch] | None:
            return tables.batches(mapping, lambda _: None, lambda _: False) if mapping in tables.mappings else None

        names = migration.indexed_properties
        return LiveComparison(self.state, self.requests(), self.state.connect, items_of, names, **options)

    def comparisons(self) -> Comparisons:
        """Return how a switch compares both sides. Raise `StateError` if there is no migration."""
        everything = self.comparison()
        changes = ChangesComparison(
            self.state, self.requests(), self.state.connect, everything.indexed_properties, everything.grace
        )
        return Comparisons(lambda: everything.run().compared, changes.run)

    def status(self) -> Status:
        """Return the status. Raise `StateError` if there is no migration, `TargetError`."""
        with closing(self.state.connect()) as connection, target_errors():
            return read_status(self.state, connection)

    def rejects(self) -> list[LiveReject]:
        """Return all rejects. Raise `StateError` if there is no migration, `TargetError`."""
        with closing(self.state.connect()) as connection, target_errors():
            self.state.read(connection)
            return list(read_rejects(self.state, connection))

    def requests(self, stop: Event | None = None) -> DynamoDB:
        """Return the requests to the tables that `prepare` has stored. Raise `StateError` if there is no migration."""
        with closing(self.state.connect()) as connection, target_errors():
            migration = self.state.read(connection)
        return self.requests_to(migration.region, migration.endpoint, stop)

    def requests_to(self, region: str | None, host: str | None, stop: Event | None = None) -> DynamoDB:
        """Return the requests to an endpoint."""
        endpoint = Endpoint(region, host, self.profile, _REQUESTS_AT_ONCE, _RETRY_LIMITS)
        return DynamoDB(endpoint, stop or Event())


def live_session(settings: Settings, flags: PostgresFlags, source: DynamoDBFlags) -> Session | None:
    """Return the session of the live migration from these tables into this schema; None if there is none."""
    session = Session(flags, source.profile)
    migration = _migration(session)
    prefix = settings.aws_db_prefix if source.prefix is None else source.prefix
    return session if migration is not None and migration.prefix == prefix else None


def require_no_migration(flags: PostgresFlags, what: str) -> None:
    """Raise `StateError` if there is a live migration, whose `sync` alone may write rows; `what` would write them."""
    if (migration := _migration(Session(flags))) is not None:
        raise StateError(_UNDER_WAY.format(migration.prefix, what))


def _migration(session: Session) -> Migration | None:
    """Return the live migration of the schema, if there is one."""
    try:
        state = session.state
    except StateError:
        return None
    with closing(state.connect()) as connection, target_errors():
        return state.read(connection) if state.exists(connection) else None


def prepare_migration(
    source: DynamoDBFlags, flags: PostgresFlags, *, enable_streams: bool, on_conflict: str = "owner"
) -> Outcome:
    """Store what the migration starts from; switch streams on if that is allowed."""
    session = Session(flags, source.profile)
    tables = source.source(session.settings)
    prefix = session.settings.aws_db_prefix if tables.prefix is None else tables.prefix
    requests = session.requests_to(tables.region, tables.host)
    options = Preparation(
        prefix,
        requests.endpoint.region_name,
        tables.host,
        session.settings.indexed_properties,
        source.segments,
        enable_streams,
        session.by,
        on_conflict,
    )
    prepare(session.state, requests, options, say)
    return _prepared(session)


def prepare_way_back(target: DynamoDBFlags, flags: PostgresFlags, *, on_conflict: str = "owner") -> Outcome:
    """Store what a migration from PostgreSQL starts from, create its DynamoDB tables, and mark every row."""
    session = Session(flags, target.profile)
    tables = target.source(session.settings)
    requests = session.requests_to(tables.region, tables.host)
    options = WayBack(
        session.settings.aws_db_prefix if tables.prefix is None else tables.prefix,
        requests.endpoint.region_name,
        tables.host,
        session.settings.indexed_properties,
        session.settings.use_property_lookup_table,
        session.by,
        on_conflict,
    )
    prepare_from_postgresql(session.state, requests, options, say)
    return _prepared(session)


def _prepared(session: Session) -> Outcome:
    status = session.status()
    return Outcome(ExitCode.OK, table_rows(status), {"status": status.asdict()}, ("next: run `migrate sync`",))


def sync_sides(
    profile: str | None, flags: PostgresFlags, workers: Workers, *, until_caught_up: bool, as_json: bool
) -> Outcome:
    """Keep both sides equal until the process is ended or, if that is asked for, until nothing is left to do.

    SIGTERM ends it in order, and is what everybody expects to end it.
    """
    session = Session(flags, profile)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    began = session.status().at
    with LiveDisplay(plain=as_json) as display:
        sync = Sync(session.state, session.requests(stop), session.state.connect, workers, display.show, stop)
        sync.run((lambda status: _caught_up(status, began)) if until_caught_up else lambda _: False)
    status = session.status()
    return Outcome(ExitCode.OK, table_rows(status), {"status": status.asdict()}, (status.gate().line,))


def show_status(flags: PostgresFlags, *, follow: bool) -> Outcome:
    """Return the status; show it until the user stops it, if that is asked for."""
    session = Session(flags)
    if follow:
        with LiveDisplay() as display:
            _repeat(lambda: display.show(session.status()))
    status = session.status()
    return Outcome(ExitCode.OK, table_rows(status), {"status": status.asdict()}, tuple(_lines(status)))


def serve_status(flags: PostgresFlags, address: str) -> Outcome:
    """Show the status here and over HTTP until the process is ended, also while there is none."""
    host, port = address_of(address)
    monitor = Monitor(Session(flags).state)
    with serving(monitor, host, port) as url, LiveDisplay() as display:
        say(f"listening on {url} (page), {url}status.json, {url}metrics and {url}healthz")
        _repeat(lambda: _show(monitor, display))
    return Outcome(ExitCode.OK, [], {}, (f"no longer listening on {url}",))


def finish_migration(profile: str | None, flags: PostgresFlags, *, disable_streams: bool, confirmed: bool) -> Outcome:
    """Remove the triggers and the state and, if that is asked for, the streams."""
    session = Session(flags, profile)
    removed = finish(session.state, session.requests(), session.by, disable_streams=disable_streams, force=confirmed)
    return Outcome(ExitCode.OK, [], {"removed": removed}, tuple(f"removed: {what}" for what in removed))


def _repeat(show: Callable[[], None]) -> None:
    """Show something about every second until the user stops it."""
    try:
        while True:
            show()
            time.sleep(_REFRESH_SECONDS)
    except KeyboardInterrupt:
        return


def _show(monitor: Monitor, display: LiveDisplay) -> None:
    try:
        display.show(monitor.status())
    except MigrationError as error:
        display.show_problem(str(error))


def _caught_up(status: Status, since: datetime) -> bool:
    """Tell whether all tables are scanned, all shards were read to their end since then, and no change is waiting."""
    return all(
        (table.scanned or not table.present)
        and not (table.dirty or table.marks)
        and (table.read_up_to is None or table.read_up_to > since)
        for table in status.tables
    )


def _lines(status: Status) -> list[str]:
    lines = [status.gate().line]
    if status.share or status.migration.moving_to is not None:
        moving = ", and actors are being moved" if status.migration.moving_to is not None else ""
        lines.append(f"PostgreSQL owns {status.share:g}% of the actors{moving}")
    if status.seconds_left:
        lines.append(f"the scan will be done in about {status.seconds_left:,.0f} s")
    conflicts = sum(table.conflicts for table in status.tables)
    if conflicts:
        lines.append(
            f"{conflicts:,} writes reached the wrong side: `conflicts` in the schema of the migration has them"
        )
    lines.append(
        f"{status.processes} sync processes; {status.retention_used:.1%} of the 24 hours of the streams are used"
    )
    return lines


def say(line: str) -> None:
    """Print a line for the user to stderr."""
    print(line, file=sys.stderr)
