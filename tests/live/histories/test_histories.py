"""A few histories of each kind; `make test-live` runs a thousand, and finds the mutants by them."""

from __future__ import annotations

import pytest

from tests.live.histories.environment import Environment
from tests.live.histories.mutants import MUTANTS, Mutant
from tests.live.histories.run import KINDS, divergence

_SEEDS = {"forward": (0, 1, 2), "backward": (0, 1, 2), "both": (0,)}


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_are_equal_in_the_end(found: Environment, kind: str) -> None:
    for seed in _SEEDS[kind]:
        assert divergence(found, kind, seed) is None, seed


def test_a_history_is_the_same_for_the_same_seed(found: Environment) -> None:
    traces = []
    for _ in range(2):
        history = KINDS["forward"](found, 1)
        history.run()
        traces.append(history.scheduler.predictable)
    assert traces[0] == traces[1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_what_it_breaks(mutant: Mutant) -> None:
    """Histories are run on it by `make test-live`; here, what it replaces has to be there."""
    with mutant.applied():
        pass
