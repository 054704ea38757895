"""Cold start: from the start of the interpreter to the first answer, beside the driver alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actingweb.db import get_actor, get_property, load_backend
from benchmarks.baseline import bare_environment
from benchmarks.results import Section, figure, ratios
from testbed.own_schemas import PostgresServer, dynamodb_in_use, use

__all__ = ["measure"]

_PROGRAMS = Path(__file__).parent / "cold"
_DRIVERS = {"postgresql": "psycopg", "dynamodb": "pynamodb"}
_RATIO = 1.25


class ColdStartError(RuntimeError):
    """A program did not give the stored value."""


@dataclass(frozen=True)
class _Start:
    seconds: float
    threads: int
    sockets: int


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
    driver = _DRIVERS[database]
    settings = bare_environment({**environment, "DATABASE_BACKEND": database})
    programs = {driver: (f"bare_{driver}.py", settings), "ours": ("ours.py", settings)}
    if database == "dynamodb":
        programs["ours, tables not checked"] = "ours.py", {**settings, "AWS_DB_AUTO_CREATE_TABLES": "false"}
    starts: dict[str, list[_Start]] = {name: [] for name in programs}
    for number in range(-1, rounds):  # the first fills caches
        for name, (program, variables) in programs.items():
            start = _started(program, variables)
            if number >= 0:
                starts[name].append(start)
    _judge(section, database, driver, starts)


def _started(program: str, environment: Mapping[str, str]) -> _Start:
    began = time.perf_counter()
    command = [sys.executable, str(_PROGRAMS / program)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        rest = process.stdout.read()
    if line != "answered\n" or process.returncode != 0:
        raise ColdStartError(f"{program} ended with {process.returncode}")
    threads, sockets = map(int, rest.split())
    return _Start(seconds, threads, sockets)


def _judge(section: Section, database: str, driver: str, starts: Mapping[str, list[_Start]]) -> None:
    for name, found in starts.items():
        took = figure([start.seconds * 1000 for start in found])
        row = {"database": database, "what": name, "ms": round(took.median, 1)}
        section.table.append({**row, "threads": found[-1].threads, "connections": found[-1].sockets})
    ours, floor = starts["ours"], starts[driver]
    ratio = ratios([start.seconds for start in ours], [start.seconds for start in floor])
    section.judge(database, f"first answer, ours / {driver}", ratio, most=_RATIO)
    section.judge(database, "threads after it", figure([start.threads for start in ours]), most=1)
    section.judge(database, "connections after it", figure([start.sockets for start in ours]), most=1)
