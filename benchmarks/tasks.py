"""Many asyncio tasks that call at once; and aiobotocore as the one called, in a process of an environment of its own.

`python tasks.py HOST` reads JSON objects with the `tasks`, the `seconds` and the `request`, that of a GetItem, line by
line; it answers each with what `load` returns. It imports the standard library and aiobotocore only.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

_TICK = 0.002

Calls = Callable[[int], Awaitable[object]]
"""Makes a call; the calls are numbered."""


class Load(NamedTuple):
    """Calls a second; milliseconds of a call, and by how many milliseconds the event loop was late."""

    rate: float
    median: float
    p99: float
    lag: float


async def load(tasks: int, seconds: float, call: Calls) -> Load:
    """Let so many tasks make calls for so long, after a fifth of the time to warm up."""
    await _spend(tasks, seconds / 5, call)
    took, late = await _spend(tasks, seconds, call)
    return Load(len(took) / seconds, 1000 * statistics.median(took), 1000 * _p99(took), 1000 * _p99(late))


async def _spend(tasks: int, seconds: float, call: Calls) -> tuple[list[float], list[float]]:
    took, late = list[float](), list[float]()
    numbers, ends = count(), time.perf_counter() + seconds

    async def make_calls() -> None:
        while (began := time.perf_counter()) < ends:
            await call(next(numbers))
            took.append(time.perf_counter() - began)

    async def tick() -> None:
        while (began := time.perf_counter()) < ends:
            await asyncio.sleep(_TICK)
            late.append(time.perf_counter() - began - _TICK)

    await asyncio.gather(tick(), *(make_calls() for _ in range(tasks)))
    return took, late


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


async def _serve(host: str) -> None:
    config = import_module("aiobotocore.config").AioConfig(max_pool_connections=50, parameter_validation=False)
    session: Any = import_module("aiobotocore.session").get_session()
    async with session.create_client("dynamodb", endpoint_url=host, config=config) as client:

        async def answer(tasks: int, seconds: float, request: dict[str, Any]) -> Load:
            return await load(tasks, seconds, lambda _: client.get_item(**request))

        for line in iter(sys.stdin.readline, ""):
            print(json.dumps((await answer(**json.loads(line)))._asdict()), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
