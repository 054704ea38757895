"""A connection lent by `get_connection` is restored, whatever the borrower did to it."""

from __future__ import annotations

import gc
import select
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.numeric import IntLoader
from psycopg.types.string import TextLoader

from actingweb.db import get_actor, get_attribute, get_property
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.postgresql.lending import Borrowed
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.support import conninfo_of, new_id

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

_left_open: list[AbstractContextManager[Any]] = []
Act = Callable[[Borrowed], object]

_FACTS = """
    SELECT current_user, session_user, current_schemas(false),
        (SELECT array_agg(name || '=' || setting ORDER BY name) FROM pg_settings),
        nullif(current_setting('app.name', true), ''),
        ARRAY(SELECT pg_listening_channels()),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
        ARRAY(SELECT name FROM pg_cursors),
        ARRAY(SELECT name FROM pg_prepared_statements WHERE from_sql OR name NOT LIKE 'actingweb_%'),
        (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
        (SELECT count(*) FROM pg_proc WHERE pronamespace = pg_my_temp_schema())
"""


class Shouting(TextLoader):
    def load(self, data: Any) -> str:
        return str(super().load(data)).upper()


class Dots(IntLoader):
    def load(self, data: Any) -> Any:
        return "..."


class OtherCursor(psycopg.ClientCursor[Any]):
    pass


class OtherServerCursor(psycopg.ServerCursor[Any]):
    pass


def run(*statements: str) -> Act:
    def act(connection: Borrowed) -> None:
        for statement in statements:
            connection.execute(statement)

    return act


def settled(*statements: str) -> Act:
    """Return a function that commits first, so that it changes settings of the session outside a transaction."""

    def act(connection: Borrowed) -> None:
        connection.commit()
        connection.autocommit = True
        run(*statements)(connection)

    return act


def attribute(name: str, value: object) -> Act:
    def act(connection: Borrowed) -> None:
        connection.commit()
        setattr(connection, name, value)
        connection.execute("SELECT 1")

    return act


def failing(act: Act) -> Act:
    def fail(connection: Borrowed) -> None:
        act(connection)
        connection.execute("SELECT 1 / 0")

    return fail


def handlers(connection: Borrowed) -> None:
    connection.add_notice_handler(print)
    connection.add_notify_handler(print)
    connection.pgconn.notice_handler = connection.pgconn.notify_handler = print


def other_loaders(connection: Borrowed) -> None:
    for name in ("text", "varchar"):
        connection.adapters.register_loader(name, Shouting)
    connection.adapters.register_loader("int4", Dots)


def two_phase(connection: Borrowed) -> None:
    connection.commit()
    connection.tpc_begin("x")


def notified(connection: Borrowed) -> None:
    run("LISTEN news", "NOTIFY news, 'first'")(connection)
    connection.commit()
    connection.execute("NOTIFY news, 'second'")


def prepared(connection: Borrowed) -> None:
    connection.execute("PREPARE mine AS SELECT 1")
    for _ in range(9):
        connection.execute("SELECT %s::int", [1])
    connection.execute("SELECT 2", prepare=True)


def entered(manage: Callable[[Borrowed], AbstractContextManager[Any]]) -> Act:
    """Return a function that enters a context and does not leave it."""

    def act(connection: Borrowed) -> Any:
        _left_open.append(manage(connection))
        return _left_open[-1].__enter__()

    return act


def stream(connection: Borrowed) -> None:
    rows = connection.cursor().stream("SELECT generate_series(1, 99999)")
    _left_open.append(closing(rows))
    next(rows)


