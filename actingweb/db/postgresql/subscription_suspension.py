"""Suspended targets."""

from actingweb.db.policy.subscription_suspension import SubscriptionSuspensionPolicy
from actingweb.db.postgresql.executor import read
from actingweb.db.postgresql.rows import Rows
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import SubscriptionSuspensionProtocol
from actingweb.db.records import SubscriptionSuspensionRecord

__all__ = ["DbSubscriptionSuspension"]

READ_ANY = Statement(
    "SELECT FROM {subscription_suspensions} "
    "WHERE id = %(id)s AND target = %(target)s AND subtarget = ANY(%(subtargets)s) LIMIT 1"
)


class DbSubscriptionSuspension(Rows[SubscriptionSuspensionRecord], SubscriptionSuspensionPolicy):
    """The suspended targets of one actor."""

    def _read_any(self, actor_id: str, target: str, subtargets: list[str]) -> bool:
        return bool(read(READ_ANY, {"id": actor_id, "target": target, "subtargets": subtargets}))

    def _remove(self, actor_id: str, target: str, subtarget: str) -> bool:
        return self._wipe_and_count(actor_id, target, subtarget) == 1


_entity: type[SubscriptionSuspensionProtocol] = DbSubscriptionSuspension
