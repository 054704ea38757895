"""Cold start: from the start of the interpreter to the first answer, and the memory then, beside the drivers alone."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from actingweb.db import get_actor, get_property, load_backend
from benchmarks.baseline import bare_environment
from benchmarks.results import Section, figure, ratios
from benchmarks.servers import PostgresServer, dynamodb_in_use, use

__all__ = ["main", "measure"]

_DRIVERS = {"postgresql": ("psycopg",), "dynamodb": ("pynamodb", "botocore")}
_RATIOS = {"postgresql": 1.25, "dynamodb": 0.6}
_MEASURES = ("ms", "threads", "connections", "MiB")
_IMPORTS = ("psycopg, psycopg_pool", "actingweb.db.postgresql.property")
_IMPORT_RATIO = 1.5


class ColdStartError(RuntimeError):
    """A program did not give the stored value."""


class _Start(NamedTuple):
    ms: float
    threads: int
    connections: int
    mib: float


def measure(server: PostgresServer, rounds: int) -> Section:
    """Start processes that read one property, in turn."""
    section = Section("cold start", "Cold start: a new process until its first answer")
    section.notes.append("Each process reads one stored property; the time is from its start until the value is there.")
    section.notes.append("By default the first use of a DynamoDB table checks that it exists: two of them here.")
    use(server.environment)
    _compare(section, "postgresql", server.environment, rounds)
    with dynamodb_in_use("cold") as environment:
        _compare(section, "dynamodb", environment, rounds)
    return section


def _compare(section: Section, database: str, environment: Mapping[str, str], rounds: int) -> None:
    backend = load_backend(database)
    get_actor(backend).create(actor_id="cold-actor", creator="c@example.com", passphrase="a passphrase")
    get_property(backend).set(actor_id="cold-actor", name="word", value="first")
    settings = bare_environment({**environment, "DATABASE_BACKEND": database})
    programs = {name: (name, settings) for name in (*_DRIVERS[database], "ours")}
    if database == "dynamodb":
        programs["ours, tables not checked"] = "ours", {**settings, "AWS_DB_AUTO_CREATE_TABLES": "false"}
    # The first fills caches.
    rows = [{name: _started(*program) for name, program in programs.items()} for _ in range(-1, rounds)][1:]
    starts = {name: [row[name] for row in rows] for name in programs}
    for name, found in starts.items():
        medians = map(statistics.median, zip(*found, strict=True))
        section.table.append({"database": database, "what": name, **dict(zip(_MEASURES, medians, strict=True))})
    ours, driver = starts["ours"], starts[_DRIVERS[database][0]]
    first = ratios([one.ms for one in ours], [one.ms for one in driver])
    section.judge(database, f"first answer, ours / {_DRIVERS[database][0]}", first, most=_RATIOS[database])
    section.judge(database, "threads after it", figure([one.threads for one in ours]), most=1)
    section.judge(database, "connections after it", figure([one.connections for one in ours]), most=1)
    if "botocore" in starts:
        memory = ratios([one.mib for one in ours], [one.mib for one in starts["botocore"]])
        section.judge(database, "memory after it, ours / botocore", memory, most=1)


def _started(program: str, environment: Mapping[str, str]) -> _Start:
    began = time.perf_counter()
    command = [sys.executable, "-P", str(Path(__file__).with_name("cold.py")), program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ms = 1000 * (time.perf_counter() - began)
        rest = process.stdout.read()
    if line != "answered\n" or process.returncode != 0:
        raise ColdStartError(f"{program} ended with {process.returncode}")
    threads, sockets, kib = map(int, rest.split())
    return _Start(ms, threads, sockets, kib / 1024)


def _import_seconds(modules: str) -> float:
    """Return how long a new process takes to import these modules, its own start left out."""
    code = f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> int:
    """Print how long the imports of a driver and of its backend take, in turn; return 1 if their ratio is too large."""
    runs = [[_import_seconds(modules) for modules in _IMPORTS] for _ in range(16)][1:]
    driver, backend = (statistics.median(times) for times in zip(*runs, strict=True))
    for modules, seconds in zip(_IMPORTS, (driver, backend), strict=True):
        print(f"import {modules}: {seconds * 1000:.0f} ms")
    print(f"ratio {backend / driver:.2f}, limit {_IMPORT_RATIO}")
    return int(backend / driver >= _IMPORT_RATIO)
