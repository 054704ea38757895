"""No operation sends more requests, or takes more round trips, than contract 4.5 and 5.2 allow."""

from __future__ import annotations

import pytest

from actingweb.db.registry import Backend
from testbed.operations.calls import load_classes
from testbed.operations.counted import COUNTED
from testbed.operations.operation import Operation
from testbed.recorder import recorded_requests, recorded_trips

pytestmark = pytest.mark.backends("dynamodb", "postgresql")

_OPERATIONS = [operation for operation in COUNTED if not operation.legacy]


@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_sends_no_more_than_it_may(backend: Backend, operation: Operation) -> None:
    limit = {"dynamodb": operation.requests, "postgresql": operation.trips}[backend.database]
    with (recorded_requests if backend.database == "dynamodb" else recorded_trips)() as taken:
        assert len(operation.sent(load_classes(backend.database), taken)) <= limit
