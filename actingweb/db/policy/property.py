"""Properties of an actor."""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

from actingweb.db.policy.arguments import stored_text, text, texts
from actingweb.db.policy.entity import ActorOwnedEntity, EntityList
from actingweb.db.policy.operation import operation
from actingweb.db.policy.property_value import stored_value
from actingweb.db.protocols import DbPropertyListProtocol, DbPropertyProtocol
from actingweb.db.records import PropertyRecord
from actingweb.db.settings import get_settings

__all__ = ["LIST_PREFIX", "Claim", "PropertyListPolicy", "PropertyPolicy", "Stored"]

LIST_PREFIX = "list:"
"""Names that begin so are rows of a property list: never indexed, and not among the plain properties."""


class Stored(NamedTuple):
    """How a write of a property ended.

    Attributes:
        done: whether this call stored the row.
        claimant: the other actor that keeps a valid claim on the value, if one does.
    """

    done: bool
    claimant: str | None = None


class Claim(NamedTuple):
    """What a look-up row says.

    Attributes:
        actor_id: the actor it names.
        valid: whether that actor's property still holds exactly this value.
    """

    actor_id: str
    valid: bool


class _Indexing:
    """Which properties have look-up rows."""

    _use_lookup_table: bool
    _indexed_properties: tuple[str, ...] | list[str]

    def _choose_indexing(self, use_lookup_table: bool | None, indexed_properties: list[str] | None) -> None:
        self._use_lookup_table = (
            get_settings().use_property_lookup_table if use_lookup_table is None else use_lookup_table
        )
        self._indexed_properties = (
            list(get_settings().indexed_properties) if indexed_properties is None else indexed_properties
        )

    def _indexed(self, name: str) -> bool:
        return self._use_lookup_table and name in self._indexed_properties and not name.startswith(LIST_PREFIX)


