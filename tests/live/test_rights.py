"""The rights that a live migration needs in PostgreSQL are checked before anything is written."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Rollback, sql

from actingweb.migration.errors import UsageError
from actingweb.migration.live.rights import require_rights
from tests.live.sides import Sides
from tests.support import new_id

TABLES = ("actors", "properties")


def test_the_first_right_that_lacks_is_named(sides: Sides) -> None:
    role, names = sql.Identifier(new_id("role")), [sql.Identifier(sides.state.target.schema, name) for name in TABLES]
    with sides.state.connect() as connection, connection.transaction():

        def run(text: LiteralString, *names: sql.Identifier) -> None:
            connection.execute(sql.SQL(text).format(*names))

        database = sql.Identifier(connection.info.dbname)
        run("CREATE ROLE {}", role)
        run("GRANT USAGE ON SCHEMA {} TO {}", sql.Identifier(sides.state.target.schema), role)

        def check() -> None:
            run("SET LOCAL ROLE {}", role)
            try:
                require_rights(connection, "new schema", "TRIGGER", names)
            finally:
                run("RESET ROLE")

        with pytest.raises(UsageError, match='may not create schema "new schema"'):
            check()
        run("GRANT CREATE ON DATABASE {} TO {}", database, role)
        run("GRANT TRIGGER ON {} TO {}", names[0], role)
        with pytest.raises(UsageError, match=f"the role lacks TRIGGER on .*{TABLES[1]}"):
            check()
        run("GRANT TRIGGER ON {} TO {}", names[1], role)
        check()
        raise Rollback
