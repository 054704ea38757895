"""Where the calls of a task are made: in any thread, or in that of the transaction that the task has begun."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import Context, ContextVar, Token, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from actingweb.db import transactions
from actingweb.db.aio.workers import Followers, Job, workers_of
from actingweb.db.exceptions import DbNotSupportedError
from actingweb.db.settings import get_settings

__all__ = ["run", "transaction"]

T = TypeVar("T")

_OTHER_TASK = (
    "a transaction belongs to the asyncio task that began it: begin another one in this task; asyncio.gather, and "
    "asyncio.wait_for before Python 3.12, make their calls in tasks of their own"
)


async def run(database: str, call: Callable[[], T]) -> T:
    """Make a call to a backend in a thread: in that of the open transaction, if there is one. See `Workers.run`."""
    block = _open_block(database)
    return await (workers_of(database).run(call) if block is None else block.run(call))


@asynccontextmanager
async def transaction(config: Any = None) -> AsyncIterator[None]:
    """Make the calls of an `async with` block one transaction: at its end all their writes are stored, or none.

    `actingweb.db.transaction` describes it. The block holds a thread and a connection, and all calls of its task use
    them; a call of another task that begins in the block raises `DbNotSupportedError`.

    If the task is cancelled in the block, nothing of the block is stored: the transaction is rolled back, which the
    cancelled task does not wait for. If it is cancelled at the end of the block, the transaction may be committed.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.

    Raises:
        DbError: see `actingweb.db.transaction`.
    """
    database = get_settings().database_backend if config is None else config.database
    outer = _open_block(database)
    block = outer or _Block(database)
    begun = _Transaction(config)
    try:
        await block.run(begun.begin)
        _current.set(block)
        try:
            yield
        except Exception as error:
            await block.run(partial(begun.end, error))
            raise
        await block.run(begun.end)
    except BaseException:
        block.hand_over(begun.abandon)
        raise
    finally:
        if outer is None:
            block.leave()


class _Transaction:
    """A transaction of the layer. Its methods are called in the thread that it belongs to."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._manager: AbstractContextManager[None] | None = None

    def begin(self) -> None:
        manager = transactions.transaction(self._config)
        manager.__enter__()
        self._manager = manager

    def end(self, error: Exception | None = None) -> None:
        """Commit; after an error roll back."""
        self._leave(error)

    def abandon(self) -> None:
        """Roll back, if it was begun and has not ended."""
        self._leave(asyncio.CancelledError())

    def _leave(self, error: BaseException | None) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.__exit__(None if error is None else type(error), error, None)


class _Block:
    """The thread of a transaction, which makes the calls of the block one after the other."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.outer = _current.get()
        self.task = asyncio.current_task()
        self.has_ended = False
        # Empty, so that each variable of the task can be taken out of it again.
        self._context = Context()
        self._tokens: dict[ContextVar[Any], Token[Any]] = {}
        self._calls: Followers = SimpleQueue()
        self._has_thread = False

    async def run(self, call: Callable[[], T]) -> T:
        """Make a call in the thread; the first takes the thread. See `Workers.run`."""
        call = partial(self._in_context, copy_context(), call)
        if not self._has_thread:
            self._has_thread = True
            return await workers_of(self.database).run(call, self._context, self._calls)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = Job(call, self._context, future)
        self._calls.put(job)
        del call
        try:
            return await future
        except asyncio.CancelledError:
            job.withdraw()
            raise
        finally:
            # What it raises refers to this frame.
            del job, future

    def hand_over(self, call: Callable[[], None]) -> None:
        """Let the thread make a call whose outcome nobody waits for."""
        self._calls.put(Job(call, self._context, None))

    def leave(self) -> None:
        """Free the thread after the calls that it has still to make."""
        self.has_ended = True
        # An asynchronous generator that was left can end in another context.
        if _current.get() is self:
            _current.set(self.outer)
        self._calls.put(None)

    def _in_context(self, context: Context, call: Callable[[], T]) -> T:
        """Make a call with the variables of the task. The transaction itself is a variable of the thread's context."""
        self._take_over(context)
        return call()

    def _take_over(self, context: Context) -> None:
        """Set the variables of the thread's context as in another one, whose values no error report shall show."""
        for variable in [variable for variable in self._tokens if variable not in context]:
            variable.reset(self._tokens.pop(variable))
        for variable, value in context.items():
            if variable.get(context) is not value:
                self._tokens.setdefault(variable, variable.set(value))


_current: ContextVar[_Block | None] = ContextVar("block", default=None)


def _open_block(database: str) -> _Block | None:
    """Return the task's open transaction on a backend. Raise `DbNotSupportedError` if it is another task's."""
    block = _current.get()
    while block is not None and (block.has_ended or block.database != database):
        block = block.outer
    if block is not None and block.task is not asyncio.current_task():
        raise DbNotSupportedError("transaction", reason=_OTHER_TASK)
    return block
