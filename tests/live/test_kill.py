"""Processes that are killed anywhere, two at a time, beside an application that goes on writing."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from actingweb.db import load_backend
from testbed.servers import PostgresTables
from tests.forked import CONTEXT
from tests.live.killed import migrate
from tests.live.sides import Sides
from tests.live.workload import Workload
from tests.migration.validation import validate_live

ROUNDS = 6
LINES = 6000
WRITES = 25


def test_nothing_is_lost(sides: Sides, postgres_tables: PostgresTables, tmp_path: Path) -> None:
    chance = random.Random(4)
    workload = Workload(load_backend("dynamodb"), 2)
    workload.begin()
    environment = {**os.environ, **postgres_tables.environment, **sides.environment}
    codes = []
    for _ in range(ROUNDS):
        processes = [
            CONTEXT.Process(target=migrate, args=(environment, sides.preparation(), holder, lines))
            for holder, lines in (("one", chance.randrange(1, LINES)), ("two", chance.randrange(1, LINES)))
        ]
        for process in processes:
            process.start()
        for _ in range(WRITES):
            workload.step()
        for process in processes:
            process.join()
            codes.append(process.exitcode)
    assert set(codes) <= {0, -signal.SIGKILL}, codes
    assert codes.count(-signal.SIGKILL) >= ROUNDS
    with sides.state.connect() as connection:
        connection.execute(sides.state.sql("DELETE FROM {state}.leases"))
    sides.scan()
    sides.catch_up()
    sides.due()
    sides.catch_up()
    assert sides.rejects() == {}
    assert sides.stored() == sides.expected()
    assert validate_live(sides.state.target, sides.environment, tmp_path).first == []
