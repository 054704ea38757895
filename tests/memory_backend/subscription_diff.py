"""Changes that a subscription has not delivered yet."""

from typing import Any

from actingweb.db.spi import (
    DbSubscriptionDiffListProtocol,
    DbSubscriptionDiffProtocol,
    SubscriptionDiffListPolicy,
    SubscriptionDiffPolicy,
    SubscriptionDiffRecord,
)
from tests.memory_backend.rows import LOCK, MemoryRows


class DbSubscriptionDiff(MemoryRows[SubscriptionDiffRecord], SubscriptionDiffPolicy):
    def _read_lowest(self, actor_id: str, subid: str) -> SubscriptionDiffRecord | None:
        return next(iter(self._list(actor_id, subid)), None)

    def _insert_many(self, records: list[SubscriptionDiffRecord]) -> set[tuple[Any, ...]]:
        with LOCK:
            return {record.key_values() for record in records if self._insert(record)}


class DbSubscriptionDiffList(MemoryRows[SubscriptionDiffRecord], SubscriptionDiffListPolicy):
    def _wipe_up_to(self, actor_id: str, subid: str | None, seqnr: int) -> None:
        with LOCK:
            for row in self._list(actor_id):
                if row.seqnr <= seqnr and subid in (None, row.subid):
                    self._delete(*row.key_values())


_entity: type[DbSubscriptionDiffProtocol] = DbSubscriptionDiff
_list: type[DbSubscriptionDiffListProtocol] = DbSubscriptionDiffList
