"""Look-up rows on the way back: which claims DynamoDB's tables of claims should store.

DynamoDB's table is the arbiter between actors of different sides. An actor of DynamoDB that holds the value keeps its
claim. Any other claim gives way to the look-up row of PostgreSQL.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.limits import HASH_BYTES, RANGE_BYTES, too_long
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.live.conflicts import Conflict
from actingweb.migration.live.items import Json
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.ownership import Ownership, Side
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2, PROPERTIES

__all__ = ["Claim", "Verdict", "claimants", "judge", "left_behind", "still_held"]


class Claim(NamedTuple):
    """The claim on one value, as each side stores it.

    Attributes:
        key: of the look-up row.
        row: of PostgreSQL, as an item; None if there is none.
        item: of DynamoDB; None if there is none.
    """

    key: RowKey
    row: Item | None
    item: Item | None


@dataclass(frozen=True)
class Verdict:
    """What to do about a claim.

    Attributes:
        applies: whether DynamoDB should store the row of PostgreSQL.
        given_up_by: the property of the claimant who loses the claim, which must still be as it was read.
        repaired: whether the row of PostgreSQL has to be made again from DynamoDB.
        conflict: that PostgreSQL's row names another actor than the one who keeps the claim.
    """

    applies: bool
    given_up_by: RowKey | None = None
    repaired: bool = False
    conflict: Conflict | None = None


def _actor(item: Item | None) -> str | None:
    """Return the actor that a look-up row names."""
    return None if item is None else item.get("actor_id", {}).get("S")


def _claimant(claim: Claim, ownership: Ownership) -> RowKey | None:
    """Return the property of the actor of DynamoDB that claims the value there, and that PostgreSQL does not name."""
    actor_id, name = _actor(claim.item), (claim.item or {}).get("property_name", {}).get("S")
    if not actor_id or not name or actor_id == _actor(claim.row) or ownership.owner(actor_id) is Side.POSTGRESQL:
        return None
    return RowKey(PROPERTIES.name, actor_id, name)


def claimants(claims: Iterable[Claim], ownership: Ownership) -> list[RowKey]:
    """Return the properties to read before the claims can be judged."""
    return sorted({key for claim in claims if (key := _claimant(claim, ownership)) is not None})


def judge(claim: Claim, ownership: Ownership, properties: Mapping[RowKey, Item]) -> Verdict:
    """Return what to do about a claim. `properties` has the items of the claimants that have one."""
    named = _actor(claim.row)
    if named is not None and ownership.owner(named) is Side.DYNAMODB:
        return Verdict(applies=False, repaired=named != _actor(claim.item))
    claimant = _claimant(claim, ownership)
    if claimant is None:
        return Verdict(applies=True)
    if _holds(properties.get(claimant), claimant.range, claim.key.hash):
        rows = {Side.POSTGRESQL: claim.row, Side.DYNAMODB: claim.item}
        lost = None if claim.row is None else Conflict(claim.key, Side.DYNAMODB, rows)
        return Verdict(applies=False, repaired=True, conflict=lost)
    return Verdict(applies=claim.row is not None, given_up_by=claimant)


def _holds(item: Item | None, name: str, lookup_key: str) -> bool:
    """Tell whether a property has the claimed value, as far as that is certain."""
    if item is None:
        return False
    value = item.get("value", {"S": ""})
    return "S" not in value or compute_lookup_key(name, value["S"]) == lookup_key


def still_held(key: RowKey, item: Item | None) -> Json:
    """Return the condition check, without the table, that a property still has the value that was read, or none."""
    expression = Expression()
    if item is None:
        condition = expression.absent(PROPERTIES.layout.hash)
    elif "value" in item:
        condition = expression.compare("value", "=", item["value"])
    else:
        condition = f"{expression.exists(PROPERTIES.layout.hash)} AND {expression.absent('value')}"
    return {"Key": key.item_key, "ConditionExpression": condition} | expression.arguments()


def left_behind(properties: Iterable[Item], names: Iterable[str]) -> dict[RowKey, RowKey]:
    """Return the rows that the first table of claims may have for values that actors give up.

    Args:
        properties: as they are stored before the change.
        names: of the indexed properties.

    Return, by the key of such a row, that of the look-up row for the same value.
    """
    rows = {}
    for item in properties:
        name, value = item["name"]["S"], item.get("value", {}).get("S")
        if value and name in names and not (too_long("", name, HASH_BYTES) or too_long("", value, RANGE_BYTES)):
            rows[RowKey(CLAIMS_V1.name, name, value)] = RowKey(CLAIMS_V2.name, compute_lookup_key(name, value))
    return rows
