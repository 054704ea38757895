"""The floor: what an operation sends, recorded and sent again in the fastest way; and by botocore's client.

The tables `FLOOR`, `BOTOCORE` and `GROWTH` are run by `benchmarks.worker`, as the operations themselves are.
"""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import RawCursor

from actingweb.db.dynamodb.wire.messages import Target, encoded, headers_of
from actingweb.db.dynamodb.wire.signature import Signer
from testbed.operations.calls import Actor, Call, Classes, filled
from testbed.operations.operation import Operation, drawn
from testbed.operations.timed import GROWTH as GROWN
from testbed.operations.timed import TIMED
from testbed.recorder import Statement, Trip, recorded_requests, recorded_trips
from testbed.servers import DynamoDBTarget, PostgresTarget

_ANYBODY = Actor("{id}", "{address}")
_FLOOR_OF_GROWTH = (
    *("actor get", "actor get by creator", "actor modify", "property get", "property set", "attribute get"),
    "diff get oldest",
)
"""Operations of one statement whose values contain the actor's id or address as it is."""


class RecordingError(RuntimeError):
    """An operation did not do what it is measured for."""


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
                raise RecordingError(f"{operation.name} answered False")
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
    """An operation whose calls send its statement, recorded on an actor whose name stands for that of any other."""

    name: str
    operation: Operation

    def store(self, db: Classes, count: int) -> None:
        """Do nothing: the population has the rows."""

    def calls(self, db: Classes, count: int) -> list[Call]:
        actor = db.DbActor()
        actor.create(actor_id=_ANYBODY.id, creator=_ANYBODY.address, passphrase="a passphrase")
        self.operation.make(db, _ANYBODY)
        call = self.operation.call(db, _ANYBODY)
        with recorded_trips() as taken:
            call()
            ((statement,),) = taken()
        actor.delete()
        return [partial(_run, [Statement(statement.sql, filled(statement.values, one))]) for one in drawn(count)]


class _Held(threading.local):
    """A connection for each thread, in autocommit, and a cursor on it: prepared and binary."""

    def __init__(self) -> None:
        schema = os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"]
        self.connection = PostgresTarget(os.environ).connect(schema)
        self.connection.prepare_threshold = 0
        self.connection.prepared_max = 1000
        self.cursor = RawCursor(self.connection)
        self.cursor.format = psycopg.pq.Format.BINARY


@cache
def _held() -> _Held:
    return _Held()


def _run(trip: Trip) -> None:
    """Send the statements of a round trip, and read the answers."""
    held = _held()
    if len(trip) > 1:
        _run_pipeline(held.connection, trip)
        return
    held.cursor.execute(*trip[0])
    if held.cursor.rownumber is not None:
        held.cursor.fetchall()


def _run_pipeline(connection: psycopg.Connection[Any], trip: Trip) -> None:
    cursors = [RawCursor(connection) for _ in trip]
    with connection.pipeline():
        for cursor, statement in zip(cursors, trip, strict=True):
            cursor.execute(*statement)
    for cursor in cursors:
        if cursor.rownumber is not None:
            cursor.fetchall()


class _HttpClient:
    """Signs requests and sends them by `http.client`, on one connection, to the server that the settings name."""

    def __init__(self) -> None:
        host = urlsplit(os.environ["AWS_DB_HOST"]).netloc
        keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        self._connection = HTTPConnection(host)
        self._target = Target(host)
        self._signer = Signer(*keys, os.environ.get("AWS_SESSION_TOKEN"), os.environ["AWS_DEFAULT_REGION"])

    def fetch(self, name: str, body: bytes) -> bytes:
        """Send a request and return the text of its answer, which may refuse a transaction."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = headers_of(self._target, self._signer, name, body, now)
        try:
            self._connection.request("POST", "/", body, dict(headers))
            return self._connection.getresponse().read()
        except (ConnectionResetError, BrokenPipeError):
            # The server closes what was idle for long, as while others took their turn.
            self._connection.close()
            return self.fetch(name, body)


@cache
def _http_client() -> _HttpClient:
    return _HttpClient()


def fetch(name: str, request: dict[str, Any]) -> bytes:
    """Send a request and return the text of its answer."""
    return _http_client().fetch(name, encoded(request))


def _signed(name: str, request: dict[str, Any]) -> Call:
    client, body = _http_client(), encoded(request)
    return lambda: json.loads(client.fetch(name, body))


@cache
def _botocore_methods() -> tuple[dict[str, Any], type[Exception]]:
    """Return the methods of botocore's client, without its check of parameters; and the error of a transaction."""
    client: Any = DynamoDBTarget(os.environ).connect()
    methods = {name: getattr(client, method) for method, name in client.meta.method_to_api_mapping.items()}
    return methods, client.exceptions.TransactionCanceledException


def _by_botocore(name: str, request: dict[str, Any]) -> Call:
    methods, refused = _botocore_methods()

    def run() -> None:
        with suppress(refused):  # as it was when it was recorded
            methods[name](**request)

    return run


def _repeatable(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request without its token, with which a repetition would do nothing."""
    return {name: value for name, value in copy.deepcopy(request).items() if name != "ClientRequestToken"}


def _in_turn(calls: list[Call]) -> Call:
    if len(calls) == 1:
        return calls[0]

    def run() -> None:
        for call in calls:
            call()

    return run


FLOOR = tuple(_Floor(one.name, one, _signed) for one in TIMED)
BOTOCORE = tuple(_Floor(one.name, one, _by_botocore) for one in TIMED)
GROWTH = tuple(_FloorOfGrowth(one.name, one) for one in GROWN if one.name in _FLOOR_OF_GROWTH)
