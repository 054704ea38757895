"""The reads and writes that the entities share."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.client import ConditionFailed
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, decode, encode_field, key, text_of
from actingweb.db.dynamodb.layouts import DELIMITER, Layout
from actingweb.db.dynamodb.limits import check_row, checked_item
from actingweb.db.dynamodb.tables import Table, table_of
from actingweb.db.exceptions import DbConflictError, DbOutcomeUnknownError
from actingweb.db.faults import Fault
from actingweb.db.policy.entity import EntityBase, R

__all__ = ["DynamoRows", "WipeableRows"]

_CONFIRMED_AT_ONCE = 100


class DynamoRows(EntityBase[R]):
    """Reads and writes rows of the table of `layout`. Constructors create a missing table.

    Different key parts can join to the same range key (`a:b`+`c`, `a`+`b:c`); the stored first part says whose item it
    is. Reads verify it, and writes have it in their condition.
    """

    layout: ClassVar[Layout]
    unique_rows: ClassVar[bool] = False
    """Whether a stored row shows which insert stored it: it has the time of its insert and is never modified."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ensure_tables()

    def _ensure_tables(self) -> None:
        ensure_table(self.layout)

    @classmethod
    def _table(cls) -> Table:
        return table_of(cls.layout)

    @classmethod
    def _row(cls, item: Item) -> R:
        return cast(R, decode(cls.record, item))

    @classmethod
    def _read(cls, *key_values: Any) -> R | None:
        request = {"Key": key(cls.layout, key_values), "ConsistentRead": True}
        item = client.read(cls._table(), "GetItem", request).get("Item")
        return cls._row(item) if item and cls._holds(item, key_values) else None

    @classmethod
    def _holds(cls, item: Item, key_values: tuple[Any, ...]) -> bool:
        """Tell whether an item belongs to this key and not to other parts that join to the same range key."""
        part = cls.layout.first_part
        return part is None or text_of(cls.record, item, part) == key_values[1]

    @classmethod
    def _stored_row(cls, failed: ConditionFailed, key_values: tuple[Any, ...]) -> R | None:
        """Return the row of this key that a rejected write found, None if there is none.

        Raise `Fault`, as a read does, if the row cannot be decoded: the condition may have failed because of that.
        """
        item = failed.item
        return cls._row(item) if item and cls._holds(item, key_values) else None

    @classmethod
    def _is_row(cls, expression: Expression, key_values: tuple[Any, ...]) -> str:
        """Return the condition that the item exists and belongs to this key."""
        part = cls.layout.first_part
        return expression.exists(cls.layout.hash) if part is None else expression.equals(part, key_values[1])

    @classmethod
    def _insert(cls, record: R) -> bool:
        item = checked_item(cls.layout, record)
        expression = Expression()
        request = {"Item": item, "ConditionExpression": expression.absent(cls.layout.hash)}
        outcome = client.write_if(cls._table(), "PutItem", request | expression.arguments(), repeatable=True)
        return not isinstance(outcome, ConditionFailed) or cls._own(record, item, outcome)

    @classmethod
    def _own(cls, record: R, item: Item, failed: ConditionFailed) -> bool:
        """Tell whether an earlier attempt of the same insert stored the item that a later attempt found.

        Raise the `Fault` of a `DbOutcomeUnknownError` if rows can be modified, because the item then proves nothing.
        """
        stored = cls._taken(failed, record.key_values())
        if not failed.repeated:
            return False
        if not cls.unique_rows:
            raise _unproven()
        return stored == item

    @classmethod
    def _taken(cls, failed: ConditionFailed, key_values: tuple[Any, ...]) -> Item:
        """Return the item that a rejected write found. Raise `Fault` if it belongs to other parts of the key."""
        item = failed.item or {}
        if not cls._holds(item, key_values):
            reason = "other key parts that join to the same range key are stored: choose another id"
            raise Fault(DbConflictError, reason)
        return item

    @classmethod
    def _update(cls, record: R, changes: Mapping[str, Any]) -> bool:
        check_row(cls.layout, record.replace(**changes))
        expression = Expression()
        clauses = [expression.assign(name, encode_field(cls.record, name, value)) for name, value in changes.items()]
        request = {
            "Key": key(cls.layout, record.key_values()),
            "UpdateExpression": "SET " + ", ".join(clauses),
            "ConditionExpression": cls._is_row(expression, record.key_values()),
        }
        outcome = client.write_if(cls._table(), "UpdateItem", request | expression.arguments(), repeatable=True)
        return cls._done(outcome, record.key_values())

    @classmethod
    def _done(cls, outcome: dict[str, Any] | ConditionFailed, key_values: tuple[Any, ...]) -> bool:
        """Tell whether a conditional write was executed. Raise `Fault` if it was not and the row cannot be decoded."""
        if not isinstance(outcome, ConditionFailed):
            return True
        cls._stored_row(outcome, key_values)
        return False

    @classmethod
    def _delete(cls, *key_values: Any) -> None:
        request: dict[str, Any] = {"Key": key(cls.layout, key_values)}
        if cls.layout.first_part is None:
            client.write(cls._table(), "DeleteItem", request)
            return
        expression = Expression()
        request["ConditionExpression"] = cls._is_row(expression, key_values)
        outcome = client.write_if(cls._table(), "DeleteItem", request | expression.arguments(), repeatable=True)
        cls._done(outcome, key_values)

    @classmethod
    def _delete_if(cls, key_values: tuple[Any, ...], condition: str, expression: Expression) -> bool:
        """Delete the row of this key if `condition` holds; return whether it was deleted."""
        return cls._done(cls._try_to_delete(key_values, condition, expression), key_values)

    @classmethod
    def _try_to_delete(
        cls, key_values: tuple[Any, ...], condition: str, expression: Expression
    ) -> dict[str, Any] | ConditionFailed:
        request = {"Key": key(cls.layout, key_values), "ConditionExpression": condition}
        # Not repeatable: between two attempts another caller can have created the row again.
        return client.write_if(cls._table(), "DeleteItem", request | expression.arguments(), repeatable=False)

    @classmethod
    def _list(cls, *key_values: Any) -> list[R]:
        rows = [cls._row(item) for item in cls._items(key_values)]
        return sorted(rows, key=cls.record.key_values)

    @classmethod
    def _key_attributes(cls) -> list[str]:
        """Return the attributes that a wipe reads: the key, and the first part of a composed one."""
        part = cls.layout.first_part
        return [*cls.layout.key_names, *([part] if part else [])]

    @classmethod
    def _delete_items(cls, items: Iterator[Item]) -> None:
        names = cls.layout.key_names
        client.batch_delete(cls._table(), ({name: item[name] for name in names} for item in items))

    @classmethod
    def _items(cls, key_values: tuple[Any, ...], attributes: list[str] | None = None) -> Iterator[Item]:
        """Yield the items whose key begins with these parts, read with strong consistency; without parts all items."""
        expression = Expression()
        request: dict[str, Any] = {"ConsistentRead": True}
        if key_values:
            request["KeyConditionExpression"] = cls._key_condition(expression, key_values)
        if attributes:
            request["ProjectionExpression"] = expression.project(attributes)
        for item in cls._pages(request, expression):
            if len(key_values) < 2 or cls._holds(item, key_values):
                yield item

    @classmethod
    def _key_condition(cls, expression: Expression, key_values: tuple[Any, ...]) -> str:
        condition = expression.equals(cls.layout.hash, key_values[0])
        if len(key_values) > 1:
            prefix = expression.value({"S": DELIMITER.join(key_values[1:]) + DELIMITER})
            condition += f" AND begins_with({expression.name(cls.layout.range or '')}, {prefix})"
        return condition

    @classmethod
    def _pages(cls, request: dict[str, Any], expression: Expression) -> Iterator[Item]:
        """Yield the items of a Query, or of a Scan if there is no key condition."""
        operation = "Query" if "KeyConditionExpression" in request else "Scan"
        for page in client.pages(cls._table(), operation, request | expression.arguments()):
            yield from page["Items"]

    @classmethod
    def _indexed_items(cls, index: str, attribute: str, text: str) -> Iterator[Item]:
        """Yield the items that a global secondary index has for a text; they may be out of date."""
        expression = Expression()
        request = {"IndexName": index, "KeyConditionExpression": expression.equals(attribute, text)}
        return cls._pages(request, expression)

    @classmethod
    def _confirmed(cls, rows: list[R]) -> list[R]:
        """Read the first 100 of these rows again, by one strongly consistent request; return them ordered by key."""
        found = cls._read_keys(sorted(row.key_values() for row in rows)[:_CONFIRMED_AT_ONCE])
        return sorted(found, key=lambda row: row.key_values())

    @classmethod
    def _read_many(cls, actor_id: str, parts: list[str]) -> list[R]:
        return cls._read_keys([(actor_id, part) for part in parts])

    @classmethod
    def _read_keys(cls, keys: list[tuple[Any, ...]]) -> list[R]:
        """Return the rows of distinct keys, which are not composed, read with strong consistency, in any order."""
        return list(map(cls._row, cls._read_items(keys)))

    @classmethod
    def _read_items(cls, keys: list[tuple[Any, ...]]) -> list[Item]:
        """Return the items of distinct keys, read with strong consistency, in any order."""
        return client.batch_get(cls._table(), [key(cls.layout, values) for values in keys], {}) if keys else []


class WipeableRows(DynamoRows[R]):
    """Rows that no other rows depend on, so that a wipe simply deletes them."""

    @classmethod
    def _wipe(cls, *key_values: Any) -> None:
        cls._delete_items(cls._items(key_values, cls._key_attributes()))


def _unproven() -> Fault:
    """Return the fault of an insert that got no answer: it may or may not have stored the row that is there now."""
    reason = "no answer to a write, and the stored row does not show which write stored it: read, then decide"
    return Fault(DbOutcomeUnknownError, reason)
