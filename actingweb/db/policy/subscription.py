"""Subscriptions of peers to an actor."""

from abc import abstractmethod
from typing import Any, ClassVar

from actingweb.db.faults import input_error
from actingweb.db.policy.arguments import integer, optional_text, stored_text, text, to_bool, without_none
from actingweb.db.policy.entity import Entity, EntityList
from actingweb.db.policy.operation import operation
from actingweb.db.protocols import DbSubscriptionListProtocol, DbSubscriptionProtocol
from actingweb.db.records import SubscriptionRecord

__all__ = ["SubscriptionListPolicy", "SubscriptionPolicy"]


class SubscriptionPolicy(Entity[SubscriptionRecord], DbSubscriptionProtocol):
    record: ClassVar[type[SubscriptionRecord]] = SubscriptionRecord

    @abstractmethod
    def _increment(self, record: SubscriptionRecord, by: int) -> SubscriptionRecord | None:
        """Add to the number of `record`'s row in one atomic step; return the new row, None if it is gone."""

    @operation("subscription read")
    def get(
        self, actor_id: str | None = None, peerid: str | None = None, subid: str | None = None
    ) -> dict[str, Any] | None:
        if not actor_id or not peerid or not subid:
            self.handle = None
            return None
        row = self._get(text(actor_id, "actor_id"), text(peerid, "peerid"), text(subid, "subid"))
        return None if row is None else _result(row)

    @operation("subscription write")
    def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        subid: str | None = None,
        granularity: str | None = None,
        target: str | None = None,
        subtarget: str | None = None,
        resource: str | None = None,
        seqnr: int = 0,
        callback: bool | str = False,
    ) -> bool:
        if not actor_id or not peerid or not subid:
            return self._not_stored()
        return self._create(
            SubscriptionRecord(
                id=stored_text(actor_id, "actor_id"),
                peerid=stored_text(peerid, "peerid"),
                subid=stored_text(subid, "subid"),
                granularity=optional_text(granularity, "granularity"),
                target=optional_text(target, "target"),
                subtarget=optional_text(subtarget, "subtarget"),
                resource=optional_text(resource, "resource"),
                seqnr=integer(seqnr, "seqnr"),
                callback=to_bool(callback),
            )
        )

    @operation("subscription write")
    def modify(
        self,
        peerid: str | None = None,
        subid: str | None = None,
        granularity: str | None = None,
        target: str | None = None,
        subtarget: str | None = None,
        resource: str | None = None,
        seqnr: int | None = None,
        callback: bool | str | None = None,
    ) -> bool:
        self._refuse_another_key(peerid=peerid, subid=subid)
        texts = {"granularity": granularity, "target": target, "subtarget": subtarget, "resource": resource}
        changes: dict[str, Any] = {name: optional_text(value or None, name) for name, value in texts.items()}
        changes["seqnr"] = None if seqnr is None else integer(seqnr, "seqnr")
        changes["callback"] = None if callback is None else to_bool(callback)
        return self._modify(without_none(changes))

    def _refuse_another_key(self, **parts: object) -> None:
        for name, value in parts.items():
            if value and self.handle is not None and text(value, name) != self.handle[name]:
                raise input_error(f"{name} is part of the key and cannot change")

    @operation("subscription write")
    def increment_seqnr(self, by: int = 1) -> int | None:
        by = integer(by, "by")
        self._check_value("by", by)
        if self.handle is not None:
            self.handle = self._increment(self.handle, by)
        return None if self.handle is None else self.handle.seqnr

    @operation("subscription delete")
    def delete(self) -> bool:
        return self._delete_handle()


class SubscriptionListPolicy(EntityList[SubscriptionRecord], DbSubscriptionListProtocol):
    record: ClassVar[type[SubscriptionRecord]] = SubscriptionRecord

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions: list[dict[str, Any]] | None = None

    @operation("subscription list")
    def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        self.subscriptions = [_result(row) for row in self._fetch(actor_id)]
        return self.subscriptions

    @operation("subscription delete")
    def delete(self) -> bool:
        return self._delete_all()


def _result(row: SubscriptionRecord) -> dict[str, Any]:
    return {
        "id": row.id,
        "peerid": row.peerid,
        "subscriptionid": row.subid,
        "granularity": row.granularity or "",
        "target": row.target or "",
        "subtarget": row.subtarget or "",
        "resource": row.resource or "",
        "sequence": row.seqnr,
        "callback": row.callback,
    }
