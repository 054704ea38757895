"""The database servers of a test session, and the schemas and tables that the session creates on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import psycopg
from botocore.config import Config as ClientConfig
from botocore.session import Session
from psycopg import sql

from actingweb.db.dynamodb.wire.client import Client as WireClient
from actingweb.db.dynamodb.wire.connections import Limits
from actingweb.embedded.dynamodb import dynamodb_environment
from actingweb.embedded.postgres import names_postgres, postgres_environment
from testbed.pipeline import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A password with quotes and a server outside UTC, because careless code fails on them.
_AWKWARD_PASSWORD = 'it\'s a "pass word" of 100 %'
# Tests cause deadlocks, so the server should detect them soon.
SERVER_SETTINGS = {"timezone": "America/New_York", "deadlock_timeout": "50ms"}
_DELETES_PER_REQUEST = 25
_PATIENT = Limits(connect=10, answer=60)
_PARTS = {
    "host": "PG_DB_HOST",
    "port": "PG_DB_PORT",
    "user": "PG_DB_USER",
    "password": "PG_DB_PASSWORD",
    "dbname": "PG_DB_NAME",
    "sslmode": "PG_DB_SSLMODE",
    "sslrootcert": "PG_DB_SSLROOTCERT",
}
"""The variables that name the parts of a URL."""


@dataclass(frozen=True)
class PostgresTarget:
    """A PostgreSQL server, named by settings of `actingweb.db`."""

    environment: Mapping[str, str]

    def connect(self, schema: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new autocommit connection, in `schema` if given."""
        connection = psycopg.connect(self._conninfo(), autocommit=True)
        if schema is not None:
            connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        return connection

    def _conninfo(self) -> str:
        url = self.environment.get("PG_DB_URL") or self.environment.get("DATABASE_URL")
        if url:
            return url.replace("postgresql+psycopg://", "postgresql://", 1)
        return psycopg.conninfo.make_conninfo(
            host=self.environment["PG_DB_HOST"],
            port=self.environment.get("PG_DB_PORT", "5432"),
            user=self.environment.get("PG_DB_USER", "actingweb"),
            password=self.environment.get("PG_DB_PASSWORD"),
            dbname=self.environment.get("PG_DB_NAME", "actingweb"),
            sslmode=self.environment.get("PG_DB_SSLMODE"),
            sslrootcert=self.environment.get("PG_DB_SSLROOTCERT"),
        )


