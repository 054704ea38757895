"""Subscriptions of peers to an actor."""

from actingweb.db.spi import (
    DbSubscriptionListProtocol,
    DbSubscriptionProtocol,
    SubscriptionListPolicy,
    SubscriptionPolicy,
    SubscriptionRecord,
)
from tests.memory_backend.rows import LOCK, MemoryRows


class DbSubscription(MemoryRows[SubscriptionRecord], SubscriptionPolicy):
    def _increment(self, record: SubscriptionRecord, by: int) -> SubscriptionRecord | None:
        with LOCK:
            row = self._read(*record.key_values())
            if row is None:
                return None
            self._update(row, {"seqnr": row.seqnr + by})
            return self._read(*record.key_values())


class DbSubscriptionList(MemoryRows[SubscriptionRecord], SubscriptionListPolicy):
    pass


_entity: type[DbSubscriptionProtocol] = DbSubscription
_list: type[DbSubscriptionListProtocol] = DbSubscriptionList