ACTS: dict[str, Act] = {
    "nothing": lambda _: None,
    "autocommit": attribute("autocommit", True),
    "isolation level": attribute("isolation_level", psycopg.IsolationLevel.SERIALIZABLE),
    "read only": attribute("read_only", True),
    "deferrable": attribute("deferrable", True),
    "row factory": attribute("row_factory", dict_row),
    "cursor factory": attribute("cursor_factory", OtherCursor),
    "server cursor factory": attribute("server_cursor_factory", OtherServerCursor),
    "prepared max": attribute("prepared_max", 1),
    "an attribute of its own": attribute("note", "x"),
    "loaders": other_loaders,
    "types": lambda connection: connection.adapters.types.add(psycopg.types.TypeInfo("text", 16, 1000)),
    "handlers": handlers,
    "trace": lambda connection: setattr(connection.pgconn, "nonblocking", 0),
    "commit": lambda connection: connection.commit(),
    "roll back": lambda connection: connection.rollback(),
    "settings": run(
        "SET search_path TO pg_catalog",
        "SET datestyle TO 'SQL, DMY'",
        "SET timezone TO 'Asia/Tokyo'",
        "SET statement_timeout TO 1",
        "SET client_encoding TO LATIN1",
        "SET app.name TO 'someone'",
    ),
    "set_config": run("SELECT set_config('search_path', 'pg_catalog', false)"),
    "local settings": run("SET LOCAL statement_timeout TO 0", "SET LOCAL timezone TO 'Asia/Tokyo'"),
    "settings outside of a transaction": settled("SET default_transaction_read_only TO on", "SET lock_timeout TO 1"),
    "session characteristics": settled(
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE"
    ),
    "role": run("SET ROLE pg_monitor"),
    "role outside of a transaction": settled("SET ROLE pg_monitor"),
    "session authorization": run("SET SESSION AUTHORIZATION pg_monitor"),
    "session authorization and role": settled("SET SESSION AUTHORIZATION pg_monitor", "SET ROLE pg_monitor"),
    "temporary table": run("CREATE TEMP TABLE properties (id text)", "CREATE TEMP SEQUENCE numbers"),
    "temporary function": run("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    "listen": run("LISTEN news"),
    "notifications": notified,
    "advisory lock": run("SELECT pg_advisory_lock(1), pg_advisory_lock(1), pg_advisory_lock_shared(2)"),
    "cursor with hold": run("DECLARE held CURSOR WITH HOLD FOR SELECT 1"),
    "cursor": run("DECLARE mine CURSOR FOR SELECT 1"),
    "closed all": run("CLOSE ALL", "UNLISTEN *"),
    "a failed statement": lambda connection: suppressed(connection, "SELECT 1 / 0"),
    "a failure after all that": failing(run("SET ROLE pg_monitor", "LISTEN news", "SELECT pg_advisory_lock(1)")),
    "a failed commit": run(
        "CREATE TEMP TABLE one (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO one VALUES (1), (1)",
        "SET ROLE pg_monitor",
    ),
    "two-phase": two_phase,
}

# Once more what a pooler leaves to its own settings.
PREPARING: dict[str, Act] = {
    "prepare": prepared,
    "prepare threshold": attribute("prepare_threshold", 0),
    "deallocate": run("DEALLOCATE ALL"),
    "discard": settled("DISCARD ALL"),
}

CLOSED: dict[str, Act] = {
    "closed": lambda connection: connection.close(),
    "closed below": lambda connection: connection.pgconn.finish(),
    "terminated": lambda connection: suppressed(connection, "SELECT pg_terminate_backend(pg_backend_pid())"),
    "pipeline": entered(lambda connection: connection.pipeline()),
    "pipeline below": lambda connection: connection.pgconn.enter_pipeline_mode(),
    "copy": entered(lambda connection: connection.cursor().copy("COPY actors FROM STDIN")),
    "copy out": entered(lambda connection: connection.cursor().copy("COPY pg_type TO STDOUT")),
    "stream": stream,
    "sent": lambda connection: connection.pgconn.send_query(b"SELECT pg_sleep(0.1)"),
    "transaction": entered(lambda connection: connection.transaction()),
    "nested transactions": lambda connection: [CLOSED["transaction"](connection) for _ in range(2)],
    "two-phase": two_phase,
}


def suppressed(connection: Borrowed, statement: str) -> None:
    with suppress(psycopg.Error):
        run(statement)(connection)


@contextmanager
def borrowed() -> Iterator[Borrowed]:
    with suppress(psycopg.Error), get_connection() as connection:
        yield connection


def seen() -> tuple[Any, ...]:
    """Return what the next borrower sees."""
    with get_connection() as connection:
        handed = [vars(connection).get(name) for name in ("_notice_handlers", "_notify_handlers", "_notifies_backlog")]
        attributes = [
            getattr(connection, name)
            for name in (
                *("autocommit", "isolation_level", "read_only", "deferrable", "row_factory", "cursor_factory"),
                *("server_cursor_factory", "prepare_threshold", "prepared_max", "closed"),
            )
        ]
        facts = connection.execute(_FACTS).fetchone()
        names = connection.execute("SELECT 'a'::text, 'b'::varchar, 3, true").fetchone()
        loaders = [connection.adapters.get_loader(oid, psycopg.pq.Format.TEXT) for oid in (16, 23, 25, 1043, 3802)]
        types = connection.adapters.types["text"].oid
        status = connection.pgconn.pipeline_status, connection.pgconn.nonblocking
        notifications = list(connection.notifies(timeout=0))
        text = connection.info.encoding, sorted(set(vars(connection)) - {"_adapters", "_begin_statement"})
    return (*handed, *attributes, facts, names, loaders, types, status, notifications, text)


def pid() -> int:
    with get_connection() as connection:
        return connection.info.backend_pid


def check_library(backend: Backend, actor_id: str) -> None:
    """Check that the library's own calls are not affected."""
    prop, name = get_property(backend), new_id()
    assert prop.set(actor_id, "email", name) is True
    assert prop.get(actor_id, "email") == name
    assert prop.get_actor_id_from_property("email", name) == actor_id
    assert get_actor(backend).get(actor_id) is not None
    assert get_attribute(backend).set_attr(actor_id, "b", "n", {"x": 1}, timestamp="2024-02-01T00:00:00Z")
    entry = get_attribute(backend).get_attr(actor_id, "b", "n")
    assert entry is not None
    assert (entry["data"], entry["timestamp"].isoformat()) == ({"x": 1}, "2024-02-01T00:00:00+00:00")


@pytest.fixture
def one(backend: Backend, actor_id: str, set_env: SetEnv) -> tuple[Any, ...]:
    """Limit the pool to one connection; return what its first borrower sees."""
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="5")
    check_library(backend, actor_id)
    return seen()


