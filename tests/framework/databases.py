"""The databases of a run: settings that name them, and the rows that the application left in them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from boto3.dynamodb.types import TypeDeserializer
from psycopg import sql

from testbed.servers import DynamoDBTables, DynamoDBTarget, PostgresTarget, dynamodb_target, postgres_target
from tests.support import new_id

Row = Mapping[str, Any]


class Database(Protocol):
    """Where one run of the application keeps its rows."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings that make `actingweb.db` use it."""

    def rows(self) -> dict[str, list[Row]]:
        """Return all rows by table, stored columns by name."""


def mentioning(rows: Mapping[str, list[Row]], ids: Collection[str]) -> dict[str, list[Row]]:
    """Return the rows that hold one of `ids` in any column, for the tables that have such rows."""
    found = {table: [row for row in stored if _mentions(row, ids)] for table, stored in rows.items()}
    return {table: stored for table, stored in found.items() if stored}


def _mentions(row: Row, ids: Collection[str]) -> bool:
    text = json.dumps(row, default=str)
    return any(one in text for one in ids)


@contextmanager
def open_database(backend: str) -> Iterator[Database]:
    """Yield an unused database on the server that the environment names, else on a private one."""
    with _DATABASES[backend]() as database:
        yield database


@contextmanager
def _dynamodb() -> Iterator[Database]:
    with dynamodb_target(os.environ) as target:
        tables = DynamoDBTables(target, new_id("framework"))
        try:
            yield _DynamoDB(target, tables.environment)
        finally:
            tables.drop()


@contextmanager
def _postgresql() -> Iterator[Database]:
    with postgres_target(os.environ) as target:
        environment = {**target.environment, "PG_DB_PREFIX": new_id("framework_"), "PG_DB_SCHEMA": "public"}
        database = _Postgres(target, environment)
        try:
            yield database
        finally:
            database.drop()


_DATABASES = {"dynamodb": _dynamodb, "postgresql": _postgresql}
BACKENDS = tuple(_DATABASES)


@dataclass(frozen=True)
class _DynamoDB:
    target: DynamoDBTarget
    environment: Mapping[str, str]

    def rows(self) -> dict[str, list[Row]]:
        client = self.target.connect()
        pages = client.get_paginator("list_tables").paginate()
        tables = [name for page in pages for name in page["TableNames"] if name.startswith(self._prefix)]
        scans = {table: client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True) for table in tables}
        decode = TypeDeserializer().deserialize
        return {
            table.removeprefix(self._prefix + "_"): [
                {name: decode(value) for name, value in item.items()} for page in pages for item in page["Items"]
            ]
            for table, pages in scans.items()
        }

    @property
    def _prefix(self) -> str:
        return self.environment["AWS_DB_PREFIX"]


@dataclass(frozen=True)
class _Postgres:
    target: PostgresTarget
    environment: Mapping[str, str]

    def rows(self) -> dict[str, list[Row]]:
        with self.target.connect() as connection:
            found = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'alembic_version'",
                [self._schema],
            )
            query = sql.SQL("SELECT to_jsonb(t) FROM {} AS t")
            return {
                table: [row for (row,) in connection.execute(query.format(sql.Identifier(self._schema, table)))]
                for (table,) in found.fetchall()
            }

    def drop(self) -> None:
        with self.target.connect() as connection:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self._schema)))

    @property
    def _schema(self) -> str:
        return self.environment["PG_DB_PREFIX"] + self.environment["PG_DB_SCHEMA"]
