"""Statements for the look-up rows of indexed properties. They run in the transaction that writes the property.

Each statement sees what was committed before it began. Writers of one property wait for the lock on its row, and
writers of one value for the lock on its look-up row.
"""

from typing import LiteralString

from psycopg import sql

from actingweb.db.exceptions import DbOutcomeUnknownError
from actingweb.db.faults import Fault
from actingweb.db.policy.indexing import Claim
from actingweb.db.postgresql.executor import BoundStatement, Result, read
from actingweb.db.postgresql.statement import Statement
from actingweb.db.records import PropertyRecord, Record
from actingweb.db.utils import compute_lookup_key

__all__ = [
    "LOCK_ACTOR",
    "claim_statements",
    "claimant",
    "read_claim",
    "recording_change",
    "release_all_statements",
    "release_statement_if_changed",
    "release_statements",
]

READ_CLAIM = Statement(
    "SELECT claim.actor_id, held.id IS NOT NULL FROM {property_lookup} AS claim LEFT JOIN {properties} AS held "
    "ON held.id = claim.actor_id AND held.name = %(name)s AND held.value = %(value)s "
    "WHERE claim.lookup_key = %(lookup_key)s"
)
# Deleting an actor locks the actor and then its properties. Locking them in another order could deadlock with it.
LOCK_ACTOR = Statement("SELECT FROM {actors} WHERE id = %(id)s FOR KEY SHARE")
# Whether the statement that `recording_change` returned changed its row. On a server that does not keep the setting,
# the condition is always true.
_HAS_CHANGED = sql.SQL("current_setting('actingweb.changed', true) IS DISTINCT FROM '0'")
_ALWAYS = sql.SQL("TRUE")
_RECORDING: LiteralString = (
    "WITH changed AS ({change} RETURNING id) SELECT FROM "
    "(SELECT set_config('actingweb.changed', count(*)::text, true) AS rows FROM changed) AS noted WHERE rows = '1'"
)


def _claim_templates(condition: sql.SQL) -> tuple[Statement, Statement, Statement]:
    """Return the statements that claim the stored value of a property if `condition` holds.

    They delete the actor's claims on other values, insert the claim or lock it, and take it over if its claimant no
    longer has the value.
    """
    return (
        Statement(
            "DELETE FROM {property_lookup} AS claim USING {properties} AS mine "
            "WHERE mine.id = %(id)s AND mine.name = %(name)s AND mine.value = %(value)s "
            "AND claim.actor_id = mine.id AND claim.property_name = mine.name AND claim.lookup_key <> %(lookup_key)s "
            "AND {condition}",
            condition=condition,
        ),
        Statement(
            "INSERT INTO {property_lookup} AS claim (lookup_key, property_name, actor_id) "
            "SELECT %(lookup_key)s, name, id FROM {properties} "
            "WHERE id = %(id)s AND name = %(name)s AND value = %(value)s AND {condition} "
            "ON CONFLICT (lookup_key) DO UPDATE SET actor_id = claim.actor_id RETURNING actor_id",
            condition=condition,
        ),
        Statement(
            "UPDATE {property_lookup} AS claim SET actor_id = mine.id FROM {properties} AS mine "
            "WHERE mine.id = %(id)s AND mine.name = %(name)s AND mine.value = %(value)s "
            "AND claim.lookup_key = %(lookup_key)s AND claim.actor_id <> mine.id AND {condition} "
            "AND NOT EXISTS (SELECT FROM {properties} AS theirs WHERE theirs.id = claim.actor_id "
            "AND theirs.name = mine.name AND theirs.value = mine.value)",
            condition=condition,
        ),
    )


