"""Count what each operation sends, and compare it with what it may send: `python -m benchmarks.requests`.

Prints requests to DynamoDB and round trips to PostgreSQL beside their limits; ends with 1 if a limit is exceeded. Uses
the servers that the environment names, as the tests do, or starts private ones.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from actingweb.db.dynamodb import reset_ensure_cache
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.postgresql.migrate import upgrade as migrate
from actingweb.db.registry import Backend, load_backend
from benchmarks.operations import OPERATIONS, Operation
from testbed.dynamodb_proxy import spoiling_proxy
from testbed.servers import DynamoDBTables, PostgresTables, dynamodb_target, postgres_target
from testbed.tcp_proxy import tcp_proxy

Counter = Callable[[], int]

# A statement that has run five times is prepared, which must not cost a round trip either.
ROUNDS = {"dynamodb": 2, "postgresql": 8}
LIMITS: dict[str, Callable[[Operation], int]] = {
    "dynamodb": lambda operation: operation.dynamodb,
    "postgresql": lambda operation: operation.postgresql,
}


@contextmanager
def counted_dynamodb() -> Iterator[Counter]:
    """Yield what counts the requests of this process to tables of its own."""
    with dynamodb_target(os.environ) as target:
        tables = DynamoDBTables(target, f"bench{uuid4().hex[:8]}")
        with spoiling_proxy(target.environment["AWS_DB_HOST"]) as proxy:
            _use({**tables.environment, "AWS_DB_HOST": proxy.url})
            try:
                yield lambda: len(proxy.seen)
            finally:
                tables.drop()


@contextmanager
def counted_postgresql() -> Iterator[Counter]:
    """Yield what counts the round trips of this process to a schema of its own."""
    with postgres_target(os.environ) as target:
        prefix = f"bench{uuid4().hex[:8]}_"
        _use({**target.environment, "PG_DB_PREFIX": prefix, "PG_DB_SCHEMA": "public"})
        migrate()
        tables = PostgresTables(target, prefix, "public")
        with tables.connect() as connection:
            address = connection.info.host, connection.info.port
        with tcp_proxy(*address) as proxy:
            _use({"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(proxy.port)})
            try:
                yield lambda: proxy.flights
            finally:
                _forget_connections()
                tables.drop()


def _use(environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    _forget_connections()


def _forget_connections() -> None:
    close_pool()
    reset_ensure_cache()


def measured(database: str, counter: Counter) -> dict[str, int]:
    """Return the most that any round of each operation sent."""
    counts = {}
    for legacy in (False, True):
        if legacy:
            _use({"USE_PROPERTY_LOOKUP_TABLE": "no", "AWS_DB_PREFIX": f"{os.environ.get('AWS_DB_PREFIX')}legacy"})
        backend = load_backend(database)
        for operation in OPERATIONS:
            if operation.legacy == legacy:
                counts[operation.name] = max(_once(backend, operation, counter) for _ in range(ROUNDS[database]))
    _use({"USE_PROPERTY_LOOKUP_TABLE": "yes"})
    return counts


def _once(backend: Backend, operation: Operation, counter: Counter) -> int:
    for _ in range(2):
        # The first time unmeasured: tables are checked, absent fallbacks found out, a connection is opened.
        actor_id = f"a{uuid4().hex}"
        backend.DbActor.DbActor().create(actor_id, actor_id, "passphrase")
        call = operation.prepare(backend, actor_id)
        before = counter()
        call()
    return counter() - before


def main() -> int:
    """Print the table and return the exit status."""
    logging.getLogger("actingweb").setLevel(logging.CRITICAL)
    counts: dict[str, dict[str, int]] = {}
    with counted_dynamodb() as counter:
        counts["dynamodb"] = measured("dynamodb", counter)
    with counted_postgresql() as counter:
        counts["postgresql"] = measured("postgresql", counter)
    print(f"{'operation':<50} {'DynamoDB':>10} {'limit':>6} {'PostgreSQL':>11} {'limit':>6}")
    for operation in OPERATIONS:
        cells = [(counts[database][operation.name], limit(operation)) for database, limit in LIMITS.items()]
        mark = "  EXCEEDED" if any(count > limit for count, limit in cells) else ""
        (requests, most), (trips, most_trips) = cells
        print(f"{operation.name:<50} {requests:>10} {most:>6} {trips:>11} {most_trips:>6}{mark}")
    exceeded = [
        operation.name
        for operation in OPERATIONS
        if any(counts[database][operation.name] > limit(operation) for database, limit in LIMITS.items())
    ]
    print(f"{len(OPERATIONS)} operations, {len(exceeded)} over their limit")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
