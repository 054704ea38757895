"""What a new process does: `python -P programs.py NAME` prints what the function returns, then waits to be ended.

PYTHONPATH may name another tree whose `actingweb` is used, such as that of an earlier commit. Each function imports
what it needs, since some of them are measured from the start of the process.
"""

import os
import sys
from typing import Any

_kept: list[Any] = []
"""What would be closed when its function ends."""


def ours() -> object:
    """Read a stored property with this library, on the backend that DATABASE_BACKEND names."""
    from actingweb.db import get_property, load_backend

    return get_property(load_backend()).get(actor_id="cold-actor", name="word")


def psycopg() -> object:
    """Read it with PostgreSQL's driver."""
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
    """Read it with PynamoDB's models."""
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
    """Read it with the client of the AWS SDK."""
    from botocore.session import get_session

    client: Any = get_session().create_client("dynamodb", endpoint_url=os.environ["AWS_DB_HOST"])
    _kept.append(client)
    key = {"id": {"S": "cold-actor"}, "name": {"S": "word"}}
    table = f"{os.environ['AWS_DB_PREFIX']}_properties"
    return client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]["value"]["S"]


def read_cpu() -> float:
    """Return the microseconds of processor time of a read: the least of 400 averages, as others only slow it."""
    from time import thread_time
    from timeit import repeat

    from actingweb.db import get_actor, load_backend

    config = load_backend()
    return min(repeat(lambda: get_actor(config).get("a"), "import gc; gc.enable()", thread_time, 400, 25)) / 25 * 1e6


def export_rate() -> float:
    """Export the tables that the settings name, and return the rows that it read in a second of processor time."""
    from pathlib import Path
    from tempfile import TemporaryDirectory
    from time import process_time

    from actingweb.db.settings import get_settings
    from actingweb.migration.jobs.export import export_tables
    from actingweb.migration.source.scan import DynamoDBSource

    with TemporaryDirectory() as place:
        source, began = DynamoDBSource(None, None, get_settings().aws_db_host, None), process_time()
        rows = sum(export_tables(source, Path(place) / "export").read.values())
        return rows / (process_time() - began)


if __name__ == "__main__":
    print(globals()[sys.argv[1]](), flush=True)
    sys.stdin.read()
