"""The way from PostgreSQL to DynamoDB, on real servers."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.registry import load_backend
from actingweb.migration.live.triggers import MARKED
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.live.back.both import Both
from tests.migration.library import write
from tests.migration.nasty import Content, contents


def test_items_are_those_that_the_library_writes(
    both: Both, dynamodb_tables: DynamoDBTables, postgres_tables: PostgresTables, set_env: SetEnv
) -> None:
    twin = f"{both.prefix}twin"
    set_env(AWS_DB_PREFIX=twin)
    for mapping in MARKED:
        ensure_table(mapping.layout)
    both.prepare()
    applier = both.applier()

    @settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(contents=contents())
    def check(contents: dict[str, Content]) -> None:
        for database in ("postgresql", "dynamodb"):
            write(load_backend(database), contents)
        both.drain(applier)
        assert both.reasons() == []
        assert _without_times(both.items()) == _without_times(both.items(twin))
        # Every row goes as well, and those of an actor with it.
        postgres_tables.wipe()
        both.drain(applier)
        assert not any(both.items().values())
        dynamodb_tables.wipe()

    check()


def _without_times(tables: dict[str, Any]) -> dict[str, Any]:
    """Return items without the moments at which the library stored them."""
    for name, column in (("subscription_diffs", "timestamp"), ("subscription_suspensions", "suspended_at")):
        for item in tables[name].values():
            assert set(item.pop(column)) == {"S"}
    return tables
