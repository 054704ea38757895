"""Properties of an actor."""

import sys
from itertools import chain, islice
from typing import Any

from actingweb.db.policy.indexing import LIST_PREFIX, Claim, Stored
from actingweb.db.policy.property import PropertyListPolicy, PropertyPolicy
from actingweb.db.postgresql import claims
from actingweb.db.postgresql.executor import BoundStatement, execute_pipeline, read, write
from actingweb.db.postgresql.rows import Rows, upsert_statement
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbPropertyListProtocol, DbPropertyProtocol
from actingweb.db.records import PropertyRecord

__all__ = ["DbProperty", "DbPropertyList"]

UPSERT_PROPERTY = upsert_statement(PropertyRecord)
_INSERT = "INSERT INTO {properties} ({columns}) VALUES (%(id)s, %(name)s, %(value)s) ON CONFLICT ({key}) DO NOTHING"
INSERT_PROPERTY = Statement(_INSERT, PropertyRecord)
INSERT_AND_RECORD = claims.recording_change(_INSERT, PropertyRecord)
# Calls for one actor wait for this lock, so that they cannot deadlock with each other.
LOCK_ACTOR_ALONE = Statement("SELECT FROM {actors} WHERE id = %(id)s FOR NO KEY UPDATE")
UPSERT_PROPERTIES = Statement(
    "INSERT INTO {properties} ({columns}) "
    "SELECT %(id)s, name, value FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value) "
    "ON CONFLICT ({key}) DO UPDATE SET value = excluded.value",
    PropertyRecord,
)
_UPDATE = "UPDATE {properties} SET value = %(value)s WHERE id = %(id)s AND name = %(name)s AND value = %(expected)s"
UPDATE_IF_EQUAL = Statement(_UPDATE)
UPDATE_AND_RECORD = claims.recording_change(_UPDATE)
_DELETE = "DELETE FROM {properties} WHERE id = %(id)s AND name = %(name)s AND value = %(value)s"
DELETE_IF_EQUAL = Statement(_DELETE)
DELETE_AND_RECORD = claims.recording_change(_DELETE)
DELETE_NAMES = Statement("DELETE FROM {properties} WHERE id = %(id)s AND name = ANY(%(names)s)")
DELETE_ALL = Statement("DELETE FROM {properties} WHERE id = %(id)s")
READ_HOLDER = Statement(
    "SELECT min(id) FROM {properties} WHERE name = %(name)s AND value = %(value)s "
    "AND hashtextextended(value, 0) = hashtextextended(%(value)s, 0)"
)
READ_RANGE = Statement(
    "SELECT name, value FROM {properties} WHERE id = %(id)s AND name >= %(lower)s AND name <= %(upper)s ORDER BY name"
)
READ_RANGE_NAMES = Statement(
    "SELECT name, '' FROM {properties} WHERE id = %(id)s AND name >= %(lower)s AND name <= %(upper)s ORDER BY name"
)
READ_LAST_NAME = Statement(
    "SELECT name FROM {properties} WHERE id = %(id)s AND name >= %(lower)s AND name <= %(upper)s "
    "ORDER BY name DESC LIMIT 1"
)
READ_PREFIXED = Statement(
    "SELECT name, value FROM {properties} WHERE id = %(id)s AND name >= %(prefix)s AND name < %(end)s ORDER BY name"
)
READ_PREFIXED_NAMES = Statement(
    "SELECT name, '' FROM {properties} WHERE id = %(id)s AND name >= %(prefix)s AND name < %(end)s ORDER BY name"
)
READ_PLAIN = Statement(
    "(SELECT {columns} FROM {properties} WHERE id = %(id)s AND name < %(prefix)s ORDER BY name) UNION ALL "
    "(SELECT {columns} FROM {properties} WHERE id = %(id)s AND name >= %(end)s ORDER BY name) ORDER BY name",
    PropertyRecord,
)

# Greater than any name: a key has at most 2,600 bytes, and this has 2,604.
_ABOVE_ALL_NAMES = chr(sys.maxunicode) * 651
_FIRST_SURROGATE, _AFTER_SURROGATES = 0xD800, 0xE000


