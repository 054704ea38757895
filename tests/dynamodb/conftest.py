"""Fixtures for tests of what only DynamoDB has.

* `proxy`: a `SpoilingProxy` between the backend and its server.
* `table`: a function `(suffix) -> Table`, for raw items.
* `aside`: a new table prefix, whose tables are removed after the test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, spoiling_proxy
from tests.conftest import SetEnv
from tests.support import ddb_table, new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]


@pytest.fixture
def proxy(backend: Backend, set_env: SetEnv) -> Iterator[SpoilingProxy]:
    """Put a proxy between the backend and its server, whose tables are known to exist."""
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as running:
        set_env(AWS_DB_HOST=running.url, AWS_DB_AUTO_CREATE_TABLES="0")
        yield running


class Table:
    """One table, raw."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    def items(self) -> list[Item]:
        """Return all items."""
        return [dict(item) for item in self._client.scan(TableName=self._name, ConsistentRead=True)["Items"]]

    def only(self) -> Item:
        """Return the only item."""
        (item,) = self.items()
        return item

    def put(self, **attributes: dict[str, Any]) -> None:
        """Store an item of these attributes."""
        self._client.put_item(TableName=self._name, Item=attributes)


@pytest.fixture
def table(ddb: DynamoDBClient) -> Callable[[str], Table]:
    """Return a function that opens a table of the session."""
    return lambda suffix: Table(ddb, ddb_table(suffix))


@pytest.fixture
def aside(backend: Backend, ddb: DynamoDBClient, set_env: SetEnv) -> Iterator[str]:
    """Use another prefix, under which there is no table yet."""
    prefix = f"{os.environ['AWS_DB_PREFIX']}x{new_id('')[:8]}"
    set_env(AWS_DB_PREFIX=prefix)
    yield prefix
    for name in [name for page in ddb.get_paginator("list_tables").paginate() for name in page["TableNames"]]:
        if name.startswith(prefix):
            ddb.delete_table(TableName=name)
