"""Direct access to the look-up rows of indexed properties, for tools."""

from abc import abstractmethod
from typing import ClassVar

from actingweb.db.events import lookup_collided
from actingweb.db.faults import Fault
from actingweb.db.observe import backend_of
from actingweb.db.policy.arguments import stored_text, text
from actingweb.db.policy.entity import Entity
from actingweb.db.policy.operation import operation
from actingweb.db.records import PropertyLookupRecord
from actingweb.db.utils import compute_lookup_key

__all__ = ["PropertyLookupPolicy"]


class PropertyLookupPolicy(Entity[PropertyLookupRecord]):
    """Reads and writes look-up rows without comparing them with the properties.

    Every method raises `DbError` for a fault.
    """

    record: ClassVar[type[PropertyLookupRecord]] = PropertyLookupRecord

    @abstractmethod
    def _assign(self, record: PropertyLookupRecord, overwrite: bool) -> str | None:
        """Store the row and return None. Without `overwrite`, if a row names another actor, only return that actor."""

    @abstractmethod
    def _remove(self, lookup_key: str, actor_id: str | None) -> bool:
        """Delete the row; with `actor_id`, only if it names that actor. Return whether it was deleted."""

    @abstractmethod
    def _read_v1(self, property_name: str, value: str) -> str | None:
        """Return the actor that the row in the v1 look-up table names; None without such a row or table."""

    @operation("property lookup read")
    def get(self, property_name: str | None = None, value: str | None = None) -> str | None:
        """Return the actor that the row of this name and value names; None without a row or an argument."""
        if not property_name or not value:
            self.handle = None
            return None
        row = self._get(_lookup_key(property_name, value))
        return None if row is None else row.actor_id

    @operation("property lookup write")
    def create(
        self,
        property_name: str | None = None,
        value: str | None = None,
        actor_id: str | None = None,
        overwrite: bool = False,
    ) -> bool:
        """Store the row of this name and value for `actor_id`; with `overwrite`, replace the row of another actor.

        Return whether the row now names `actor_id`. False means that an argument is missing, or that the row names
        another actor, which is logged as ERROR LOOKUP_COLLISION.
        """
        if not property_name or not value or not actor_id:
            return self._not_stored()
        record = PropertyLookupRecord(
            lookup_key=compute_lookup_key(stored_text(property_name, "property_name"), stored_text(value, "value")),
            property_name=stored_text(property_name, "property_name"),
            actor_id=stored_text(actor_id, "actor_id"),
        )
        self._check_fields({"property_name": record.property_name, "actor_id": record.actor_id})
        try:
            other = self._assign(record, overwrite)
        except Fault:
            self.log.error("LOOKUP_CREATE_FAILED property %s of actor %s", record.property_name, record.actor_id)
            raise
        if other is not None:
            lookup_collided(backend_of(self))
            self.log.error(
                "LOOKUP_COLLISION property %s of actor %s is claimed by actor %s",
                record.property_name,
                record.actor_id,
                other,
            )
        self.handle = record if other is None else None
        return other is None

    @operation("property lookup delete")
    def delete(self, property_name: str | None = None, value: str | None = None) -> bool:
        """Delete the row of this name and value; without arguments the handle's row, if it still names the same actor.

        Return False without such a row or a handle.
        """
        if property_name is None and value is None:
            return self._delete_own()
        if not property_name or not value:
            return False
        return self._forget(self._remove(_lookup_key(property_name, value), None))

    def _delete_own(self) -> bool:
        if self.handle is None:
            return False
        return self._forget(self._remove(self.handle.lookup_key, self.handle.actor_id))

    def _forget(self, removed: bool) -> bool:
        if removed:
            self.handle = None
        return removed

    @operation("property lookup read")
    def get_v1(self, property_name: str | None = None, value: str | None = None) -> str | None:
        """Return the actor that the row in the v1 look-up table names, None if there is none."""
        if not property_name or not value:
            return None
        return self._read_v1(text(property_name, "property_name"), text(value, "value"))


def _lookup_key(property_name: object, value: object) -> str:
    return compute_lookup_key(text(property_name, "property_name"), text(value, "value"))
