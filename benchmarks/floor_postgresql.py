"""The floor on PostgreSQL: recorded SQL on one held psycopg connection."""

from __future__ import annotations

import psycopg
from psycopg import RawCursor

from benchmarks.driver.workload import Call
from benchmarks.wire import Statement, Trip

__all__ = ["Floor"]


class Floor:
    """Runs recorded statements the fastest way that psycopg offers: prepared, in autocommit, binary, on one cursor."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection
        connection.prepare_threshold = 0
        connection.prepared_max = 1000
        self._cursor = RawCursor(connection)
        self._cursor.format = psycopg.pq.Format.BINARY

    def calls(self, recorded: list[list[Trip]]) -> list[Call]:
        """Return calls that do what the recorded ones did."""
        return [self._call(trips) for trips in recorded]

    def replay(self, recorded: list[Trip]) -> None:
        """Run statements whose answers nobody wants, many at a time."""
        with self._connection.pipeline():
            for trip in recorded:
                for statement in trip:
                    self._cursor.execute(statement.sql, statement.values)

    def _call(self, trips: list[Trip]) -> Call:
        if len(trips) == 1:
            return self._trip(trips[0])
        made = [self._trip(trip) for trip in trips]

        def run() -> None:
            for one in made:
                one()

        return run

    def _trip(self, trip: Trip) -> Call:
        return self._single(trip[0]) if len(trip) == 1 else self._pipeline(trip)

    def _single(self, statement: Statement) -> Call:
        cursor, sql, values = self._cursor, statement.sql, statement.values

        def run() -> None:
            cursor.execute(sql, values)
            if cursor.rownumber is not None:
                cursor.fetchall()

        return run

    def _pipeline(self, trip: Trip) -> Call:
        connection = self._connection
        steps = [(statement.sql, statement.values) for statement in trip]

        def run() -> None:
            cursors = []
            with connection.pipeline():
                for sql, values in steps:
                    cursor = RawCursor(connection)
                    cursor.execute(sql, values)
                    cursors.append(cursor)
            for cursor in cursors:
                if cursor.rownumber is not None:
                    cursor.fetchall()

        return run
