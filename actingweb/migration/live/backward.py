"""The backward applier, which makes items of DynamoDB equal to the rows of PostgreSQL."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from actingweb.db.dynamodb.errors import CONDITION_FAILED
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item
from actingweb.migration.errors import SourceError
from actingweb.migration.live import claims, marks
from actingweb.migration.live.claims import Claim, Verdict
from actingweb.migration.live.conflicts import Conflict, differ, record_conflicts
from actingweb.migration.live.dynamodb import read_items as read_stored
from actingweb.migration.live.items import (
    Json,
    Unstorable,
    Wanted,
    change,
    is_equal,
    key_problem,
    layout_of,
    read_items,
)
from actingweb.migration.live.keys import RowKey, by_table
from actingweb.migration.live.marks import Mark
from actingweb.migration.live.ownership import EVERYTHING, Ownership, Side, read_ownership
from actingweb.migration.live.rejects import accepted
from actingweb.migration.live.worker import Worker
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2, PROPERTIES
from actingweb.migration.source.endpoint import RequestError
from actingweb.migration.target.connection import Connection

__all__ = ["BackwardApplier"]

_REFUSED = frozenset({"ValidationException", "ValidationError", "ItemCollectionSizeLimitExceededException"})
"""The errors that only the content of a request can cause."""

_NO_TABLE = "DynamoDB has no such table: run `migrate prepare` again"
_REFUSED_ITEM = "DynamoDB refuses the item"

_COUNT = "UPDATE {state}.tables SET applied_back = applied_back + %(count)s WHERE name = %(table)s"


@dataclass
class BackwardApplier(Worker):
    """Applies marks. Any number of appliers may run, in any number of processes.

    Attributes:
        connect: opens a connection; one is kept, and replaced after an error.
        batch: how many marks one step takes at most.
        at_once: how many writes are sent at once.
    """

    batch: int = 100
    at_once: int = 8
    _writing: set[RowKey] = field(default_factory=set, init=False, repr=False)
    """The keys whose items are written in the transaction that is under way, or was when its session was lost."""

    def step(self) -> int:
        """Make the items of the oldest marks that are due equal to their rows; return how many keys were taken.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        with self.connected() as connection:
            self._mark_again(connection)
            try:
                return self.repeated(lambda: self._step(connection))
            except SourceError:
                # With its session the keys were locked until now, and still have their marks.
                if not connection.closed:
                    self._writing.clear()
                raise

    def note_writes(self, keys: Iterable[RowKey]) -> None:
        """Remember keys whose items are about to be written."""
        self._writing.update(keys)

    def _mark_again(self, connection: Connection) -> None:
        """Mark the keys that were written by a session that was lost.

        It had no locks any more, so that another applier may have written newer items meanwhile, and deleted the marks.
        """
        if self._writing:
            marks.append(self.state, connection, self._writing)
            self._writing.clear()

    def _step(self, connection: Connection) -> int:
        with self.transaction(connection):
            self.state.lock_appliers(connection, exclusive=False)
            picked = marks.pick(self.state, connection, self.batch)
            keys = marks.lock_keys(self.state, connection, {mark.key for mark in picked}) if picked else set()
            if keys:
                batch = _Batch(self, connection, read_ownership(self.state, connection))
                batch.apply(keys)
                batch.finish([mark for mark in picked if mark.key in keys])
        self._writing.clear()
        return len(keys)


class _Write(NamedTuple):
    """A request that makes the item of a key equal."""

    key: RowKey
    operation: str
    request: Json


class _Outcome:
    """What became of a batch.

    Attributes:
        done: the keys whose marks can be deleted.
        postponed: the others; those that are rejected have a reason.
        left: keys whose items were not read, as others filled the answer. Their marks stay.
        unread: keys whose items could not be read.
        conflicts: that were found.
        repaired: keys that have to be made equal in PostgreSQL.
        failure: the last error of a request that may succeed later.
    """

    def __init__(self) -> None:
        self.done: set[RowKey] = set()
        self.postponed: dict[RowKey, str | None] = {}
        self.left: set[RowKey] = set()
        self.unread: dict[RowKey, SourceError] = {}
        self.conflicts: list[Conflict] = []
        self.repaired: set[RowKey] = set()
        self.failure: SourceError | None = None

    def report(self, key: RowKey, error: RequestError | None) -> None:
        """Take note of a write, and of how it failed."""
        if error is None:
            self.done.add(key)
        elif error.code == CONDITION_FAILED:
            # Something else was stored than what was read. An attempt without an answer may have stored it.
            self.postponed[key] = None
        elif error.code in _REFUSED:
            self.postponed[key] = f"{_REFUSED_ITEM} ({error.code})"
        else:
            self.postponed[key], self.failure = str(error), error


