"""The threads: when there are any, how many, and what becomes of their calls."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from operator import add

import pytest

from actingweb.db import DbTimeoutError, aio, get_actor, load_backend
from actingweb.db.aio.workers import Workers, workers_of
from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.registry import Backend
from testbed.threads import PATIENCE
from tests.conftest import SetEnv
from tests.supply.packages import ROOT
from tests.support import wait_until

VARIABLE: ContextVar[str] = ContextVar("variable", default="")


@contextmanager
def workers(size: int, seconds: float = 60.0) -> Iterator[Workers]:
    made = Workers(size, seconds)
    yield made
    made.close()
    wait_until(lambda: made._count == 0)


class Gate:
    """A call that ends when the gate opens."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.entered.release()
        self.opened.wait(60)
        return threading.current_thread().name


async def entered(gate: Gate) -> None:
    await asyncio.to_thread(gate.entered.acquire, timeout=60)


def test_no_thread_is_started_before_the_first_call() -> None:
    with workers(3) as made:
        assert made._count == 0
        assert asyncio.run(made.run(lambda: 1)) == 1
        assert made._count == 1


def test_a_thread_is_used_again_by_the_next_loop() -> None:
    with workers(3) as made:
        assert len({asyncio.run(made.run(threading.get_ident)) for _ in range(5)}) == 1


def test_there_are_at_most_so_many_threads_and_calls_wait_their_turn() -> None:
    order: list[int] = []

    async def main(made: Workers) -> None:
        gate = Gate()
        held = [asyncio.ensure_future(made.run(gate)) for _ in range(2)]
        for _ in held:
            await entered(gate)
        waiting = [asyncio.ensure_future(made.run(partial(order.append, number))) for number in range(9)]
        await asyncio.sleep(0)
        assert (made._count, len(made._waiting), order) == (2, 9, [])
        gate.opened.set()
        await asyncio.gather(*held, *waiting)

    with workers(2) as made:
        asyncio.run(main(made))
        assert made._count == 2
    assert sorted(order) == [*range(9)]


def test_several_loops_in_several_threads_share_the_threads() -> None:
    def work(number: int) -> list[int]:
        async def main() -> list[int]:
            found: list[int] = await asyncio.gather(*(made.run(partial(add, number, each)) for each in range(50)))
            return found

        return asyncio.run(main())

    with workers(3) as made, ThreadPoolExecutor(8) as loops:
        for number, found in enumerate(loops.map(work, range(8))):
            assert found == [number + each for each in range(50)]
        assert made._count == 3


def test_a_call_sees_the_context_variables_of_its_task() -> None:
    async def main(value: str) -> str:
        VARIABLE.set(value)
        return await made.run(lambda: VARIABLE.get())

    with workers(1) as made:
        assert [asyncio.run(main(value)) for value in "ab"] == ["a", "b"]
    assert VARIABLE.get() == ""


