"""What observers are told, on each backend."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from actingweb.db import get_actor, get_actor_list, get_attribute, get_property, get_subscription, get_trust
from actingweb.db.exceptions import DbConnectionError, DbError, DbInputError
from actingweb.db.observe import Call, Observer, Request
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.contract.support.calls import ready

from .conftest import Keeper, observing

on_servers = pytest.mark.backends("dynamodb", "postgresql")
on_postgresql = pytest.mark.backends("postgresql")

CANARY = "canary-value"
TABLE_CHECK = {"DescribeTable", "DescribeTimeToLive"}


def test_a_call_is_told_with_its_class_and_method(backend: Backend, actor_id: str, seen: Keeper) -> None:
    assert get_property(backend).set(actor_id, "n", CANARY)
    assert get_attribute(backend).get_attr(actor_id, "b", "n") is None
    assert [call.name for call in seen.calls] == ["DbProperty.set", "DbAttribute.get_attr"]
    assert {call.error for call in seen.calls} == {None}
    assert all(call.seconds is not None and call.seconds > 0 for call in seen.calls)
    assert _of_calls(seen.begun)[0] is seen.calls[0]


@on_servers
def test_every_public_call_that_sends_requests_is_told(backend: Backend, actor_id: str, seen: Keeper) -> None:
    calls = ready(backend, actor_id)
    for call in calls.values():
        call()
    # `get_attr_strict` is another name of `get_attr`.
    assert {call.name for call in seen.calls} >= {name.split()[0].removesuffix("_strict") for name in calls}
    assert {call.backend for call in seen.calls} == {backend.database}
    assert {request.operation for request in seen.requests if request.call is None} <= TABLE_CHECK


def _of_calls(begun: list[Call | Request]) -> list[Call | Request]:
    """Return what does not belong to the check of a table, which an accessor makes before the first call."""
    return [one for one in begun if isinstance(one, Call) or one.operation not in TABLE_CHECK]


@on_servers
def test_a_request_belongs_to_its_call(backend: Backend, actor_id: str, seen: Keeper) -> None:
    assert get_actor(backend).get(actor_id) is not None
    (request,) = seen.requests
    table = "actors" if backend.database == "postgresql" else f"{os.environ['AWS_DB_PREFIX']}_actors"
    operation = "SELECT" if backend.database == "postgresql" else "GetItem"
    assert (request.operation, request.collection, request.attempt) == (operation, table, 1)
    assert request.summary == f"{operation} {table}"
    assert (request.call, request.server.backend) == (seen.calls[0], backend.database)
    assert request.server.port
    assert request.error is request.code is None


@on_servers
def test_several_writes_of_one_request_are_one_request(backend: Backend, actor_id: str, seen: Keeper) -> None:
    assert get_property(backend).set(actor_id, "email", f"{CANARY}@example.com")
    writes = [request for request in seen.requests if request.collection is None]
    assert len(writes) == 1
    assert "propert" in writes[0].summary


def test_objects_made_before_the_observer_are_observed(backend: Backend, actor_id: str) -> None:
    old = get_property(backend)
    keeper = Keeper()
    with observing(keeper):
        old.get(actor_id, "n")
    old.get(actor_id, "n")
    assert [call.name for call in keeper.calls] == ["DbProperty.get"]


def test_several_observers_are_told(backend: Backend, actor_id: str, seen: Keeper) -> None:
    other = Keeper()
    with observing(other):
        get_actor(backend).get(actor_id)
    get_actor(backend).get(actor_id)
    assert (len(other.calls), len(seen.calls)) == (1, 2)


class Failing(Observer):
    """Fails at everything, with a text that is a secret."""


for _name in [name for name in vars(Observer) if not name.startswith("_")]:
    setattr(Failing, _name, lambda *_: int(CANARY))


def test_an_observer_that_fails_breaks_nothing_and_is_logged_once(
    backend: Backend, actor_id: str, seen: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing()
    with observing(failing):
        assert get_property(backend).set(actor_id, "n", "v")
        assert get_property(backend).get(actor_id, "n") == "v"
    (line,) = (record.getMessage() for record in caplog.records if record.name == "actingweb.db.observe")
    assert "Failing failed with ValueError" in line
    assert CANARY not in caplog.text
    assert len(seen.calls) == 2


def test_a_rejected_argument_is_the_outcome(backend: Backend, actor_id: str, seen: Keeper) -> None:
    with pytest.raises(DbInputError):
        get_property(backend).set(actor_id, "n", "\x00")
    assert (seen.calls[0].error, "U+0000" in str(seen.calls[0].reason)) == ("DbInputError", True)
    assert seen.requests == []


@on_servers
def test_a_fault_is_the_outcome_of_call_and_request(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv, seen: Keeper
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    get_actor(backend).get(actor_id)
    proxy.stop()
    with pytest.raises(DbConnectionError) as raised:
        get_actor(backend).get(actor_id)
    assert (seen.calls[-1].error, seen.calls[-1].reason) == ("DbConnectionError", raised.value.reason)
    assert f"{backend.database} failed DbConnectionError" in seen.others


@on_servers
def test_a_lost_answer_is_told_with_its_repetition(
    backend: Backend, actor_id: str, proxy: TcpProxy, seen: Keeper
) -> None:
    get_actor(backend).get(actor_id)
    del seen.requests[:], seen.others[:]
    proxy.losses = 1
    assert get_actor(backend).get(actor_id) is not None
    failed, repeated = (request for request in seen.requests if request.collection)
    assert (failed.error, failed.attempt) == ("DbConnectionError", 1)
    assert (repeated.error, repeated.attempt) == (None, 2)
    name = backend.database
    assert f"{name} lost" in seen.others
    assert f"{name} retried DbConnectionError" in seen.others
    assert f"{name} opened" in seen.others
    assert f"{name} closed" in seen.others


@on_servers
def test_a_lost_answer_to_a_write_is_an_unknown_outcome(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv, seen: Keeper
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    subscription = get_subscription(backend)
    assert subscription.create(actor_id, "peer", "s")
    proxy.losses = 1
    with pytest.raises(DbError):
        subscription.increment_seqnr()
    assert seen.calls[-1].error == "DbOutcomeUnknownError"
    assert f"{backend.database} unknown" in seen.others


def test_a_collision_is_told(backend: Backend, new_actor: Callable[..., str], seen: Keeper) -> None:
    for actor in (new_actor(), new_actor()):
        get_property(backend).set(actor, "email", "joe@example.com")
    assert [text.split()[1] for text in seen.others if "collided" in text] == ["collided"]


def test_a_generator_is_one_call_and_others_may_come_between(
    backend: Backend, new_actor: Callable[..., str], seen: Keeper
) -> None:
    ids = [new_actor() for _ in range(3)]
    del seen.calls[:]
    for row in get_actor_list(backend).iterate():
        get_trust(backend).get(row["id"], "absent")
    assert [call.name for call in seen.calls] == ["DbTrust.get"] * len(ids) + ["DbActorList.iterate"]
    assert {call.error for call in seen.calls} == {None}


def test_a_generator_that_is_left_ends(backend: Backend, actor_id: str, seen: Keeper) -> None:
    stream = get_actor_list(backend).iterate()
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    get_actor(backend).get(actor_id)
    assert [call.name for call in seen.calls][-2:] == ["DbActorList.iterate", "DbActor.get"]


def test_threads_have_calls_of_their_own(backend: Backend, actor_id: str, seen: Keeper) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: get_actor(backend).get(actor_id), range(40)))
    assert [call.name for call in seen.calls].count("DbActor.get") == 40
    if seen.requests:
        owners = [request.call for request in seen.requests if request.collection]
        assert len(set(map(id, owners))) >= 40


@on_postgresql
def test_a_transaction_tells_its_commands_and_its_calls(backend: Backend, actor_id: str, seen: Keeper) -> None:
    with backend.transaction():
        get_property(backend).set(actor_id, "n", "v")
    assert [request.summary for request in seen.requests] == ["BEGIN", "INSERT properties", "COMMIT"]
    assert [request.call is not None for request in seen.requests] == [False, True, False]


class Reading(Keeper):
    """Uses the storage whenever it is told something."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self._backend = backend

    def read(self) -> None:
        get_trust(self._backend).get("a", "b")
        for _ in get_actor_list(self._backend).iterate():
            pass


