"""Servers on which a pipeline is not a transaction, such as Citus: it contains BEGIN and COMMIT."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actingweb.db import get_property, get_property_list, transaction
from actingweb.db.exceptions import (
    ConfigurationError,
    DbConflictError,
    DbError,
    DbOutcomeUnknownError,
    DbUnknownActorError,
)
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.registry import Backend
from actingweb.db.settings import get_settings
from testbed.autocommit_relay import AutocommitRelay, autocommit_relay
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.support import PATIENCE, conninfo_of

from .conftest import PgConnection
from .test_recovery import UPDATE_PROPERTY, blocking, wait_until_blocked

pytestmark = pytest.mark.backends("postgresql")

Write = Callable[[Backend, str], object]
Contents = tuple[list[Any], list[Any]]


def wipe(backend: Backend, actor_id: str) -> object:
    everything = get_property_list(backend)
    everything.fetch(actor_id)
    return everything.delete()


WRITES: dict[str, Write] = {
    "set": lambda backend, actor_id: get_property(backend).set(actor_id, "email", "new"),
    "set to nothing": lambda backend, actor_id: get_property(backend).set(actor_id, "email", ""),
    "create_if_not_exists": lambda backend, actor_id: get_property(backend).create_if_not_exists(
        actor_id, "oauthId", "new"
    ),
    "set_if_value_equals": lambda backend, actor_id: get_property(backend).set_if_value_equals(
        actor_id, "email", "old", "new"
    ),
    "delete_if_value_equals": lambda backend, actor_id: get_property(backend).delete_if_value_equals(
        actor_id, "email", "old"
    ),
    "batch_delete": lambda backend, actor_id: get_property(backend).batch_delete(actor_id, ["email"]),
    "set_many": lambda backend, actor_id: get_property(backend).set_many(actor_id, {"email": "new", "n": "new"}),
    "wipe": wipe,
}
"""All calls that write properties and look-up rows."""
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


def contents(pg: PgConnection) -> Contents:
    return (
        pg.execute("SELECT id, name, value FROM properties ORDER BY 1, 2").fetchall(),
        pg.execute("SELECT lookup_key, actor_id FROM property_lookup ORDER BY 1, 2").fetchall(),
    )


@pytest.fixture
def relay(backend: Backend, set_env: SetEnv, pg: PgConnection) -> Iterator[AutocommitRelay]:
    """Make the backend's server commit each statement of a pipeline separately."""
    with autocommit_relay(pg.info.host, pg.info.port) as running:
        set_env(PG_DB_URL=conninfo_of(pg, host="127.0.0.1", port=str(running.port)))
        yield running
        # Before the relay is gone, which closes the connections otherwise.
        set_env()


@pytest.fixture
def refused_claims(pg: PgConnection) -> Iterator[Callable[[], None]]:
    """Return a function that makes the server reject every change of look-up rows."""

    def refuse() -> None:
        pg.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE integrity_constraint_violation; END $$"
        )
        pg.execute(
            "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON property_lookup "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )

    yield refuse
    pg.execute("DROP FUNCTION IF EXISTS refuse CASCADE")