@pytest.mark.parametrize("act", [*ACTS, *PREPARING])
def test_the_next_user_sees_nothing_of_it(backend: Backend, actor_id: str, one: tuple[Any, ...], act: str) -> None:
    session = pid()
    with borrowed() as connection:
        (ACTS | PREPARING)[act](connection)
    check_library(backend, actor_id)
    assert seen() == one
    if act != "two-phase":
        assert pid() == session


@pytest.mark.parametrize("act", CLOSED)
def test_what_cannot_be_put_in_order_is_closed(backend: Backend, actor_id: str, one: tuple[Any, ...], act: str) -> None:
    session = pid()
    with borrowed() as connection:
        CLOSED[act](connection)
    check_library(backend, actor_id)
    assert seen() == one
    assert pid() != session
    assert get_pool().get_stats()["pool_size"] == 1


@pytest.mark.parametrize("act", ACTS)
def test_so_it_is_behind_a_pooler(
    backend: Backend, actor_id: str, one: tuple[Any, ...], set_env: SetEnv, act: str
) -> None:
    """The session may belong to this client alone, as with a pooler in session mode."""
    set_env(PG_POOLER="on")
    before = seen()
    with borrowed() as connection:
        ACTS[act](connection)
    check_library(backend, actor_id)
    assert seen() == before


def test_behind_a_pooler_what_others_prepared_is_left(backend: Backend, actor_id: str, set_env: SetEnv) -> None:
    set_env(PG_POOLER="on", PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")
    with get_connection() as connection:
        connection.execute("PREPARE another AS SELECT 1")
    with get_connection() as connection:
        assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == [("another",)]


def test_a_role_that_the_server_gives_the_session_stays(backend: Backend, pg: PgConnection, set_env: SetEnv) -> None:
    """As for short-lived users that act as the owner of the tables."""
    name, owner = new_id("day "), pg.info.user
    user, role = sql.Identifier(name), sql.Identifier(owner)
    pg.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE {}").format(user, role))
    try:
        pg.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(user, sql.Literal(owner)))
        set_env(PG_DB_URL=conninfo_of(pg, user=name, password="x"), PG_POOL_MAX_SIZE="1")
        for _ in range(2):
            with get_connection() as connection:
                assert connection.execute("SELECT current_user, session_user").fetchone() == (owner, name)
                connection.execute("SET ROLE NONE")
        assert backend.DbActor.DbActor().get("absent") is None
    finally:
        set_env(PG_DB_URL=None)
        pg.execute(sql.SQL("DROP ROLE {}").format(user))


