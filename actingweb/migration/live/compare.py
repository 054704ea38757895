"""The comparison of both sides while they are in use.

All rows are compared as an offline validation does. What differs then may only be under way, so each such key is read
again on both sides, until it is equal, is a reject, or is found to stay different.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actingweb.migration.jobs import validate as job
from actingweb.migration.jobs.differences import Difference, Kind, Report, ValidationResult
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.live import changes
from actingweb.migration.live.changes import Compared
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.keys import BY_NAME, RowKey, arrays, is_marker
from actingweb.migration.live.lookup_repair import Holder
from actingweb.migration.live.rejects import identities
from actingweb.migration.live.settling import Settling, Sight
from actingweb.migration.live.state import FROM_POSTGRESQL, State, StateError
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.mapping import CLAIMS, CLAIMS_V2, LOOK_UPS
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["LiveComparison", "LiveResult"]

_STORE = """
UPDATE {state}.tables SET compared_at = %(began)s, compared_differences = %(count)s WHERE name = %(table)s
"""
_CLOSE_GAPS = """
UPDATE {state}.gaps SET closed_at = clock_timestamp()
WHERE closed_at IS NULL AND noticed_at < %(began)s AND table_name = ANY(%(tables)s)
"""

_NO_SYNC = "no `migrate sync` is running, without which changes under way cannot be told from differences: start it"
# Both sides are equal there, whoever did it.
_SETTLE_CONFLICTS = """
UPDATE {state}.conflicts SET settled_at = clock_timestamp()
WHERE settled_at IS NULL AND found_at < %(began)s AND (table_name, hash, range) NOT IN (
    SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[]))
