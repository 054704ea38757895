"""Checks of the DynamoDB side: tables, streams, time to live, capacity, and what the credentials allow."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from actingweb.db.dynamodb.tables import names_of
from actingweb.migration.errors import SourceError
from actingweb.migration.findings import Finding, clock, good, stopper, unchecked, warning
from actingweb.migration.mapping import CLAIMS, CLAIMS_V1, CLAIMS_V2, MAPPINGS, TableMapping
from actingweb.migration.plan.facts import TableFacts
from actingweb.migration.source.endpoint import AccessDeniedError, Json
from actingweb.migration.source.scan import DynamoDBSource

__all__ = ["SIDE", "findings"]

SIDE = "dynamodb"
_NAMES_SHOWN = 5
_NEEDED = frozenset({"BatchGetItem", "Scan"})
_NOT_REQUIRED = "a table that the application has not created yet is looked for during the migration"
_MAKE_STREAM = "let `migrate prepare --enable-streams` switch it on, which changes nothing for the application"
_KEYS_ARE_ENOUGH = "the migration needs the keys alone, and reads nothing else from it"


def findings(source: DynamoDBSource, tables: dict[str, TableFacts], *, writes: bool) -> Iterator[Finding]:
    """Yield findings about the tables, and add what is known of each to `tables`.

    With `writes`, also try whether the credentials allow writing items, which the way back needs. Raise `SourceError`
    if the endpoint cannot be reached or the table of the actors cannot be described.
    """
    existing: dict[TableMapping, Json] = {}
    for mapping in source.mappings:
        description = source.description(mapping)
        if description is not None:
            existing[mapping] = description
        table = TableFacts(description is not None)
        if description is not None:
            table.rows, table.size = int(description["ItemCount"]), int(description["TableSizeBytes"])
        tables[mapping.name] = table
    yield good(SIDE, "endpoint", source.endpoint.address)
    yield _clock(source, existing)
    yield from _missing(source, existing)
    yield from _look_ups(existing)
    yield from _capacity(source, existing)
    yield from _streams(existing)
    yield from _time_to_live(source, existing)
    yield from _rights(source, existing, writes=writes)
    yield from _other_tables(source, existing)


def _clock(source: DynamoDBSource, existing: dict[TableMapping, Json]) -> Finding:
    name = next(iter(existing.values()))["TableName"]
    began = time.time()
    sent = source.endpoint.date(name)
    return clock(SIDE, began, time.time(), sent)


def _missing(source: DynamoDBSource, existing: dict[TableMapping, Json]) -> Iterator[Finding]:
    missing = [source.table_name(mapping) for mapping in source.mappings if mapping not in existing]
    if missing:
        yield warning(SIDE, "tables", f"{len(existing)} exist, {', '.join(missing)} not", _NOT_REQUIRED)
    else:
        yield good(SIDE, "tables", f"all {len(existing)} exist")


def _look_ups(existing: dict[TableMapping, Json]) -> Iterator[Finding]:
    found = [(mapping, existing[mapping]) for mapping in CLAIMS if mapping in existing]
    if not found:
        advice = "each indexed value will belong to the actor with the smallest id of those that have it"
        yield warning(SIDE, "look-up tables", "none: nothing says which actor a value belongs to", advice)
        return
    texts = [f"{mapping.name} of {_day(description)}" for mapping, description in found]
    if CLAIMS_V2 in existing:
        yield good(SIDE, "look-up tables", ", ".join(texts))
    else:
        advice = f"its claims decide; {CLAIMS_V2.name} would win if it existed"
        yield warning(SIDE, "look-up tables", f"only {CLAIMS_V1.name}, of {_day(found[0][1])}", advice)


def _day(description: Json) -> str:
    created = description.get("CreationDateTime")
    return datetime.fromtimestamp(float(created), UTC).date().isoformat() if created is not None else "unknown age"


def _capacity(source: DynamoDBSource, existing: dict[TableMapping, Json]) -> Iterator[Finding]:
    for description in existing.values():
        name = description["TableName"]
        mode = description.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
        if mode == "PAY_PER_REQUEST":
            yield good(SIDE, f"capacity of {name}", "on demand")
            continue
        units = float(description.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0))
        text = f"{units:,.0f} read capacity units a second are provisioned"
        if source.rcu is None:
            yield warning(SIDE, f"capacity of {name}", text, "name a share of them with --rcu")
        elif source.rcu > units:
            yield warning(SIDE, f"capacity of {name}", f"{text}, --rcu is {source.rcu:,.0f}", "lower --rcu")
        else:
            yield good(SIDE, f"capacity of {name}", text)


def _streams(existing: dict[TableMapping, Json]) -> Iterator[Finding]:
    for description in existing.values():
        check = f"stream of {description['TableName']}"
        stream = description.get("StreamSpecification") or {}
        if not stream.get("StreamEnabled"):
            yield warning(SIDE, check, "off", _MAKE_STREAM)
        elif stream.get("StreamViewType") == "KEYS_ONLY":
            yield good(SIDE, check, "on, KEYS_ONLY")
        else:
            yield good(SIDE, check, f"on, {stream.get('StreamViewType')}: {_KEYS_ARE_ENOUGH}")


def _time_to_live(source: DynamoDBSource, existing: dict[TableMapping, Json]) -> Iterator[Finding]:
    for mapping, description in existing.items():
        wanted, name = mapping.layout.ttl, description["TableName"]
        try:
            answer = source.endpoint.call("DescribeTimeToLive", {"TableName": name})
        except SourceError as error:
            yield unchecked(SIDE, f"time to live of {name}", str(error))
            continue
        settings = answer.get("TimeToLiveDescription", {})
        enabled = settings.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
        attribute = settings.get("AttributeName") if enabled else None
        if attribute == wanted:
            yield good(SIDE, f"time to live of {name}", f"by {attribute}" if attribute else "off")
        elif wanted is None:
            advice = "DynamoDB deletes items that the application believes to be there: switch it off"
            yield warning(SIDE, f"time to live of {name}", f"by {attribute}, which the library does not use", advice)
        else:
            text = f"{attribute or 'off'} instead of {wanted}"
            yield warning(SIDE, f"time to live of {name}", text, "expired rows are kept, and moved")


def _rights(source: DynamoDBSource, existing: dict[TableMapping, Json], *, writes: bool) -> Iterator[Finding]:
    """Try each action with a call that changes nothing."""
    denied: dict[str, list[str]] = {}
    for mapping, description in existing.items():
        for action, attempt in _attempts(source, mapping, description, writes=writes):
            names = denied.setdefault(action, [])
            if not _is_allowed(attempt):
                names.append(description["TableName"])
    yield from _judged(denied, len(existing), writes=writes)
    if not all(map(_has_stream, existing.values())):
        yield unchecked(SIDE, "rights", "UpdateTable, which switches a stream on, cannot be tried without doing it")


def _judged(denied: dict[str, list[str]], tables: int, *, writes: bool) -> Iterator[Finding]:
    for action, names in denied.items():
        if names:
            report = stopper if writes or action in _NEEDED else warning
            found = f"the credentials do not allow dynamodb:{action} on {len(names)} of {tables} tables"
            yield report(SIDE, "rights", found, f"allow dynamodb:{action} on {', '.join(names)}")
    if allowed := sorted(action for action, names in denied.items() if not names):
        yield good(SIDE, "rights", f"the credentials allow {', '.join(allowed)}")


def _is_allowed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except AccessDeniedError:
        return False
    except SourceError:
        # Refused for another reason, such as a condition that fails: the action itself is allowed.
        return True
    return True


def _has_stream(description: Json) -> bool:
    return bool((description.get("StreamSpecification") or {}).get("StreamEnabled"))


def _attempts(
    source: DynamoDBSource, mapping: TableMapping, description: Json, *, writes: bool
) -> Iterator[tuple[str, Callable[[], object]]]:
    call, name = source.endpoint.call, description["TableName"]
    key = {attribute: {"S": f"_actingweb_plan_{uuid4().hex}"} for attribute in mapping.layout.key_names}
    yield "BatchGetItem", lambda: call("BatchGetItem", {"RequestItems": {name: {"Keys": [key]}}})
    yield "Scan", lambda: call("Scan", {"TableName": name, "Limit": 1})
    if writes:
        # The key is random and the condition asks for an item that has it, so that nothing is ever written.
        condition = {
            "ConditionExpression": "attribute_exists(#h)",
            "ExpressionAttributeNames": {"#h": mapping.layout.hash},
        }
        yield "UpdateItem", lambda: call("UpdateItem", {"TableName": name, "Key": key, **condition})
        yield "DeleteItem", lambda: call("DeleteItem", {"TableName": name, "Key": key, **condition})


def _other_tables(source: DynamoDBSource, existing: dict[TableMapping, Json]) -> Iterator[Finding]:
    """Yield tables with the prefix that the library does not know."""
    prefix = source.names(MAPPINGS[0])[0].removesuffix(MAPPINGS[0].layout.suffix)
    known = {name for mapping in (*MAPPINGS, *CLAIMS) for name in names_of(prefix, mapping.layout.suffix)}
    known |= {description["TableName"] for description in existing.values()}
    try:
        others = [name for name in _table_names(source) if name.startswith(prefix) and name not in known]
    except SourceError as error:
        yield unchecked(SIDE, "other tables", str(error))
        return
    if others:
        shown = ", ".join(sorted(others)[:_NAMES_SHOWN]) + (", ..." if len(others) > _NAMES_SHOWN else "")
        text = f"{len(others)} that begin with {prefix} are not the library's: {shown}"
        yield warning(SIDE, "other tables", text, "the migration does not move them")
    else:
        yield good(SIDE, "other tables", f"none that begin with {prefix}")


def _table_names(source: DynamoDBSource) -> Iterator[str]:
    request: dict[str, Any] = {}
    while True:
        answer = source.endpoint.call("ListTables", request)
        yield from answer.get("TableNames", [])
        if "LastEvaluatedTableName" not in answer:
            return
        request = {"ExclusiveStartTableName": answer["LastEvaluatedTableName"]}
