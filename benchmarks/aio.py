"""`actingweb.db.aio` beside psycopg's asynchronous pool and aiobotocore: reading a property in many asyncio tasks."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from actingweb.db import accessors, aio, load_backend
from actingweb.db.postgresql.connection import get_connection_string
from actingweb.db.registry import Backend
from benchmarks.results import Section, figure, ratio
from benchmarks.servers import dynamodb_server, network, postgres_server, schema, tables, use
from benchmarks.sizes import Sizes
from benchmarks.tasks import Load, load
from testbed.environments import InstallationError, cached_environment
from testbed.recorder import Statement, recorded_requests, recorded_trips

_AIOBOTOCORE = "aiobotocore==3.10.0"
_TASKS, _JUDGED = (1, 16, 64, 256), (16, 64)
_CONNECTIONS, _ACTORS = 16, 200
_POSTGRESQL, _DYNAMODB, _LAG = 0.85, 2.0, 5.0
_NOTE = f"PostgreSQL has {_CONNECTIONS} connections and a network of 1 ms, DynamoDB Local neither."

Round = Callable[[int], Load]  # lets so many tasks call


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure both backends."""
    section, rounds, seconds = Section("aio", "Coroutines", [_NOTE]), max(3, sizes.rounds // 3), 2 * sizes.crowd_seconds
    with postgres_server() as server, schema(server) as made, network(server) as relay:
        size = {"PG_POOL_MIN_SIZE": str(_CONNECTIONS), "PG_POOL_MAX_SIZE": str(_CONNECTIONS)}
        use({**made.environment, **size, **relay})
        with recorded_trips() as trips:
            config = _prepared("postgresql")
        peer = _psycopg_round(trips()[-1][0], seconds)
        _compare(section, "PostgreSQL", _our_round(config, seconds), peer, "psycopg's pool", _POSTGRESQL, rounds)
    with dynamodb_server() as other, tables(other) as named:
        with recorded_requests() as requests:
            config = _prepared("dynamodb")
        try:
            with _aiobotocore(named.environment["AWS_DB_HOST"], requests()[-1][1], seconds) as peer:
                _compare(section, "DynamoDB", _our_round(config, seconds), peer, "aiobotocore", _DYNAMODB, rounds)
        except InstallationError as error:
            section.notes.append(f"aiobotocore is left out: {error}")
    yield section


def _prepared(database: str) -> Backend:
    """Store the rows that are read, and read one."""
    config = load_backend(database)
    for number in range(_ACTORS):
        accessors.get_actor(config).create(actor_id=f"a{number}", creator="c", passphrase="p")
        accessors.get_property(config).set(actor_id=f"a{number}", name="color", value="v" * 100)
    accessors.get_property(config).get(actor_id="a0", name="color")
    return config


def _our_round(config: Backend, seconds: float) -> Round:
    def call(number: int) -> Awaitable[object]:
        return aio.get_property(config).get(actor_id=f"a{number % _ACTORS}", name="color")

    return lambda tasks: asyncio.run(load(tasks, seconds, call))


def _psycopg_round(statement: Statement, seconds: float) -> Round:
    async def configure(connection: psycopg.AsyncConnection) -> None:
        await connection.set_autocommit(True)
        connection.prepare_threshold = 0

    async def run(tasks: int) -> Load:
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

    return lambda tasks: asyncio.run(run(tasks))


@contextmanager
def _aiobotocore(host: str, request: object, seconds: float) -> Iterator[Round]:
    with cached_environment("aiobotocore-3.10.0", _AIOBOTOCORE) as python:
        command = [str(python), str(Path(__file__).with_name("tasks.py")), host, json.dumps(request)]
        process: Any = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def run(tasks: int) -> Load:
            print(tasks, seconds, file=process.stdin, flush=True)
            return Load(*json.loads(process.stdout.readline()))

        with process:
            yield run


def _compare(section: Section, backend: str, ours: Round, peer: Round, name: str, least: float, rounds: int) -> None:
    for tasks in _TASKS:
        found = [(ours(tasks), peer(tasks)) for _ in range(rounds)]
        our_loads, peer_loads = zip(*found, strict=True)
        faster = ratio(*([one.rate for one in loads] for loads in (our_loads, peer_loads)))
        subject = f"{backend}, {tasks} tasks"
        if tasks in _JUDGED:
            section.judge(subject, f"calls/s, ours / {name}", faster, least=least)
        section.judge(subject, "lag of the loop, ms", figure([one.lag for one in our_loads]), most=_LAG)
        for contender, loads in (("ours", our_loads), (name, peer_loads)):
            medians = Load(*(round(figure(values).median, 2) for values in zip(*loads, strict=True)))
            section.add({"backend": backend, "tasks": tasks, "contender": contender, **medians._asdict()})
