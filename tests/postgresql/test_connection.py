"""Connections for callers that run their own SQL."""

import os
import signal
from threading import Timer

import psycopg
import pytest

from actingweb.db.exceptions import DbConnectionError
from actingweb.db.postgresql.connection import (
    ensure_schema_exists,
    get_connection,
    get_connection_string,
    get_schema_name,
    set_search_path,
)
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.support import new_id

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

INSERT = "INSERT INTO actors (id, creator, passphrase) VALUES (%s, '', '')"


def stored(pg: PgConnection, actor_id: str) -> bool:
    return pg.execute("SELECT FROM actors WHERE id = %s", [actor_id]).rowcount == 1


def test_rows_are_plain_tuples_of_the_schemas_tables(backend: Backend, actor_id: str) -> None:
    with get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM actors")
        assert cursor.fetchall() == [(actor_id,)]


def test_a_clean_exit_commits(backend: Backend, pg: PgConnection) -> None:
    actor_id = new_id()
    with get_connection() as connection:
        connection.execute(INSERT, [actor_id])
        assert not stored(pg, actor_id)
    assert stored(pg, actor_id)


def test_an_error_rolls_back(backend: Backend, pg: PgConnection) -> None:
    actor_id = new_id()

    def fail() -> None:
        with get_connection() as connection:
            connection.execute(INSERT, [actor_id])
            connection.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        fail()
    assert not stored(pg, actor_id)
    assert backend.DbActor.DbActor().get(actor_id) is None


def test_the_caller_may_commit_or_roll_back_itself(backend: Backend, pg: PgConnection) -> None:
    kept, dropped = new_id(), new_id()
    with get_connection() as connection:
        connection.execute(INSERT, [kept])
        connection.commit()
        set_search_path(connection)
        connection.execute(INSERT, [dropped])
        connection.rollback()
    assert stored(pg, kept)
    assert not stored(pg, dropped)


def test_an_interrupted_statement_costs_no_place_in_the_pool(backend: Backend, set_env: SetEnv) -> None:
    """A time limit based on signals raises an exception in the middle of a statement."""

    def interrupt(*_: object) -> None:
        raise ZeroDivisionError

    def sleep() -> None:
        with get_connection() as connection:
            Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            connection.execute("SELECT pg_sleep(30)")

    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="30")
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(ZeroDivisionError):
            sleep()
    finally:
        signal.signal(signal.SIGUSR1, before)
    with get_connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_no_connection_is_a_connection_error(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_DB_URL="postgresql://127.0.0.1:1/x")
    with pytest.raises(DbConnectionError, match="database error during connect"), get_connection():
        pass


@pytest.mark.parametrize("autocommit", [True, False])
def test_set_search_path_lasts_as_long_as_the_mode_of_the_connection_says(backend: Backend, autocommit: bool) -> None:
    with psycopg.connect(get_connection_string(), autocommit=autocommit) as own:
        set_search_path(own)
        assert own.execute("SELECT current_schema()").fetchone() == (get_schema_name(),)
        own.rollback()
        kept = own.execute("SELECT current_schema()").fetchone() == (get_schema_name(),)
        assert kept is autocommit


@pytest.mark.parametrize("schema", ["Mixed-Case", 'quo"te', "per%cent%s", "a b"])
def test_any_name_of_a_schema_works(schema: str, backend: Backend, pg: PgConnection, set_env: SetEnv) -> None:
    set_env(PG_DB_PREFIX=f"{new_id()[:8]} ", PG_DB_SCHEMA=schema)
    name = psycopg.sql.Identifier(get_schema_name())
    try:
        ensure_schema_exists()
        ensure_schema_exists()
        with get_connection() as connection:
            connection.execute("CREATE TABLE actors (id text, creator text, passphrase text, PRIMARY KEY (id))")
        assert backend.DbActor.DbActor().create("a1", "Me@Example.com", "secret")
        assert backend.DbActor.DbActor().get("a1") == {"id": "a1", "creator": "me@example.com", "passphrase": "secret"}
    finally:
        pg.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(name))
