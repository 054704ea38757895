"""Cutover, rollback, shares and the end of a migration, as their commands run them, beside a real `sync`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actingweb.db import load_backend
from actingweb.migration.cli import live_switch
from actingweb.migration.cli.live import Session
from actingweb.migration.cli.live_switch import Commands
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.errors import ExitCode, SourceError, UsageError
from actingweb.migration.live.changes import Compared
from actingweb.migration.live.cutover import Comparisons, Cutover, CutoverError, DifferencesError, Options, side_after
from actingweb.migration.live.finish import finish
from actingweb.migration.live.items import Json
from actingweb.migration.live.ownership import EVERYTHING, Side, boundary_of
from actingweb.migration.live.state import FLIPPED, ROLLED_BACK, SYNCING, StateError
from actingweb.migration.live.triggers import triggers_installed
from actingweb.migration.live.way_back import WayBack, prepare_from_postgresql
from actingweb.migration.mapping import ACTORS, PROPERTIES, TableMapping
from actingweb.migration.source.endpoint import RequestError
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.running import status_of, syncing, until_safe
from tests.live.sides import TABLES, Sides
from tests.support import wait_until

ACTOR_IDS = [f"actor{number}" for number in range(8)]
STEPS = ("check", "compare", "fence", "drain", "compare again", "change owners", "flip")


@pytest.fixture
def loaded(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Sides:
    """Return two sides of which DynamoDB has some actors. Nothing is prepared."""
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    write("dynamodb", "0")
    return sides


@pytest.fixture
def synced(loaded: Sides) -> Iterator[Sides]:
    """Return two sides that `sync` keeps equal."""
    prepare(loaded)
    with syncing(loaded):
        until_safe(loaded)
        yield loaded


def prepare(sides: Sides) -> None:
    """Prepare a migration whose commands find DynamoDB."""
    sides.prepare(region=sides.environment["AWS_DEFAULT_REGION"], endpoint=sides.environment["AWS_DB_HOST"])


def write(backend: str, value: str) -> None:
    """Write to all actors, which are created if they are missing."""
    library = load_backend(backend)
    for actor_id in ACTOR_IDS:
        if library.DbActor.DbActor().get(actor_id) is None:
            assert library.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
        assert library.DbProperty.DbProperty().set(actor_id, "name", value)


def read(backend: str) -> set[str | None]:
    """Return the values that the actors have."""
    return {load_backend(backend).DbProperty.DbProperty().get(actor_id, "name") for actor_id in ACTOR_IDS}


class Operator:
    """Switches, and notes what the commands of the operator did.

    Attributes:
        events: what was called.
        fails: at which step the switch is interrupted.
        differences: what the comparison finds.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.events: list[str] = []
        self.fails: str | None = None
        self.differences = 0
        self.fence: Callable[[], None] = lambda: self.events.append("fence")

    def cutover(self, *, back: bool = False, **options: Any) -> Cutover:
        """Return a switch."""
        given: dict[str, Any] = {
            "open_way_back": lambda: live_switch.open_triggers(Session(PostgresFlags())),
            "fence": lambda: self.fence(),
            "open_fence": lambda: self.events.append("open"),
            "flip": lambda: self.events.append(side_after(status_of(self._sides).migration, back=back)),
            "compare": Comparisons(self._compare, lambda _: self._compare()),
        }
        return Cutover(
            self._sides.state,
            self._sides.requests,
            self._sides.state.connect,
            Options(back, **(given | options)),
            "test",
            self._say,
        )

    def _compare(self) -> Compared:
        return Compared(0, self.differences if self.events else 0, 0)

    def _say(self, line: str) -> None:
        if line == f"{self.fails} ...":
            raise KeyboardInterrupt


def owners(sides: Sides) -> tuple[str, int, int | None]:
    """Return the phase and the boundaries."""
    migration = status_of(sides).migration
    return migration.phase, migration.boundary, migration.moving_to


