"""Subscriptions of peers to an actor."""

from typing import TYPE_CHECKING, Any

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.client import ConditionFailed
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import encode_field, key
from actingweb.db.dynamodb.layouts import SUBSCRIPTIONS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.dynamodb.stored_types import Attribute
from actingweb.db.policy.subscription import SubscriptionListPolicy, SubscriptionPolicy
from actingweb.db.protocols import DbSubscriptionListProtocol, DbSubscriptionProtocol
from actingweb.db.records import SubscriptionRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import Subscription, SubscriptionModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = ["DbSubscription", "DbSubscriptionList", "Subscription", "SubscriptionModel"]

_ATTEMPTS = 8


class _Rows(WipeableRows[SubscriptionRecord]):
    layout = SUBSCRIPTIONS
    limits = DynamoLimits(SUBSCRIPTIONS)


class DbSubscription(_Rows, SubscriptionPolicy):
    """One subscription."""

    def _increment(self, record: SubscriptionRecord, by: int) -> SubscriptionRecord | None:
        for _ in range(_ATTEMPTS):
            outcome = self._add(record, by)
            if isinstance(outcome, ConditionFailed):
                row, item = self._stored_row(outcome, record.key_values()), outcome.item
                if row is None or item is None:
                    return None
                # The database can only add to a number, and this one is stored as another type.
                outcome = self._replace(record, item["seqnr"], row.seqnr + by)
            if not isinstance(outcome, ConditionFailed):
                return self._row(outcome["Attributes"])
        raise client.collided()

    def _add(self, record: SubscriptionRecord, by: int) -> dict[str, Any] | ConditionFailed:
        """Add to the number on condition that it is stored as a number."""
        expression = Expression()
        change = f"ADD {expression.name('seqnr')} {expression.value({'N': str(by)})}"
        return self._renumber(record, change, expression.absent_or_of_type("seqnr", "N"), expression)

    def _replace(self, record: SubscriptionRecord, stored: Attribute, number: int) -> dict[str, Any] | ConditionFailed:
        """Store the number on condition that exactly `stored` is stored."""
        expression = Expression()
        change = f"SET {expression.assign('seqnr', encode_field(SubscriptionRecord, 'seqnr', number))}"
        return self._renumber(record, change, expression.compare("seqnr", "=", stored), expression)

    def _renumber(
        self, record: SubscriptionRecord, change: str, condition: str, expression: Expression
    ) -> dict[str, Any] | ConditionFailed:
        request = {
            "Key": key(self.layout, record.key_values()),
            "UpdateExpression": change,
            "ConditionExpression": f"{self._is_row(expression, record.key_values())} AND {condition}",
            "ReturnValues": "ALL_NEW",
        }
        return client.write_if(self._table(), "UpdateItem", request | expression.arguments(), repeatable=False)


class DbSubscriptionList(_Rows, SubscriptionListPolicy):
    """The subscriptions of an actor."""


_entity: type[DbSubscriptionProtocol] = DbSubscription
_list: type[DbSubscriptionListProtocol] = DbSubscriptionList
