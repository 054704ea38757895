"""The connections of the pool. They run statements directly through libpq, at half the cost of a psycopg cursor."""

import math
import os
import select
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Self, TypeVar

import psycopg
from psycopg.abc import PQGenConn
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from actingweb.db import events
from actingweb.db.observe import Server
from actingweb.db.postgresql.adapters import LOADERS
from actingweb.db.postgresql.connecting import connect
from actingweb.db.postgresql.statement import Query
from actingweb.db.postgresql.watching import watch_silence

__all__ = ["BACKEND", "NoAnswerError", "Parameters", "PooledConnection", "Result"]

BACKEND = "postgresql"

T = TypeVar("T")

Parameters = Mapping[str, Any] | tuple[Any, ...]
"""The values of a statement: by parameter name, or in the order in which the parameters first occur."""
Values = list[bytes | None]

_PREPARED_MAX = 500
_SILENT = "no answer in time"
_BEGIN: tuple[bytes, Values] = (b"BEGIN", [])
_COMMIT: tuple[bytes, Values] = (b"COMMIT", [])


class NoAnswerError(psycopg.OperationalError):
    """The server sent nothing for PG_DB_TIMEOUT. Whether it still completes the statement is unknown."""


class Result(NamedTuple):
    """The result of a statement.

    Attributes:
        rowcount: the number of rows written or deleted.
        rows: the rows returned.
    """

    rowcount: int
    rows: list[tuple[Any, ...]]


class PooledConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that runs and prepares each statement in one round trip.

    Attributes:
        has_input: tells, without a round trip, whether the socket has input. An idle connection has some only if the
            server closed it or sent a notice.
        lender: the pool that lent the connection, None while it is idle.
        lent_at: when it was taken out of psycopg_pool, by the monotonic clock.
        server: that it leads to, from `set_up` on.
    """

    silence = math.inf
    lender: object = None
    lent_at = 0.0
    server: Server
    _is_counted = False
    _is_lost = False
    has_input: Callable[[], object]
    _await_input: Callable[[], object]
    _await_writable: Callable[[], object]
    _names: dict[bytes, bytes]

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> PQGenConn[Self]:
        return cls((yield from connect(conninfo, **options)))

    def set_up(self, timeout: float) -> None:
        """Prepare for `run`, `run_all` and `command`. A statement fails if the server sends nothing for `timeout` s."""
        self.silence = timeout
        silence = math.ceil(timeout * 1000)
        waiter = _waiter(self.fileno(), writes=False)
        self.has_input = partial(waiter, 0)
        self._await_input = partial(waiter, silence)
        self._await_writable = partial(_waiter(self.fileno(), writes=True), silence)
        self._process = os.getpid()
        # A Transformer without a connection loads every timestamptz as UTC.
        self._transformer = Transformer(LOADERS)
        self._names = {}
        self._room = 0
        self._numbers = count()
        info = self.info
        peer = f"{info.hostaddr or info.host}:{info.port}"
        self.server = Server(BACKEND, info.host, info.port, info.dbname, peer)
        self._is_counted = True
        events.connection_opened(self.server)

    @property
    def is_foreign(self) -> bool:
        """Whether it is the parent process that uses the connection, because this one was forked meanwhile."""
        return self._process != os.getpid()

    def close(self) -> None:
        """Do the same as psycopg's method, and count the connection as closed; nothing if it is foreign."""
        if self._is_counted and self.is_foreign:
            return
        was_counted, self._is_counted = self._is_counted, False
        super().close()
        if was_counted:
            events.connection_closed(self.server)

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Do the same as psycopg's method; after `silence` seconds close the connection and raise `NoAnswerError`."""
        return super().wait(watch_silence(gen, self.silence, self._give_up), *args, **kwargs)

    def _give_up(self) -> None:
        self.close()
        raise NoAnswerError(_SILENT)

    def report_loss(self) -> None:
        """Count the connection as lost, once."""
        if not self._is_lost:
            self._is_lost = True
            events.connection_lost(self.server)

    def set_preparing(self, prepares: bool) -> None:
        """Set whether `run` and `run_all` prepare their statements. By default they do not."""
        if prepares:
            self._room = _PREPARED_MAX
        else:
            self.prepare_threshold = None

    def run(self, query: Query, parameters: Parameters) -> Result:
        """Run a query. Raise `psycopg.Error`."""
        values = _dump_all(query, parameters)
        name = self._names.get(query.text)
        if name is None and self._room:
            return self._run_pipeline([(query.text, values)])[0]
        return self._run_single(name, query.text, values)

    def command(self, text: bytes) -> Result:
        """Run a statement without parameters and without preparing it. Raise `psycopg.Error`."""
        return self._run_single(None, text, [])

    def script(self, text: bytes) -> list[PGresult]:
        """Run commands without parameters, sent as one text. Return their results, the first failed one as the last.

        If the connection is lost after the first result, it is closed. Raise `psycopg.Error` if it is lost before that.
        """
        results: list[PGresult] = []
        try:
            self.pgconn.send_query(text)
            self._flush()
            while (result := self._next_result()) is not None:
                results.append(result)
        except psycopg.OperationalError:
            self.close()
            if not results:
                raise
        except BaseException:
            self.close()
            raise
        if not results:
            raise psycopg.OperationalError("the connection is closed")
        return results

    def forget_prepared(self) -> None:
        """Forget the prepared statements, because the server has dropped them all."""
        if self._names:
            self._names = {}
            self._room = _PREPARED_MAX

    def _run_single(self, name: bytes | None, text: bytes, values: Values) -> Result:
        pgconn = self.pgconn
        try:
            if name is None:
                pgconn.send_query_params(text, values, result_format=Format.BINARY)
            else:
                pgconn.send_query_prepared(name, values, result_format=Format.BINARY)
            self._flush()
            result = self._read_to_end(self._next_result())
        except BaseException:
            # The state of the connection is unknown.
            self.close()
            raise
        return self._outcome(result)

    def run_all(self, steps: Sequence[tuple[Query, Parameters]], explicit: bool) -> list[Result]:
        """Run queries in one round trip, as one transaction or as part of the open one. Raise `psycopg.Error`.

        PostgreSQL runs a pipeline as one transaction; `explicit` adds BEGIN and COMMIT for servers that do not.
        """
        texts = [(query.text, _dump_all(query, parameters)) for query, parameters in steps]
        if explicit and self.pgconn.transaction_status == TransactionStatus.IDLE:
            return self._run_explicit(texts)
        return self._run_pipeline(texts)

    def _run_explicit(self, steps: list[tuple[bytes, Values]]) -> list[Result]:
        results, made = self._exchange([_BEGIN, *steps, _COMMIT])
        if self.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            # If ROLLBACK fails, the connection is closed, which rolls back too.
            with suppress(psycopg.Error):
                self.command(b"ROLLBACK")
        # Results after that of COMMIT concern the connection, not the transaction.
        return self._outcomes(results[: len(made)], made)[1:-1]

    def _run_pipeline(self, steps: list[tuple[bytes, Values]]) -> list[Result]:
        return self._outcomes(*self._exchange(steps))

    def _exchange(self, steps: list[tuple[bytes, Values]]) -> tuple[list[PGresult], list[tuple[bytes, bytes | None]]]:
        """Run a pipeline; return its results and the messages that `_send` sent."""
        try:
            self.pgconn.enter_pipeline_mode()
            made = self._send(steps)
            self.pgconn.pipeline_sync()
            self._flush()
            results = list(self._until_sync())
            if self.pgconn.status == ConnStatus.OK:
                self.pgconn.exit_pipeline_mode()
        except BaseException:
            self.close()
            raise
        for result, (text, name) in zip(results, made, strict=False):
            if name is not None and result.status == ExecStatus.COMMAND_OK:
                self._names[text] = name
                self._room -= 1
        return results, made

    def _outcomes(self, results: list[PGresult], made: list[tuple[bytes, bytes | None]]) -> list[Result]:
        outcomes = [self._outcome(result) for result in results]
        return [outcome for outcome, (_, name) in zip(outcomes, made, strict=True) if name is None]

    def _send(self, steps: list[tuple[bytes, Values]]) -> list[tuple[bytes, bytes | None]]:
        """Send queries, and prepare new ones. Return the text of each message, with the name if it prepares one."""
        made: list[tuple[bytes, bytes | None]] = []
        names: dict[bytes, bytes] = {}
        for text, values in steps:
            name = self._names.get(text) or names.get(text)
            if name is None and len(names) < self._room:
                name = names[text] = b"actingweb_%d" % next(self._numbers)
                self.pgconn.send_prepare(name, text)
                made.append((text, name))
            if name is None:
                self.pgconn.send_query_params(text, values, result_format=Format.BINARY)
            else:
                self.pgconn.send_query_prepared(name, values, result_format=Format.BINARY)
            made.append((text, None))
        return made

    def _until_sync(self) -> Iterator[PGresult]:
        """Yield the results until the pipeline ends or the connection is lost."""
        failed = False
        while True:
            try:
                result = self._next_result()
            except psycopg.OperationalError:
                if failed:
                    return
                raise
            if result is None:
                if self.pgconn.status != ConnStatus.OK:
                    return
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return
            else:
                # After a failure the server reports all later statements as aborted.
                failed = failed or _is_failure(result)
                yield result

    def _read_to_end(self, result: PGresult | None) -> PGresult | None:
        """Read all results of a statement; return the first one, or the error if the commit failed."""
        try:
            while (more := self._next_result()) is not None:
                result = more if _is_failure(more) else result
        except psycopg.OperationalError:
            if not _is_failure(result):
                raise
        return result

    def _flush(self) -> None:
        """Send the buffered output, and read what the server sends, so that neither side blocks."""
        while self.pgconn.flush():
            if not self._await_writable():
                raise NoAnswerError(_SILENT)
            self.pgconn.consume_input()

    def _next_result(self) -> PGresult | None:
        """Return the next result; None after the last one of a statement."""
        while self.pgconn.is_busy():
            if not self._await_input():
                raise NoAnswerError(_SILENT)
            self.pgconn.consume_input()
        return self.pgconn.get_result()

    def _outcome(self, result: PGresult | None) -> Result:
        if result is None:
            raise psycopg.OperationalError("the connection is closed")
        if result.status == ExecStatus.COMMAND_OK:
            return Result(result.command_tuples or 0, [])
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result, "utf-8")
        transformer = self._transformer
        transformer.set_pgresult(result)
        rows: list[tuple[Any, ...]] = transformer.load_rows(0, result.ntuples, tuple)
        # Do not keep the rows, which can be large, as long as the connection.
        transformer.set_pgresult(None)
        return Result(result.command_tuples or 0, rows)