def test_a_loan_takes_two_round_trips_and_the_next_call_one(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    check_library(backend, actor_id)

    def flights(act: Act) -> int:
        before = proxy.flights
        with borrowed() as connection:
            act(connection)
        return proxy.flights - before

    assert flights(lambda _: None) == 2
    assert flights(run("SELECT 1")) == 3
    assert flights(lambda connection: connection.rollback()) == 3
    assert flights(failing(lambda _: None)) == 3
    before = proxy.flights
    get_property(backend).get(actor_id, "email")
    assert proxy.flights - before == 1


def test_a_caller_that_closes_the_connection_rolls_back(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    with get_connection() as connection:
        connection.execute("DELETE FROM actors")
        connection.close()
    assert get_actor(backend).get(actor_id) is not None
    with get_connection() as connection:
        connection.execute("DELETE FROM actors")
        connection.commit()
        connection.close()
    assert get_actor(backend).get(actor_id) is None


@pytest.mark.parametrize("act", ["terminated", "closed below", "transaction", "copy", "sent", "pipeline below"])
def test_no_block_ends_cleanly_that_did_not_commit(backend: Backend, actor_id: str, act: str) -> None:
    def lose() -> None:
        with get_connection() as connection:
            connection.execute("DELETE FROM actors")
            CLOSED[act](connection)

    with pytest.raises(psycopg.Error):
        lose()
    assert get_actor(backend).get(actor_id) is not None


def test_what_a_pipeline_holds_is_committed(backend: Backend, actor_id: str) -> None:
    with get_connection() as connection:
        CLOSED["pipeline"](connection)
        connection.execute("DELETE FROM actors")
    assert get_actor(backend).get(actor_id) is None


def test_settings_of_the_transaction_count_at_its_commit(backend: Backend, pg: PgConnection) -> None:
    """Deferred triggers still run with the role and the settings of the block."""
    with get_connection() as connection:
        connection.execute("CREATE TABLE noted (who text, app text)")
        connection.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO noted VALUES (current_user, current_setting('app.name')); RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON actors DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION note()"
        )
    try:
        with get_connection() as connection:
            connection.execute("INSERT INTO actors (id, creator, passphrase) VALUES ('deferred', '', '')")
            connection.execute("SET LOCAL app.name TO 'me'")
        assert pg.execute("SELECT app FROM noted").fetchall() == [("me",)]
    finally:
        pg.execute("DROP TRIGGER note ON actors")
        pg.execute("DROP FUNCTION note()")
        pg.execute("DROP TABLE noted")


def test_the_borrower_cannot_go_on_after_the_block(backend: Backend, actor_id: str) -> None:
    with get_connection() as connection:
        cursor = connection.cursor()
        server_cursor = connection.cursor("mine")
        server_cursor.execute("SELECT generate_series(1, 9)")
        kept = connection.execute("SELECT 1")
    assert connection.closed
    assert kept.fetchall() == [(1,)]
    for late in (lambda: connection.execute("SELECT 1"), lambda: cursor.execute("SELECT 1"), server_cursor.fetchone):
        with pytest.raises(psycopg.Error):
            late()
    for close in (cursor.close, server_cursor.close, connection.close, connection.rollback):
        with suppress(psycopg.Error):
            close()
    check_library(backend, actor_id)


@pytest.mark.filterwarnings("error")
def test_the_object_is_forgotten_without_a_warning(backend: Backend) -> None:
    with get_connection() as connection, connection:
        gone = weakref.ref(connection)
    del connection
    gc.collect()
    assert gone() is None


def test_a_notification_that_nobody_read_is_not_the_next_borrowers(
    backend: Backend, pg: PgConnection, one: tuple[Any, ...]
) -> None:
    with get_connection() as connection:
        settled("LISTEN news")(connection)
        pg.execute("NOTIFY news")
        assert select.select([connection], [], [], 10)[0]
    assert seen() == one


def test_handlers_of_the_layers_own_connection_are_put_back(backend: Backend, one: tuple[Any, ...]) -> None:
    def own() -> list[object]:
        connection = get_pool().getconn()
        try:
            return [connection.pgconn.notice_handler, connection.pgconn.notify_handler]
        finally:
            get_pool().putconn(connection)

    before = own()
    with get_connection() as connection:
        handlers(connection)
    assert own() == before
