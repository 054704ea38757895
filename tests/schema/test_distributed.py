"""Distributed servers: how they are told from plain PostgreSQL, and what the revisions do on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from alembic.util import CommandError
from psycopg.sql import SQL, Literal
from sqlalchemy import Engine, event
from sqlalchemy.exc import NotSupportedError

from actingweb.db import get_property, load_backend
from actingweb.db.postgresql.connection import get_pool
from actingweb.db.registry import Backend
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv

from .conftest import BASELINE, Place, open_place
from .databases import BYTE_ORDER, database

PLAIN = (
    "PostgreSQL 12.22 on x86_64-pc-linux-gnu, compiled by gcc (GCC) 13.2.0, 64-bit",
    "PostgreSQL 15.14 (Debian 15.14-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0) 12.2.0, 64-bit",
    "PostgreSQL 19devel on aarch64-unknown-linux-gnu, compiled by clang 17, 64-bit",
    "PostgreSQL 16.4 (EnterpriseDB Advanced Server 16.4.0) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
)
OTHERS = (
    "CockroachDB CCL v25.2.1 (x86_64-pc-linux-gnu, built 2025/06/01 10:00:00, go1.23.7)",
    "PostgreSQL 11.2-YB-2.18.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 15.0.3, 64-bit",
    "PostgreSQL 15.12-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 17.0.6, 64-bit",
    "PostgreSQL 16 (Aurora DSQL)",
    "Aurora DSQL 1.0 (PostgreSQL 16 compatible)",
    "An engine that is not known yet",
)


@pytest.fixture
def own_database(postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Place]:
    """Return an upgraded place in a database whose catalog a test may change."""
    with database(postgres_server, BYTE_ORDER) as target:
        assert target is not None
        set_env(**target.environment, DATABASE_BACKEND="postgresql")
        with open_place(target, "public") as opened:
            opened.upgrade()
            yield opened
            set_env()


def is_distributed(set_env: SetEnv) -> Any:
    """Return what a new pool finds out at its first call."""
    set_env()
    backend: Backend = load_backend("postgresql")
    assert get_property(backend).get("a1", "email") is None
    return get_pool().distributed


def add_citus(place: Place) -> None:
    """Let the database's catalog have the extension."""
    if place.connection.info.server_version < 130000:
        pytest.skip("PostgreSQL 12 does not let a session change its catalog: from PostgreSQL 13")
    place.execute("SET allow_system_table_mods = on")
    place.execute(
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) "
        "SELECT 99999, 'citus', extowner, extnamespace, false, '13.0-1' FROM pg_extension WHERE extname = 'plpgsql'"
    )


def test_the_extension_citus_tells_a_cluster(own_database: Place, set_env: SetEnv) -> None:
    assert is_distributed(set_env) is False
    add_citus(own_database)
    assert is_distributed(set_env) is True
    set_env(PG_EXPLICIT_TRANSACTIONS="off")
    assert is_distributed(set_env) is False


@pytest.mark.parametrize("text", [*PLAIN, *OTHERS])
def test_the_version_tells_another_engine(text: str, own_database: Place, set_env: SetEnv) -> None:
    own_database.connection.execute(
        SQL("CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text LANGUAGE sql STABLE AS {}").format(
            Literal(f"SELECT '{text}'::text")
        )
    )
    assert is_distributed(set_env) is (text in OTHERS)


_ALTER = re.compile(r"ALTER TABLE (?:ONLY )?(?P<table>\S+) (?P<changes>.*)", re.DOTALL)
_ADDS_CONSTRAINT = re.compile(r"ADD (?:CONSTRAINT|PRIMARY|FOREIGN|UNIQUE|CHECK|EXCLUDE)\b")


def subcommands(changes: str) -> list[str]:
    """Return what an ALTER TABLE does, split at the commas outside of parentheses and quotes."""
    parts, depth, quoted = [""], 0, False
    for character in changes:
        quoted ^= character == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Return the statements that SQLAlchemy sends from now on."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def test_the_reader_of_statements_finds_all_subcommands() -> None:
    assert subcommands("DROP a, ADD b text GENERATED ALWAYS AS (c || ',' || d) STORED, ADD PRIMARY KEY (a, b)") == [
        "DROP a",
        "ADD b text GENERATED ALWAYS AS (c || ',' || d) STORED",
        "ADD PRIMARY KEY (a, b)",
    ]


def test_constraints_are_added_by_statements_of_their_own_and_have_names(place: Place, statements: list[str]) -> None:
    """Citus refuses to add one together with anything else, and one without a name."""
    place.upgrade()
    place.downgrade()
    place.upgrade()
    place.downgrade("base")
    place.upgrade()
    found = [subcommands(match["changes"]) for text in statements if (match := _ALTER.match(text.strip()))]
    adding = [changes for changes in found if any(map(_ADDS_CONSTRAINT.match, changes))]
    assert len(adding) > 20
    assert [changes for changes in adding if len(changes) > 1] == []
    assert [changes for changes in adding if not changes[0].startswith("ADD CONSTRAINT")] == []


@pytest.mark.parametrize("cluster", [True, False])
def test_a_statement_that_a_cluster_refuses_names_the_way_around(cluster: bool, own_database: Place) -> None:
    own_database.downgrade()
    if cluster:
        add_citus(own_database)
    own_database.execute(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE feature_not_supported USING MESSAGE = 'cannot execute this'; END $$"
    )
    own_database.execute(
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION refuse()"
    )
    expected = CommandError if cluster else NotSupportedError
    with pytest.raises(expected, match="cannot execute this") as raised:
        own_database.upgrade()
    assert ("SELECT citus_schema_distribute('\"public\"')" in str(raised.value)) is cluster
    assert own_database.rows("SELECT version_num FROM alembic_version") == [(BASELINE,)]


def test_the_upgrade_runs_in_a_distributed_schema(filled_place: Place) -> None:
    """Runs where there is a cluster: `make test-server PG_DB_URL=... CITUS=1`."""
    if filled_place.rows("SELECT FROM pg_extension WHERE extname = 'citus'") == []:
        pytest.skip("needs a Citus cluster: make test-server PG_DB_URL=... CITUS=1")
    filled_place.execute("SELECT citus_schema_distribute(%s::regnamespace)", f'"{filled_place.schema}"')
    before = filled_place.contents()
    filled_place.upgrade()
    filled_place.check()
    filled_place.downgrade(BASELINE)
    assert filled_place.contents().keys() == before.keys()
