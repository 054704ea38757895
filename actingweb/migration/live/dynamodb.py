"""Requests to DynamoDB and DynamoDB Streams, as the engine sends them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Event
from typing import Any, NamedTuple, Protocol

from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.limits import HASH_BYTES, RANGE_BYTES
from actingweb.db.dynamodb.wire.messages import STREAMS
from actingweb.migration.errors import SourceError
from actingweb.migration.live.keys import RowKey
from actingweb.migration.source.endpoint import Endpoint, RequestError

__all__ = ["DynamoDB", "Items", "Requests", "read_items"]

Json = dict[str, Any]

_KEYS_AT_ONCE = 100
_INVALID = "ValidationException"
_ATTEMPTS = 10
_PAUSE = 0.05


class Requests(Protocol):
    """What workers need of DynamoDB; a test may wrap it."""

    def call(self, operation: str, request: Json) -> Json:
        """Return the answer to a read or an idempotent write of a table. Raise `SourceError`.

        A transient failure is retried within the retry limits. A `RequestError` has the code of the service. The
        answer to a Scan is not decoded: `Body` is its JSON text.
        """

    def streams_call(self, operation: str, request: Json) -> Json:
        """Return the answer to a read of a stream. Raise the same."""


@dataclass(frozen=True)
class DynamoDB:
    """The requests of one process. Thread-safe once a table has been described.

    Attributes:
        endpoint: of the tables.
        stop: set to give up retries.
    """

    endpoint: Endpoint
    stop: Event = field(default_factory=Event)

    def call(self, operation: str, request: Json) -> Json:
        """Do as the protocol says."""
        return self.endpoint.call(operation, request, self.stop)

    def streams_call(self, operation: str, request: Json) -> Json:
        """Do as the protocol says."""
        return self._streams.call(operation, request, self.stop)

    @cached_property
    def _streams(self) -> Endpoint:
        return replace(self.endpoint, api=STREAMS)


class Items(NamedTuple):
    """What was read of some keys.

    Attributes:
        found: the items that exist.
        left: keys that were not read, since the answer would have become too large.
        refused: keys that DynamoDB refuses, so that no item can have them.
    """

    found: dict[RowKey, Item]
    left: set[RowKey]
    refused: set[RowKey]


def read_items(
    requests: Requests,
    table: str,
    keys: Sequence[RowKey],
    *,
    whole: bool,
    sleep: Callable[[float], object] = time.sleep,
) -> Items:
    """Read items of one DynamoDB table, strongly consistently. Raise `SourceError`.

    One answer has at most 16 MB. Unless the `whole` is wanted, the keys that were not in the first answer are left.
    """
    items = Items({}, set(), {key for key in keys if not _is_possible(key)})
    wanted = [key for key in keys if key not in items.refused]
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        _read(requests, table, wanted[start : start + _KEYS_AT_ONCE], items, whole, sleep)
    return items


def _read(
    requests: Requests, table: str, keys: list[RowKey], items: Items, whole: bool, sleep: Callable[[float], object]
) -> None:
    for attempt in range(_ATTEMPTS):
        before = len(keys)
        keys = _read_once(requests, table, keys, items)
        if not keys:
            return
        if not whole and len(keys) < before:
            items.left.update(keys)
            return
        if len(keys) == before:
            sleep(_PAUSE * 2**attempt)
    raise SourceError(f"DynamoDB table {table} cannot be read: it throttles all reads; try again later")


def _read_once(requests: Requests, table: str, keys: list[RowKey], items: Items) -> list[RowKey]:
    """Read keys; return those that have to be asked for again."""
    mapping = keys[0].mapping
    wanted = {"Keys": [key.item_key for key in keys], "ConsistentRead": True}
    try:
        answer = requests.call("BatchGetItem", {"RequestItems": {table: wanted}})
    except RequestError as error:
        if error.code != _INVALID:
            raise
        return _without_refused(requests, table, keys, items)
    for item in answer.get("Responses", {}).get(table, ()):
        items.found[RowKey.of_item(mapping, item)] = item
    left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
    return [RowKey.of_item(mapping, key) for key in left]


def _without_refused(requests: Requests, table: str, keys: list[RowKey], items: Items) -> list[RowKey]:
    if len(keys) == 1:
        items.refused.add(keys[0])
        return []
    half = len(keys) // 2
    return [key for part in (keys[:half], keys[half:]) for key in _read_once(requests, table, part, items)]


def _is_possible(key: RowKey) -> bool:
    """Tell whether an item can have a key, so that one key that none can have does not fail a whole request."""
    sizes = [(key.hash, HASH_BYTES), (key.range, RANGE_BYTES)][: len(key.mapping.layout.key_names)]
    return all(0 < len(text.encode("utf-8", "surrogatepass")) <= longest for text, longest in sizes)
