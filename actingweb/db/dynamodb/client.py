"""Every request of the entities, and of the table checks, is made here; failures become faults here."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from actingweb.db.dynamodb import deadline
from actingweb.db.dynamodb.batching import batched
from actingweb.db.dynamodb.errors import CONDITION_FAILED, DENIED, NOT_FOUND
from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.tables import Table
from actingweb.db.dynamodb.transport import RequestFailed
from actingweb.db.dynamodb.wire.connections import BACKEND
from actingweb.db.events import retried, throttled
from actingweb.db.exceptions import DbConflictError, DbThrottledError
from actingweb.db.faults import Fault

__all__ = [
    "WITHOUT_OLD_ITEM",
    "Action",
    "ConditionFailed",
    "attempt",
    "batch_delete",
    "batch_get",
    "collided",
    "pages",
    "pause",
    "read",
    "transact",
    "write",
    "write_if",
]

_WITH_OLD_ITEM = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
WITHOUT_OLD_ITEM = {"ReturnValuesOnConditionCheckFailure": "NONE"}
"""Arguments of an action whose failed condition need not tell which item is stored."""

_DELETES_PER_REQUEST = 25
_GETS_PER_REQUEST = 100

Request = dict[str, Any]


class ConditionFailed(NamedTuple):
    """A write whose condition did not hold.

    Attributes:
        item: the stored item, None if there is none.
        repeated: whether an earlier attempt of the same write may have been executed.
    """

    item: Item | None
    repeated: bool


class Action(NamedTuple):
    """One action of a transaction: `kind` is Put, Delete or ConditionCheck."""

    kind: str
    table: Table
    arguments: Request


def read(table: Table, operation: str, request: Request) -> dict[str, Any]:
    """Return the answer to a read. Raise `Fault`."""
    outcome = _send([table], lambda names: (operation, {"TableName": names[table]} | request), repeatable=True)
    if isinstance(outcome, RequestFailed):
        raise outcome.fault(of_write=False)
    return outcome[0]


def write(table: Table, operation: str, request: Request) -> dict[str, Any]:
    """Return the answer to an unconditional write of one item, which may be executed twice. Raise `Fault`."""
    outcome = _send([table], lambda names: (operation, {"TableName": names[table]} | request), repeatable=True)
    if isinstance(outcome, RequestFailed):
        raise outcome.fault(of_write=True)
    return outcome[0]


def write_if(table: Table, operation: str, request: Request, *, repeatable: bool) -> dict[str, Any] | ConditionFailed:
    """Return the answer to a conditional write of one item, or how its condition failed. Raise `Fault`.

    `repeatable`: executing it twice has the same effect as once, though the condition may fail the second time.
    """
    outcome = _send(
        [table],
        lambda names: (operation, {"TableName": names[table]} | _WITH_OLD_ITEM | request),
        repeatable=repeatable,
    )
    if not isinstance(outcome, RequestFailed):
        return outcome[0]
    if outcome.code == CONDITION_FAILED:
        return ConditionFailed(outcome.item, outcome.executed)
    raise outcome.fault(of_write=True)


def transact(actions: list[Action]) -> dict[int, Item | None] | None:
    """Execute all actions or none. Return None if they were executed, else the items that failed conditions found.

    The items are listed by the index of their action, with None where there is no item. Raise `Fault`.
    """
    token = os.urandom(16).hex()

    def build(names: dict[Table, str]) -> tuple[str, Request]:
        items = [{kind: {"TableName": names[table]} | _WITH_OLD_ITEM | arguments} for kind, table, arguments in actions]
        return "TransactWriteItems", {"TransactItems": items, "ClientRequestToken": token}

    outcome = _send([action.table for action in actions], build, repeatable=True)
    if not isinstance(outcome, RequestFailed):
        return None
    if outcome.code == CONDITION_FAILED:
        reasons = enumerate(outcome.reasons)
        return {index: reason.get("Item") for index, reason in reasons if reason["Code"] == "ConditionalCheckFailed"}
    raise outcome.fault(of_write=True)


def pages(table: Table, operation: str, request: Request) -> Iterator[dict[str, Any]]:
    """Yield the answers to a Query or Scan, page by page. Each page has the time of a whole call. Raise `Fault`."""
    start: Request | None = {}
    while start is not None:
        page = read(table, operation, request | start)
        yield page
        last = page.get("LastEvaluatedKey")
        start = {"ExclusiveStartKey": last} if last else None
        if start:
            deadline.restart()


def batch_get(table: Table, keys: Iterable[Item], arguments: Request) -> list[Item]:
    """Return the items of distinct keys that exist, read with strong consistency, in any order. Raise `Fault`."""
    found: list[Item] = []
    for number, chunk in enumerate(batched(keys, _GETS_PER_REQUEST)):
        if number:
            deadline.restart()
        _resend(table, chunk, lambda keys: _get_some(table, keys, arguments, found))
    return found


def _get_some(table: Table, keys: list[Item], arguments: Request, found: list[Item]) -> list[Item]:
    """Read items into `found`; return the keys that the database did not process."""
    request = {"Keys": keys, "ConsistentRead": True} | arguments
    outcome = _send([table], lambda names: ("BatchGetItem", {"RequestItems": {names[table]: request}}), repeatable=True)
    if isinstance(outcome, RequestFailed):
        raise outcome.fault(of_write=False)
    for items in outcome[0]["Responses"].values():
        found.extend(items)
    left = [rest["Keys"] for rest in outcome[0].get("UnprocessedKeys", {}).values()]
    return left[0] if left else []


def batch_delete(table: Table, keys: Iterable[Item]) -> None:
    """Delete the items of distinct keys in batches, each of which has the time of a whole call.

    Raise `Fault`, of `DbThrottledError` if the database left items undeleted; its reason tells how many are deleted.
    """
    done = 0

    def delete(keys: list[Item]) -> list[Item]:
        nonlocal done
        left = _delete_some(table, keys)
        done += len(keys) - len(left)
        return left

    try:
        for chunk in batched(keys, _DELETES_PER_REQUEST):
            deadline.restart()
            _resend(table, chunk, delete)
    except Fault as fault:
        raise Fault(fault.error, f"{fault.reason}; {done} items are done", fault.cause) from None


def _delete_some(table: Table, keys: list[Item]) -> list[Item]:
    """Delete items; return the keys that the database did not process."""
    requests = [{"DeleteRequest": {"Key": key}} for key in keys]
    outcome = _send(
        [table], lambda names: ("BatchWriteItem", {"RequestItems": {names[table]: requests}}), repeatable=True
    )
    if isinstance(outcome, RequestFailed):
        raise outcome.fault(of_write=True)
    return [rest["DeleteRequest"]["Key"] for left in outcome[0].get("UnprocessedItems", {}).values() for rest in left]


def _resend(table: Table, keys: list[Item], send: Callable[[list[Item]], list[Item]]) -> None:
    """Send keys, and send those again that `send` returns as not processed."""
    left = send(keys)
    for repetition in range(table.max_retry_attempts):
        if not left:
            return
        throttled(BACKEND)
        retried(BACKEND, DbThrottledError.__name__)
        pause(repetition)
        left = send(left)
    if left:
        repetitions = table.max_retry_attempts
        reason = f"{len(left)} items are left of a batch after {repetitions} repetitions: try again later"
        raise Fault(DbThrottledError, reason)


def collided() -> Fault:
    """Return the fault of a write that kept colliding with concurrent writes."""
    return Fault(DbConflictError, "concurrent writes kept colliding: try again")


def pause(repetition: int) -> None:
    """Wait before a repetition, the first of which is number 0."""
    time.sleep(random.uniform(0.5, 1.0) * min(0.05 * 2**repetition, 1.0))


def _send(
    tables: list[Table], build: Callable[[dict[Table, str]], tuple[str, Request]], *, repeatable: bool
) -> tuple[dict[str, Any], bool] | RequestFailed:
    """Send a request; try every name that its tables may have while it is not known which one they have."""
    possible = {table: table.names() for table in tables}
    failures: list[RequestFailed] = []
    for chosen in product(*possible.values()):
        names = dict(zip(possible, chosen, strict=True))
        outcome = attempt(tables[0], *build(names), repeatable=repeatable)
        if not isinstance(outcome, RequestFailed) or outcome.code not in (NOT_FOUND, DENIED):
            _settle(names, outcome)
            return outcome
        failures.append(outcome)
    return failures[0]


def attempt(
    table: Table, operation: str, request: Request, *, repeatable: bool
) -> tuple[dict[str, Any], bool] | RequestFailed:
    """Send a request to the endpoint of a table; return what `Transport.call` returns, or why it failed."""
    try:
        return table.transport().call(operation, request, repeatable)
    except RequestFailed as failure:
        return failure


def _settle(names: dict[Table, str], outcome: object) -> None:
    """Keep the names that the outcome proves to be right."""
    if not isinstance(outcome, RequestFailed) or outcome.code == CONDITION_FAILED:
        for table, name in names.items():
            if len(table.names()) > 1:
                table.settle(name)