class DbProperty(Rows[PropertyRecord], PropertyPolicy):
    """A property of an actor."""

    def _put(self, record: PropertyRecord, indexed: bool) -> Stored:
        return self._stored((UPSERT_PROPERTY, record), record, indexed)

    def _put_new(self, record: PropertyRecord, indexed: bool) -> Stored:
        return self._stored((INSERT_AND_RECORD if indexed else INSERT_PROPERTY, record.asdict()), record, indexed, True)

    def _put_if(self, record: PropertyRecord, expected: str, indexed: bool) -> Stored:
        parameters = {**record.asdict(), "expected": expected}
        return self._stored((UPDATE_AND_RECORD if indexed else UPDATE_IF_EQUAL, parameters), record, indexed, True)

    def _stored(self, first: BoundStatement, record: PropertyRecord, indexed: bool, if_changed: bool = False) -> Stored:
        if not indexed:
            return Stored(write(*first).rowcount == 1)
        lock = claims.LOCK_ACTOR, {"id": record.id}
        _, stored, *claim = execute_pipeline(lock, first, *claims.claim_statements(record, if_changed))
        return Stored(True, claims.claimant(record.id, claim)) if stored.rowcount else Stored(False)

    def _remove(self, actor_id: str, name: str, indexed: bool) -> None:
        self._remove_names(actor_id, [] if indexed else [name], [name] if indexed else [])

    def _remove_if(self, record: PropertyRecord, indexed: bool) -> bool:
        parameters = record.asdict()
        if not indexed:
            return write(DELETE_IF_EQUAL, parameters).rowcount == 1
        release = claims.release_statement_if_changed(record.id, record.name)
        deleted, _ = execute_pipeline((DELETE_AND_RECORD, parameters), release)
        return deleted.rowcount == 1

    def _remove_names(self, actor_id: str, plain: list[str], indexed: list[str]) -> None:
        first = DELETE_NAMES, {"id": actor_id, "names": plain + indexed}
        if indexed:
            execute_pipeline(first, *claims.release_statements(actor_id, indexed))
        else:
            write(*first)

    def _divided(
        self,
        actor_id: str,  # noqa: ARG002
        values: dict[str, str | None],
        chunk_size: int | None,  # noqa: ARG002
    ) -> list[dict[str, str | None]]:
        return [values]

    def _put_many(self, actor_id: str, values: dict[str, str | None]) -> dict[str, str]:
        first = _row_statements(actor_id, values)
        # Claims are locked in the order of the names, so that two actors never wait for each other.
        then = {name: _claim_statements(actor_id, name, value) for name, value in values.items() if self._indexed(name)}
        results = iter(execute_pipeline(*first, *chain(*then.values()))[len(first) :])
        parts = {name: list(islice(results, len(steps))) for name, steps in then.items()}
        claimants = {name: claims.claimant(actor_id, part) for name, part in parts.items() if values[name] is not None}
        return {name: claimant for name, claimant in claimants.items() if claimant is not None}

    def _read_claim(self, name: str, value: str) -> Claim | None:
        return claims.read_claim(name, value)

    def _holder(self, name: str, value: str) -> str | None:
        if not self._can_exist("", name):
            return None
        holder: str | None = read(READ_HOLDER, {"name": name, "value": value})[0][0]
        return holder

    def _fallback(self, name: str, value: str) -> str | None:  # noqa: ARG002 - the schema migration creates all look-up rows
        return None

    def _range(
        self,
        actor_id: str,
        lower: str,
        upper: str,
        keys_only: bool,
        consistent_read: bool,  # noqa: ARG002
    ) -> list[tuple[str, str]]:
        return _pairs(READ_RANGE_NAMES if keys_only else READ_RANGE, _bounds(actor_id, lower, upper))

    def _prefixed(
        self,
        actor_id: str,
        prefix: str,
        keys_only: bool,
        consistent_read: bool,  # noqa: ARG002
    ) -> list[tuple[str, str]]:
        parameters = {"id": actor_id, "prefix": prefix, "end": _after(prefix)}
        return _pairs(READ_PREFIXED_NAMES if keys_only else READ_PREFIXED, parameters)

    def _last(self, actor_id: str, lower: str, upper: str) -> str | None:
        rows = read(READ_LAST_NAME, _bounds(actor_id, lower, upper))
        return rows[0][0] if rows else None


class DbPropertyList(Rows[PropertyRecord], PropertyListPolicy):
    """The properties of one actor."""

    def _list_plain(self, actor_id: str) -> list[PropertyRecord]:
        parameters = {"id": actor_id, "prefix": LIST_PREFIX, "end": _after(LIST_PREFIX)}
        return self._as_records(read(READ_PLAIN, parameters))

    @classmethod
    def _wipe(cls, *key: Any) -> None:
        execute_pipeline((DELETE_ALL, {"id": key[0]}), *claims.release_all_statements(*key))


def _row_statements(actor_id: str, values: dict[str, str | None]) -> list[BoundStatement]:
    """Return the statements that store and delete the rows of one actor."""
    stored = {name: value for name, value in values.items() if value is not None}
    deleted = [name for name, value in values.items() if value is None]
    steps: list[BoundStatement] = [(LOCK_ACTOR_ALONE, {"id": actor_id})]
    if deleted:
        steps.append((DELETE_NAMES, {"id": actor_id, "names": deleted}))
    if stored:
        columns = {"names": list(stored), "values": list(stored.values())}
        steps.append((UPSERT_PROPERTIES, {"id": actor_id, **columns}))
    return steps


def _claim_statements(actor_id: str, name: str, value: str | None) -> list[BoundStatement]:
    """Return the statements that claim a value or, for None, release the claims of a deleted row."""
    if value is None:
        return claims.release_statements(actor_id, [name])
    return claims.claim_statements(PropertyRecord(id=actor_id, name=name, value=value))


def _pairs(statement: Statement, parameters: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in read(statement, parameters)]


def _bounds(actor_id: str, lower: str, upper: str) -> dict[str, str]:
    """Return the bounds without U+0000, which PostgreSQL rejects: no name contains it, so the range is the same."""
    least, nul, _ = lower.partition("\x00")
    return {"id": actor_id, "lower": f"{least}\x01" if nul else least, "upper": upper.partition("\x00")[0]}


def _after(prefix: str) -> str:
    """Return the least text that is greater than all texts that begin with `prefix`."""
    begin = prefix.rstrip(chr(sys.maxunicode))
    if not begin:
        return _ABOVE_ALL_NAMES
    last = ord(begin[-1]) + 1
    return begin[:-1] + chr(_AFTER_SURROGATES if last == _FIRST_SURROGATE else last)


_entity: type[DbPropertyProtocol] = DbProperty
_list: type[DbPropertyListProtocol] = DbPropertyList