@every_write
@pytest.mark.parametrize("pooler", ["off", "on"])
def test_a_write_that_fails_half_way_changes_nothing(
    write: Write,
    pooler: str,
    backend: Backend,
    actor_id: str,
    pg: PgConnection,
    relay: AutocommitRelay,
    refused_claims: Callable[[], None],
    set_env: SetEnv,
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on", PG_POOLER=pooler)
    assert get_property(backend).set(actor_id, "email", "old")
    before = contents(pg)
    refused_claims()
    for _ in range(2):
        with pytest.raises(DbError):
            write(backend, actor_id)
        assert contents(pg) == before
    pg.execute("DROP FUNCTION refuse CASCADE")
    write(backend, actor_id)
    assert contents(pg) != before


def test_a_server_that_could_not_be_asked_counts_as_distributed(
    backend: Backend, actor_id: str, pg: PgConnection, relay: AutocommitRelay, refused_claims: Callable[[], None]
) -> None:
    assert get_property(backend).set(actor_id, "email", "old")
    before = contents(pg)
    refused_claims()
    get_pool().distributed = None
    with pytest.raises(DbError):
        get_property(backend).set(actor_id, "email", "new")
    assert contents(pg) == before


@every_write
def test_without_begin_and_commit_it_would_change_a_half(
    write: Write,
    backend: Backend,
    actor_id: str,
    pg: PgConnection,
    relay: AutocommitRelay,
    refused_claims: Callable[[], None],
    set_env: SetEnv,
) -> None:
    """Shows why the setting is needed, and that the relay behaves as such a server."""
    set_env(PG_EXPLICIT_TRANSACTIONS="off")
    assert get_property(backend).set(actor_id, "email", "old")
    properties, claims = contents(pg)
    refused_claims()
    with pytest.raises(DbError):
        write(backend, actor_id)
    after = contents(pg)
    assert after[0] != properties
    assert after[1] == claims


CLAIM_SUITES = (
    "test_property_claims.py",
    "test_property_claim_races.py",
    "test_property_lookup.py",
    "test_property_lookup_table.py",
    "test_property_conditional.py",
    "test_property_batch_delete.py",
    "test_property_many.py",
    "test_transaction.py",
)


def test_the_contract_of_claims_holds_behind_such_a_server(pg: PgConnection) -> None:
    contract = Path(__file__).parents[1] / "contract"
    with autocommit_relay(pg.info.host, pg.info.port) as relay:
        url = conninfo_of(pg, host="127.0.0.1", port=str(relay.port))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        told = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "postgresql"]
            + [str(contract / name) for name in CLAIM_SUITES],
            env={**environment, "PG_DB_URL": url, "PG_EXPLICIT_TRANSACTIONS": "on"},
            cwd=contract.parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 0, told.stdout[-3000:]
    assert " passed" in told.stdout


