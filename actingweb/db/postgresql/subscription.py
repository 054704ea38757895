"""Subscriptions of peers to an actor."""

from actingweb.db.policy.subscription import SubscriptionListPolicy, SubscriptionPolicy
from actingweb.db.postgresql.executor import write
from actingweb.db.postgresql.rows import Rows
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbSubscriptionListProtocol, DbSubscriptionProtocol
from actingweb.db.records import SubscriptionRecord

__all__ = ["DbSubscription", "DbSubscriptionList"]

UPDATE_NUMBER = Statement(
    "UPDATE {subscriptions} SET seqnr = seqnr + %(by)s "
    "WHERE id = %(id)s AND peerid = %(peerid)s AND subid = %(subid)s RETURNING {columns}",
    SubscriptionRecord,
)


class DbSubscription(Rows[SubscriptionRecord], SubscriptionPolicy):
    """A subscription of a peer."""

    def _increment(self, record: SubscriptionRecord, by: int) -> SubscriptionRecord | None:
        rows = self._as_records(write(UPDATE_NUMBER, {**record.asdict(), "by": by}).rows)
        return rows[0] if rows else None


class DbSubscriptionList(Rows[SubscriptionRecord], SubscriptionListPolicy):
    """The subscriptions to one actor."""


_entity: type[DbSubscriptionProtocol] = DbSubscription
_list: type[DbSubscriptionListProtocol] = DbSubscriptionList
