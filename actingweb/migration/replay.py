"""Loading rejected rows again, after their documents were corrected in the reject files."""

from contextlib import closing
from itertools import islice

from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import UsageError
from actingweb.migration.lookups import insert_missing_claims
from actingweb.migration.merge import Merge
from actingweb.migration.prepare import Pairs, prepared
from actingweb.migration.progress import Counts, is_unfinished
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.tables import FORMS
from actingweb.migration.target import Connection, Target, target_faults, unlimited
from actingweb.migration.transfer import LoadOptions, OnCounts, Summary

__all__ = ["replay_rejects"]

# Few enough for memory when each document is as large as DynamoDB allows.
_BATCH_ROWS = 100


def replay_rejects(target: Target, options: LoadOptions, on_counts: OnCounts) -> Summary:
    """Load the documents of the reject files and leave in these what still cannot be loaded.

    A row that is there already, as it is in the file, counts as skipped; if it is there but different, the document
    stays rejected. May be interrupted and repeated at any time. Raise `UsageError` if there is no reject file or a load
    is unfinished, `SourceError` if a reject file is malformed, `TargetError` for faults of the target.
    """
    forms = [form for form in FORMS if RejectFile(options.rejects, form).path.is_file()]
    if not forms:
        raise UsageError(f"{options.rejects} has no reject file")
    with closing(target.connect()) as connection:
        target.check(connection)
        with target_faults():
            if is_unfinished(target, connection):
                raise UsageError("a load of this schema is unfinished: finish it first")
        summary = Summary()
        for form in forms:
            counts = summary.counts[form.name] = Counts()
            _Replay(target, connection, form, RejectFile(options.rejects, form), counts).run(on_counts)
        with target_faults():
            summary.look_ups = insert_missing_claims(target, connection, options.indexed_properties)
    return summary


class _Replay:
    def __init__(
        self, target: Target, connection: Connection, form: TableForm, file: RejectFile, counts: Counts
    ) -> None:
        self._connection = connection
        self._merge = Merge(target, connection, form, skip_duplicates=True)
        self._file = file
        self._counts = counts

    def run(self, on_counts: OnCounts) -> None:
        """Load the file batch by batch, then put what is left in its place."""
        rest = self._file.rest()
        documents = self._file.documents()
        while batch := list(islice(documents, _BATCH_ROWS)):
            self._load(batch, rest)
            on_counts(self._merge.form.name, self._counts)
        self._file.replace_by(rest)

    def _load(self, documents: list[tuple[bytes, int | None]], rest: RejectFile) -> None:
        batch = prepared(self._merge.form, [document for document, _ in documents])
        rejects = list(batch.rejects)
        with target_faults(), self._connection.transaction():
            unlimited(self._connection)
            written = self._merge.insert(batch.rows, rejects)
            rejects += self._others(batch.rows, rejects, written)
        places = {id(document): place for document, place in documents}
        rest.add((places[id(reject.document)], reject) for reject in rejects)
        read = len(documents)
        self._counts.add(Counts(read, written, read - written - len(rejects), len(rejects)))

    def _others(self, rows: Pairs, rejects: list[Reject], written: int) -> list[Reject]:
        """Return as rejects the rows that were not inserted because another has their key."""
        refused = {id(reject.document) for reject in rejects}
        accepted = [pair for pair in rows if id(pair[1]) not in refused]
        if len(accepted) == written:
            return []
        return [Reject(document, "another row has this key") for _, document in self._merge.different(accepted)]
