"""The gate: each reason against a cutover appears, and disappears when it is dealt with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import LiteralString

import pytest

from actingweb.migration.live.leases import take_lease
from actingweb.migration.live.state import FROM_DYNAMODB, State, StateError
from actingweb.migration.live.status import Gate, read_status
from actingweb.migration.live.triggers import install_triggers

_SAFE: tuple[LiteralString, ...] = (
    "INSERT INTO {state}.tables (name, present, scanned) VALUES ('actors', true, true), ('trusts', false, true)",
    "INSERT INTO {state}.shards (stream_arn, shard_id, table_name, read_at) VALUES ('arn', 'shard', 'actors', now())",
)


def execute(state: State, *statements: LiteralString) -> None:
    """Change the state."""
    with closing(state.connect()) as connection:
        for statement in statements:
            connection.execute(state.sql(statement))


def gate(state: State, max_dirty: int = 0, *, moving: bool = False) -> Gate:
    """Return what speaks against a cutover now."""
    with closing(state.connect()) as connection:
        return read_status(state, connection).gate(max_dirty, moving=moving)


@pytest.fixture
def safe(state: State) -> Iterator[State]:
    """Return the state of a migration that is ready to be cut over."""
    with closing(state.connect()) as connection:
        place = {"prefix": "p", "region": None, "endpoint": None}
        state.create(connection, direction=FROM_DYNAMODB, options={}, by="test", **place)
        take_lease(state, connection, "process test", "test", 3600)
        execute(state, *_SAFE)
        yield state
        state.drop(connection)


@pytest.mark.parametrize(
    ("appears", "disappears", "reason"),
    [
        (
            "UPDATE {state}.leases SET expires_at = now() - interval '1 second'",
            "UPDATE {state}.leases SET expires_at = now() + interval '1 hour'",
            "no `migrate sync` is running",
        ),
        (
            "UPDATE {state}.migration SET moving_to = 5",
            "UPDATE {state}.migration SET moving_to = NULL",
            "actors are being moved: let `migrate share` finish",
        ),
        (
            "UPDATE {state}.tables SET scanned = false",
            "UPDATE {state}.tables SET scanned = true",
            "the scan of actors is not done",
        ),
        (
            "INSERT INTO {state}.dirty (table_name, hash) VALUES ('actors', 'a')",
            "DELETE FROM {state}.dirty",
            "1 changes are waiting, more than 0",
        ),
        (
            "INSERT INTO {state}.marks (table_name, hash, range) VALUES ('actors', 'a', '')",
            "DELETE FROM {state}.marks",
            "1 changes are waiting, more than 0",
        ),
        (
            "INSERT INTO {state}.dirty (table_name, hash, reason) VALUES ('actors', 'a', 'too long')",
            "UPDATE {state}.dirty SET accepted = true",
            "1 rows were rejected and are not accepted by name",
        ),
        (
            "INSERT INTO {state}.marks (table_name, hash, range, reason) VALUES ('actors', 'a', '', 'too large')",
            "UPDATE {state}.marks SET accepted = true",
            "1 rows were rejected and are not accepted by name",
        ),
        (
            "INSERT INTO {state}.gaps (table_name, reason) VALUES ('actors', 'trimmed')",
            "UPDATE {state}.gaps SET closed_at = now()",
            "changes of actors may be missing: run `migrate validate --source dynamodb --repair`",
        ),
        (
            "INSERT INTO {state}.conflicts (table_name, hash, range, owner) VALUES ('actors', 'a', '', 'dynamodb')",
            "UPDATE {state}.conflicts SET settled_at = now()",
            "1 writes that reached the wrong side are not settled",
        ),
        (
            "UPDATE {state}.shards SET read_at = now() - interval '31 seconds'",
            "UPDATE {state}.shards SET finished = true",
            "the streams of actors are not read",
        ),
        (
            "UPDATE {state}.shards SET oldest_unread_at = now() - interval '23 hours'",
            "UPDATE {state}.shards SET oldest_unread_at = NULL",
            "96% of the 24 hours for which streams keep their records are used",
        ),
    ],
)
def test_a_reason(safe: State, appears: LiteralString, disappears: LiteralString, reason: str) -> None:
    assert gate(safe) == Gate(())
    execute(safe, appears)
    found = gate(safe)
    assert found.reasons == (reason,)
    assert found.line == f"safe to cut over: no, because {reason}"
    execute(safe, disappears)
    assert gate(safe).line == "safe to cut over: yes"


def test_an_interrupted_move_is_no_reason_for_the_command_that_goes_on(safe: State) -> None:
    execute(safe, "UPDATE {state}.migration SET moving_to = 5")
    assert gate(safe, moving=True).is_open


def test_a_trigger_that_marks_nothing(safe: State) -> None:
    execute(safe, "UPDATE {state}.migration SET boundary = 5")
    reason = "triggers are missing or disabled, so changes in PostgreSQL are not seen"
    assert gate(safe).reasons == (reason,)
    with closing(safe.connect()) as connection:
        install_triggers(safe, connection)
    assert gate(safe).is_open
    execute(safe, "ALTER TABLE {schema}.actors DISABLE TRIGGER actingweb_mark_row")
    assert gate(safe).reasons == (reason,)


def test_all_reasons_are_told_at_once(safe: State) -> None:
    execute(
        safe, "DELETE FROM {state}.leases", "INSERT INTO {state}.gaps (table_name, reason) VALUES ('actors', 'trimmed')"
    )
    assert len(gate(safe).reasons) == 2


def test_there_is_no_migration(state: State) -> None:
    with pytest.raises(StateError, match="run `migrate prepare` first"):
        gate(state)
