"""Suspended targets."""

from actingweb.db.spi import SubscriptionSuspensionPolicy, SubscriptionSuspensionProtocol, SubscriptionSuspensionRecord
from tests.memory_backend.rows import MemoryRows


class DbSubscriptionSuspension(MemoryRows[SubscriptionSuspensionRecord], SubscriptionSuspensionPolicy):
    def _read_any(self, actor_id: str, target: str, subtargets: list[str]) -> bool:
        return any((actor_id, target, subtarget) in self._table() for subtarget in subtargets)

    def _remove(self, actor_id: str, target: str, subtarget: str) -> bool:
        return self._table().pop((actor_id, target, subtarget), None) is not None


_entity: type[SubscriptionSuspensionProtocol] = DbSubscriptionSuspension
