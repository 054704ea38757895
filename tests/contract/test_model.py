"""Random calls, answered by a backend and by a model in plain Python side by side.

MODEL_EXAMPLES sets how many sequences are tried for each group of tables, then with a new seed each time.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from actingweb.db.conformance import Harness
from actingweb.db.registry import Backend

from .support.pair import Pair
from .support.steps import GROUPS, SEED, Step, look, steps

_EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
# A server takes longer for each of them.
_FEW = {"dynamodb": 12, "postgresql": 40}


@pytest.mark.parametrize("group", [*GROUPS, "all"])
def test_a_backend_answers_what_the_model_answers(backend: Backend, harness: Harness, group: str) -> None:
    @settings(
        max_examples=_EXAMPLES or _FEW.get(backend.database, 100),
        derandomize=not _EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(calls=steps(group))
    def compare(calls: list[Step]) -> None:
        harness.wipe()
        pair = Pair(backend)
        for step in (*SEED, *calls, *look(group)):
            pair.play(step)

    compare()
