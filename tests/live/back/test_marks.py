"""Triggers and marks: every change is marked, and no write of the application waits for an applier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db.registry import load_backend
from actingweb.migration.errors import TargetError
from actingweb.migration.live import triggers
from actingweb.migration.live.triggers import drop_triggers, install_triggers, triggers_installed
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.faults.pgbouncer import HOW_TO_GET_IT, PgBouncer, find_pgbouncer
from tests.live.back.both import Both
from tests.support import require_superuser

Connection = psycopg.Connection[tuple[Any, ...]]


ROWS = {
    "actors (id, creator, passphrase)": "%(id)s, 'c', 'p'",
    "properties (id, name, value)": "%(id)s, 'email', 'v'",
    "property_lookup (lookup_key, property_name, actor_id)": "'digest of ' || %(id)s, 'email', %(id)s",
    "attributes (id, bucket, name, data)": "%(id)s, 'b:c', 'n', '1'",
    "peertrustees (id, peerid, baseuri, type, passphrase)": "%(id)s, 'peer', '', '', ''",
    "subscriptions (id, peerid, subid, seqnr, callback)": "%(id)s, 'peer', 'sub', 1, false",
    "subscription_diffs (id, subid, seqnr, timestamp, diff)": "%(id)s, 'sub', 7, now(), ''",
    "subscription_suspensions (id, target, suspended_at)": "%(id)s, 'target', now()",
    "trusts (id, peerid, baseuri, type, relationship, secret, approved, peer_approved, verified)": (
        "%(id)s, 'peer', '', '', '', '', true, true, true"
    ),
}


def store(pg: Connection, actor_id: str = "a") -> None:
    """Store an actor with a row in every table."""
    for table, values in ROWS.items():
        pg.execute(f"INSERT INTO {table} VALUES ({values})".encode(), {"id": actor_id})


MARKS = {
    ("actors", "a", ""),
    ("properties", "a", "email"),
    ("property_lookup_v2", "digest of a", ""),
    ("attributes", "a", "b:c:n"),
    ("peertrustees", "a", "peer"),
    ("subscriptions", "a", "peer:sub"),
    ("subscription_diffs", "a", "sub:7"),
    ("subscription_suspensions", "a", "target"),
    ("trusts", "a", "peer"),
}
CASCADED = MARKS - {("attributes", "a", "b:c:n")}


def test_every_change_is_marked_with_the_key_of_the_item(ready: Both, pg: Connection) -> None:
    store(pg)
    assert set(ready.take_marks()) == MARKS
    pg.execute("UPDATE properties SET value = 'w'")
    # So does the value that it gave up, which others may have.
    assert ready.take_marks() == [("properties", "a", "email"), ("property_lookup_v1", "email", "v")]
    pg.execute("DELETE FROM actors")
    assert set(ready.take_marks()) == CASCADED | {("property_lookup_v1", "email", "w")}


def test_a_changed_key_marks_both_rows(ready: Both, pg: Connection) -> None:
    store(pg)
    ready.take_marks()
    pg.execute("UPDATE attributes SET name = 'other'")
    assert ready.take_marks() == [("attributes", "a", "b:c:n"), ("attributes", "a", "b:c:other")]
    # Both pairs join to one key.
    pg.execute("UPDATE attributes SET bucket = 'b', name = 'c:other'")
    assert set(ready.take_marks()) == {("attributes", "a", "b:c:other")}


def test_truncated_rows_are_marked(ready: Both, pg: Connection) -> None:
    store(pg)
    ready.drain()
    pg.execute("TRUNCATE actors CASCADE")
    assert set(ready.marks()) == CASCADED
    ready.drain()
    assert {name: len(items) for name, items in ready.items().items() if items} == {"attributes": 1}


def test_a_transaction_that_is_rolled_back_leaves_no_mark(ready: Both, pg: Connection) -> None:
    with pg.transaction(force_rollback=True):
        store(pg)
    assert ready.marks() == []


def test_what_the_engine_writes_is_not_marked(ready: Both, pg: Connection) -> None:
    with pg.transaction():
        pg.execute("SELECT set_config('actingweb.sync', 'on', true)")
        store(pg)
        pg.execute("TRUNCATE actors CASCADE")
    assert ready.marks() == []
    # The setting ends with its transaction.
    store(pg, "b")
    assert len(ready.marks()) == len(MARKS)


def test_odd_keys_are_marked_as_the_state_stores_them(ready: Both, pg: Connection) -> None:
    actor_id, name = "a\\b", "'\"%{}\u00e4\U0001f600\\"
    pg.execute("INSERT INTO actors (id, creator, passphrase) VALUES (%s, '', '')", [actor_id])
    pg.execute("INSERT INTO properties VALUES (%s, %s, 'v')", [actor_id, name])
    ready.drain()
    assert set(ready.items()["properties"]) == {(actor_id, name)}


@pytest.fixture
def application(pg: Connection, postgres_tables: PostgresTables) -> Iterator[Connection]:
    """Connect as a role that may use the tables of the application, and nothing else."""
    require_superuser(pg)
    schema = sql.Identifier(postgres_tables.environment["PG_DB_PREFIX"] + "public")
    pg.execute("CREATE ROLE live_application")
    pg.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO live_application").format(schema))
    pg.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA {} TO live_application").format(schema))
    with postgres_tables.connect() as connection:
        connection.execute("SET ROLE live_application")
        yield connection
    pg.execute("DROP OWNED BY live_application")
    pg.execute("DROP ROLE live_application")


def test_the_role_of_the_application_needs_no_right(ready: Both, application: Connection) -> None:
    store(application)
    assert set(ready.take_marks()) == MARKS
    application.execute("TRUNCATE actors CASCADE")
    assert set(ready.marks()) == CASCADED
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(ready.state.sql("SELECT FROM {state}.marks"))


def test_no_write_waits_for_an_applier(ready: Both, pg: Connection) -> None:
    store(pg)
    seen: list[str] = []

    def write_meanwhile(moment: str, operation: str, request: dict[str, Any]) -> None:
        # The applier's transaction has locked its marks and keys, and has read its rows.
        if not seen:
            pg.execute("SET lock_timeout = '2s'")
            pg.execute("UPDATE properties SET value = 'newer'")
            pg.execute("DELETE FROM trusts")
            pg.execute("TRUNCATE subscriptions")
            pg.execute("RESET lock_timeout")
        seen.append(operation)

    applier = ready.applier(requests=ready.disturbed(write_meanwhile), at_once=1)
    assert applier.step() == len(MARKS)
    assert seen
    # The later changes have marks of their own.
    assert sorted(set(ready.marks())) == [
        ("properties", "a", "email"),
        ("property_lookup_v1", "email", "v"),
        ("subscriptions", "a", "peer:sub"),
        ("trusts", "a", "peer"),
    ]
    ready.drain()
    assert ready.items()["properties"]["a", "email"]["value"] == {"S": "newer"}
    assert not ready.items()["trusts"]


def test_triggers_behind_a_pooler(ready: Both, postgres_tables: PostgresTables, set_env: SetEnv) -> None:
    program = find_pgbouncer()
    if program is None:
        pytest.skip(HOW_TO_GET_IT)
    with PgBouncer(program, postgres_tables.environment, sessions=1) as pooler:
        set_env(**pooler.settings(PG_DB_PREFIX=postgres_tables.environment["PG_DB_PREFIX"], PG_POOLER="on"))
        # The setting of the applier's transaction does not reach the application's, in the same session.
        pooled = ready.through_settings()
        backend = load_backend("postgresql")
        assert backend.DbActor.DbActor().create(actor_id="a", creator="c", passphrase="p")
        assert pooled.step() == 1
        assert backend.DbProperty.DbProperty().set("a", "email", "v")
        assert len(ready.marks()) == 2
        assert pooled.step() == 2
    assert ready.items()["properties"]["a", "email"]["value"] == {"S": "v"}


def test_triggers_are_seen_and_removed(ready: Both, pg: Connection) -> None:
    with ready.connect() as connection:
        assert triggers_installed(ready.state, connection)
        pg.execute("ALTER TABLE trusts DISABLE TRIGGER USER")
        assert not triggers_installed(ready.state, connection)
        install_triggers(ready.state, connection)
        assert triggers_installed(ready.state, connection)
        drop_triggers(ready.state, connection)
        assert not triggers_installed(ready.state, connection)
    store(pg)
    assert ready.marks() == []


def test_installing_gives_up_on_a_table_that_stays_locked(
    ready: Both, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "_ATTEMPTS", 2)
    monkeypatch.setattr(triggers, "_PAUSE", 0)
    monkeypatch.setattr(triggers, "_GIVE_UP_SOON", "SET LOCAL lock_timeout = '10ms'")
    with ready.connect() as connection, pg.transaction():
        pg.execute("LOCK TABLE trusts IN ROW EXCLUSIVE MODE")
        with pytest.raises(TargetError, match="trusts is locked"):
            install_triggers(ready.state, connection)
