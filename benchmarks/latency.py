"""Measure typical operations on both backends: `python -m benchmarks.latency` prints the guide's table.

Uses the servers that the environment names, or starts private ones. DynamoDB Local tells what the library and the
protocol cost, not what AWS does.
"""

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

from actingweb import db
from actingweb.db.postgresql.migrate import upgrade as migrate
from actingweb.db.registry import Backend, load_backend
from actingweb.embedded.postgres import postgres_environment
from testbed.servers import DynamoDBTables, PostgresTables, PostgresTarget, dynamodb_target

ROWS = 1000
ROUNDS = 300
SCANS = 10
BATCH = 50
THREADS = 8

Operation = Callable[[Backend], object]


def fill(config: Backend) -> None:
    """Store an actor with a trust and a list of properties, and many other actors."""
    for number in range(ROWS):
        db.get_actor(config).create(actor_id=f"actor-{number}", creator="c@example.com", passphrase="p")
    for number in range(BATCH):
        db.get_property(config).set(actor_id="actor-0", name=f"list:{number:03}", value="v" * 200)
    db.get_property(config).set(actor_id="actor-0", name="email", value="c@example.com")
    db.get_trust(config).create(actor_id="actor-0", peerid="peer", relationship="friend", secret="token")


def rewrite(config: Backend) -> None:
    """Set a plain property once in each of several threads."""
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda thread: _write_many(config, thread), range(THREADS)))


def _write_many(config: Backend, thread: int) -> None:
    for number in range(ROUNDS):
        db.get_property(config).set(actor_id=f"actor-{thread}", name="n", value=str(number))


READS: dict[str, tuple[Operation, int]] = {
    "One actor": (lambda config: db.get_actor(config).get(actor_id="actor-0"), ROUNDS),
    "One property": (lambda config: db.get_property(config).get(actor_id="actor-0", name="email"), ROUNDS),
    "Actor by e-mail address": (
        lambda config: db.get_property(config).get_actor_id_from_property("email", "c@example.com"),
        ROUNDS,
    ),
    "Trust by peer": (lambda config: db.get_trust(config).get(actor_id="actor-0", peerid="peer"), ROUNDS),
    "Trust by token": (lambda config: db.get_trust(config).get(actor_id="actor-0", token="token"), ROUNDS),
    f"{BATCH} properties of an actor": (
        lambda config: db.get_property(config).get_prefix(actor_id="actor-0", prefix="list:"),
        ROUNDS,
    ),
    f"All of {ROWS:,} actors": (lambda config: db.get_actor_list(config).fetch(), SCANS),
}


def measured(config: Backend) -> dict[str, str]:
    """Return what each operation takes: the median, and of writes the rate."""
    fill(config)
    results = {}
    for name, (operation, rounds) in READS.items():
        operation(config)
        results[name] = f"{1000 * statistics.median(_seconds(operation, config) for _ in range(rounds)):.2f} ms"
    seconds = _seconds(rewrite, config)
    results[f"Property writes by {THREADS} threads"] = f"{THREADS * ROUNDS / seconds:,.0f}/s"
    return results


def _seconds(operation: Operation, config: Backend) -> float:
    started = time.perf_counter()
    operation(config)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    with ExitStack() as stack:
        dynamodb = DynamoDBTables(stack.enter_context(dynamodb_target(os.environ)), f"bench{uuid4().hex[:8]}")
        stack.callback(dynamodb.drop)
        target = PostgresTarget(stack.enter_context(postgres_environment()))
        os.environ |= {**dynamodb.environment, **target.environment, "PG_DB_PREFIX": f"bench{uuid4().hex[:8]}_"}
        migrate()
        postgresql = PostgresTables(target, os.environ["PG_DB_PREFIX"], "public")
        stack.callback(postgresql.drop)
        columns = [measured(load_backend(name)) for name in ("dynamodb", "postgresql")]
    print("| operation | DynamoDB Local | PostgreSQL |\n|---|---|---|")
    for name in columns[0]:
        print(f"| {name} | {columns[0][name]} | {columns[1][name]} |")


if __name__ == "__main__":
    main()
