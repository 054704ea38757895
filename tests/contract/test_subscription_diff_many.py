"""DbSubscriptionDiff: create_many."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from actingweb.db import get_subscription_diff, get_subscription_diff_list
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks
from actingweb.db.protocols import DbSubscriptionDiffProtocol
from actingweb.db.registry import Backend
from tests.support import race

from .support.entities import refusal

CALLERS = 8


@pytest.fixture
def diff(backend: Backend) -> DbSubscriptionDiffProtocol:
    return get_subscription_diff(backend)


def stored(backend: Backend, actor_id: str) -> dict[tuple[str, int], str]:
    """Return the texts of the actor's diffs by subscription and number."""
    listed = get_subscription_diff_list(backend).fetch(actor_id=actor_id)
    return {(entry["subscriptionid"], entry["sequence"]): entry["diff"] for entry in listed}


def test_new_diffs_of_many_subscriptions(
    backend: Backend, diff: DbSubscriptionDiffProtocol, new_actor: Callable[..., str]
) -> None:
    owner, other = new_actor(), new_actor()
    diffs = [("t", 1, "t1"), ("s", 2, '{"a": 1}'), ("s:1", 2, "x"), ("s", 1, ""), ("s", 10, None), ("🎈", 0, "é")]
    assert diff.create_many(actor_id=owner, diffs=diffs) == [True] * 6
    assert stored(backend, owner) == {(subid, seqnr): text or "" for subid, seqnr, text in diffs}
    assert stored(backend, other) == {}


def test_a_number_that_is_taken_is_false_and_the_stored_diff_stays(
    backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
) -> None:
    diff.create(actor_id, "s", "first", 2)
    before = diff.get(actor_id, "s", 2)
    answers = diff.create_many(actor_id, [("s", 1, "a"), ("s", 2, "b"), ("t", 2, "c"), ("s", 3, "d")])
    assert answers == [True, False, True, True]
    assert diff.get(actor_id, "s", 2) == before
    assert stored(backend, actor_id) == {("s", 1): "a", ("s", 2): "first", ("t", 2): "c", ("s", 3): "d"}
    assert diff.create_many(actor_id, [("s", 1, "z"), ("s", 2, "z")]) == [False, False]


def test_the_first_of_two_with_one_number_is_stored(
    backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
) -> None:
    diffs = [
        ("s", 1, "first"),
        ("s\ud800", 1, "first"),
        ("s", 1, "second"),
        ("s\ufffd", 1, "second"),
        ("s", 1, "first"),
    ]
    assert diff.create_many(actor_id, diffs) == [True, True, False, False, False]
    assert stored(backend, actor_id) == {("s", 1): "first", ("s\ufffd", 1): "first"}


@pytest.mark.parametrize("missing", [None, ""])
def test_a_diff_with_a_missing_part_is_false(
    backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str, missing: Any
) -> None:
    assert diff.create_many(actor_id, [(missing, 1, "a"), ("s", 1, "b"), (missing, 1, "a")]) == [False, True, False]
    assert diff.create_many(missing, [("s", 2, "a"), ("s", 3, "b")]) == [False, False]
    assert diff.create_many(actor_id, missing) == []
    assert stored(backend, actor_id) == {("s", 1): "b"}


@pytest.mark.parametrize("collection", [list, tuple, iter])
def test_any_collection_of_triples(
    diff: DbSubscriptionDiffProtocol, actor_id: str, collection: Callable[..., Any]
) -> None:
    triples: list[Any] = [("s", 1, "a"), ["s", 2, "b"]]
    assert diff.create_many(actor_id, collection(triples)) == [True, True]
    assert diff.create_many(actor_id, collection([])) == []


@pytest.mark.parametrize(
    "bad",
    [
        ("s", "2", "d"),
        ("s", None, "d"),
        ("s", True, "d"),
        ("s", 2, 5),
        ("s", 2, "d\x00"),
        ("s\x00", 2, "d"),
        (5, 2, "d"),
        ("s", 2),
        ("s", 2, "d", 1),
        "s2d",
        None,
    ],
)
def test_bad_input_refuses_the_whole_call(
    backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str, bad: Any
) -> None:
    with refusal():
        diff.create_many(actor_id, [("s", 1, "a"), bad, ("s", 3, "b")])
    assert stored(backend, actor_id) == {}


@pytest.mark.parametrize("diffs", [5, "s2d", b"s2d"])
def test_what_holds_no_triples_is_refused(diff: DbSubscriptionDiffProtocol, actor_id: str, diffs: Any) -> None:
    with refusal("diffs"):
        diff.create_many(actor_id, diffs)


@lacks(Capability.LONG_KEYS)
@pytest.mark.parametrize("bad", [("s", 2**200, "d"), ("s" * 3000, 1, "d")], ids=["number", "key"])
def test_a_key_that_is_too_large_refuses_the_whole_call(
    backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str, bad: Any
) -> None:
    with refusal():
        diff.create_many(actor_id, [("s", 1, "a"), bad])
    assert stored(backend, actor_id) == {}


def test_all_have_the_time_of_the_call(backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str) -> None:
    before = datetime.now(UTC)
    diff.create_many(actor_id, [("s", 1, "a"), ("t", 1, "b")])
    after = datetime.now(UTC)
    first, second = get_subscription_diff_list(backend).fetch(actor_id=actor_id)
    assert before <= first["timestamp"] == second["timestamp"] <= after


def test_the_handle_stays(diff: DbSubscriptionDiffProtocol, actor_id: str) -> None:
    diff.create(actor_id, "s", "first", 1)
    before = diff.handle
    diff.create_many(actor_id, [("s", 1, "x"), ("s", 2, "x")])
    diff.create_many(None, [("s", 3, "x")])
    assert diff.handle is before


def test_more_than_a_transaction_holds(backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str) -> None:
    for number in (0, 150, 249):
        diff.create(actor_id, "s", "taken", number)
    answers = diff.create_many(actor_id, [("s", number, "new") for number in range(250)])
    assert [number for number, answer in enumerate(answers) if not answer] == [0, 150, 249]
    assert sorted(text for text in stored(backend, actor_id).values()) == ["new"] * 247 + ["taken"] * 3


def test_each_number_has_one_winner(backend: Backend, actor_id: str) -> None:
    """Callers that want the same numbers, in whatever order: the diff that is stored is that of the one told so."""
    keys = [(subid, number) for subid in ("s", "t") for number in range(5)]
    turns = iter(range(CALLERS))

    def create() -> dict[tuple[str, int], str]:
        turn = next(turns)
        mine = keys[::-1] if turn % 2 else keys
        answers = get_subscription_diff(backend).create_many(actor_id, [(*key, f"of {turn}") for key in mine])
        return {key: f"of {turn}" for key, answer in zip(mine, answers, strict=True) if answer}

    won = race(CALLERS, create)
    assert sum(map(len, won)) == len(keys)
    assert stored(backend, actor_id) == {key: text for each in won for key, text in each.items()}
