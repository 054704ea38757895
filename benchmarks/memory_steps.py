"""Use a pool for long: `python -m benchmarks.memory_steps DATABASE CALLS` prints the memory after each fifth, as JSON.

The calls are the reads and writes of the workload that leave as many rows as they find, made by as many threads as the
pool has connections.
"""

import gc
import json
import logging
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

from benchmarks.driver.workload import OPERATIONS, Call, load_classes
from benchmarks.machine import resident_mib

_THREADS = 10
_EACH = 10
_PARTS = 5


def main() -> None:
    """Make the calls, and print."""
    logging.disable(logging.CRITICAL)
    database, count = sys.argv[1], int(sys.argv[2])
    tracemalloc.start()
    classes = load_classes(database, cascades=True)
    lasting = [operation for operation in OPERATIONS if operation.once]
    for operation in lasting:
        operation.store(classes, _EACH)
    # An object belongs to one thread.
    calls = [
        cycle([call for operation in lasting for call in operation.calls(classes, _EACH)]) for _ in range(_THREADS)
    ]
    samples = []
    with ThreadPoolExecutor(_THREADS) as threads:
        for part in range(1, _PARTS + 1):
            list(threads.map(lambda mine: _make(list(islice(mine, count // _PARTS // _THREADS))), calls))
            gc.collect()
            traced = tracemalloc.get_traced_memory()[0] / 2**20
            samples.append({"calls": count // _PARTS * part, "traced MiB": traced, "resident MiB": resident_mib()})
    print(json.dumps(samples))


def _make(calls: list[Call]) -> None:
    for call in calls:
        call()


if __name__ == "__main__":
    main()
