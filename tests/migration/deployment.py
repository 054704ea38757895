"""A deployment on DynamoDB that is migrated."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from actingweb.migration.batches import Batch
from actingweb.migration.documents import Document
from actingweb.migration.mapping import MAPPINGS, TableMapping
from actingweb.migration.source.scan import DynamoDBSource
from tests.migration.tables import put_documents

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ACTORS, PROPERTIES = MAPPINGS[:2]
SUSPENSIONS = MAPPINGS[-1]


def source_of(**settings: Any) -> DynamoDBSource:
    """Return the tables that the settings of the test name, or others."""
    defaults = {"prefix": None, "region": None, "host": os.environ["AWS_DB_HOST"], "profile": None}
    return DynamoDBSource(**(defaults | settings))


def properties(count: int, value: str = "value") -> list[Document]:
    """Return properties of some actors."""
    return [{"id": f"a{number % 7}", "name": f"n{number}", "value": f"{value}{number}"} for number in range(count)]


def store(client: DynamoDBClient, mapping: TableMapping, documents: Iterable[Document]) -> None:
    """Store the items of documents in the table that the settings name."""
    put_documents(client, os.environ["AWS_DB_PREFIX"], {mapping.name: list(documents)})


def create_table(client: DynamoDBClient, name: str) -> None:
    """Create a table whose only key is `id`."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def whole(source: DynamoDBSource, mapping: TableMapping) -> list[Batch]:
    """Read all of a table."""
    return list(source.batches(mapping, lambda _: None, lambda _: False))


def documents_in(batches: Iterable[Batch]) -> list[Document]:
    """Return the documents of batches, in a fixed order."""
    return in_order(json.loads(document) for batch in batches for document in batch.documents)


def in_order(documents: Iterable[Document]) -> list[Document]:
    """Return documents in a fixed order."""
    return sorted(documents, key=lambda document: json.dumps(document, sort_keys=True))


class SmallPages(DynamoDBSource):
    """A source that reads few items at once."""

    def _read(self, request: dict[str, Any], *stop: Any) -> Any:
        return super()._read(request | {"Limit": 5}, *stop)
