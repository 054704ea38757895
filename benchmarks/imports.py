"""How long the import of the PostgreSQL backend takes, beside that of its driver."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from statistics import median

from benchmarks.contenders import interleave
from benchmarks.results import Section, Sizes, ratio

_DRIVER, _BACKEND = "psycopg, psycopg_pool", "actingweb.db.postgresql.property"
_RATIO = 1.5


def measure(sizes: Sizes) -> Iterator[Section]:
    """Import both in new processes, in turn."""
    section = Section("imports", "Import of the PostgreSQL backend and of its driver")
    took = interleave({modules: partial(_seconds, modules) for modules in (_DRIVER, _BACKEND)}, sizes.rounds)
    for modules, seconds in took.items():
        section.add({"import": modules, "ms": 1000 * median(seconds)})
    section.judge(_BACKEND, "import, ours / psycopg", ratio(took[_BACKEND], took[_DRIVER]), most=_RATIO)
    yield section


def _seconds(modules: str) -> float:
    """Return how long a new process takes to import these modules, its own start left out."""
    code = f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout)