@dataclass(frozen=True)
class DynamoDBTarget:
    """A DynamoDB server, named by settings of `actingweb.db` and of the AWS SDK."""

    environment: Mapping[str, str]

    def connect(self) -> DynamoDBClient:
        """Return a new client."""
        return boto3.client(
            "dynamodb",
            endpoint_url=self.environment["AWS_DB_HOST"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=ClientConfig(parameter_validation=False),
        )

    def wire_client(self) -> WireClient:
        """Return a new client of the package's own."""
        session = Session()
        session.set_credentials(self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"])
        return WireClient(session, self.environment["AWS_DEFAULT_REGION"], self.environment["AWS_DB_HOST"])


@contextmanager
def postgres_target(environment: Mapping[str, str]) -> Iterator[PostgresTarget]:
    """Yield the server that `environment` names, otherwise a private one."""
    with postgres_environment(
        environment, password=_AWKWARD_PASSWORD, fsync=False, settings=SERVER_SETTINGS
    ) as settings:
        target = PostgresTarget(_in_parts(settings))
        if not names_postgres(environment):
            _hash_faster(target)
        yield target


def _hash_faster(target: PostgresTarget) -> None:
    """Let log-ins hash the password once instead of 4096 times, which takes half of their processor time.

    Tests connect thousands of times. PostgreSQL has the setting from 16 on.
    """
    with target.connect() as connection:
        if connection.info.server_version >= 160000:
            connection.execute("SET scram_iterations = 1")
            connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(sql.Literal(_AWKWARD_PASSWORD)))


def _in_parts(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Return settings that name the same server by its parts instead of a URL, so that a test can change one."""
    url = settings.get("PG_DB_URL") or settings.get("DATABASE_URL")
    if not url:
        return settings
    facts = psycopg.conninfo.conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    parts = {variable: str(facts.pop(name)) for name, variable in _PARTS.items() if name in facts}
    if facts:
        return settings
    others = {name: value for name, value in settings.items() if name not in ("PG_DB_URL", "DATABASE_URL")}
    return {**others, **parts}


@contextmanager
def dynamodb_target(environment: Mapping[str, str]) -> Iterator[DynamoDBTarget]:
    """Yield the server that `environment` names, otherwise a private one."""
    with dynamodb_environment(environment) as settings:
        yield DynamoDBTarget(settings)


def distribute(target: PostgresTarget, schema: str, environment: Mapping[str, str]) -> None:
    """Distribute a migrated schema to a node of the cluster if `CITUS=1` says that the server is Citus."""
    if environment.get("CITUS") == "1":
        with target.connect() as connection:
            name = sql.Identifier(schema).as_string()
            connection.execute("SELECT citus_schema_distribute(%s::regnamespace)", [name])


class Tables(Protocol):
    """The tables in which a backend stores the rows of a test."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings that make `actingweb.db` use these tables."""

    def wipe(self) -> None:
        """Remove all rows."""


class PostgresTables:
    """The tables of one migrated schema."""

    def __init__(self, target: PostgresTarget, prefix: str, schema: str) -> None:
        self.environment = {**target.environment, "PG_DB_PREFIX": prefix, "PG_DB_SCHEMA": schema}
        self._target = target
        self._schema = prefix + schema
        self._connection = target.connect()
        # If a test leaves a transaction open, wiping fails instead of hanging.
        self._connection.execute("SET lock_timeout = '10s'")
        found = self._connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'alembic_version'", [self._schema]
        )
        self._names = [sql.Identifier(self._schema, name) for (name,) in found]

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new autocommit connection with this schema as search path."""
        return self._target.connect(self._schema)

    def wipe(self) -> None:
        """Remove all rows."""
        tests = [sql.SQL("EXISTS (SELECT FROM {})").format(name) for name in self._names]
        row = self._connection.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(tests))).fetchone()
        for name, has_rows in zip(self._names, row or (), strict=True):
            if has_rows:
                # For a few rows, DELETE is much faster than TRUNCATE.
                self._connection.execute(sql.SQL("DELETE FROM {}").format(name))

    def drop(self) -> None:
        """Remove the schema."""
        self._connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self._schema)))
        self._connection.close()


class DynamoDBTables:
    """The tables whose names begin with a prefix."""

    def __init__(self, target: DynamoDBTarget, prefix: str) -> None:
        self.environment = {**target.environment, "AWS_DB_PREFIX": prefix}
        self._prefix = prefix
        self.client = target.connect()
        # Tables are wiped after each test, which takes boto3 several times as long.
        self._wire = target.wire_client()
        self._pipeline = Pipeline(target.environment)
        self._keys: dict[str, list[str]] = {}
        self._known: list[str] = []

    def wipe(self) -> None:
        """Remove all items."""
        for table in self._tables_in_use():
            self._wipe_table(table)

    def drop(self) -> None:
        """Remove the tables."""
        for table in self._tables():
            self.client.delete_table(TableName=table)
        self.client.close()
        self._wire.close()
        self._pipeline.close()

    def _tables(self) -> list[str]:
        pages = self._pages("ListTables", {}, "LastEvaluatedTableName", "ExclusiveStartTableName")
        return self._own([name for page in pages for name in page["TableNames"]])

    def _tables_in_use(self) -> list[str]:
        """Return the tables that may have items: a test uses few of them."""
        count = {"Select": "COUNT", "Limit": 1, "ConsistentRead": True}
        counts = [("Scan", {"TableName": table, **count}) for table in self._known]
        found, *answers = self._pipeline.ask([("ListTables", {}), *counts]) or [{}]
        whole = "TableNames" in found and "LastEvaluatedTableName" not in found
        empty = {table for table, answer in zip(self._known, answers, strict=False) if answer.get("Count") == 0}
        self._known = self._own(found["TableNames"]) if whole else self._tables()
        return [table for table in self._known if table not in empty]

    def _own(self, tables: list[str]) -> list[str]:
        return [name for name in tables if name.startswith(self._prefix)]

    def _key_of(self, table: str) -> list[str]:
        if table not in self._keys:
            schema = self.client.describe_table(TableName=table)["Table"]["KeySchema"]
            self._keys[table] = [part["AttributeName"] for part in schema]
        return self._keys[table]

    def _wipe_table(self, table: str) -> None:
        scan = {"TableName": table, "ConsistentRead": True}
        for page in self._pages("Scan", scan, "LastEvaluatedKey", "ExclusiveStartKey"):
            keys = [{name: item[name] for name in self._key_of(table)} for item in page["Items"]]
            for start in range(0, len(keys), _DELETES_PER_REQUEST):
                deletes = [{"DeleteRequest": {"Key": key}} for key in keys[start : start + _DELETES_PER_REQUEST]]
                self._wire.send("BatchWriteItem", {"RequestItems": {table: deletes}}, _PATIENT)

    def _pages(self, operation: str, request: Mapping[str, Any], last: str, start: str) -> Iterator[dict[str, Any]]:
        while True:
            page = self._wire.send(operation, request, _PATIENT)
            yield page
            if last not in page:
                return
            request = {**request, start: page[last]}


class MemoryTables:
    """The rows of the memory backend."""

    environment: Mapping[str, str] = MappingProxyType({})

    def wipe(self) -> None:
        """Remove all rows."""
        from tests import memory_backend

        memory_backend.clear()
