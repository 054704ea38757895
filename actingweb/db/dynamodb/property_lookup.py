"""Look-up rows of indexed properties: the current table, and the v1 table, which is only read."""

from typing import TYPE_CHECKING

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.client import ConditionFailed
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.layouts import PROPERTY_LOOKUPS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.legacy_lookup import read_v1
from actingweb.db.dynamodb.limits import DynamoLimits, checked_item
from actingweb.db.dynamodb.rows import DynamoRows
from actingweb.db.policy.property_lookup import PropertyLookupPolicy
from actingweb.db.records import PropertyLookupRecord
from actingweb.db.utils import compute_lookup_key

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import (
        PropertyLookup,
        PropertyLookupModel,
        PropertyLookupV2,
        PropertyLookupV2Model,
    )
else:
    __getattr__ = lazy_models(__name__)

__all__ = [
    "DbPropertyLookup",
    "PropertyLookup",
    "PropertyLookupModel",
    "PropertyLookupV2",
    "PropertyLookupV2Model",
    "compute_lookup_key",
]


class DbPropertyLookup(DynamoRows[PropertyLookupRecord], PropertyLookupPolicy):
    """One look-up row."""

    layout = PROPERTY_LOOKUPS
    limits = DynamoLimits(PROPERTY_LOOKUPS)

    def _assign(self, record: PropertyLookupRecord, overwrite: bool) -> str | None:
        item = checked_item(self.layout, record)
        if overwrite:
            client.write(self._table(), "PutItem", {"Item": item})
            return None
        expression = Expression()
        condition = f"{expression.absent('lookup_key')} OR {expression.equals('actor_id', record.actor_id)}"
        request = {"Item": item, "ConditionExpression": condition} | expression.arguments()
        outcome = client.write_if(self._table(), "PutItem", request, repeatable=True)
        if not isinstance(outcome, ConditionFailed):
            return None
        # A refusal that does not say what is stored must not pass for a success.
        return self._row(outcome.item or {}).actor_id

    def _remove(self, lookup_key: str, actor_id: str | None) -> bool:
        expression = Expression()
        key_values = (lookup_key,)
        own = self._is_row(expression, key_values) if actor_id is None else expression.equals("actor_id", actor_id)
        return self._delete_if(key_values, own, expression)

    def _read_v1(self, property_name: str, value: str) -> str | None:
        return read_v1(property_name, value)

    @classmethod
    def _actor_of(cls, name: str, value: str) -> str | None:
        """Return the actor that claims a value, None if nobody does."""
        row = cls._read(compute_lookup_key(name, value))
        return None if row is None else row.actor_id


_entity: type[PropertyLookupPolicy] = DbPropertyLookup
