"""Checks whether a table exists and has the keys and indexes of its layout."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.errors import DENIED, NOT_FOUND
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.tables import table_of
from actingweb.db.dynamodb.transport import RequestFailed
from actingweb.db.faults import DriverError, Fault

__all__ = [
    "Description",
    "Problem",
    "describe",
    "is_denied",
    "probe",
    "problems_in",
    "try_to_describe",
    "ttl_enabled",
]

Description = dict[str, Any]
"""The description of a table that `DescribeTable` returns."""

_USABLE = ("ACTIVE", "UPDATING")
_CREATION_POLL_SECONDS = 0.5
_NOBODY = "no actor has this id"


class Problem(NamedTuple):
    """What is wrong with a table.

    Attributes:
        kind: in capitals, such as `NO INDEX`.
        table: its name.
        text: the index or the keys.
        of_key: whether the table has another key, so that no request to it can be right.
    """

    kind: str
    table: str
    text: str
    of_key: bool = False

    def __str__(self) -> str:
        return f"{self.kind}  {self.table}  {self.text}".rstrip()


def describe(layout: Layout, *, wait: bool = False) -> Description | None:
    """Return the description of a table, None if it does not exist under any name that it may have. Raise `Fault`.

    With `wait`, wait while the table is being created.
    """
    outcome = try_to_describe(layout, wait=wait)
    if isinstance(outcome, RequestFailed):
        raise outcome.fault(of_write=False)
    return outcome


def try_to_describe(layout: Layout, *, wait: bool) -> Description | RequestFailed | None:
    """Return the description as `describe` does, or the failed request."""
    while True:
        outcome = _describe_once(layout)
        if not wait or not isinstance(outcome, dict) or outcome["TableStatus"] != "CREATING":
            return outcome
        time.sleep(_CREATION_POLL_SECONDS)


def _describe_once(layout: Layout) -> Description | RequestFailed | None:
    table = table_of(layout)
    denied = None
    for name in table.names():
        outcome = client.attempt(table, "DescribeTable", {"TableName": name}, repeatable=True)
        if not isinstance(outcome, RequestFailed):
            table.settle(name)
            description: Description = outcome[0]["Table"]
            return description
        if outcome.code == DENIED:
            # The table can still have the other name.
            denied = outcome
        elif outcome.code != NOT_FOUND:
            return outcome
    return denied


def probe(layout: Layout) -> bool:
    """Tell whether the table exists, by reading one item: every application has that right. Raise `Fault`."""
    key = {name: {"S": _NOBODY} for name in layout.key_names}
    try:
        client.read(table_of(layout), "GetItem", {"Key": key})
    except Fault as fault:
        if _code(fault) != NOT_FOUND:
            raise
        return False
    return True


def is_denied(fault: Fault) -> bool:
    """Tell whether a request failed because the role lacks a permission, which the fault's reason names."""
    return _code(fault) == DENIED


def _code(fault: Fault) -> str | None:
    return fault.cause.code if isinstance(fault.cause, DriverError) else None


def ttl_enabled(layout: Layout) -> bool:
    """Tell whether the table deletes expired items by itself. Raise `Fault`."""
    answer = client.read(table_of(layout), "DescribeTimeToLive", {})
    return answer["TimeToLiveDescription"]["TimeToLiveStatus"] in ("ENABLED", "ENABLING")


def problems_in(layout: Layout, table: Description) -> list[Problem]:
    """Return what is wrong with a table of this description."""
    name: str = table["TableName"]
    return [problem._replace(table=name) for problem in _problems(layout, table)]


def _problems(layout: Layout, found: Description) -> Iterator[Problem]:
    status = found.get("TableStatus", "ACTIVE")
    if status not in _USABLE:
        yield Problem(f"TABLE {status}", "", "")
    types = {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
    needed = _key_text(layout.key_names)
    if (has := _described_key(found["KeySchema"], types)) != needed:
        yield Problem("WRONG KEY", "", f"it is {has}, needed is {needed}", of_key=True)
    indexes = {index["IndexName"]: index for index in found.get("GlobalSecondaryIndexes", ())}
    for name, attribute in layout.indexes.items():
        yield from _index_problems(name, attribute, indexes.get(name), types)


def _index_problems(name: str, attribute: str, found: Description | None, types: dict[str, str]) -> Iterator[Problem]:
    if found is None:
        yield Problem("NO INDEX", "", name)
        return
    status = found.get("IndexStatus", "ACTIVE")
    if status not in _USABLE:
        yield Problem(f"INDEX {status}", "", name)
    if (has := _described_key(found["KeySchema"], types)) != (needed := _key_text([attribute])):
        yield Problem("WRONG INDEX", "", f"{name}: its key is {has}, needed is {needed}")
    if found["Projection"]["ProjectionType"] != "ALL":
        yield Problem("WRONG INDEX", "", f"{name}: it does not hold all attributes")


def _key_text(names: list[str]) -> str:
    """Return the key attributes, all of which are texts, as `id (S), name (S)`."""
    return ", ".join(f"{name} (S)" for name in names)


def _described_key(schema: list[dict[str, str]], types: dict[str, str]) -> str:
    parts = sorted(schema, key=lambda part: part["KeyType"])  # HASH comes before RANGE
    return ", ".join(f"{part['AttributeName']} ({types.get(part['AttributeName'], '?')})" for part in parts)