"""
_NOT_SCANNED = "the scan of {} is not done: compare when it is"

_REPEATED = frozenset({Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT})
"""The kinds that a look at both sides tells."""


@dataclass(frozen=True)
class LiveResult:
    """What a comparison found.

    Attributes:
        found: the differences, as an offline validation returns them; rejects are among them.
        unsettled: how many rows could not be judged, as they changed all the time or their stream was not read.
    """

    found: ValidationResult
    unsettled: int

    @property
    def left(self) -> int:
        """The number of differences that were not repaired, and of rows that could not be judged."""
        return self.found.differences - self.found.repaired + self.unsettled

    @property
    def compared(self) -> Compared:
        """The same in numbers."""
        rows = sum(table.source or 0 for table in self.found.tables.values())
        return Compared(rows, self.left - self.unsettled, self.unsettled)


@dataclass
class LiveComparison:
    """Compares both sides. Raise `SourceError`, `TargetError` and `UsageError`.

    Attributes:
        source_of: returns all items of a table, as the offline validation takes them.
        report: the file to which the differences are written; None for none.
        limit: how many differences to return.
        accepted: rows that are not to be moved, beside the rejects that are accepted already.
        grace: for how many seconds a key must stay different to count as a difference.
        timeout: for how many seconds keys are looked at again.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    source_of: job.SourceOf
    indexed_properties: tuple[str, ...]
    report: Path | None = None
    limit: int = 20
    accepted: AcceptedRows = field(default_factory=AcceptedRows)
    on_rows: job.OnRows = lambda _table, _rows: None
    grace: float = 5.0
    timeout: float = 300.0

    def run(self, *, repair: bool = False, delete_extra: bool = False) -> LiveResult:
        """Compare all rows, and with `repair` mark what differs, so that `sync` makes it equal; wait for that.

        What the owner of a row has counts. Rows that the owner does not have stay, unless they are to be deleted.
        """
        accepted = identities(self.accepted)
        with TemporaryDirectory() as directory:
            with closing(self.connect()) as connection, target_errors():
                began = _checked(read_status(self.state, connection))
                recorded = changes.begin(self.state, connection)
            rows, candidates = self._candidates(Path(directory))
            # A new connection: the old one would have been idle for as long as all rows take.
            with closing(self.connect()) as connection, target_errors():
                settled = self._settled(connection, candidates.keys)
                settled.accept(accepted)
                wrong = [
                    key for key, found in settled.different.items() if repair and _can_mark(key, found, delete_extra)
                ]
                repaired = self._repair(settled, candidates.only(wrong))
                left = self._record(connection, settled, {key: key in repaired for key in wrong}, began)
                if recorded is not None and not left and not candidates.certain:
                    changes.record(self.state, connection, settled.unsettled)
                    changes.equal(self.state, connection, recorded)
            path = self.report or Path(directory) / "report.ndjson"
            with Report(path, self.limit) as report:
                report.tables |= rows.tables
                _report(report, candidates, settled, repaired)
        return LiveResult(replace(rows, first=report.first), len(settled.unsettled))

    def _candidates(self, directory: Path) -> tuple[ValidationResult, "_Candidates"]:
        """Return the numbers of rows, and what a comparison of all rows finds different."""
        path = directory / "candidates.ndjson"
        options = job.ValidationOptions(path, self.indexed_properties, limit=0, claimed=self._has_moved)
        found = job.validate(self.state.target, self.source_of, options, self.on_rows)
        candidates = _Candidates()
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    candidates.add(_difference(json.loads(line)))
        tables = {name: replace(table, kinds={}, rejected=0) for name, table in found.tables.items()}
        return replace(found, tables=tables), candidates

    @property
    def _has_moved(self) -> bool:
        """Whether PostgreSQL owns actors, whose look-ups DynamoDB must find too."""
        with closing(self.connect()) as connection:
            return self.state.read(connection).boundary > 0

    def _settled(self, connection: Connection, keys: Mapping[RowKey, Holder | None]) -> Settling:
        names = self.indexed_properties
        settling = Settling(self.state, self.requests, connection, names, self.grace, self.timeout)
        settling.run(keys)
        return settling

    def _repair(self, settled: Settling, wrong: Mapping[RowKey, Holder | None]) -> set[RowKey]:
        """Let the appliers make keys equal; return those that they have made equal."""
        if not wrong:
            return set()
        settled.mark(wrong)
        again = self._settled(settled.connection, wrong)
        settled.different |= again.different
        return wrong.keys() - again.different.keys() - again.unsettled

    def _record(self, connection: Connection, settled: Settling, marked: Mapping[RowKey, bool], began: datetime) -> int:
        """Record the result in the state, and close the gaps that it covers: nothing differs that is not marked.

        `marked` tells of the keys that were marked whether they are equal now. Return how many differ.
        """
        left = dict.fromkeys(BY_NAME, 0)
        open_ = {key.table for key in settled.unsettled}
        for key, sight in settled.different.items():
            if not sight.is_reject and not sight.is_accepted:
                left[key.table] += not marked.get(key, False)
                open_ |= {key.table} if key not in marked else set()
        if CLAIMS_V2.name in open_:
            open_ |= {mapping.name for mapping in CLAIMS}
        unequal = {key for key in settled.different if not marked.get(key)} | settled.unsettled
        self._store(connection, began, left, sorted(left.keys() - open_), unequal)
        return sum(left.values())

    def _store(
        self, connection: Connection, began: datetime, left: Mapping[str, int], covered: list[str], unequal: set[RowKey]
    ) -> None:
        with connection.transaction():
            for table, count in left.items():
                connection.execute(self.state.sql(_STORE), {"table": table, "count": count, "began": began})
            connection.execute(self.state.sql(_SETTLE_CONFLICTS), {"began": began, **arrays(unequal)})
            connection.execute(self.state.sql(_CLOSE_GAPS), {"began": began, "tables": covered})


