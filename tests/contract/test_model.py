"""Random calls, answered by a backend and by a model in plain Python side by side.

MODEL_EXAMPLES sets how many sequences are tried for each group of tables, then with a new seed each time.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from actingweb.db.registry import Backend
from testbed.servers import Tables

from .support.pair import Pair
from .support.steps import GROUPS, SEED, Step, look, steps

_EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
_FEW = {"dynamodb": 12, "postgresql": 40, "memory": 100}
_TABLES = {"dynamodb": "dynamodb_tables", "postgresql": "postgres_tables", "memory": "memory_tables"}


@pytest.mark.parametrize("group", [*GROUPS, "all"])
def test_a_backend_answers_what_the_model_answers(request: pytest.FixtureRequest, backend: Backend, group: str) -> None:
    tables: Tables = request.getfixturevalue(_TABLES[backend.database])

    @settings(
        max_examples=_EXAMPLES or _FEW[backend.database],
        derandomize=not _EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(calls=steps(group))
    def compare(calls: list[Step]) -> None:
        tables.wipe()
        pair = Pair(backend)
        for step in (*SEED, *calls, *look(group)):
            pair.play(step)

    compare()
