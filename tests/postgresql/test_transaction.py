"""`transaction()`: several calls, one commit."""

# ruff: noqa: PT012 - what is tested is how a block ends

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import Any

import psycopg
import pytest

from actingweb.db import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbNotSupportedError,
    DbOutcomeUnknownError,
    DbUnknownActorError,
    get_actor,
    get_actor_list,
    get_attribute,
    get_property,
    get_trust,
    transaction,
)
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.postgresql.transaction import current
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy

from .conftest import PgConnection, end_session

pytestmark = pytest.mark.backends("postgresql")


def value(backend: Backend, actor_id: str, name: str) -> str | None:
    return get_property(backend).get(actor_id, name)


def seen_by_others(backend: Backend, actor_id: str, name: str) -> str | None:
    with ThreadPoolExecutor(1) as other:
        return other.submit(value, backend, actor_id, name).result()


def test_all_is_stored_at_the_end_of_the_block(backend: Backend, actor_id: str) -> None:
    with transaction():
        assert get_property(backend).set(actor_id, "color", "red")
        assert get_trust(backend).create(actor_id, "peer", secret="s")
        assert get_attribute(backend).set_attr(actor_id, "b", "n", {"x": 1})
        assert value(backend, actor_id, "color") == "red"
        assert seen_by_others(backend, actor_id, "color") is None
    assert seen_by_others(backend, actor_id, "color") == "red"
    assert get_trust(backend).get(actor_id, "peer") is not None


def test_indexed_values_and_their_claims_are_part_of_it(backend: Backend, actor_id: str) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        get_property(backend).set(actor_id, "email", "a@example.com")
        assert get_property(backend).get_actor_id_from_property("email", "a@example.com") == actor_id
        raise ZeroDivisionError
    assert get_property(backend).get_actor_id_from_property("email", "a@example.com") is None
    with transaction():
        get_property(backend).set(actor_id, "email", "a@example.com")
    assert get_property(backend).get_actor_id_from_property("email", "a@example.com") == actor_id


def test_an_exception_undoes_all(backend: Backend, actor_id: str) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        get_property(backend).set(actor_id, "color", "red")
        get_actor(backend).create(f"{actor_id}2", "someone")
        raise ZeroDivisionError
    assert value(backend, actor_id, "color") is None
    assert get_actor(backend).get(f"{actor_id}2") is None


def test_a_block_in_a_block_is_undone_alone(backend: Backend, actor_id: str) -> None:
    with transaction():
        get_property(backend).set(actor_id, "outer", "1")
        with pytest.raises(DbUnknownActorError), transaction():
            get_property(backend).set(actor_id, "inner", "1")
            get_property(backend).set("nobody", "inner", "1")
        with transaction():
            get_property(backend).set(actor_id, "second", "1")
            with pytest.raises(ZeroDivisionError), transaction():
                get_property(backend).set(actor_id, "third", "1")
                raise ZeroDivisionError
    names = "outer", "inner", "second", "third"
    assert [value(backend, actor_id, name) for name in names] == ["1", None, "1", None]


def test_a_failure_that_is_kept_inside_stores_nothing(backend: Backend, actor_id: str) -> None:
    with pytest.raises(DbError, match="nothing of the block is stored"), transaction():
        get_property(backend).set(actor_id, "color", "red")
        with pytest.raises(DbUnknownActorError):
            get_property(backend).set("nobody", "color", "red")
        with pytest.raises(DbError, match="an earlier call failed"):
            value(backend, actor_id, "color")
    assert value(backend, actor_id, "color") is None


def test_a_failure_that_is_kept_inside_an_inner_block_undoes_that(backend: Backend, actor_id: str) -> None:
    with transaction():
        get_property(backend).set(actor_id, "outer", "1")
        with pytest.raises(DbError, match="nothing of the block is stored"), transaction():
            get_property(backend).set(actor_id, "inner", "1")
            with pytest.raises(DbUnknownActorError):
                get_property(backend).set("nobody", "color", "red")
    assert [value(backend, actor_id, name) for name in ("outer", "inner")] == ["1", None]


def test_refused_input_leaves_the_transaction_usable(backend: Backend, actor_id: str) -> None:
    with transaction():
        with pytest.raises(DbInputError):
            get_property(backend).set(actor_id, "a\x00b", "1")
        get_property(backend).set(actor_id, "color", "red")
    assert value(backend, actor_id, "color") == "red"


def test_the_pool_gets_its_connection_back(backend: Backend, actor_id: str) -> None:
    for _ in range(3):
        with transaction():
            get_property(backend).set(actor_id, "color", "red")
        with pytest.raises(ZeroDivisionError), transaction():
            raise ZeroDivisionError
    assert get_pool().get_stats()["pool_available"] == get_pool().get_stats()["pool_size"]