def _is_failure(result: PGresult | None) -> bool:
    """Tell whether a result is an error, which may have come just before the connection was closed."""
    return result is not None and result.status == ExecStatus.FATAL_ERROR


def _dump_all(query: Query, parameters: Parameters) -> Values:
    """Return the parameters of a query as text; the server infers their types."""
    values: Values = []
    for value in parameters if isinstance(parameters, tuple) else map(parameters.__getitem__, query.names):
        # Inlined because most values are None or plain strings.
        if value is None:
            values.append(None)
        elif value.__class__ is str and "\x00" not in value:
            values.append(value.encode())
        else:
            values.append(_dump(value))
    return values


def _dump(value: Any) -> bytes:
    if value.__class__ is bool:
        return b"t" if value else b"f"
    if value.__class__ is str:
        if "\x00" in value:
            # libpq would end the text at this character.
            raise psycopg.DataError("PostgreSQL text cannot contain U+0000")
        return value.encode()
    return _dump_array(value) if isinstance(value, list) else str(value).encode()


def _dump_array(values: list[str]) -> bytes:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return _dump("{" + ",".join(f'"{value}"' for value in escaped) + "}")


def _waiter(socket: int, *, writes: bool) -> Callable[[int], object]:
    """Return a function that waits until a socket can be read or, with `writes`, can be read or written.

    Its argument is the timeout in milliseconds. It returns a false value after the timeout.
    """
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(socket, select.POLLIN | (select.POLLOUT if writes else 0))
        return poller.poll

    def wait(milliseconds: int) -> list[int]:
        readable, writable, _ = select.select([socket], [socket] if writes else [], [], milliseconds / 1000)
        return readable + writable

    return wait
