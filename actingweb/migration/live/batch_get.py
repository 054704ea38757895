"""Many items by their keys, read with strong consistency."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from actingweb.db.dynamodb.batching import batched
from actingweb.db.dynamodb.items import Item
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.items import Json, key_problem
from actingweb.migration.live.keys import RowKey

__all__ = ["Stored", "get_items"]

_KEYS_AT_ONCE = 100
_FRUITLESS_READS = 6
_FIRST_PAUSE = 0.05


class Stored(NamedTuple):
    """What is stored for some keys.

    Attributes:
        items: those that exist, by key.
        unread: the keys that DynamoDB did not read, since it throttles.
    """

    items: dict[RowKey, Item]
    unread: set[RowKey]


def get_items(
    requests: Requests,
    tables: Mapping[str, str],
    keys: Iterable[RowKey],
    sleep: Callable[[float], object] = time.sleep,
) -> Stored:
    """Read the items of distinct keys; those that no item can have are not asked for. Raise `SourceError`.

    Args:
        tables: the names of the DynamoDB tables, by that of the `TableMapping`.
        sleep: waits so many seconds.
    """
    stored = Stored({}, set())
    for part in batched([key for key in keys if key_problem(key) is None], _KEYS_AT_ONCE):
        waiting = set(part)
        fruitless = 0
        while waiting and fruitless < _FRUITLESS_READS:
            if fruitless:
                sleep(_FIRST_PAUSE * 2**fruitless)
            answer = requests.call("BatchGetItem", {"RequestItems": _request(tables, waiting)})
            left = _take(tables, waiting, answer, stored.items)
            # DynamoDB also leaves keys over when the others fill an answer.
            fruitless = fruitless + 1 if left == waiting else 0
            waiting = left
        stored.unread.update(waiting)
    return stored


def _request(tables: Mapping[str, str], keys: Iterable[RowKey]) -> dict[str, Json]:
    request: dict[str, Json] = {}
    for key in sorted(keys):
        of_table = request.setdefault(tables[key.table], {"Keys": [], "ConsistentRead": True})
        of_table["Keys"].append(key.item_key)
    return request


def _take(tables: Mapping[str, str], asked: set[RowKey], answer: Json, items: dict[RowKey, Item]) -> set[RowKey]:
    """Add the items of an answer; return the keys that were not read."""
    mappings = {tables[key.table]: key.mapping for key in asked}
    for table, found in answer.get("Responses", {}).items():
        items.update((RowKey.of_item(mappings[table], item), item) for item in found)
    unprocessed = answer.get("UnprocessedKeys", {})
    return {
        RowKey.of_item(mappings[table], item_key) for table, part in unprocessed.items() for item_key in part["Keys"]
    }
