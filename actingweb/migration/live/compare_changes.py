"""The comparison of the rows that changed since everything was equal, see `changes`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.live import changes
from actingweb.migration.live.changes import Compared, Recorded
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.keys import RowKey, is_storable, row_keys
from actingweb.migration.live.lookup_repair import Holder
from actingweb.migration.live.settling import Settling
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2, PROPERTIES
from actingweb.migration.target.connection import Connection, target_errors
from actingweb.migration.target.staging import LOOKUP_KEY
from actingweb.migration.target.upsert import given_keys

__all__ = ["ChangesComparison"]

_LOOK_UPS_OF = """
SELECT id, name, {lookup_key} FROM {schema}.properties
WHERE (id, name) IN (SELECT * FROM {given}) AND value <> '' AND name IN (
    SELECT claimed_names.name FROM {state}.claimed_names)
"""
_FIRST_HOLDERS = """
SELECT given.name, given.value, (
    SELECT min(id COLLATE "C") FROM {schema}.properties AS held
    WHERE held.name = given.name AND held.value = given.value
      AND hashtextextended(held.value, 0) = hashtextextended(given.value, 0))
FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value)
"""
_STORE = "UPDATE {state}.tables SET compared_differences = %(count)s WHERE name = %(table)s"

_Keys = dict[RowKey, Holder | None]


class _Found(NamedTuple):
    """What differs, and what could not be judged."""

    different: set[RowKey]
    unsettled: set[RowKey]


@dataclass
class ChangesComparison:
    """Compares the rows that changed. Raises `SourceError`, `TargetError` and `StateError`.

    Attributes:
        grace: for how many seconds a row must stay different to count as a difference.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    indexed_properties: tuple[str, ...]
    grace: float = 5.0

    def run(self, timeout: float) -> Compared | None:
        """Compare all rows that are recorded by now, looking at each for so many seconds.

        Those that are equal are forgotten. Return None if not all that may differ is recorded.
        """
        with closing(self.connect()) as connection, target_errors():
            if not changes.is_recorded(self.state, connection):
                return None
            different: Counter[str] = Counter()
            rows = unsettled = after = 0
            last = changes.last(self.state, connection)
            while picked := changes.pick(self.state, connection, after, last):
                after = picked[-1].number
                found = self._compare(connection, picked, timeout)
                rows += len({change.key for change in picked})
                unsettled += len(found.unsettled)
                different.update(key.table for key in found.different)
            for table, count in different.items():
                connection.execute(self.state.sql(_STORE), {"table": table, "count": count})
            # While they were compared, changes may have been lost.
            if not changes.is_recorded(self.state, connection):
                return None
        return Compared(rows, different.total(), unsettled)

    def _compare(self, connection: Connection, picked: Sequence[Recorded], timeout: float) -> "_Found":
        """Compare recorded rows, and forget those that are equal."""
        keys = self._keys(connection, picked)
        settling = Settling(self.state, self.requests, connection, self.indexed_properties, self.grace, timeout)
        settling.run(_merged(keys.values()))
        different = {key for key, sight in settling.different.items() if not sight.is_accepted}
        unequal = different | settling.unsettled
        equal = [change for change in picked if not keys[change.key].keys() & unequal]
        changes.forget(self.state, connection, equal)
        return _Found(different, settling.unsettled)

    def _keys(self, connection: Connection, picked: Iterable[Recorded]) -> dict[RowKey, _Keys]:
        """Return what is to be compared for each recorded key: the row, and look-ups that depend on it."""
        found: dict[RowKey, _Keys] = {}
        for key in {change.key for change in picked}:
            if key.mapping is CLAIMS_V2:
                found[key] = {key: Holder(key.hash, None, None)}
            else:
                found[key] = {key: None} if key.mapping is not CLAIMS_V1 else {}
        for key, holder in self._look_ups(connection, list(found)):
            found[key][RowKey(CLAIMS_V2.name, holder.key)] = holder
        return found

    def _look_ups(self, connection: Connection, keys: Sequence[RowKey]) -> Iterator[tuple[RowKey, Holder]]:
        """Yield the look-ups of the values that properties have now, and of those that they gave up."""
        yield from self._look_ups_of(connection, [key for key in keys if key.mapping is PROPERTIES])
        values = [key for key in keys if key.mapping is CLAIMS_V1 and is_storable(key.hash + key.range)]
        texts = {"names": [key.hash for key in values], "values": [key.range for key in values]}
        for name, value, actor_id in connection.execute(self.state.sql(_FIRST_HOLDERS), texts):
            yield RowKey(CLAIMS_V1.name, name, value), Holder(compute_lookup_key(name, value), name, actor_id)

    def _look_ups_of(self, connection: Connection, keys: Sequence[RowKey]) -> Iterator[tuple[RowKey, Holder]]:
        given, arrays = given_keys(PROPERTIES, [row for key in keys for row in row_keys(key)])
        statement = self.state.sql(_LOOK_UPS_OF, lookup_key=LOOKUP_KEY, given=given)
        for actor_id, name, key in connection.execute(statement, arrays):
            yield RowKey(PROPERTIES.name, actor_id, name), Holder(key, name, actor_id)


def _merged(keys: Iterable[_Keys]) -> _Keys:
    """Return all keys, each look-up with a holder of the value if one is known."""
    merged: _Keys = {}
    for some in keys:
        for key, holder in some.items():
            known = merged.get(key)
            merged[key] = known if known is not None and known.actor is not None else holder
    return merged
