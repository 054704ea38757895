"""What is repeated, what is not, and what a failed call leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import pytest

from actingweb.db import get_property, get_subscription
from actingweb.db.exceptions import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbOutcomeUnknownError,
    DbTimeoutError,
    DbUnknownActorError,
)
from actingweb.db.postgresql.connection import close_pool, get_connection, get_pool
from actingweb.db.postgresql.property_lookup import compute_lookup_key
from actingweb.db.registry import Backend
from testbed.tcp_proxy import Forward, TcpProxy
from tests.conftest import SetEnv
from tests.support import PATIENCE, conninfo_of, new_id, require_superuser, wait_until

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

NewActor = Callable[..., str]


def value_of(pg: PgConnection, actor_id: str, name: str = "email") -> str | None:
    row = pg.execute("SELECT value FROM properties WHERE id = %s AND name = %s", [actor_id, name]).fetchone()
    return None if row is None else row[0]


def claims_of(pg: PgConnection, actor_id: str) -> list[tuple[str, ...]]:
    rows = pg.execute("SELECT lookup_key FROM property_lookup WHERE actor_id = %s ORDER BY 1", [actor_id])
    return rows.fetchall()


def blocked(pg: PgConnection) -> list[int]:
    """Return the sessions that wait for this one."""
    pg.execute("SELECT pg_stat_clear_snapshot()")
    rows = pg.execute("SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    return [pid for (pid,) in rows]


@contextmanager
def blocking(pg: PgConnection, statement: bytes, *parameters: str) -> Iterator[None]:
    """Hold the locks of a statement until the block ends, when it is rolled back."""
    with pg.transaction(force_rollback=True):
        pg.execute(statement, parameters)
        yield


def wait_until_blocked(pg: PgConnection) -> int:
    wait_until(lambda: blocked(pg))
    return blocked(pg)[0]


UPDATE_PROPERTY = b"UPDATE properties SET value = value WHERE id = %s"


@pytest.mark.parametrize("name", ["color", "email"])
def test_a_write_that_the_server_ended_is_repeated(
    name: str, backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    """The server reports that it ended the session, so nothing was written. An indexed property takes a pipeline."""
    get_property(backend).set(actor_id, name, "old")
    with ThreadPoolExecutor(1) as threads:
        with blocking(pg, UPDATE_PROPERTY, actor_id):
            writing = threads.submit(get_property(backend).set, actor_id, name, "new")
            first = wait_until_blocked(pg)
            pg.execute("SELECT pg_terminate_backend(%s)", [first])
            wait_until(lambda: blocked(pg) not in ([], [first]))
        assert writing.result(PATIENCE) is True
    assert value_of(pg, actor_id, name) == "new"


def test_behind_a_pooler_the_outcome_of_such_a_write_is_unknown(
    backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    set_env(PG_POOLER="on")
    get_property(backend).set(actor_id, "color", "old")
    with ThreadPoolExecutor(1) as threads, blocking(pg, UPDATE_PROPERTY, actor_id):
        writing = threads.submit(get_property(backend).set, actor_id, "color", "new")
        pg.execute("SELECT pg_terminate_backend(%s)", [wait_until_blocked(pg)])
        assert isinstance(writing.exception(PATIENCE), DbOutcomeUnknownError)


def test_a_lost_answer_to_a_read_is_asked_for_again(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    get_property(backend).set(actor_id, "n", "v")
    proxy.losses = 2
    # The second loss is the answer to the new connection's first message.
    with pytest.raises(DbError):
        get_property(backend).get(actor_id, "n")
    assert get_property(backend).get(actor_id, "n") == "v"
    proxy.losses = 1
    assert get_property(backend).get(actor_id, "n") == "v"


def test_a_lost_answer_to_a_write_is_an_unknown_outcome(
    backend: Backend, actor_id: str, pg: PgConnection, proxy: TcpProxy
) -> None:
    subscription = get_subscription(backend)
    assert subscription.create(actor_id, "peer", "s")
    proxy.losses = 1
    with pytest.raises(DbOutcomeUnknownError):
        subscription.increment_seqnr()
    assert pg.execute("SELECT seqnr FROM subscriptions").fetchone() == (1,)


class Cut:
    """Cuts the connection instead of forwarding the client's message of this number."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, forward: Forward) -> bool:
        self.left -= 1
        if self.left == -1:
            return False
        forward()
        return True


