"""Look-up rows of indexed properties: the present table, and the first form of it, which is only read."""

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.client import ConditionFailed
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import encode
from actingweb.db.dynamodb.legacy_lookup import V1_SUFFIX, read_v1
from actingweb.db.dynamodb.limits import DynamoLimits, check_item
from actingweb.db.dynamodb.models import TableModel
from actingweb.db.dynamodb.rows import DynamoRows
from actingweb.db.dynamodb.tables import Layout
from actingweb.db.policy.property_lookup import PropertyLookupPolicy
from actingweb.db.records import PropertyLookupRecord, Record
from actingweb.db.utils import compute_lookup_key

__all__ = [
    "DbPropertyLookup",
    "PropertyLookup",
    "PropertyLookupModel",
    "PropertyLookupV2",
    "PropertyLookupV2Model",
    "compute_lookup_key",
]


class _FirstRecord(Record, table="property_lookup", key=("property_name", "value")):
    """A row of the first form of the table."""

    __slots__ = ()
    property_name: str
    value: str
    actor_id: str


class PropertyLookupModel(TableModel):
    """The first form of the table, read only and never created by the library."""

    layout = Layout(_FirstRecord, V1_SUFFIX)


class PropertyLookupV2Model(TableModel):
    """The table of look-up rows."""

    layout = Layout(PropertyLookupRecord, "property_lookup_v2")


PropertyLookup = PropertyLookupModel
PropertyLookupV2 = PropertyLookupV2Model


class DbPropertyLookup(DynamoRows[PropertyLookupRecord], PropertyLookupPolicy):
    """One look-up row."""

    model = PropertyLookupV2Model
    limits = DynamoLimits(PropertyLookupV2Model.layout)

    def _point(self, record: PropertyLookupRecord, overwrite: bool) -> str | None:
        item = encode(self._layout(), record)
        check_item(item)
        if overwrite:
            client.write(self._table(), "PutItem", {"Item": item})
            return None
        expression = Expression()
        condition = f"{expression.absent('lookup_key')} OR {expression.equals('actor_id', record.actor_id)}"
        request = {"Item": item, "ConditionExpression": condition} | expression.arguments()
        outcome = client.write_if(self._table(), "PutItem", request, repeatable=True)
        return self._row(outcome.item).actor_id if isinstance(outcome, ConditionFailed) and outcome.item else None

    def _remove(self, lookup_key: str, actor_id: str | None) -> bool:
        expression = Expression()
        key_values = (lookup_key,)
        own = self._is_row(expression, key_values) if actor_id is None else expression.equals("actor_id", actor_id)
        return self._delete_if(key_values, own, expression)

    def _read_v1(self, property_name: str, value: str) -> str | None:
        return read_v1(property_name, value)

    @classmethod
    def _actor_of(cls, name: str, value: str) -> str | None:
        """Return the actor that claims a value."""
        row = cls._read(compute_lookup_key(name, value))
        return None if row is None else row.actor_id


_entity: type[PropertyLookupPolicy] = DbPropertyLookup
