"""Look-up rows of indexed properties."""

from actingweb.db.policy.property_lookup import PropertyLookupPolicy
from actingweb.db.postgresql.executor import write, write_row
from actingweb.db.postgresql.rows import Rows, upsert_statement
from actingweb.db.postgresql.statement import Statement
from actingweb.db.records import PropertyLookupRecord
from actingweb.db.utils import compute_lookup_key

__all__ = ["DbPropertyLookup", "compute_lookup_key"]

UPSERT_CLAIM = upsert_statement(PropertyLookupRecord)
INSERT_OR_READ_CLAIM = Statement(
    "INSERT INTO {property_lookup} AS stored ({columns}) VALUES (%(lookup_key)s, %(property_name)s, %(actor_id)s) "
    "ON CONFLICT (lookup_key) DO UPDATE SET actor_id = stored.actor_id RETURNING actor_id",
    PropertyLookupRecord,
)
DELETE_CLAIM = Statement(
    "DELETE FROM {property_lookup} WHERE lookup_key = %(lookup_key)s AND actor_id = COALESCE(%(actor_id)s, actor_id)"
)


class DbPropertyLookup(Rows[PropertyLookupRecord], PropertyLookupPolicy):
    """A look-up row."""

    def _assign(self, record: PropertyLookupRecord, overwrite: bool) -> str | None:
        if overwrite:
            write(UPSERT_CLAIM, record)
            return None
        owner: str = write_row(INSERT_OR_READ_CLAIM, record.asdict())[0]
        return None if owner == record.actor_id else owner

    def _remove(self, lookup_key: str, actor_id: str | None) -> bool:
        return write(DELETE_CLAIM, {"lookup_key": lookup_key, "actor_id": actor_id}).rowcount == 1

    def _read_v1(self, property_name: str, value: str) -> str | None:  # noqa: ARG002 - the schema migration converts the table
        return None


_entity: type[PropertyLookupPolicy] = DbPropertyLookup
