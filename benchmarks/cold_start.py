"""Cold start: from the start of the interpreter to the first answer, and the memory then, beside the drivers alone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from actingweb.db import get_actor, get_property, load_backend
from benchmarks.contenders import bare_environment
from benchmarks.machine import resident_mib
from benchmarks.results import Section, ratio
from benchmarks.servers import dynamodb_server, postgres_server, schema, tables
from benchmarks.sizes import Sizes

_DRIVERS = {"postgresql": ("psycopg",), "dynamodb": ("pynamodb", "botocore")}
_RATIOS = {"postgresql": 1.25, "dynamodb": 0.6}
_IMPORTS = ("psycopg, psycopg_pool", "actingweb.db.postgresql.property")
_IMPORT_RATIO = 1.5


class _Start(NamedTuple):
    ms: float
    threads: int
    connections: int
    mib: float


def measure(sizes: Sizes) -> Iterator[Section]:
    """Start processes that read one property, in turn."""
    section = Section("cold start", "Cold start: a new process until its first answer")
    section.notes.append("Each process reads one stored property; the time is from its start until the value is there.")
    section.notes.append("By default the first use of a DynamoDB table checks that it exists: two of them here.")
    with postgres_server() as server, schema(server) as made:
        _compare(section, "postgresql", made.environment, sizes.rounds)
    with dynamodb_server() as other, tables(other) as named:
        _compare(section, "dynamodb", named.environment, sizes.rounds)
    yield section


def _compare(section: Section, database: str, environment: Mapping[str, str], rounds: int) -> None:
    backend, driver = load_backend(database), _DRIVERS[database][0]
    get_actor(backend).create(actor_id="cold-actor", creator="c@example.com", passphrase="a passphrase")
    get_property(backend).set(actor_id="cold-actor", name="word", value="first")
    settings = bare_environment({**environment, "DATABASE_BACKEND": database})
    programs = {name: (name, settings) for name in (*_DRIVERS[database], "ours")}
    if database == "dynamodb":
        programs["ours, tables not checked"] = "ours", {**settings, "AWS_DB_AUTO_CREATE_TABLES": "false"}
    # The first fills caches.
    rounds_of = [{name: _started(*program) for name, program in programs.items()} for _ in range(-1, rounds)][1:]
    starts = {name: [each[name] for each in rounds_of] for name in programs}
    for name, found in starts.items():
        ms, threads, connections, mib = map(median, zip(*found, strict=True))
        row = {"database": database, "what": name, "ms": ms, "threads": threads, "connections": connections}
        section.add({**row, "MiB": mib})
    ours = starts["ours"]
    first = ratio([one.ms for one in ours], [one.ms for one in starts[driver]])
    section.judge(database, f"first answer, ours / {driver}", first, most=_RATIOS[database])
    section.judge(database, "threads after it", median(one.threads for one in ours), most=1)
    section.judge(database, "connections after it", median(one.connections for one in ours), most=1)
    if "botocore" in starts:
        memory = ratio([one.mib for one in ours], [one.mib for one in starts["botocore"]])
        section.judge(database, "memory after it, ours / botocore", memory, most=1)


def _started(program: str, environment: Mapping[str, str]) -> _Start:
    began = time.perf_counter()
    command = [sys.executable, "-P", str(Path(__file__).with_name("cold.py")), program]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        answer = process.stdout.readline()
        ms = 1000 * (time.perf_counter() - began)
        if answer != "first\n":
            raise RuntimeError(f"{program} answered {answer!r}")
        facts = Path("/proc", str(process.pid))
        sockets = sum(os.readlink(file).startswith("socket:") for file in (facts / "fd").iterdir())
        return _Start(ms, len([*(facts / "task").iterdir()]), sockets, resident_mib(process.pid))


def _import_seconds(modules: str) -> float:
    """Return how long a new process takes to import these modules, its own start left out."""
    code = f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure_imports(sizes: Sizes) -> Iterator[Section]:
    """Compare the import of a backend with that of its driver, in turn."""
    section = Section("imports", "Import of the PostgreSQL backend and of its driver")
    runs = [[_import_seconds(modules) for modules in _IMPORTS] for _ in range(-1, sizes.rounds)][1:]
    driver, backend = zip(*runs, strict=True)
    for modules, seconds in zip(_IMPORTS, (driver, backend), strict=True):
        section.add({"import": modules, "ms": 1000 * median(seconds)})
    section.judge(_IMPORTS[1], "import, ours / psycopg", ratio(backend, driver), most=_IMPORT_RATIO)
    yield section
