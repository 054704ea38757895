"""The requests of DynamoDB and of its streams, answered from memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.live.histories.fake.expressions import Item, Placeholders, condition_of, projection_of, updated
from tests.live.histories.fake.faults import ServiceError, invalid, no_table
from tests.live.histories.fake.streams import StreamService
from tests.live.histories.fake.tables import Key, Table, place_of, segment_of
from tests.live.histories.fake.whims import Whims

__all__ = ["FakeDynamoDB"]

Json = dict[str, Any]

_READ_AT_ONCE = 100
_WRITTEN_AT_ONCE = 25
_LISTED_AT_ONCE = 100
_CONDITION_FAILED = "ConditionalCheckFailed"


@dataclass
class _Write:
    """One write: what becomes of the item with this key, on which condition."""

    table: Table
    key: Key
    request: Json
    new: Callable[[Item | None], Item | None]

    @property
    def old(self) -> Item | None:
        return self.table.items.get(self.key)

    def failure(self) -> Json | None:
        """Return what is reported if the condition does not hold, None if it does."""
        condition = condition_of(self.request.get("ConditionExpression"), Placeholders.of(self.request))
        if condition(self.old or {}):
            return None
        shown = self.request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and self.old is not None
        return {"Item": self.old} if shown else {}

    def execute(self) -> Json:
        """Write, and return the answer."""
        old, new = self.old, self.new(self.old)
        self.table.store(self.key, new)
        wanted = self.request.get("ReturnValues", "NONE")
        changed = _changed(old, new, self.table.key_names)
        image = {"ALL_OLD": old, "ALL_NEW": new, "UPDATED_NEW": changed}.get(wanted)
        return {"Attributes": image} if image else {}


def _changed(old: Item | None, new: Item | None, key: list[str]) -> Item:
    return {name: value for name, value in (new or {}).items() if name not in key and (old or {}).get(name) != value}


class FakeDynamoDB:
    """All tables of one account. Thread-safe.

    Attributes:
        streams: their streams.
        whims: what the service decides; can be replaced at any time.
    """

    def __init__(self, whims: Whims | None = None) -> None:
        self.tables: dict[str, Table] = {}
        self.streams = StreamService(whims or Whims())
        self._lock = threading.RLock()
        self._transactions: set[str] = set()
        self._operations: dict[str, Callable[[Json], Json]] = {
            "BatchGetItem": self._batch_get,
            "BatchWriteItem": self._batch_write,
            "CreateTable": self._create,
            "DeleteItem": self._single(self._delete),
            "DeleteTable": self._drop,
            "DescribeStream": self.streams.describe,
            "DescribeTable": self._describe,
            "DescribeTimeToLive": self._time_to_live,
            "GetItem": self._get,
            "GetRecords": self.streams.records,
            "GetShardIterator": self.streams.shard_iterator,
            "ListStreams": self.streams.list_streams,
            "ListTables": self._list,
            "PutItem": self._single(self._put),
            "Query": self._query,
            "Scan": self._scan,
            "TransactWriteItems": self._transact,
            "UpdateItem": self._single(self._update),
            "UpdateTable": self._update_table,
            "UpdateTimeToLive": self._update_time_to_live,
        }

    @property
    def whims(self) -> Whims:
        """What the service decides."""
        return self.streams.whims

    @whims.setter
    def whims(self, whims: Whims) -> None:
        self.streams.whims = whims

    def answer(self, operation: str, request: Json) -> Json:
        """Return the answer to a request. Raise `ServiceError`."""
        if operation not in self._operations:
            raise ServiceError("UnknownOperationException", operation)
        with self._lock:
            return self._operations[operation](request)

    def _table(self, request: Json) -> Table:
        table = self.tables.get(request["TableName"])
        if table is None:
            raise no_table()
        return table

    # Tables.

    def _create(self, request: Json) -> Json:
        name = request["TableName"]
        if name in self.tables:
            raise ServiceError("ResourceInUseException", "Cannot create preexisting table")
        table = self.tables[name] = Table(name, request)
        self._set_stream(table, request.get("StreamSpecification", {"StreamEnabled": False}))
        table.polls = self.whims.polls()
        description = table.described()
        return {"TableDescription": description | ({"TableStatus": "CREATING"} if table.polls else {})}

    def _drop(self, request: Json) -> Json:
        table = self._table(request)
        if table.stream is not None:
            table.stream.disable()
        del self.tables[table.name]
        return {"TableDescription": table.described() | {"TableStatus": "DELETING"}}

    def _describe(self, request: Json) -> Json:
        try:
            table = self._table(request)
        except ServiceError as fault:
            fault.message += f": Table: {request['TableName']} not found"
            raise
        description = table.described()
        table.polls = max(0, table.polls - 1)
        return {"Table": description}

    def _list(self, request: Json) -> Json:
        names = sorted(name for name in self.tables if name > request.get("ExclusiveStartTableName", ""))
        page = names[: request.get("Limit", _LISTED_AT_ONCE)]
        more = {"LastEvaluatedTableName": page[-1]} if len(page) < len(names) else {}
        return {"TableNames": page, **more}

    def _update_table(self, request: Json) -> Json:
        table = self._table(request)
        if table.polls:
            raise ServiceError("ResourceInUseException", f"Table is being updated: {table.name}")
        wanted = request.get("StreamSpecification")
        if wanted is not None:
            enabled = table.stream is not None and table.stream.enabled
            if enabled and wanted["StreamEnabled"]:
                raise invalid("Table already has an enabled stream: TableName: " + table.name)
            if not enabled and not wanted["StreamEnabled"]:
                raise invalid("Table has no stream to disable: TableName: " + table.name)
            self._set_stream(table, wanted)
            table.polls = self.whims.polls()
        return {"TableDescription": table.described()}

    def _set_stream(self, table: Table, wanted: Json) -> None:
        if wanted["StreamEnabled"]:
            keys = table.definition["KeySchema"]
            table.stream = self.streams.create(table.name, table.arn, keys, wanted["StreamViewType"])
        elif table.stream is not None:
            table.stream.disable()

    def _time_to_live(self, request: Json) -> Json:
        name = self._table(request).time_to_live
        enabled = {"TimeToLiveStatus": "ENABLED", "AttributeName": name}
        return {"TimeToLiveDescription": enabled if name else {"TimeToLiveStatus": "DISABLED"}}

    def _update_time_to_live(self, request: Json) -> Json:
        wanted = request["TimeToLiveSpecification"]
        self._table(request).time_to_live = wanted["AttributeName"] if wanted["Enabled"] else None
        return {"TimeToLiveSpecification": wanted}

    # Reads.

    def _get(self, request: Json) -> Json:
        table = self._table(request)
        item = table.items.get(table.key_only(request["Key"]))
        projected = projection_of(request.get("ProjectionExpression"), Placeholders.of(request))
        return {} if item is None else {"Item": projected(item)}

    def _batch_get(self, request: Json) -> Json:
        wanted = [(name, key) for name, part in request["RequestItems"].items() for key in part["Keys"]]
        if not 0 < len(wanted) <= _READ_AT_ONCE:
            raise invalid("Too many items requested for the BatchGetItem call")
        tables = {name: self._table({"TableName": name}) for name in request["RequestItems"]}
        keys = [(name, tables[name].key_only(key)) for name, key in wanted]
        if len(set(keys)) < len(keys):
            raise invalid("Provided list of item keys contains duplicates")
        processed = self.whims.processed(len(wanted))
        found: dict[str, list[Item]] = {name: [] for name in request["RequestItems"]}
        for name, key in keys[:processed]:
            part = request["RequestItems"][name]
            item = tables[name].items.get(key)
            if item is not None:
                found[name].append(projection_of(part.get("ProjectionExpression"), Placeholders.of(part))(item))
        rest: Json = {}
        for name, key in wanted[processed:]:
            rest.setdefault(name, {**request["RequestItems"][name], "Keys": []})["Keys"].append(key)
        return {"Responses": found, "UnprocessedKeys": rest}

    def _scan(self, request: Json) -> Json:
        table = self._table(request)
        segments, segment = request.get("TotalSegments", 1), request.get("Segment", 0)
        items = [item for item in table.sorted() if segment_of(table.key_of(item), segments) == segment]
        if "ExclusiveStartKey" in request:
            start = place_of(table.key_only(request["ExclusiveStartKey"]))
            items = [item for item in items if place_of(table.key_of(item)) > start]
        return self._page(table, request, items, "FilterExpression")

    def _query(self, request: Json) -> Json:
        table = self._table(request)
        matches = condition_of(request["KeyConditionExpression"], Placeholders.of(request))
        items = [item for item in table.sorted(request.get("IndexName")) if matches(item)]
        if not request.get("ScanIndexForward", True):
            items.reverse()
        if "ExclusiveStartKey" in request:
            start = table.key_of({name: request["ExclusiveStartKey"][name] for name in table.key_names})
            keys = [table.key_of(item) for item in items]
            items = items[keys.index(start) + 1 :] if start in keys else items
        return self._page(table, request, items, "FilterExpression")

    def _page(self, table: Table, request: Json, items: list[Item], filtered: str) -> Json:
        """Return the first of `items` that fit into a page."""
        limit = request.get("Limit", max(len(items), 1))
        size = self.whims.page(min(limit, len(items))) if items else 0
        page = items[:size]
        placeholders = Placeholders.of(request)
        matches = condition_of(request.get(filtered), placeholders)
        projected = projection_of(request.get("ProjectionExpression"), placeholders)
        shown = [projected(item) for item in page if matches(item)]
        answer: Json = {"Items": shown, "Count": len(shown), "ScannedCount": len(page)}
        # A page that ends with its limit has a last key, even if no item follows.
        if page and (len(page) < len(items) or len(page) == request.get("Limit")):
            answer["LastEvaluatedKey"] = table.key_item(table.key_of(page[-1]))
        if request.get("ReturnConsumedCapacity", "NONE") != "NONE":
            answer["ConsumedCapacity"] = {"TableName": table.name, "CapacityUnits": max(0.5, len(page))}
        if request.get("Select") == "COUNT":
            del answer["Items"]
        return answer

    # Writes.

    def _put(self, request: Json) -> _Write:
        table = self._table(request)
        return _Write(table, table.key_of(request["Item"]), request, lambda _: request["Item"])

    def _delete(self, request: Json) -> _Write:
        table = self._table(request)
        return _Write(table, table.key_only(request["Key"]), request, lambda _: None)

    def _check(self, request: Json) -> _Write:
        table = self._table(request)
        return _Write(table, table.key_only(request["Key"]), request, lambda old: old)

    def _update(self, request: Json) -> _Write:
        table = self._table(request)
        key = table.key_only(request["Key"])

        def new(old: Item | None) -> Item:
            before = {} if old is None else old
            after = updated(before, request.get("UpdateExpression"), Placeholders.of(request))
            if any(after.get(name) != before.get(name) for name in table.key_names):
                raise invalid("Cannot update attribute. This attribute is part of the key")
            return after | table.key_item(key)

        return _Write(table, key, request, new)

    def _single(self, write_of: Callable[[Json], _Write]) -> Callable[[Json], Json]:
        def execute(request: Json) -> Json:
            write = write_of(request)
            failure = write.failure()
            if failure is not None:
                raise ServiceError("ConditionalCheckFailedException", "The conditional request failed", **failure)
            return write.execute()

        return execute

    def _batch_write(self, request: Json) -> Json:
        parts = [(name, part) for name, parts in request["RequestItems"].items() for part in parts]
        if not 0 < len(parts) <= _WRITTEN_AT_ONCE:
            raise invalid("Too many items requested for the BatchWriteItem call")
        writes = [self._batched(name, part) for name, part in parts]
        _check_distinct(writes, "Provided list of item keys contains duplicates")
        processed = self.whims.processed(len(parts))
        for write in writes[:processed]:
            write.execute()
        rest: Json = {}
        for name, part in parts[processed:]:
            rest.setdefault(name, []).append(part)
        return {"UnprocessedItems": rest}

    def _batched(self, name: str, part: Json) -> _Write:
        ((kind, request),) = part.items()
        write_of = {"PutRequest": self._put, "DeleteRequest": self._delete}[kind]
        return write_of({"TableName": name, **request})

    def _transact(self, request: Json) -> Json:
        token = request.get("ClientRequestToken")
        if token is not None and token in self._transactions:
            return {}
        writes = list(self._actions(request["TransactItems"]))
        _check_distinct(writes, "Transaction request cannot include multiple operations on one item")
        failures = [write.failure() for write in writes]
        if any(failure is not None for failure in failures):
            raise _cancelled(failures)
        for write in writes:
            write.execute()
        if token is not None:
            self._transactions.add(token)
        return {}

    def _actions(self, actions: list[Json]) -> Iterator[_Write]:
        kinds = {"Put": self._put, "Update": self._update, "Delete": self._delete, "ConditionCheck": self._check}
        for action in actions:
            ((kind, request),) = action.items()
            yield kinds[kind](request)


def _check_distinct(writes: list[_Write], message: str) -> None:
    if len({(write.table.name, write.key) for write in writes}) < len(writes):
        raise invalid(message)


def _cancelled(failures: list[Json | None]) -> ServiceError:
    reasons: list[Json] = [
        {"Code": "None"}
        if failure is None
        else {"Code": _CONDITION_FAILED, "Message": "The conditional request failed", **failure}
        for failure in failures
    ]
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return ServiceError("TransactionCanceledException", message, CancellationReasons=reasons)
