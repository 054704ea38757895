"""Changes property rows together with the look-up rows that claim their values.

Each transaction is built on an assumption of what is stored. If a condition fails, DynamoDB returns what is stored
instead, and the transaction is built and sent again.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from actingweb.db.dynamodb import client, deadline
from actingweb.db.dynamodb.batching import batched
from actingweb.db.dynamodb.client import Action
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, encode, key, size_of, text_of
from actingweb.db.dynamodb.layouts import PROPERTIES, PROPERTY_LOOKUPS
from actingweb.db.dynamodb.limits import checked_item
from actingweb.db.dynamodb.stored_types import Attribute
from actingweb.db.dynamodb.tables import table_of
from actingweb.db.policy.indexing import Stored
from actingweb.db.records import PropertyLookupRecord, PropertyRecord
from actingweb.db.utils import compute_lookup_key

__all__ = [
    "ROWS_PER_TRANSACTION",
    "Change",
    "change_row",
    "change_rows",
    "delete_rows",
    "holds_value",
    "most_actions",
    "stored_as",
    "value_in",
]

_ATTEMPTS = 20
_ATTEMPTS_WITHOUT_PAUSE = 3
ROWS_PER_TRANSACTION = 50
_BYTES_PER_TRANSACTION = 1_000_000


class Change(NamedTuple):
    """A new value of an indexed property, or None to delete its row."""

    actor_id: str
    name: str
    value: str | None


class _Step(NamedTuple):
    """An action of a transaction. `about` names what `_learn` updates if the condition of the action fails."""

    about: str
    change: Change
    action: Action


class _Known:
    """What is assumed to be stored, as far as it concerns one change.

    Attributes:
        old: the stored value of the row, None if there is no row.
        other_claimant: the other actor that claims the new value, None if there is none.
        other_holds: whether that actor's property has the value, so that its claim is valid.
        unclaimed: the old value if another actor claims it, so that there is nothing to release.
    """

    def __init__(self, old: Attribute | None) -> None:
        self.old = old
        self.other_claimant: str | None = None
        self.other_holds = False
        self.unclaimed: str | None = None

    @property
    def keeper(self) -> str | None:
        """The other actor whose claim on the new value is valid."""
        return self.other_claimant if self.other_holds else None


def change_row(change: Change, guess: Attribute | None, allowed: Callable[[Attribute | None], bool]) -> Stored:
    """Change a row and its claims if `allowed` accepts the stored value.

    `guess` is the value that is probably stored, None for no row. If it is right, one transaction is enough. Raise
    `Fault`; it is a `DbConflictError` if others keep changing the rows.
    """
    row = _Known(guess)
    done = _transact([change], {change.name: row}, [], lambda: allowed(row.old))
    return Stored(True, row.keeper) if done else Stored(False)


def change_rows(changes: list[Change], guesses: dict[str, Attribute], others: list[Action]) -> dict[str, str]:
    """Change rows of distinct names and their claims, and execute the actions `others`, in one transaction.

    `guesses` has the values that are probably stored, by name. Return, by name, the other actors that keep valid claims
    on the new values. Raise `Fault`; it is a `DbConflictError` if others keep changing the rows.
    """
    known = {change.name: _Known(guesses.get(change.name)) for change in changes}
    _transact(changes, known, others, lambda: True)
    return {name: row.keeper for name, row in known.items() if row.keeper}


def _transact(
    changes: list[Change], known: dict[str, _Known], others: list[Action], allowed: Callable[[], bool]
) -> bool:
    """Send the transaction until it succeeds, or until a failed condition shows a stored value that is not `allowed`.

    Return whether it succeeded. Raise `Fault`; it is a `DbConflictError` if others keep changing the rows.
    """
    for attempt in range(_ATTEMPTS):
        steps = [step for change in changes for step in _steps(change, known[change.name])]
        conflicts = client.transact([*(step.action for step in steps), *others])
        if conflicts is None:
            return True
        for index, item in conflicts.items():
            _learn(steps[index], known[steps[index].change.name], item)
        if not allowed():
            return False
        if attempt >= _ATTEMPTS_WITHOUT_PAUSE:
            client.pause(attempt - _ATTEMPTS_WITHOUT_PAUSE)
    raise client.collided()


def _steps(change: Change, known: _Known) -> Iterator[_Step]:
    yield _Step("row", change, _row_action(change, known.old))
    if change.value:
        yield from _claim_steps(change, change.value, known)
    # Only a text claims a look-up row.
    old = (known.old or {}).get("S")
    if old and old != change.value:
        yield _release_step(change, old, known.unclaimed == old)


def _release_step(change: Change, old: str, unclaimed: bool) -> _Step:
    """Release the claim on the old value, or check that the actor still has none."""
    if unclaimed:
        return _Step("unclaimed", change, _check_unclaimed(change.actor_id, change.name, old))
    return _Step("release", change, _release(change.actor_id, change.name, old))


def _row_action(change: Change, old: Attribute | None) -> Action:
    """Write or delete the row on condition that it holds the old value."""
    expression = Expression()
    same = expression.absent("id") if old is None else holds_value(expression, old)
    condition = {"ConditionExpression": same} | expression.arguments()
    if change.value is None:
        row_key = key(PROPERTIES, (change.actor_id, change.name))
        return Action("Delete", table_of(PROPERTIES), {"Key": row_key} | condition)
    item = checked_item(PROPERTIES, PropertyRecord(id=change.actor_id, name=change.name, value=change.value))
    return Action("Put", table_of(PROPERTIES), {"Item": item} | condition)


def stored_as(value: str) -> Attribute:
    """Return the stored form of a value."""
    return {"S": value}


def value_in(item: Item) -> Attribute:
    """Return the stored form of the value in a property's item; an empty value may be left out of the item."""
    return item.get("value", stored_as(""))