@pytest.mark.parametrize("error", [ValueError("x"), StopAsyncIteration(), SystemExit(3)])
def test_what_a_call_raises_is_raised(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def main() -> None:
        with pytest.raises(type(error)):
            await made.run(fail)

    with workers(1) as made:
        asyncio.run(main())


def test_a_stop_iteration_is_raised_as_a_coroutine_raises_it() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(made.run(partial(next, iter(()))), PATIENCE)

    with workers(1) as made:
        asyncio.run(main())


def test_a_call_for_threads_that_are_about_to_end_gets_a_new_one() -> None:
    async def main() -> None:
        gate = Gate()
        held = asyncio.ensure_future(made.run(gate))
        await entered(gate)
        made.close()
        waiting = asyncio.ensure_future(made.run(lambda: 2))
        await asyncio.sleep(0)
        gate.opened.set()
        await held
        assert await asyncio.wait_for(waiting, PATIENCE) == 2
        assert await asyncio.wait_for(made.run(lambda: 3), PATIENCE) == 3

    with workers(1) as made:
        asyncio.run(main())


def test_a_call_that_gets_no_thread_in_time_raises_a_timeout_and_is_not_made() -> None:
    async def main(made: Workers) -> None:
        gate = Gate()
        held = asyncio.ensure_future(made.run(gate))
        await entered(gate)
        with pytest.raises(DbTimeoutError, match="no thread became free in time"):
            await made.run(gate)
        gate.opened.set()
        await held
        await made.run(lambda: None)
        assert gate.calls == 1

    with workers(1, 0.02) as made:
        asyncio.run(main(made))


def test_a_cancelled_call_that_waits_for_a_thread_is_not_made() -> None:
    async def main(made: Workers) -> None:
        gate = Gate()
        held = asyncio.ensure_future(made.run(gate))
        await entered(gate)
        waiting = asyncio.ensure_future(made.run(gate))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not made._waiting
        gate.opened.set()
        await held
        assert gate.calls == 1

    with workers(1) as made:
        asyncio.run(main(made))


def test_a_cancelled_call_returns_at_once_and_its_thread_ends_it_first() -> None:
    async def main(made: Workers) -> None:
        gate = Gate()
        held = asyncio.ensure_future(made.run(gate))
        await entered(gate)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        following = asyncio.ensure_future(made.run(lambda: gate.opened.is_set()))
        await asyncio.sleep(0.02)
        assert not following.done()
        gate.opened.set()
        assert await following

    with workers(1) as made:
        asyncio.run(main(made))


def test_a_loop_may_end_before_the_call_does() -> None:
    gate = Gate()

    async def main(made: Workers) -> None:
        asyncio.ensure_future(made.run(gate))  # noqa: RUF006 - the end of the loop cancels it
        await entered(gate)

    with workers(1) as made:
        asyncio.run(main(made))
        gate.opened.set()
        assert asyncio.run(made.run(lambda: 1)) == 1


def test_the_number_of_threads_is_that_of_the_connections(set_env: SetEnv) -> None:
    set_env(PG_POOL_MAX_SIZE="3", PG_POOL_TIMEOUT="7", AWS_DB_TIMEOUT="5")
    assert (workers_of("postgresql")._size, workers_of("postgresql")._seconds) == (3, 7)
    assert (workers_of("dynamodb")._size, workers_of("dynamodb")._seconds) == (50, 5)
    assert inspect.signature(Client).parameters["connections"].default == 50
    former = workers_of("postgresql")
    assert workers_of("postgresql") is former
    set_env(PG_POOL_MAX_SIZE="4")
    assert workers_of("postgresql")._size == 4
    assert former._is_closed


def test_no_secret_is_in_a_repr_or_the_frames_of_an_error() -> None:
    config = load_backend("memory")

    async def main() -> str:
        task = asyncio.ensure_future(aio.get_property(config).set("a", "n\x00", "canary-secret"))
        await asyncio.sleep(0)
        shown = repr(task) + repr(task.get_coro())
        with pytest.raises(ValueError, match="U\\+0000") as raised:
            await task
        trace = raised.value.__traceback__
        while trace is not None:
            if trace.tb_frame.f_globals["__name__"].startswith("actingweb"):
                shown += repr(trace.tb_frame.f_locals)
            trace = trace.tb_next
        return shown

    assert "canary" not in asyncio.run(main(), debug=True)


FORK = """
import asyncio, os, sys, threading
from actingweb.db import load_backend
from actingweb.db.aio import get_actor
config = load_backend()
async def read():
    return [(await get_actor(config).get(id))["id"] for id in sys.argv[1:]]
before = asyncio.run(read())
child = os.fork()
if child == 0:
    assert not [thread for thread in threading.enumerate() if thread.name == "actingweb-aio"]
    os._exit(0 if asyncio.run(read()) == before else 1)
assert os.waitpid(child, 0)[1] == 0
assert asyncio.run(read()) == before
print(len([thread for thread in threading.enumerate() if thread.name == "actingweb-aio"]))
"""


@pytest.mark.backends("dynamodb", "postgresql")
def test_a_child_process_has_threads_of_its_own(backend: Backend, new_actor: Callable[..., str]) -> None:
    ids = [new_actor(), new_actor()]
    done = subprocess.run([sys.executable, "-c", FORK, *ids], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


EXIT = """
import asyncio, threading, time
from actingweb.db.aio.workers import workers_of
begun = threading.Event()
def slow():
    begun.set(); time.sleep(0.3); print("ended")
async def main():
    asyncio.ensure_future(workers_of("dynamodb").run(slow))
    await asyncio.to_thread(begun.wait)
asyncio.run(main())
"""


def test_a_process_ends_after_the_calls_that_have_begun() -> None:
    done = subprocess.run([sys.executable, "-c", EXIT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ended"), done.stderr


ABANDONED = """
import asyncio, time
from queue import SimpleQueue
from actingweb.db.aio import workers
loop = asyncio.new_event_loop()
made = workers.workers_of("postgresql")
loop.run_until_complete(made.run(int, None, SimpleQueue()))
deadline = time.monotonic() + 60
while made.busy and time.monotonic() < deadline:
    time.sleep(0.01)
workers.time.sleep = exit
"""


def test_a_process_does_not_wait_for_a_transaction_that_nobody_goes_on_with() -> None:
    """Its loop was closed with the task in the block. A process that waits sleeps."""
    done = subprocess.run([sys.executable, "-c", ABANDONED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.backends("postgresql")
def test_a_slow_statement_does_not_block_the_loop(backend: Backend, actor_id: str) -> None:
    from actingweb.db.postgresql.connection import get_connection

    async def main() -> None:
        with get_connection() as connection:
            connection.execute("SELECT FROM actors WHERE id = %s FOR UPDATE", [actor_id])
            actor = aio.get_actor(backend)
            assert await actor.get(actor_id)
            writing = asyncio.ensure_future(actor.modify(creator="new"))
            for _ in range(20):
                assert await aio.get_actor(backend).get(actor_id)
                await asyncio.sleep(0)
            assert not writing.done()
        assert await writing

    asyncio.run(main())
    found = get_actor(backend).get(actor_id)
    assert found is not None
    assert found["creator"] == "new"