def test_a_switch_can_be_interrupted_at_each_step(synced: Sides) -> None:
    operator = Operator(synced)
    for back, phase, boundary, before in ((False, FLIPPED, EVERYTHING, SYNCING), (True, ROLLED_BACK, 0, FLIPPED)):
        side, other = (Side.DYNAMODB, Side.POSTGRESQL) if back else (Side.POSTGRESQL, Side.DYNAMODB)
        until_safe(synced)
        write(other, f"before {side}")
        for step in STEPS:
            operator.fails = step
            with pytest.raises(KeyboardInterrupt):
                operator.cutover(back=back).run()
            changed = step == "flip"
            assert owners(synced)[:2] == ((phase, boundary) if changed else (before, EVERYTHING - boundary))
        assert side not in operator.events
        operator.fails = None
        # The owners had changed. It goes on with the flip, once.
        assert operator.cutover(back=back).run().side is side
        assert operator.events[-1] == side
        assert owners(synced) == (phase, boundary, None)
        assert read(side) == {f"before {side}"}
        assert operator.cutover(back=back).run().steps == {}
        with pytest.raises(StateError, match="nothing is left to abort"):
            operator.cutover(back=back).abort()
        assert operator.events.count(side) == 1
    # And once more, after a rollback.
    write("dynamodb", "again")
    result = operator.cutover().run()
    assert result.pause > 0
    assert tuple(result.steps) == STEPS
    assert read("postgresql") == {"again"}
    events = [event for (event,) in synced.select("SELECT event FROM {state}.audit ORDER BY id")]
    assert [event for event in events if event in ("cutover", "rollback")] == ["cutover", "rollback", "cutover"]