DELETE_OTHER_CLAIMS, INSERT_OR_LOCK_CLAIM, UPDATE_RELEASED_CLAIM = CLAIM_STATEMENTS = _claim_templates(_ALWAYS)
CLAIM_STATEMENTS_IF_CHANGED = _claim_templates(_HAS_CHANGED)
# A call that claims a value locks the same row until it commits, so the next statement sees the property it stored.
LOCK_CLAIMS_OF_NAMES = Statement(
    "SELECT FROM {property_lookup} WHERE actor_id = %(id)s AND property_name = ANY(%(names)s) FOR UPDATE"
)
LOCK_CLAIMS = Statement("SELECT FROM {property_lookup} WHERE actor_id = %(id)s FOR UPDATE")
DELETE_CLAIMS_OF_NAMES, DELETE_CLAIMS_IF_CHANGED = (
    Statement(
        "DELETE FROM {property_lookup} AS claim WHERE actor_id = %(id)s AND property_name = ANY(%(names)s) "
        "AND {condition} AND NOT EXISTS (SELECT FROM {properties} AS mine "
        "WHERE mine.id = claim.actor_id AND mine.name = claim.property_name)",
        condition=condition,
    )
    for condition in (_ALWAYS, _HAS_CHANGED)
)
DELETE_CLAIMS = Statement(
    "DELETE FROM {property_lookup} AS claim WHERE actor_id = %(id)s "
    "AND NOT EXISTS (SELECT FROM {properties} AS mine "
    "WHERE mine.id = claim.actor_id AND mine.name = claim.property_name)"
)

_CHANGED_MEANWHILE = (
    "the property changed between the statements of one transaction: a trigger changes it, or the server commits each "
    "statement alone, which PG_EXPLICIT_TRANSACTIONS=on prevents"
)


def recording_change(change: LiteralString, record: type[Record] | None = None) -> Statement:
    """Return a statement that runs `change` and records, for the rest of the transaction, whether it changed its row.

    The statements after it cannot tell by reading the row: if `change` changed no row, it locked none, and another
    transaction may have stored the same value in the meantime.
    """
    return Statement(_RECORDING.replace("{change}", change), record)


def claim_statements(record: PropertyRecord, if_changed: bool = False) -> list[BoundStatement]:
    """Return the statements that release the actor's other claims and claim the value of `record` if it is free.

    The statement before them stores `record`. With `if_changed`, `recording_change` made that statement, and these do
    nothing if it stored no row.
    """
    parameters = {**record.asdict(), "lookup_key": compute_lookup_key(record.name, record.value)}
    statements = CLAIM_STATEMENTS_IF_CHANGED if if_changed else CLAIM_STATEMENTS
    return [(statement, parameters) for statement in (statements if record.value else statements[:1])]


def claimant(actor_id: str, results: list[Result]) -> str | None:
    """Return the other actor that keeps its claim on the value, None if there is none.

    `results` are those of the statements of `claim_statements`. Raise `Fault` if the property changed before they ran.
    """
    _, *claim = results
    if not claim:
        return None
    found, taken = claim
    if not found.rows:
        raise Fault(DbOutcomeUnknownError, _CHANGED_MEANWHILE)
    owner: str = found.rows[0][0]
    return None if owner == actor_id or taken.rowcount else owner


def release_statements(actor_id: str, names: list[str]) -> list[BoundStatement]:
    """Return the statements that delete the actor's claims under these names, except those of existing properties."""
    parameters = {"id": actor_id, "names": names}
    return [(LOCK_CLAIMS_OF_NAMES, parameters), (DELETE_CLAIMS_OF_NAMES, parameters)]


def release_statement_if_changed(actor_id: str, name: str) -> BoundStatement:
    """Return the statement that deletes the actor's claims under a name if the previous one deleted the property.

    `recording_change` made that statement. Its lock keeps other calls from storing the property until the commit.
    """
    return DELETE_CLAIMS_IF_CHANGED, {"id": actor_id, "names": [name]}


def release_all_statements(actor_id: str) -> list[BoundStatement]:
    """Return the statements that delete all claims of the actor, except those of existing properties."""
    parameters = {"id": actor_id}
    return [(LOCK_CLAIMS, parameters), (DELETE_CLAIMS, parameters)]


def read_claim(name: str, value: str) -> Claim | None:
    """Return what the look-up row of name and value says."""
    parameters = {"name": name, "value": value, "lookup_key": compute_lookup_key(name, value)}
    rows = read(READ_CLAIM, parameters)
    return Claim(*rows[0]) if rows else None
