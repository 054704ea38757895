"""`async with transaction()`: one thread and one connection for the block, whatever ends it."""

# ruff: noqa: PT012 - what is tested is how a block ends

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncGenerator, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from actingweb.db import (
    DbConnectionError,
    DbError,
    DbNotSupportedError,
    DbOutcomeUnknownError,
    DbUnknownActorError,
    aio,
    get_property,
    get_property_list,
    transaction,
)
from actingweb.db.aio import transactions
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from testbed.threads import PATIENCE
from tests.conftest import SetEnv

from .stepping import Reached, cancelled_at

postgresql = pytest.mark.backends("postgresql")
VARIABLE: ContextVar[str] = ContextVar("variable", default="")


@lacks(Capability.TRANSACTIONS)
def test_a_backend_without_transactions_says_so(backend: Backend) -> None:
    async def main() -> None:
        with pytest.raises(DbNotSupportedError, match="set_many"):
            async with aio.transaction(backend):
                pytest.fail("the block began")
        assert await aio.get_actor(backend).get("a") is None

    asyncio.run(main())


async def write(backend: Backend, actor_id: str, *names: str) -> None:
    for name in names:
        assert await aio.get_property(backend).set(actor_id, name, "1")


def stored(backend: Backend, actor_id: str) -> set[str]:
    return {*(get_property_list(backend).fetch(actor_id) or {})}


@postgresql
def test_all_is_stored_at_the_end_of_the_block(backend: Backend, actor_id: str) -> None:
    async def main() -> None:
        async with aio.transaction():
            await write(backend, actor_id, "color")
            assert await aio.get_property(backend).get(actor_id, "color") == "1"
            assert await asyncio.to_thread(stored, backend, actor_id) == set()
            assert [row["id"] async for row in aio.get_actor_list(backend).iterate()] == [actor_id]

    asyncio.run(main())
    assert stored(backend, actor_id) == {"color"}


@postgresql
def test_blocks_in_blocks_are_undone_alone(backend: Backend, actor_id: str) -> None:
    async def main() -> None:
        async with aio.transaction(backend):
            await write(backend, actor_id, "outer")
            with pytest.raises(DbUnknownActorError):
                async with aio.transaction(backend):
                    await write(backend, actor_id, "inner")
                    await write(backend, "nobody", "inner")
            async with aio.transaction(backend):
                await write(backend, actor_id, "second")

    asyncio.run(main())
    assert stored(backend, actor_id) == {"outer", "second"}


@postgresql
def test_an_exception_undoes_all_and_is_raised(backend: Backend, actor_id: str) -> None:
    error = ZeroDivisionError()

    async def main() -> None:
        async with aio.transaction(backend):
            await write(backend, actor_id, "color")
            raise error

    with pytest.raises(ZeroDivisionError) as raised:
        asyncio.run(main())
    assert raised.value is error
    assert stored(backend, actor_id) == set()


@postgresql
def test_a_failure_that_is_kept_inside_stores_nothing(backend: Backend, actor_id: str) -> None:
    async def main() -> None:
        async with aio.transaction(backend):
            await write(backend, actor_id, "color")
            with pytest.raises(DbUnknownActorError):
                await write(backend, "nobody", "color")

    with pytest.raises(DbError, match="nothing of the block is stored"):
        asyncio.run(main())
    assert stored(backend, actor_id) == set()


@postgresql
def test_calls_of_other_tasks_in_the_block_are_refused(backend: Backend, actor_id: str) -> None:
    async def main() -> None:
        async with aio.transaction(backend):
            for coroutine in (write(backend, actor_id, "color"), nested(backend)):
                with pytest.raises(DbNotSupportedError, match="asyncio task that began it"):
                    await asyncio.create_task(coroutine)
            await write(backend, actor_id, "size")

    asyncio.run(main())
    assert stored(backend, actor_id) == {"size"}


@postgresql
def test_a_task_that_was_started_in_a_block_goes_on_outside_of_it(backend: Backend, actor_id: str) -> None:
    async def later(ended: asyncio.Event) -> None:
        await ended.wait()
        await write(backend, actor_id, "color")

    async def main() -> None:
        ended = asyncio.Event()
        async with aio.transaction(backend):
            task = asyncio.create_task(later(ended))
        ended.set()
        await task

    asyncio.run(main())
    assert stored(backend, actor_id) == {"color"}


async def nested(backend: Backend) -> None:
    async with aio.transaction(backend):
        pytest.fail("the block began")


@postgresql
def test_transactions_of_several_tasks_are_apart(backend: Backend, actor_id: str, set_env: SetEnv) -> None:
    """More of them than there are connections: the others wait for one."""
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="3")

    async def one(number: int) -> None:
        async with aio.transaction(backend):
            threads = {await transactions.run("postgresql", threading.get_ident)}
            await write(backend, actor_id, f"p{number}")
            threads.add(await transactions.run("postgresql", threading.get_ident))
            assert len(threads) == 1
            if number % 2:
                raise ZeroDivisionError

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(12)), return_exceptions=True)

    asyncio.run(main())
    assert stored(backend, actor_id) == {f"p{number}" for number in range(0, 12, 2)}


@postgresql
def test_calls_in_the_block_see_the_context_variables_of_the_task(backend: Backend) -> None:
    async def main() -> None:
        async with aio.transaction(backend):
            for value in ("a", "b"):
                VARIABLE.set(value)
                assert await transactions.run("postgresql", VARIABLE.get) == value

    asyncio.run(main())