def _told_and_reading(name: str) -> Callable[..., None]:
    def told(self: Reading, *facts: object) -> None:
        getattr(Keeper, name)(self, *facts)
        self.read()

    return told


for _name in [name for name in vars(Observer) if not name.startswith("_")]:
    setattr(Reading, _name, _told_and_reading(_name))


def test_an_observer_is_not_told_of_what_observers_do(backend: Backend, actor_id: str, set_env: SetEnv) -> None:
    """Also where each call makes its first connection and checks its table."""
    set_env()
    reading = Reading(backend)
    with observing(reading):
        assert get_property(backend).set(actor_id, "n", "v")
        assert get_property(backend).get(actor_id, "n") == "v"
    assert [call.name for call in reading.calls] == ["DbProperty.set", "DbProperty.get"]
    assert {request.operation for request in reading.requests} <= {
        "INSERT",
        "SELECT",
        "PutItem",
        "GetItem",
        *TABLE_CHECK,
    }


class Leaving(Observer):
    """Ends the call that it is told of, as a signal can."""

    def call_began(self, call: Call) -> None:
        raise KeyboardInterrupt


def test_calls_are_told_after_one_was_left_at_its_beginning(backend: Backend, actor_id: str, seen: Keeper) -> None:
    leaving = Leaving()
    with observing(leaving), pytest.raises(KeyboardInterrupt):
        get_property(backend).get(actor_id, "n")
    get_property(backend).get(actor_id, "n")
    assert [call.error for call in seen.calls] == ["KeyboardInterrupt", None]


