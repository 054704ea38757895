"""Roles that are not the owners of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

from psycopg import sql

from actingweb.db.postgresql.connection import close_pool
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.support import new_id

from .conftest import Place

ALL: LiteralString = "SELECT, INSERT, UPDATE, DELETE"


class Role:
    """A role that may log in. `run` takes statements of the superuser's with {role} and {schema} in them."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name

    def run(self, *statements: LiteralString) -> None:
        """Run statements."""
        for statement in statements:
            names = {"role": sql.Identifier(self.name), "schema": sql.Identifier(self.place.schema)}
            self.place.connection.execute(sql.SQL(statement).format(**names))


@contextmanager
def login_role(place: Place, server: PostgresTarget, set_env: SetEnv) -> Iterator[Role]:
    """Make a role with all rights on the place's tables the one of the settings."""
    role = Role(place, new_id("role"))
    with server.connect() as connection:
        name = sql.Identifier(role.name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(role.name)))
        role.run(
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        )
        set_env(PG_DB_USER=role.name, PG_DB_PASSWORD=role.name)
        try:
            yield role
        finally:
            close_pool()
            connection.execute(sql.SQL("REASSIGN OWNED BY {0} TO CURRENT_USER; DROP OWNED BY {0}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))
