"""What the library says of a schema that is not the one that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from psycopg import sql

from actingweb.db import DbSchemaError, health, load_backend, transaction
from actingweb.db.postgresql.connection import close_pool, get_connection
from actingweb.db.postgresql.revision import EARLIER, HEAD
from actingweb.db.registry import Backend
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.support import new_id, require_superuser

from .conftest import BASELINE, DIRECTORY, Place

COMMAND = f"run `cd {DIRECTORY} && alembic upgrade head`"
NEWER = "run `pip install --upgrade actingweb-db`"

Call = Callable[[Backend], object]

CALLS: dict[str, Call] = {
    "read": lambda library: library.DbTrust.DbTrust().get("a1", "p1"),
    "write": lambda library: library.DbSubscription.DbSubscription().create("a1", "p", "s"),
    "pipeline": lambda library: library.DbProperty.DbProperty().set("a1", "email", "me@example.com"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


@pytest.fixture
def library(place: Place, set_env: SetEnv) -> Backend:
    """Return the backend on an empty place."""
    set_env(DATABASE_BACKEND="postgresql")
    return load_backend()


def reason_of(call: Call, library: Backend) -> str:
    """Return the reason of the `DbSchemaError` that a call raises."""
    with pytest.raises(DbSchemaError) as raised:
        call(library)
    assert "alembic upgrade head" in str(raised.value)
    return str(raised.value.reason)


@every_call
def test_a_missing_schema(place: Place, library: Backend, call: Call) -> None:
    assert reason_of(call, library) == f"the schema is missing: {COMMAND}"


@every_call
def test_an_empty_schema(place: Place, library: Backend, call: Call) -> None:
    place.connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place.schema)))
    assert reason_of(call, library) == f"the schema has no tables that Alembic made: {COMMAND}"


@every_call
@pytest.mark.parametrize("revision", EARLIER)
def test_an_older_revision(place: Place, library: Backend, call: Call, revision: str) -> None:
    place.upgrade(revision)
    expected = f"the schema is at revision {revision}, this release needs {HEAD}: {COMMAND}"
    assert reason_of(call, library) == expected


@every_call
def test_a_revision_before_the_chain(old_place: Place, library: Backend, call: Call) -> None:
    old_place.execute("UPDATE alembic_version SET version_num = 'aaaabbbbcccc'")
    assert reason_of(call, library) == (
        f"the schema is at revision aaaabbbbcccc, this release needs {HEAD}: "
        f"upgrade it with ActingWeb 3.15 first, then {COMMAND}"
    )


NEW_LAYOUT: dict[str, str] = {
    "read": "ALTER TABLE trusts RENAME secret TO token",
    "write": "ALTER TABLE subscriptions ADD needed text NOT NULL",
    "pipeline": "DROP TABLE property_lookup",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_newer_revision_that_this_release_cannot_work_with(place: Place, library: Backend, name: str) -> None:
    make_newer(place)
    place.connection.execute(NEW_LAYOUT[name].encode())
    assert reason_of(CALLS[name], library) == (
        f"the schema is at revision ffffeeeedddd, this release needs {HEAD}: a newer release made it, "
        f"so {NEWER}; `alembic upgrade head` of this release cannot help"
    )


@every_call
def test_a_newer_revision_that_has_only_more_is_no_error(place: Place, library: Backend, call: Call) -> None:
    make_newer(place)
    place.execute("ALTER TABLE trusts ADD more text DEFAULT 'x'")
    place.execute("CREATE TABLE more (id text)")
    call(library)


def test_a_newer_revision_is_ready_if_it_lacks_nothing(place: Place, library: Backend) -> None:
    make_newer(place)
    place.execute("ALTER TABLE trusts ADD more text DEFAULT 'x'")
    found = health(ready=True)
    assert (found["status"], found["schema"]) == ("ok", {"revision": "ffffeeeedddd", "needed": HEAD})
    place.execute("ALTER TABLE trusts DROP COLUMN secret")
    found = health(ready=True)
    assert (found["status"], found["error"]) == ("error", "DbSchemaError")
    assert "a newer release made it" in found["reason"]


def make_newer(place: Place) -> None:
    """Give a place at head, with an actor, the revision of a release that is not made yet."""
    place.upgrade()
    place.execute("INSERT INTO actors VALUES ('a1', '', '')")
    place.execute("UPDATE alembic_version SET version_num = 'ffffeeeedddd'")


def test_a_revision_whose_name_is_none_is_not_shown(old_place: Place, library: Backend) -> None:
    old_place.execute("UPDATE alembic_version SET version_num = %s", "`x`; DROP 'é'")
    assert reason_of(CALLS["read"], library).startswith("the schema is at revision with an unusual name, ")


@every_call
def test_a_table_that_is_missing_at_the_right_revision(place: Place, library: Backend, call: Call) -> None:
    place.upgrade()
    place.execute("INSERT INTO actors VALUES ('a1', '', '')")
    for table in ("trusts", "subscriptions", "property_lookup"):
        place.connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
    assert reason_of(call, library) == (
        f"a table or column is missing, though the schema is at revision {HEAD}: "
        "`alembic check` names it, `alembic upgrade head` does not restore it"
    )


@every_call
def test_an_application_that_runs_when_the_schema_goes_and_comes_back(
    place: Place, library: Backend, call: Call
) -> None:
    """It need not be started again."""
    for _ in range(2):
        place.upgrade()
        place.execute("INSERT INTO actors VALUES ('a1', '', '')")
        call(library)
        place.execute("DELETE FROM actors")
        place.downgrade()
        # The first statement that the other layout does not allow, and every one after it.
        for one in (CALLS["pipeline"], call):
            assert reason_of(one, library).startswith(f"the schema is at revision {BASELINE}")


def test_in_a_transaction_that_has_the_only_connection(place: Place, library: Backend, set_env: SetEnv) -> None:
    """Then there is none to look at the schema with, and nothing waits for one."""
    place.upgrade()
    place.execute("DROP TABLE trusts")
    set_env(PG_POOL_MAX_SIZE="1", PG_POOL_MIN_SIZE="1", PG_POOL_TIMEOUT="200")
    began = time.monotonic()
    with pytest.raises(DbSchemaError, match="run `alembic upgrade head`"), transaction():
        CALLS["read"](library)
    assert time.monotonic() - began < 100
    set_env(PG_POOL_MAX_SIZE="2")
    with pytest.raises(DbSchemaError, match="does not restore it"), transaction():
        CALLS["read"](library)


@every_call
def test_with_one_connection_behind_a_pooler(place: Place, library: Backend, call: Call, set_env: SetEnv) -> None:
    set_env(PG_POOLER="on", PG_POOL_MAX_SIZE="1", PG_POOL_MIN_SIZE="1")
    for revision in (BASELINE, EARLIER[-1]):
        place.upgrade(revision)
        assert COMMAND in reason_of(call, library)
    place.upgrade()
    place.execute("INSERT INTO actors VALUES ('a1', '', '')")
    call(library)


def test_a_role_that_may_not_read_the_revision(
    place: Place, library: Backend, postgres_server: PostgresTarget, set_env: SetEnv
) -> None:
    require_superuser(place.connection)
    place.upgrade()
    name = new_id("role")
    role, schema = sql.Identifier(name), sql.Identifier(place.schema)
    with postgres_server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(name)))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        connection.execute(sql.SQL("GRANT SELECT ON {}.trusts TO {}").format(schema, role))
        set_env(PG_DB_USER=name, PG_DB_PASSWORD=name)
        assert CALLS["read"](library) is None
        place.execute("ALTER TABLE trusts RENAME secret TO token")
        assert reason_of(CALLS["read"], library) == "a table, column or schema is missing: run `alembic upgrade head`"
        close_pool()
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def test_sql_of_the_application_s_own_is_not_held_up(old_place: Place, library: Backend) -> None:
    assert "the schema is at" in reason_of(CALLS["read"], library)
    with get_connection() as connection:
        row: tuple[Any, ...] | None = connection.execute("SELECT count(*) FROM subscriptions").fetchone()
    assert row == (0,)
