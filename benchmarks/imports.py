"""The import of the PostgreSQL backend beside that of its driver alone: `make bench-imports`."""

import statistics
import subprocess
import sys

__all__ = ["main"]

_DRIVER = "psycopg, psycopg_pool"
_BACKEND = "actingweb.db.postgresql.property"
_RUNS = 15
_LIMIT = 1.5


def _seconds(modules: str) -> float:
    """Return how long a new process takes to import these modules, its own start left out."""
    code = f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Print the medians of new processes that take turns; return 1 if the ratio reaches the limit."""
    # The first run compiles what has changed and fills the file cache.
    runs = [(_seconds(_DRIVER), _seconds(_BACKEND)) for _ in range(_RUNS + 1)][1:]
    driver, backend = (statistics.median(times) for times in zip(*runs, strict=True))
    print(f"import {_DRIVER}: {driver * 1000:.0f} ms")
    print(f"import {_BACKEND}: {backend * 1000:.0f} ms")
    print(f"ratio {backend / driver:.2f}, limit {_LIMIT}")
    return 1 if backend / driver >= _LIMIT else 0
