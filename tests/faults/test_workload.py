"""The load that the other tests put on a database finds what went wrong."""

import pytest

from actingweb.db import get_property, get_subscription
from actingweb.db.registry import Backend

from .workload import Chain, Counter, Load, NewProperties, Settings, Verdict, Work

pytestmark = pytest.mark.backends("memory")


def done(work: Work) -> Work:
    for _ in range(10):
        work.step()
    assert work.verdict() == Verdict(tried=10, acknowledged=10)
    return work


def test_many_threads_make_no_faults_of_their_own(backend: Backend) -> None:
    with Load(backend) as load:
        load.wait_for(200)
    verdict = load.verdict()
    assert verdict.faultless
    assert verdict.acknowledged == load.acknowledged >= 200
    assert (verdict.unknown, verdict.failed) == (0, 0)


def test_a_swap_that_is_undone_is_lost(backend: Backend, actor_id: str) -> None:
    chain = done(Chain(backend, actor_id))
    get_property(backend).set(actor_id, "chain", next(iter(chain.ledger.done)))
    assert chain.verdict().lost == 9


def test_a_value_that_nobody_wrote_is_wrong(backend: Backend, actor_id: str) -> None:
    chain, sets = done(Chain(backend, actor_id)), done(Settings(backend, actor_id))
    for name in ("chain", "email"):
        get_property(backend).set(actor_id, name, "x")
    assert chain.verdict().wrong
    assert sets.verdict().lost
    chain.step()
    assert chain.strange == 1


def test_an_increment_too_many_is_doubled_and_one_too_few_lost(backend: Backend, actor_id: str) -> None:
    counter = done(Counter(backend, actor_id))
    subscription = get_subscription(backend)
    assert subscription.get(actor_id, "peer", "counter")
    subscription.increment_seqnr()
    assert counter.verdict().doubled == 1
    subscription.modify(seqnr=9)
    assert counter.verdict().lost == 1


def test_a_created_row_that_is_missing_is_lost_and_one_told_to_be_anothers_doubled(
    backend: Backend, actor_id: str
) -> None:
    creations = done(NewProperties(backend, actor_id))
    assert isinstance(creations, NewProperties)
    key, other = [*creations.ledger.done][:2]
    get_property(backend).batch_delete(actor_id, [key])
    assert creations.verdict().lost == 1
    creations.ledger.enter("new-x", lambda: False)
    assert creations.verdict().doubled == 1
    creations.ledger.done.pop(other)
    creations.ledger.failed.add(other)
    assert creations.verdict().wrong == 1
