"""Properties of an actor."""

from actingweb.db.spi import (
    LIST_PREFIX,
    Claim,
    DbPropertyListProtocol,
    DbPropertyProtocol,
    PropertyListPolicy,
    PropertyLookupRecord,
    PropertyPolicy,
    PropertyRecord,
    Stored,
    compute_lookup_key,
)
from tests.memory_backend.property_lookup import DbPropertyLookup
from tests.memory_backend.rows import LOCK, MemoryRows


class DbProperty(MemoryRows[PropertyRecord], PropertyPolicy):
    def _put(self, record: PropertyRecord, indexed: bool) -> Stored:
        with LOCK:
            if indexed:
                _release(record.id, record.name)
            self._table()[record.key_values()] = record
            return Stored(True, _read_claim(record) if indexed and record.value else None)

    def _put_new(self, record: PropertyRecord, indexed: bool) -> Stored:
        with LOCK:
            exists = self._read(*record.key_values()) is not None
            return Stored(False) if exists else self._put(record, indexed)

    def _put_if(self, record: PropertyRecord, expected: str, indexed: bool) -> Stored:
        with LOCK:
            holds = self._holds(record.replace(value=expected))
            return self._put(record, indexed) if holds else Stored(False)

    def _remove(self, actor_id: str, name: str, indexed: bool) -> None:
        with LOCK:
            if indexed:
                _release(actor_id, name)
            self._table().pop((actor_id, name), None)

    def _remove_if(self, record: PropertyRecord, indexed: bool) -> bool:
        with LOCK:
            holds = self._holds(record)
            if holds:
                self._remove(record.id, record.name, indexed)
            return holds

    def _remove_names(self, actor_id: str, plain: list[str], indexed: list[str]) -> None:
        with LOCK:
            for name in plain:
                self._remove(actor_id, name, indexed=False)
            for name in indexed:
                self._remove(actor_id, name, indexed=True)

    def _divided(
        self, actor_id: str, values: dict[str, str | None], chunk_size: int | None
    ) -> list[dict[str, str | None]]:
        return [values]

    def _put_many(self, actor_id: str, values: dict[str, str | None]) -> dict[str, str]:
        with LOCK:
            claimants = {name: self._change(actor_id, name, value) for name, value in values.items()}
        return {name: claimant for name, claimant in claimants.items() if claimant is not None}

    def _change(self, actor_id: str, name: str, value: str | None) -> str | None:
        indexed = self._indexed(name)
        if value is not None:
            return self._put(PropertyRecord(id=actor_id, name=name, value=value), indexed).claimant
        self._remove(actor_id, name, indexed)
        return None

    def _read_claim(self, name: str, value: str) -> Claim | None:
        row = DbPropertyLookup._read(compute_lookup_key(name, value))
        if row is None:
            return None
        return Claim(row.actor_id, self._holds(PropertyRecord(id=row.actor_id, name=name, value=value)))

    def _holder(self, name: str, value: str) -> str | None:
        return min((row.id for row in self._list() if (row.name, row.value) == (name, value)), default=None)

    def _fallback(self, name: str, value: str) -> str | None:
        return None

    def _range(
        self, actor_id: str, lower: str, upper: str, keys_only: bool, consistent_read: bool
    ) -> list[tuple[str, str]]:
        rows = [row for row in self._list(actor_id) if lower <= row.name <= upper]
        return [(row.name, "" if keys_only else row.value) for row in rows]

    def _prefixed(self, actor_id: str, prefix: str, keys_only: bool, consistent_read: bool) -> list[tuple[str, str]]:
        rows = [row for row in self._list(actor_id) if row.name.startswith(prefix)]
        return [(row.name, "" if keys_only else row.value) for row in rows]

    def _last(self, actor_id: str, lower: str, upper: str) -> str | None:
        return max((name for name, _ in self._range(actor_id, lower, upper, True, True)), default=None)

    @classmethod
    def _holds(cls, record: PropertyRecord) -> bool:
        return cls._read(*record.key_values()) == record


class DbPropertyList(MemoryRows[PropertyRecord], PropertyListPolicy):
    def _list_plain(self, actor_id: str) -> list[PropertyRecord]:
        return [row for row in self._list(actor_id) if not row.name.startswith(LIST_PREFIX)]

    @classmethod
    def _wipe(cls, *key: str) -> None:
        with LOCK:
            _release(key[0])
            super()._wipe(*key)


def _read_claim(record: PropertyRecord) -> str | None:
    """Claim the value of a stored property; return the other actor that keeps a valid claim, if one does."""
    lookup_key = compute_lookup_key(record.name, record.value)
    row = DbPropertyLookup._read(lookup_key)
    if row is not None and row.actor_id != record.id and DbProperty._holds(record.replace(id=row.actor_id)):
        return row.actor_id
    claim = PropertyLookupRecord(lookup_key=lookup_key, property_name=record.name, actor_id=record.id)
    DbPropertyLookup._table()[claim.key_values()] = claim
    return None


def _release(actor_id: str, name: str | None = None) -> None:
    for row in DbPropertyLookup._list():
        if row.actor_id == actor_id and name in (None, row.property_name):
            DbPropertyLookup._delete(*row.key_values())


_entity: type[DbPropertyProtocol] = DbProperty
_list: type[DbPropertyListProtocol] = DbPropertyList
