"""Records what this library sends, at the point where it calls its driver, so that a benchmark can send the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from actingweb.db.dynamodb.transport import Transport
from actingweb.db.postgresql.pooled_connection import PooledConnection

__all__ = ["Request", "Statement", "Trip", "recorded_requests", "recorded_trips"]

T = TypeVar("T")


class Statement(NamedTuple):
    """SQL with the placeholders `$1` and so on, and the values as PostgreSQL receives them."""

    sql: str
    values: tuple[Any, ...]


Trip = list[Statement]
"""Statements that are sent together, as one transaction."""

Request = tuple[str, dict[str, Any]]
"""An operation of DynamoDB, as `PutItem`, and its arguments."""


@contextmanager
def recorded_trips() -> Iterator[Callable[[], list[Trip]]]:
    """Record the round trips to PostgreSQL; yield a function that returns those since its last call."""
    trips: list[Trip] = []
    own_run, own_run_all = PooledConnection.run, PooledConnection.run_all

    def run(connection: PooledConnection, query: Any, parameters: Any) -> Any:
        trips.append([_statement(query, parameters)])
        return own_run(connection, query, parameters)

    def run_all(connection: PooledConnection, steps: Any, explicit: bool) -> Any:
        trips.append([_statement(query, parameters) for query, parameters in steps])
        return own_run_all(connection, steps, explicit)

    with _replaced(PooledConnection, run=run, run_all=run_all):
        yield lambda: _taken(trips)


@contextmanager
def recorded_requests() -> Iterator[Callable[[], list[Request]]]:
    """Record the requests to DynamoDB; yield a function that returns those since its last call."""
    requests: list[Request] = []
    own_call = Transport.call

    def call(transport: Transport, operation: str, request: dict[str, Any], repeatable: bool) -> Any:
        requests.append((operation, request))
        return own_call(transport, operation, request, repeatable)

    with _replaced(Transport, call=call):
        yield lambda: _taken(requests)


@contextmanager
def _replaced(owner: type, **methods: Callable[..., Any]) -> Iterator[None]:
    """Replace methods of a class during the block."""
    before = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


def _taken(found: list[T]) -> list[T]:
    taken = found.copy()
    found.clear()
    return taken


def _statement(query: Any, parameters: Any) -> Statement:
    values = [parameters[name] for name in query.names] if isinstance(parameters, Mapping) else parameters
    return Statement(query.text.decode(), tuple(map(_text, values)))


def _text(value: Any) -> Any:
    """Return a value as the text that PostgreSQL receives; the server infers its type."""
    if isinstance(value, bool):
        return "t" if value else "f"
    return value if value is None or isinstance(value, list) else str(value)
