"""What all entity classes share: the handle, the limits, and the abstract methods that a backend implements once."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Generic, Literal, TypeVar

from actingweb.db.faults import input_error
from actingweb.db.policy.arguments import text, texts
from actingweb.db.records import Record

__all__ = ["ActorOwnedEntity", "Entity", "EntityBase", "EntityList", "Limits", "R"]

R = TypeVar("R", bound=Record)


class Limits(ABC):
    """What a backend's columns can hold.

    A method returns None if the value fits, otherwise the reason why it does not, with the limit and the size.
    """

    @abstractmethod
    def key(self, record: type[Record], values: tuple[Any, ...]) -> str | None:
        """Check the leading parts of a primary key of `record`'s table."""

    @abstractmethod
    def field(self, record: type[Record], name: str, value: str) -> str | None:
        """Check a text that is written to, or looked up in, a column outside the primary key."""

    @abstractmethod
    def number(self, value: int) -> str | None:
        """Check a number for an integer column."""

    def limited(self, record: type[Record]) -> frozenset[str]:
        """Return the columns of `record` that have a limit: the integers, and those that a subclass adds."""
        return frozenset(name for name, kind in record.types.items() if kind in (int, int | None))


class EntityBase(Generic[R]):
    """The base of entities and of their lists."""

    record: ClassVar[type[Record]]
    limits: ClassVar[Limits]
    log: ClassVar[logging.Logger]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.log = logging.getLogger(cls.__module__)

    @classmethod
    def _can_exist(cls, *key: Any) -> bool:
        """Tell whether a row with these leading key parts can exist."""
        return cls.limits.key(cls.record, key) is None

    @classmethod
    def _check_key(cls, *key: Any) -> None:
        """Raise `Fault` for leading key parts that cannot be stored."""
        for index, value in enumerate(key):
            if isinstance(value, str) and "\x00" in value:
                raise input_error(f"{cls.record.key[index]} contains U+0000")
        if (problem := cls.limits.key(cls.record, key)) is not None:
            raise input_error(problem)

    @classmethod
    def _check_fields(cls, values: Mapping[str, Any]) -> None:
        """Raise `Fault` for column values that the backend cannot hold. Texts are already clean and have no U+0000."""
        for name in _limited(cls.limits, cls.record):
            value = values.get(name)
            if value is not None:
                cls._check_value(name, value)

    @classmethod
    def _check_record(cls, record: Record) -> None:
        """Raise `Fault` for a row with values that the backend cannot hold."""
        for name in _limited(cls.limits, cls.record):
            value = getattr(record, name)
            if value is not None:
                cls._check_value(name, value)

    @classmethod
    def _check_value(cls, name: str, value: str | int) -> None:
        limits = cls.limits
        problem = limits.field(cls.record, name, value) if isinstance(value, str) else limits.number(value)
        if problem is not None:
            raise input_error(problem)


@cache
def _limited(limits: Limits, record: type[Record]) -> frozenset[str]:
    return limits.limited(record)


class Entity(EntityBase[R], ABC):
    """An object that loads, changes and deletes one row at a time. Its handle is the row."""

    handle: R | None

    def __init__(self) -> None:
        self.handle = None

    @abstractmethod
    def _read(self, *key: Any) -> R | None:
        """Return the row of this key, by a strongly consistent read; None if there is none."""

    @abstractmethod
    def _insert(self, record: R) -> bool:
        """Store a new row; return False if its key exists. Exactly one of concurrent callers gets True."""

    @abstractmethod
    def _update(self, record: R, changes: Mapping[str, Any]) -> bool:
        """Write these columns of `record`'s row; return False if the row is gone."""

    @abstractmethod
    def _delete(self, *key: Any) -> None:
        """Delete the row of this key, if it is there."""

    def _get(self, *key: Any) -> R | None:
        """Read the row of this key, make it the handle and return it. The parts of the key are cleaned already."""
        self.handle = self._read(*key) if self._can_exist(*key) else None
        return self.handle

    def _create(self, record: R) -> bool:
        """Check and insert `record`, and make it the handle; return False if its key exists."""
        self._check_key(*record.key_values())
        self._check_record(record)
        created = self._insert(record)
        self.handle = record if created else None
        return created

    def _modify(self, changes: Mapping[str, Any]) -> bool:
        """Write these columns of the handle's row; return False without a handle or if the row is gone."""
        if self.handle is None:
            return False
        if not changes:
            return True
        self._check_fields(changes)
        self.handle = self.handle.replace(**changes) if self._update(self.handle, changes) else None
        return self.handle is not None

    def _delete_handle(self) -> bool:
        """Delete the handle's row; return False without a handle."""
        if self.handle is None:
            return False
        self._delete(*self.handle.key_values())
        self.handle = None
        return True

    def _not_stored(self) -> Literal[False]:
        """Clear the handle and return False: the call stored nothing."""
        self.handle = None
        return False


class ActorOwnedEntity(Entity[R], ABC):
    """An entity whose key is an actor id and a second text, which the methods here call the part."""

    @abstractmethod
    def _read_many(self, actor_id: str, parts: list[str]) -> list[R]:
        """Return the actor's rows with these parts, in any order, by strongly consistent reads. No part repeats."""

    def _get_many(self, actor_id: str | None, parts: object, name: str) -> list[R]:
        """Return the actor's rows with these parts, in the order of the key. `name` is the name of the argument."""
        wanted = texts(parts, name)
        if not actor_id:
            return []
        actor_id = text(actor_id, "actor_id")
        possible = [part for part in wanted if self._can_exist(actor_id, part)]
        rows = self._read_many(actor_id, possible) if possible else []
        return sorted(rows, key=lambda row: row.key_values())


class EntityList(EntityBase[R], ABC):
    """An object that lists and deletes the rows of one actor."""

    handle: None
    actor_id: str | None

    def __init__(self) -> None:
        self.handle = None
        self.actor_id = None

    @abstractmethod
    def _list(self, *key: Any) -> list[R]:
        """Return the rows whose key begins with these parts, in the order of the key, by strongly consistent reads."""

    @abstractmethod
    def _wipe(self, *key: Any) -> None:
        """Delete the rows whose key begins with these parts."""

    def _fetch(self, actor_id: str | None) -> list[R]:
        """Remember the actor and return its rows."""
        self.actor_id = text(actor_id, "actor_id") if actor_id else None
        return self._list(self.actor_id) if self.actor_id and self._can_exist(self.actor_id) else []

    def _delete_all(self) -> bool:
        """Delete the rows of the actor of the last fetch; return False without a fetch."""
        if not self.actor_id:
            return False
        if self._can_exist(self.actor_id):
            self._wipe(self.actor_id)
        return True
