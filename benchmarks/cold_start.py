"""Cold start: from the start of the interpreter to the first answer, and the memory then, beside the drivers alone."""

import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from actingweb.db import get_actor, get_property, load_backend
from benchmarks.contenders import bare_environment, interleave, one_of_programs
from benchmarks.machine import resident_mib
from benchmarks.results import Section, Sizes, ratio
from testbed.provisioning import BACKENDS, tables_of

_DRIVERS = {"postgresql": ("psycopg",), "dynamodb": ("pynamodb", "botocore")}
_RATIOS = {"postgresql": 1.25, "dynamodb": 0.6}


def measure(sizes: Sizes) -> Iterator[Section]:
    """Start processes that read one property, in turn."""
    section = Section("cold start", "Cold start: a new process until its first answer")
    section.notes.append("Each process reads one stored property; the time is from its start until the value is there.")
    section.notes.append("By default the first use of a DynamoDB table checks that it exists: two of them here.")
    for backend in BACKENDS:
        with tables_of(backend) as environment:
            _compare(section, backend, environment, sizes.rounds)
    yield section


def _compare(section: Section, database: str, environment: Mapping[str, str], rounds: int) -> None:
    backend, driver = load_backend(database), _DRIVERS[database][0]
    get_actor(backend).create(actor_id="cold-actor", creator="c@example.com", passphrase="a passphrase")
    get_property(backend).set(actor_id="cold-actor", name="word", value="first")
    settings = bare_environment({**environment, "DATABASE_BACKEND": database})
    programs = {name: partial(_started, name, settings) for name in (*_DRIVERS[database], "ours")}
    if database == "dynamodb":
        unchecked = {**settings, "AWS_DB_AUTO_CREATE_TABLES": "false"}
        programs["ours, tables not checked"] = partial(_started, "ours", unchecked)
    starts = interleave(programs, rounds)
    for name, found in starts.items():
        section.add({"database": database, "what": name, **{key: median(_all(found, key)) for key in found[0]}})
    ours = starts["ours"]
    first = ratio(_all(ours, "ms"), _all(starts[driver], "ms"))
    section.judge(database, f"first answer, ours / {driver}", first, most=_RATIOS[database])
    for what in ("threads", "connections"):
        section.judge(database, f"{what} after it", median(_all(ours, what)), most=1)
    if "botocore" in starts:
        memory = ratio(_all(ours, "MiB"), _all(starts["botocore"], "MiB"))
        section.judge(database, "memory after it, ours / botocore", memory, most=1)


def _all(starts: list[dict[str, float]], key: str) -> list[float]:
    return [one[key] for one in starts]


def _started(program: str, environment: Mapping[str, str]) -> dict[str, float]:
    began = time.perf_counter()
    with one_of_programs(program, environment) as process:
        answer = process.line()
        ms = 1000 * (time.perf_counter() - began)
        if answer != "first":
            raise RuntimeError(f"{program} answered {answer!r}")
        facts = Path("/proc", str(process.pid))
        sockets = sum(os.readlink(file).startswith("socket:") for file in (facts / "fd").iterdir())
        threads = len([*(facts / "task").iterdir()])
        return {"ms": ms, "threads": threads, "connections": sockets, "MiB": resident_mib(process.pid)}