@postgresql
def test_no_context_variable_is_in_the_frames_of_an_error(backend: Backend) -> None:
    async def main() -> None:
        variables: list[ContextVar[str]] = [ContextVar(f"variable {number}") for number in range(50)]
        for variable in variables:
            variable.set("canary-secret")
        async with aio.transaction(backend):
            await write(backend, "nobody", "color")

    with pytest.raises(DbUnknownActorError) as raised:
        asyncio.run(main())
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    shown = [repr(frame.f_locals) for frame in frames if frame.f_globals["__name__"].startswith("actingweb")]
    assert len(shown) > 5
    assert "canary" not in "".join(shown)


@postgresql
def test_variables_that_the_task_has_taken_back_are_not_seen(backend: Backend, actor_id: str) -> None:
    """A transaction of the loop's own thread is one, so a call after it belongs to the task's again."""

    async def main() -> None:
        async with aio.transaction(backend):
            token = VARIABLE.set("a")
            assert await transactions.run("postgresql", VARIABLE.get) == "a"
            VARIABLE.reset(token)
            assert await transactions.run("postgresql", VARIABLE.get) == ""
            with transaction(backend), pytest.raises(DbNotSupportedError):
                await write(backend, actor_id, "size")
            await write(backend, actor_id, "color")

    asyncio.run(main())
    assert stored(backend, actor_id) == {"color"}


@postgresql
def test_a_generator_that_was_left_in_its_block_has_no_transaction_any_more(backend: Backend, actor_id: str) -> None:
    """Python closes it in another task; the calls of its own task are outside of the transaction then."""

    async def rows() -> AsyncGenerator[int, None]:
        async with aio.transaction(backend):
            await write(backend, actor_id, "color")
            yield 1

    async def main() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        left = rows()
        assert await anext(left) == 1
        closing = asyncio.create_task(left.aclose())
        del left
        await asyncio.wait_for(closing, PATIENCE)
        await write(backend, actor_id, "size")
        assert faults == []

    asyncio.run(main())
    assert stored(backend, actor_id) == {"size"}


@postgresql
def test_a_call_that_is_cancelled_behind_another_is_not_made(backend: Backend, actor_id: str) -> None:
    """The block goes on, as it does after `asyncio.timeout` inside of it."""
    gate = threading.Event()

    async def main() -> None:
        async with aio.transaction(backend):
            first = asyncio.timeout(0)
            with pytest.raises(TimeoutError):
                async with first:
                    await transactions.run("postgresql", lambda: gate.wait(PATIENCE))
            for name in ("color", "size"):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await write(backend, actor_id, name)
            gate.set()
            await write(backend, actor_id, "shape")

    asyncio.run(main())
    assert stored(backend, actor_id) == {"shape"}


@postgresql
def test_a_lost_answer_to_the_commit_is_an_unknown_outcome(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    async def main() -> None:
        with pytest.raises(DbOutcomeUnknownError):
            async with aio.transaction(backend):
                await write(backend, actor_id, "color")
                proxy.losses = 1
        assert await aio.get_property(backend).get(actor_id, "color") in ("1", None)

    asyncio.run(main())


@postgresql
def test_a_connection_lost_in_the_block_stores_nothing(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    async def main() -> None:
        with pytest.raises(DbConnectionError):
            async with aio.transaction(backend):
                await write(backend, actor_id, "color")
                proxy.hang_up()
                await write(backend, actor_id, "size")
        assert await aio.get_property_list(backend).fetch(actor_id) == {}

    asyncio.run(main())


@postgresql
def test_a_cancelled_block_stores_nothing_and_frees_its_connection(
    backend: Backend, actor_id: str, set_env: SetEnv
) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")

    async def block(inside: asyncio.Event) -> None:
        async with aio.transaction(backend):
            await write(backend, actor_id, "color")
            inside.set()
            await asyncio.Event().wait()

    async def main() -> None:
        inside = asyncio.Event()
        task = asyncio.create_task(block(inside))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await aio.get_property(backend).get(actor_id, "color") is None

    asyncio.run(main())


@postgresql
def test_a_block_cancelled_at_any_point_is_stored_whole_or_not_at_all(
    backend: Backend, actor_id: str, set_env: SetEnv
) -> None:
    """Cancelled as soon as it waits; with one connection, which the next block needs."""
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")

    async def block(number: int) -> None:
        async with aio.transaction(backend):
            await write(backend, actor_id, f"a{number}")
            async with aio.transaction(backend):
                await write(backend, actor_id, f"b{number}")

    # Begin, write, begin, write, end, and the end of the whole, which may be stored; the seventh is not cancelled.
    assert run_cancelled(block) == 6
    found = stored(backend, actor_id)
    assert found in ({"a7", "b7"}, {"a6", "b6", "a7", "b7"})


def run_cancelled(make: Any) -> int:
    """Cancel what `make(number)` returns at its `number`-th wait, for each number; return how many there are."""

    async def step(coroutine: Coroutine[Any, Any, None], number: int) -> None:
        await cancelled_at(coroutine, number)

    number = 0
    while True:
        number += 1
        try:
            asyncio.run(step(make(number), number))
        except Reached:
            return number - 1


@postgresql
def test_a_synchronous_call_of_the_task_is_outside_of_its_transaction(backend: Backend, actor_id: str) -> None:
    """The transaction belongs to its thread; the loop's own synchronous calls are outside of it."""

    async def main() -> None:
        async with aio.transaction(backend):
            await write(backend, actor_id, "color")
            assert get_property(backend).get(actor_id, "color") is None

    asyncio.run(main())
