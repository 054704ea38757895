"""Run the ActingWeb framework, installed from the package registry, with this tree's wheel beside it.

First as installed, then after both were installed again, an application of the framework's public interface lives on
DynamoDB, then on PostgreSQL, through the steps of `scenario`. Then the ways of `handover` between the framework's own
storage layer and this one are taken. While its actors live every table holds rows of them; after they are
deleted none does, but for one row per actor in `attributes`: the framework's tombstone (id `_actingweb_deleted`, bucket
`_deleted_actors`), which tells late callers for a month that the actor was deleted and did not just fail to load. Exit
0 if all went well, else 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from actingweb.embedded.process import EmbeddedServerError
from testbed.environments import InstallationError
from tests.framework.client import UnexpectedAnswerError, expect
from tests.framework.databases import BACKENDS, Database, mentioning, open_database
from tests.framework.handover import WAYS
from tests.framework.installation import (
    FRAMEWORK,
    OWN_STORAGE,
    Environment,
    framework_environment,
)
from tests.framework.process import CommandError, application, run_command
from tests.framework.scenario import END, LIFE, Stage

_FAILURES = (
    UnexpectedAnswerError,
    CommandError,
    EmbeddedServerError,
    InstallationError,
    OSError,
    subprocess.TimeoutExpired,
)
_SWEEPS = ("verify_orphans", "verify_property_lists", "migrate_property_lists")
_ACTORS_AND_SYSTEM = 4


def main() -> int:
    """Return the exit status."""
    try:
        with framework_environment() as environment:
            _check_installed(environment, f"{environment.wheel.name} beside {FRAMEWORK}")
            _run_all(environment)
            environment.reinstall_framework()
            _check_installed(environment, "the framework was installed again")
            environment.install_wheel()
            _check_installed(environment, "the wheel was installed again")
            _run_all(environment)
            for way in WAYS:
                way(environment)
                _say((way.__doc__ or way.__name__).splitlines()[0])
    except _FAILURES as error:
        print(f"FAILED  {error}", flush=True)
        return 1
    return 0


def _check_installed(environment: Environment, what: str) -> None:
    environment.check()
    environment.expect_storage(OWN_STORAGE)
    _say(f"{what}: actingweb is the framework's, actingweb.db this tree's")


def _run_all(environment: Environment) -> None:
    for backend in BACKENDS:
        _run(backend, environment)


def _run(backend: str, installed: Environment) -> None:
    python = installed.python
    started = time.monotonic()
    with open_database(backend) as database:
        environment = {**database.environment, "DATABASE_BACKEND": backend}
        if backend == "postgresql":
            run_command(python, ["alembic", "-c", str(installed.alembic_ini), "upgrade", "head"], environment)
        with application(python, environment) as running:
            stage = Stage(backend, running.url)
            try:
                _play(stage, LIFE)
                _check_rows_of_the_living(database, stage.ids)
                _check_commands(python, environment)
                _play(stage, END)
                _check_rows_of_the_deleted(database, stage.ids)
                expect("errors in the application's log", running.errors(), [])
            except BaseException:
                print(running.log.read_text()[-3000:], flush=True)
                raise
    _say(f"{backend}: all well after {time.monotonic() - started:.1f} s")


def _play(stage: Stage, steps: Iterable[Callable[[Stage], None]]) -> None:
    for step in steps:
        step(stage)
        _say(f"{stage.backend}: {(step.__doc__ or step.__name__).splitlines()[0]}")


def _check_rows_of_the_living(database: Database, ids: Collection[str]) -> None:
    rows = database.rows()
    found = mentioning(rows, ids)
    expect("tables with rows of the actors", sorted(found), sorted(rows))
    _say("rows of the actors: " + ", ".join(f"{table} {len(found[table])}" for table in sorted(found)))


def _check_commands(python: Path, environment: Mapping[str, str]) -> None:
    for sweep in _SWEEPS:
        module = f"actingweb.maintenance.{sweep}"
        run_command(python, [module, "--help"], environment)
        output = run_command(python, [module, "--rps", "0"], environment)
        ((counts, actors),) = re.findall(r"Summary: (actors\w*=(\d+) .*)", output)
        expect(f"actors that {sweep} counts", int(actors), _ACTORS_AND_SYSTEM)
        _say(f"{module}: {counts}")


def _check_rows_of_the_deleted(database: Database, ids: Collection[str]) -> None:
    found = mentioning(database.rows(), ids)
    expect("tables with rows of deleted actors", list(found), ["attributes"])
    kept = sorted((row["id"], row["bucket"], row["name"]) for row in found["attributes"])
    expect("rows of deleted actors", kept, sorted(("_actingweb_deleted", "_deleted_actors", one) for one in ids))
    expect("tombstones that expire", all(row["ttl_timestamp"] for row in found["attributes"]), True)
    _say(f"rows of the deleted actors: {len(kept)} tombstones in attributes, nothing else")


def _say(line: str) -> None:
    print(f"ok  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
