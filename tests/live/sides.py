"""The two sides of a live migration on the session's servers, and the workers between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from actingweb.migration.documents import Document, document_of, item_of
from actingweb.migration.live.dynamodb import DynamoDB
from actingweb.migration.live.forward import ForwardApplier
from actingweb.migration.live.keys import BY_NAME, MARKER
from actingweb.migration.live.prepare import Preparation, prepare
from actingweb.migration.live.reader import ShardReader
from actingweb.migration.live.scanner import Scanner
from actingweb.migration.live.state import State
from actingweb.migration.live.worker import Worker
from actingweb.migration.mapping import CLAIMS_V2, MAPPINGS, TableMapping
from actingweb.migration.source.endpoint import Endpoint
from actingweb.migration.target.connection import Connection
from tests.migration.loads import Row, Rows, row_reader, stored
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

W = TypeVar("W", bound=Worker)

TABLES = (*MAPPINGS, CLAIMS_V2)
"""All but the older table of claims."""

MOST_ROUNDS = 500
_UNSEEN = "SELECT count(*) FROM {state}.shards WHERE NOT finished AND marker IS DISTINCT FROM %(marker)s"


@dataclass
class Sides:
    """A DynamoDB with tables of its own, and the session's schema in PostgreSQL.

    Attributes:
        client: for raw requests to DynamoDB.
        environment: the settings that name the tables of DynamoDB.
        mappings: the tables of DynamoDB from the beginning.
    """

    state: State
    requests: DynamoDB
    client: DynamoDBClient
    environment: Mapping[str, str]
    mappings: Sequence[TableMapping] = TABLES
    _open: list[Worker] = field(default_factory=list)
    _connections: list[Connection] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """The prefix of the names of the tables."""
        return self.environment["AWS_DB_PREFIX"]

    def prepare(self, **options: Any) -> list[str]:
        """Prepare the migration; return what it says."""
        lines: list[str] = []
        prepare(self.state, self.requests, self.preparation(**options), lines.append, sleep=lambda _: None)
        return lines

    def preparation(self, **options: Any) -> Preparation:
        """Return how to prepare."""
        defaults: dict[str, Any] = {"prefix": self.prefix, "region": None, "endpoint": None, "by": "test"}
        defaults |= {"indexed_properties": ("email",), "segments": 2, "enable_streams": True}
        return Preparation(**(defaults | options))

    def reader(self, holder: str = "reader", pause: float = 0) -> ShardReader:
        """Return a reader, by default one that never pauses; one that runs in a thread should."""
        return self.opened(ShardReader(self.state, self.requests, self.state.connect, holder, pause))

    def scanner(self, holder: str = "scanner") -> Scanner:
        """Return a scanner."""
        return self.opened(Scanner(self.state, self.requests, self.state.connect, holder))

    def applier(self, **options: Any) -> ForwardApplier:
        """Return an applier."""
        return self.opened(ForwardApplier(self.state, self.requests, self.state.connect, **options))

    def scan(self) -> None:
        """Scan all tables."""
        scanner = self.scanner()
        while scanner.step():
            pass

    def read(self) -> int:
        """Read every shard up to now; return how many records there were.

        The server tells changes a moment later. So a marker row is written into each table, and read.
        """
        reader, marker = self.reader(), MARKER + new_id("")
        tables = [BY_NAME[name] for (name,) in self.select("SELECT name FROM {state}.tables WHERE present")]
        rows = {mapping: dict.fromkeys(mapping.layout.key_names, marker) for mapping in tables}
        keys = {mapping: item_of(row) for mapping, row in rows.items()}
        self._write({mapping: {"PutRequest": {"Item": key}} for mapping, key in keys.items()})
        total = 0
        while self.value(_UNSEEN, marker=marker):
            total += reader.step()
        self._write({mapping: {"DeleteRequest": {"Key": key}} for mapping, key in keys.items()})
        return total

    def catch_up(self) -> None:
        """Read and apply until nothing is left to do but rejects."""
        applier = self.applier()
        for _ in range(MOST_ROUNDS):
            self.read()
            while applier.step():
                pass
            if not self.fresh():
                return
        raise AssertionError(f"never quiet: {self.fresh()}")

    def fresh(self) -> list[tuple[Any, ...]]:
        """Return the keys that are dirty and no rejects."""
        return self.select("SELECT table_name, hash, range FROM {state}.dirty WHERE reason IS NULL ORDER BY 1, 2, 3")

    def rejects(self) -> dict[tuple[str, str, str], str]:
        """Return the reasons of rejects by key."""
        rows = self.select("SELECT table_name, hash, range, reason FROM {state}.dirty WHERE reason IS NOT NULL")
        return {(table, hash_, range_): reason for table, hash_, range_, reason in rows}

    def due(self) -> None:
        """Let the pauses of all rejects end."""
        with self.state.connect() as connection:
            connection.execute(self.state.sql("UPDATE {state}.dirty SET due_at = now()"))

    def select(self, statement: Any, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, which runs in a connection that is kept."""
        return self._connection().execute(self.state.sql(statement), parameters).fetchall()

    def value(self, statement: Any, **parameters: Any) -> Any:
        """Return the only value of a statement."""
        ((value,),) = self.select(statement, **parameters)
        return value

    def put(self, mapping: TableMapping, *documents: Document) -> None:
        """Store the items of documents, one by one."""
        for document in documents:
            self.requests.call("PutItem", {"TableName": self.table(mapping), "Item": item_of(document)})

    def delete(self, mapping: TableMapping, *documents: Document) -> None:
        """Delete the items that have the keys of documents."""
        for document in documents:
            key = {name: document[name] for name in mapping.layout.key_names}
            self.requests.call("DeleteItem", {"TableName": self.table(mapping), "Key": item_of(key)})

    def table(self, mapping: TableMapping) -> str:
        """Return the name of a table in DynamoDB."""
        return f"{self.prefix}_{mapping.layout.suffix}"

    def create(self, mapping: TableMapping) -> None:
        """Create a table in DynamoDB."""
        names = mapping.layout.key_names
        kinds = ("HASH", "RANGE")
        definition = {
            "TableName": self.table(mapping),
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, kinds, strict=False)],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
            "BillingMode": "PAY_PER_REQUEST",
        }
        self.requests.call("CreateTable", definition)

    def stored(self) -> Rows:
        """Return the rows of PostgreSQL, in the order of their keys."""
        return stored(self.state.target)

    def expected(self, rejected: Mapping[str, Sequence[Row]] | None = None) -> Rows:
        """Return the rows that the items of DynamoDB should be, but for the keys of those that are rejected."""
        return {mapping.name: self._expected(mapping, (rejected or {}).get(mapping.name, ())) for mapping in MAPPINGS}

    def look_ups(self) -> dict[str, str]:
        """Return the actors of the look-up rows, by look-up key."""
        return dict(self.select("SELECT lookup_key, actor_id FROM {schema}.property_lookup"))

    def documents(self, mapping: TableMapping) -> list[Document]:
        """Return the documents of a table of DynamoDB."""
        request = {"TableName": self.table(mapping), "ConsistentRead": True}
        found: list[Document] = []
        while True:
            page = json.loads(self.requests.call("Scan", request)["Body"])
            found += map(document_of, page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def close(self) -> None:
        """Close the workers, and drop the state."""
        for worker in self._open:
            worker.close()
        self.state.drop(self._connection())
        for connection in self._connections:
            connection.close()

    def _connection(self) -> Connection:
        """Return the connection that is kept, a new one if a test has ended it."""
        if not self._connections or self._connections[-1].closed:
            self._connections.append(self.state.connect())
        return self._connections[-1]

    def _write(self, writes: Mapping[TableMapping, Any]) -> None:
        """Write one item in each of some tables."""
        requests = {self.table(mapping): [write] for mapping, write in writes.items()}
        self.requests.call("BatchWriteItem", {"RequestItems": requests})

    def _expected(self, mapping: TableMapping, rejected: Sequence[Row]) -> list[Row]:
        if mapping not in self.mappings:
            return []
        size = len(mapping.record.key)
        rows = [row_reader(mapping)(document) for document in self.documents(mapping)]
        return sorted((row for row in rows if row[:size] not in rejected), key=lambda row: row[:size])

    def opened(self, worker: W) -> W:
        """Return a worker, which is closed when the test ends."""
        self._open.append(worker)
        return worker


@contextmanager
def sides_of(
    state: State, environment: Mapping[str, str], client: DynamoDBClient, mappings: Sequence[TableMapping] = TABLES
) -> Iterator[Sides]:
    """Yield two sides, with these tables in DynamoDB."""
    with ExitStack() as stack:
        endpoint = Endpoint(environment["AWS_DEFAULT_REGION"], environment["AWS_DB_HOST"], None, 16)
        sides = Sides(state, DynamoDB(endpoint), client, environment, mappings)
        stack.callback(_delete_tables, sides)
        for mapping in mappings:
            sides.create(mapping)
        stack.callback(sides.close)
        yield sides


def _delete_tables(sides: Sides) -> None:
    for name in sides.requests.call("ListTables", {"ExclusiveStartTableName": sides.prefix})["TableNames"]:
        if name.startswith(f"{sides.prefix}_"):
            sides.requests.call("DeleteTable", {"TableName": name})
