"""Lets observers see the round trips of pooled connections."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

from actingweb.db.observe import Server, begun_request
from actingweb.db.postgresql.errors import fault_of
from actingweb.db.postgresql.pooled_connection import Parameters, PooledConnection, Result
from actingweb.db.postgresql.statement import Query

__all__ = ["observe", "summary_of"]

T = TypeVar("T")

_VERB = re.compile(rb"\b(INSERT INTO|DELETE FROM|(?<!DO )(?<!FOR )(?<!KEY )UPDATE)\b")
# The schema and the table, quoted; a quote inside a name is doubled.
_TABLE = re.compile(rb'"(?:[^"]|"")+"\."((?:[^"]|"")+)"')

_run, _run_all, _command = PooledConnection.run, PooledConnection.run_all, PooledConnection.command


def observe(on: bool) -> None:
    """Tell observers of each round trip from now on, or not any more."""
    functions = (_observed_run, _observed_run_all, _observed_command) if on else (_run, _run_all, _command)
    for plain, function in zip((_run, _run_all, _command), functions, strict=True):
        setattr(PooledConnection, plain.__name__, function)


@cache
def summary_of(text: bytes) -> tuple[str, str | None, str]:
    """Return what a statement does, such as INSERT, the table that it does it to, if there is one, and both as text."""
    verb = _VERB.search(text)
    words = (verb[1] if verb else text.lstrip(b"( ")).split(None, 1)
    table = _TABLE.search(text, verb.end() if verb else 0)
    operation = words[0].decode()
    return (operation, name := table[1].decode(), f"{operation} {name}") if table else (operation, None, operation)


def _observed_run(self: PooledConnection, query: Query, parameters: Parameters) -> Result:
    operation, table, summary = summary_of(query.text)
    return _told(self.server, operation, table, summary, lambda: _run(self, query, parameters))


def _observed_run_all(
    self: PooledConnection, steps: Sequence[tuple[Query, Parameters]], explicit: bool
) -> list[Result]:
    summary = _joined(tuple(query.text for query, _ in steps))
    return _told(self.server, "BATCH", None, summary, lambda: _run_all(self, steps, explicit))


def _observed_command(self: PooledConnection, text: bytes) -> Result:
    operation = summary_of(text)[0]
    return _told(self.server, operation, None, operation, lambda: _command(self, text))


@cache
def _joined(texts: tuple[bytes, ...]) -> str:
    return " ".join(dict.fromkeys(summary_of(text)[2] for text in texts))


def _told(server: Server, operation: str, table: str | None, summary: str, work: Callable[[], T]) -> T:
    """Return the result of `work`, and tell observers of it."""
    request = begun_request(server, operation, table, summary)
    try:
        result = work()
    except Exception as error:
        fault = fault_of(error)
        request.end(fault.error.__name__, getattr(fault.cause, "code", None))
        raise
    except BaseException as error:
        request.end(type(error).__name__)
        raise
    request.end()
    return result
