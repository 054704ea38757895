"""Lets observers see the attempts to have DynamoDB execute a request."""

from typing import Any

from actingweb.db.dynamodb.errors import CONDITION_FAILED, code_of, judge
from actingweb.db.dynamodb.sent import Sent
from actingweb.db.dynamodb.transport import Transport
from actingweb.db.observe import begun_request

__all__ = ["observe"]

_try = Transport.attempt_once


def observe(on: bool) -> None:
    """Tell observers of each attempt from now on, or not any more."""
    setattr(Transport, _try.__name__, _observed_try if on else _try)


def _observed_try(
    self: Transport, operation: str, request: dict[str, Any], seconds: float
) -> dict[str, Any] | Exception:
    tables = [request["TableName"]] if "TableName" in request else Sent(operation, request).tables()
    table = tables[0] if len(tables) == 1 else None
    told = begun_request(self.server, operation, table, " ".join([operation, *tables]))
    try:
        outcome = _try(self, operation, request, seconds)
    except BaseException as error:
        told.end(type(error).__name__)
        raise
    if isinstance(outcome, Exception):
        code = code_of(outcome)
        # What a condition found is an answer.
        told.end(None if code == CONDITION_FAILED else judge(outcome).error.__name__, code)
    else:
        told.end()
    return outcome
