"""The floor: what an operation sends, recorded and sent again in the fastest way; and by botocore's client.

The tables `FLOOR`, `BOTOCORE` and `GROWTH` are run by `benchmarks.worker`, as the operations themselves are.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from http.client import HTTPConnection
from threading import get_ident
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from botocore import xform_name
from psycopg import RawCursor

from actingweb.db.dynamodb.wire.messages import Target, encoded, headers_of
from actingweb.db.dynamodb.wire.signature import Signer
from testbed.operations.calls import Call, Classes
from testbed.operations.operation import Operation, drawn
from testbed.operations.timed import TIMED
from testbed.recorder import Statement, Trip, recorded_requests, recorded_trips
from testbed.servers import DynamoDBTarget, PostgresTarget


def record(operation: Operation, db: Classes, count: int) -> list[list[Any]]:
    """Make so many calls of an operation twice; return the requests or trips of each call of the second time."""
    # The first time unrecorded: connections are opened, tables are made, and then there are rows for `store` to remove.
    operation.store(db, count)
    for call in operation.calls(db, count):
        call()
    operation.store(db, count)
    recorded = []
    with (recorded_trips if db.database == "postgresql" else recorded_requests)() as taken:
        for call in operation.calls(db, count):
            taken()
            if call() is False:
                raise RuntimeError(f"{operation.name} answered False")
            recorded.append([*taken()])
    return recorded


class _Floor(NamedTuple):
    """An operation whose calls send what those of this library sent. The rows are stored by this library."""

    name: str
    operation: Operation
    to_dynamodb: Callable[[str, dict[str, Any]], Call]

    def store(self, db: Classes, count: int) -> None:
        if (self.name, count) not in _recorded:
            _recorded[self.name, count] = record(self.operation, db, count)
        self.operation.store(db, count)

    def calls(self, db: Classes, count: int) -> list[Call]:
        recorded = _recorded[self.name, count]
        if db.database == "postgresql":
            return [_in_turn([partial(_run, trip) for trip in trips]) for trips in recorded]
        return [_in_turn([self.to_dynamodb(name, _repeatable(one)) for name, one in requests]) for requests in recorded]


_recorded: dict[tuple[str, int], list[list[Any]]] = {}
"""What the calls of an operation sent, by its name and their number."""


class _FloorOfGrowth(NamedTuple):
    """An operation of `GROWTH` in bare SQL, with the actor's id as `$1`."""

    name: str
    sql: str

    def store(self, db: Classes, count: int) -> None:
        """Do nothing: the population has the rows."""

    def calls(self, _: Classes, count: int) -> list[Call]:
        return [partial(_run, [Statement(self.sql, (actor.id,))]) for actor in drawn(count)]


def _run(trip: Trip) -> None:
    """Send the statements of a round trip, and read the answers."""
    connection, cursor = _held(get_ident())
    if len(trip) == 1:
        cursor.execute(*trip[0])
        _read(cursor)
        return
    cursors = [RawCursor(connection) for _ in trip]
    with connection.pipeline():
        for one, statement in zip(cursors, trip, strict=True):
            one.execute(*statement)
    for one in cursors:
        _read(one)


def _read(cursor: RawCursor[Any]) -> None:
    if cursor.rownumber is not None:
        cursor.fetchall()


@cache
def _held(_: int) -> tuple[psycopg.Connection[Any], RawCursor[Any]]:
    """Return the connection of a thread, in autocommit, and a cursor on it: prepared and binary."""
    connection = PostgresTarget(os.environ).connect(os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"])
    connection.prepare_threshold = 0
    connection.prepared_max = 1000
    cursor = RawCursor(connection)
    cursor.format = psycopg.pq.Format.BINARY
    return connection, cursor


def fetch(name: str, body: bytes) -> bytes:
    """Sign a request and send it by `http.client`; return the text of its answer, which may refuse a transaction."""
    connection, target, signer = _http()
    headers = headers_of(target, signer, name, body, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    try:
        connection.request("POST", "/", body, dict(headers))
        return connection.getresponse().read()
    except (ConnectionResetError, BrokenPipeError):
        # The server closes what was idle for long, as while others took their turn.
        connection.close()
        return fetch(name, body)


@cache
def _http() -> tuple[HTTPConnection, Target, Signer]:
    """Return a connection to the server that the settings name, and what signs requests to it."""
    host = urlsplit(os.environ["AWS_DB_HOST"]).netloc
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    signer = Signer(*keys, os.environ.get("AWS_SESSION_TOKEN"), os.environ["AWS_DEFAULT_REGION"])
    return HTTPConnection(host), Target(host), signer


def _signed(name: str, request: dict[str, Any]) -> Call:
    body = encoded(request)
    return lambda: json.loads(fetch(name, body))


def _by_botocore(name: str, request: dict[str, Any]) -> Call:
    client = _client()
    send, refused = getattr(client, xform_name(name)), client.exceptions.TransactionCanceledException

    def run() -> None:
        with suppress(refused):  # as it was when it was recorded
            send(**request)

    return run


@cache
def _client() -> Any:
    """Return botocore's client, without its check of parameters."""
    return DynamoDBTarget(os.environ).connect()


def _repeatable(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request without its token, with which a repetition would do nothing."""
    return {name: value for name, value in request.items() if name != "ClientRequestToken"}


def _in_turn(calls: list[Call]) -> Call:
    if len(calls) == 1:
        return calls[0]

    def run() -> None:
        for call in calls:
            call()

    return run


FLOOR = tuple(_Floor(one.name, one, _signed) for one in TIMED)
BOTOCORE = tuple(_Floor(one.name, one, _by_botocore) for one in TIMED)
GROWTH = (
    _FloorOfGrowth("actor modify", "UPDATE actors SET passphrase = 'another passphrase' WHERE id = $1"),
    _FloorOfGrowth("property get", "SELECT value FROM properties WHERE id = $1 AND name = 'p-07'"),
    _FloorOfGrowth(
        "property set",
        "INSERT INTO properties (id, name, value) VALUES ($1, 'p-07', repeat('w', 100)) "
        "ON CONFLICT (id, name) DO UPDATE SET value = excluded.value",
    ),
)
