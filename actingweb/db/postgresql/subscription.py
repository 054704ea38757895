"""Subscriptions of peers to an actor."""

from actingweb.db.policy.subscription import SubscriptionListPolicy, SubscriptionPolicy
from actingweb.db.postgresql.executor import write
from actingweb.db.postgresql.rows import Rows
from actingweb.db.postgresql.statement import Statement, conditions
from actingweb.db.protocols import DbSubscriptionListProtocol, DbSubscriptionProtocol
from actingweb.db.records import SubscriptionRecord

__all__ = ["DbSubscription", "DbSubscriptionList"]

UPDATE_NUMBER = Statement(
    "UPDATE {subscriptions} SET seqnr = seqnr + %(by)s WHERE {row} RETURNING {columns}",
    SubscriptionRecord,
    row=conditions(*SubscriptionRecord.key),
)


class DbSubscription(Rows[SubscriptionRecord], SubscriptionPolicy):
    """A subscription of a peer."""

    def _increment(self, record: SubscriptionRecord, by: int) -> SubscriptionRecord | None:
        rows = self._made(write(UPDATE_NUMBER, (by, *record.key_values())).rows)
        return rows[0] if rows else None


class DbSubscriptionList(Rows[SubscriptionRecord], SubscriptionListPolicy):
    """The subscriptions to one actor."""


_entity: type[DbSubscriptionProtocol] = DbSubscription
_list: type[DbSubscriptionListProtocol] = DbSubscriptionList
