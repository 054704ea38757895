"""DbSubscriptionSuspension: what is suspended, and pairs that compose to one key text."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbConflictError, DbSchemaError, DbUnknownActorError, get_subscription_suspension
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import SubscriptionSuspensionProtocol
from actingweb.db.registry import Backend
from tests.support import race

from .support.entities import AWKWARD_TEXTS, refusal

pytestmark = pytest.mark.aio


@pytest.fixture
def suspension(backend: Backend, actor_id: str) -> SubscriptionSuspensionProtocol:
    return get_subscription_suspension(backend, actor_id)


def test_it_keeps_the_actor(backend: Backend) -> None:
    made: Any = get_subscription_suspension(backend, "a1")
    assert made._actor_id == "a1"


def test_a_target_is_suspended_until_it_resumes(backend: Backend, actor_id: str) -> None:
    assert get_subscription_suspension(backend, actor_id).is_suspended("t") is False
    assert get_subscription_suspension(backend, actor_id).suspend("t") is True
    assert get_subscription_suspension(backend, actor_id).suspend("t") is False
    assert get_subscription_suspension(backend, actor_id).is_suspended("t") is True
    assert get_subscription_suspension(backend, actor_id).resume("t") is True
    assert get_subscription_suspension(backend, actor_id).resume("t") is False
    assert get_subscription_suspension(backend, actor_id).is_suspended("t") is False


def test_a_suspended_target_suspends_its_subtargets(suspension: SubscriptionSuspensionProtocol) -> None:
    suspension.suspend(target="t")
    assert suspension.is_suspended(target="t", subtarget="s") is True
    assert suspension.is_suspended(target="t") is True
    assert suspension.is_suspended(target="other", subtarget="s") is False


def test_a_suspended_subtarget_suspends_only_itself(suspension: SubscriptionSuspensionProtocol) -> None:
    suspension.suspend(target="t", subtarget="s")
    assert suspension.is_suspended(target="t", subtarget="s") is True
    assert suspension.is_suspended(target="t", subtarget="other") is False
    assert suspension.is_suspended(target="t") is False


def test_suspend_and_resume_are_exact(suspension: SubscriptionSuspensionProtocol) -> None:
    assert suspension.suspend("t") is True
    assert suspension.resume("t", "s") is False
    assert suspension.suspend("t", "s") is True
    assert suspension.resume("t") is True
    assert suspension.is_suspended("t", "s") is True
    assert suspension.is_suspended("t", "other") is False
    assert suspension.get_all_suspended() == [("t", "s")]


@pytest.mark.parametrize(("one", "other"), [(None, ""), ("", None)])
def test_an_empty_subtarget_is_none(
    suspension: SubscriptionSuspensionProtocol, one: str | None, other: str | None
) -> None:
    assert suspension.suspend("t", one) is True
    assert suspension.suspend("t", other) is False
    assert suspension.is_suspended("t", other) is True
    assert suspension.get_all_suspended() == [("t", None)]
    assert suspension.resume("t", other) is True


@pytest.mark.parametrize("owner", [None, ""])
def test_without_an_actor_nothing_is_suspended(backend: Backend, owner: Any) -> None:
    made = get_subscription_suspension(backend, owner)
    assert made.suspend("t") is False
    assert made.is_suspended("t") is False
    assert made.resume("t") is False
    assert made.get_all_suspended() == []
    assert made.delete_all() is False


@pytest.mark.parametrize("target", [None, ""])
def test_without_a_target_nothing_is_suspended(suspension: SubscriptionSuspensionProtocol, target: Any) -> None:
    assert suspension.suspend(target, "s") is False
    assert suspension.is_suspended(target, "s") is False
    assert suspension.resume(target, "s") is False
    assert suspension.get_all_suspended() == []


def test_all_suspended_are_in_the_order_of_target_and_subtarget(suspension: SubscriptionSuspensionProtocol) -> None:
    pairs = [("a", None), ("a", "a"), ("a", "\uffee"), ("a", "🎈"), ("a!", None), ("a!", "x"), ("ab", None), ("é", "b")]
    for target, subtarget in reversed(pairs):
        assert suspension.suspend(target, subtarget) is True
    assert suspension.get_all_suspended() == pairs


def test_texts_are_verbatim(suspension: SubscriptionSuspensionProtocol) -> None:
    for text in AWKWARD_TEXTS:
        assert suspension.suspend("x", text) is True
        assert suspension.suspend(text) is True
    whole = sorted([(text, "") for text in AWKWARD_TEXTS] + [("x", text) for text in AWKWARD_TEXTS], key=_bytes)
    assert suspension.get_all_suspended() == [(target, subtarget or None) for target, subtarget in whole]
    for text in AWKWARD_TEXTS:
        assert suspension.resume("x", text) is True
        assert suspension.resume(text) is True
    assert suspension.get_all_suspended() == []


def _bytes(pair: tuple[str, str]) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in pair)


def test_surrogates_are_replaced_in_writes_and_reads(suspension: SubscriptionSuspensionProtocol) -> None:
    assert suspension.suspend("t\ud800", "s\udfff") is True
    assert suspension.suspend("t\ufffd", "s\ufffd") is False
    assert suspension.is_suspended("t\udc00", "s\ud800") is True
    assert suspension.get_all_suspended() == [("t\ufffd", "s\ufffd")]


@pytest.mark.parametrize("pair", [("t\x00", None), ("t", "s\x00")])
def test_zero_bytes_are_refused_in_writes_and_find_nothing_in_reads(
    suspension: SubscriptionSuspensionProtocol, pair: tuple[str, str | None]
) -> None:
    with refusal(r"U\+0000"):
        suspension.suspend(*pair)
    assert suspension.is_suspended(*pair) is False
    assert suspension.resume(*pair) is False
    suspension.suspend("t")
    assert suspension.is_suspended("t", "s\x00") is True


@pytest.mark.parametrize("pair", [("t" * 5000, None), ("t", "s" * 5000), ("t" * 5000, "s")], ids=["t", "s", "both"])
def test_a_key_that_cannot_exist_finds_nothing(
    suspension: SubscriptionSuspensionProtocol, pair: tuple[str, str | None]
) -> None:
    assert suspension.is_suspended(*pair) is False
    assert suspension.resume(*pair) is False
    suspension.suspend("t")
    assert suspension.is_suspended("t", "s" * 5000) is True


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("pair", [("t" * 1025, None), ("t", "s" * 1023), ("t" * 1023, "s")], ids=["t", "s", "both"])
def test_dynamodb_refuses_composed_keys_over_1024_bytes(
    suspension: SubscriptionSuspensionProtocol, pair: tuple[str, str | None]
) -> None:
    with refusal("1024.*1025|1025.*1024"):
        suspension.suspend(*pair)
    target, subtarget = pair
    assert suspension.suspend(target[:1022], subtarget and subtarget[:1022]) is True
    assert suspension.is_suspended(target[:1022], subtarget and subtarget[:1022]) is True


@pytest.mark.parametrize("arguments", [(5,), (b"t",), ("t", 5), ("t", ["s"])])
def test_what_is_not_text_is_refused(suspension: SubscriptionSuspensionProtocol, arguments: Any) -> None:
    for call in (suspension.suspend, suspension.is_suspended, suspension.resume):
        with refusal("must be text"):
            call(*arguments)


def test_actors_do_not_share_suspensions(backend: Backend, new_actor: Callable[..., str]) -> None:
    one = get_subscription_suspension(backend, new_actor("a"))
    other = get_subscription_suspension(backend, new_actor("a:t"))
    one.suspend("t")
    assert other.is_suspended("t") is False
    assert other.resume("t") is False
    assert other.get_all_suspended() == []


def test_delete_all_removes_this_actors_and_can_be_repeated(backend: Backend, new_actor: Callable[..., str]) -> None:
    one = get_subscription_suspension(backend, new_actor("a"))
    other = get_subscription_suspension(backend, new_actor("ab"))
    other.suspend("t")
    for number in range(60):
        one.suspend(f"t{number:02}")
    assert len(one.get_all_suspended()) == 60
    assert one.delete_all() is True
    assert one.get_all_suspended() == []
    assert one.delete_all() is True
    assert other.get_all_suspended() == [("t", None)]


class TestComposedKeys:
    """Target `a:b`, and target `a` with subtarget `b`, are two things."""

    def test_suspending_a_target_does_not_suspend_another_with_the_same_composed_key(
        self, suspension: SubscriptionSuspensionProtocol
    ) -> None:
        suspension.suspend("a:b")
        assert suspension.is_suspended("a", "b") is False
        assert suspension.resume("a", "b") is False
        assert suspension.is_suspended("a:b") is True

    def test_suspending_a_subtarget_does_not_suspend_another_with_the_same_composed_key(
        self, suspension: SubscriptionSuspensionProtocol
    ) -> None:
        suspension.suspend("a", "b")
        assert suspension.is_suspended("a:b") is False
        assert suspension.resume("a:b") is False
        assert suspension.get_all_suspended() == [("a", "b")]

    @requires(Capability.KEYS_BY_PARTS)
    def test_where_keys_are_kept_by_parts_both_can_be_suspended(
        self, suspension: SubscriptionSuspensionProtocol
    ) -> None:
        assert suspension.suspend("a:b") is True
        assert suspension.suspend("a", "b") is True
        assert suspension.get_all_suspended() == [("a", "b"), ("a:b", None)]
        assert suspension.resume("a:b") is True
        assert suspension.get_all_suspended() == [("a", "b")]

    @lacks(Capability.KEYS_BY_PARTS)
    @pytest.mark.parametrize(
        ("one", "other"),
        [(("a:b", None), ("a", "b")), (("a", "b"), ("a:b", None))],
        ids=["target first", "subtarget first"],
    )
    def test_where_keys_are_composed_the_second_is_refused(
        self,
        suspension: SubscriptionSuspensionProtocol,
        one: tuple[str, str | None],
        other: tuple[str, str | None],
    ) -> None:
        suspension.suspend(*one)
        with pytest.raises(DbConflictError):
            suspension.suspend(*other)
        assert suspension.get_all_suspended() == [one]
        assert suspension.suspend(*one) is False


@requires(Capability.ACTOR_REFERENCES)
def test_with_references_an_unknown_actor_is_refused(backend: Backend) -> None:
    made = get_subscription_suspension(backend, "nobody")
    with pytest.raises(DbUnknownActorError) as raised:
        made.suspend("t")
    assert (raised.value.actor_id, raised.value.reason) == ("nobody", "unknown actor")
    assert made.is_suspended("t") is False


@lacks(Capability.ACTOR_REFERENCES)
def test_without_references_the_row_of_an_unknown_actor_is_stored(backend: Backend) -> None:
    made = get_subscription_suspension(backend, "nobody")
    assert made.suspend("t") is True
    assert made.is_suspended("t") is True


def test_a_fault_raises_and_is_not_taken_for_an_answer(
    suspension: SubscriptionSuspensionProtocol, no_tables: None
) -> None:
    for call in (suspension.is_suspended, suspension.suspend, suspension.resume):
        with pytest.raises(DbSchemaError):
            call("t", "s")
    for whole in (suspension.get_all_suspended, suspension.delete_all):
        with pytest.raises(DbSchemaError):
            whole()


@pytest.mark.parametrize("subtarget", [None, "s"])
def test_of_eight_concurrent_suspends_one_wins(backend: Backend, actor_id: str, subtarget: str | None) -> None:
    for target in ("t1", "t2", "t3"):
        for verb in ("suspend", "resume"):
            answers = race(8, functools.partial(_answer, backend, actor_id, verb, target, subtarget))
            assert sorted(answers) == [False] * 7 + [True]


def _answer(backend: Backend, actor_id: str, verb: str, target: str, subtarget: str | None) -> bool:
    answer: bool = getattr(get_subscription_suspension(backend, actor_id), verb)(target, subtarget)
    return answer
