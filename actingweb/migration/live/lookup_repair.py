"""The repair of look-up rows: for each value that was touched, the row names the actor who has it in DynamoDB.

That is the actor of the claim in `property_lookup_v2` if it holds the value, else that of the older table, else, for
indexed names, the smallest id that holds it. A claim whose actor's property is not loaded yet keeps the value from
everybody else: otherwise a log-in could reach another person's actor.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from actingweb.db.dynamodb.items import Item
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.live import marks
from actingweb.migration.live.dynamodb import Requests, read_items
from actingweb.migration.live.keys import RowKey, is_storable
from actingweb.migration.live.ownership import Ownership, Side
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2, TableMapping
from actingweb.migration.target.connection import Connection
from actingweb.migration.target.staging import LOOKUP_KEY

__all__ = ["Holder", "LookUpRepair", "NewNameError", "Value"]

# Two appliers that touch one value decide one after the other, and the second sees what the first has written.
_LOCK = """
SELECT pg_advisory_xact_lock(number) FROM (
    SELECT DISTINCT hashtextextended(lookup_key, 0) AS number FROM unnest(%(keys)s::text[]) AS lookup_key
    ORDER BY number
) AS locks
"""
_VALUES = """
SELECT given.lookup_key, name, value FROM unnest(%(keys)s::text[], %(names)s::text[], %(actors)s::text[])
    AS given (lookup_key, property_name, actor_id)
JOIN {schema}.properties ON id = given.actor_id AND name = given.property_name
WHERE {lookup_key} = given.lookup_key
UNION
SELECT stored.lookup_key, name, value FROM {schema}.property_lookup AS stored
JOIN {schema}.properties ON id = stored.actor_id AND name = stored.property_name
WHERE stored.lookup_key = ANY(%(keys)s) AND {lookup_key} = stored.lookup_key
"""
_STORED = "SELECT lookup_key, actor_id FROM {schema}.property_lookup WHERE lookup_key = ANY(%(keys)s)"
_DELETE = "DELETE FROM {schema}.property_lookup WHERE lookup_key = ANY(%(keys)s)"
_HOLDS: LiteralString = (
    "SELECT FROM {schema}.properties WHERE id = given.{claimant} AND name = given.property_name AND value = given.value"
)
_WAITS: LiteralString = (
    "SELECT FROM {state}.dirty WHERE table_name = 'properties' "
    "AND (hash, range) = (replace(given.{claimant}, chr(92), chr(92) || chr(92)), "
    "replace(given.property_name, chr(92), chr(92) || chr(92)))"
)
_HOLDER: LiteralString = """(
    SELECT {chosen} FROM {schema}.properties AS held
    WHERE held.name = given.property_name AND held.value = given.value
      AND hashtextextended(held.value, 0) = hashtextextended(given.value, 0)
)"""
_DECIDE: LiteralString = """
SELECT lookup_key, property_name, CASE
    WHEN EXISTS ({v2_holds}) THEN v2
    WHEN unreadable THEN {only_holder}
    WHEN EXISTS ({v2_waits}) THEN NULL
    WHEN EXISTS ({v1_holds}) THEN v1
    WHEN EXISTS ({v1_waits}) THEN NULL
    WHEN EXISTS ({kept_holds}) THEN kept
    WHEN property_name = ANY(%(indexed)s) THEN {first_holder}
END AS actor_id, {first_holder}
FROM unnest(%(keys)s::text[], %(names)s::text[], %(values)s::text[], %(v2)s::text[], %(v1)s::text[], %(kept)s::text[],
            %(unreadable)s::boolean[])
    AS given (lookup_key, property_name, value, v2, v1, kept, unreadable)
"""
_WRITE = """
INSERT INTO {schema}.property_lookup AS stored (lookup_key, property_name, actor_id)
SELECT * FROM unnest(%(keys)s::text[], %(names)s::text[], %(actors)s::text[])
ON CONFLICT (lookup_key) DO UPDATE SET property_name = excluded.property_name, actor_id = excluded.actor_id
WHERE (stored.property_name, stored.actor_id) IS DISTINCT FROM (excluded.property_name, excluded.actor_id)
"""
# An applier that has the key locked repairs the same value, after this one.
_WAIT = """
INSERT INTO {state}.dirty (table_name, hash, range, reason, due_at)
SELECT 'properties', hash, range, %(reason)s, clock_timestamp() + interval '5 seconds'
FROM unnest(%(hashes)s::text[], %(ranges)s::text[]) AS waiting (hash, range) ORDER BY hash, range ON CONFLICT DO NOTHING
"""
_NAMES = "SELECT name FROM {state}.claimed_names"
_ADD_NAMES = "INSERT INTO {state}.claimed_names SELECT unnest(%(names)s::text[]) ON CONFLICT DO NOTHING"

_WAITING = "the property of the actor that claims this value is not loaded: load that first"


class Value(NamedTuple):
    """A value of a property."""

    name: str
    text: str


class Holder(NamedTuple):
    """An actor that may have the value behind a look-up key, and the name of its property; None if they are unknown."""

    key: str
    name: str | None
    actor: str | None


class NewNameError(Exception):
    """A claim has a name that properties were not looked up by so far: repeat this with appliers locked out."""


class _Claims(NamedTuple):
    """What DynamoDB's tables of claims say about look-up keys: their actors, and the keys of rows without one."""

    v2: dict[str, str]
    v1: dict[str, str]
    unreadable: set[str]


