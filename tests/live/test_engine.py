"""The engine beside an application that goes on writing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from actingweb.db import load_backend
from tests.live.sides import Sides
from tests.live.workload import Workload
from tests.migration.validation import validate_live

STEPS = 400


def run(work: Callable[[], object], stop: threading.Event, failures: list[BaseException]) -> None:
    """Work until `stop` is set."""
    try:
        while not stop.is_set():
            if not work():
                stop.wait(0.05)
    except BaseException as error:  # noqa: BLE001 - raised again by the test
        failures.append(error)


def test_all_kinds_of_rows_under_load(sides: Sides, tmp_path: Path) -> None:
    backend = load_backend("dynamodb")
    workload = Workload(backend, 1)
    workload.begin()
    sides.prepare()
    stop, failures = threading.Event(), list[BaseException]()
    readers = [sides.reader(name, pause=0.1) for name in ("one", "two")]
    appliers = [sides.applier(), sides.applier(batch=3)]
    steps = [sides.scanner().step, *(reader.step for reader in readers), *(applier.step for applier in appliers)]
    threads = [threading.Thread(target=run, args=(step, stop, failures)) for step in steps]
    for thread in threads:
        thread.start()
    try:
        for _ in range(STEPS):
            workload.step()
            if failures:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    sides.scan()
    sides.due()
    sides.catch_up()
    assert sides.rejects() == {}
    assert sides.stored() == sides.expected()
    result = validate_live(sides.state.target, sides.environment, tmp_path)
    assert result.first == []
