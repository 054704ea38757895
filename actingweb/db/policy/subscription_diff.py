"""Changes that a subscription has not delivered yet."""

from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from actingweb.db.faults import input_error
from actingweb.db.policy.arguments import integer, now, stored_text, text
from actingweb.db.policy.entity import Entity, EntityList
from actingweb.db.policy.operation import operation
from actingweb.db.protocols import DbSubscriptionDiffListProtocol, DbSubscriptionDiffProtocol
from actingweb.db.records import SubscriptionDiffRecord

__all__ = ["SubscriptionDiffListPolicy", "SubscriptionDiffPolicy"]


class SubscriptionDiffPolicy(Entity[SubscriptionDiffRecord], DbSubscriptionDiffProtocol):
    record: ClassVar[type[SubscriptionDiffRecord]] = SubscriptionDiffRecord

    @abstractmethod
    def _read_lowest(self, actor_id: str, subid: str) -> SubscriptionDiffRecord | None:
        """Return this subscription's diff with the lowest number, by a strongly consistent read."""

    @abstractmethod
    def _insert_many(self, records: list[SubscriptionDiffRecord]) -> set[tuple[Any, ...]]:
        """Store the rows whose keys are free, and return their keys. Exactly one of concurrent callers stores a row.

        All rows have the same actor and the same time. They are in the order of their keys, and no key repeats.
        """

    @operation("subscription diff read")
    def get(
        self, actor_id: str | None = None, subid: str | None = None, seqnr: int | None = None
    ) -> dict[str, Any] | None:
        if (actor_id, subid, seqnr) != (None, None, None):
            self.handle = self._found(actor_id, subid, seqnr) if actor_id and subid else None
        return None if self.handle is None else _result(self.handle, "data")

    def _found(self, actor_id: str, subid: str, seqnr: int | None) -> SubscriptionDiffRecord | None:
        key = text(actor_id, "actor_id"), text(subid, "subid")
        if seqnr is not None:
            return self._get(*key, integer(seqnr, "seqnr"))
        return self._read_lowest(*key) if self._can_exist(*key) else None

    @operation("subscription diff write")
    def create(
        self, actor_id: str | None = None, subid: str | None = None, diff: str | None = "", seqnr: int = 1
    ) -> bool:
        if not actor_id or not subid:
            return self._not_stored()
        return self._create(_record(actor_id, subid, seqnr, diff, now()))

    @operation("subscription diff write")
    def create_many(
        self, actor_id: str | None = None, diffs: Iterable[tuple[str, int, str | None]] | None = None
    ) -> list[bool]:
        records = _records(actor_id, _triples(diffs))
        first = {record.key_values(): record for record in reversed(records) if record is not None}
        for key, record in first.items():
            self._check_key(*key)
            self._check_record(record)
        stored = self._insert_many([first[key] for key in sorted(first)]) if first else set()
        new = {id(first[key]) for key in stored}
        return [id(record) in new for record in records]

    @operation("subscription diff delete")
    def delete(self) -> bool:
        return self._delete_handle()


class SubscriptionDiffListPolicy(EntityList[SubscriptionDiffRecord], DbSubscriptionDiffListProtocol):
    record: ClassVar[type[SubscriptionDiffRecord]] = SubscriptionDiffRecord

    def __init__(self) -> None:
        super().__init__()
        self.subid: str | None = None
        self.diffs: list[dict[str, Any]] | None = None

    @abstractmethod
    def _wipe_up_to(self, actor_id: str, subid: str | None, seqnr: int) -> None:
        """Delete the diffs with numbers up to `seqnr`: those of a subscription or, for None, of all of the actor's."""

    @operation("subscription diff list")
    def fetch(self, actor_id: str | None = None, subid: str | None = None) -> list[dict[str, Any]]:
        self.actor_id = text(actor_id, "actor_id") if actor_id else None
        self.subid = text(subid, "subid") if subid else None
        rows = self._list(*self._scope()) if self.actor_id and self._can_exist(*self._scope()) else []
        if self.subid is None:
            rows.sort(key=lambda row: (row.seqnr, row.subid))
        self.diffs = [_result(row, "diff") for row in rows]
        return self.diffs

    @operation("subscription diff delete")
    def delete(self, seqnr: int | None = None) -> bool:
        number = None if seqnr is None else integer(seqnr, "seqnr")
        self._check_fields({"seqnr": number})
        if not self.actor_id:
            return False
        if not self._can_exist(*self._scope()):
            return True
        if not number:
            self._wipe(*self._scope())
        else:
            self._wipe_up_to(self.actor_id, self.subid, number)
        return True

    def _scope(self) -> tuple[str, ...]:
        return tuple(part for part in (self.actor_id, self.subid) if part)


def _triples(diffs: object) -> list[tuple[Any, Any, Any]]:
    """Return the argument `diffs` as a list of subscription id, number and diff."""
    if not diffs:
        return []
    if not isinstance(diffs, Iterable) or isinstance(diffs, str | bytes):
        raise input_error("diffs must be an iterable of (subid, seqnr, diff)")
    triples = list(diffs)
    if not all(isinstance(triple, tuple | list) and len(triple) == 3 for triple in triples):
        raise input_error("each member of diffs must be (subid, seqnr, diff)")
    return [(subid, seqnr, diff) for subid, seqnr, diff in triples]


def _records(actor_id: str | None, triples: list[tuple[Any, Any, Any]]) -> list[SubscriptionDiffRecord | None]:
    """Return the record of each triple, None for one that lacks a part of the key."""
    timestamp = now()
    return [_record(actor_id, *triple, timestamp) if actor_id and triple[0] else None for triple in triples]


def _record(actor_id: str, subid: str, seqnr: int, diff: str | None, timestamp: datetime) -> SubscriptionDiffRecord:
    return SubscriptionDiffRecord(
        id=stored_text(actor_id, "actor_id"),
        subid=stored_text(subid, "subid"),
        seqnr=integer(seqnr, "seqnr"),
        timestamp=timestamp,
        diff=stored_text("" if diff is None else diff, "diff"),
    )


def _result(row: SubscriptionDiffRecord, content: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "subscriptionid": row.subid,
        "timestamp": row.timestamp,
        content: row.diff,
        "sequence": row.seqnr,
    }