def test_a_connection_lost_before_a_write_is_sent_leaves_no_doubt(
    backend: Backend, actor_id: str, proxy: TcpProxy
) -> None:
    """Of all messages of a first connection, from the log-in on, only the last is the write."""
    outcomes: list[object] = []
    for number in count():
        close_pool()
        proxy.spoiler = cut = Cut(number)
        try:
            outcomes.append(get_property(backend).set(actor_id, "n", "v"))
        except DbError as error:
            outcomes.append(type(error))
        if cut.left >= 0:
            break
    *before, last, uncut = outcomes
    assert (last, uncut) == (DbOutcomeUnknownError, True)
    # libpq itself tries again without TLS.
    assert {DbConnectionError} <= set(before) <= {DbConnectionError, True}


def test_a_pipeline_cut_short_changes_nothing_or_all(
    backend: Backend, actor_id: str, pg: PgConnection, proxy: TcpProxy
) -> None:
    get_property(backend).set(actor_id, "email", "old")
    proxy.losses = 1
    with pytest.raises(DbOutcomeUnknownError):
        get_property(backend).set(actor_id, "email", "new")
    stored = value_of(pg, actor_id)
    assert stored in ("old", "new")
    assert claims_of(pg, actor_id) == [(compute_lookup_key("email", str(stored)),)]


def test_the_time_after_which_a_silent_server_counts_as_lost_reaches_libpq(
    backend: Backend, actor_id: str, set_env: SetEnv
) -> None:
    set_env(PG_TCP_USER_TIMEOUT="1.5")
    with get_connection() as connection:
        assert connection.info.get_parameters()["tcp_user_timeout"] == "1500"


def test_a_deadlock_is_resolved_without_the_caller(
    backend: Backend, new_actor: NewActor, pg: PgConnection, set_env: SetEnv
) -> None:
    require_superuser(pg)  # for deadlock_timeout
    mine, other = new_actor(), new_actor()
    assert get_property(backend).set(mine, "email", "old")
    assert get_property(backend).set(other, "email", "wanted")
    set_env(PG_DB_URL=conninfo_of(pg, options="-c deadlock_timeout=50ms"))
    with ThreadPoolExecutor(1) as threads:
        with pg.transaction():
            pg.execute("SET LOCAL deadlock_timeout = '1min'")
            pg.execute("UPDATE property_lookup SET actor_id = actor_id WHERE actor_id = %s", [other])
            setting = threads.submit(get_property(backend).set, mine, "email", "wanted")
            wait_until_blocked(pg)
            pg.execute(UPDATE_PROPERTY, [mine])
        assert setting.result(PATIENCE) is True
    assert value_of(pg, mine) == "wanted"
    assert claims_of(pg, mine) == []


def test_a_conflict_that_stays_is_raised_after_five_tries(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    pg.execute("CREATE SEQUENCE tries")
    pg.execute(
        "CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN "
        "PERFORM nextval('tries'); RAISE SQLSTATE '40001' USING DETAIL = 'secret'; END $$"
    )
    pg.execute("CREATE TRIGGER collide BEFORE INSERT ON peertrustees FOR EACH ROW EXECUTE FUNCTION collide()")
    try:
        with pytest.raises(DbConflictError):
            backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "peer", "type")
        assert pg.execute("SELECT last_value FROM tries").fetchone() == (5,)
    finally:
        pg.execute("DROP FUNCTION collide CASCADE")
        pg.execute("DROP SEQUENCE tries")


