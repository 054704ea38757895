"""A few histories of each kind, and the mutants that they find; `make test-live` runs a thousand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.servers import PostgresTables
from tests.live.histories.environment import Environment, environment
from tests.live.histories.mutants import MUTANTS, Mutant
from tests.live.histories.run import KINDS, divergence

# Histories of both directions are long: `make test-live` lets them find their mutants.
_MUTANTS = [mutant for mutant in MUTANTS if mutant.kind != "both"]
_SEEDS = {"both": {0}, **{kind: {one.seed for one in _MUTANTS if one.kind == kind} for kind in ("forward", "backward")}}


@pytest.fixture
def found(postgres_tables: PostgresTables) -> Iterator[Environment]:
    """Return the session's schema and a fake."""
    with environment(postgres_tables) as made:
        yield made
    postgres_tables.wipe()


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_are_equal_in_the_end(found: Environment, kind: str) -> None:
    for seed in _SEEDS[kind]:
        assert divergence(found, kind, seed) is None, seed


def test_a_history_is_the_same_for_the_same_seed(found: Environment) -> None:
    traces = []
    for _ in range(2):
        history = KINDS["forward"](found, 1)
        history.run()
        traces.append(history.scheduler.trace)
    assert traces[0] == traces[1]


@pytest.mark.parametrize("mutant", _MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_rule_is_found(found: Environment, mutant: Mutant) -> None:
    """The same history ends well without the mutant, see above."""
    with mutant.applied():
        assert divergence(found, mutant.kind, mutant.seed) is not None