def test_another_thread_or_task_is_refused(backend: Backend, actor_id: str) -> None:
    async def main() -> None:
        with transaction():
            get_property(backend).set(actor_id, "color", "red")
            with pytest.raises(DbNotSupportedError, match="thread"):
                await asyncio.to_thread(value, backend, actor_id, "color")
            with pytest.raises(DbNotSupportedError, match="task"):
                await asyncio.create_task(in_a_task())

    async def in_a_task() -> str | None:
        return value(backend, actor_id, "color")

    asyncio.run(main())
    assert value(backend, actor_id, "color") == "red"


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("block", [transaction, get_connection])
def test_a_forked_process_leaves_the_block_to_its_parent(
    backend: Backend, actor_id: str, block: type[AbstractContextManager[Any]], raises: bool
) -> None:
    wanted = ZeroDivisionError if raises else (DbNotSupportedError, psycopg.ProgrammingError)
    child = None
    try:
        with block() as lent:
            write = "INSERT INTO properties VALUES (%s, %s, 'red')"
            store(backend, actor_id, "color") if lent is None else lent.execute(write, [actor_id, "color"])
            child = os.fork()
            if child == 0:
                if lent is None:
                    with pytest.raises(DbNotSupportedError, match="forked"):
                        store(backend, actor_id, "size")
                if raises:
                    raise ZeroDivisionError
            else:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                store(backend, actor_id, "shape") if lent is None else lent.execute(write, [actor_id, "shape"])
    except BaseException as error:
        if child == 0:
            os._exit(0 if isinstance(error, wanted) else 1)
        raise
    if child == 0:
        os._exit(1)
    assert [value(backend, actor_id, name) for name in ("color", "size", "shape")] == ["red", None, "red"]


def store(backend: Backend, actor_id: str, name: str) -> None:
    assert get_property(backend).set(actor_id, name, "red")


def test_a_generator_left_in_an_inner_block_does_not_disturb_the_next_user(backend: Backend, actor_id: str) -> None:
    def inner() -> Iterator[None]:
        with transaction():
            store(backend, actor_id, "size")
            yield

    left = inner()
    with transaction():
        next(left)
    with transaction():
        store(backend, actor_id, "color")
        del left
        store(backend, actor_id, "shape")
    assert [value(backend, actor_id, name) for name in ("color", "shape")] == ["red", "red"]


def test_a_task_that_was_started_in_a_block_goes_on_outside_of_it(backend: Backend, actor_id: str) -> None:
    async def later(ended: asyncio.Event) -> None:
        await ended.wait()
        store(backend, actor_id, "color")
        with transaction():
            store(backend, actor_id, "size")

    async def main() -> None:
        ended = asyncio.Event()
        with transaction():
            task = asyncio.create_task(later(ended))
        ended.set()
        await task

    asyncio.run(main())
    assert [value(backend, actor_id, name) for name in ("color", "size")] == ["red", "red"]


def test_tasks_have_transactions_of_their_own(backend: Backend, actor_id: str) -> None:
    async def count(name: str, fails: bool) -> None:
        with transaction():
            for number in range(5):
                get_property(backend).set(actor_id, name, str(number))
                await asyncio.sleep(0)
            if fails:
                raise ZeroDivisionError

    async def main() -> None:
        await asyncio.gather(count("a", fails=False), count("b", fails=True), return_exceptions=True)

    asyncio.run(main())
    assert [value(backend, actor_id, name) for name in "ab"] == ["4", None]


def test_a_lost_connection_undoes_all(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    with pytest.raises(DbConnectionError), transaction():
        get_property(backend).set(actor_id, "color", "red")
        begun = current()
        assert begun is not None
        end_session(pg, begun.connection.info.backend_pid)
        get_property(backend).set(actor_id, "size", "1")
    assert [value(backend, actor_id, name) for name in ("color", "size")] == [None, None]


def test_a_connection_lost_at_the_commit_leaves_the_outcome_unknown(
    backend: Backend, actor_id: str, proxy: TcpProxy
) -> None:
    with pytest.raises(DbOutcomeUnknownError), transaction():
        get_property(backend).set(actor_id, "color", "red")
        proxy.hang_up()
    assert value(backend, actor_id, "color") in (None, "red")


def test_a_deadlock_is_a_conflict_and_undoes_all(backend: Backend, actor_id: str) -> None:
    def change(first: str, second: str) -> type[Exception] | None:
        try:
            with transaction():
                get_property(backend).set(actor_id, first, first)
                barrier.wait(10)
                get_property(backend).set(actor_id, second, first)
        except DbConflictError as error:
            return type(error)
        return None

    barrier = Barrier(2)
    for name in "ab":
        get_property(backend).set(actor_id, name, "0")
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(change, "ab", "ba"))
    assert sorted(map(str, outcomes)) == sorted(map(str, [DbConflictError, None]))
    winner = "ab"[outcomes.index(None)]
    assert [value(backend, actor_id, name) for name in "ab"] == [winner, winner]


def test_pages_are_read_in_it(backend: Backend, actor_id: str) -> None:
    with transaction():
        get_actor(backend).create(f"{actor_id}2", "someone")
        assert len(list(get_actor_list(backend).iterate(page_size=1))) == 2


def test_the_connection_to_a_server_that_takes_no_writes_is_not_kept(backend: Backend, actor_id: str) -> None:
    with pytest.raises(DbError), transaction():
        begun = current()
        assert begun is not None
        begun.command(b"SET TRANSACTION READ ONLY")
        before = get_pool().get_stats()["pool_size"]
        get_property(backend).set(actor_id, "color", "red")
    assert get_pool().get_stats()["pool_size"] == before - 1
    assert get_property(backend).set(actor_id, "color", "red")
