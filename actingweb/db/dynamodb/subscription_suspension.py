"""Suspended targets."""

from typing import TYPE_CHECKING

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.layouts import SUBSCRIPTION_SUSPENSIONS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.policy.subscription_suspension import SubscriptionSuspensionPolicy
from actingweb.db.protocols import SubscriptionSuspensionProtocol
from actingweb.db.records import SubscriptionSuspensionRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import SubscriptionSuspension, SubscriptionSuspensionModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = ["DbSubscriptionSuspension", "SubscriptionSuspension", "SubscriptionSuspensionModel"]


class DbSubscriptionSuspension(WipeableRows[SubscriptionSuspensionRecord], SubscriptionSuspensionPolicy):
    """The suspended targets of an actor."""

    layout = SUBSCRIPTION_SUSPENSIONS
    limits = DynamoLimits(SUBSCRIPTION_SUSPENSIONS)
    unique_rows = True

    def __init__(self, actor_id: str | None) -> None:
        super().__init__(actor_id)

    def _read_any(self, actor_id: str, target: str, subtargets: list[str]) -> bool:
        wanted = [(actor_id, target, subtarget) for subtarget in subtargets]
        return any(self._holds(item, wanted[0]) for item in self._read_items(wanted))

    def _remove(self, actor_id: str, target: str, subtarget: str) -> bool:
        expression = Expression()
        key_values = (actor_id, target, subtarget)
        return self._delete_if(key_values, self._is_row(expression, key_values), expression)


_entity: type[SubscriptionSuspensionProtocol] = DbSubscriptionSuspension
