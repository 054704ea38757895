"""A task that is cancelled during a write: the write is made or not, never half, and disturbs nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbOutcomeUnknownError, aio, get_property, get_subscription, get_trust
from actingweb.db.registry import Backend
from testbed.tcp_proxy import Forward, TcpProxy
from tests.conftest import SetEnv
from tests.contract.support.property_tables import Claims

pytestmark = pytest.mark.backends("dynamodb", "postgresql")


class Hold:
    """Holds back the n-th message that goes to the server, until it is released."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._lock = threading.Lock()
        self.held = threading.Event()
        self.released = threading.Event()

    def __call__(self, forward: Forward) -> bool:
        with self._lock:
            self._left -= 1
            is_held = self._left == 0
        if is_held:
            self.held.set()
            self.released.wait(60)
        forward()
        return True


async def cancelled_while_held(hold: Hold, coroutine: Any, meanwhile: Callable[[], Any]) -> bool:
    """Cancel a task while one of its messages is held; return False if it sends fewer messages."""
    task = asyncio.ensure_future(coroutine)
    waiting = asyncio.ensure_future(asyncio.to_thread(hold.held.wait, 60))
    done, _ = await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        hold.held.set()
        hold.released.set()
        await waiting
        return False
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await meanwhile()
    hold.released.set()
    return True


def test_an_indexed_write_is_made_whole_or_not_at_all(
    backend: Backend, actor_id: str, proxy: TcpProxy, lookup_rows: Callable[[], Claims]
) -> None:
    """Held at each of its messages in turn; meanwhile others get their own answers on other connections."""
    get_property(backend).set(actor_id, "color", "red")

    async def meanwhile() -> None:
        reads = (aio.get_property(backend).get(actor_id, "color") for _ in range(5))
        assert await asyncio.gather(*reads) == ["red"] * 5

    async def main(number: int) -> bool:
        hold = Hold(number)
        # So that the message is not that of a new connection.
        await aio.get_property(backend).get(actor_id, "color")
        proxy.spoiler = hold
        try:
            write = aio.get_property(backend).set(actor_id, "email", f"{number}@example.com")
            return await cancelled_while_held(hold, write, meanwhile)
        finally:
            hold.released.set()
            proxy.spoiler = None

    number = 1
    while asyncio.run(main(number)):
        settled(backend, actor_id, lookup_rows)
        number += 1
    assert number > 1


def settled(backend: Backend, actor_id: str, lookup_rows: Callable[[], Claims]) -> None:
    """Check that property and look-up row are of one write, though a thread may still be at it."""
    while True:
        before = get_property(backend).get(actor_id, "email")
        claims = {actor for _, actor in lookup_rows().values()}
        values = get_property(backend).get(actor_id, "email")
        if before == values:
            break
    assert claims == ({actor_id} if values else set())
    if values:
        assert get_property(backend).get_actor_id_from_property("email", values) == actor_id


def test_a_connection_is_not_lent_before_the_cancelled_call_has_ended(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")
    get_trust(backend).create(actor_id, "one", secret="s1")
    get_trust(backend).create(actor_id, "two", secret="s2")

    async def main() -> None:
        await aio.get_trust(backend).get(actor_id, "one")
        hold = proxy.spoiler = Hold(1)
        trust = aio.get_trust(backend)
        following: list[asyncio.Future[Any]] = []

        async def meanwhile() -> None:
            following.append(asyncio.ensure_future(trust.get(actor_id, "two")))
            following.append(asyncio.ensure_future(aio.get_trust(backend).get(actor_id, "two")))

        assert await cancelled_while_held(hold, trust.get(actor_id, "one"), meanwhile)
        assert [found["peerid"] for found in await asyncio.gather(*following)] == ["two", "two"]
        # The late answer did not become the handle.
        assert trust.handle["peerid"] == "two"
        assert await trust.delete()

    asyncio.run(main())
    assert get_trust(backend).get(actor_id, "one") is not None
    assert get_trust(backend).get(actor_id, "two") is None


def test_an_object_has_no_row_after_a_cancelled_call(backend: Backend, actor_id: str) -> None:
    get_trust(backend).create(actor_id, "one", secret="s1")

    async def main() -> None:
        trust = aio.get_trust(backend)
        assert await trust.get(actor_id, "one")
        task = asyncio.ensure_future(trust.get(actor_id, "one"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert trust.handle is None
        assert await trust.modify(desc="x") is False
        assert await trust.delete() is False

    asyncio.run(main())


def test_increments_that_are_cancelled_are_applied_once_at_most(backend: Backend, actor_id: str) -> None:
    get_subscription(backend).create(actor_id, "p", "s")

    async def main() -> None:
        for turns in range(30):
            subscription = aio.get_subscription(backend)
            await subscription.get(actor_id, "p", "s")
            before = subscription.handle["seqnr"]
            task = asyncio.ensure_future(subscription.increment_seqnr())
            for _ in range(turns):
                await asyncio.sleep(0)
            was_cancelled = task.cancel()
            answer = (await asyncio.gather(task, return_exceptions=True))[0]
            after = aio.get_subscription(backend)
            await after.get(actor_id, "p", "s")
            if was_cancelled:
                assert isinstance(answer, asyncio.CancelledError)
                assert after.handle["seqnr"] in (before, before + 1)
            else:
                assert answer == after.handle["seqnr"] == before + 1
            await quiet(backend)

    asyncio.run(main())


async def quiet(backend: Backend) -> None:
    """Wait until no thread makes a call."""
    from actingweb.db.aio.workers import workers_of

    while workers_of(backend.database).busy:
        await asyncio.sleep(0.001)


def test_a_lost_answer_is_an_unknown_outcome(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    get_subscription(backend).create(actor_id, "p", "s")

    async def main() -> None:
        subscription = aio.get_subscription(backend)
        await subscription.get(actor_id, "p", "s")
        proxy.losses = 1
        with pytest.raises(DbOutcomeUnknownError):
            await subscription.increment_seqnr()
        assert proxy.losses == 0

    asyncio.run(main())
    found = get_subscription(backend).get(actor_id, "p", "s")
    assert found is not None
    assert found["sequence"] == 1