def test_what_keeps_a_switch_from_being_made(synced: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator(synced)
    nothing = (SYNCING, 0, None)
    # The gate.
    with closing(synced.state.connect()) as connection:
        connection.execute(synced.state.sql("INSERT INTO {state}.gaps (table_name, reason) VALUES ('actors', 'lost')"))
    with pytest.raises(CutoverError, match="safe to cut over: no, because changes of actors may be missing"):
        operator.cutover().run()
    assert owners(synced) == nothing
    assert operator.events == []
    assert not status_of(synced).has_triggers
    with closing(synced.state.connect()) as connection:
        connection.execute(synced.state.sql("UPDATE {state}.gaps SET closed_at = now()"))
    # No comparison.
    with pytest.raises(CutoverError, match="no comparison found actors"):
        operator.cutover(compare=None).run()
    with pytest.raises(UsageError, match="--quiet-seconds goes without --quick"):
        operator.cutover(compare=None, quiet_seconds=1)
    # There is nothing to roll back.
    with pytest.raises(StateError, match="nothing to roll back"):
        operator.cutover(back=True).run()
    assert owners(synced) == nothing
    # The fence.
    commands = Commands("exit 3", f"echo opened > {tmp_path / 'opened'}", None, fenced=False)
    operator.fence = lambda: commands.stop_writes("stop the application")
    with pytest.raises(UsageError, match="the command that stops writes ended with exit code 3"):
        operator.cutover().run()
    assert owners(synced) == (SYNCING, 0, EVERYTHING)
    assert "actors are being moved: let `migrate share` finish" in status_of(synced).gate().reasons
    session = Session(PostgresFlags())
    with pytest.raises(StateError, match="a move to 100 % is under way"):
        live_switch.move_share(session, Decimal(10), commands, 5)
    assert live_switch.abort_switch(session, commands, back=False).exit_code is ExitCode.OK
    assert (tmp_path / "opened").read_text() == "opened\n"
    assert owners(synced) == nothing
    # Differences.
    operator.fence, operator.differences = (lambda: operator.events.append("fence")), 3
    with pytest.raises(DifferencesError, match="3 rows differ") as failure:
        operator.cutover().run()
    assert failure.value.exit_code is ExitCode.DIFFERENCES
    assert owners(synced) == (SYNCING, 0, EVERYTHING)
    operator.cutover().abort()
    assert operator.events == ["fence", "open"]
    assert owners(synced) == nothing
    # What is under way does not arrive: the way of a transaction that has begun before.
    operator.differences = 0
    with closing(synced.state.connect()) as connection:
        connection.execute(
            synced.state.sql(
                "INSERT INTO {state}.dirty (table_name, hash, reason, due_at) VALUES ('actors', 'x', 'r', 'infinity')"
            )
        )
    with pytest.raises(CutoverError, match="1 rows were rejected"):
        operator.cutover().run()
    monkeypatch.setattr(live_switch, "_REJECT_SECONDS", 0.0)
    with pytest.raises(CutoverError, match="1 rows of the actors that are to move were rejected: `migrate rejects`"):
        live_switch.move_share(session, Decimal(100), commands, 5)
    assert owners(synced) == nothing
    with closing(synced.state.connect()) as connection:
        connection.execute(synced.state.sql("UPDATE {state}.dirty SET accepted = true"))
    assert operator.cutover().run().side is Side.POSTGRESQL


def test_the_commands(synced: Sides, tmp_path: Path) -> None:
    session, notes = Session(PostgresFlags()), tmp_path / "notes"
    commands = Commands(f"echo fence >> {notes}", f"echo open >> {notes}", f"echo flip >> {notes}", fenced=False)
    for text in ("ten", "", "NaN", "Infinity%"):
        with pytest.raises(UsageError, match=f"a share is a percentage such as 10%, not '{text}'"):
            live_switch.percent(text)
    with pytest.raises(UsageError, match="a number from 0 to 100 with at most two decimals"):
        live_switch.move_share(session, live_switch.percent("100.5%"), commands, 60)
    assert owners(synced) == (SYNCING, 0, None)
    assert live_switch.move_share(session, live_switch.percent("50%"), commands, 60).facts["share"] == 50.0
    assert owners(synced) == (SYNCING, boundary_of(Decimal(50)), None)
    # It was interrupted before the load balancer knew.
    live_switch.move_share(session, Decimal(50), commands, 60)
    assert notes.read_text().split() == ["fence", "flip", "flip"]
    live_switch.move_share(session, Decimal(100), commands, 60)
    write("postgresql", "on PostgreSQL")
    notes.write_text("")
    # Nobody has to wait after the last share.
    outcome = live_switch.switch(session, commands, live_switch.Switching(False, 100, 60), None, back=False)
    assert outcome.facts["pause"] == 0.0
    assert notes.read_text().split() == ["flip"]
    assert owners(synced) == (FLIPPED, EVERYTHING, None)
    until_safe(synced)
    # The comparison made before will do.
    live_switch.switch(session, commands, live_switch.Switching(True, 100, 60), None, back=True)
    assert read("dynamodb") == {"on PostgreSQL"}
    # Actors may move one by one again.
    live_switch.move_share(session, Decimal(10), commands, 60)
    assert owners(synced) == (SYNCING, boundary_of(Decimal(10)), None)
    live_switch.switch(session, commands, live_switch.Switching(False, 100, 60), None, back=True)
    assert owners(synced) == (ROLLED_BACK, 0, None)


class TestTablesThatTheWayBackCreates:
    @pytest.fixture
    def mappings(self) -> Sequence[TableMapping]:
        return tuple(mapping for mapping in TABLES if mapping.name != "subscription_suspensions")

    def test_a_move_waits_for_their_scan(self, synced: Sides) -> None:
        commands = Commands("true", None, "true", fenced=False)
        assert live_switch.move_share(Session(PostgresFlags()), Decimal(50), commands, 60).facts["share"] == 50.0
        assert synced.select("SELECT name FROM {state}.tables WHERE present AND NOT scanned") == []


def test_without_marker_items(synced: Sides) -> None:
    before = synced.value("SELECT count(*) FROM {state}.shards WHERE marker IS NOT NULL")

    class ReadOnly:
        def call(self, operation: str, request: Json) -> Json:
            assert operation not in ("PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem")
            return synced.requests.call(operation, request)

        def streams_call(self, operation: str, request: Json) -> Json:
            return synced.requests.streams_call(operation, request)

    operator = Operator(synced)
    cutover = operator.cutover(quiet_seconds=2.0)
    cutover.requests = ReadOnly()
    write("dynamodb", "last")
    assert cutover.run().pause >= 2
    assert read("postgresql") == {"last"}
    assert synced.value("SELECT count(*) FROM {state}.shards WHERE marker IS NOT NULL") == before == 0


def finish_now(sides: Sides, **options: Any) -> list[str]:
    """Finish the migration."""
    return finish(sides.state, sides.requests, "test", **({"disable_streams": False, "force": False} | options))


def test_finish(loaded: Sides) -> None:
    prepare(loaded)
    with syncing(loaded):
        until_safe(loaded)
        with pytest.raises(StateError, match="1 `migrate sync` processes are running"):
            finish_now(loaded, force=True)
        Operator(loaded).cutover().run()
    state = loaded.state
    with closing(state.connect()) as connection:
        for appears, disappears, reason in (
            ("UPDATE {state}.migration SET moving_to = 0", "UPDATE {state}.migration SET moving_to = NULL", "moved"),
            (
                "UPDATE {state}.migration SET boundary = 2147483648",
                "UPDATE {state}.migration SET boundary = 4294967296",
                "PostgreSQL owns 50",
            ),
            (
                "INSERT INTO {state}.marks (table_name, hash, range) VALUES ('actors', 'a', '')",
                "UPDATE {state}.marks SET reason = 'too large'",
                "1 changes are waiting",
            ),
            ("SELECT 1", "DELETE FROM {state}.marks", "1 rows were rejected"),
            (
                "INSERT INTO {state}.gaps (table_name, reason) VALUES ('actors', 'trimmed')",
                "UPDATE {state}.gaps SET closed_at = now()",
                "changes of actors may be missing",
            ),
            (
                "INSERT INTO {state}.conflicts (table_name, hash, range, owner) VALUES ('actors', 'a', '', 'dynamodb')",
                "UPDATE {state}.conflicts SET settled_at = now()",
                "1 writes that reached the wrong side",
            ),
        ):
            connection.execute(state.sql(appears))
            with pytest.raises(StateError, match=f"{reason}.* --force"):
                finish_now(loaded)
            connection.execute(state.sql(disappears))
        assert triggers_installed(state, connection)
    # One stream cannot be switched off: everything else stays, and it can be repeated.
    refused: list[str] = [loaded.table(PROPERTIES)]

    class Refusing:
        def call(self, operation: str, request: Json) -> Json:
            if operation == "UpdateTable" and request["TableName"] in refused:
                raise RequestError("not allowed")
            return loaded.requests.call(operation, request)

        def streams_call(self, operation: str, request: Json) -> Json:
            return loaded.requests.streams_call(operation, request)

    with pytest.raises(SourceError, match="not allowed"):
        finish(state, Refusing(), "test", disable_streams=True, force=False)
    assert "StreamSpecification" not in loaded.client.describe_table(TableName=loaded.table(ACTORS))["Table"]
    refused.clear()
    removed = finish(state, Refusing(), "test", disable_streams=True, force=False)
    assert f"the stream of {loaded.table(PROPERTIES)}" in removed
    assert f"the stream of {loaded.table(ACTORS)}" not in removed
    with closing(state.connect()) as connection:
        assert not triggers_installed(state, connection)
        assert connection.execute("SELECT to_regnamespace(%s)", (f'"{state.name}"',)).fetchone() == (None,)
    write("postgresql", "after the end")
    with pytest.raises(StateError, match="there is no live migration"):
        finish_now(loaded)


def test_from_postgresql_the_cutover_goes_to_dynamodb(
    sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv
) -> None:
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    write("postgresql", "0")
    options = WayBack(sides.prefix, None, None, ("email",), True, "test")
    prepare_from_postgresql(sides.state, sides.requests, options, lambda _: None, sleep=lambda _: None)
    operator = Operator(sides)
    with syncing(sides):
        until_safe(sides)
        write("postgresql", "1")
        assert operator.cutover().run().side is Side.DYNAMODB
        assert owners(sides) == (FLIPPED, 0, None)
        write("dynamodb", "2")
        assert operator.cutover(back=True).run().side is Side.POSTGRESQL
        assert owners(sides) == (ROLLED_BACK, EVERYTHING, None)
        assert read("postgresql") == {"2"}


def test_a_conflict_that_stops(loaded: Sides) -> None:
    place = {"region": loaded.environment["AWS_DEFAULT_REGION"], "endpoint": loaded.environment["AWS_DB_HOST"]}
    loaded.prepare(on_conflict="stop", **place)
    session = Session(PostgresFlags())
    with syncing(loaded):
        until_safe(loaded)
        live_switch.open_triggers(session)
        # DynamoDB owns everybody.
        load_backend("postgresql").DbProperty.DbProperty().set("actor0", "name", "wrong")
        reason = "1 writes that reached the wrong side are not settled"
        wait_until(lambda: status_of(loaded).gate(0).reasons == (reason,))
        with pytest.raises(CutoverError, match=reason):
            Operator(loaded).cutover().run()
        assert session.comparison(grace=0.5).run(repair=True).found.repaired == 1
        assert status_of(loaded).gate(0).is_open
        assert read("postgresql") == read("dynamodb") == {"0"}
