"""Fixtures for tests under faults.

* `amount(short, long)`: how much to do: `short` in `make test`, `long` in `make test-faults` (FAULTS=long).
* `figures(name, **numbers)`: record what a test measured; `make test-faults` writes it to docs/reliability.json, from
  which `python -m tests.faults.report` makes the table in docs/reliability.md. Use the numbers `seconds`, `tried`,
  `faults`, `lost`, `doubled`, `wrong` and any others that say something.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.report import FIGURES

LONG = os.environ.get("FAULTS") == "long"
"""Whether `make test-faults` runs."""


class Amount(Protocol):
    """Choose how much to do."""

    def __call__(self, short: int, long: int) -> int: ...


class Figures(Protocol):
    """Record what was measured under a name."""

    def __call__(self, name: str, **numbers: float) -> None: ...


@pytest.fixture(scope="session")
def amount() -> Amount:
    """See the top of the module."""
    return lambda short, long: long if LONG else short


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """See the top of the module."""
    found: dict[str, dict[str, float]] = {}

    def record(name: str, **numbers: float) -> None:
        found[name] = numbers
        print(f"{name}: {', '.join(f'{key} {value:,.6g}' for key, value in numbers.items())}")

    yield record
    if LONG and found:
        _keep(FIGURES, found)


def _keep(path: Path, found: dict[str, dict[str, float]]) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted((before | found).items())), indent=1) + "\n")