@pytest.mark.parametrize("pooler", ["off", "on"])
def test_begin_and_commit_take_no_round_trip_of_their_own(
    pooler: str, backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on", PG_POOLER=pooler)
    get_property(backend).get(actor_id, "email")
    for name, write in WRITES.items():
        for _ in range(3):
            before = proxy.flights
            write(backend, actor_id)
            assert proxy.flights - before == (2 if name == "wipe" else 1), name


@pytest.mark.parametrize("setting", ["on", "off"])
def test_one_statement_needs_no_begin(
    setting: str, backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS=setting)
    for name, begins in (("color", []), ("email", ["BEGIN", "COMMIT"] if setting == "on" else [])):
        assert get_property(backend).set(actor_id, name, "x")
        with get_connection() as connection:
            prepared = connection.execute("SELECT statement FROM pg_prepared_statements ORDER BY 1").fetchall()
        assert [text for (text,) in prepared if text in ("BEGIN", "COMMIT")] == begins
        assert prepared


def test_a_failed_transaction_is_over_when_the_call_is(
    backend: Backend, actor_id: str, set_env: SetEnv, caplog: pytest.LogCaptureFixture
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    pids = set()
    for _ in range(5):
        with pytest.raises(DbUnknownActorError):
            get_property(backend).set("stranger", "email", "x")
        assert get_property(backend).set(actor_id, "email", "x")
        with get_connection() as connection:
            pids.add(connection.info.backend_pid)
    assert len(pids) == 1
    # The pool would end it too, but warns of it.
    assert caplog.text == ""


def test_calls_in_a_transaction_are_a_part_of_it(
    backend: Backend, actor_id: str, pg: PgConnection, relay: AutocommitRelay, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    before = contents(pg)

    def fail() -> None:
        with transaction():
            assert get_property(backend).set(actor_id, "email", "x")
            with transaction():
                assert get_property(backend).set(actor_id, "oauthId", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert contents(pg) == before
    with transaction():
        assert get_property(backend).set(actor_id, "email", "x")
        with pytest.raises(DbUnknownActorError), transaction():
            get_property(backend).set("stranger", "email", "y")
    assert contents(pg)[0] == [(actor_id, "email", "x")]


@pytest.mark.parametrize("failures", [2, 5])
def test_a_conflict_at_commit_is_seen_and_the_whole_is_repeated(
    failures: int, backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    pg.execute("CREATE SEQUENCE tries")
    pg.execute(
        "CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN "
        f"IF nextval('tries') <= {failures} THEN RAISE SQLSTATE '40001'; END IF; RETURN NULL; END $$".encode()
    )
    pg.execute(
        "CREATE CONSTRAINT TRIGGER collide AFTER INSERT ON properties DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION collide()"
    )
    try:
        if failures < 5:
            assert get_property(backend).create_if_not_exists(actor_id, "email", "x") is True
        else:
            with pytest.raises(DbConflictError):
                get_property(backend).create_if_not_exists(actor_id, "email", "x")
        assert pg.execute("SELECT last_value FROM tries").fetchone() == (min(failures + 1, 5),)
    finally:
        pg.execute("DROP FUNCTION collide CASCADE")
        pg.execute("DROP SEQUENCE tries")
    assert len(contents(pg)[0]) == len(contents(pg)[1]) == (failures < 5)


def test_a_lost_answer_to_commit_is_an_unknown_outcome(
    backend: Backend, actor_id: str, pg: PgConnection, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    assert get_property(backend).set(actor_id, "email", "old")
    proxy.losses = 1
    with pytest.raises(DbOutcomeUnknownError):
        get_property(backend).set(actor_id, "email", "new")
    assert len(contents(pg)[1]) == 1


def test_a_write_is_not_repeated_when_the_server_ends_the_session_after_the_commit(
    backend: Backend, actor_id: str, relay: AutocommitRelay, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    get_property(backend).get(actor_id, "email")
    relay.ends_after_commit = True
    assert get_property(backend).create_if_not_exists(actor_id, "email", "x") is True
    relay.ends_after_commit = False
    assert get_property(backend).get(actor_id, "email") == "x"


@pytest.mark.parametrize("name", ["color", "email"])
def test_what_the_server_ended_may_go_on_elsewhere(
    name: str, backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    """A coordinator that ends a session does not end the statements that it forwarded."""
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    get_property(backend).set(actor_id, name, "old")
    with ThreadPoolExecutor(1) as threads, blocking(pg, UPDATE_PROPERTY, actor_id):
        writing = threads.submit(get_property(backend).set, actor_id, name, "new")
        pg.execute("SELECT pg_terminate_backend(%s)", [wait_until_blocked(pg)])
        assert isinstance(writing.exception(PATIENCE), DbOutcomeUnknownError)


def test_prepared_statements_that_are_gone_are_no_error(backend: Backend, actor_id: str, set_env: SetEnv) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="on")
    for _ in range(3):
        assert get_property(backend).set(actor_id, "email", "x")
        with get_connection() as connection:
            connection.pgconn.exec_(b"DEALLOCATE ALL")


@pytest.mark.parametrize("setting", [None, "auto", "off", "on", " ON "])
def test_the_setting_beats_what_the_server_is(
    setting: str | None, backend: Backend, actor_id: str, set_env: SetEnv
) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS=setting)
    get_property(backend).get(actor_id, "email")
    assert get_pool().distributed is ((setting or "").strip() == "ON" or setting == "on")


def test_another_word_is_refused(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_EXPLICIT_TRANSACTIONS="always")
    with pytest.raises(ConfigurationError, match="PG_EXPLICIT_TRANSACTIONS"):
        _ = get_settings().postgresql


def test_a_property_that_a_trigger_changes_is_a_typed_fault(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    """The claim of the new value finds no property that holds it."""
    pg.execute(
        "CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.value := lower(NEW.value); RETURN NEW; END $$"
    )
    pg.execute("CREATE TRIGGER change BEFORE INSERT ON properties FOR EACH ROW EXECUTE FUNCTION change()")
    try:
        for write in (get_property(backend).set, lambda *row: get_property(backend).set_many(row[0], {row[1]: row[2]})):
            with pytest.raises(DbOutcomeUnknownError, match="PG_EXPLICIT_TRANSACTIONS=on"):
                write(actor_id, "email", "Me@Example.com")
    finally:
        pg.execute("DROP FUNCTION change CASCADE")


def test_a_row_that_a_trigger_leaves_out_is_a_typed_fault(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    pg.execute("CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    for table in ("trusts", "property_lookup"):
        pg.execute(f"CREATE TRIGGER skip BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION skip()".encode())
    try:
        with pytest.raises(DbError, match="the server stored no row"):
            backend.DbTrust.DbTrust().create(actor_id, "peer")
        from actingweb.db.postgresql.property_lookup import DbPropertyLookup

        with pytest.raises(DbError, match="the server stored no row"):
            DbPropertyLookup().create("email", "x", actor_id)
    finally:
        pg.execute("DROP FUNCTION skip CASCADE")
