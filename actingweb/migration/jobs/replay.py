"""The job that loads rejected rows again, after their documents were corrected in the reject files."""

from collections.abc import Sequence
from contextlib import closing
from itertools import islice

from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary, OnCounts
from actingweb.migration.mapping import CLAIMS, MAPPINGS, PROPERTIES, TableMapping
from actingweb.migration.rejects import Rejected, RejectFile
from actingweb.migration.rows import convert
from actingweb.migration.target.connection import Connection, Target, lift_timeouts, target_errors
from actingweb.migration.target.lookups import LoadedClaims, LookUps, make_look_ups
from actingweb.migration.target.progress import Counts, is_unfinished
from actingweb.migration.target.staging import StagedClaims, Staging
from actingweb.migration.target.writer import TableWriter

__all__ = ["replay_rejects"]

# Few enough to fit into memory if each document has the size that DynamoDB allows.
_BATCH_ROWS = 100


def replay_rejects(target: Target, options: LoadOptions, on_counts: OnCounts) -> LoadSummary:
    """Load the documents of the reject files; those that still cannot be loaded stay there.

    A row that exists with the same values is skipped; one that exists with other values stays rejected. A claim becomes
    a look-up row if its actor holds the value and no other claim on it is valid. The job may be interrupted and
    repeated at any time. Raise `UsageError` if there is no reject file or a load is unfinished, `SourceError` if a
    reject file is malformed, `TargetError` if the target fails.
    """
    mappings, claims = _rejected(options, MAPPINGS), _rejected(options, CLAIMS)
    if not (mappings or claims):
        raise UsageError(f"{options.rejects} has no reject file")
    summary = LoadSummary()
    rests: dict[TableMapping, RejectFile] = {}
    with closing(target.connect()) as connection:
        target.check(connection)
        with target_errors():
            if is_unfinished(target, connection):
                raise UsageError("a load of this schema is unfinished: finish it first")
        for mapping in mappings:
            counts = summary.counts[mapping.name] = Counts()
            rests[mapping] = _Replay(target, connection, mapping, RejectFile(options.rejects, mapping), counts).run(
                on_counts
            )
        rejected = rests.get(PROPERTIES) or RejectFile(options.rejects, PROPERTIES)
        with target_errors(), connection.transaction():
            lift_timeouts(connection)
            staged = [_staged(target, connection, RejectFile(options.rejects, mapping)) for mapping in claims]
            look_ups = LookUps.of(target, connection, options.indexed_properties)
            summary.add_look_ups(*make_look_ups(look_ups, staged, rejected))
    for one in staged:
        mapping = one.staged.mapping
        rests[mapping], summary.counts[mapping.name] = one.rejects, one.counts
        on_counts(mapping.name, one.counts)
    # Only once the look-up rows exist: a repeated run needs the files.
    for mapping, rest in rests.items():
        RejectFile(options.rejects, mapping).replace_by(rest)
    return summary


def _rejected(options: LoadOptions, mappings: Sequence[TableMapping]) -> list[TableMapping]:
    return [mapping for mapping in mappings if RejectFile(options.rejects, mapping).path.is_file()]


def _staged(target: Target, connection: Connection, file: RejectFile) -> LoadedClaims:
    """Stage the claims of a reject file; those that cannot be read stay rejected."""
    staging = Staging(target, connection, file.mapping)
    staging.create()
    counts, rest, documents = Counts(), file.rest(), file.documents()
    while batch := list(islice(documents, _BATCH_ROWS)):
        rows = convert(file.mapping, [one.document for one in batch])
        rejects = rows.rejects + staging.add(rows.rows)
        _divide(batch, rejects, file, rest)
        counts.add(Counts(len(batch), len(batch) - len(rejects), 0, len(rejects)))
    return LoadedClaims(StagedClaims(file.mapping, staging.name), rest, counts)


def _divide(documents: list[Rejected], rejects: list[Reject], file: RejectFile, rest: RejectFile) -> None:
    """Add the documents that are rejected again to `rest`, and remember the others as corrections in `file`."""
    origins = {id(one.document): one for one in documents}
    again = [(origins.pop(id(reject.document)), reject) for reject in rejects]
    rest.add((origin.row, reject._replace(digest=origin.digest)) for origin, reject in again)
    file.add_corrected(origins.values())


class _Replay:
    def __init__(
        self, target: Target, connection: Connection, mapping: TableMapping, file: RejectFile, counts: Counts
    ) -> None:
        self._connection = connection
        self._writer = TableWriter(target, connection, mapping, skip_duplicates=True)
        self._file = file
        self._counts = counts

    def run(self, on_counts: OnCounts) -> RejectFile:
        """Load the file batch by batch; return the file that is to replace it."""
        rest = self._file.rest()
        documents = self._file.documents()
        on_counts(self._writer.mapping.name, self._counts)
        while batch := list(islice(documents, _BATCH_ROWS)):
            self._load(batch, rest)
            on_counts(self._writer.mapping.name, self._counts)
        return rest

    def _load(self, documents: list[Rejected], rest: RejectFile) -> None:
        batch = convert(self._writer.mapping, [one.document for one in documents])
        rejects = list(batch.rejects)
        with target_errors(), self._connection.transaction():
            lift_timeouts(self._connection)
            written = self._writer.insert(batch.rows, rejects)
            rejects += self._others(batch.rows, rejects, written)
        _divide(documents, rejects, self._file, rest)
        read = len(documents)
        self._counts.add(Counts(read, written, read - written - len(rejects), len(rejects)))

    def _others(self, rows: RowPairs, rejects: list[Reject], written: int) -> list[Reject]:
        """Return as rejects the rows that were not inserted because another row has their key."""
        rejected_ids = {id(reject.document) for reject in rejects}
        accepted = [pair for pair in rows if id(pair[1]) not in rejected_ids]
        if len(accepted) == written:
            return []
        return [Reject(document, "another row has this key") for _, document in self._writer.different(accepted)]
