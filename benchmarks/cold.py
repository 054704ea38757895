"""Read one stored property, print it, and wait: `python -P cold.py ours`, or a driver that is used alone."""

import os
import sys
from typing import Any

_kept: list[Any] = []
"""What would be closed when its function ends."""


def ours() -> object:
    """Use this library, on the backend that DATABASE_BACKEND names."""
    from actingweb.db import get_property, load_backend

    return get_property(load_backend()).get(actor_id="cold-actor", name="word")


def psycopg() -> object:
    """Use PostgreSQL's driver."""
    import psycopg
    import psycopg_pool  # noqa: F401
    from psycopg import sql

    settings = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    named: Any = {key: os.environ[f"PG_DB_{name}"] for key, name in settings.items()}
    connection = psycopg.connect(**named, autocommit=True)
    _kept.append(connection)
    table = sql.Identifier(os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"], "properties")
    query = sql.SQL("SELECT value FROM {} WHERE id = %s AND name = %s").format(table)
    found = connection.execute(query, ["cold-actor", "word"]).fetchone()
    return found and found[0]


def pynamodb() -> object:
    """Use PynamoDB's models."""
    from pynamodb.attributes import UnicodeAttribute
    from pynamodb.models import Model

    class Property(Model):
        class Meta:
            table_name = f"{os.environ['AWS_DB_PREFIX']}_properties"
            host = os.environ["AWS_DB_HOST"]
            region = os.environ["AWS_DEFAULT_REGION"]

        id = UnicodeAttribute(hash_key=True)
        name = UnicodeAttribute(range_key=True)
        value = UnicodeAttribute()

    return Property.get("cold-actor", "word", consistent_read=True).value


def botocore() -> object:
    """Use the client of the AWS SDK."""
    from botocore.session import get_session

    client: Any = get_session().create_client("dynamodb", endpoint_url=os.environ["AWS_DB_HOST"])
    _kept.append(client)
    key = {"id": {"S": "cold-actor"}, "name": {"S": "word"}}
    table = f"{os.environ['AWS_DB_PREFIX']}_properties"
    return client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]["value"]["S"]


if __name__ == "__main__":
    print({"ours": ours, "psycopg": psycopg, "pynamodb": pynamodb, "botocore": botocore}[sys.argv[1]](), flush=True)
    sys.stdin.read()
