"""The names that settings give to schemas and tables are names, whatever is in them, or they are refused."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from actingweb.db import ConfigurationError, get_actor, get_property
from actingweb.db.postgresql.connection import get_connection
from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.registry import Backend
from actingweb.db.settings import Settings
from tests.conftest import SetEnv
from tests.contract.support.calls import ready

from .conftest import Amount
from .hostile_values import NAMES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from .raw_rows import Connection

_IDENTIFIER_BYTES = 63
_TABLE_NAME = re.compile("[A-Za-z0-9_.-]+")


def _is_schema(name: str) -> bool:
    is_plain = not any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in name)
    return is_plain and len(name.encode()) <= _IDENTIFIER_BYTES


SCHEMAS = [name for name in NAMES if _is_schema(name)]
PREFIXES = [name for name in NAMES if _TABLE_NAME.fullmatch(name)]


@pytest.mark.backends("postgresql")
@pytest.mark.parametrize("variable", ["PG_DB_SCHEMA", "PG_DB_PREFIX"])
def test_a_schema_of_any_name_is_made_and_used_and_nothing_else_is(
    variable: str, backend: Backend, actor_id: str, pg: Connection, set_env: SetEnv, amount: Amount
) -> None:
    own = dict(os.environ)
    before = _schemas(pg)
    for name in SCHEMAS[:: amount(8, 1)]:
        set_env(PG_DB_PREFIX="", PG_DB_SCHEMA="")
        set_env(**{variable: name})
        schema = name + ("public" if variable == "PG_DB_PREFIX" else "")
        upgrade()
        try:
            assert _schemas(pg) - before == {schema}
            assert get_actor(backend).create(actor_id, "other")
            for call in ready(backend, actor_id).values():
                call()
            with get_connection() as connection:
                assert connection.execute("SELECT current_schema()").fetchone() == (schema,)
        finally:
            pg.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    assert _schemas(pg) == before
    set_env(PG_DB_PREFIX=own["PG_DB_PREFIX"], PG_DB_SCHEMA=own["PG_DB_SCHEMA"])
    row = get_actor(backend).get(actor_id)
    assert row is not None
    assert row["creator"] == "creator@example.com"


def _schemas(pg: Connection) -> set[str]:
    return {name for (name,) in pg.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SCHEMAS])
def test_what_is_no_name_of_a_schema_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="PG_DB_SCHEMA"):
        Settings.from_environment({"PG_DB_SCHEMA": name}).postgresql  # noqa: B018


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PREFIXES])
def test_what_no_table_name_begins_with_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="AWS_DB_PREFIX"):
        Settings.from_environment({"AWS_DB_PREFIX": name})


@pytest.mark.backends("dynamodb")
def test_a_prefix_that_is_allowed_is_used_as_it_is(
    backend: Backend, actor_id: str, ddb: DynamoDBClient, set_env: SetEnv
) -> None:
    session = os.environ["AWS_DB_PREFIX"]
    for name in PREFIXES:
        prefix = f"{session}{name}"[:200]
        set_env(AWS_DB_PREFIX=prefix)
        assert get_property(backend).set(actor_id, "name", "value") is True
        stored = ddb.get_item(
            TableName=f"{prefix}_properties", Key={"id": {"S": actor_id}, "name": {"S": "name"}}, ConsistentRead=True
        )
        assert stored["Item"]["value"] == {"S": "value"}
        for suffix in ("properties", "property_lookup_v2"):
            ddb.delete_table(TableName=f"{prefix}_{suffix}")
    set_env(AWS_DB_PREFIX=session)
    assert get_property(backend).get(actor_id, "name") is None
