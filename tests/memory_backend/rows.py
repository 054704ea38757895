"""The tables, and the verbs that every entity shares."""

from collections.abc import Mapping
from threading import RLock
from typing import Any, ClassVar

from actingweb.db.spi import EntityBase, Limits, R, Record

TABLES: dict[str, dict[tuple[Any, ...], Any]] = {}
LOCK = RLock()


def clear() -> None:
    """Forget all rows."""
    with LOCK:
        TABLES.clear()


class _NoLimits(Limits):
    def key(self, record: type[Record], values: tuple[Any, ...]) -> str | None:
        return None

    def field(self, record: type[Record], name: str, value: str) -> str | None:
        return None

    def number(self, value: int) -> str | None:
        return None


class MemoryRows(EntityBase[R]):
    """The verbs over `record`'s table."""

    limits: ClassVar[Limits] = _NoLimits()

    @classmethod
    def _table(cls) -> dict[tuple[Any, ...], R]:
        return TABLES.setdefault(cls.record.table, {})

    @classmethod
    def _read(cls, *key: Any) -> R | None:
        return cls._table().get(key)

    @classmethod
    def _read_many(cls, actor_id: str, parts: list[str]) -> list[R]:
        return [row for row in cls._list(actor_id) if row.key_values()[1] in parts]

    @classmethod
    def _list(cls, *key: Any) -> list[R]:
        with LOCK:
            rows = [row for row in cls._table().values() if row.key_values()[: len(key)] == key]
        return sorted(rows, key=lambda row: row.key_values())

    @classmethod
    def _wipe(cls, *key: Any) -> None:
        with LOCK:
            for row in cls._list(*key):
                del cls._table()[row.key_values()]

    @classmethod
    def _insert(cls, record: R) -> bool:
        with LOCK:
            return cls._table().setdefault(record.key_values(), record) is record

    @classmethod
    def _update(cls, record: R, changes: Mapping[str, Any]) -> bool:
        with LOCK:
            row = cls._read(*record.key_values())
            if row is not None:
                cls._table()[row.key_values()] = row.replace(**changes)
            return row is not None

    @classmethod
    def _delete(cls, *key: Any) -> None:
        cls._table().pop(key, None)
