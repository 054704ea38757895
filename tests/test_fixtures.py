"""The fixtures that the other tests rely on."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from actingweb.db import get_settings
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.support import ddb_table, race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def _actors(backend: Backend) -> list[dict[str, Any]]:
    return backend.DbActor.DbActorList().fetch() or []


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_starts_with_empty_tables(turn: int, backend: Backend, new_actor: Callable[..., str]) -> None:
    assert _actors(backend) == []
    ids = sorted(new_actor() for _ in range(turn))
    assert [actor["id"] for actor in _actors(backend)] == ids


@pytest.mark.backends("postgresql")
def test_pg_sees_the_rows_of_the_backend(
    backend: Backend, actor_id: str, pg: psycopg.Connection[tuple[Any, ...]]
) -> None:
    assert backend.database == "postgresql"
    assert pg.execute("SELECT id FROM actors").fetchall() == [(actor_id,)]


@pytest.mark.backends("dynamodb")
def test_ddb_sees_the_items_of_the_backend(backend: Backend, actor_id: str, ddb: "DynamoDBClient") -> None:
    assert backend.database == "dynamodb"
    items = ddb.scan(TableName=ddb_table("actors"), ConsistentRead=True)["Items"]
    assert [item["id"] for item in items] == [{"S": actor_id}]


@pytest.mark.backends("dynamodb")
def test_set_env_changes_where_rows_go(backend: Backend, actor_id: str, set_env: SetEnv) -> None:
    set_env(AWS_DB_PREFIX=f"{os.environ['AWS_DB_PREFIX']}x")
    assert _actors(backend) == []


def test_no_setting_is_left_from_another_test() -> None:
    assert [name for name in os.environ if name.startswith(("PG_", "AWS_"))] == []
    assert get_settings().database_backend == "dynamodb"


def test_race_runs_all_at_once_and_raises_what_a_call_raises() -> None:
    assert race(4, lambda: 1) == [1, 1, 1, 1]
    with pytest.raises(ZeroDivisionError):
        race(2, lambda: 1 // 0)
