"""Trust relationships."""

from datetime import datetime

from actingweb.db.policy.trust import TrustListPolicy, TrustPolicy
from actingweb.db.postgresql.executor import read, write_row
from actingweb.db.postgresql.rows import Rows, upsert_statement
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbTrustListProtocol, DbTrustProtocol
from actingweb.db.records import TrustRecord

__all__ = ["DbTrust", "DbTrustList"]

READ_BY_SECRET = Statement(
    "SELECT {columns} FROM {trusts} WHERE id = %(id)s AND secret = %(secret)s ORDER BY peerid LIMIT 1", TrustRecord
)
READ_SECRET = Statement("SELECT FROM {trusts} WHERE id = %(id)s AND secret = %(secret)s LIMIT 1")
UPSERT_TRUST = upsert_statement(TrustRecord, kept=("created_at",), returning=" RETURNING created_at")


class DbTrust(Rows[TrustRecord], TrustPolicy):
    """A trust relationship."""

    def _read_by_token(self, actor_id: str, token: str) -> TrustRecord | None:
        rows = self._as_records(read(READ_BY_SECRET, {"id": actor_id, "secret": token}))
        return rows[0] if rows else None

    @classmethod
    def _has_token(cls, actor_id: str, token: str) -> bool:
        return bool(read(READ_SECRET, {"id": actor_id, "secret": token}))

    def _upsert(self, record: TrustRecord) -> datetime:
        created_at: datetime = write_row(UPSERT_TRUST, record)[0]
        return created_at


class DbTrustList(Rows[TrustRecord], TrustListPolicy):
    """The trust relationships of one actor."""


_entity: type[DbTrustProtocol] = DbTrust
_list: type[DbTrustListProtocol] = DbTrustList