def test_a_generator_that_ends_in_a_call_leaves_it_its_requests(
    backend: Backend, new_actor: Callable[..., str], seen: Keeper
) -> None:
    """As the collector of garbage may end one anywhere."""
    ids = [new_actor() for _ in range(2)]
    stream = get_actor_list(backend).iterate()
    next(iter(stream))
    trusts = get_trust(backend)

    class Peers(list[str]):
        def __iter__(self) -> Iterator[str]:
            stream.close()  # type: ignore[attr-defined]
            return super().__iter__()

    trusts.get_many(ids[0], Peers(["b"]))
    last = [request for request in seen.requests if request.collection][-1:]
    assert [request.call is not None and request.call.name for request in last] in ([], ["DbTrust.get_many"])


@on_servers
def test_a_child_process_observes_too(backend: Backend, actor_id: str, seen: Keeper) -> None:
    get_actor(backend).get(actor_id)
    before = len(seen.requests)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            found = get_actor(backend).get(actor_id) is not None
            status = 0 if found and len(seen.requests) > before else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_told_holds_a_value_or_a_key(backend: Backend, actor_id: str, seen: Keeper) -> None:
    for call in ready(backend, actor_id).values():
        call()
    get_property(backend).set(actor_id, "email", CANARY)
    told = [
        str(getattr(event, name))
        for event in (*seen.calls, *seen.requests)
        for name in (Call.__slots__ if isinstance(event, Call) else Request.__slots__)
        if name not in ("kept", "call")
    ]
    assert [text for text in (*told, *seen.others) if CANARY in text or actor_id in text] == []


def test_without_an_observer_no_code_of_it_is_left(backend: Backend) -> None:
    """So that nothing is slower."""
    from actingweb.db.dynamodb.transport import Transport
    from actingweb.db.postgresql.pooled_connection import PooledConnection

    plain = [PooledConnection.run, PooledConnection.run_all, PooledConnection.command, Transport.attempt_once]
    method = inspect.getclosurevars(type(get_actor(backend)).get).nonlocals["called"]
    keeper = Keeper()
    with observing(keeper):
        assert PooledConnection.run is not plain[0]
    now = [PooledConnection.run, PooledConnection.run_all, PooledConnection.command, Transport.attempt_once]
    assert now == plain
    assert inspect.getclosurevars(type(get_actor(backend)).get).nonlocals["called"] is method
