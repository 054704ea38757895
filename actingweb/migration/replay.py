"""Loading rejected rows again, after their documents were corrected in the reject files."""

from collections.abc import Sequence
from contextlib import closing
from itertools import islice

from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import UsageError
from actingweb.migration.lookups import LookUps, StagedClaims
from actingweb.migration.merge import Merge
from actingweb.migration.prepare import Pairs, prepared
from actingweb.migration.progress import Counts, is_unfinished
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.settle import LoadedClaims, settle
from actingweb.migration.staging import Staging
from actingweb.migration.tables import CLAIMS, FORMS, PROPERTIES
from actingweb.migration.target import Connection, Target, lift_timeouts, target_faults
from actingweb.migration.transfer import LoadOptions, OnCounts, Summary

__all__ = ["replay_rejects"]

Documents = list[tuple[bytes, int | None]]

# Few enough for memory when each document is as large as DynamoDB allows.
_BATCH_ROWS = 100


def replay_rejects(target: Target, options: LoadOptions, on_counts: OnCounts) -> Summary:
    """Load the documents of the reject files and leave in these what still cannot be loaded.

    A row that is there already, as it is in the file, counts as skipped; if it is there but different, the document
    stays rejected. A claim becomes a look-up row if its actor holds the value and no other claim on it is valid. May be
    interrupted and repeated at any time. Raise `UsageError` if there is no reject file or a load is unfinished,
    `SourceError` if a reject file is malformed, `TargetError` for faults of the target.
    """
    forms, claims = _rejected(options, FORMS), _rejected(options, CLAIMS)
    if not (forms or claims):
        raise UsageError(f"{options.rejects} has no reject file")
    summary = Summary()
    rests: dict[TableForm, RejectFile] = {}
    with closing(target.connect()) as connection:
        target.check(connection)
        with target_faults():
            if is_unfinished(target, connection):
                raise UsageError("a load of this schema is unfinished: finish it first")
        for form in forms:
            counts = summary.counts[form.name] = Counts()
            rests[form] = _Replay(target, connection, form, RejectFile(options.rejects, form), counts).run(on_counts)
        rejected = rests.get(PROPERTIES) or RejectFile(options.rejects, PROPERTIES)
        with target_faults(), connection.transaction():
            lift_timeouts(connection)
            staged = [_staged(target, connection, RejectFile(options.rejects, form)) for form in claims]
            look_ups = LookUps.of(target, connection, options.indexed_properties)
            summary.settled(*settle(look_ups, staged, rejected))
    for one in staged:
        form = one.staged.form
        rests[form], summary.counts[form.name] = one.rejects, one.counts
        on_counts(form.name, one.counts)
    # Not before the look-up rows are there: without a file there is nothing to repeat.
    for form, rest in rests.items():
        RejectFile(options.rejects, form).replace_by(rest)
    return summary


def _rejected(options: LoadOptions, forms: Sequence[TableForm]) -> list[TableForm]:
    return [form for form in forms if RejectFile(options.rejects, form).path.is_file()]


def _staged(target: Target, connection: Connection, file: RejectFile) -> LoadedClaims:
    """Stage the claims of a reject file, in which those that cannot be read will stay."""
    staging = Staging(target, connection, file.form)
    staging.create()
    counts, rest, documents = Counts(), file.rest(), file.documents()
    while batch := list(islice(documents, _BATCH_ROWS)):
        rows = prepared(file.form, [document for document, _ in batch])
        rejects = rows.rejects + staging.add(rows.rows)
        rest.add(_placed(batch, rejects))
        counts.add(Counts(len(batch), len(batch) - len(rejects), 0, len(rejects)))
    return LoadedClaims(StagedClaims(file.form, staging.name), rest, counts)


def _placed(documents: Documents, rejects: list[Reject]) -> list[tuple[int | None, Reject]]:
    places = {id(document): place for document, place in documents}
    return [(places[id(reject.document)], reject) for reject in rejects]


class _Replay:
    def __init__(
        self, target: Target, connection: Connection, form: TableForm, file: RejectFile, counts: Counts
    ) -> None:
        self._connection = connection
        self._merge = Merge(target, connection, form, skip_duplicates=True)
        self._file = file
        self._counts = counts

    def run(self, on_counts: OnCounts) -> RejectFile:
        """Load the file batch by batch; return what is to be put in its place."""
        rest = self._file.rest()
        documents = self._file.documents()
        while batch := list(islice(documents, _BATCH_ROWS)):
            self._load(batch, rest)
            on_counts(self._merge.form.name, self._counts)
        return rest

    def _load(self, documents: Documents, rest: RejectFile) -> None:
        batch = prepared(self._merge.form, [document for document, _ in documents])
        rejects = list(batch.rejects)
        with target_faults(), self._connection.transaction():
            lift_timeouts(self._connection)
            written = self._merge.insert(batch.rows, rejects)
            rejects += self._others(batch.rows, rejects, written)
        rest.add(_placed(documents, rejects))
        read = len(documents)
        self._counts.add(Counts(read, written, read - written - len(rejects), len(rejects)))

    def _others(self, rows: Pairs, rejects: list[Reject], written: int) -> list[Reject]:
        """Return as rejects the rows that were not inserted because another has their key."""
        refused = {id(reject.document) for reject in rejects}
        accepted = [pair for pair in rows if id(pair[1]) not in refused]
        if len(accepted) == written:
            return []
        return [Reject(document, "another row has this key") for _, document in self._merge.different(accepted)]
