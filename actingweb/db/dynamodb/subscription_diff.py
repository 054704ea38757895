"""Changes that a subscription has not delivered yet."""

from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.models import TableModel
from actingweb.db.dynamodb.rows import WipedRows
from actingweb.db.dynamodb.tables import Layout
from actingweb.db.policy.subscription_diff import SubscriptionDiffListPolicy, SubscriptionDiffPolicy
from actingweb.db.protocols import DbSubscriptionDiffListProtocol, DbSubscriptionDiffProtocol
from actingweb.db.records import SubscriptionDiffRecord

__all__ = ["DbSubscriptionDiff", "DbSubscriptionDiffList", "SubscriptionDiff", "SubscriptionDiffModel"]


class SubscriptionDiffModel(TableModel):
    """The table of diffs."""

    layout = Layout(SubscriptionDiffRecord, "subscriptiondiffs", composed="subid_seqnr")


SubscriptionDiff = SubscriptionDiffModel


class _Rows(WipedRows[SubscriptionDiffRecord]):
    model = SubscriptionDiffModel
    limits = DynamoLimits(SubscriptionDiffModel.layout)


class DbSubscriptionDiff(_Rows, SubscriptionDiffPolicy):
    """One diff."""

    unique_rows = True

    def _read_lowest(self, actor_id: str, subid: str) -> SubscriptionDiffRecord | None:
        rows = map(self._row, self._items((actor_id, subid)))
        return min(rows, key=lambda row: row.seqnr, default=None)


class DbSubscriptionDiffList(_Rows, SubscriptionDiffListPolicy):
    """The diffs of an actor, or of one of its subscriptions."""

    def _wipe_up_to(self, actor_id: str, subid: str | None, seqnr: int) -> None:
        scope = (actor_id, subid) if subid else (actor_id,)
        items = self._items(scope, [*self._key_attributes(), "seqnr"])
        self._delete_items(item for item in items if self._row(item).seqnr <= seqnr)


_: tuple[type[DbSubscriptionDiffProtocol], type[DbSubscriptionDiffListProtocol]] = (
    DbSubscriptionDiff,
    DbSubscriptionDiffList,
)
