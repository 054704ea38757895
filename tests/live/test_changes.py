"""What a cutover compares while writes are stopped: the rows that changed since everything was equal, and no fewer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, LiteralString

import pytest

from actingweb.db import load_backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.cli import live_switch
from actingweb.migration.cli.live import Session
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.live import changes, dirty, marks
from actingweb.migration.live.changes import Compared
from actingweb.migration.live.compare_changes import ChangesComparison
from actingweb.migration.live.cutover import Comparisons, Cutover, DifferencesError, Options
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.ownership import Side
from actingweb.migration.live.tables import record_gap
from actingweb.migration.live.triggers import install_triggers
from actingweb.migration.target.connection import Connection
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.running import quiet, status_of, syncing, until_safe
from tests.live.sides import Sides
from tests.support import wait_until

IDS = [f"actor{number}" for number in range(8)]
CHANGE: LiteralString = "UPDATE {schema}.properties SET value = 'wrong' WHERE (id, name) = (%(id)s, 'name')"


@pytest.fixture
def synced(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Iterator[Sides]:
    """Return two sides that `sync` keeps equal, with the triggers of the way back."""
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    dynamodb = load_backend("dynamodb")
    for actor_id in IDS:
        assert dynamodb.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
        write(actor_id, "0")
    assert dynamodb.DbProperty.DbProperty().set(IDS[0], "email", "x")
    assert dynamodb.DbProperty.DbProperty().set(IDS[1], "email", "x")
    sides.prepare(region=sides.environment["AWS_DEFAULT_REGION"], endpoint=sides.environment["AWS_DB_HOST"])
    with syncing(sides):
        until_safe(sides)
        live_switch.open_triggers(Session(PostgresFlags()))
        until_safe(sides)
        yield sides


def write(actor_id: str, value: str, backend: str = "dynamodb") -> None:
    """Set a property."""
    assert load_backend(backend).DbProperty.DbProperty().set(actor_id, "name", value)


def execute(sides: Sides, statement: LiteralString, **values: Any) -> None:
    """Execute a statement as the engine does, so that nothing is marked."""
    with sides.state.connect() as connection, connection.transaction():
        connection.execute("SELECT set_config('actingweb.sync', 'on', true)")
        connection.execute(sides.state.sql(statement), values)


def spoil(sides: Sides, actor_id: str = IDS[0]) -> None:
    """Let the sides differ by a write of which no mark tells."""
    execute(sides, CHANGE, id=actor_id)


class Switch:
    """A cutover that calls `at` with each line that it says, and notes what was compared."""

    def __init__(self, sides: Sides, at: Callable[[str], None] = lambda _: None, **options: Any) -> None:
        self.lines: list[str] = []
        self.everything: list[Compared] = []
        self.changes: list[Compared | None] = []
        session = Session(PostgresFlags())
        whole = session.comparison(grace=0.5)
        changed = ChangesComparison(sides.state, sides.requests, sides.state.connect, ("email",), grace=0.5)

        def everything() -> Compared:
            self.everything.append(whole.run().compared)
            return self.everything[-1]

        def of_changes(timeout: float) -> Compared | None:
            self.changes.append(changed.run(timeout))
            return self.changes[-1]

        def say(line: str) -> None:
            self.lines.append(line)
            at(line)

        given: dict[str, Any] = {name: lambda: None for name in ("open_way_back", "fence", "open_fence", "flip")}
        given |= {"compare": Comparisons(everything, of_changes)} | options
        back = given.pop("back", False)
        self.cutover = Cutover(sides.state, sides.requests, sides.state.connect, Options(back, **given), "test", say)


def test_the_pause_compares_only_what_changed(synced: Sides) -> None:
    def at(line: str) -> None:
        if line == "fence ...":
            write(IDS[0], "during the fence")

    switch = Switch(synced, at)
    assert switch.cutover.run().side is Side.POSTGRESQL
    assert [one.different for one in switch.everything] == [0]
    assert switch.everything[0].rows > len(IDS)
    # Nothing changed since everything was compared, and then one row.
    assert switch.changes[0] is None
    assert switch.changes[-1] == (1, 0, 0)
    assert load_backend("postgresql").DbProperty.DbProperty().get(IDS[0], "name") == "during the fence"
    # Back the same way. Owners have changed, so everything is compared again.
    back = Switch(synced, lambda line: write(IDS[1], "last", "postgresql") if line == "fence ..." else None, back=True)
    until_safe(synced)
    assert back.cutover.run().side is Side.DYNAMODB
    assert [one.different for one in back.everything] == [0]
    assert back.changes[-1] is not None
    assert back.changes[-1].rows >= 1
    assert load_backend("dynamodb").DbProperty.DbProperty().get(IDS[1], "name") == "last"


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("step", ["check", "fence", "compare again"])
def test_a_difference_is_found_whenever_it_was_made(synced: Sides, step: str, back: bool) -> None:
    if back:
        assert Switch(synced).cutover.run().side is Side.POSTGRESQL
        until_safe(synced)
    before = status_of(synced).migration.boundary
    switch = Switch(synced, lambda line: spoil(synced) if line == f"{step} ..." else None, back=back)
    with pytest.raises(DifferencesError, match="1 rows differ"):
        switch.cutover.run()
    assert status_of(synced).migration.boundary == before
    assert ("fence ..." in switch.lines) is (step != "check")
    assert len(switch.everything) == 1
    switch.cutover.abort()
    # It is known until it is repaired.
    assert any("differences were found" in reason for reason in status_of(synced).gate().reasons)
    assert Session(PostgresFlags()).comparison(grace=0.5).run(repair=True).left == 0
    again = Switch(synced, back=back)
    again.cutover.run()
    assert again.everything == []


def test_look_ups_of_values_that_were_given_up_are_compared(synced: Sides) -> None:
    session = Session(PostgresFlags())
    assert session.comparison(grace=0.5).run().left == 0
    key = compute_lookup_key("email", "x")
    assert synced.look_ups() == {key: IDS[0]}
    # Nobody claims it then, and the other one who has it is found.
    assert load_backend("dynamodb").DbProperty.DbProperty().set(IDS[0], "email", "y")
    quiet(synced)
    assert synced.look_ups()[key] == IDS[1]
    changed = session.comparisons().changes
    assert (found := changed(10)) is not None
    assert (found.different, found.unsettled) == (0, 0)
    assert load_backend("dynamodb").DbProperty.DbProperty().set(IDS[0], "email", "z")
    quiet(synced)
    execute(synced, "DELETE FROM {schema}.property_lookup WHERE lookup_key = %(key)s", key=key)
    execute(synced, "UPDATE {schema}.property_lookup SET actor_id = %(id)s WHERE actor_id <> %(id)s", id=IDS[2])
    assert (found := changed(20)) is not None
    assert found.different == 2


def test_everything_is_compared_again_if_changes_are_not_all_known(synced: Sides) -> None:
    state = synced.state
    whole = Session(PostgresFlags()).comparison(grace=0.5)
    changed = Session(PostgresFlags()).comparisons().changes

    def run(statement: LiteralString) -> None:
        with closing(state.connect()) as connection:
            connection.execute(state.sql(statement))

    def lose() -> None:
        with closing(state.connect()) as connection:
            record_gap(state, connection, "properties", None, "test")

    def trim() -> None:
        for actor_id in IDS:
            write(actor_id, "1")
        quiet(synced)
        with closing(state.connect()) as connection:
            changes.trim(state, connection, most=5)

    def disable(which: LiteralString) -> None:
        run(f"ALTER TABLE {{schema}}.actors {which} TRIGGER actingweb_record_row")

    ways: list[Callable[[], None]] = [
        lambda: run("UPDATE {state}.comparison SET began_at = began_at - interval '1 day'"),
        lose,
        trim,
        lambda: disable("DISABLE"),
    ]
    for way in ways:
        assert whole.run().left == 0
        assert changed(10) is not None
        way()
        assert changed(10) is None
    # Without triggers no comparison tells what may differ later.
    assert whole.run().left == 0
    assert changed(10) is None
    disable("ENABLE")
    assert changed(10) is None
    # A record is lost while writes are stopped: everything is compared then, which finds it.
    switch = Switch(synced, lambda line: lose() if line == "drain ..." else None)
    assert switch.cutover.run().side is Side.POSTGRESQL
    assert len(switch.everything) == 2
    assert any("everything is compared while writes are stopped" in line for line in switch.lines)


def test_marker_items_tell_that_changes_are_all_known(synced: Sides) -> None:
    switch = Switch(synced, quiet_seconds=1.0)
    assert switch.cutover.run().side is Side.POSTGRESQL
    assert switch.changes == []
    assert len(switch.everything) == 1


@pytest.fixture
def recording(sides: Sides) -> Iterator[Connection]:
    """Return a connection to sides whose changes are recorded, while nothing works on them."""
    sides.prepare()
    with sides.state.connect() as connection:
        install_triggers(sides.state, connection)
        yield connection


def recorded(sides: Sides, connection: Connection) -> list[RowKey]:
    """Return the keys that are recorded."""
    last = changes.last(sides.state, connection)
    return [change.key for change in changes.pick(sides.state, connection, 0, last)]


def test_a_mark_that_is_taken_away_is_recorded(sides: Sides, recording: Connection) -> None:
    """Also if the row was equal on both sides, so that nothing was written."""
    state, keys = sides.state, [RowKey("properties", "actor", f"name {number}") for number in range(3)]
    dirty.mark(state, recording, keys[:1])
    dirty.clear(state, recording, keys[:1])
    assert recorded(sides, recording) == []
    assert changes.begin(state, recording) is not None
    dirty.mark(state, recording, keys[1:2])
    dirty.clear(state, recording, keys[1:2])
    marks.append(state, recording, keys[2:])
    with recording.transaction():
        marks.delete(state, recording, marks.pick(state, recording, 1))
    assert recorded(sides, recording) == keys[1:]


def test_a_comparison_begins_when_no_applier_works(sides: Sides, recording: Connection) -> None:
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    begun: list[object] = []

    def begin() -> None:
        with sides.state.connect() as connection:
            begun.append(changes.begin(sides.state, connection))

    thread = threading.Thread(target=begin)
    with recording.transaction():
        sides.state.lock_appliers(recording, exclusive=False)
        thread.start()
        wait_until(lambda: begun or recording.execute(blocked).fetchone() != (0,))
        assert begun == []
    thread.join()
    assert len(begun) == 1
