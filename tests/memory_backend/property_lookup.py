"""Look-up rows of indexed properties."""

from actingweb.db.spi import PropertyLookupPolicy, PropertyLookupRecord, compute_lookup_key
from tests.memory_backend.rows import LOCK, MemoryRows

__all__ = ["DbPropertyLookup", "compute_lookup_key"]


class DbPropertyLookup(MemoryRows[PropertyLookupRecord], PropertyLookupPolicy):
    def _assign(self, record: PropertyLookupRecord, overwrite: bool) -> str | None:
        with LOCK:
            row = self._read(record.lookup_key)
            if row is not None and row.actor_id != record.actor_id and not overwrite:
                return row.actor_id
            self._table()[record.key_values()] = record
        return None

    def _remove(self, lookup_key: str, actor_id: str | None) -> bool:
        with LOCK:
            row = self._read(lookup_key)
            if row is None or actor_id not in (None, row.actor_id):
                return False
            self._delete(*row.key_values())
        return True

    def _read_v1(self, property_name: str, value: str) -> str | None:
        return None


_entity: type[PropertyLookupPolicy] = DbPropertyLookup