def holds_value(expression: Expression, value: Attribute) -> str:
    """Return the condition that the row exists and has exactly this value; an empty one may be left out of the item."""
    same = expression.compare("value", "=", value)
    if value != stored_as(""):
        return same
    return f"{expression.exists('id')} AND ({expression.absent('value')} OR {same})"


def _claim_steps(change: Change, value: str, known: _Known) -> Iterator[_Step]:
    """Claim the new value unless another actor has a valid claim; check that its claim is still valid, or still not."""
    if known.other_claimant is None:
        yield _Step("claim", change, _claim(change.actor_id, change.name, value, change.actor_id))
        return
    yield _Step(
        "other claimant",
        change,
        _check_other_claimant(known.other_claimant, change.name, value, known.other_holds),
    )
    if not known.other_holds:
        yield _Step("claim", change, _claim(change.actor_id, change.name, value, known.other_claimant))


def _claim(actor_id: str, name: str, value: str, owner: str) -> Action:
    """Claim the value on condition that nobody or `owner` claims it."""
    record = PropertyLookupRecord(lookup_key=compute_lookup_key(name, value), property_name=name, actor_id=actor_id)
    return Action("Put", table_of(PROPERTY_LOOKUPS), {"Item": encode(PROPERTY_LOOKUPS, record)} | _free_or_of(owner))


def _release(actor_id: str, name: str, value: str) -> Action:
    """Delete the claim on the value on condition that it is the actor's or absent."""
    lookup_key = key(PROPERTY_LOOKUPS, (compute_lookup_key(name, value),))
    return Action("Delete", table_of(PROPERTY_LOOKUPS), {"Key": lookup_key} | _free_or_of(actor_id))


def _check_unclaimed(actor_id: str, name: str, value: str) -> Action:
    expression = Expression()
    others = expression.compare("actor_id", "<>", {"S": actor_id})
    condition = {"ConditionExpression": f"{expression.absent('lookup_key')} OR {others}"}
    lookup_key = key(PROPERTY_LOOKUPS, (compute_lookup_key(name, value),))
    return Action(
        "ConditionCheck", table_of(PROPERTY_LOOKUPS), {"Key": lookup_key} | condition | expression.arguments()
    )


def _free_or_of(actor_id: str) -> dict[str, Any]:
    expression = Expression()
    condition = f"{expression.absent('lookup_key')} OR {expression.equals('actor_id', actor_id)}"
    return {"ConditionExpression": condition} | expression.arguments()


def _check_other_claimant(other_claimant: str, name: str, value: str, holds: bool) -> Action:
    expression = Expression()
    if holds:
        condition = expression.equals("value", value)
    else:
        condition = f"{expression.absent('id')} OR {expression.compare('value', '<>', {'S': value})}"
    arguments = {"Key": key(PROPERTIES, (other_claimant, name)), "ConditionExpression": condition}
    return Action("ConditionCheck", table_of(PROPERTIES), arguments | expression.arguments())


def _learn(step: _Step, known: _Known, item: Item | None) -> None:
    """Correct the assumption after the condition of a step failed. `item` is the item that DynamoDB found."""
    if step.about == "row":
        known.old = None if item is None else value_in(item)
    elif step.about == "release":
        known.unclaimed = (known.old or {}).get("S")
    elif step.about == "unclaimed":
        known.unclaimed = None
    elif step.about == "claim":
        claimant = None if item is None else text_of(PropertyLookupRecord, item, "actor_id")
        known.other_claimant = None if claimant == step.change.actor_id else claimant
        known.other_holds = known.other_claimant is not None and _holds(known.other_claimant, step.change)
    else:
        known.other_holds = _value(item) == step.change.value


def _holds(actor_id: str, change: Change) -> bool:
    """Tell whether this actor's property has the new value, by a strongly consistent read."""
    request = {"Key": key(PROPERTIES, (actor_id, change.name)), "ConsistentRead": True}
    return _value(client.read(table_of(PROPERTIES), "GetItem", request).get("Item")) == change.value


def delete_rows(actor_id: str, values: dict[str, Attribute]) -> None:
    """Delete an actor's rows and the claims on their values; `values` has the probably stored values by name.

    Each transaction may take AWS_DB_TIMEOUT. Raise `Fault`; it is a `DbConflictError` if others keep changing the rows.
    """
    pairs = values.items()
    for chunk in batched(pairs, ROWS_PER_TRANSACTION, lambda pair: size_of({"value": pair[1]}), _BYTES_PER_TRANSACTION):
        deadline.restart()
        change_rows([Change(actor_id, name, None) for name, _ in chunk], dict(chunk), [])


def most_actions(value: str | None) -> int:
    """Return the most actions that a change of a row to this value can take."""
    return 4 if value else 2


def _value(item: Item | None) -> str | None:
    """Return the value of a property's item, None if there is no item. Raise `Fault` if it is not text."""
    return None if item is None else text_of(PropertyRecord, item, "value")
