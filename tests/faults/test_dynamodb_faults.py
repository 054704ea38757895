"""A DynamoDB that throttles, fails, hangs up, dawdles and garbles: under load, and for every operation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import pytest

from actingweb.db import (
    DbError,
    DbOutcomeUnknownError,
    DbThrottledError,
    DbTimeoutError,
    get_actor,
    get_attribute,
    get_peer_trustee,
    get_property,
    get_property_list,
    get_subscription,
)
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import (
    Answer,
    Send,
    Spoiler,
    SpoilingProxy,
    failing,
    late,
    lost,
    spoiling_proxy,
)
from tests.conftest import SetEnv
from tests.contract.support.calls import Call, is_read, requesting
from tests.support import new_id

from .conftest import LONG, Amount, Figures
from .dynamodb_faults import KINDS, TIMEOUT, Kind, Sometimes, leaving
from .workload import Load

pytestmark = pytest.mark.backends("dynamodb")

SHARE = 0.3
AMPLE = 60.0
"""AWS_DB_TIMEOUT that no call reaches on a busy machine, if it is answered."""


Limit = Callable[[Iterable[Kind]], None]


@pytest.fixture
def proxy(backend: Backend, set_env: SetEnv) -> Iterator[SpoilingProxy]:
    """Put a proxy between the backend and its server, whose tables are known to exist."""
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as running:
        set_env(AWS_DB_HOST=running.url, AWS_DB_AUTO_CREATE_TABLES="0", AWS_DB_TIMEOUT=str(AMPLE))
        yield running
        running.always = None


@pytest.fixture
def limit(set_env: SetEnv) -> Limit:
    """Return what sets the time limit for faults of some kinds: short where no answer comes, else ample."""
    return lambda kinds: set_env(AWS_DB_TIMEOUT=str(TIMEOUT if any(kind.silent for kind in kinds) else AMPLE))


class TestUnderLoad:
    def test_faults_of_all_kinds(
        self, backend: Backend, proxy: SpoilingProxy, limit: Limit, amount: Amount, figures: Figures
    ) -> None:
        self._check("all kinds", list(KINDS.values()), backend, proxy, limit, amount(150, 2000), figures)

    if LONG:

        @pytest.mark.parametrize("name", KINDS)
        def test_faults_of_one_kind(
            self, backend: Backend, proxy: SpoilingProxy, limit: Limit, figures: Figures, name: str
        ) -> None:
            self._check(name, [KINDS[name]], backend, proxy, limit, 400, figures)

    def _check(
        self,
        name: str,
        kinds: list[Kind],
        backend: Backend,
        proxy: SpoilingProxy,
        limit: Limit,
        writes: int,
        figures: Figures,
    ) -> None:
        load = Load(backend, threads=8)
        limit(kinds)
        proxy.always = spoiler = Sometimes(SHARE, [kind.spoiler for kind in kinds])
        began = time.monotonic()
        with load:
            load.wait_for(writes)
        seconds = time.monotonic() - began
        proxy.always = None
        limit([])
        verdict = load.verdict()
        figures(
            f"DynamoDB: {name}, 30 %",
            seconds=seconds,
            tried=verdict.tried,
            faults=spoiler.faults,
            lost=verdict.lost,
            doubled=verdict.doubled,
            wrong=verdict.wrong,
            acknowledged=verdict.acknowledged,
            unknown=verdict.unknown,
            failed=verdict.failed,
        )
        assert spoiler.faults > writes * SHARE / 2
        assert verdict.faultless, verdict
        assert any(kind.ambiguous for kind in kinds) or verdict.unknown == 0

    @pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
    def test_throttled_without_exception_nothing_is_done_and_nothing_is_in_doubt(
        self, backend: Backend, proxy: SpoilingProxy, amount: Amount, figures: Figures, code: str
    ) -> None:
        load = Load(backend, threads=8)
        proxy.always = Sometimes(1.0, [failing(code)])
        with load:
            time.sleep(amount(1, 5))
        proxy.always = None
        verdict = load.verdict()
        figures(f"DynamoDB: {code}, 100 %", tried=verdict.tried, failed=verdict.failed, unknown=verdict.unknown)
        assert verdict.tried == verdict.failed > 0
        assert verdict.faultless, verdict


class TestEveryOperation:
    def test_one_fault_is_overcome_or_raised_and_never_an_answer(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy, limit: Limit, amount: Amount, figures: Figures
    ) -> None:
        """The short form meets every operation with one kind, the long form with every kind."""
        healthy = {name: call() for name, call in requesting(backend, _actor(backend)).items()}
        kinds = list(KINDS.items())
        tried = 0
        for turn in range(amount(1, len(kinds))):
            chosen = cycle(kinds[turn:] + kinds[:turn])
            for (name, call), (kind_name, kind) in zip(
                requesting(backend, _actor(backend)).items(), chosen, strict=False
            ):
                if kind.silent:
                    limit([kind])
                proxy.spoilers.append(kind.spoiler)
                outcome = _outcome(call)
                if kind.silent:
                    limit([])
                tried += 1
                assert not proxy.spoilers, f"{name} sent nothing"
                assert _allowed(outcome, healthy[name], is_read(name), kind), (name, kind_name, outcome)
        figures("DynamoDB: every operation, one fault", tried=tried, faults=tried, wrong=0)

    def test_faults_without_end_are_raised_in_time(
        self, backend: Backend, proxy: SpoilingProxy, limit: Limit, set_env: SetEnv, amount: Amount, figures: Figures
    ) -> None:
        """The short form meets every operation with one kind, the long form with every kind."""
        set_env(AWS_DB_MAX_ATTEMPTS="2")
        kinds = list(KINDS.items())
        tried = 0
        for turn in range(amount(1, len(kinds))):
            calls = list(requesting(backend, _actor(backend)).items())
            for number, (name, kind) in enumerate(kinds[turn:] + kinds[:turn]):
                chosen = dict(calls[number :: len(kinds)])
                limit([kind])
                proxy.always = kind.spoiler
                with ThreadPoolExecutor(8) as threads:
                    found = dict(zip(chosen, threads.map(_outcome, chosen.values()), strict=True))
                proxy.always = None
                limit([])
                tried += len(found)
                assert {call: end for call, end in found.items() if not _raised(call, end, kind)} == {}, name
        figures("DynamoDB: every operation, faults without end", tried=tried, faults=tried, wrong=0)


def _outcome(call: Call) -> object:
    try:
        return call()
    except DbError as error:
        return error


def _allowed(outcome: object, healthy: object, reads: bool, kind: Kind) -> bool:
    if kind.ambiguous and not reads and isinstance(outcome, DbOutcomeUnknownError):
        return True
    # A busy machine may need all the time that the first attempt has left.
    if kind.silent and isinstance(outcome, DbTimeoutError):
        return True
    return type(outcome) is type(healthy) and bool(outcome) == bool(healthy)


def _raised(call: str, outcome: object, kind: Kind) -> bool:
    in_doubt = kind.ambiguous and not is_read(call) and type(outcome) is DbOutcomeUnknownError
    return in_doubt or type(outcome) is kind.error


def _actor(backend: Backend) -> str:
    actor_id = new_id()
    assert get_actor(backend).create(actor_id, "someone@example.com", "secret")
    return actor_id


Create = Callable[[Backend, str], bool]

CREATES: dict[str, tuple[Create, Callable[[Backend, str], object]]] = {
    "actor": (
        lambda backend, key: get_actor(backend).create(key, "me@example.com", "secret"),
        lambda backend, key: _loaded(get_actor(backend), key).modify(creator="you@example.com"),
    ),
    "property": (
        lambda backend, key: get_property(backend).create_if_not_exists(key, "n", "mine"),
        lambda backend, key: get_property(backend).set(key, "n", "another"),
    ),
    "peer trustee": (
        lambda backend, key: get_peer_trustee(backend).create(key, "p", "type", "here", "secret"),
        lambda backend, key: _loaded(get_peer_trustee(backend), key, None, "p").modify(baseuri="there"),
    ),
    "subscription": (
        lambda backend, key: get_subscription(backend).create(key, "p", "s"),
        lambda backend, key: _loaded(get_subscription(backend), key, "p", "s").increment_seqnr(),
    ),
}


class TestOwnWrites:
    """A create whose answer is lost, and whose row another client has found and changed before it is repeated."""

    @pytest.mark.parametrize("entity", CREATES)
    def test_an_own_row_is_never_reported_as_there_before(
        self, backend: Backend, proxy: SpoilingProxy, entity: str
    ) -> None:
        create, change = CREATES[entity]
        key = new_id()

        def changed_meanwhile(send: Send) -> Answer | None:
            send()
            assert change(backend, key)
            return None

        proxy.spoilers.append(changed_meanwhile)
        with pytest.raises(DbOutcomeUnknownError):
            create(backend, key)

    @pytest.mark.parametrize("entity", CREATES)
    def test_anothers_row_is_there_before(self, backend: Backend, proxy: SpoilingProxy, entity: str) -> None:
        create, _ = CREATES[entity]
        key = new_id()
        assert create(backend, key) is True
        proxy.spoilers.append(failing("ThrottlingException"))
        assert create(backend, key) is False


def _loaded(entity: Any, *key: object) -> Any:
    assert entity.get(*key)
    return entity


class TestTimeLimit:
    """AWS_DB_TIMEOUT bounds an operation on one row as a whole, however many requests it needs."""

    def test_an_operation_of_several_requests(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy, set_env: SetEnv
    ) -> None:
        rival = _actor(backend)
        get_property(backend).set(rival, "email", "taken@example.com")
        get_property(backend).set(actor_id, "email", "old@example.com")
        get_attribute(backend).set_attr(actor_id, "b", "n", {"a": 1, "b": 2})
        calls: dict[str, Call] = {
            "indexed set": lambda: get_property(backend).set(actor_id, "email", "taken@example.com"),
            "reverse look-up": lambda: get_property(backend).get_actor_id_from_property("email", "x@example.com"),
            "compare-and-swap": lambda: get_attribute(backend).conditional_update_attr(
                actor_id, "b", "n", {"b": 2, "a": 1}, "new"
            ),
        }
        set_env(AWS_DB_TIMEOUT=str(TIMEOUT))
        for name, call in calls.items():
            before = len(proxy.seen)
            proxy.always = late(0.35 * TIMEOUT)
            outcome = _outcome(call)
            proxy.always = None
            # Three such requests take longer than the limit.
            assert isinstance(outcome, DbError) or len(proxy.seen) - before <= 2, name

    def test_pages_have_each_the_whole_time(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy, set_env: SetEnv
    ) -> None:
        for number in range(300):
            get_property(backend).set(actor_id, f"n{number}", "v")
        rows = get_property_list(backend)
        rows.fetch(actor_id)
        set_env(AWS_DB_TIMEOUT="5")
        proxy.always = late(0.5)
        began = time.monotonic()
        assert rows.delete() is True
        assert time.monotonic() - began > 5


class TestBatches:
    @pytest.fixture
    def names(self, backend: Backend, actor_id: str) -> list[str]:
        """Store sixty plain properties."""
        names = [f"n{number}" for number in range(60)]
        for name in names:
            get_property(backend).set(actor_id, name, "v")
        return names

    def _left(self, backend: Backend, actor_id: str) -> int:
        return len(get_property(backend).get_prefix(actor_id, "n"))

    def test_what_is_left_over_is_sent_until_nothing_is(
        self, backend: Backend, actor_id: str, names: list[str], proxy: SpoilingProxy
    ) -> None:
        proxy.always = leaving(0.4)
        get_property(backend).batch_delete(actor_id, names)
        proxy.always = None
        assert self._left(backend, actor_id) == 0

    def test_what_is_left_in_the_end_is_counted(
        self, backend: Backend, actor_id: str, names: list[str], proxy: SpoilingProxy
    ) -> None:
        proxy.spoilers.extend([None])
        proxy.always = leaving(0.9)
        with pytest.raises(DbThrottledError, match=r"items are left") as raised:
            get_property(backend).batch_delete(actor_id, names)
        proxy.always = None
        left = self._left(backend, actor_id)
        assert 0 < left < len(names)
        assert f"{len(names) - left} items are done" in str(raised.value)
        get_property(backend).batch_delete(actor_id, names)
        assert self._left(backend, actor_id) == 0

    @pytest.mark.parametrize("spoiler", [failing("ThrottlingException"), failing("InternalServerError", 500), lost])
    def test_a_fault_after_the_first_batch_tells_what_is_done(
        self, backend: Backend, actor_id: str, names: list[str], proxy: SpoilingProxy, spoiler: Spoiler
    ) -> None:
        proxy.spoilers.append(None)
        proxy.always = spoiler
        with pytest.raises(DbError, match="25 items are done") as raised:
            get_property(backend).batch_delete(actor_id, names)
        proxy.always = None
        assert isinstance(raised.value, DbThrottledError | DbOutcomeUnknownError)
        left = self._left(backend, actor_id)
        assert left == 35 if isinstance(raised.value, DbThrottledError) else left <= 35

    def test_a_wipe_can_be_repeated(
        self, backend: Backend, actor_id: str, names: list[str], proxy: SpoilingProxy
    ) -> None:
        rows = get_property_list(backend)
        rows.fetch(actor_id)
        proxy.spoilers.extend([None, None])
        proxy.always = failing("ThrottlingException")
        with pytest.raises(DbThrottledError, match="25 items are done"):
            rows.delete()
        proxy.always = None
        assert self._left(backend, actor_id) == 35
        assert rows.delete() is True
        assert self._left(backend, actor_id) == 0
