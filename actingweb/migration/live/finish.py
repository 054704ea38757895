"""The end of a live migration: its triggers, its state and, on request, the streams are removed."""

from collections.abc import Iterator
from contextlib import closing

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.markers import remove_markers
from actingweb.migration.live.ownership import EVERYTHING
from actingweb.migration.live.state import State, StateError
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.triggers import drop_triggers
from actingweb.migration.mapping import CLAIMS, MAPPINGS
from actingweb.migration.target.connection import lift_timeouts, target_errors

__all__ = ["finish"]

_OFF = {"StreamEnabled": False}


def finish(state: State, requests: Requests, by: str, *, disable_streams: bool, force: bool) -> list[str]:
    """Remove what the migration has made and return what was removed. Both sides keep their rows.

    Raise `StateError` while `sync` is running and, unless `force` is given, while something is still to be done:
    changes are waiting, were lost or rejected, writes that reached the wrong side are not settled, or PostgreSQL owns
    a part of the actors. Raise `SourceError` if a stream cannot be switched off, in which case the state is kept, and
    `TargetError`. Repeat it after a failure.
    """
    with closing(state.connect()) as connection, target_errors():
        status = read_status(state, connection)
        if status.processes:
            raise StateError(f"{status.processes} `migrate sync` processes are running: stop them first")
        reason = next(_left(status), None)
        if reason is not None and not force:
            raise StateError(f"{reason}, or add --force")
        state.audit(connection, by, "finish", {"forced": reason, "streams": disable_streams})
        off = _switch_off(SourceTables(requests, str(status.migration.prefix))) if disable_streams else []
        remove_markers(state, connection, requests)
        drop_triggers(state, connection)
        with connection.transaction():
            lift_timeouts(connection)
            state.lock_appliers(connection, exclusive=True)
            state.drop(connection)
    return [f'schema "{state.name}" and the triggers', *(f"the stream of {name}" for name in off)]


def _switch_off(tables: SourceTables) -> list[str]:
    """Switch the streams off that are on; return the names of their tables."""
    found = [table for mapping in (*MAPPINGS, *CLAIMS) if (table := tables.find(mapping)) is not None]
    on = [table.name for table in found if table.stream_arn is not None]
    for name in on:
        tables.requests.call("UpdateTable", {"TableName": name, "StreamSpecification": _OFF})
    return on


def _left(status: Status) -> Iterator[str]:
    """Yield what is still to be done."""
    if status.migration.moving_to is not None:
        yield "actors are being moved: let that command finish"
    if 0 < status.migration.boundary < EVERYTHING:
        yield f"PostgreSQL owns {status.share:g}% of the actors: move the others, or move these back, first"
    waiting = sum(table.dirty + table.marks for table in status.tables)
    if waiting:
        yield f"{waiting:,} changes are waiting: let `migrate sync` finish"
    yield from status.faults()
