"""Properties of an actor."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from actingweb.db.dynamodb import claims, client
from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.batching import batched
from actingweb.db.dynamodb.claims import Change, holds_value, stored_as, value_in
from actingweb.db.dynamodb.client import WITHOUT_OLD_ITEM, Action
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, key, size_of, text_of
from actingweb.db.dynamodb.layouts import PROPERTIES, PROPERTIES_WITH_INDEX, PROPERTY_LOOKUPS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.legacy_lookup import no_index, once_known, v1_actor
from actingweb.db.dynamodb.limits import INDEX_BYTES, DynamoLimits, check_transaction, checked_item, too_long
from actingweb.db.dynamodb.property_lookup import DbPropertyLookup
from actingweb.db.dynamodb.ranges import between
from actingweb.db.dynamodb.rows import DynamoRows
from actingweb.db.dynamodb.stored_types import Attribute
from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import Fault, input_error
from actingweb.db.policy.indexing import LIST_PREFIX, Claim, Stored
from actingweb.db.policy.property import PropertyListPolicy, PropertyPolicy
from actingweb.db.protocols import DbPropertyListProtocol, DbPropertyProtocol
from actingweb.db.records import PropertyRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import Property, PropertyIndex, PropertyLegacy, PropertyLegacyModel, PropertyModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = [
    "DbProperty",
    "DbPropertyList",
    "Property",
    "PropertyIndex",
    "PropertyLegacy",
    "PropertyLegacyModel",
    "PropertyModel",
]

_AFTER_LISTS = LIST_PREFIX[:-1] + chr(ord(LIST_PREFIX[-1]) + 1)
_LEGACY_INDEX_MISSING = (
    "the index property-index is missing: create it (with_legacy_property_index), "
    "or use the look-up table (backfill_property_lookup)"
)


class _Rows(DynamoRows[PropertyRecord]):
    layout = PROPERTIES
    limits = DynamoLimits(PROPERTIES)

    _use_lookup_table: bool

    def _ensure_tables(self) -> None:
        if self._use_lookup_table:
            ensure_table(PROPERTIES)
            ensure_table(PROPERTY_LOOKUPS)
        else:
            ensure_table(PROPERTIES_WITH_INDEX)


class DbProperty(_Rows, PropertyPolicy):
    """One property, and the reverse look-up."""

    def __init__(self, use_lookup_table: bool | None = None, indexed_properties: list[str] | None = None) -> None:
        super().__init__(use_lookup_table, indexed_properties)

    def _new(self, actor_id: object, name: object, value: str) -> PropertyRecord:
        record = super()._new(actor_id, name, value)
        problem = None if self._use_lookup_table else too_long("value", record.value, INDEX_BYTES)
        if problem is not None:
            raise input_error(problem)
        return record

    def _put(self, record: PropertyRecord, indexed: bool) -> Stored:
        if indexed:
            return claims.change_row(Change(*record), self._guess(record.id, record.name), lambda _: True)
        client.write(self._table(), "PutItem", {"Item": self._item(record)})
        return Stored(True)

    def _put_new(self, record: PropertyRecord, indexed: bool) -> Stored:
        if indexed:
            return claims.change_row(Change(*record), None, lambda stored: stored is None)
        return Stored(self._insert(record))

    def _put_if(self, record: PropertyRecord, expected: str, indexed: bool) -> Stored:
        if indexed:
            return claims.change_row(Change(*record), stored_as(expected), partial(_is_value, expected))
        expression = Expression()
        request = {"Item": self._item(record), "ConditionExpression": holds_value(expression, stored_as(expected))}
        # Not repeatable: between two attempts another caller can have set the value back.
        outcome = client.write_if(self._table(), "PutItem", request | expression.arguments(), repeatable=False)
        return Stored(self._done(outcome, record.key_values()))

    def _remove(self, actor_id: str, name: str, indexed: bool) -> None:
        if indexed:
            claims.change_row(Change(actor_id, name, None), self._guess(actor_id, name), lambda _: True)
        else:
            self._delete(actor_id, name)

    def _remove_if(self, record: PropertyRecord, indexed: bool) -> bool:
        if indexed:
            change = Change(record.id, record.name, None)
            return claims.change_row(change, stored_as(record.value), partial(_is_value, record.value)).done
        expression = Expression()
        return self._delete_if(record.key_values(), holds_value(expression, stored_as(record.value)), expression)

    def _remove_names(self, actor_id: str, plain: list[str], indexed: list[str]) -> None:
        client.batch_delete(self._table(), (self._key(actor_id, name) for name in plain))
        for names in batched(indexed, claims.ROWS_PER_TRANSACTION):
            claims.delete_rows(actor_id, self._stored_values(actor_id, names))

    def _divided(
        self, actor_id: str, values: dict[str, str | None], chunk_size: int | None
    ) -> list[dict[str, str | None]]:
        chunks = [dict(chunk) for chunk in batched(values.items(), chunk_size or len(values))]
        for chunk in chunks:
            actions = (claims.most_actions(value) if self._indexed(name) else 1 for name, value in chunk.items())
            items = (self._item(_record(actor_id, name, value)) for name, value in chunk.items() if value)
            check_transaction(sum(actions), sum(map(size_of, items)))
        return chunks

    def _put_many(self, actor_id: str, values: dict[str, str | None]) -> dict[str, str]:
        indexed = [Change(actor_id, name, value) for name, value in values.items() if self._indexed(name)]
        stored = self._stored_values(actor_id, [change.name for change in indexed])
        plain = [self._action(actor_id, name, value) for name, value in values.items() if not self._indexed(name)]
        return claims.change_rows(indexed, stored, plain)

    def _stored_values(self, actor_id: str, names: list[str]) -> dict[str, Attribute]:
        """Return the stored values of the rows that exist, by name."""
        items = self._read_items([(actor_id, name) for name in names])
        return {text_of(PropertyRecord, item, "name"): value_in(item) for item in items}

    def _action(self, actor_id: str, name: str, value: str | None) -> Action:
        """Return the action that stores or deletes the row of a name that is not indexed."""
        if value is None:
            return Action("Delete", self._table(), {"Key": self._key(actor_id, name)} | WITHOUT_OLD_ITEM)
        return Action("Put", self._table(), {"Item": self._item(_record(actor_id, name, value))} | WITHOUT_OLD_ITEM)

    def _read_claim(self, name: str, value: str) -> Claim | None:
        actor_id = DbPropertyLookup._actor_of(name, value)
        return None if actor_id is None else Claim(actor_id, self._stores(actor_id, name, value))

    def _holder(self, name: str, value: str) -> str | None:
        try:
            return self._listed_holder(name, value)
        except Fault as fault:
            if not no_index(fault):
                raise
            raise Fault(DbSchemaError, _LEGACY_INDEX_MISSING, fault.cause) from None

    def _listed_holder(self, name: str, value: str) -> str | None:
        """Return the actor that the index has for the value and a strongly consistent read confirms.

        Of several actors return the smallest id.
        """
        if too_long("value", value, INDEX_BYTES):
            return None
        listed = [self._row(item) for item in self._indexed_items("property-index", "value", value)]
        rows = self._confirmed([row for row in listed if row.name == name])
        return next((row.id for row in rows if row.value == value), None)

    def _fallback(self, name: str, value: str) -> str | None:
        actor_id = v1_actor(name, value)
        if actor_id is not None and self._stores(actor_id, name, value):
            self.log.warning("DEPRECATED: property %s was found in the v1 lookup table", name)
            return actor_id
        actor_id = once_known("index", partial(self._listed_holder, name, value), no_index)
        if actor_id is not None:
            self.log.warning("DEPRECATED: property %s was found through the property-index GSI", name)
        return actor_id

    def _range(
        self, actor_id: str, lower: str, upper: str, keys_only: bool, consistent_read: bool
    ) -> list[tuple[str, str]]:
        expression = Expression()
        condition = between(expression, lower, upper)
        pairs = self._pairs(actor_id, condition, expression, keys_only, {"ConsistentRead": bool(consistent_read)})
        return [(name, value) for name, value in pairs if lower <= name <= upper]

    def _prefixed(self, actor_id: str, prefix: str, keys_only: bool, consistent_read: bool) -> list[tuple[str, str]]:
        expression = Expression()
        condition = f"begins_with({expression.name('name')}, {expression.value({'S': prefix})})"
        options = {"ConsistentRead": bool(consistent_read)}
        return list(self._pairs(actor_id, condition, expression, keys_only, options))

    def _last(self, actor_id: str, lower: str, upper: str) -> str | None:
        expression = Expression()
        condition = between(expression, lower, upper)
        options = {"ConsistentRead": True, "ScanIndexForward": False, "Limit": 1}
        pairs = self._pairs(actor_id, condition, expression, True, options)
        return next((name for name, _ in pairs if lower <= name <= upper), None)

    def _pairs(
        self, actor_id: str, condition: str, expression: Expression, keys_only: bool, options: dict[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """Yield the names and values that a key condition selects. With `keys_only` all values are ""."""
        request = {
            "KeyConditionExpression": f"{expression.equals('id', actor_id)} AND {condition}",
            "ProjectionExpression": expression.project(["name"] if keys_only else ["name", "value"]),
        }
        for item in self._pages(options | request, expression):
            yield text_of(PropertyRecord, item, "name"), text_of(PropertyRecord, item, "value")

    def _guess(self, actor_id: str, name: str) -> Attribute | None:
        """Return the value that the handle has of this row, None if the handle is of another row."""
        handle = self.handle
        known = handle is not None and (handle.id, handle.name) == (actor_id, name)
        return stored_as(handle.value) if handle is not None and known else None

    @classmethod
    def _stores(cls, actor_id: str, name: str, value: str) -> bool:
        """Tell whether the row has this value, by a strongly consistent read."""
        row = cls._read(actor_id, name)
        return row is not None and row.value == value

    def _item(self, record: PropertyRecord) -> Item:
        return checked_item(PROPERTIES if self._use_lookup_table else PROPERTIES_WITH_INDEX, record)

    @staticmethod
    def _key(actor_id: str, name: str) -> Item:
        return key(PROPERTIES, (actor_id, name))


def _record(actor_id: str, name: str, value: str) -> PropertyRecord:
    return PropertyRecord(id=actor_id, name=name, value=value)


def _is_value(wanted: str, stored: Attribute | None) -> bool:
    """Tell whether a row exists and has this value. Raise `Fault` if the stored value is not text."""
    return stored is not None and text_of(PropertyRecord, {"value": stored}, "value") == wanted


class DbPropertyList(_Rows, PropertyListPolicy):
    """The properties of an actor."""

    def __init__(self, use_lookup_table: bool | None = None, indexed_properties: list[str] | None = None) -> None:
        super().__init__(use_lookup_table, indexed_properties)

    def _list_plain(self, actor_id: str) -> list[PropertyRecord]:
        return [*self._outside_lists(actor_id, "<", LIST_PREFIX), *self._outside_lists(actor_id, ">=", _AFTER_LISTS)]

    def _outside_lists(self, actor_id: str, operator: str, bound: str) -> Iterator[PropertyRecord]:
        expression = Expression()
        condition = f"{expression.equals('id', actor_id)} AND {expression.compare('name', operator, {'S': bound})}"
        request = {"ConsistentRead": True, "KeyConditionExpression": condition}
        return map(self._row, self._pages(request, expression))

    def _wipe(self, *key_values: Any) -> None:
        claimed: dict[str, Attribute] = {}
        self._delete_items(self._unclaimed(key_values, claimed))
        claims.delete_rows(key_values[0], claimed)

    def _unclaimed(self, key_values: tuple[Any, ...], claimed: dict[str, Attribute]) -> Iterator[Item]:
        """Yield the items of names that are not indexed; add the stored values of the others to `claimed`."""
        attributes = ["id", "name", "value"] if self._use_lookup_table else ["id", "name"]
        for item in self._items(key_values, attributes):
            name = text_of(PropertyRecord, item, "name")
            if self._indexed(name):
                claimed[name] = value_in(item)
            else:
                yield item


_entity: type[DbPropertyProtocol] = DbProperty
_list: type[DbPropertyListProtocol] = DbPropertyList
