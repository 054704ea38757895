"""Random calls of a backend in trouble: after each fault the stored state is one that the contract allows.

Hypothesis draws calls and faults, with a new seed each time in the long form, and prints the shortest calls and faults
that fail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from actingweb.db.dynamodb import transport
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import spoiling_proxy
from testbed.servers import Tables
from testbed.tcp_proxy import tcp_proxy
from tests.conftest import SetEnv
from tests.contract.support.steps import GROUPS, SEED, Step, steps
from tests.support import conninfo_of

from .conftest import Amount, Figures
from .faulty_pair import FaultyPair
from .model_faults import APPLICATION, DynamoDBFaults, Fault, Faults, PostgresFaults
from .raw_rows import Connection, Rows, dynamodb_rows, postgresql_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Play = tuple[Step, Fault | None]

_TABLES = {"dynamodb": "dynamodb_tables", "postgresql": "postgres_tables"}


@pytest.fixture
def faults(backend: Backend, request: pytest.FixtureRequest) -> Faults:
    """Return the faults of the backend's database, which stands behind a proxy."""
    found: Faults = request.getfixturevalue(f"{backend.database}_faults")
    return found


@pytest.fixture
def postgresql_faults(pg: Connection, set_env: SetEnv) -> Iterator[Faults]:
    """Put a proxy between the backend and PostgreSQL."""
    with tcp_proxy(pg.info.host, pg.info.port) as proxy:
        address = {"host": "127.0.0.1", "port": str(proxy.port)}
        set_env(PG_DB_URL=conninfo_of(pg, application_name=APPLICATION, **address))
        yield PostgresFaults(proxy, pg)


@pytest.fixture
def dynamodb_faults(set_env: SetEnv, environment: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Put a proxy between the backend and DynamoDB, whose tables are known to exist."""
    environment.setattr(transport, "_FIRST_PAUSE", 0.001)
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        # Two attempts, so that many faults last longer than the patience with them.
        set_env(AWS_DB_HOST=proxy.url, AWS_DB_AUTO_CREATE_TABLES="0", AWS_DB_TIMEOUT="2.0", AWS_DB_MAX_ATTEMPTS="2")
        yield DynamoDBFaults(proxy)


@pytest.fixture
def read(backend: Backend, request: pytest.FixtureRequest) -> Callable[..., Rows]:
    """Return what reads tables past the library and past the faults."""
    if backend.database == "postgresql":
        return partial(postgresql_rows, request.getfixturevalue("pg"))
    client: DynamoDBClient = request.getfixturevalue("ddb")
    return partial(dynamodb_rows, client)


@st.composite
def plays(draw: st.DrawFn, kinds: list[str]) -> list[Play]:
    """Draw calls on the tables of one group or of all, and what befalls about every second one."""
    calls: list[Step] = draw(st.sampled_from([*GROUPS, "all"]).flatmap(steps))
    few = st.sampled_from([0, 0, 0, 1, 2])
    fault = st.builds(Fault, st.sampled_from(kinds), few, st.sampled_from([1, 1, 2, 3, 9]))
    drawn = draw(st.lists(st.none() | fault, min_size=len(calls), max_size=len(calls)))
    return list(zip(calls, drawn, strict=True))


@pytest.mark.backends("dynamodb", "postgresql")
def test_after_each_fault_the_stored_state_is_one_that_the_contract_allows(
    request: pytest.FixtureRequest,
    backend: Backend,
    faults: Faults,
    read: Callable[..., Rows],
    amount: Amount,
    figures: Figures,
) -> None:
    tables: Tables = request.getfixturevalue(_TABLES[backend.database])
    few, many = {"dynamodb": (8, 80), "postgresql": (30, 300)}[backend.database]
    is_long = amount(0, 1) == 1
    made: list[FaultyPair] = []
    tried = 0

    @settings(
        max_examples=amount(few, many),
        derandomize=not is_long,
        deadline=None,
        print_blob=True,
        # A history that fails is printed as it is: a shorter one takes minutes to find.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(drawn=plays(faults.kinds))
    def compare(drawn: list[Play]) -> None:
        nonlocal tried
        tables.wipe()
        pair = FaultyPair(backend, faults, read)
        made.append(pair)
        for step in SEED:
            pair.play(step)
        for step, fault in drawn:
            tried += 1
            if fault is None:
                pair.play(step)
            else:
                pair.play_under(fault, step)
        pair.check_state()

    began = time.monotonic()
    compare()
    figures(
        f"model under faults, {backend.database}",
        seconds=time.monotonic() - began,
        tried=tried,
        faults=faults.happened.total(),
        wrong=0,
        unknown=sum(pair.unknown for pair in made),
        failed=sum(pair.failed for pair in made),
    )
    assert faults.happened.total() > len(made)
    assert any(pair.unknown for pair in made)
