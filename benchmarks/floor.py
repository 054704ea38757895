"""The floor: what was recorded, sent again in the fastest way that there is; and by botocore's client."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import RawCursor

from actingweb.db.dynamodb.wire.messages import Target, encoded, headers_of
from actingweb.db.dynamodb.wire.signature import Signer
from testbed.operations.calls import Call, Classes
from testbed.operations.timed import Operation
from testbed.recorder import Request, Trip, recorded_requests, recorded_trips
from testbed.servers import DynamoDBTarget

__all__ = ["BotocoreFloor", "DynamoDBFloor", "PostgresFloor", "Recording", "record"]


class RecordingError(RuntimeError):
    """An operation did not do what it is measured for."""


class Recording(NamedTuple):
    """What an operation sends, as requests or trips: to store what it needs, and in each of its calls."""

    store: list[Any]
    calls: list[list[Any]]


def record(operation: Operation, db: Classes, count: int) -> Recording:
    """Make so many calls of an operation twice, and return what they sent the second time."""
    # The first time unrecorded: connections are opened, tables are made, and then there are rows for `store` to remove.
    operation.store(db, count)
    for call in operation.calls(db, count):
        call()
    with (recorded_trips if db.database == "postgresql" else recorded_requests)() as taken:
        operation.store(db, count)
        stored, calls = [*taken()], []
        for call in operation.calls(db, count):
            taken()
            if call() is False:
                raise RecordingError(f"{operation.name} answered False")
            calls.append([*taken()])
    return Recording(stored, calls)


class PostgresFloor:
    """Runs recorded statements on one held connection: prepared, in autocommit, binary, on one cursor."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        connection.prepare_threshold = 0
        connection.prepared_max = 1000
        self._cursor = RawCursor(connection)
        self._cursor.format = psycopg.pq.Format.BINARY

    def calls(self, recorded: list[list[Trip]]) -> list[Call]:
        """Return calls that send what the recorded ones sent."""
        return [_in_turn([self._trip(trip) for trip in trips]) for trips in recorded]

    def replay(self, recorded: list[Trip]) -> None:
        """Run statements whose answers nobody wants, many at a time."""
        with self._connection.pipeline():
            for trip in recorded:
                for statement in trip:
                    self._cursor.execute(*statement)

    def _trip(self, trip: Trip) -> Call:
        if len(trip) > 1:
            return lambda: self._pipeline(trip)
        cursor, (statement, values) = self._cursor, trip[0]

        def run() -> None:
            cursor.execute(statement, values)
            if cursor.rownumber is not None:
                cursor.fetchall()

        return run

    def _pipeline(self, trip: Trip) -> None:
        cursors = [RawCursor(self._connection) for _ in trip]
        with self._connection.pipeline():
            for cursor, statement in zip(cursors, trip, strict=True):
                cursor.execute(*statement)
        for cursor in cursors:
            if cursor.rownumber is not None:
                cursor.fetchall()


class DynamoDBFloor:
    """Signs recorded requests and sends them by `http.client`, on one connection, to the server that settings name."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        host = urlsplit(environment["AWS_DB_HOST"]).netloc
        keys = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        self._connection = HTTPConnection(host)
        self._target = Target(host)
        self._signer = Signer(*keys, environment.get("AWS_SESSION_TOKEN"), environment["AWS_DEFAULT_REGION"])

    def calls(self, recorded: list[list[Request]]) -> list[Call]:
        """Return calls that send what the recorded ones sent."""
        return [_in_turn([self._call(name, _repeatable(request)) for name, request in one]) for one in recorded]

    def fetch(self, name: str, body: bytes) -> bytes:
        """Send a request and return the text of its answer, which may refuse a transaction."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = headers_of(self._target, self._signer, name, body, now)
        try:
            self._connection.request("POST", "/", body, dict(headers))
            return self._connection.getresponse().read()
        except (
            ConnectionResetError,
            BrokenPipeError,
        ):  # the server closes what was idle for long, as while others took their turn
            self._connection.close()
            return self.fetch(name, body)

    def capacity(self, requests: list[Request]) -> float:
        """Send requests and return the units that they consume; a refused one does not say what it consumed."""
        found = 0.0
        for name, request in requests:
            answer = self._call(name, {**_repeatable(request), "ReturnConsumedCapacity": "TOTAL"})()
            consumed = answer.get("ConsumedCapacity", [])
            found += sum(part["CapacityUnits"] for part in (consumed if isinstance(consumed, list) else [consumed]))
        return found

    def _call(self, name: str, request: dict[str, Any]) -> Call:
        body = encoded(request)
        return lambda: json.loads(self.fetch(name, body))


class BotocoreFloor(DynamoDBFloor):
    """Sends recorded requests by botocore's client, without its check of parameters."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        client: Any = DynamoDBTarget(environment).connect()
        self._refused: type[Exception] = client.exceptions.TransactionCanceledException
        self._methods = {name: getattr(client, method) for method, name in client.meta.method_to_api_mapping.items()}

    def _call(self, name: str, request: dict[str, Any]) -> Call:
        method = self._methods[name]

        def run() -> Any:
            try:
                return method(**request)
            except self._refused:
                return {}  # as it was when it was recorded

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
