"""Several properties of an actor at once."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from actingweb.db.faults import input_error
from actingweb.db.policy.arguments import mapping, positive, text
from actingweb.db.policy.operation import operation
from actingweb.db.policy.property import PropertyPolicy
from actingweb.db.policy.property_value import stored_value
from actingweb.db.records import PropertyRecord

__all__ = ["BulkPropertyPolicy"]


class BulkPropertyPolicy(PropertyPolicy):
    """Changes of several properties are records of one actor, by name; one with an empty value deletes its row."""

    @abstractmethod
    def _divided(self, changes: list[PropertyRecord], chunk_size: int | None) -> list[list[PropertyRecord]]:
        """Return the changes as the transactions that store them, of `chunk_size` each where one cannot hold all.

        Refuse them all if one of them cannot be stored.
        """

    @abstractmethod
    def _put_many(self, changes: list[PropertyRecord]) -> dict[str, str]:
        """Make the changes and those of their look-up rows in one step, as `_put` and `_remove` do.

        Return, by name, the other actors that keep valid claims on the values.
        """

    @operation("property write")
    def set_many(
        self,
        actor_id: str | None = None,
        values: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
    ) -> bool:
        if not actor_id or not (values or isinstance(values, Mapping)):
            return False
        named = mapping(values, "values")
        size = None if chunk_size is None else positive(chunk_size, "chunk_size")
        if not all(named):
            return False
        changes = self._changes(actor_id, named)
        for part in self._divided(changes, size) if changes else []:
            for name, claimant in self._put_many(part).items():
                self._report(part[0].id, name, claimant)
        return True

    def _changes(self, actor_id: str, values: Mapping[Any, Any]) -> list[PropertyRecord]:
        """Return the changes that can have an effect, in the order of the bytes of their names."""
        changes: dict[str, PropertyRecord] = {}
        for name, value in values.items():
            change = self._change(actor_id, name, stored_value(value))
            if change.name in changes:
                raise input_error("values holds two equal names")
            changes[change.name] = change
        return [
            change for _, change in sorted(changes.items()) if change.value or self._readable(change.id, change.name)
        ]

    def _change(self, actor_id: object, name: object, value: str) -> PropertyRecord:
        if value:
            return self._new(actor_id, name, value)
        return PropertyRecord(id=text(actor_id, "actor_id"), name=text(name, "name"), value="")
