"""Loading one table: each batch is committed together with its checkpoint, so that any interruption can be resumed."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from actingweb.migration.batches import Batch, Reject, RowPairs
from actingweb.migration.errors import DuplicateRowError, ExitCode, MigrationError
from actingweb.migration.jobs.overlap import overlap
from actingweb.migration.rejects import RejectFile
from actingweb.migration.rows import Conversion, convert
from actingweb.migration.target.connection import lift_timeouts, target_errors
from actingweb.migration.target.copytext import copy_text
from actingweb.migration.target.progress import Counts, Progress
from actingweb.migration.target.writer import DuplicateKeyError, TableWriter

__all__ = ["Loader", "TooManyRejectsError"]

_SWITCH_SECONDS = 0.0005


class TooManyRejectsError(MigrationError):
    """More rows were rejected than allowed."""

    exit_code = ExitCode.REJECTS


@dataclass
class Loader:
    """Loads the batches of one source into one table.

    Attributes:
        ordered: whether the source is one stream that can be read again, so that documents have row numbers.
        max_rejects: how many rejects the table may have before `TooManyRejectsError` stops it; None for no limit.
        on_batch: called with the table's counts after each batch.
        unknown: how many rows had an attribute that the layout does not know, by attribute.
    """

    writer: TableWriter
    progress: Progress
    rejects: RejectFile
    ordered: bool
    max_rejects: int | None = None
    on_batch: Callable[[Counts], None] = lambda _: None
    unknown: dict[str, int] = field(default_factory=dict)

    def load(self, batches: Iterable[Batch]) -> None:
        """Load the batches behind the checkpoints. Each is converted while the one before it is written.

        Raise `DuplicateRowError` if a key exists already and duplicates are not skipped.
        """
        self._check_rejects()
        with _eager_threads():
            overlap(batches, self._convert, self._load)
        with target_errors():
            self.progress.complete()

    def undo(self, batches: Iterable[Batch]) -> None:
        """Delete the rows that were loaded from an ordered source, in one transaction.

        `batches` are those of the source from its start.
        """
        with target_errors(), self.writer.connection.transaction():
            lift_timeouts(self.writer.connection)
            self.progress.lock()
            for rows in self._loaded(batches):
                self.writer.delete(rows)
            self.progress.forget()
        self.rejects.cut(0)

    def _convert(self, batch: Batch) -> tuple[Conversion, bytes]:
        conversion = convert(self.writer.mapping, batch.documents)
        return conversion, copy_text([row for row, _ in conversion.rows])

    def _load(self, batch: Batch, converted: tuple[Conversion, bytes]) -> None:
        (conversion, text), connection = converted, self.writer.connection
        try:
            with target_errors(), connection.transaction():
                # Rows and checkpoint are lost together or not at all. The commit of the last batch waits for the disk.
                lift_timeouts(connection, synchronous=batch.last)
                self.progress.lock()
                rejects = list(conversion.rejects)
                written = self.writer.insert(conversion.rows, rejects, text)
                read = len(batch.documents)
                counts = Counts(read, written, read - written - len(rejects), len(rejects))
                self.progress.record(batch, counts, self.rejects.add(self._numbered(batch, rejects)))
        except DuplicateKeyError as duplicate:
            failure = DuplicateRowError(f"Failed to import {self.writer.mapping.name}: {duplicate}")
        else:
            self._count(counts, conversion.unknown)
            return
        raise failure

    def _numbered(self, batch: Batch, rejects: list[Reject]) -> list[tuple[int | None, Reject]]:
        if not self.ordered:
            return [(None, reject) for reject in rejects]
        numbers = _row_numbers(batch.documents, self.progress.counts.read)
        return sorted((numbers[id(reject.document)], reject) for reject in rejects)

    def _loaded(self, batches: Iterable[Batch]) -> Iterator[RowPairs]:
        """Yield the rows of the source that were loaded, batch by batch."""
        rejected_numbers = self.rejects.row_numbers()
        next_rejected = next(rejected_numbers, None)
        read = 0
        for batch in batches:
            documents = batch.documents[: self.progress.counts.read - read]
            if not documents:
                return
            numbers = _row_numbers(documents, read)
            read += len(documents)
            rejected = set()
            while next_rejected is not None and next_rejected <= read:
                rejected.add(next_rejected)
                next_rejected = next(rejected_numbers, None)
            rows = convert(self.writer.mapping, documents).rows
            yield [pair for pair in rows if numbers[id(pair[1])] not in rejected]

    def _count(self, counts: Counts, unknown: dict[str, int]) -> None:
        self.progress.counts.add(counts)
        for name, count in unknown.items():
            self.unknown[name] = self.unknown.get(name, 0) + count
        self.on_batch(self.progress.counts)
        self._check_rejects()

    def _check_rejects(self) -> None:
        if self.max_rejects is not None and self.progress.counts.rejected > self.max_rejects:
            raise TooManyRejectsError(f"{self.writer.mapping.name}: more than {self.max_rejects} rows were rejected")


@contextmanager
def _eager_threads() -> Iterator[None]:
    """Switch threads often, so that the thread that writes continues soon while another one converts rows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _row_numbers(documents: list[bytes], before: int) -> dict[int, int]:
    """Return the row numbers of document objects, by their identity, if `before` others precede them."""
    return {id(document): number for number, document in enumerate(documents, before + 1)}
