"""Detects that a server sends nothing while psycopg waits for it."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

__all__ = ["watch_silence"]

T = TypeVar("T")


def watch_silence(gen: Generator[Any, Any, T], seconds: float, notice: Callable[[], None]) -> Generator[Any, Any, T]:
    """Run `gen`, and call `notice`, which may raise, each time the server has sent nothing for this many `seconds`."""
    heard = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                heard = time.monotonic()
            elif time.monotonic() - heard > seconds:
                notice()
                heard = time.monotonic()
            wanted = gen.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result
