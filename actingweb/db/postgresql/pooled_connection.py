"""A connection as the layer uses it."""

import select
from collections.abc import Callable, Mapping
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
        """Get ready for `run` and `queue`; with `prepares` they prepare what they run often."""
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

    def queue(self, query: bytes, parameters: Mapping[str, Any]) -> Cursor:
        """Run a query in the present pipeline, after which the cursor has its results."""
        prepare = self._counted(query) >= _PREPARED_FROM
        return self.cursor(binary=True).execute(query, parameters, prepare=prepare)

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
