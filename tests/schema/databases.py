"""Databases of a test's own, in a text order of its choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, LiteralString

import pytest
from psycopg import Connection, errors
from psycopg.sql import SQL, Identifier

from actingweb.embedded import postgres
from actingweb.embedded.postgres import PostgresServer
from actingweb.embedded.process import EmbeddedServerError
from testbed.servers import PostgresTarget
from tests.support import new_id, require_superuser

# Before PostgreSQL 13 there is no LOCALE for both.
BYTE_ORDER: LiteralString = "LC_COLLATE 'C' LC_CTYPE 'C'"
OTHER_ORDERS: tuple[LiteralString, ...] = (
    "LC_COLLATE 'en_US.UTF-8' LC_CTYPE 'en_US.UTF-8'",
    "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
)


@contextmanager
def database(server: PostgresTarget, *orders: LiteralString) -> Iterator[PostgresTarget | None]:
    """Yield a new database in the first of the orders that the server has, None if it has none."""
    name = new_id()
    with server.connect() as connection:
        require_superuser(connection)
        if not any(_create(connection, name, order) for order in orders):
            yield None
            return
        yield PostgresTarget(settings_of(connection, name))
        connection.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


@contextmanager
def database_in_other_order(server: PostgresTarget) -> Iterator[PostgresTarget]:
    """Yield a new database that does not sort by bytes, on `server` or on the system's PostgreSQL. Skip if none can."""
    with ExitStack() as stack:
        target = stack.enter_context(database(server, *OTHER_ORDERS))
        yield target or stack.enter_context(_database_on_system_server(stack))


@contextmanager
def _database_on_system_server(stack: ExitStack) -> Iterator[PostgresTarget]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "_wheel_directory", lambda: None)
        try:
            server = stack.enter_context(PostgresServer(fsync=False))
        except EmbeddedServerError:
            pytest.skip("no server with an order other than that of bytes")
    with database(PostgresTarget(server.connection.environment()), *OTHER_ORDERS) as target:
        if target is None:
            pytest.skip("no server with an order other than that of bytes")
        yield target


def _create(connection: Connection[Any], name: str, order: LiteralString) -> bool:
    encoding = "" if "ENCODING" in order else "ENCODING 'UTF8'"
    statement = SQL("CREATE DATABASE {} TEMPLATE template0 {} {}").format(Identifier(name), SQL(encoding), SQL(order))
    try:
        connection.execute(statement)
    except (errors.FeatureNotSupported, errors.SyntaxError, errors.WrongObjectType):
        # No such order, built without it, or too old for it.
        return False
    return True


def settings_of(connection: Connection[Any], database_name: str | None = None) -> dict[str, str]:
    """Return the settings that name the server of a connection, without a URL, and a database, by default its own."""
    info = connection.info
    return {
        "PG_DB_HOST": info.host,
        "PG_DB_PORT": str(info.port),
        "PG_DB_USER": info.user,
        "PG_DB_PASSWORD": info.password,
        "PG_DB_NAME": database_name or info.dbname,
    }
