"""How processes of a parallel run share the modules that they import first."""

from __future__ import annotations

import pytest

from tests.rewriting import part

MODULES = [f"tests.test_{number}" for number in range(10)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10, 16])
def test_each_module_is_in_one_part(count: int) -> None:
    parts = [part(MODULES, number, count) for number in range(count)]
    assert [module for each in parts for module in each] == MODULES
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