@pytest.mark.parametrize("pooler", ["off", "on"])
def test_a_write_whose_commit_fails_is_no_success(
    pooler: str, backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    """The server reports the statement as done before it commits, and the commit may fail."""
    set_env(PG_POOLER=pooler)
    prop = get_property(backend)
    assert prop.set(actor_id, "color", "old")
    assert prop.set(actor_id, "color", "old")
    pg.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '40001'; END $$")
    pg.execute(
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON properties DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        with pytest.raises(DbConflictError):
            prop.set(actor_id, "color", "new")
    finally:
        pg.execute("DROP FUNCTION refuse CASCADE")
    assert value_of(pg, actor_id, "color") == "old"


@pytest.mark.parametrize("before", [0, 3], ids=["first", "prepared"])
@pytest.mark.parametrize("name", ["color", "email"], ids=["one statement", "pipeline"])
def test_a_write_whose_commit_fails_is_not_acknowledged(
    backend: Backend, actor_id: str, pg: PgConnection, name: str, before: int
) -> None:
    for _ in range(before):
        assert get_property(backend).set(actor_id, name, "old")
    pg.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE integrity_constraint_violation; END $$"
    )
    pg.execute(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON properties DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        with pytest.raises(DbError, match="property write"):
            get_property(backend).set(actor_id, name, "new")
    finally:
        pg.execute("DROP FUNCTION refuse CASCADE")
    assert value_of(pg, actor_id, name) == ("old" if before else None)


@pytest.mark.parametrize("option", ["lock_timeout", "statement_timeout"])
def test_a_timeout_of_the_server_is_a_timeout(
    option: str, backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    get_property(backend).set(actor_id, "email", "old")
    set_env(PG_DB_URL=conninfo_of(pg, options=f"-c {option}=100"))
    with blocking(pg, UPDATE_PROPERTY, actor_id), pytest.raises(DbTimeoutError):
        get_property(backend).set(actor_id, "email", "new")
    assert value_of(pg, actor_id) == "old"
    assert get_property(backend).set(actor_id, "email", "new")


def test_a_failed_write_of_an_indexed_property_changes_nothing(backend: Backend, pg: PgConnection) -> None:
    stranger = new_id()
    with pytest.raises(DbUnknownActorError, match="unknown actor"):
        get_property(backend).set(stranger, "email", "value")
    assert pg.execute("SELECT count(*) FROM property_lookup").fetchone() == (0,)


def test_a_creator_that_its_index_cannot_hold_is_refused(backend: Backend) -> None:
    creator = "".join(new_id("") for _ in range(1000))
    with pytest.raises(DbInputError, match="too long"):
        backend.DbActor.DbActor().create(new_id(), creator)


def test_an_error_leaves_the_connection_usable(backend: Backend, actor_id: str) -> None:
    """Only an error while a statement is being prepared costs the connection."""
    prop, pids = get_property(backend), []
    for _ in range(20):
        with pytest.raises(DbUnknownActorError):
            prop.set("stranger", "email", "x")
        assert prop.set(actor_id, "email", "x")
        with get_connection() as connection:
            pids.append(connection.info.backend_pid)
    assert len(set(pids)) <= 2
    assert get_pool().get_stats()["pool_size"] == 1


def use_often(backend: Backend, actor_id: str) -> None:
    for _ in range(8):
        assert get_property(backend).set(actor_id, "color", "red")
        assert get_property(backend).get(actor_id, "color") == "red"


def test_prepared_statements_that_are_gone_are_no_error(backend: Backend, actor_id: str) -> None:
    use_often(backend, actor_id)
    with get_connection() as connection:
        connection.pgconn.exec_(b"DEALLOCATE ALL")
    use_often(backend, actor_id)


def test_prepared_statements_whose_tables_changed_are_no_error(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    use_often(backend, actor_id)
    pg.execute("ALTER TABLE properties ALTER COLUMN value TYPE varchar")
    try:
        use_often(backend, actor_id)
    finally:
        pg.execute("ALTER TABLE properties ALTER COLUMN value TYPE text")
        # Statements that its connections have prepared are of the other type; a transaction could not repeat them.
        close_pool()
