"""The end of a live migration: its triggers, its state and, on request, the streams are removed."""

from contextlib import closing

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.ownership import EVERYTHING
from actingweb.migration.live.state import State, StateError
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.live.triggers import drop_triggers
from actingweb.migration.target.connection import target_errors

__all__ = ["finish"]

_STREAMS = "SELECT dynamodb_table FROM {state}.tables WHERE stream_arn IS NOT NULL AND present ORDER BY 1"
_OFF = {"StreamEnabled": False}


def finish(state: State, requests: Requests, by: str, *, disable_streams: bool, force: bool) -> list[str]:
    """Remove what the migration has made and return what was removed. Both sides keep their rows.

    Unless `force` is given, raise `StateError` while something is still to be done: `sync` is running, changes are
    waiting, or PostgreSQL owns a part of the actors. Raise `SourceError` if a stream cannot be switched off, in which
    case the state is kept, and `TargetError`.
    """
    with closing(state.connect()) as connection, target_errors():
        if not force:
            _require_done(read_status(state, connection))
        tables = [str(name) for (name,) in connection.execute(state.sql(_STREAMS))] if disable_streams else []
        state.audit(connection, by, "finish", {"streams": tables})
        for name in tables:
            requests.call("UpdateTable", {"TableName": name, "StreamSpecification": _OFF})
        drop_triggers(state, connection)
        state.drop(connection)
    return [f'schema "{state.name}" and the triggers', *(f"the stream of {name}" for name in tables)]


def _require_done(status: Status) -> None:
    if status.processes:
        raise StateError(f"{status.processes} `migrate sync` processes are running: stop them first")
    if 0 < status.migration.boundary < EVERYTHING:
        raise StateError(f"PostgreSQL owns {status.share:g}% of the actors: move the others, or move these back, first")
    waiting = sum(table.dirty + table.marks for table in status.tables)
    if waiting:
        raise StateError(f"{waiting:,} changes are waiting: let `migrate sync` finish, or add --force to drop them")
