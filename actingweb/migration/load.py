"""Loading one table: each batch and its progress mark in one transaction, so that any interruption can be continued."""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from actingweb.migration.batches import Batch
from actingweb.migration.copytext import copy_text
from actingweb.migration.errors import DuplicateRowError, ExitCode, MigrationError
from actingweb.migration.merge import DuplicateKeyError, Merge
from actingweb.migration.prepare import Pairs, Prepared, prepared
from actingweb.migration.progress import Counts, Progress
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.target import lift_timeouts, target_faults

__all__ = ["Loader", "TooManyRejectsError"]

_SWITCH_SECONDS = 0.0005


class TooManyRejectsError(MigrationError):
    """More rows were rejected than allowed."""

    exit_code = ExitCode.REJECTS


@dataclass
class Loader:
    """Loads the batches of one source into one table.

    Attributes:
        ordered: whether the source is one stream that can be read again, so that a document has a place in it.
        max_rejects: how many rejects the table may have before `TooManyRejectsError` stops it; None for any number.
        on_batch: called with the table's counts after each batch.
        unknown: how many rows had an attribute that the layout does not know, by attribute.
    """

    merge: Merge
    progress: Progress
    rejects: RejectFile
    ordered: bool
    max_rejects: int | None = None
    on_batch: Callable[[Counts], None] = lambda _: None
    unknown: dict[str, int] = field(default_factory=dict)

    def load(self, batches: Iterable[Batch]) -> None:
        """Load batches that lie behind the progress marks. One is prepared while the one before it is loaded.

        Raise `DuplicateRowError` if a key exists and duplicates are not to be skipped.
        """
        self._check_rejects()
        with ThreadPoolExecutor(1) as worker, _eager_threads():
            running: Future[None] | None = None
            for batch in batches:
                rows = prepared(self.merge.form, batch.documents)
                # Here and not in the worker, which waits for the server most of the time.
                text = copy_text([row for row, _ in rows.rows])
                if running is not None:
                    running.result()
                running = worker.submit(self._load, batch, rows, text)
            if running is not None:
                running.result()
        with target_faults():
            self.progress.complete()

    def undo(self, batches: Iterable[Batch]) -> None:
        """Delete the rows that were loaded from an ordered source, read again from its start, in one transaction."""
        with target_faults(), self.merge.connection.transaction():
            lift_timeouts(self.merge.connection)
            self.progress.lock()
            for rows in self._loaded(batches):
                self.merge.delete(rows)
            self.progress.forget()
        self.rejects.cut(0)

    def _load(self, batch: Batch, rows: Prepared, text: bytes) -> None:
        connection = self.merge.connection
        try:
            with target_faults(), connection.transaction():
                # Rows and mark are lost together or not at all; the last batch waits for the disk.
                lift_timeouts(connection, synchronous=batch.last)
                self.progress.lock()
                rejects = list(rows.rejects)
                written = self.merge.insert(rows.rows, rejects, text)
                read = len(batch.documents)
                counts = Counts(read, written, read - written - len(rejects), len(rejects))
                self.progress.record(batch, counts, self.rejects.add(self._placed(batch, rejects)))
        except DuplicateKeyError as duplicate:
            failure = DuplicateRowError(f"Failed to import {self.merge.form.name}: {duplicate}")
        else:
            self._count(counts, rows.unknown)
            return
        raise failure

    def _placed(self, batch: Batch, rejects: list[Reject]) -> list[tuple[int | None, Reject]]:
        if not self.ordered:
            return [(None, reject) for reject in rejects]
        places = _places(batch.documents, self.progress.counts.read)
        ascending = sorted(rejects, key=lambda reject: places[id(reject.document)])
        return [(places[id(reject.document)], reject) for reject in ascending]

    def _loaded(self, batches: Iterable[Batch]) -> Iterator[Pairs]:
        """Yield the rows that are in the target, batch by batch."""
        refused = self.rejects.places()
        next_refused = next(refused, None)
        read = 0
        for batch in batches:
            documents = batch.documents[: self.progress.counts.read - read]
            if not documents:
                return
            places = _places(documents, read)
            read += len(documents)
            rejected = set()
            while next_refused is not None and next_refused <= read:
                rejected.add(next_refused)
                next_refused = next(refused, None)
            rows = prepared(self.merge.form, documents).rows
            yield [pair for pair in rows if places[id(pair[1])] not in rejected]

    def _count(self, counts: Counts, unknown: dict[str, int]) -> None:
        self.progress.counts.add(counts)
        for name, count in unknown.items():
            self.unknown[name] = self.unknown.get(name, 0) + count
        self.on_batch(self.progress.counts)
        self._check_rejects()

    def _check_rejects(self) -> None:
        if self.max_rejects is not None and self.progress.counts.rejected > self.max_rejects:
            raise TooManyRejectsError(f"{self.merge.form.name}: more than {self.max_rejects} rows were rejected")


@contextmanager
def _eager_threads() -> Iterator[None]:
    """Let a thread that the server has answered go on at once, while another is busy preparing rows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _places(documents: list[bytes], before: int) -> dict[int, int]:
    """Return the places of document objects in a source where `before` others precede them."""
    return {id(document): place for place, document in enumerate(documents, before + 1)}
