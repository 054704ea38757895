"""Operations that are timed do what they are measured for."""

from collections.abc import Iterator

import pytest
from psycopg import RawCursor

from benchmarks.contenders import FLOOR, Worker, compare
from benchmarks.floor import GROWTH as FLOORS_OF_GROWTH
from benchmarks.population import populate
from benchmarks.results import Section
from testbed.operations.calls import load_classes
from testbed.operations.operation import ACTORS, drawn
from testbed.operations.timed import GROWTH
from testbed.operations.timed import TIMED as OPERATIONS
from testbed.provisioning import new_schema
from testbed.servers import PostgresTables, PostgresTarget

_POPULATION = 200
_ANSWER_NONE = {"reverse look-up, miss", "property batch delete of 10"}


@pytest.fixture
def tables(postgres_server: PostgresTarget, environment: pytest.MonkeyPatch) -> Iterator[PostgresTables]:
    """Yield the tables of a new schema, which the settings name."""
    with new_schema(postgres_server) as made:
        yield made


def test_operations_on_the_population_find_its_rows(tables: PostgresTables, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(ACTORS, str(_POPULATION))
    with tables.connect() as connection:
        populate(connection, _POPULATION)
        for floor in FLOORS_OF_GROWTH:
            (actor,) = drawn(1)
            assert RawCursor(connection).execute(floor.sql, [actor.id]).rowcount == 1, floor.name
    db = load_classes("postgresql")
    for operation in GROWTH:
        operation.store(db, 5)
        answers = [call() for call in operation.calls(db, 5)]
        assert [bool(answer) for answer in answers] == [operation.name not in _ANSWER_NONE] * 5, operation.name


def test_contenders_take_turns(tables: PostgresTables) -> None:
    operations = [one for one in OPERATIONS if one.name in ("property get", "diff clear of 50")]
    section = Section("latency", "Two operations")
    with Worker("postgresql", tables.environment, FLOOR) as floor, Worker("postgresql", tables.environment) as ours:
        for operation, times in compare(
            section, operations, {"floor": floor, "ours": ours}, rounds=2, calls=lambda _: 3
        ):
            times.report(section, operation, {"ours / floor": {"most": 1000}})
    assert [row["µs a call"] for row in section.rows] == ["property get", "diff clear of 50"]
    assert [list(target.figures) for target in section.targets] == [["property get", "diff clear of 50"]]
    assert all(min(row["ours"].low, row["floor"].low, row["CPU ours"].low) > 0 for row in section.rows)
