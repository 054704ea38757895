"""`actingweb.db.aio` beside psycopg's asynchronous pool and aiobotocore: reading a property in many asyncio tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import psycopg
from psycopg_pool import AsyncConnectionPool

from actingweb.db import accessors, aio, load_backend
from actingweb.db.postgresql.connection import get_connection_string
from actingweb.db.registry import Backend
from benchmarks.contenders import Program, interleave
from benchmarks.machine import own_processors, pin
from benchmarks.results import Section, Sizes, figure, ratio
from benchmarks.servers import network
from benchmarks.tasks import Load, load
from testbed.environments import InstallationError, cached_environment
from testbed.provisioning import new_schema, postgres_server, tables_of, use
from testbed.recorder import Statement, recorded_requests, recorded_trips

_AIOBOTOCORE = "aiobotocore==3.10.0"
_TASKS, _JUDGED = (1, 16, 64, 256), (16, 64)
_CONNECTIONS, _ACTORS = 16, 200
_POSTGRESQL, _DYNAMODB, _LAG = 0.85, 2.0, 5.0
_NOTE = f"The client has a processor of its own. PostgreSQL has {_CONNECTIONS} connections and a network of 1 ms."

Contenders = Mapping[str, Callable[[int], Load]]
"""Functions that let so many tasks call: ours, and the other one's."""


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure both backends."""
    section, rounds, seconds = Section("aio", "Coroutines", [_NOTE]), max(3, sizes.rounds // 3), 2 * sizes.crowd_seconds
    with own_processors() as processors:
        pin(processors[-1:])
        with postgres_server() as server, new_schema(server) as made, network(server) as relay:
            pin(processors[:1])
            size = {"PG_POOL_MIN_SIZE": str(_CONNECTIONS), "PG_POOL_MAX_SIZE": str(_CONNECTIONS)}
            use({**made.environment, **size, **relay})
            with recorded_trips() as trips:
                ours = partial(_run_ours, _prepared("postgresql"), seconds)
            theirs = partial(_run_psycopg, trips()[-1][0], seconds)
            _compare(section, "PostgreSQL", {"ours": ours, "psycopg's pool": theirs}, _POSTGRESQL, rounds)
        pin(processors[-1:])
        with tables_of("dynamodb") as named:
            pin(processors[:1])
            _measure_dynamodb(section, named["AWS_DB_HOST"], seconds, rounds)
    yield section


def _measure_dynamodb(section: Section, host: str, seconds: float, rounds: int) -> None:
    with recorded_requests() as requests:
        ours = partial(_run_ours, _prepared("dynamodb"), seconds)
    program = Path(__file__).with_name("tasks.py")
    try:
        with cached_environment("aiobotocore-3.10.0", _AIOBOTOCORE) as python, Program(python, program, host) as peer:
            theirs = partial(_run_aiobotocore, peer, requests()[-1][1], seconds)
            _compare(section, "DynamoDB", {"ours": ours, "aiobotocore": theirs}, _DYNAMODB, rounds)
    except InstallationError as error:
        section.notes.append(f"aiobotocore is left out: {error}")


def _prepared(database: str) -> Backend:
    """Store the rows that are read, and read one."""
    config = load_backend(database)
    for number in range(_ACTORS):
        accessors.get_actor(config).create(actor_id=f"a{number}", creator="c", passphrase="p")
        accessors.get_property(config).set(actor_id=f"a{number}", name="color", value="v" * 100)
    accessors.get_property(config).get(actor_id="a0", name="color")
    return config


def _run_ours(config: Backend, seconds: float, tasks: int) -> Load:
    def call(number: int) -> Awaitable[object]:
        return aio.get_property(config).get(actor_id=f"a{number % _ACTORS}", name="color")

    return asyncio.run(load(tasks, seconds, call))


def _run_psycopg(statement: Statement, seconds: float, tasks: int) -> Load:
    async def configure(connection: psycopg.AsyncConnection) -> None:
        await connection.set_autocommit(True)
        connection.prepare_threshold = 0

    async def run() -> Load:
        source = get_connection_string()
        async with AsyncConnectionPool(source, min_size=_CONNECTIONS, configure=configure, open=False) as pool:
            await pool.wait()

            async def call(number: int) -> object:
                async with pool.connection() as connection:
                    cursor = psycopg.AsyncRawCursor(connection)
                    cursor.format = psycopg.pq.Format.BINARY
                    await cursor.execute(statement.sql, (f"a{number % _ACTORS}", *statement.values[1:]))
                    return await cursor.fetchall()

            return await load(tasks, seconds, call)

    return asyncio.run(run())


def _run_aiobotocore(process: Program, request: object, seconds: float, tasks: int) -> Load:
    return Load(**process.ask(request=request, seconds=seconds, tasks=tasks))


def _compare(section: Section, backend: str, contenders: Contenders, least: float, rounds: int) -> None:
    for tasks in _TASKS:
        loads = interleave({name: partial(run, tasks) for name, run in contenders.items()}, rounds)
        subject = f"{backend}, {tasks} tasks"
        if tasks in _JUDGED:
            faster = ratio(*([one.rate for one in each] for each in loads.values()))
            section.judge(subject, f"calls/s, {' / '.join(contenders)}", faster, least=least)
        section.judge(subject, "lag of the loop, ms", figure([one.lag for one in loads["ours"]]), most=_LAG)
        for name, each in loads.items():
            medians = Load(*(round(median(values), 2) for values in zip(*each, strict=True)))
            section.add({"backend": backend, "tasks": tasks, "contender": name, **medians._asdict()})
