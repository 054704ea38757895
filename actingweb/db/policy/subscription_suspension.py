"""Suspended targets: the application records no changes of them for subscriptions."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from actingweb.db.policy.arguments import now, text
from actingweb.db.policy.entity import EntityBase
from actingweb.db.policy.operation import operation
from actingweb.db.protocols import SubscriptionSuspensionProtocol
from actingweb.db.records import SubscriptionSuspensionRecord

__all__ = ["SubscriptionSuspensionPolicy"]


class SubscriptionSuspensionPolicy(EntityBase[SubscriptionSuspensionRecord], SubscriptionSuspensionProtocol, ABC):
    record: ClassVar[type[SubscriptionSuspensionRecord]] = SubscriptionSuspensionRecord

    def __init__(self, actor_id: str | None) -> None:
        self._actor_id = actor_id

    @abstractmethod
    def _read_any(self, actor_id: str, target: str, subtargets: list[str]) -> bool:
        """Tell whether the target is suspended with any of these subtargets, by strongly consistent reads."""

    @abstractmethod
    def _insert(self, record: SubscriptionSuspensionRecord) -> bool:
        """Store a new row; return False if it exists."""

    @abstractmethod
    def _remove(self, actor_id: str, target: str, subtarget: str) -> bool:
        """Delete a row; return False if there was none."""

    @abstractmethod
    def _list(self, *key: Any) -> list[SubscriptionSuspensionRecord]:
        """Return the actor's rows in the order of the key, by strongly consistent reads."""

    @abstractmethod
    def _wipe(self, *key: Any) -> None:
        """Delete the actor's rows."""

    @operation("subscription suspension read")
    def is_suspended(self, target: str, subtarget: str | None = None) -> bool:
        if not (key := self._key(target, subtarget)):
            return False
        actor_id, target, subtarget = key
        possible = [part for part in dict.fromkeys(("", subtarget)) if self._can_exist(actor_id, target, part)]
        return bool(possible) and self._read_any(actor_id, target, possible)

    @operation("subscription suspension write")
    def suspend(self, target: str, subtarget: str | None = None) -> bool:
        if not (key := self._key(target, subtarget)):
            return False
        self._check_key(*key)
        return self._insert(
            SubscriptionSuspensionRecord(id=key[0], target=key[1], subtarget=key[2], suspended_at=now())
        )

    @operation("subscription suspension delete")
    def resume(self, target: str, subtarget: str | None = None) -> bool:
        key = self._key(target, subtarget)
        return key is not None and self._can_exist(*key) and self._remove(*key)

    @operation("subscription suspension list")
    def get_all_suspended(self) -> list[tuple[str, str | None]]:
        rows = self._list(self._owner()) if self._actor_id and self._can_exist(self._owner()) else []
        return [(row.target, row.subtarget or None) for row in rows]

    @operation("subscription suspension delete")
    def delete_all(self) -> bool:
        if not self._actor_id:
            return False
        if self._can_exist(self._owner()):
            self._wipe(self._owner())
        return True

    def _owner(self) -> str:
        return text(self._actor_id, "actor_id")

    def _key(self, target: str, subtarget: str | None) -> tuple[str, str, str] | None:
        """Return the key of a row; None if a part of it is missing."""
        if not self._actor_id or not target:
            return None
        return self._owner(), text(target, "target"), text(subtarget or "", "subtarget")
