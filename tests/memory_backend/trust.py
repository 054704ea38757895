"""Trust relationships."""

from datetime import datetime

from actingweb.db.spi import DbTrustListProtocol, DbTrustProtocol, TrustListPolicy, TrustPolicy, TrustRecord, is_secret
from tests.memory_backend.rows import LOCK, MemoryRows


class DbTrust(MemoryRows[TrustRecord], TrustPolicy):
    def _read_by_token(self, actor_id: str, token: str) -> TrustRecord | None:
        return next((row for row in self._list(actor_id) if is_secret(row.secret, token)), None)

    @classmethod
    def _has_token(cls, actor_id: str, token: str) -> bool:
        return any(is_secret(row.secret, token) for row in cls._list(actor_id))

    def _upsert(self, record: TrustRecord) -> datetime:
        with LOCK:
            stored = self._read(*record.key_values())
            created = (stored and stored.created_at) or record.created_at
            assert created is not None
            self._table()[record.key_values()] = record.replace(created_at=created)
        return created


class DbTrustList(MemoryRows[TrustRecord], TrustListPolicy):
    pass


_entity: type[DbTrustProtocol] = DbTrust
_list: type[DbTrustListProtocol] = DbTrustList
