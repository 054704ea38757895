"""A connection as the layer uses it."""

import select
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from struct import Struct
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

__all__ = ["PooledConnection"]

Cursor = psycopg.Cursor[tuple[Any, ...]]

_PREPARED_FROM = 5
_PREPARED_MAX = 500
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_unpack_int8 = Struct("!q").unpack


class PooledConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements need one round trip each, also when they are prepared.

    Attributes:
        has_input: tell, without a round trip, whether the server sent something that nobody asked for.
    """

    has_input: Callable[[], object]
    _results: Cursor
    _uses: dict[bytes, int]

    def set_up(self, prepares: bool) -> None:
        """Get ready for `run` and `run_all`; with `prepares` they prepare what they run often."""
        self.has_input = _input_check(self.fileno())
        self.prepare_threshold = _PREPARED_FROM if prepares else None
        self.prepared_max = _PREPARED_MAX
        self.adapters.register_loader("timestamptz", _UtcLoader)
        for kind in (bool, datetime, int):
            self.adapters.register_dumper(kind, _UntypedDumper)
        self._uses = {}
        self.forget_results()

    def run(self, query: bytes, parameters: Mapping[str, Any]) -> Cursor:
        """Run a query and return the cursor with its results, which the next one replaces."""
        uses = self._counted(query)
        if uses != _PREPARED_FROM:
            return self._results.execute(query, parameters, prepare=uses > _PREPARED_FROM)
        with self.pipeline():
            # What prepares the query and what runs it go together.
            return self._results.execute(query, parameters, prepare=True)

    def run_all(self, steps: Sequence[tuple[bytes, Mapping[str, Any]]]) -> list[Cursor]:
        """Run queries as one transaction and return the cursors with their results."""
        uses = [self._counted(query) for query, _ in steps]
        cursors: list[Cursor] = []
        failure: psycopg.Error | None = None
        try:
            with self.pipeline():
                failure = self._queued(steps, uses, cursors)
        except psycopg.Error as error:
            failure = failure or error
        if failure is None:
            return cursors
        if _PREPARED_FROM in uses and not self.closed:
            self._forget_prepared()
        raise failure

    def _queued(
        self, steps: Sequence[tuple[bytes, Mapping[str, Any]]], uses: list[int], cursors: list[Cursor]
    ) -> psycopg.Error | None:
        """Send queries in the present pipeline; return the server's error if it comes meanwhile."""
        try:
            for (query, parameters), used in zip(steps, uses, strict=True):
                cursor = self.cursor(binary=True)
                cursors.append(cursor.execute(query, parameters, prepare=used >= _PREPARED_FROM))
        except BaseException as error:
            if isinstance(error, psycopg.Error) and error.sqlstate is not None:
                return error
            # The end of the pipeline would commit what is in it.
            self.close()
            raise
        return None

    def _forget_prepared(self) -> None:
        """Start anew after a failed pipeline, of which psycopg believes that it prepared all its statements."""
        self._uses.clear()
        with suppress(psycopg.Error):
            self.execute("DEALLOCATE ALL", prepare=False)

    def forget_results(self) -> None:
        """Release the memory of the last results of `run`."""
        self._results = self.cursor(binary=True)

    def _counted(self, query: bytes) -> int:
        """Return how often the query was run here before, as far as that matters."""
        if self.prepare_threshold is None:
            return 0
        uses = self._uses.get(query, 0)
        if uses <= _PREPARED_FROM:
            self._uses[query] = uses + 1
        return uses


class _UtcLoader(Loader):
    """Loads a binary timestamptz in UTC, whatever the session's time zone."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        try:
            return _EPOCH + timedelta(microseconds=_unpack_int8(data)[0])
        except OverflowError:
            raise psycopg.DataError("timestamp out of range") from None


class _UntypedDumper(Dumper):
    """Leaves the type to the server, as for text and None: a prepared statement belongs to its parameters' types."""

    oid = 0

    def dump(self, obj: Any) -> bytes:
        return str(obj).encode()


def _input_check(socket: int) -> Callable[[], object]:
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(socket, select.POLLIN)
        return partial(poller.poll, 0)
    return lambda: select.select([socket], [], [], 0)[0]
