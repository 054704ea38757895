"""Properties of an actor."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from actingweb.db.events import lookup_collided
from actingweb.db.faults import input_error
from actingweb.db.observe import backend_of
from actingweb.db.policy.arguments import mapping, positive, stored_text, text, texts
from actingweb.db.policy.entity import ActorOwnedEntity, EntityList
from actingweb.db.policy.indexing import Claim, Indexing, Stored
from actingweb.db.policy.operation import operation
from actingweb.db.policy.property_value import stored_value
from actingweb.db.protocols import DbPropertyListProtocol, DbPropertyProtocol
from actingweb.db.records import PropertyRecord

__all__ = ["PropertyListPolicy", "PropertyPolicy"]


class PropertyPolicy(ActorOwnedEntity[PropertyRecord], Indexing, DbPropertyProtocol):
    """An abstract method writes the row of an indexed property and its look-up rows in one atomic step.

    * Storing a value claims it: the look-up row of the name and the value then names the actor, unless another actor
      has a valid claim.
    * Replacing a value releases the actor's claim on the old one, and deleting the row releases all claims under its
      name.
    * A claim is valid as long as the property of the actor that it names has the value.
    """

    record: ClassVar[type[PropertyRecord]] = PropertyRecord

    def __init__(self, use_lookup_table: bool | None = None, indexed_properties: list[str] | None = None) -> None:
        super().__init__()
        self._choose_indexing(use_lookup_table, indexed_properties)

    @abstractmethod
    def _put(self, record: PropertyRecord, indexed: bool) -> Stored:
        """Store the row; replace an existing one."""

    @abstractmethod
    def _put_new(self, record: PropertyRecord, indexed: bool) -> Stored:
        """Store the row if it does not exist."""

    @abstractmethod
    def _put_if(self, record: PropertyRecord, expected: str, indexed: bool) -> Stored:
        """Store the row if the stored value is exactly `expected`. An empty value is not claimed."""

    @abstractmethod
    def _remove(self, actor_id: str, name: str, indexed: bool) -> None:
        """Delete the row, if it is there."""

    @abstractmethod
    def _remove_if(self, record: PropertyRecord, indexed: bool) -> bool:
        """Delete the row if its value is exactly `record`'s."""

    @abstractmethod
    def _remove_names(self, actor_id: str, plain: list[str], indexed: list[str]) -> None:
        """Delete the rows of names that are not indexed (`plain`) and of `indexed` names. No name repeats."""

    @abstractmethod
    def _divided(
        self, actor_id: str, values: dict[str, str | None], chunk_size: int | None
    ) -> list[dict[str, str | None]]:
        """Divide the values into transactions, each of at most `chunk_size` values if that is given.

        Raise `Fault` if a value, or one of the transactions, exceeds a limit of the database.
        """

    @abstractmethod
    def _put_many(self, actor_id: str, values: dict[str, str | None]) -> dict[str, str]:
        """Store these values by name in one atomic step, with their look-up rows; None deletes, as `_remove` does.

        Return, by name, the other actors that keep valid claims on the values.
        """

    @abstractmethod
    def _read_claim(self, name: str, value: str) -> Claim | None:
        """Return the claim on this value of this name, None if there is none."""

    @abstractmethod
    def _holder(self, name: str, value: str) -> str | None:
        """Return the actor whose property of this name has this value, without using look-up rows.

        Of several actors return the smallest id.
        """

    @abstractmethod
    def _range(
        self, actor_id: str, lower: str, upper: str, keys_only: bool, consistent_read: bool
    ) -> list[tuple[str, str]]:
        """Return the names with lower <= name <= upper and their values, ordered by the bytes of the name.

        With `keys_only` all values are "".
        """

    @abstractmethod
    def _prefixed(self, actor_id: str, prefix: str, keys_only: bool, consistent_read: bool) -> list[tuple[str, str]]:
        """Return the names that begin with `prefix` and their values, ordered by the bytes of the name.

        With `keys_only` all values are "".
        """

    @abstractmethod
    def _last(self, actor_id: str, lower: str, upper: str) -> str | None:
        """Return the greatest name in bytes with lower <= name <= upper, by a strongly consistent read."""

    @abstractmethod
    def _fallback(self, name: str, value: str) -> str | None:
        """Return the actor that the look-up of an earlier release finds, if its property still has the value.

        Called if there is no look-up row. A backend without data of earlier releases returns None.
        """

    @operation("property read")
    def get(self, actor_id: str | None = None, name: str | None = None) -> str | None:
        if not actor_id or not name:
            self.handle = None
            return None
        row = self._get(text(actor_id, "actor_id"), text(name, "name"))
        return None if row is None else row.value

    @operation("property read")
    def get_many(self, actor_id: str | None = None, names: Any = None) -> dict[str, str]:
        return {row.name: row.value for row in self._get_many(actor_id, names, "names")}

    @operation("property write")
    def set(self, actor_id: str | None = None, name: str | None = None, value: Any = None) -> bool:
        if not actor_id or not name:
            return False
        encoded = stored_value(value)
        if not encoded:
            self._remove_key(text(actor_id, "actor_id"), text(name, "name"))
            return True
        record = self._new(actor_id, name, encoded)
        self._finish(record, self._put(record, self._indexed(record.name)))
        return True

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
        if named:
            self._store_many(text(actor_id, "actor_id"), named, size)
        return True

    def _store_many(self, actor_id: str, values: Mapping[Any, Any], chunk_size: int | None) -> None:
        encoded = self._encoded(actor_id, values)
        for part in self._divided(actor_id, encoded, chunk_size) if encoded else []:
            for name, claimant in self._put_many(actor_id, part).items():
                self._report_collision(actor_id, name, claimant)

    def _encoded(self, actor_id: str, values: Mapping[Any, Any]) -> dict[str, str | None]:
        """Return the texts to store by name, in the order of the names' bytes; None deletes a row, if one can exist."""
        encoded: dict[str, str | None] = {}
        for given, value in values.items():
            stored = stored_value(value) or None
            name = text(given, "name") if stored is None else self._new(actor_id, given, stored).name
            if name in encoded:
                raise input_error("values holds two equal names")
            encoded[name] = stored
        return {name: encoded[name] for name in sorted(encoded) if encoded[name] or self._can_exist(actor_id, name)}

    @operation("property delete")
    def delete(self) -> bool:
        if self.handle is None:
            return False
        self._remove_key(self.handle.id, self.handle.name)
        return True

    def _remove_key(self, actor_id: str, name: str) -> None:
        if self._can_exist(actor_id, name):
            self._remove(actor_id, name, self._indexed(name))
        self.handle = None

    @operation("property conditional create")
    def create_if_not_exists(self, actor_id: str | None = None, name: str | None = None, value: Any = None) -> bool:
        if not actor_id or not name or not (encoded := stored_value(value)):
            return self._not_stored()
        record = self._new(actor_id, name, encoded)
        return self._finish(record, self._put_new(record, self._indexed(record.name)))

    @operation("property conditional set")
    def set_if_value_equals(
        self,
        actor_id: str | None = None,
        name: str | None = None,
        expected: str | None = None,
        value: str | None = None,
    ) -> bool:
        if not actor_id or not name or expected is None or value is None:
            return self._not_stored()
        expected = text(expected, "expected")
        record = _record(actor_id, name, stored_text(value, "value"))
        self._check_fields({"value": record.value})
        possible = self._can_hold(record, expected)
        stored = self._put_if(record, expected, self._indexed(record.name)) if possible else Stored(False)
        return self._finish(record, stored)

    @operation("property conditional delete")
    def delete_if_value_equals(
        self, actor_id: str | None = None, name: str | None = None, value: str | None = None
    ) -> bool:
        self.handle = None
        if not actor_id or not name or value is None:
            return False
        record = _record(actor_id, name, text(value, "value"))
        return self._can_hold(record, record.value) and self._remove_if(record, self._indexed(record.name))

    def _can_hold(self, record: PropertyRecord, value: str) -> bool:
        """Tell whether a row with `record`'s key and this value can exist."""
        return self._can_exist(record.id, record.name) and self.limits.field(PropertyRecord, "value", value) is None

    @operation("property batch delete")
    def batch_delete(self, actor_id: str | None = None, names: Any = None) -> None:
        wanted = texts(names, "names")
        if not actor_id or not wanted:
            return
        actor_id = text(actor_id, "actor_id")
        wanted = [name for name in wanted if self._can_exist(actor_id, name)]
        plain = [name for name in wanted if not self._indexed(name)]
        if wanted:
            self._remove_names(actor_id, plain, [name for name in wanted if self._indexed(name)])

    @operation("property range read")
    def get_range(
        self,
        actor_id: str | None = None,
        lower: str | None = None,
        upper: str | None = None,
        keys_only: bool = False,
        consistent_read: bool = True,
    ) -> dict[str, str]:
        bounds = self._bounds(actor_id, lower, upper)
        return dict(self._range(*bounds, keys_only, consistent_read)) if bounds else {}

    @operation("property prefix read")
    def get_prefix(
        self,
        actor_id: str | None = None,
        prefix: str | None = None,
        keys_only: bool = False,
        consistent_read: bool = True,
    ) -> dict[str, str]:
        if not actor_id or not prefix:
            return {}
        key = text(actor_id, "actor_id"), text(prefix, "prefix")
        return dict(self._prefixed(*key, keys_only, consistent_read)) if self._can_exist(*key) else {}

    @operation("property last-in-range read")
    def get_last_in_range(
        self, actor_id: str | None = None, lower: str | None = None, upper: str | None = None
    ) -> str | None:
        bounds = self._bounds(actor_id, lower, upper)
        return self._last(*bounds) if bounds else None

    @operation("property lookup read")
    def get_actor_id_from_property(self, name: str | None = None, value: str | None = None) -> str | None:
        self.handle = None
        if not name or not value:
            return None
        name, value = text(name, "name"), text(value, "value")
        actor_id = self._resolved(name, value) if self.limits.field(PropertyRecord, "value", value) is None else None
        if actor_id is not None:
            self.handle = PropertyRecord(id=actor_id, name=name, value=value)
        return actor_id

    def _resolved(self, name: str, value: str) -> str | None:
        if not self._use_lookup_table:
            return self._holder(name, value)
        if not self._indexed(name):
            self.log.warning("reverse look-up of the non-indexed property %s", name)
            return None
        claim = self._read_claim(name, value)
        if claim is None:
            return self._fallback(name, value)
        if not claim.valid:
            self.log.warning("look-up row of %s names actor %s, which no longer holds the value", name, claim.actor_id)
            return None
        return claim.actor_id

    def _new(self, actor_id: object, name: object, value: str) -> PropertyRecord:
        """Return the record that a write stores. Reject one that the backend cannot hold."""
        record = PropertyRecord(id=stored_text(actor_id, "actor_id"), name=stored_text(name, "name"), value=value)
        self._check_key(record.id, record.name)
        self._check_fields({"value": value})
        return record

    def _finish(self, record: PropertyRecord, stored: Stored) -> bool:
        """Set the handle after a write, log a collision, and tell whether the write was done."""
        self.handle = record if stored.done else None
        if stored.claimant is not None:
            self._report_collision(record.id, record.name, stored.claimant)
        return stored.done

    def _report_collision(self, actor_id: str, name: str, claimant: str) -> None:
        """Log that another actor keeps its claim on the value that this actor stored."""
        lookup_collided(backend_of(self))
        self.log.error("LOOKUP_COLLISION property %s of actor %s is claimed by actor %s", name, actor_id, claimant)

    def _bounds(self, actor_id: str | None, lower: str | None, upper: str | None) -> tuple[str, str, str] | None:
        """Return actor and bounds of a range; None if no name can be in it."""
        if not actor_id or lower is None or not upper:
            return None
        actor_id, lower, upper = text(actor_id, "actor_id"), text(lower, "lower"), text(upper, "upper")
        return (actor_id, lower, upper) if lower <= upper and self._can_exist(actor_id) else None


