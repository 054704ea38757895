"""PgBouncer in transaction mode between the application and the server (issue 5, item 4)."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.pq import TransactionStatus

import actingweb.db.postgresql
from actingweb.db import DbUnknownActorError, get_actor, get_property
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.postgresql.migrate import ALEMBIC_INI, upgrade
from actingweb.db.registry import Backend
from actingweb.db.settings import get_settings
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.contract.support.calls import requesting
from tests.support import new_id

from .answers import Answers, counted, make_counter, work_in_processes
from .conftest import Amount, Figures
from .pgbouncer import HOW_TO_GET_IT, PgBouncer, find_pgbouncer

pytestmark = pytest.mark.backends("postgresql")

PgConnection = psycopg.Connection[tuple[Any, ...]]

THREADS = 2
# Far fewer than clients, so that each session of the server serves many.
SESSIONS = 3
SECONDS = 120.0


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresTarget) -> Iterator[PgBouncer]:
    """Start a PgBouncer in front of the session's server."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip(HOW_TO_GET_IT)
    with postgres_server.connect() as connection:
        info = connection.info
        target = {
            "PG_DB_HOST": info.host,
            "PG_DB_PORT": str(info.port),
            "PG_DB_USER": info.user,
            "PG_DB_PASSWORD": info.password,
            "PG_DB_NAME": info.dbname,
        }
    with PgBouncer(program, target, SESSIONS) as running:
        yield running


@pytest.fixture
def pooled(backend: Backend, pooler: PgBouncer, set_env: SetEnv) -> Callable[..., None]:
    """Lead the backend through the pooler; return a function that does so with other settings."""

    def lead(**more: str) -> None:
        set_env(DATABASE_URL=None, PG_DB_URL=None, **pooler.settings(), **more)

    lead()
    return lead


@contextmanager
def all_sessions(pooler: PgBouncer) -> Iterator[list[PgConnection]]:
    """Yield a connection to each session that the pooler keeps, in a transaction that holds it."""
    with ExitStack() as stack:
        held = []
        for _ in range(SESSIONS):
            connection = stack.enter_context(pooler.connect())
            stack.enter_context(connection.transaction())
            held.append(connection)
        pids = {connection.execute("SELECT pg_backend_pid()").fetchone() for connection in held}
        assert len(pids) == SESSIONS
        yield held


def work(backend: Backend, processes: int, operations: int) -> tuple[Answers, float]:
    """Let processes do so many operations each; return the answers and the seconds that it took."""
    counter = make_counter(backend)
    began = time.monotonic()
    answers = work_in_processes(processes, operations, THREADS, counter, SECONDS)
    if answers.right:
        assert counted(backend, counter) == len(answers.numbers)
    return answers, time.monotonic() - began


def test_the_operations_of_many_processes_return_no_wrong_row(
    backend: Backend, pooled: Callable[..., None], pooler: PgBouncer, amount: Amount, figures: Figures
) -> None:
    before = pooler.transactions()
    answers, seconds = work(backend, amount(3, 8), amount(400, 2500))
    through = pooler.transactions() - before
    figures(
        "PgBouncer, 8 processes of 2 threads on 3 sessions",
        seconds=seconds,
        tried=answers.tried,
        doubled=len(answers.numbers) - len(set(answers.numbers)),
        wrong=answers.wrong,
        failed=answers.failed,
    )
    assert answers.right, answers.problems
    assert through >= answers.tried * 0.9


def test_without_the_detection_they_do(backend: Backend, pooled: Callable[..., None], amount: Amount) -> None:
    """Without that setting this PgBouncer mixes up the statements that clients prepare: the test above can fail."""
    pooled(PG_POOLER="off")
    answers, _ = work(backend, amount(3, 8), amount(200, 300))
    print(f"undetected: tried {answers.tried}, wrong {answers.wrong}, failed {answers.failed}")
    assert answers.wrong + answers.failed > 0


def test_every_new_pool_detects_it(
    backend: Backend, pooled: Callable[..., None], set_env: SetEnv, amount: Amount
) -> None:
    """The process id that PgBouncer tells its clients is random, never the one of a session."""
    for _ in range(amount(20, 300)):
        set_env()
        get_actor(backend).get("a")
        assert get_pool().pooled is True


