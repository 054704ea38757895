"""The look-up rows that go with writes of indexed properties, as steps of the same transaction.

Each step runs on a fresh snapshot after the locks of those before it: the property row orders the writers of one
property, the look-up row those of one value.
"""

from actingweb.db.exceptions import DbOutcomeUnknownError
from actingweb.db.faults import Fault
from actingweb.db.policy.property import Claim
from actingweb.db.postgresql.door import Outcome, Step, read
from actingweb.db.postgresql.statement import Statement
from actingweb.db.records import PropertyRecord
from actingweb.db.utils import compute_lookup_key

__all__ = ["LOCK_ACTOR", "claimant", "read_claim", "releasing", "releasing_all", "taking"]

READ_CLAIM = Statement(
    "SELECT claim.actor_id, held.id IS NOT NULL FROM {property_lookup} AS claim LEFT JOIN {properties} AS held "
    "ON held.id = claim.actor_id AND held.name = %(name)s AND held.value = %(value)s "
    "WHERE claim.lookup_key = %(lookup_key)s"
)
# An actor is deleted from the actor down; whoever went up, from a property to the actor, would meet it halfway.
LOCK_ACTOR = Statement("SELECT FROM {actors} WHERE id = %(id)s FOR KEY SHARE")
DELETE_OTHER_CLAIMS = Statement(
    "DELETE FROM {property_lookup} AS claim USING {properties} AS mine "
    "WHERE mine.id = %(id)s AND mine.name = %(name)s AND mine.value = %(value)s "
    "AND claim.actor_id = mine.id AND claim.property_name = mine.name AND claim.lookup_key <> %(lookup_key)s"
)
INSERT_OR_LOCK_CLAIM = Statement(
    "INSERT INTO {property_lookup} AS claim (lookup_key, property_name, actor_id) "
    "SELECT %(lookup_key)s, name, id FROM {properties} WHERE id = %(id)s AND name = %(name)s AND value = %(value)s "
    "ON CONFLICT (lookup_key) DO UPDATE SET actor_id = claim.actor_id RETURNING actor_id"
)
UPDATE_RELEASED_CLAIM = Statement(
    "UPDATE {property_lookup} AS claim SET actor_id = mine.id FROM {properties} AS mine "
    "WHERE mine.id = %(id)s AND mine.name = %(name)s AND mine.value = %(value)s "
    "AND claim.lookup_key = %(lookup_key)s AND claim.actor_id <> mine.id "
    "AND NOT EXISTS (SELECT FROM {properties} AS theirs WHERE theirs.id = claim.actor_id "
    "AND theirs.name = mine.name AND theirs.value = mine.value)"
)
DELETE_CLAIMS_OF_NAMES = Statement(
    "DELETE FROM {property_lookup} AS claim WHERE actor_id = %(id)s AND property_name = ANY(%(names)s) "
    "AND NOT EXISTS (SELECT FROM {properties} AS mine "
    "WHERE mine.id = claim.actor_id AND mine.name = claim.property_name)"
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


def taking(record: PropertyRecord) -> list[Step]:
    """Return the steps that, if `record` is stored, release its actor's other claims and claim its value if it can."""
    parameters = {**record.asdict(), "lookup_key": compute_lookup_key(record.name, record.value)}
    statements = [DELETE_OTHER_CLAIMS]
    if record.value:
        statements += [INSERT_OR_LOCK_CLAIM, UPDATE_RELEASED_CLAIM]
    return [(statement, parameters) for statement in statements]


def claimant(record: PropertyRecord, outcomes: list[Outcome]) -> str | None:
    """Return the other actor that keeps its claim on the value, told by the outcomes of `taking`.

    Raise `Fault` if the property did not stay as the step before had stored it.
    """
    if not record.value:
        return None
    _, found, taken = outcomes
    if not found.rows:
        raise Fault(DbOutcomeUnknownError, _CHANGED_MEANWHILE)
    owner: str = found.rows[0][0]
    return None if owner == record.id or taken.changed else owner


def releasing(actor_id: str, names: list[str]) -> Step:
    """Return the step that removes the actor's claims under these names, of which it has no property any more."""
    return DELETE_CLAIMS_OF_NAMES, {"id": actor_id, "names": names}


def releasing_all(actor_id: str) -> Step:
    """Return the step that removes the actor's claims under all names of which it has no property any more."""
    return DELETE_CLAIMS, {"id": actor_id}


def read_claim(name: str, value: str) -> Claim | None:
    """Return what the look-up row of name and value says."""
    parameters = {"name": name, "value": value, "lookup_key": compute_lookup_key(name, value)}
    rows = read(READ_CLAIM, parameters)
    return Claim(*rows[0]) if rows else None