class PropertyPolicy(ActorOwnedEntity[PropertyRecord], _Indexing, DbPropertyProtocol):
    """The rules of look-up rows, which the verbs with `indexed` keep in one atomic step with the property row.

    Storing an indexed value claims it: the look-up row of name and value names the actor, unless another actor's
    claim on it is valid. The claim on the value that was there before, and every claim of a deleted row, is released
    if it is this actor's. A claim whose owner no longer holds the value counts as released.
    """

    record: ClassVar[type[PropertyRecord]] = PropertyRecord

    def __init__(self, use_lookup_table: bool | None = None, indexed_properties: list[str] | None = None) -> None:
        super().__init__()
        self._choose_indexing(use_lookup_table, indexed_properties)

    @abstractmethod
    def _put(self, record: PropertyRecord, indexed: bool) -> Stored:
        """Store the row, whether or not it exists."""

    @abstractmethod
    def _put_new(self, record: PropertyRecord, indexed: bool) -> Stored:
        """Store the row if it does not exist."""

    @abstractmethod
    def _put_if(self, record: PropertyRecord, expected: str, indexed: bool) -> Stored:
        """Store the row if the stored value is exactly `expected`. An empty value makes no claim."""

    @abstractmethod
    def _remove(self, actor_id: str, name: str, indexed: bool) -> None:
        """Delete the row, if it is there."""

    @abstractmethod
    def _remove_if(self, record: PropertyRecord, indexed: bool) -> bool:
        """Delete the row if its value is exactly `record`'s."""

    @abstractmethod
    def _remove_names(self, actor_id: str, plain: list[str], indexed: list[str]) -> None:
        """Delete the rows of these names; each name stands in one of the lists, once."""

    @abstractmethod
    def _claim(self, name: str, value: str) -> Claim | None:
        """Return what the look-up row of this name and value says."""

    @abstractmethod
    def _holder(self, name: str, value: str) -> str | None:
        """Return, without look-up rows, the smallest id of an actor that holds this value under this name."""

    @abstractmethod
    def _range(
        self, actor_id: str, lower: str, upper: str, keys_only: bool, consistent_read: bool
    ) -> list[tuple[str, str]]:
        """Return name and value ("" with `keys_only`) of lower <= name <= upper, by name in bytes."""

    @abstractmethod
    def _prefixed(self, actor_id: str, prefix: str, keys_only: bool, consistent_read: bool) -> list[tuple[str, str]]:
        """Return name and value ("" with `keys_only`) of the names that begin with `prefix`, by name in bytes."""

    @abstractmethod
    def _last(self, actor_id: str, lower: str, upper: str) -> str | None:
        """Return the byte-greatest name with lower <= name <= upper, strongly read."""

    @abstractmethod
    def _fallback(self, name: str, value: str) -> str | None:
        """Return the holder that an older form of look-up knows, confirmed; asked when there is no look-up row."""

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
        self._settle(record, self._put(record, self._indexed(record.name)))
        return True

    @operation("property delete")
    def delete(self) -> bool:
        if self.handle is None:
            return False
        self._remove_key(self.handle.id, self.handle.name)
        return True

    def _remove_key(self, actor_id: str, name: str) -> None:
        if self._readable(actor_id, name):
            self._remove(actor_id, name, self._indexed(name))
        self.handle = None

    @operation("property conditional create")
    def create_if_not_exists(self, actor_id: str | None = None, name: str | None = None, value: Any = None) -> bool:
        if not actor_id or not name or not (encoded := stored_value(value)):
            return self._unloaded()
        record = self._new(actor_id, name, encoded)
        return self._settle(record, self._put_new(record, self._indexed(record.name)))

    @operation("property conditional set")
    def set_if_value_equals(
        self,
        actor_id: str | None = None,
        name: str | None = None,
        expected: str | None = None,
        value: str | None = None,
    ) -> bool:
        if not actor_id or not name or expected is None or value is None:
            return self._unloaded()
        expected = text(expected, "expected")
        record = PropertyRecord(
            id=text(actor_id, "actor_id"), name=text(name, "name"), value=stored_text(value, "value")
        )
        self._check_fields({"value": record.value})
        possible = self._readable(record.id, record.name)
        possible = possible and self.limits.field(PropertyRecord, "value", expected) is None
        stored = self._put_if(record, expected, self._indexed(record.name)) if possible else Stored(False)
        return self._settle(record, stored)

    @operation("property conditional delete")
    def delete_if_value_equals(
        self, actor_id: str | None = None, name: str | None = None, value: str | None = None
    ) -> bool:
        self.handle = None
        if not actor_id or not name or value is None:
            return False
        record = PropertyRecord(id=text(actor_id, "actor_id"), name=text(name, "name"), value=text(value, "value"))
        possible = self._readable(record.id, record.name)
        possible = possible and self.limits.field(PropertyRecord, "value", record.value) is None
        return possible and self._remove_if(record, self._indexed(record.name))

    @operation("property batch delete")
    def batch_delete(self, actor_id: str | None = None, names: Any = None) -> None:
        wanted = texts(names, "names")
        if not actor_id or not wanted:
            return
        actor_id = text(actor_id, "actor_id")
        wanted = [name for name in wanted if self._readable(actor_id, name)]
        indexed = [name for name in wanted if self._indexed(name)]
        if wanted:
            self._remove_names(actor_id, [name for name in wanted if not self._indexed(name)], indexed)

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
        return dict(self._prefixed(*key, keys_only, consistent_read)) if self._readable(*key) else {}

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
        claim = self._claim(name, value)
        if claim is None:
            return self._fallback(name, value)
        if not claim.valid:
            self.log.warning("look-up row of %s names actor %s, which no longer holds the value", name, claim.actor_id)
            return None
        return claim.actor_id

    def _new(self, actor_id: object, name: object, value: str) -> PropertyRecord:
        record = PropertyRecord(id=stored_text(actor_id, "actor_id"), name=stored_text(name, "name"), value=value)
        self._check_key(record.id, record.name)
        self._check_fields({"value": value})
        return record

    def _settle(self, record: PropertyRecord, stored: Stored) -> bool:
        """Take a stored row as the handle, and report a value that stays another actor's."""
        self.handle = record if stored.done else None
        if stored.claimant is not None:
            self._report(record.id, record.name, stored.claimant)
        return stored.done

    def _report(self, actor_id: str, name: str, claimant: str) -> None:
        """Report a value that stays another actor's."""
        self.log.error("LOOKUP_COLLISION property %s of actor %s is claimed by actor %s", name, actor_id, claimant)

    def _bounds(self, actor_id: str | None, lower: str | None, upper: str | None) -> tuple[str, str, str] | None:
        """Return actor and bounds of a range that can hold a name, else None."""
        if not actor_id or lower is None or not upper:
            return None
        actor_id, lower, upper = text(actor_id, "actor_id"), text(lower, "lower"), text(upper, "upper")
        return (actor_id, lower, upper) if lower <= upper and self._readable(actor_id) else None


class PropertyListPolicy(EntityList[PropertyRecord], _Indexing, DbPropertyListProtocol):
    record: ClassVar[type[PropertyRecord]] = PropertyRecord

    def __init__(self, use_lookup_table: bool | None = None, indexed_properties: list[str] | None = None) -> None:
        super().__init__()
        self._choose_indexing(use_lookup_table, indexed_properties)
        self.props: dict[str, str] | None = None

    @abstractmethod
    def _list_plain(self, actor_id: str) -> list[PropertyRecord]:
        """Return the rows whose name does not begin with `LIST_PREFIX`, by name; those that do are not read."""

    @operation("property list")
    def fetch(self, actor_id: str | None = None) -> dict[str, str] | None:
        self.actor_id = text(actor_id, "actor_id") if actor_id else None
        self.props = None
        if self.actor_id:
            rows = self._list_plain(self.actor_id) if self._readable(self.actor_id) else []
            self.props = {row.name: row.value for row in rows}
        return self.props

    @operation("property list")
    def fetch_all_including_lists(self, actor_id: str | None = None) -> dict[str, str] | None:
        rows = self._fetch(actor_id)
        return {row.name: row.value for row in rows} if self.actor_id else None

    @operation("property delete")
    def delete(self) -> bool:
        return self._delete_all()
