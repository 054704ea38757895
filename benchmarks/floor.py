"""The floor: what was recorded, sent again in the fastest way that the drivers offer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import botocore.session
import psycopg
from botocore.config import Config
from botocore.exceptions import ClientError
from psycopg import RawCursor

from testbed.operations.calls import Call
from testbed.recorder import Request, Trip

__all__ = ["DynamoDBFloor", "PostgresFloor"]


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
    """Sends recorded requests by botocore, without its check of parameters, to the server that settings name."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        client = botocore.session.get_session().create_client(
            "dynamodb",
            endpoint_url=environment["AWS_DB_HOST"],
            region_name=environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )
        self._methods = {name: getattr(client, method) for method, name in client.meta.method_to_api_mapping.items()}

    def calls(self, recorded: list[list[Request]]) -> list[Call]:
        """Return calls that send what the recorded ones sent."""
        return [_in_turn([self._request(*request) for request in requests]) for requests in recorded]

    def capacity(self, requests: list[Request]) -> float:
        """Send requests and return the units that they consume; a refused one does not say what it consumed."""
        answers = [
            self._request(name, {**arguments, "ReturnConsumedCapacity": "TOTAL"})() for name, arguments in requests
        ]
        consumed = [answer.get("ConsumedCapacity", []) for answer in answers]
        parts = [part for one in consumed for part in (one if isinstance(one, list) else [one])]
        return float(sum(part["CapacityUnits"] for part in parts))

    def _request(self, name: str, arguments: dict[str, Any]) -> Call:
        method, repeatable = self._methods[name], copy.deepcopy(arguments)
        # With the same token a repetition would do nothing.
        repeatable.pop("ClientRequestToken", None)
        if name != "TransactWriteItems":
            return lambda: method(**repeatable)

        def run() -> Any:
            try:
                return method(**repeatable)
            except ClientError as error:
                if error.response["Error"]["Code"] != "TransactionCanceledException":
                    raise
                # As it was when it was recorded.
                return {}

        return run


def _in_turn(calls: list[Call]) -> Call:
    if len(calls) == 1:
        return calls[0]

    def run() -> None:
        for call in calls:
            call()

    return run
