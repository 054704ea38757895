"""The asynchronous interface is the synchronous one, with coroutines."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable
from typing import Any, assert_type

import pytest

from actingweb.db import DbInputError, aio, get_actor, get_db_accessors, load_backend, protocols
from actingweb.db.aio import protocols as asynchronous
from actingweb.db.registry import Backend
from tests.contract.support.signatures import parameters_of

NAMES = protocols.__all__
ACCESSORS = sorted(get_db_accessors())


def methods_of(protocol: type) -> dict[str, Any]:
    return {name: getattr(protocol, name) for name in vars(protocol) if not name.startswith("_")}


def made(backend: Backend, name: str) -> Any:
    accessor = aio.get_db_accessors()[name]
    return accessor(backend, "a1") if name == "subscription_suspension" else accessor(backend)


@pytest.mark.parametrize("name", NAMES)
def test_a_protocol_has_the_members_of_the_synchronous_one(name: str) -> None:
    one, other = getattr(protocols, name), getattr(asynchronous, f"Async{name}")
    wanted, found = methods_of(one), methods_of(other)
    data = {each for each in one.__annotations__ if not each.startswith("_")}
    assert found.keys() == wanted.keys() | data
    for each, method in wanted.items():
        assert parameters_of(found[each], skip=("self",)) == parameters_of(method, skip=("self",))
        assert inspect.getdoc(found[each]) == inspect.getdoc(method)


@pytest.mark.parametrize("name", ACCESSORS)
def test_an_object_fits_its_protocol(name: str) -> None:
    backend = load_backend("memory")
    result = inspect.signature(aio.get_db_accessors()[name]).return_annotation
    assert isinstance(made(backend, name), result)
    for each, method in methods_of(result).items():
        found = getattr(made(backend, name), each)
        if inspect.iscoroutinefunction(method):
            assert inspect.iscoroutinefunction(found)
            assert parameters_of(found) == parameters_of(method, skip=("self",))


@pytest.mark.parametrize("name", ACCESSORS)
def test_an_accessor_is_exported_and_documented(name: str) -> None:
    assert getattr(aio, f"get_{name}") is aio.get_db_accessors()[name]
    assert inspect.getdoc(getattr(aio, f"get_{name}")) == inspect.getdoc(get_db_accessors()[name])


async def types_of_results(backend: Backend) -> None:
    """`mypy --strict` reads this."""
    assert_type(await aio.get_property(backend).get("a", "n"), str | None)
    assert_type(await aio.get_property(backend).get_many("a", ["n"]), dict[str, str])
    assert_type(await aio.get_trust_list(backend).fetch("a"), list[dict[str, Any]])
    assert_type(await aio.get_subscription(backend).increment_seqnr(), int | None)
    async for row in aio.get_actor_list(backend).iterate():
        assert_type(row, dict[str, Any])


def test_the_types_of_results_are_exact() -> None:
    asyncio.run(types_of_results(load_backend("memory")))


def test_handle_and_lists_are_those_of_the_last_call(backend: Backend) -> None:
    async def main() -> None:
        actor, trusts = aio.get_actor(backend), aio.get_trust_list(backend)
        assert (actor.handle, trusts.actor_id, trusts.trusts) == (None, None, None)
        assert await actor.create("a1", "c", "p")
        assert actor.handle["creator"] == "c"
        assert await actor.modify(creator="d")
        await aio.get_trust(backend).create("a1", "peer", secret="s")
        found = await trusts.fetch("a1")
        assert (trusts.actor_id, trusts.trusts) == ("a1", found)
        assert await actor.delete()
        assert actor.handle is None

    asyncio.run(main())


@pytest.mark.parametrize("page_size", [1, 2, 10**40])
def test_all_rows_are_iterated(backend: Backend, page_size: int) -> None:
    for number in range(5):
        get_actor(backend).create(f"a{number}", "c", "p")

    async def main() -> list[str]:
        return sorted([row["id"] async for row in aio.get_actor_list(backend).iterate(page_size)])

    assert asyncio.run(main()) == [f"a{number}" for number in range(5)]


@pytest.mark.parametrize("page_size", [0, -1, "x", None])
def test_a_page_size_that_is_none_is_refused(page_size: Any) -> None:
    async def main() -> None:
        async for _ in aio.get_actor_list(load_backend("memory")).iterate(page_size):
            pytest.fail("there was a row")

    with pytest.raises(DbInputError, match="page_size"):
        asyncio.run(main())


def test_an_iteration_that_is_left_early_reads_no_further(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        get_actor(backend).create(f"a{number}", "c", "p")
    read: list[str] = []
    closed = threading.Event()
    real: Callable[..., Any] = backend.DbActor.DbActorList.iterate

    def iterate(self: Any, page_size: int) -> Any:
        try:
            for row in real(self, page_size):
                read.append(row["id"])
                yield row
        finally:
            closed.set()

    monkeypatch.setattr(backend.DbActor.DbActorList, "iterate", iterate)

    async def main() -> None:
        async for _ in aio.get_actor_list(backend).iterate(2):
            break
        assert await asyncio.to_thread(closed.wait, 60)

    asyncio.run(main())
    assert len(read) == 2


def test_an_object_makes_one_call_at_a_time(backend: Backend) -> None:
    """Its handle would otherwise be that of another call's row."""

    async def main() -> None:
        prop, attribute = aio.get_property(backend), aio.get_attribute(backend)
        answers = await asyncio.gather(prop.get("a", "n"), prop.get("a", "m"), return_exceptions=True)
        assert [type(answer) for answer in answers] == [type(None), RuntimeError]
        assert await prop.get("a", "n") is None
        # These have no handle.
        assert await asyncio.gather(*(attribute.get_attr("a", "b", "n") for _ in range(9))) == [None] * 9

    asyncio.run(main())


def test_health_is_the_same(backend: Backend) -> None:
    found = asyncio.run(aio.health(backend))
    assert found["status"] == "ok"
    assert json.dumps(found)
