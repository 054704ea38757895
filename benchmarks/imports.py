"""Compare the import of the PostgreSQL backend with that of its driver alone: `python -m benchmarks.imports`.

Prints the medians of new processes that take turns, and their ratio; ends with 1 if it is 1.5 or more.
"""

import statistics
import subprocess
import sys

DRIVER = "psycopg, psycopg_pool"
BACKEND = "actingweb.db.postgresql.property"
RUNS = 15
LIMIT = 1.5


def seconds(modules: str) -> float:
    """Return how long a new process takes to import these modules, its own start left out."""
    code = f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Print the result and return the exit status."""
    for modules in (DRIVER, BACKEND):
        seconds(modules)  # compiles what has changed, fills the file cache
    runs = [(seconds(DRIVER), seconds(BACKEND)) for _ in range(RUNS)]
    driver, backend = (statistics.median(times) for times in zip(*runs, strict=True))
    ratio = backend / driver
    print(f"import {DRIVER}: {driver * 1000:.0f} ms")
    print(f"import {BACKEND}: {backend * 1000:.0f} ms")
    print(f"ratio {ratio:.2f}, limit {LIMIT}")
    return 1 if ratio >= LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