def test_a_direct_connection_is_not_taken_for_a_pooler(backend: Backend, set_env: SetEnv, amount: Amount) -> None:
    for _ in range(amount(20, 300)):
        set_env()
        get_actor(backend).get("a")
        assert get_pool().pooled is False


@pytest.mark.parametrize("setting", ["auto", "on"])
def test_sessions_are_left_as_they_were(
    backend: Backend, pooled: Callable[..., None], pooler: PgBouncer, setting: str
) -> None:
    """No method leaves a setting, an advisory lock, a prepared statement or anything temporary."""
    with all_sessions(pooler) as sessions:
        before = [state_of(session) for session in sessions]
    pooled(PG_POOLER=setting)
    for number in range(10):
        for call in requesting(backend, stored_actor(backend, str(number))).values():
            call()
    with all_sessions(pooler) as sessions:
        after = [state_of(session) for session in sessions]
    assert sorted(after) == sorted(before)


def test_what_a_borrower_changed_is_undone_in_the_session_it_had(
    backend: Backend, pooled: Callable[..., None], pooler: PgBouncer
) -> None:
    """Its last transaction and what undoes the rest are one message, which one session gets."""
    with all_sessions(pooler) as sessions:
        before = [state_of(session) for session in sessions]
    for _ in range(2 * SESSIONS):
        with get_connection() as connection:
            connection.execute("SET statement_timeout TO 12345")
            connection.execute("SET ROLE pg_monitor")
            connection.execute("SELECT pg_advisory_lock(1)")
            connection.execute("LISTEN news")
        assert get_actor(backend).get("absent") is None
    with all_sessions(pooler) as sessions:
        after = [state_of(session) for session in sessions]
        assert {session.execute("SELECT current_user = session_user").fetchone() for session in sessions} == {(True,)}
    assert sorted(after) == sorted(before)


def stored_actor(backend: Backend, mark: str) -> str:
    actor_id = new_id(mark)
    assert get_actor(backend).create(actor_id=actor_id, creator="creator@example.com", passphrase="secret")
    return actor_id


def state_of(session: PgConnection) -> list[tuple[Any, ...]]:
    """Return what a session keeps from one transaction to the next."""
    return session.execute(
        "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name' "
        "UNION ALL SELECT 'lock', classid::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
        "UNION ALL SELECT 'prepared', name FROM pg_prepared_statements "
        "UNION ALL SELECT 'cursor', name FROM pg_cursors WHERE is_holdable "
        "UNION ALL SELECT 'listening', channel FROM pg_listening_channels() AS channel "
        "UNION ALL SELECT 'temporary', relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() ORDER BY 1, 2"
    ).fetchall()


HOSTILE = (
    "SET search_path TO {decoy}",
    "SET TimeZone TO 'Asia/Kathmandu'",
    "SET DateStyle TO 'SQL, DMY'",
    "SET IntervalStyle TO 'sql_standard'",
    "SET bytea_output TO 'escape'",
    "SET standard_conforming_strings TO off",
    "SET plan_cache_mode TO 'force_generic_plan'",
    "PREPARE _pg3_0 AS SELECT 'of somebody else'",
    "PREPARE _pg3_1 (text) AS SELECT $1",
)


@pytest.fixture
def neighbour(pooler: PgBouncer, postgres_server: PostgresTarget) -> Iterator[None]:
    """Have the pooler's sessions left by a client that changed all it could, with tables of the same names."""
    schema = sql.Identifier(new_id("Decoy "))
    with postgres_server.connect() as direct:
        direct.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        for table in ("actors", "properties", "property_lookup", "trusts", "attributes"):
            name = sql.SQL("{}.{}").format(schema, sql.Identifier(table))
            direct.execute(sql.SQL("CREATE TABLE {} (id text, name text, value text)").format(name))
        with all_sessions(pooler) as sessions:
            for session in sessions:
                for statement in HOSTILE:
                    session.execute(sql.SQL(statement).format(decoy=schema))
        yield
        with all_sessions(pooler) as sessions:
            for session in sessions:
                session.execute("RESET ALL")
                session.execute("DEALLOCATE ALL")
        direct.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))


