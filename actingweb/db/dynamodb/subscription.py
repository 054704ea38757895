"""Subscriptions of peers to an actor."""

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.client import Refused
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import key
from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.models import TableModel
from actingweb.db.dynamodb.rows import WipedRows
from actingweb.db.dynamodb.tables import Layout
from actingweb.db.policy.subscription import SubscriptionListPolicy, SubscriptionPolicy
from actingweb.db.protocols import DbSubscriptionListProtocol, DbSubscriptionProtocol
from actingweb.db.records import SubscriptionRecord

__all__ = ["DbSubscription", "DbSubscriptionList", "Subscription", "SubscriptionModel"]


class SubscriptionModel(TableModel):
    """The table of subscriptions."""

    layout = Layout(SubscriptionRecord, "subscriptions", composed="peer_sub_id")


Subscription = SubscriptionModel


class _Rows(WipedRows[SubscriptionRecord]):
    model = SubscriptionModel
    limits = DynamoLimits(SubscriptionModel.layout)


class DbSubscription(_Rows, SubscriptionPolicy):
    """One subscription."""

    def _increment(self, record: SubscriptionRecord, by: int) -> SubscriptionRecord | None:
        expression = Expression()
        request = {
            "Key": key(self._layout(), record.key_values()),
            "UpdateExpression": f"ADD {expression.name('seqnr')} {expression.value({'N': str(by)})}",
            "ConditionExpression": self._is_row(expression, record),
            "ReturnValues": "ALL_NEW",
        }
        outcome = client.write_if(self._table(), "UpdateItem", request | expression.arguments(), repeatable=False)
        return None if isinstance(outcome, Refused) else self._row(outcome["Attributes"])


class DbSubscriptionList(_Rows, SubscriptionListPolicy):
    """The subscriptions of an actor."""


_: tuple[type[DbSubscriptionProtocol], type[DbSubscriptionListProtocol]] = (DbSubscription, DbSubscriptionList)
