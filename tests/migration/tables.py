"""Items in DynamoDB, and the source that reads them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actingweb.migration.mapping import CLAIMS_V1
from actingweb.migration.source.scan import DynamoDBSource
from testbed.documents import put_documents as put_documents

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def source_of(environment: Mapping[str, str], segments: int = 2) -> DynamoDBSource:
    """Return the tables that settings name as a source; the process's environment has the credentials."""
    region, host = environment["AWS_DEFAULT_REGION"], environment["AWS_DB_HOST"]
    return DynamoDBSource(environment["AWS_DB_PREFIX"], region, host, None, segments=segments)


@contextmanager
def first_table_of_claims(client: "DynamoDBClient", prefix: str) -> Iterator[None]:
    """Create the older table of claims, which the library never does, and delete it at the end."""
    name, keys = f"{prefix}_{CLAIMS_V1.layout.suffix}", ("property_name", "value")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": keys[0], "KeyType": "HASH"}, {"AttributeName": keys[1], "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    yield
    client.delete_table(TableName=name)