def test_what_another_client_left_in_the_sessions_changes_no_answer(
    backend: Backend, pooled: Callable[..., None], neighbour: None, amount: Amount
) -> None:
    answers, _ = work(backend, amount(2, 8), amount(200, 300))
    assert answers.right, answers.problems


def test_times_do_not_depend_on_what_another_client_left(
    backend: Backend, pooled: Callable[..., None], neighbour: None
) -> None:
    actor_id = stored_actor(backend, "a")
    noon = "2024-07-01T12:00:00.123456+00:00"
    trust = backend.DbTrust.DbTrust()
    assert trust.create(actor_id, "peer", created_at=noon, last_accessed=noon)
    found = trust.get(actor_id, "peer")
    assert (found["created_at"], found["last_accessed"]) == (noon, noon)


# What would outlive a transaction, or take a lock that does; `connection` is for callers with SQL of their own, and
# the migrations connect by themselves.
STATEFUL = (
    "search_path",
    "advisory",
    "set session",
    "set time",
    "set role",
    "listen ",
    "temporary",
    "with hold",
    "%rowtype",
)


def test_no_statement_of_the_entities_is_about_the_session() -> None:
    package = Path(actingweb.db.postgresql.__file__).parent
    found = [
        f"{path.name}: {text}"
        for path in sorted(package.glob("*.py"))
        # The second writes SQL for psql.
        if path.name not in ("connection.py", "migrate.py")
        for text in texts_of(path)
        if any(word in text.lower() for word in STATEFUL)
    ]
    assert found == []


def texts_of(path: Path) -> list[str]:
    """Return the texts in a module that are not documentation."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documentation = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [text for text in constants if isinstance(text, str) and text not in documentation]


@pytest.fixture
def direct_url(postgres_server: PostgresTarget) -> str:
    """Return how to connect past the pooler."""
    with postgres_server.connect() as connection:
        info = connection.info
        return psycopg.conninfo.make_conninfo(
            host=info.host, port=info.port, dbname=info.dbname, user=info.user, password=info.password
        )


@pytest.fixture
def prefix(pooler: PgBouncer) -> Iterator[str]:
    """Return a prefix for a schema of the test's own."""
    name = f"Pooled-{new_id()[:8]}_"
    yield name
    with pooler.connect() as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(f"{name}public")))


def test_alembic_goes_past_the_pooler_by_its_own_url(
    backend: Backend,
    pooled: Callable[..., None],
    pooler: PgBouncer,
    direct_url: str,
    prefix: str,
) -> None:
    pooled(PG_DB_PREFIX=prefix, PG_MIGRATION_URL=direct_url)
    before = pooler.transactions()
    upgrade()
    command.check(Config(ALEMBIC_INI))
    assert pooler.transactions() == before
    actor_id = stored_actor(backend, "a")
    assert get_property(backend).set(actor_id, "email", "x")
    assert get_settings().postgresql.schema == f"{prefix}public"
    assert pooler.transactions() > before


def test_alembic_works_through_the_pooler_too(
    backend: Backend, pooled: Callable[..., None], pooler: PgBouncer, prefix: str
) -> None:
    """All of it is one transaction, its lock included."""
    pooled(PG_DB_PREFIX=prefix)
    with all_sessions(pooler) as sessions:
        before = [state_of(session) for session in sessions]
    upgrade()
    with all_sessions(pooler) as sessions:
        assert sorted(state_of(session) for session in sessions) == sorted(before)
    assert get_actor(backend).get("a") is None


def test_explicit_transactions_hold_one_session_and_leave_it(
    backend: Backend, pooled: Callable[..., None], pooler: PgBouncer
) -> None:
    pooled(PG_EXPLICIT_TRANSACTIONS="on")
    for number in range(10):
        with pytest.raises(DbUnknownActorError):
            get_property(backend).set("stranger", "email", str(number))
        actor_id = stored_actor(backend, str(number))
        assert get_property(backend).set(actor_id, "email", f"{number}@example.com")
        assert get_property(backend).get_actor_id_from_property("email", f"{number}@example.com") == actor_id
    with all_sessions(pooler) as sessions:
        assert all(session.info.transaction_status == TransactionStatus.INTRANS for session in sessions)
