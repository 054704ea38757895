"""A process that runs operations as it is told: one JSON object a line on stdin, one answer a line on stdout.

Runs in the environment of whoever is measured, so it uses the standard library and `testbed/operations` only.
`{"do": "store" or "run", "operation": name, "count": calls}`; the answer to "run" has the seconds that each call took
on average, and those of processor time. An operation that cannot be run is answered with its "error".
"""

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What a library prints must not mix with the answers.
    os.dup2(2, 1)
    # Last, so that the `actingweb` beside it is not found before the one that is installed.
    sys.path.append(str(Path(__file__).parents[2] / "testbed"))
    database, cascades, table = sys.argv[1:]
    module, _, name = table.partition(":")
    operations = {operation.name: operation for operation in getattr(importlib.import_module(module), name)}
    classes = importlib.import_module("operations.calls").load_classes(database, cascades == "cascades")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(classes, operations[request["operation"]], request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(answer) + "\n")


def _answer(classes: Any, operation: Any, request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "store":
        operation.store(classes, request["count"])
        return {}
    seconds, cpu = importlib.import_module("operations.calls").timed(operation.calls(classes, request["count"]))
    return {"seconds": seconds, "cpu": cpu}


if __name__ == "__main__":
    main()
