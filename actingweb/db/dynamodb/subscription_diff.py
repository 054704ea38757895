"""Changes that a subscription has not delivered yet."""

from typing import TYPE_CHECKING, Any

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.batching import batched
from actingweb.db.dynamodb.client import WITHOUT_OLD_ITEM, Action
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, field_of, size_of
from actingweb.db.dynamodb.layouts import SUBSCRIPTION_DIFFS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import TRANSACTION_ACTIONS, TRANSACTION_BYTES, DynamoLimits, checked_item
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.policy.subscription_diff import SubscriptionDiffListPolicy, SubscriptionDiffPolicy
from actingweb.db.protocols import DbSubscriptionDiffListProtocol, DbSubscriptionDiffProtocol
from actingweb.db.records import SubscriptionDiffRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import SubscriptionDiff, SubscriptionDiffModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = ["DbSubscriptionDiff", "DbSubscriptionDiffList", "SubscriptionDiff", "SubscriptionDiffModel"]


class _Rows(WipeableRows[SubscriptionDiffRecord]):
    layout = SUBSCRIPTION_DIFFS
    limits = DynamoLimits(SUBSCRIPTION_DIFFS)


class DbSubscriptionDiff(_Rows, SubscriptionDiffPolicy):
    """One diff."""

    unique_rows = True

    def _read_lowest(self, actor_id: str, subid: str) -> SubscriptionDiffRecord | None:
        items = self._items((actor_id, subid))
        lowest = min(items, key=lambda item: field_of(self.record, item, "seqnr"), default=None)
        return None if lowest is None else self._row(lowest)

    def _insert_many(self, records: list[SubscriptionDiffRecord]) -> set[tuple[Any, ...]]:
        items = {record.key_values(): checked_item(self.layout, record) for record in records}
        created: set[tuple[Any, ...]] = set()
        for pack in batched(items.items(), TRANSACTION_ACTIONS, lambda pair: size_of(pair[1]), TRANSACTION_BYTES):
            created |= self._insert_free(dict(pack))
        return created

    def _insert_free(self, items: dict[tuple[Any, ...], Item]) -> set[tuple[Any, ...]]:
        """Store the items whose keys are free, in one transaction, and return these keys."""
        while items:
            taken = client.transact([self._insertion(item) for item in items.values()])
            if taken is None:
                break
            items = {key: item for index, (key, item) in enumerate(items.items()) if index not in taken}
        return set(items)

    def _insertion(self, item: Item) -> Action:
        # A retry after a lost answer has the same request token, so the items of the first attempt do not make it fail.
        expression = Expression()
        free = {"ConditionExpression": expression.absent(self.layout.hash)} | expression.arguments()
        return Action("Put", self._table(), {"Item": item} | free | WITHOUT_OLD_ITEM)


class DbSubscriptionDiffList(_Rows, SubscriptionDiffListPolicy):
    """The diffs of an actor, or of one of its subscriptions."""

    def _wipe_up_to(self, actor_id: str, subid: str | None, seqnr: int) -> None:
        scope = (actor_id, subid) if subid else (actor_id,)
        items = self._items(scope, [*self._key_attributes(), "seqnr"])
        self._delete_items(item for item in items if self._row(item).seqnr <= seqnr)


_entity: type[DbSubscriptionDiffProtocol] = DbSubscriptionDiff
_list: type[DbSubscriptionDiffListProtocol] = DbSubscriptionDiffList
