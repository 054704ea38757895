"""Changes that a subscription has not delivered yet."""

from typing import Any

from actingweb.db.policy.subscription_diff import SubscriptionDiffListPolicy, SubscriptionDiffPolicy
from actingweb.db.postgresql.executor import read, write
from actingweb.db.postgresql.rows import Rows
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbSubscriptionDiffListProtocol, DbSubscriptionDiffProtocol
from actingweb.db.records import SubscriptionDiffRecord

__all__ = ["DbSubscriptionDiff", "DbSubscriptionDiffList"]

READ_LOWEST = Statement(
    "SELECT {columns} FROM {subscription_diffs} WHERE id = %(id)s AND subid = %(subid)s ORDER BY seqnr LIMIT 1",
    SubscriptionDiffRecord,
)
INSERT_DIFFS = Statement(
    "INSERT INTO {subscription_diffs} ({columns}) SELECT %(id)s, subid, seqnr, %(timestamp)s::timestamptz, diff "
    "FROM unnest(%(subids)s::text[], %(seqnrs)s::bigint[], %(diffs)s::text[]) AS new (subid, seqnr, diff) "
    "ON CONFLICT ({key}) DO NOTHING RETURNING {key}",
    SubscriptionDiffRecord,
)
DELETE_UP_TO = Statement("DELETE FROM {subscription_diffs} WHERE id = %(id)s AND seqnr <= %(seqnr)s")
DELETE_UP_TO_OF_ONE = Statement(
    "DELETE FROM {subscription_diffs} WHERE id = %(id)s AND subid = %(subid)s AND seqnr <= %(seqnr)s"
)


class DbSubscriptionDiff(Rows[SubscriptionDiffRecord], SubscriptionDiffPolicy):
    """A change for a subscription."""

    def _read_lowest(self, actor_id: str, subid: str) -> SubscriptionDiffRecord | None:
        rows = self._as_records(read(READ_LOWEST, {"id": actor_id, "subid": subid}))
        return rows[0] if rows else None

    def _insert_many(self, records: list[SubscriptionDiffRecord]) -> set[tuple[Any, ...]]:
        first = records[0]
        columns = {
            "subids": [record.subid for record in records],
            "seqnrs": [str(record.seqnr) for record in records],
            "diffs": [record.diff for record in records],
        }
        return set(write(INSERT_DIFFS, {"id": first.id, "timestamp": first.timestamp, **columns}).rows)


class DbSubscriptionDiffList(Rows[SubscriptionDiffRecord], SubscriptionDiffListPolicy):
    """The changes for one subscription, or for all of an actor's."""

    def _wipe_up_to(self, actor_id: str, subid: str | None, seqnr: int) -> None:
        statement = DELETE_UP_TO if subid is None else DELETE_UP_TO_OF_ONE
        write(statement, {"id": actor_id, "subid": subid, "seqnr": seqnr})


_entity: type[DbSubscriptionDiffProtocol] = DbSubscriptionDiff
_list: type[DbSubscriptionDiffListProtocol] = DbSubscriptionDiffList