class _Decision(NamedTuple):
    """Whom a look-up row should name, if there should be one, and the first of those who hold the value."""

    key: str
    name: str
    actor: str | None
    holder: str | None


@dataclass
class LookUpRepair:
    """Repairs look-up rows at the end of an applier's transaction. Raises `psycopg.Error` and `SourceError`.

    Attributes:
        tables: the DynamoDB tables, by the name of the `TableMapping`; those that are absent are missing.
        indexed: the properties whose values have look-up rows even if nobody claims them.
        exclusive: whether the transaction has locked out all other appliers.
    """

    state: State
    connection: Connection
    requests: Requests
    tables: Mapping[str, str]
    ownership: Ownership
    indexed: Sequence[str]
    exclusive: bool
    _values: set[Value] = field(default_factory=set, init=False)
    _keys: set[str] = field(default_factory=set, init=False)

    def names(self) -> set[str]:
        """Return the names of the properties whose values have look-up rows."""
        return {*self.indexed, *(name for (name,) in self.connection.execute(self.state.sql(_NAMES)))}

    def touch(self, values: Iterable[tuple[str, str]]) -> None:
        """Register values that an actor has got or lost, with the names of their properties. The empty one has none."""
        self._values.update(Value(name, text) for name, text in values if text)

    def touch_claims(self, keys: Iterable[RowKey]) -> None:
        """Register changed rows of DynamoDB's tables of claims, except for values that PostgreSQL cannot hold."""
        for key in keys:
            if not is_storable(key.hash + key.range):
                continue
            if key.mapping is CLAIMS_V2:
                self._keys.add(key.hash)
            else:
                self.touch([(key.hash, key.range)])

    def repair(self) -> None:
        """Repair the rows of all that is registered, after the marks of this transaction are cleared.

        Raise `NewNameError` if other appliers have to be locked out first.
        """
        values = {compute_lookup_key(*value): value for value in self._values}
        keys = sorted(self._keys | values.keys())
        if not keys:
            return
        self.connection.execute(_LOCK, {"keys": keys})
        items = self._read(CLAIMS_V2, [RowKey(CLAIMS_V2.name, key) for key in keys])
        self._learn_names([text for item in items.values() if (text := _text(item, "property_name"))])
        self._learn_names([value.name for value in self._values])
        values |= self._found(sorted(self._keys - values.keys()), items)
        self.connection.execute(self.state.sql(_DELETE), {"keys": sorted(set(keys) - values.keys())})
        if values:
            self._decide(values, self._claims(values, items))

    def _learn_names(self, names: Collection[str]) -> None:
        new = set(names) - self.names()
        if new and not self.exclusive:
            raise NewNameError
        if new:
            self.connection.execute(self.state.sql(_ADD_NAMES), {"names": sorted(new)})

    def _read(self, mapping: TableMapping, keys: Sequence[RowKey]) -> dict[RowKey, Item]:
        table = self.tables.get(mapping.name)
        return read_items(self.requests, table, keys, whole=True).found if table else {}

    def _found(self, keys: list[str], items: Mapping[RowKey, Item]) -> dict[str, Value]:
        """Return the values behind look-up keys that their claimant, or the actor of the stored row, still has."""
        claims = [items.get(RowKey(CLAIMS_V2.name, key), {}) for key in keys]
        return self._held([Holder(key, *_holder(item)) for key, item in zip(keys, claims, strict=True)])

    def _held(self, holders: Sequence[Holder]) -> dict[str, Value]:
        """Return the values behind look-up keys that these actors, or those of the stored rows, still have."""
        given = {"keys": [holder.key for holder in holders], "names": [holder.name for holder in holders]}
        given["actors"] = [holder.actor for holder in holders]
        rows = self.connection.execute(self.state.sql(_VALUES, lookup_key=LOOKUP_KEY), given)
        return {key: Value(name, text) for key, name, text in rows}

    def _claims(self, values: Mapping[str, Value], items: Mapping[RowKey, Item]) -> _Claims:
        of_v1 = {RowKey(CLAIMS_V1.name, *value): key for key, value in values.items()}
        found = {key.hash: item for key, item in items.items()}
        older = {of_v1[key]: item for key, item in self._read(CLAIMS_V1, list(of_v1)).items()}
        named = {key: _text(item, "actor_id") for key, item in found.items()}
        v2 = {key: actor for key, actor in named.items() if actor is not None}
        v1 = {key: actor for key, item in older.items() if (actor := _text(item, "actor_id")) is not None}
        return _Claims(v2, v1, named.keys() - v2.keys())

    def expected(self, holders: Sequence[Holder]) -> dict[str, str | None]:
        """Return the actors that the rows of look-up keys should name, None for no row. Write nothing.

        A value that is neither claimed nor found by a stored row is only known by its holder.
        """
        keys = sorted({holder.key for holder in holders})
        items = self._read(CLAIMS_V2, [RowKey(CLAIMS_V2.name, key) for key in keys])
        values = self._held(holders) | self._found(keys, items)
        decided = self._decisions(values, self._claims(values, items)) if values else []
        return dict.fromkeys(keys) | {one.key: one.actor for one in decided}

    def _decide(self, values: Mapping[str, Value], claims: _Claims) -> None:
        decisions = self._decisions(values, claims)
        self._write([one for one in decisions if one.actor is not None])
        self._mark_unclaimed(decisions, claims)
        without = [one for one in decisions if one.actor is None]
        self.connection.execute(self.state.sql(_DELETE), {"keys": [one.key for one in without]})
        self._wait([one for one in without if one.holder is not None and one.name in self.indexed])

    def _decisions(self, values: Mapping[str, Value], claims: _Claims) -> list[_Decision]:
        """Return which actors the rows of look-up keys should name. Write nothing."""
        keys = sorted(values)
        given: dict[str, Any] = {"keys": keys, "indexed": list(self.indexed)}
        names, texts = zip(*(values[key] for key in keys), strict=True)
        given |= {"names": list(names), "values": list(texts)}
        for side, actors in (("v2", claims.v2), ("v1", claims.v1), ("kept", self._of_postgresql(keys))):
            given[side] = list(map(actors.get, keys))
        given["unreadable"] = [key in claims.unreadable for key in keys]
        return [_Decision(*row) for row in self.connection.execute(self._sql(), given)]

    def _of_postgresql(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the stored claims of actors that PostgreSQL owns, which DynamoDB may not have yet."""
        rows = self.connection.execute(self.state.sql(_STORED), {"keys": keys})
        return {key: actor for key, actor in rows if self.ownership.owner(actor) is Side.POSTGRESQL}

    def _write(self, decisions: Sequence[_Decision]) -> None:
        if decisions:
            given = {"keys": [one.key for one in decisions], "names": [one.name for one in decisions]}
            given["actors"] = [str(one.actor) for one in decisions]
            self.connection.execute(self.state.sql(_WRITE), given)

    def _mark_unclaimed(self, decisions: Sequence[_Decision], claims: _Claims) -> None:
        """Let DynamoDB get the claims of actors that PostgreSQL owns, to whom nobody's value was given."""
        owned = [one for one in decisions if one.actor and self.ownership.owner(one.actor) is Side.POSTGRESQL]
        lacking = [RowKey(CLAIMS_V2.name, one.key) for one in owned if claims.v2.get(one.key) != one.actor]
        if lacking:
            marks.append(self.state, self.connection, lacking)

    def _wait(self, decisions: Sequence[_Decision]) -> None:
        """Let the values of holders that get no row be looked at again, after those of the claimants."""
        stored = [RowKey("properties", str(one.holder), one.name).stored for one in decisions]
        given = {"hashes": [key[1] for key in stored], "ranges": [key[2] for key in stored], "reason": _WAITING}
        if stored:
            self.connection.execute(self.state.sql(_WAIT), given)

    def _sql(self) -> sql.Composed:
        parts: dict[str, sql.Composable] = {
            f"{name}_{what}": self.state.sql(statement, claimant=sql.Identifier(name))
            for what, statement in (("holds", _HOLDS), ("waits", _WAITS))
            for name in ("v2", "v1", "kept")
        }
        first, only = sql.SQL('min(held.id COLLATE "C")'), sql.SQL("CASE WHEN count(*) = 1 THEN min(held.id) END")
        parts["first_holder"] = self.state.sql(_HOLDER, chosen=first)
        parts["only_holder"] = self.state.sql(_HOLDER, chosen=only)
        return self.state.sql(_DECIDE, **parts)


def _holder(item: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, str | None]:
    return _text(item, "property_name"), _text(item, "actor_id")


def _text(item: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    """Return a text of a claim's item that PostgreSQL can hold."""
    text = item.get(name, {}).get("S")
    return text if text and is_storable(text) else None