@dataclass
class _Batch:
    """The work of one transaction."""

    applier: BackwardApplier
    connection: Connection
    ownership: Ownership
    outcome: _Outcome = field(default_factory=_Outcome)
    claimed: list[Claim] = field(default_factory=list)
    foreign: list[Conflict] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Not a `cached_property`: on Python 3.11, all instances wait for the one that computes it.
        self._tables = self.applier.state.dynamodb_tables(self.connection)

    def apply(self, keys: set[RowKey]) -> None:
        """Make the items of locked keys equal."""
        keys = self._without_given_up(keys)
        present = {key for key in keys if key.table in self._tables}
        self.outcome.postponed |= dict.fromkeys(keys - present, _NO_TABLE)
        wanted = read_items(self.applier.state, self.connection, present)
        stored = self._stored(present, whole=False)
        self._postpone_unread(present)
        read = present - self.outcome.left - self.outcome.unread.keys()
        writes = [write for key in sorted(read) for write in self._writes(key, wanted[key], stored.get(key))]
        self._drop_foreign()
        self._forget_v1([stored[key] for key, *_ in writes if key.mapping is PROPERTIES and key in stored])
        self._send(writes + self._claim_writes())

    def _without_given_up(self, keys: set[RowKey]) -> set[RowKey]:
        """Let others get the look-ups of values that were given up, by the rule of DynamoDB; return the other keys.

        Once PostgreSQL owns all actors nobody gets them, as the library has it there.
        """
        given_up = {key for key in keys if key.mapping is CLAIMS_V1}
        self.outcome.done |= given_up
        if self.ownership.boundary < EVERYTHING:
            self.outcome.repaired |= {key for key in given_up if key_problem(key) is None}
        return keys - given_up

    def _writes(self, key: RowKey, row: Wanted, item: Item | None) -> list[_Write]:
        """Return the write that makes an item equal, if one is needed.

        Claims, and rows that DynamoDB owns, are judged together, later.
        """
        is_claim = key.mapping is CLAIMS_V2
        if not is_claim and self.ownership.owner(key.hash) is Side.DYNAMODB:
            rows = {Side.POSTGRESQL: row, Side.DYNAMODB: item}
            self.foreign.append(Conflict(key, Side.DYNAMODB, rows))
        elif isinstance(row, Unstorable):
            self.outcome.postponed[key] = row.reason
        elif is_claim:
            self.claimed.append(Claim(key, row, item))
        else:
            return self._write(key, item, row)
        return []

    def _postpone_unread(self, keys: set[RowKey]) -> None:
        for key in keys & self.outcome.unread.keys():
            self.outcome.failure = self.outcome.unread[key]
            self.outcome.postponed[key] = str(self.outcome.failure)

    def _drop_foreign(self) -> None:
        """Drop the marks of rows that DynamoDB owns but for accepted rejects; report writes that should not be."""
        conflicts = [found for found in self.foreign if differ(layout_of(found.key.mapping), *found.rows.values())]
        different = [conflict.key for conflict in conflicts]
        kept = accepted(self.applier.state, self.connection, Side.DYNAMODB, different) if different else {}
        self.outcome.postponed |= kept
        self.outcome.done |= {found.key for found in self.foreign if found.key not in kept}
        self.outcome.conflicts += [conflict for conflict in conflicts if conflict.key not in kept]

    def _write(self, key: RowKey, item: Item | None, wanted: Item | None) -> list[_Write]:
        """Return the write that makes an item equal, if one is needed."""
        layout = layout_of(key.mapping)
        if is_equal(layout, item, wanted):
            self.outcome.done.add(key)
            return []
        operation, request = change(layout, key.item_key, item, wanted)
        return [_Write(key, operation, {"TableName": self._tables[key.table], **request})]

    def _claim_writes(self) -> list[_Write]:
        properties = self._stored(claims.claimants(self.claimed, self.ownership))
        writes: list[_Write] = []
        for claim in self.claimed:
            verdict = claims.judge(claim, self.ownership, properties)
            if verdict.given_up_by in self.outcome.unread:
                self.outcome.postponed[claim.key] = str(self.outcome.unread[verdict.given_up_by])
            elif verdict.applies:
                writes += self._claim_write(claim, verdict, properties)
            else:
                self.outcome.done.add(claim.key)
                self.outcome.repaired |= {claim.key} if verdict.repaired else set()
                rows = {Side.POSTGRESQL: claim.row, Side.DYNAMODB: claim.item}
                self.outcome.conflicts += [Conflict(claim.key, Side.DYNAMODB, rows)] * verdict.refused
        return writes

    def _claim_write(self, claim: Claim, verdict: Verdict, properties: Mapping[RowKey, Item]) -> list[_Write]:
        writes = self._write(claim.key, claim.item, claim.row)
        if not writes or verdict.given_up_by is None:
            return writes
        ((key, operation, request),) = writes
        check = claims.still_held(verdict.given_up_by, properties.get(verdict.given_up_by))
        check["TableName"] = self._tables[PROPERTIES.name]
        actions = [{operation.removesuffix("Item"): request}, {"ConditionCheck": check}]
        return [_Write(key, "TransactWriteItems", {"TransactItems": actions})]

    def _forget_v1(self, changed: Sequence[Item]) -> None:
        """Delete rows of the first table of claims that would answer once a property gives up its value.

        The library reads such a row if the newer table has none. It does not delete it.
        """
        if CLAIMS_V1.name not in self._tables:
            return
        table = self._tables[CLAIMS_V1.name]
        left = claims.left_behind(changed, self.applier.state.read(self.connection).indexed_properties)
        found = read_stored(self.applier.requests, table, sorted(left), whole=True).found
        rows = read_items(self.applier.state, self.connection, [left[key] for key in found])
        for key, item in found.items():
            actor_id = item.get("actor_id", {}).get("S", "")
            if rows[left[key]] is None and self.ownership.owner(actor_id) is Side.POSTGRESQL:
                expression = Expression()
                condition = {"ConditionExpression": expression.equals("actor_id", actor_id)} | expression.arguments()
                error = self._try("DeleteItem", {"TableName": table, "Key": key.item_key, **condition})
                if error is not None and error.code != CONDITION_FAILED:
                    raise error

    def _send(self, writes: Sequence[_Write]) -> None:
        self.applier.note_writes(write.key for write in writes)
        if self.applier.at_once == 1 or len(writes) < 2:
            results = [self._try(write.operation, write.request) for write in writes]
        else:
            with ThreadPoolExecutor(self.applier.at_once) as threads:
                results = list(threads.map(lambda write: self._try(write.operation, write.request), writes))
        for write, error in zip(writes, results, strict=True):
            self.outcome.report(write.key, error)

    def _try(self, operation: str, request: Json) -> RequestError | None:
        try:
            self.applier.requests.call(operation, request)
        except RequestError as error:
            return error
        return None

    def finish(self, picked: Sequence[Mark]) -> None:
        """Delete or postpone the marks. The counts come last, as others may wait for them."""
        state, connection, outcome = self.applier.state, self.connection, self.outcome
        if outcome.failure is not None and not outcome.done:
            raise outcome.failure
        marks.delete(state, connection, [mark for mark in picked if mark.key in outcome.done])
        late = [(mark, outcome.postponed[mark.key]) for mark in picked if mark.key in outcome.postponed]
        marks.postpone(state, connection, late)
        record_conflicts(state, connection, outcome.conflicts, outcome.repaired)
        for table, count in sorted(Counter(key.table for key in outcome.done).items()):
            connection.execute(state.sql(_COUNT), {"table": table, "count": count})

    def _stored(self, keys: Iterable[RowKey], *, whole: bool = True) -> dict[RowKey, Item]:
        """Return the items of keys, read with strong consistency. Register the keys that could not be read."""
        found: dict[RowKey, Item] = {}
        for table, of_table in by_table(keys):
            try:
                items = read_stored(self.applier.requests, self._tables[table], of_table, whole=whole)
            except SourceError as error:
                self.outcome.unread |= dict.fromkeys(of_table, error)
            else:
                found |= items.found
                self.outcome.left |= items.left
        return found
