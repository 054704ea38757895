"""A schema that another application uses, and a database in another encoding, are refused before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import pytest
from alembic import command
from alembic.util import CommandError
from psycopg.errors import InvalidParameterValue
from psycopg.sql import SQL, Identifier

from actingweb.db import DbSchemaError, load_backend
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.postgresql.revision import EARLIER, HEAD
from actingweb.db.registry import Backend
from actingweb.db.settings import Settings
from actingweb.migration.errors import UsageError
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv

from .alembic_process import finish, start
from .conftest import Place, open_place
from .databases import database

THEIRS = "ae10d7f3c2b1"
ALEMBIC: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "upgrade": (command.upgrade, ("head",)),
    "downgrade": (command.downgrade, ("e5f6a7b8c9d0",)),
    "stamp": (command.stamp, ("head",)),
    "stamp baseline": (command.stamp, ("e5f6a7b8c9d0",)),
    "current": (command.current, ()),
    "check": (command.check, ()),
}
NEIGHBOURS: dict[str, LiteralString] = {
    "no tables": "",
    "other tables": "CREATE TABLE users (id text)",
    "a table of the same name": "CREATE TABLE trusts (id text); INSERT INTO trusts VALUES ('a1')",
    "tables of the same names": """
        CREATE TABLE properties (id text, name text, value text);
        CREATE TABLE attributes (id text, bucket text, name text);
        CREATE TABLE subscriptions (id text, peerid text, subid text);
        CREATE TABLE actors (id text, name text)
    """,
}


@pytest.fixture(params=NEIGHBOURS.values(), ids=list(NEIGHBOURS))
def taken_place(place: Place, set_env: SetEnv, request: pytest.FixtureRequest) -> Place:
    """Return a place where another application has its tables, and Alembic's."""
    place.connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(place.schema)))
    place.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    place.execute("INSERT INTO alembic_version VALUES (%s)", THEIRS)
    place.connection.execute(request.param.encode())
    set_env(DATABASE_BACKEND="postgresql")
    return place


def check_named(reason: object) -> None:
    assert "PG_DB_SCHEMA" in str(reason)
    assert f"{THEIRS} of another application" in str(reason)
    assert "pip install" not in str(reason)


CALLS: dict[str, Callable[[Backend], object]] = {
    "read": lambda library: library.DbTrust.DbTrust().get("a1", "p1"),
    "write": lambda library: library.DbActor.DbActor().create("a1"),
    "wipe": lambda library: library.DbProperty.DbProperty().batch_delete("a1", ["x"]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_calls(taken_place: Place, call: Callable[[Backend], object]) -> None:
    before = taken_place.contents()
    for _ in range(2):
        with pytest.raises(DbSchemaError) as raised:
            call(load_backend())
        check_named(raised.value.reason)
    assert taken_place.contents() == before


@pytest.mark.parametrize(("run", "arguments"), ALEMBIC.values(), ids=list(ALEMBIC))
def test_alembic(taken_place: Place, run: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    before = taken_place.contents(), taken_place.layout()
    with pytest.raises(CommandError) as raised:
        taken_place.alembic(run, *arguments)
    check_named(raised.value)
    assert (taken_place.contents(), taken_place.layout()) == before


def test_the_migration_tool(taken_place: Place) -> None:
    target = Target(Settings.from_environment().postgresql)
    with target.connect() as connection, pytest.raises(UsageError) as raised:
        target.check(connection)
    check_named(raised.value)


def test_a_schema_of_one_s_own_beside_it(taken_place: Place, postgres_server: PostgresTarget, set_env: SetEnv) -> None:
    """As the error says."""
    before = taken_place.contents()
    prefix = taken_place.schema.removesuffix("Main")
    with open_place(postgres_server, f"{prefix}Own") as own:
        set_env(PG_DB_PREFIX=prefix, PG_DB_SCHEMA="Own")
        own.upgrade()
        assert load_backend().DbActor.DbActor().create("a1")
    assert taken_place.contents() == before


@pytest.mark.parametrize("ours", [*EARLIER, HEAD])
def test_a_revision_of_another_application_beside_ours(place: Place, set_env: SetEnv, ours: str) -> None:
    place.upgrade(ours)
    place.execute("INSERT INTO alembic_version VALUES (%s)", THEIRS)
    set_env(DATABASE_BACKEND="postgresql")
    with pytest.raises(CommandError) as raised:
        place.upgrade()
    check_named(raised.value)
    if ours == HEAD:
        # The tables are right.
        assert load_backend().DbTrust.DbTrust().get("a1", "p1") is None
        return
    with pytest.raises(DbSchemaError) as refused:
        load_backend().DbTrust.DbTrust().get("a1", "p1")
    check_named(refused.value.reason)


def test_a_version_table_that_is_not_alembic_s(place: Place, set_env: SetEnv) -> None:
    place.upgrade()
    place.execute("ALTER TABLE alembic_version RENAME version_num TO other")
    with pytest.raises(CommandError, match="alembic_version cannot be read"):
        place.upgrade()


OTHER_ENCODINGS: dict[str, LiteralString] = {
    "LATIN1": "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    "SQL_ASCII": "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    "EUC_JP": "ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'",
}


@pytest.fixture(params=OTHER_ENCODINGS)
def other_encoding(
    postgres_server: PostgresTarget, set_env: SetEnv, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Place]]:
    """Return an empty place in a database of another encoding, and that."""
    try:
        with database(postgres_server, OTHER_ENCODINGS[request.param]) as target:
            assert target is not None
            set_env(DATABASE_BACKEND="postgresql", PG_DB_PREFIX=None, PG_DB_SCHEMA=None, **target.environment)
            with open_place(target, "public") as opened:
                yield request.param, opened
                close_pool()
    except InvalidParameterValue:
        pytest.skip("the server has not this encoding")


@pytest.mark.parametrize("schema", ["public", "not-yet", "日本語 Ä"])
def test_another_encoding_is_refused(other_encoding: tuple[str, Place], set_env: SetEnv, schema: str) -> None:
    encoding, place = other_encoding
    set_env(PG_DB_SCHEMA=schema)
    expected = f"the database's encoding is {encoding}, ActingWeb needs UTF8: "
    for run, arguments in ALEMBIC.values():
        with pytest.raises(CommandError, match=expected):
            place.alembic(run, *arguments)
    assert place.rows("SELECT FROM pg_namespace WHERE nspname = 'not-yet'") == []
    assert place.layout() == {}
    with pytest.raises(DbSchemaError, match=expected):
        load_backend().DbActor.DbActor().get("a1")
    target = Target(Settings.from_environment().postgresql)
    with target.connect() as connection, pytest.raises(UsageError, match=expected):
        target.check(connection)


def test_another_encoding_is_one_line_of_the_command(other_encoding: tuple[str, Place]) -> None:
    code, output = finish(start("upgrade", "head"))
    assert code != 0
    assert "ActingWeb needs UTF8" in output
    assert "Traceback" not in output
    # Alembic itself says it twice.
    assert all("ActingWeb needs UTF8" in line for line in output.strip().splitlines())