class PropertyListPolicy(EntityList[PropertyRecord], Indexing, DbPropertyListProtocol):
    record: ClassVar[type[PropertyRecord]] = PropertyRecord

    def __init__(self, use_lookup_table: bool | None = None, indexed_properties: list[str] | None = None) -> None:
        super().__init__()
        self._choose_indexing(use_lookup_table, indexed_properties)
        self.props: dict[str, str] | None = None

    @abstractmethod
    def _list_plain(self, actor_id: str) -> list[PropertyRecord]:
        """Return the rows whose name does not begin with `LIST_PREFIX`, by name, without reading the others."""

    @operation("property list")
    def fetch(self, actor_id: str | None = None) -> dict[str, str] | None:
        self.actor_id = text(actor_id, "actor_id") if actor_id else None
        self.props = None
        if self.actor_id:
            rows = self._list_plain(self.actor_id) if self._can_exist(self.actor_id) else []
            self.props = {row.name: row.value for row in rows}
        return self.props

    @operation("property list")
    def fetch_all_including_lists(self, actor_id: str | None = None) -> dict[str, str] | None:
        rows = self._fetch(actor_id)
        return {row.name: row.value for row in rows} if self.actor_id else None

    @operation("property delete")
    def delete(self) -> bool:
        return self._delete_all()


def _record(actor_id: object, name: object, value: str) -> PropertyRecord:
    """Return the record that a conditional call compares with what is stored."""
    return PropertyRecord(id=text(actor_id, "actor_id"), name=text(name, "name"), value=value)