@dataclass
class _Candidates:
    """What a comparison of all rows finds different.

    Attributes:
        lines: the differences of each key.
        keys: those that can be looked at again; the keys of look-ups with a holder of the value.
        certain: differences that no change under way explains.
    """

    lines: dict[RowKey, list[Difference]] = field(default_factory=dict)
    keys: dict[RowKey, Holder | None] = field(default_factory=dict)
    certain: list[Difference] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        """Add a difference, unless it is a marker."""
        key = _key_of(difference)
        if key is not None and is_marker(key):
            return
        if key is None or difference.kind is Kind.DUPLICATE:
            self.certain += [difference] if difference.table not in _CLAIMS else []
        elif key.mapping is CLAIMS_V2:
            # What is wrong with a look-up has one cause, however many lines tell it.
            self.lines.setdefault(key, [difference])
            self.keys.setdefault(key, _holder(difference))
        else:
            self.lines.setdefault(key, []).append(difference)
            self.keys[key] = None

    def only(self, keys: Iterable[RowKey]) -> dict[RowKey, Holder | None]:
        """Return some of the keys."""
        return {key: self.keys[key] for key in keys}


_CLAIMS = frozenset(mapping.name for mapping in CLAIMS)


def _can_mark(key: RowKey, sight: Sight, delete_extra: bool) -> bool:
    """Tell whether a repair may make a key equal. Look-up rows are derived from others."""
    is_extra = (sight.postgresql if sight.reverse else sight.dynamodb) is None and key.mapping is not CLAIMS_V2
    return not (sight.is_reject or sight.is_accepted) and (delete_extra or not is_extra)


def _checked(status: Status) -> datetime:
    """Return the moment of a status. Raise `StateError` unless a comparison can tell something."""
    unscanned = [table.name for table in status.tables if table.present and not table.scanned]
    if unscanned and status.migration.direction != FROM_POSTGRESQL:
        raise StateError(_NOT_SCANNED.format(", ".join(unscanned)))
    if not status.processes:
        raise StateError(_NO_SYNC)
    return status.at


def _report(report: Report, candidates: _Candidates, settled: Settling, repaired: set[RowKey]) -> None:
    """Report what differs, and count it in the tables."""
    for difference in candidates.certain:
        report.add(difference)
    for key, sight in sorted(settled.different.items()):
        lines = list(_lines(candidates.lines[key], sight))
        table = report.tables[lines[0].table]
        if sight.is_accepted:
            table.accepted += 1
            continue
        table.rejected += len(lines) if sight.is_reject else 0
        table.repaired += len(lines) if key in repaired else 0
        for difference in lines:
            report.add(difference)


def _lines(found: list[Difference], sight: Sight) -> Iterator[Difference]:
    """Yield the differences of a key: as they were found or, if the row has changed since, as it is now."""
    kind = _kind(sight)
    reason = sight.mark.reason if sight.mark is not None else None
    if found[0].kind in _REPEATED and found[0].kind is not kind:
        found = [replace(found[0], kind=kind, column=None, reason=None)]
    for difference in found:
        yield replace(difference, reason=reason or difference.reason)


def _kind(sight: Sight) -> Kind:
    if sight.postgresql is None:
        return Kind.MISSING
    return Kind.EXTRA if sight.dynamodb is None else Kind.DIFFERENT


def _difference(line: Mapping[str, Any]) -> Difference:
    """Return the difference of a line of the report."""
    return Difference(line["table"], Kind(line["kind"]), line["key"], line["column"], line.get("reason"))


def _holder(difference: Difference) -> Holder:
    key = difference.key
    return Holder(key["lookup_key"], key.get("property_name"), key.get("actor_id"))


def _key_of(difference: Difference) -> RowKey | None:
    """Return the key that a difference is about; None if it does not have it all."""
    key = difference.key
    if difference.table in (LOOK_UPS, CLAIMS_V2.name):
        return RowKey(CLAIMS_V2.name, key["lookup_key"]) if isinstance(key.get("lookup_key"), str) else None
    mapping = BY_NAME[difference.table]
    if all(name in key for name in mapping.record.key):
        return RowKey.of_row(mapping, tuple(key[name] for name in mapping.record.key))
    texts = [key.get(name) for name in mapping.layout.key_names]
    return RowKey(mapping.name, *texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]
