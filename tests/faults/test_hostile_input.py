"""Whatever an argument is, every backend gives the same answer, stores the same or refuses it by the same error."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from actingweb.db import DbInputError
from actingweb.db.registry import Backend, load_backend
from actingweb.db.utils import sanitize_json_data
from testbed.servers import DynamoDBTables, MemoryTables, PostgresTables
from tests.conftest import SetEnv
from tests.contract.support.signatures import MODULES, SIGNATURES

from .conftest import Amount, Figures
from .hostile_calls import ACTOR, ARGUMENTS, DIFFERENCES, TABLES, Call, Side, usual
from .hostile_values import HOSTILE, deep
from .raw_rows import Connection, dynamodb_rows, memory_rows, postgresql_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DOCUMENT = Path(__file__).parents[2] / "docs" / "backends.md"
_FRESH_AFTER = 25


class Sides:
    """The memory backend, which has no limits, and the real ones, in step with each other."""

    def __init__(self, model: Side, real: list[Side], wipe: Callable[[], None]) -> None:
        self._model = model
        self._real = real
        self._wipe = wipe
        self.made = 0
        self.different = 0
        self._module = ""
        self._age = 0

    def begin(self, module: str) -> None:
        """Start with fresh rows, as seen in the tables of `module`."""
        self._module = module
        self._wipe()
        for side in (self._model, *self._real):
            side.fill()
            side.before = side.read(*TABLES[module])
        assert all(side.before == self._model.before for side in self._real)
        self._age = 0

    def play(self, call: Call) -> None:
        """Make a call everywhere and compare answers and rows."""
        self.made += 1
        self._age += 1
        if call.module != self._module or self._age > _FRESH_AFTER:
            self.begin(call.module)
        for side in (self._model, *self._real):
            side.host(call.arguments.get("actor_id", ACTOR))
            if self._module == "actor":
                side.before = side.read(*TABLES[self._module])
        expected = self._model.answer(call)
        rows = self._model.read(*TABLES[self._module])
        if isinstance(expected, type):
            assert issubclass(expected, DbInputError), (call.name, expected)
            assert rows == self._model.before, call
        agreed = [self._agrees(side, call, expected, rows) for side in self._real]
        self._model.before = rows
        if not all(agreed):
            self.different += 1
            self.begin(self._module)

    def _agrees(self, side: Side, call: Call, expected: Any, rows: Any) -> bool:
        """Tell whether the answer is the model's; fail if it is not and no documented difference explains it."""
        answer = side.answer(call)
        found = side.read(*TABLES[self._module])
        before, side.before = side.before, found
        if answer == expected and found == rows:
            return True
        allowed = [each for each in DIFFERENCES if side.name in each.backends and each.applies(call)]
        explained = any(each.outcome is None or (answer is each.outcome and found == before) for each in allowed)
        seen = {"answer": answer, "expected": expected, "found": found, "rows": rows}
        assert explained, "\n".join([side.name, call.name, _shortened(call.arguments), _shortened(seen)])
        return False


def _shortened(arguments: Any) -> str:
    return str(
        {name: repr(value)[:1000] if not isinstance(value, list) else "list" for name, value in arguments.items()}
    )


@pytest.fixture
def sides(
    postgres_tables: PostgresTables,
    dynamodb_tables: DynamoDBTables,
    memory_tables: MemoryTables,
    pg: Connection,
    ddb: DynamoDBClient,
    set_env: SetEnv,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Sides]:
    """Return all backends with empty tables."""
    # Kept, the lines would take more memory than all else.
    caplog.set_level(logging.CRITICAL, "actingweb")
    set_env(**postgres_tables.environment, **dynamodb_tables.environment)
    tables = (postgres_tables, dynamodb_tables, memory_tables)

    def wipe() -> None:
        for each in tables:
            each.wipe()

    # Times are compared as texts.
    pg.execute("SET timezone = 'UTC'")
    real = [
        Side(load_backend("postgresql"), lambda *names: postgresql_rows(pg, *names)),
        Side(load_backend("dynamodb"), lambda *names: dynamodb_rows(ddb, *names)),
    ]
    yield Sides(Side(load_backend("memory"), memory_rows), real, wipe)
    wipe()


def test_every_argument_takes_every_hostile_value(sides: Sides, amount: Amount, figures: Figures) -> None:
    """Each argument gets some of the values, in turn, so that each value is used many times."""
    started = time.monotonic()
    share = amount(2, 15)
    for number, (name, argument) in enumerate(ARGUMENTS):
        for offset in range(share):
            value = HOSTILE[(number * share + offset) % len(HOSTILE)]
            sides.play(usual(name, **{argument: value}))
    figures(
        "hostile values in every argument",
        seconds=time.monotonic() - started,
        tried=sides.made,
        wrong=0,
        documented_differences=sides.different,
    )


_VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(st.characters(), max_size=10),
    st.sampled_from((ACTOR, "name", "value", "email", "peer", "sub", "type", "target", "bucket", "list:x", "a:b")),
    st.integers(),
    st.floats(),
    st.binary(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)


@st.composite
def calls(draw: st.DrawFn, module: str) -> Call:
    """Draw a call of a class of the module, with one to three hostile arguments."""
    of_module = [each for each in ARGUMENTS if MODULES[each[0].partition(".")[0]] == module]
    name, argument = draw(st.sampled_from(of_module))
    cls, _, method = name.partition(".")
    others = [str(parameter) for parameter, _, _ in SIGNATURES[cls][method]]
    chosen = {argument, *draw(st.lists(st.sampled_from(others), max_size=2))} if others else {argument}
    return usual(name, **{each: draw(_VALUES) for each in sorted(chosen)})


@pytest.mark.parametrize("module", TABLES)
def test_random_hostile_calls(sides: Sides, module: str, amount: Amount, figures: Figures) -> None:
    """In the long form 10,000 in all."""
    started = time.monotonic()
    examples = ceil(amount(180, 10_000) / len(TABLES))

    @seed(7391)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(call=calls(module))
    def compare(call: Call) -> None:
        sides.play(call)

    compare()
    figures(
        f"random hostile calls: {module}",
        seconds=time.monotonic() - started,
        tried=sides.made,
        wrong=0,
        documented_differences=sides.different,
    )


def test_every_difference_is_documented() -> None:
    lines = [line.split("|")[1].strip() for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    assert [each.sentence for each in DIFFERENCES if each.sentence not in lines] == []


def test_an_actor_that_does_not_exist_is_the_difference_that_is_documented(sides: Sides) -> None:
    sides.begin("property")
    model, (postgresql, dynamodb) = sides._model, sides._real
    call = usual("DbProperty.set", actor_id="nobody")
    assert postgresql.answer(call).__name__ == "DbUnknownActorError"
    assert postgresql.read(*TABLES["property"]) == postgresql.before
    assert dynamodb.answer(call) == model.answer(call)


def test_a_number_of_more_digits_than_a_text_may_have_finds_nothing(backend: Backend, actor_id: str) -> None:
    assert backend.DbSubscriptionDiff.DbSubscriptionDiff().get(actor_id, "sub", 10**5000) is None


def test_data_of_any_depth_is_cleaned_or_refused() -> None:
    assert sanitize_json_data(deep(50)) == deep(50)
    with pytest.raises(DbInputError):
        sanitize_json_data(deep(100_000))
